package pgcatalog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// captured reads the statements that a client was seen to send.
func captured(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range regexp.MustCompile(`(?m)^;$`).Split(string(b), -1) {
		var kept []string
		for line := range strings.Lines(s) {
			if !strings.HasPrefix(line, "-- ") {
				kept = append(kept, strings.TrimRight(line, "\n"))
			}
		}
		if s := strings.TrimRight(strings.TrimSpace(strings.Join(kept, "\n")), ";"); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// result is what a statement gave.
type result struct {
	columns []plan.Column
	rows    []row.Row
}

// run answers a query over the system relations as a session does.
func run(s *sampleSession, query string, params ...row.Value) (*result, error) {
	list, err := parse.Parse(query)
	if err != nil {
		return nil, err
	}
	st, _, err := plan.Analyze(list[0], plan.Options{Catalog: s.snapshot, SearchPath: s.SearchPath()})
	if err != nil {
		return nil, err
	}
	p, err := exec.Prepare(plan.Optimize(st.(*plan.Select).Query))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	rows, err := p.All(ctx, scanner{s}, s.context(params), exec.Options{Memory: 64 * limit.MiB})
	return &result{p.Columns(), rows}, err
}

func (s *sampleSession) context(params []row.Value) *expr.Ctx {
	return &expr.Ctx{Params: params, Now: time.Unix(1e9, 0), StatementTime: time.Unix(1e9, 0), Location: time.UTC, Env: env{s}}
}

// env is the session as functions see it.
type env struct{ *sampleSession }

func (env) BackendPID() int32 { return 4711 }
func (e env) Setting(name string) (string, bool) {
	for _, s := range e.Settings() {
		if strings.EqualFold(s.Name, name) {
			return s.Value, true
		}
	}
	return "", false
}
func (env) SetSetting(string, string, bool) error { return nil }
func (e env) Describe(function string, args []row.Value) (row.Value, bool, error) {
	return Describe(e, function, args)
}

// scanner gives system relations their rows, and others none.
type scanner struct{ s *sampleSession }

func (scanner) Get(context.Context, *catalog.Relation, []row.Value, []int, plan.LockStrength) (row.Row, bool, error) {
	return nil, false, nil
}

func (c scanner) Scan(_ context.Context, q *exec.ScanRequest) (exec.Iterator, error) {
	if q.Relation.Kind != catalog.System {
		return &once{}, nil
	}
	rows, err := Rows(c.s, q.Relation)
	return &once{rows}, err
}

type once struct{ rows []row.Row }

func (o *once) Next() ([]row.Row, error) {
	rows := o.rows
	o.rows = nil
	return rows, nil
}
func (*once) Close() error { return nil }

// catalogQuery tells statements over system relations and functions from the rest.
func catalogQuery(s string) bool {
	low := strings.ToLower(s)
	return (strings.HasPrefix(low, "select") || strings.HasPrefix(low, "with")) && (strings.Contains(low, "pg_") || strings.Contains(low, "information_schema"))
}

// sampleDDL makes in PostgreSQL what sample has, but for kinds of relations that PostgreSQL has not.
const sampleDDL = `
create table customers(id int primary key, name varchar(40) not null, email text constraint customers_email_key unique, tags text[], created timestamptz default now());
create index customers_name_created on customers(name, created);
comment on table customers is 'who buys'; comment on column customers.name is 'full name';
create table orders(id bigint primary key, customer_id int not null references customers, amount numeric(10,2) default 1 check (amount > 0), "Odd Name" jsonb) with (fillfactor=90);
create view v_orders as select id from orders where amount > 10;
create materialized view totals as select customer_id, sum(amount) as total from orders group by customer_id;
create unique index totals_pkey on totals(customer_id);
create schema shop; create table shop.keyless(x float8);
create database miracledb; drop extension plpgsql;`

// likeness runs statements here and on PostgreSQL over the same relations.
type likeness struct {
	s    *sampleSession
	conn *pgconn.PgConn
	// ours leads from PostgreSQL's OIDs of the sample's objects to ours.
	ours map[string]string
}

func newLikeness(t *testing.T) *likeness {
	t.Helper()
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	l := &likeness{s: sample(t), conn: conn, ours: map[string]string{}}
	for _, ddl := range strings.Split(sampleDDL, ";") {
		if _, err := l.theirs(ddl); err != nil {
			t.Fatalf("%v: %s", err, ddl)
		}
	}
	named := map[string]string{}
	for _, q := range []string{"select oid, 'r' || relname from pg_class where oid >= 16384 and relkind <> 't'", "select oid, 'c' || conname from pg_constraint where oid >= 16384", "select oid, 'n' || nspname from pg_namespace where oid >= 16384"} {
		r, err := run(l.s, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.rows {
			named[x[1].Str()] = decimal(x[0].Int())
		}
		theirs, err := l.theirs(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range theirs.Rows {
			if oid, ok := named[string(x[1])]; ok {
				l.ours[string(x[0])] = oid
			}
		}
	}
	return l
}

func (l *likeness) theirs(query string) (*pgconn.Result, error) {
	out := &pgconn.Result{}
	rs := l.conn.Exec(context.Background(), query)
	for rs.NextResult() {
		out.FieldDescriptions = slices.Clone(rs.ResultReader().FieldDescriptions())
		out.Rows = rs.ResultReader().Read().Rows
	}
	return out, rs.Close()
}

// translated puts PostgreSQL's OIDs in the place of ours.
func (l *likeness) translated(query string) string {
	for theirs, ours := range l.ours {
		query = regexp.MustCompile(`\b`+ours+`\b`).ReplaceAllString(query, "#"+theirs+"#")
	}
	return strings.ReplaceAll(query, "#", "")
}

// sizes are those of files.
var sizes = regexp.MustCompile(`^[0-9]+ (bytes|kB|MB)$`)

var oidText = regexp.MustCompile(`\b1[0-9]{4}\b`)

// objectNames names objects in text forms.
type objectNames struct{ s *sampleSession }

func (o objectNames) ObjectName(t row.OID, n int64) string {
	return expr.RegName(o.s.context(nil), t, n)
}
func (o objectNames) ObjectID(t row.OID, name string) (int64, error) {
	return expr.RegValue(o.s.context(nil), t, name)
}

// compare gives the differences between our answer and PostgreSQL's.
func (l *likeness) compare(query string) []string {
	theirs, err := l.theirs(l.translated(query))
	if err != nil {
		return []string{"PostgreSQL: " + err.Error()}
	}
	r, err := run(l.s, query)
	if err != nil {
		return []string{err.Error()}
	}
	var diffs []string
	if len(r.columns) != len(theirs.FieldDescriptions) {
		return append(diffs, fmt.Sprintf("%d columns, PostgreSQL has %d", len(r.columns), len(theirs.FieldDescriptions)))
	}
	for i, f := range theirs.FieldDescriptions {
		if c := r.columns[i]; c.Name != f.Name || uint32(c.Type.OID) != f.DataTypeOID {
			diffs = append(diffs, fmt.Sprintf("column %d is %s %s, in PostgreSQL %s %s", i+1, c.Name, c.Type, f.Name, expr.TypeName(row.OID(f.DataTypeOID))))
		}
	}
	var have, want []string
	for _, x := range theirs.Rows {
		var line []string
		for _, v := range x {
			s := oidText.ReplaceAllStringFunc(string(v), func(n string) string {
				if o, ok := l.ours[n]; ok {
					return o
				}
				return n
			})
			line = append(line, sizes.ReplaceAllString(strings.ReplaceAll(s, "postgres", "miracledb"), "SIZE"))
		}
		want = append(want, strings.Join(line, "|"))
	}
	format := row.Format{Objects: objectNames{l.s}}
	for _, x := range r.rows {
		var line []string
		for i, v := range x {
			line = append(line, sizes.ReplaceAllString(string(format.AppendText(nil, r.columns[i].Type, v)), "SIZE"))
		}
		have = append(have, strings.Join(line, "|"))
	}
	for _, w := range want {
		if !slices.Contains(have, w) {
			diffs = append(diffs, "lacks  "+w)
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			diffs = append(diffs, "has    "+h)
		}
	}
	return diffs
}

// TestCapturedStatements answers every statement over the catalogs that clients were seen to send, and holds the answers
// against PostgreSQL's over the same relations. How they differ stands in testdata/NAME.diff.
func TestCapturedStatements(t *testing.T) {
	l := newLikeness(t)
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			var out []string
			for i, q := range captured(t, filepath.Base(f)) {
				if !catalogQuery(q) {
					continue
				}
				q = strings.NewReplacer("$1::regtype", "'text'::regtype", "$1::oid[]", "'{25,1009,23}'::oid[]", "$1", "'25'").Replace(q)
				diffs := l.compare(q)
				if len(diffs) > 12 {
					diffs = append(diffs[:12], fmt.Sprintf("... %d in all", len(diffs)))
				}
				if len(diffs) > 0 {
					out = append(out, fmt.Sprintf("## %d: %.200s", i, strings.Join(strings.Fields(q), " ")))
				}
				for _, d := range diffs {
					out = append(out, strings.ReplaceAll(fmt.Sprintf("%.300s", d), "\n", "\\n"))
				}
			}
			compareFile(t, strings.TrimSuffix(f, ".sql")+".diff", out)
		})
	}
}
