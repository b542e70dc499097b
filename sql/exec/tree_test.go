package exec

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
)

func typ(oid row.OID) row.Type { return row.T(oid) }

// orders and people are the tables of the tests.
var (
	orders = &catalog.Relation{ID: 100, Schema: "public", Name: "orders", Kind: catalog.Table, Key: []int{0}, Columns: []catalog.Column{
		{Name: "id", Type: typ(row.Int4), NotNull: true}, {Name: "person", Type: typ(row.Int4)}, {Name: "amount", Type: typ(row.Numeric)},
		{Name: "day", Type: typ(row.Date)}, {Name: "note", Type: typ(row.Text)}},
		Indexes: []catalog.Index{{ID: 200, Name: "orders_person", Columns: []int{1, 3}}}}
	people = &catalog.Relation{ID: 101, Schema: "public", Name: "people", Kind: catalog.Table, Key: []int{0}, Columns: []catalog.Column{
		{Name: "id", Type: typ(row.Int4), NotNull: true}, {Name: "name", Type: typ(row.Text)}, {Name: "boss", Type: typ(row.Int4)}}}
)

// fill makes the heap with n orders and m people; load gives the same rows to PostgreSQL.
func fill(t testing.TB, n, m int) (*HeapSource, map[*catalog.Relation][]row.Row) {
	t.Helper()
	store, err := heap.Open(heap.Options{FS: vfs.NewMem(), Dir: "heap"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	rng := rand.New(rand.NewPCG(7, 8))
	null := func(v row.Value) row.Value {
		if rng.IntN(10) == 0 {
			return row.Null
		}
		return v
	}
	rows := map[*catalog.Relation][]row.Row{}
	for i := range n {
		rows[orders] = append(rows[orders], row.Row{row.NewInt(int64(i)), null(row.NewInt(int64(rng.IntN(m + 2)))),
			null(row.NewNumeric(int64(rng.IntN(10000)), 2)), null(row.NewDate(int64(19000 + rng.IntN(30)))),
			null(row.NewText(fmt.Sprintf("note %c", 'a'+rng.IntN(5))))})
	}
	for i := range m {
		rows[people] = append(rows[people], row.Row{row.NewInt(int64(i)), row.NewText(fmt.Sprint("p", i%7)), null(row.NewInt(int64(i / 2)))})
	}
	b, err := store.Begin(delta.Position{Epoch: 1, Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	for rel, list := range rows {
		for _, r := range list {
			key := AppendRowKey(nil, rel, r[:1])
			if _, _, err := b.Set(rel.ID, key, row.EncodeRow(nil, r)); err != nil {
				t.Fatal(err)
			}
			for _, index := range rel.Indexes {
				var entry []byte
				for _, c := range index.Columns {
					entry = row.AppendKey(entry, rel.Columns[c].Type, r[c], false)
				}
				if err := b.SetIndex(index.ID, append(entry, key...), key); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return &HeapSource{Reader: store}, rows
}

func load(t testing.TB, conn *pgx.Conn, rows map[*catalog.Relation][]row.Row) {
	t.Helper()
	for rel, list := range rows {
		var columns []string
		for _, c := range rel.Columns {
			columns = append(columns, c.Name+" "+c.Type.String())
		}
		sql := fmt.Sprintf("create temp table %s (%s, primary key (id)); insert into %s values ", rel.Name, strings.Join(columns, ", "), rel.Name)
		for i, r := range list {
			if i > 0 {
				sql += ","
			}
			sql += "("
			for j, v := range r {
				if j > 0 {
					sql += ","
				}
				if v.IsNull() {
					sql += "NULL"
				} else {
					sql += "'" + v.Text(rel.Columns[j].Type) + "'"
				}
			}
			sql += ")"
		}
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

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

// Constructors of plans.

func scan(rel *catalog.Relation) *plan.Scan {
	s := &plan.Scan{Relation: rel}
	for _, c := range rel.Columns {
		s.Cols = append(s.Cols, plan.Column{Name: c.Name, Type: c.Type})
	}
	return s
}

func filter(n plan.Node, conds ...expr.Expr) plan.Node {
	return &plan.Filter{Input: n, Cond: &expr.And{Args: conds}}
}

func project(n plan.Node, list ...expr.Expr) *plan.Project {
	p := &plan.Project{Input: n, Exprs: list}
	for _, e := range list {
		p.Cols = append(p.Cols, plan.Column{Type: e.Type()})
	}
	return p
}

func at(n plan.Node, i int) expr.Expr { return &expr.Column{Index: i, Typ: n.Columns()[i].Type} }

func outer(rel *catalog.Relation, depth, i int) expr.Expr {
	return &expr.Column{Depth: depth, Index: i, Typ: rel.Columns[i].Type}
}

func integer(n int64) expr.Expr { return &expr.Const{Value: row.NewInt(n), Typ: typ(row.Int4)} }

func literal(t row.OID, s string) expr.Expr {
	v, err := row.ParseText(typ(t), s)
	if err != nil {
		panic(err)
	}
	return &expr.Const{Value: v, Typ: typ(t)}
}

func op(name string, a, b expr.Expr) expr.Expr {
	f, castTo, ret, err := expr.ResolveOperator(name, a.Type(), b.Type())
	if err != nil {
		panic(err)
	}
	args := []expr.Expr{a, b}
	for i := range args {
		if args[i].Type().OID != castTo[i].OID {
			args[i] = &expr.Cast{Arg: args[i], To: castTo[i]}
		}
	}
	return &expr.Call{Func: f, Args: args, Typ: ret}
}

func call(name string, args ...expr.Expr) *expr.Call {
	types := make([]row.Type, len(args))
	for i, a := range args {
		types[i] = a.Type()
	}
	f, castTo, ret, err := expr.Resolve(name, types, false)
	if err != nil {
		panic(err)
	}
	for i := range args {
		if args[i].Type().OID != castTo[i].OID {
			args[i] = &expr.Cast{Arg: args[i], To: castTo[i]}
		}
	}
	return &expr.Call{Func: f, Args: args, Typ: ret}
}

func anyOf(left expr.Expr, list ...expr.Expr) expr.Expr {
	f, _, _ := expr.Equality(left.Type(), list[0].Type())
	return &expr.AnyAll{Op: f, Left: left, Array: &expr.Array{Elems: list, Typ: list[0].Type().Array()}}
}

func join(kind plan.JoinKind, l, r plan.Node, lk, rk int, cond expr.Expr) *plan.Join {
	j := &plan.Join{Kind: kind, Left: l, Right: r, Cond: cond}
	if lk >= 0 {
		eq, _, err := expr.Equality(l.Columns()[lk].Type, r.Columns()[rk].Type)
		if err != nil {
			panic(err)
		}
		j.LeftKeys, j.RightKeys, j.Eq = []expr.Expr{at(l, lk)}, []expr.Expr{at(r, rk)}, []*expr.Func{eq}
	}
	j.Cols = append(j.Cols, l.Columns()...)
	if kind != plan.Semi && kind != plan.Anti {
		j.Cols = append(j.Cols, r.Columns()...)
	}
	return j
}

func aggregate(n plan.Node, groups []expr.Expr, calls ...plan.AggregateCall) *plan.Aggregate {
	a := &plan.Aggregate{Input: n, Groups: groups, Calls: calls}
	for _, g := range groups {
		a.Cols = append(a.Cols, plan.Column{Type: g.Type()})
	}
	for _, c := range calls {
		a.Cols = append(a.Cols, plan.Column{Type: c.Typ})
	}
	return a
}

func agg(name string, args ...expr.Expr) plan.AggregateCall {
	c := call(name, args...)
	return plan.AggregateCall{Func: c.Func, Args: c.Args, Typ: c.Typ, Star: len(args) == 0}
}

func asc(e expr.Expr) plan.SortKey { return plan.SortKey{Expr: e} }
func desc(e expr.Expr) plan.SortKey {
	return plan.SortKey{Expr: e, Desc: true, NullsFirst: true}
}

func window(n plan.Node, calls ...plan.WindowCall) *plan.Window {
	w := &plan.Window{Input: n, Calls: calls}
	w.Cols = append(w.Cols, n.Columns()...)
	for _, c := range calls {
		w.Cols = append(w.Cols, plan.Column{Type: c.Typ})
	}
	return w
}

func over(c *expr.Call, partition []expr.Expr, order []plan.SortKey, frame plan.Frame) plan.WindowCall {
	return plan.WindowCall{Func: c.Func, Args: c.Args, Typ: c.Typ, PartitionBy: partition, OrderBy: order, Frame: frame,
		Star: c.Func.Kind == expr.AggregateFunc && len(c.Args) == 0}
}

var defaultFrame = plan.Frame{Mode: plan.Range, Start: plan.Bound{Kind: plan.UnboundedPreceding}, End: plan.Bound{Kind: plan.CurrentRow}}

func subquery(kind expr.SubqueryKind, n plan.Node, correlated bool, left expr.Expr) *expr.Subquery {
	s := &expr.Subquery{Kind: kind, Plan: n, Correlated: correlated, Typ: typ(row.Bool)}
	if kind == expr.Scalar {
		s.Typ = n.Columns()[0].Type
	}
	if left != nil {
		eq, _, _ := expr.Equality(left.Type(), n.Columns()[0].Type)
		s.Left, s.Ops = []expr.Expr{left}, []*expr.Func{eq}
	}
	return s
}

func session() *expr.Ctx {
	now := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	return &expr.Ctx{Now: now, StatementTime: now, Location: time.UTC}
}

// texts runs a plan and writes its rows as text, sorted unless ordered.
func texts(t testing.TB, src Source, n plan.Node, ectx *expr.Ctx, ordered bool) []string {
	t.Helper()
	p, err := Prepare(n)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.All(context.Background(), src, ectx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, r := range rows {
		var fields []string
		for i, v := range r {
			if v.IsNull() {
				fields = append(fields, "NULL")
			} else {
				fields = append(fields, v.Text(n.Columns()[i].Type))
			}
		}
		out = append(out, strings.Join(fields, "|"))
	}
	if !ordered {
		slices.Sort(out)
	}
	return out
}

// askPostgres gives the rows of a query in the form of texts.
func askPostgres(t testing.TB, conn *pgx.Conn, sql string, ordered bool) []string {
	t.Helper()
	results, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	out := []string{}
	for _, r := range results[0].Rows {
		var fields []string
		for _, v := range r {
			if v == nil {
				fields = append(fields, "NULL")
			} else {
				fields = append(fields, string(v))
			}
		}
		out = append(out, strings.Join(fields, "|"))
	}
	if !ordered {
		slices.Sort(out)
	}
	return out
}
