package ivm

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// Small builders of plans.

func scan(r *catalog.Relation) *plan.Scan {
	s := &plan.Scan{Relation: r}
	for i, c := range r.Columns {
		s.Cols = append(s.Cols, plan.Column{Name: c.Name, Type: c.Type, Relation: uint32(r.ID), Attribute: int16(i + 1)})
	}
	return s
}

// at is column i of a node; name gives a column by its name, the last of that name.
func at(n plan.Node, i int) expr.Expr { return &expr.Column{Index: i, Typ: n.Columns()[i].Type} }

func name(n plan.Node, s string) expr.Expr {
	for i := len(n.Columns()) - 1; i >= 0; i-- {
		if n.Columns()[i].Name == s {
			return at(n, i)
		}
	}
	panic(s)
}

func call(f string, args ...expr.Expr) expr.Expr {
	oids := make([]row.OID, len(args))
	for i, a := range args {
		oids[i] = a.Type().OID
	}
	fn := expr.Lookup(f, oids...)
	if fn == nil {
		panic(fmt.Sprint("no function ", f, oids))
	}
	return &expr.Call{Func: fn, Args: args, Typ: row.T(fn.Ret)}
}

func num(n int64) expr.Expr  { return &expr.Const{Value: row.NewInt(n), Typ: row.T(row.Int4)} }
func big(n int64) expr.Expr  { return &expr.Const{Value: row.NewInt(n), Typ: row.T(row.Int8)} }
func str(s string) expr.Expr { return &expr.Const{Value: row.NewText(s), Typ: row.T(row.Text)} }

func project(in plan.Node, es ...expr.Expr) *plan.Project {
	p := &plan.Project{Input: in, Exprs: es}
	for i, e := range es {
		p.Cols = append(p.Cols, plan.Column{Name: fmt.Sprintf("p%d", i), Type: e.Type()})
	}
	return p
}

func pickColumns(in plan.Node, names ...string) *plan.Project {
	var es []expr.Expr
	for _, s := range names {
		es = append(es, name(in, s))
	}
	p := project(in, es...)
	for i, s := range names {
		p.Cols[i].Name = s
	}
	return p
}

func filter(in plan.Node, cond expr.Expr) *plan.Filter { return &plan.Filter{Input: in, Cond: cond} }

func aggregate(in plan.Node, groups []expr.Expr, calls ...plan.AggregateCall) *plan.Aggregate {
	a := &plan.Aggregate{Input: in, Groups: groups, Calls: calls}
	for i, g := range groups {
		a.Cols = append(a.Cols, plan.Column{Name: fmt.Sprintf("g%d", i), Type: g.Type()})
	}
	for i, c := range calls {
		a.Cols = append(a.Cols, plan.Column{Name: fmt.Sprintf("a%d", i), Type: c.Typ})
	}
	return a
}

func agg(f string, args ...expr.Expr) plan.AggregateCall {
	var oids []row.OID
	for _, a := range args {
		oids = append(oids, a.Type().OID)
	}
	fn := expr.Lookup(f, oids...)
	if fn == nil && len(args) == 1 { // polymorphic
		for _, t := range []row.OID{expr.AnyOID, expr.AnyElement, expr.AnyNonArray} {
			if fn = expr.Lookup(f, t); fn != nil {
				break
			}
		}
	}
	if fn == nil {
		panic(fmt.Sprint("no aggregate ", f, oids))
	}
	c := plan.AggregateCall{Func: fn, Args: args, Typ: row.T(fn.Ret), Star: len(args) == 0}
	if fn.Ret == row.AnyArray {
		c.Typ = row.T(row.ArrayOf(oids[0]))
	}
	return c
}

func distinct(c plan.AggregateCall) plan.AggregateCall { c.Distinct = true; return c }

func filtered(c plan.AggregateCall, cond expr.Expr) plan.AggregateCall { c.Filter = cond; return c }

func join(kind plan.JoinKind, l, r plan.Node, keys []string, cond func(j plan.Node) expr.Expr) *plan.Join {
	j := &plan.Join{Kind: kind, Left: l, Right: r}
	j.Cols = append(append([]plan.Column(nil), l.Columns()...), r.Columns()...)
	if cond != nil {
		j.Cond = cond(j)
	}
	if kind == plan.Semi || kind == plan.Anti {
		j.Cols = j.Cols[:len(l.Columns())]
	}
	for _, k := range keys {
		lk, rk := name(l, k), name(r, k)
		j.LeftKeys, j.RightKeys = append(j.LeftKeys, lk), append(j.RightKeys, rk)
		j.Eq = append(j.Eq, expr.Lookup("=", lk.Type().OID, rk.Type().OID))
	}
	return j
}

func setOp(kind plan.SetKind, all bool, l, r plan.Node) *plan.SetOperation {
	return &plan.SetOperation{Output: plan.Output{Cols: l.Columns()}, Kind: kind, All: all, Left: l, Right: r}
}

type testPlan struct {
	node  plan.Node
	class Class
}

func testPlans() map[string]testPlan {
	l, r, s := scan(tableL), scan(tableR), scan(streamS)
	ps := map[string]testPlan{}
	add := func(name string, n plan.Node) { ps[name] = testPlan{n, Incremental} }
	smallV := call(">", name(l, "v"), num(2))
	add("scan", l)
	add("filter", filter(l, smallV))
	add("project", project(filter(s, call("<", name(s, "v"), num(5))), name(s, "k"), call("+", name(s, "v"), num(1)), call("upper", name(s, "k"))))
	all := func(in plan.Node) []plan.AggregateCall {
		n := func(c string) expr.Expr { return name(in, c) }
		return []plan.AggregateCall{agg("count"), agg("count", n("v")), agg("sum", n("v")), agg("avg", n("v")), agg("min", n("v")), agg("max", n("v")),
			agg("sum", n("id")), agg("avg", n("id")), agg("sum", n("d")), agg("avg", n("d")), agg("sum", n("n")), agg("avg", n("n")),
			agg("sum", n("f")), agg("avg", n("f")), agg("min", n("ts")), agg("max", n("k")), agg("min", n("k")), agg("bool_and", n("b")), agg("bool_or", n("b")),
			agg("max", n("d")), agg("min", n("iv")), distinct(agg("count", n("v"))), distinct(agg("sum", n("v"))), distinct(agg("count", n("n"))),
			distinct(agg("sum", n("n"))), distinct(agg("avg", n("f"))), filtered(agg("count"), call("=", n("k"), str("a"))),
			filtered(agg("sum", n("v")), n("b")), filtered(distinct(agg("count", n("k"))), n("b"))}
	}
	add("aggregate", aggregate(l, []expr.Expr{name(l, "k")}, all(l)...))
	add("aggregate of a stream", aggregate(s, []expr.Expr{name(s, "k"), name(s, "b")}, all(s)...))
	add("global aggregate", aggregate(l, nil, all(l)...))
	add("groups in normal form", project(aggregate(l, []expr.Expr{call("+", name(l, "n"), name(l, "n"))}, agg("count"), agg("max", name(l, "v"))),
		call("=", &expr.Column{Index: 0, Typ: row.T(row.Numeric)}, &expr.Column{Index: 0, Typ: row.T(row.Numeric)}), &expr.Column{Index: 1, Typ: row.T(row.Int8)}, &expr.Column{Index: 2, Typ: row.T(row.Int4)}))
	sorted := agg("string_agg", name(l, "k"), str(","))
	sorted.OrderBy = []plan.SortKey{{Expr: name(l, "id"), Desc: true}}
	array := agg("array_agg", name(l, "v"))
	array.OrderBy = []plan.SortKey{{Expr: name(l, "id"), NullsFirst: true}}
	add("ordered folds", aggregate(l, []expr.Expr{name(l, "b")}, sorted, array, agg("stddev", name(l, "f"))))
	sets := aggregate(l, []expr.Expr{name(l, "k"), name(l, "b")}, agg("count"), agg("sum", name(l, "v")))
	sets.Sets = [][]int{{0, 1}, {1}, {}}
	sets.Cols = append(sets.Cols, plan.Column{Name: "mask", Type: row.T(row.Int4)})
	add("grouping sets", sets)
	add("having", filter(aggregate(l, []expr.Expr{name(l, "k")}, agg("count")), call(">", &expr.Column{Index: 1, Typ: row.T(row.Int8)}, num(2))))
	kinds := map[string]plan.JoinKind{"inner": plan.Inner, "left": plan.Left, "right": plan.Right, "full": plan.Full, "semi": plan.Semi, "anti": plan.Anti}
	for kname, kind := range kinds {
		add(kname+" join", join(kind, l, r, []string{"k"}, nil))
		add(kname+" join with condition", join(kind, l, r, []string{"k"}, func(j plan.Node) expr.Expr { return call("<", at(j, 2), at(j, 12)) }))
		add(kname+" join by number and text", join(kind, l, r, []string{"n", "c"}, nil))
	}
	add("theta join", join(plan.Inner, l, s, nil, func(j plan.Node) expr.Expr { return call("<", at(j, 2), at(j, 12)) }))
	add("self join", join(plan.Inner, l, l, []string{"v"}, nil))
	add("join of streams", join(plan.Inner, s, s, []string{"k", "v"}, nil))
	j := join(plan.Left, l, r, []string{"k"}, nil)
	hour := call("date_trunc", str("hour"), at(j, 6))
	add("aggregate over join with a pushed function", aggregate(filterless(project(j, hour, at(j, 12), at(j, 1))), []expr.Expr{
		&expr.Column{Index: 0, Typ: row.T(row.Timestamp)}, &expr.Column{Index: 2, Typ: row.T(row.Text)}}, agg("count"), agg("sum", &expr.Column{Index: 1, Typ: row.T(row.Int4)})))
	add("distinct", &plan.Distinct{Input: pickColumns(l, "k", "b", "n", "c")})
	for _, allRows := range []bool{true, false} {
		for sname, k := range map[string]plan.SetKind{"union": plan.Union, "intersect": plan.Intersect, "except": plan.Except} {
			add(fmt.Sprintf("%s all %v", sname, allRows), setOp(k, allRows, pickColumns(l, "k", "b"), pickColumns(r, "k", "b")))
		}
	}
	order := []plan.SortKey{{Expr: name(l, "v"), Desc: true, NullsFirst: true}, {Expr: name(l, "id")}}
	add("limit", &plan.Limit{Input: &plan.Sort{Input: l, Keys: order}, Count: big(3), Offset: big(1)})
	on := &plan.Distinct{Input: &plan.Sort{Input: l, Keys: append([]plan.SortKey{{Expr: name(l, "k")}}, order...)}, On: []expr.Expr{name(l, "k")}}
	add("distinct on", on)
	add("limit below projection", &plan.Limit{Input: project(&plan.Sort{Input: l, Keys: order}, name(l, "k")), Count: big(4)})
	binding := &plan.Binding{Name: "w", Query: aggregate(l, []expr.Expr{name(l, "k")}, agg("count"))}
	binding.Cols = binding.Query.Columns()
	cte := func() *plan.CTEScan { return &plan.CTEScan{Output: plan.Output{Cols: binding.Cols}, Binding: binding} }
	add("with", &plan.With{Bindings: []*plan.Binding{binding}, Body: join(plan.Inner, cte(), cte(), []string{"a0"}, nil)})
	v := &plan.Values{Output: plan.Output{Cols: []plan.Column{{Name: "k", Type: row.T(row.Text)}, {Name: "w", Type: row.T(row.Int4)}}},
		Rows: [][]expr.Expr{{str("a"), num(1)}, {str("b"), call("+", num(1), num(1))}}}
	add("join with values", join(plan.Left, l, v, []string{"k"}, nil))
	inner := aggregate(l, []expr.Expr{name(l, "k"), name(l, "b")}, agg("max", name(l, "v")))
	add("aggregate of an aggregate", aggregate(inner, []expr.Expr{at(inner, 1)}, agg("avg", at(inner, 2)), agg("min", at(inner, 2))))
	ps["window"] = testPlan{window(l), Recompute}
	return ps
}

func filterless(n plan.Node) plan.Node { return n }

func window(l plan.Node) plan.Node {
	w := &plan.Window{Input: l, Calls: []plan.WindowCall{{Func: expr.Lookup("row_number"), PartitionBy: []expr.Expr{name(l, "k")},
		OrderBy: []plan.SortKey{{Expr: name(l, "id")}}, Frame: plan.Frame{End: plan.Bound{Kind: plan.CurrentRow}}, Typ: row.T(row.Int8)}}}
	w.Cols = append(append([]plan.Column(nil), l.Columns()...), plan.Column{Name: "n", Type: row.T(row.Int8)})
	return w
}
