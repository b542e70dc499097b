package pgcatalog

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/sql/expr"
)

var rewrite = flag.Bool("rewrite", false, "rewrite columns.txt and rows.txt from PostgreSQL 15")

const columnsQuery = `
select case when a.attnum=1 then c.oid::text||' '||n.nspname||'.'||c.relname||' '||c.relkind::text||E'\n' else '' end || ' ' || a.attname||' '||
 case when t.typtype='d' then format_type(t.typbasetype,t.typtypmod) else format_type(t.oid,a.atttypmod) end || case when a.attnotnull then ' not null' else '' end
from pg_attribute a join pg_class c on c.oid=a.attrelid join pg_namespace n on n.oid=relnamespace join pg_type t on t.oid=atttypid
where attnum>0 and relkind in ('r','v') and n.nspname in ('pg_catalog','information_schema') order by (c.relkind='v'), c.oid, attnum`

// staticQueries give the rows of rows.txt as text arrays. $1 holds the types that we have, $2 the functions.
var staticQueries = []struct{ relation, columns, from string }{
	{"pg_proc", `oid proname pronamespace=11 proowner=10 prolang=12 procost prorows provariadic prokind prosecdef proleakproof proisstrict proretset provolatile proparallel pronargs pronargdefaults prorettype proargtypes proallargtypes proargmodes proargnames prosrc=proname`,
		`from pg_proc where oid::int8 = any($2) or proname in (select unnest(array[typinput,typoutput,typreceive,typsend,typmodin,typmodout,typanalyze,typsubscript]::text[]) from pg_type where typnamespace=11)
		 or oid in (select unnest(array[oprrest,oprjoin]::oid[]) from pg_operator where oprcode::int8 = any($2))
		 or oid in (select castfunc from pg_cast where castsource::int8 = any($1) and casttarget::int8 = any($1))
		 or proname in ('heap_tableam_handler','bthandler') or oid in (select unnest(array[rngcanonical,rngsubdiff]::oid[]) from pg_range) order by oid`},
	{"pg_operator", `oid oprname oprnamespace=11 oprowner=10 oprkind oprcanmerge oprcanhash oprleft oprright oprresult oprcom oprnegate oprcode::oid oprrest::oid oprjoin::oid`,
		`from pg_operator where oprcode::int8 = any($2) order by oid`},
	{"pg_cast", `oid castsource casttarget castfunc castcontext castmethod`,
		`from pg_cast where castsource::int8 = any($1) and casttarget::int8 = any($1) order by oid`},
	{"pg_opfamily", `oid opfmethod opfname opfnamespace=11 opfowner=10`,
		`from pg_opfamily f where opfmethod=403 and exists (select from pg_opclass where opcfamily=f.oid and opcintype::int8 = any($1)) order by oid`},
	{"pg_opclass", `oid opcmethod opcname opcnamespace=11 opcowner=10 opcfamily opcintype opcdefault opckeytype`,
		`from pg_opclass where opcmethod=403 and opcintype::int8 = any($1) order by oid`},
	{"pg_amop", `oid amopfamily amoplefttype amoprighttype amopstrategy amoppurpose amopopr amopmethod amopsortfamily`,
		`from pg_amop where amopmethod=403 and amopfamily in (select opcfamily from pg_opclass where opcmethod=403 and opcintype::int8 = any($1))
		 and amopopr in (select oid from pg_operator where oprcode::int8 = any($2)) order by oid`},
	{"pg_description", `objoid classoid objsubid description`,
		`from pg_description where (classoid = 'pg_proc'::regclass and objoid::int8 = any($2)) or classoid = 'pg_type'::regclass and objoid < 16384 and objsubid = 0
		 and exists (select from pg_type t where t.oid = objoid and t.typnamespace = 11 and t.typtype <> 'c' and t.typtype <> 'd') order by classoid, objoid`},
	{"pg_range", `rngtypid rngsubtype rngmultitypid rngcollation rngsubopc rngcanonical::oid rngsubdiff::oid`, `from pg_range order by 1`},
	{"pg_settings", `name unit category short_desc extra_desc context vartype min_val max_val enumvals`,
		`from pg_settings where name !~ '\.' order by 1`},
	{"pg_timezone_names", `name`, `from pg_timezone_names where name !~ '^posix' and name <> 'localtime' order by 1`},
}

// TestColumns holds columns.txt against PostgreSQL 15.
func TestColumns(t *testing.T) {
	got := lines(t, columnsQuery)
	compareFile(t, "columns.txt", got)
}

// TestStaticRows holds rows.txt against PostgreSQL 15.
func TestStaticRows(t *testing.T) {
	var types, procs []int64
	for i := range row.Types {
		types = append(types, int64(row.Types[i].OID))
	}
	supported := slices.DeleteFunc(slices.Clone(types), func(n int64) bool { return !row.Supported(row.OID(n)) && n != int64(row.AnyArray) })
	for _, f := range expr.Functions() {
		procs = append(procs, int64(f.OID))
	}
	var out []string
	for _, q := range staticQueries {
		var names, values []string
		for _, c := range strings.Fields(q.columns) {
			name, value := c, c
			if n, v, ok := strings.Cut(c, "="); ok {
				name, value = n, v
			}
			name, _, _ = strings.Cut(name, "::")
			names = append(names, name)
			values = append(values, fmt.Sprintf(`coalesce(translate((%s)::text, E'\t\n', '  '), '\N')`, value))
		}
		out = append(out, "# pg_catalog."+q.relation+" "+strings.Join(names, " "))
		query := "select concat_ws(E'\\t', " + strings.Join(values, ", ") + ") " + q.from
		var args []any
		switch {
		case strings.Contains(q.from, "$2"):
			query = strings.Replace(query, "select", "with given as (select $1::int8[], $2::int8[]) select", 1)
			args = []any{supported, procs}
		case strings.Contains(q.from, "$1"):
			args = []any{supported}
		}
		out = append(out, lines(t, query, args...)...)
	}
	compareFile(t, "rows.txt", out)
}

// lines runs a query of one text column on PostgreSQL.
func lines(t *testing.T, query string, args ...any) []string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return out
}

// postgres is one server for all tests of the package.
func postgres(t *testing.T) string {
	t.Helper()
	if server == nil {
		var err error
		server, err = testenv.StartPostgres("fsync=off")
		testenv.Need(t, "PostgreSQL 15", err)
	}
	return server.DSN()
}

var server *testenv.PostgresServer

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

func compareFile(t *testing.T, name string, got []string) {
	t.Helper()
	text := strings.Join(got, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Split(strings.TrimSuffix(string(have), "\n"), "\n")
	got = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := range max(len(old), len(got)) {
		if i >= len(old) || i >= len(got) || old[i] != got[i] {
			t.Fatalf("%s differs from PostgreSQL in line %d: run go test -run '%s' -rewrite", name, i+1, t.Name())
		}
	}
}
