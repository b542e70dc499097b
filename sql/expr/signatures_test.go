package expr

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
)

var rewrite = flag.Bool("rewrite", false, "rewrite files of testdata and proc_oids.txt from a live PostgreSQL")

// connect gives a connection to PostgreSQL 15: MIRACLEDB_TEST_POSTGRES, or one that is started.
func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	dsn := os.Getenv("MIRACLEDB_TEST_POSTGRES")
	if dsn == "" {
		dsn = testenv.Postgres(t)
	}
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

type proc struct {
	oid, ret uint32
	strict   bool
	volat    string
	retset   bool
}

// TestSignatures holds every entry of the registry equal to pg_proc: result type, strictness, volatility, OID.
func TestSignatures(t *testing.T) {
	conn := connect(t)
	procs := map[string]proc{}
	read := func(query string) {
		rows, err := conn.Query(context.Background(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var args []uint32
			var variadic uint32
			var p proc
			if err := rows.Scan(&name, &args, &variadic, &p.oid, &p.ret, &p.strict, &p.volat, &p.retset); err != nil {
				t.Fatal(err)
			}
			key := name + fmt.Sprint(args) + fmt.Sprint(variadic)
			if _, ok := procs[key]; !ok {
				procs[key] = p
			}
		}
	}
	read(`select proname, proargtypes::oid[], provariadic, oid, prorettype, proisstrict, provolatile::text, proretset from pg_proc
		where pronamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`)
	read(`select oprname, array[oprleft, oprright]::oid[], 0::oid, p.oid, prorettype, proisstrict, provolatile::text, proretset
		from pg_operator o join pg_proc p on p.oid = oprcode`)
	var lines []string
	for _, family := range families {
		for i := range family {
			f := family[i].parse()
			if family[i].traits&defaulted != 0 {
				continue
			}
			args := slices.Clone(f.Args)
			if f.IsOperator() && len(args) == 1 {
				args = []row.OID{0, args[0]}
			}
			variadic := f.Variadic
			switch variadic {
			case 0:
			case AnyOID:
				args = append(args, AnyOID)
			default:
				args = append(args, row.ArrayOf(variadic))
			}
			p, ok := procs[f.Name+fmt.Sprint(args)+fmt.Sprint(uint32(variadic))]
			if !ok {
				if !ours[f.Name] {
					t.Errorf("%s: not in PostgreSQL", family[i].sig)
				}
				continue
			}
			sig, _, _ := strings.Cut(family[i].sig, ") ")
			lines = append(lines, fmt.Sprintf("%s)\t%d\n", sig, p.oid))
			if f.Ret != row.OID(p.ret) {
				t.Errorf("%s: returns %d in PostgreSQL", family[i].sig, p.ret)
			}
			if f.Kind == ScalarFunc || f.Kind == SetFunc {
				if f.Strict != p.strict {
					t.Errorf("%s: strict is %v in PostgreSQL", family[i].sig, p.strict)
				}
				if want := map[string]Volatility{"i": Immutable, "s": Stable, "v": Volatile}[p.volat]; f.Volat != want {
					t.Errorf("%s: volatility %d, PostgreSQL has %d", family[i].sig, f.Volat, want)
				}
			}
			if (f.Kind == SetFunc) != p.retset {
				t.Errorf("%s: proretset is %v in PostgreSQL", family[i].sig, p.retset)
			}
		}
	}
	slices.Sort(lines)
	text := strings.Join(slices.Compact(lines), "")
	if *rewrite {
		if err := os.WriteFile("proc_oids.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != procOIDs {
		t.Error("proc_oids.txt is not current: run with -rewrite")
	}
}

// ours are the functions that PostgreSQL does not have.
var ours = map[string]bool{"time_bucket": true}
