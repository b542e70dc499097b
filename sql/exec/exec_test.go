package exec

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// queryCase is a plan and the SQL that it stands for.
type queryCase struct {
	sql     string
	ordered bool
	node    plan.Node
}

func rowsFrame(mode plan.FrameMode, start, end int64, ex plan.Exclusion) plan.Frame {
	return plan.Frame{Mode: mode, Start: plan.Bound{Kind: plan.Preceding, Offset: integer(start)},
		End: plan.Bound{Kind: plan.Following, Offset: integer(end)}, Exclude: ex}
}

func queryCases() []queryCase {
	o, p := scan(orders), scan(people)
	id, person, amount, day, note := at(o, 0), at(o, 1), at(o, 2), at(o, 3), at(o, 4)
	d := func(s string) expr.Expr { return literal(row.Date, s) }
	sorted := func(n plan.Node, keys ...plan.SortKey) plan.Node { return &plan.Sort{Input: n, Keys: keys} }
	cases := []queryCase{
		{"select * from orders", false, o},
		{"select note, id from orders where id = 17", false, project(filter(o, op("=", id, integer(17))), note, id)},
		{"select * from orders where id = 17 and amount > 1", false, filter(o, op("=", id, integer(17)), op(">", amount, literal(row.Numeric, "1")))},
		{"select * from orders where id in (5, 3, 5, 999, null)", false, filter(o, anyOf(id, integer(5), integer(3), integer(5), integer(999), &expr.Const{Typ: typ(row.Int4)}))},
		{"select id from orders where id > 10 and id <= 14", false, project(filter(o, op(">", id, integer(10)), op("<=", id, integer(14))), id)},
		{"select id from orders where 10 > id", false, project(filter(o, op(">", integer(10), id)), id)},
		{"select id from orders where person = 3", false, project(filter(o, op("=", person, integer(3))), id)},
		{"select id from orders where person = 3 and day >= '2022-01-20'", false, project(filter(o, op("=", person, integer(3)), op(">=", day, d("2022-01-20"))), id)},
		{"select id from orders where person > 5", false, project(filter(o, op(">", person, integer(5))), id)},
		{"select id from orders where person < 2 and note = 'note a'", false, project(filter(o, op("<", person, integer(2)), op("=", note, literal(row.Text, "note a"))), id)},
		{"select id, day from orders order by id desc limit 5", true, &plan.Limit{Input: sorted(project(o, id, day), desc(&expr.Column{Index: 0, Typ: typ(row.Int4)})), Count: integer(5)}},
		{"select id, day from orders where person = 2 order by day desc, id limit 7 offset 2", true,
			&plan.Limit{Input: sorted(project(filter(o, op("=", person, integer(2))), id, day), desc(&expr.Column{Index: 1, Typ: typ(row.Date)}), asc(&expr.Column{Index: 0, Typ: typ(row.Int4)})), Count: integer(7), Offset: integer(2)}},
		{"select day, id from orders where person = 2 order by day nulls last, id", true,
			sorted(project(filter(o, op("=", person, integer(2))), day, id), asc(&expr.Column{Index: 0, Typ: typ(row.Date)}), asc(&expr.Column{Index: 1, Typ: typ(row.Int4)}))},
		{"select id, amount from orders order by amount desc nulls last, id limit 10", true,
			&plan.Limit{Input: sorted(project(o, id, amount), plan.SortKey{Expr: &expr.Column{Index: 1, Typ: typ(row.Numeric)}, Desc: true}, asc(&expr.Column{Index: 0, Typ: typ(row.Int4)})), Count: integer(10)}},
		{"select note from orders order by note fetch first 3 rows with ties", true,
			&plan.Limit{Input: sorted(project(o, note), asc(&expr.Column{Index: 0, Typ: typ(row.Text)})), Count: integer(3), WithTies: true, Keys: []plan.SortKey{asc(&expr.Column{Index: 0, Typ: typ(row.Text)})}}},
		{"select distinct note from orders", false, &plan.Distinct{Input: project(o, note)}},
		{"select count(*) from (select distinct on (person) * from orders order by person, id) x", true, aggregate(&plan.Distinct{Input: sorted(o, asc(person), asc(id)), On: []expr.Expr{person}}, nil, agg("count"))},
		{"select count(*), count(amount), sum(amount), avg(amount), min(day), max(note), count(distinct person) from orders", false,
			aggregate(o, nil, agg("count"), agg("count", amount), agg("sum", amount), agg("avg", amount), agg("min", day), agg("max", note), func() plan.AggregateCall { a := agg("count", person); a.Distinct = true; return a }())},
		{"select person, count(*), sum(id), avg(id), stddev(amount), bool_and(id > 10), array_agg(id order by id desc), string_agg(note, ',' order by id) from orders group by person", false,
			aggregate(o, []expr.Expr{person}, agg("count"), agg("sum", id), agg("avg", id), agg("stddev", amount), agg("bool_and", op(">", id, integer(10))),
				func() plan.AggregateCall { a := agg("array_agg", id); a.OrderBy = []plan.SortKey{desc(id)}; return a }(),
				func() plan.AggregateCall {
					a := agg("string_agg", note, literal(row.Text, ","))
					a.OrderBy = []plan.SortKey{asc(id)}
					return a
				}())},
		{"select person, note, count(*) filter (where id > 50), grouping(person, note) from orders group by rollup(person, note)", false,
			func() plan.Node {
				c := agg("count")
				c.Filter = op(">", id, integer(50))
				a := aggregate(o, []expr.Expr{person, note}, c)
				a.Sets = [][]int{{0, 1}, {0}, {}}
				a.Cols = append(a.Cols, plan.Column{Type: typ(row.Int4)})
				return a
			}()},
		{"select percentile_cont(0.5) within group (order by id), mode() within group (order by note), percentile_disc(0.3) within group (order by amount) from orders", false,
			aggregate(o, nil, within("percentile_cont", literal(row.Float8, "0.5"), &expr.Cast{Arg: id, To: typ(row.Float8)}), within("mode", nil, note), within("percentile_disc", literal(row.Float8, "0.3"), amount))},
		{"select count(*), sum(id) from orders where id < 0", false, aggregate(filter(o, op("<", id, integer(0))), nil, agg("count"), agg("sum", id))},
		{"select o.id, p.name from orders o join people p on o.person = p.id", false, func() plan.Node { j := join(plan.Inner, o, p, 1, 0, nil); return project(j, at(j, 0), at(j, 6)) }()},
		{"select o.id, p.name from orders o left join people p on o.person = p.id and p.name <> 'p1'", false, func() plan.Node {
			j := join(plan.Left, o, p, 1, 0, op("<>", &expr.Column{Index: 6, Typ: typ(row.Text)}, literal(row.Text, "p1")))
			return project(j, at(j, 0), at(j, 6))
		}()},
		{"select o.id, p.id from orders o right join people p on o.person = p.id", false, func() plan.Node { j := join(plan.Right, o, p, 1, 0, nil); return project(j, at(j, 0), at(j, 5)) }()},
		{"select o.id, p.id from orders o full join people p on o.person = p.id and o.id > 60", false, func() plan.Node {
			j := join(plan.Full, o, p, 1, 0, op(">", &expr.Column{Index: 0, Typ: typ(row.Int4)}, integer(60)))
			return project(j, at(j, 0), at(j, 5))
		}()},
		{"select count(*) from orders o join people p on o.person < p.id", false, aggregate(join(plan.Inner, o, p, -1, -1, op("<", &expr.Column{Index: 1, Typ: typ(row.Int4)}, &expr.Column{Index: 5, Typ: typ(row.Int4)})), nil, agg("count"))},
		{"select id from people p where exists (select 1 from orders o where o.person = p.id)", false, project(join(plan.Semi, p, o, 0, 1, nil), at(p, 0))},
		{"select id from people p where not exists (select 1 from orders o where o.person = p.id)", false, project(join(plan.Anti, p, o, 0, 1, nil), at(p, 0))},
		{"select p.id, b.name from (select * from people where id < 3) p join people b on p.boss = b.id", false, func() plan.Node {
			j := join(plan.Inner, filter(p, op("<", at(p, 0), integer(3))), scan(people), 2, 0, nil)
			return project(j, at(j, 0), at(j, 4))
		}()},
		{"select p.id, x.id from people p cross join lateral (select id from orders o where o.person = p.id order by id limit 2) x", false, func() plan.Node {
			inner := &plan.Limit{Input: sorted(project(filter(o, op("=", person, outer(people, 1, 0))), id), asc(&expr.Column{Index: 0, Typ: typ(row.Int4)})), Count: integer(2)}
			j := join(plan.Inner, p, inner, -1, -1, nil)
			j.Lateral = true
			return project(j, at(j, 0), at(j, 3))
		}()},
		{"select id, (select count(*) from orders o where o.person = p.id) from people p", false,
			project(p, at(p, 0), subquery(expr.Scalar, aggregate(filter(o, op("=", person, outer(people, 1, 0))), nil, agg("count")), true, nil))},
		{"select id from people where id in (select person from orders where id < 20)", false,
			project(filter(p, subquery(expr.AnyOf, project(filter(o, op("<", id, integer(20))), person), false, at(p, 0))), at(p, 0))},
		{"select id from people where id not in (select person from orders where person is not null)", false,
			project(filter(p, &expr.Not{Arg: subquery(expr.AnyOf, project(filter(o, &expr.IsNull{Arg: person, Negated: true}), person), false, at(p, 0))}), at(p, 0))},
		{"select person from orders union select id from people", false, setOp2(plan.Union, false, project(o, person), project(p, at(p, 0)))},
		{"select person from orders union all select id from people", false, setOp2(plan.Union, true, project(o, person), project(p, at(p, 0)))},
		{"select person from orders intersect select id from people", false, setOp2(plan.Intersect, false, project(o, person), project(p, at(p, 0)))},
		{"select person from orders intersect all select boss from people", false, setOp2(plan.Intersect, true, project(o, person), project(p, at(p, 2)))},
		{"select person from orders except select id from people", false, setOp2(plan.Except, false, project(o, person), project(p, at(p, 0)))},
		{"select person from orders except all select id from people", false, setOp2(plan.Except, true, project(o, person), project(p, at(p, 0)))},
		{"with recursive r as (select id, 0 as depth from people where id = 0 union all select p.id, r.depth + 1 from r join people p on p.boss = r.id and p.id <> 0) select * from r", false, recursive(true)},
		{"with recursive r as (select id, 0 as depth from people where id = 0 union select p.id, 0 from r join people p on p.boss = r.id) select * from r", false, recursive(false)},
		{"select id, generate_series(1, id) from people where id < 4", false, func() plan.Node {
			s := &plan.ProjectSet{Input: filter(p, op("<", at(p, 0), integer(4))), Exprs: []expr.Expr{at(p, 0), call("generate_series", integer(1), at(p, 0))}}
			s.Cols = []plan.Column{{Type: typ(row.Int4)}, {Type: typ(row.Int4)}}
			return s
		}()},
		{"select * from rows from (generate_series(1,3), generate_series(5,6)) with ordinality", true, func() plan.Node {
			f := &plan.Function{Calls: []expr.Expr{call("generate_series", integer(1), integer(3)), call("generate_series", integer(5), integer(6))}, Ordinality: true}
			f.Cols = []plan.Column{{Type: typ(row.Int4)}, {Type: typ(row.Int4)}, {Type: typ(row.Int8)}}
			return f
		}()},
	}
	return append(cases, windowCases()...)
}

func within(name string, direct, arg expr.Expr) plan.AggregateCall {
	args := []expr.Expr{arg}
	if direct != nil {
		args = []expr.Expr{direct, arg}
	}
	c := call(name, args...)
	a := plan.AggregateCall{Func: c.Func, Args: []expr.Expr{arg}, OrderBy: []plan.SortKey{asc(arg)}, Typ: c.Typ}
	if direct != nil {
		a.Direct = []expr.Expr{direct}
	}
	return a
}

func setOp2(kind plan.SetKind, all bool, l, r plan.Node) plan.Node {
	s := &plan.SetOperation{Kind: kind, All: all, Left: l, Right: r}
	s.Cols = l.Columns()
	return s
}

func recursive(all bool) plan.Node {
	p := scan(people)
	cols := []plan.Column{{Name: "id", Type: typ(row.Int4)}, {Name: "depth", Type: typ(row.Int4)}}
	b := &plan.Binding{Name: "r", Cols: cols, UnionAll: all, Query: project(filter(p, op("=", at(p, 0), integer(0))), at(p, 0), integer(0))}
	r := &plan.CTEScan{Binding: b}
	r.Cols = cols
	var cond, depth expr.Expr = nil, integer(0)
	if all {
		cond = op("<>", &expr.Column{Index: 2, Typ: typ(row.Int4)}, integer(0))
		depth = op("+", &expr.Column{Index: 1, Typ: typ(row.Int4)}, integer(1))
	}
	j := join(plan.Inner, r, scan(people), 0, 2, cond)
	b.Recursive = project(j, at(j, 2), depth)
	body := &plan.CTEScan{Binding: b}
	body.Cols = cols
	return &plan.With{Bindings: []*plan.Binding{b}, Body: body}
}

func windowCases() []queryCase {
	o := scan(orders)
	id, person, amount, day := at(o, 0), at(o, 1), at(o, 2), at(o, 3)
	by, order := []expr.Expr{person}, []plan.SortKey{asc(day), asc(id)}
	peers := []plan.SortKey{asc(day)}
	var cases []queryCase
	add := func(f, over2 string, c *expr.Call, partition []expr.Expr, keys []plan.SortKey, frame plan.Frame) {
		w := window(o, over(c, partition, keys, frame))
		cases = append(cases, queryCase{"select id, " + f + " over (" + over2 + ") from orders", false, project(w, at(w, 0), at(w, 5))})
	}
	all := "partition by person order by day, id"
	add("row_number()", all, call("row_number"), by, order, defaultFrame)
	add("rank()", "order by day", call("rank"), nil, peers, defaultFrame)
	add("dense_rank()", "order by day", call("dense_rank"), nil, peers, defaultFrame)
	add("percent_rank()", "order by day", call("percent_rank"), nil, peers, defaultFrame)
	add("cume_dist()", "order by day", call("cume_dist"), nil, peers, defaultFrame)
	add("ntile(7)", "order by id", call("ntile", integer(7)), nil, []plan.SortKey{asc(id)}, defaultFrame)
	add("lag(amount)", all, call("lag", amount), by, order, defaultFrame)
	add("lead(id, 2, -1)", all, call("lead", id, integer(2), integer(-1)), by, order, defaultFrame)
	add("first_value(id)", all, call("first_value", id), by, order, defaultFrame)
	add("last_value(id)", all, call("last_value", id), by, order, defaultFrame)
	add("nth_value(id, 2)", all, call("nth_value", id, integer(2)), by, order, defaultFrame)
	add("sum(amount)", all, call("sum", amount), by, order, defaultFrame)
	add("count(*)", "order by day", call("count"), nil, peers, defaultFrame)
	for ex, name := range []string{"", " exclude current row", " exclude group", " exclude ties"} {
		for mode, word := range []string{"range", "rows", "groups"} {
			m := []plan.FrameMode{plan.Range, plan.Rows, plan.Groups}[mode]
			keys, text := peers, "order by day"
			if m == plan.Range {
				keys, text = []plan.SortKey{desc(person)}, "order by person desc"
			} else if m == plan.Rows {
				keys, text = order, "order by day, id"
			}
			frame := rowsFrame(m, 2, 1, plan.Exclusion(ex))
			text += " " + word + " between 2 preceding and 1 following" + name
			add("sum(id)", text, call("sum", id), nil, keys, frame)
			add("count(*)", text, call("count"), nil, keys, frame)
			if m == plan.Rows {
				add("first_value(id)", text, call("first_value", id), nil, keys, frame)
				add("last_value(id)", text, call("last_value", id), nil, keys, frame)
			}
		}
	}
	return cases
}

// TestPlansAgainstPostgres runs each plan here and its SQL in PostgreSQL over the same rows.
func TestPlansAgainstPostgres(t *testing.T) {
	conn := connect(t)
	src, rows := fill(t, 400, 20)
	load(t, conn, rows)
	for _, c := range queryCases() {
		ours, theirs := texts(t, src, c.node, session(), c.ordered), askPostgres(t, conn, c.sql, c.ordered)
		if !slices.Equal(ours, theirs) {
			for i := range max(len(ours), len(theirs)) {
				if i >= len(ours) || i >= len(theirs) || ours[i] != theirs[i] {
					t.Errorf("%s\n  %d rows, theirs %d; first difference at %d:\n  ours   %v\n  theirs %v", c.sql, len(ours), len(theirs), i,
						ours[i:min(i+2, len(ours))], theirs[min(i, len(theirs)):min(i+2, len(theirs))])
					break
				}
			}
		}
	}
}

func TestMemoryBudget(t *testing.T) {
	src, _ := fill(t, 2000, 10)
	o := scan(orders)
	p, err := Prepare(&plan.Sort{Input: o, Keys: []plan.SortKey{asc(at(o, 4))}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.All(context.Background(), src, session(), Options{Memory: 64 * limit.KiB})
	var e *errs.Error
	if !errors.As(err, &e) || e.State != "53200" {
		t.Errorf("a sort over its budget ended with %v", err)
	}
	if _, err = p.All(context.Background(), src, session(), Options{}); err != nil {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	src, _ := fill(t, 3000, 10)
	o := scan(orders)
	p, err := Prepare(aggregate(join(plan.Inner, o, scan(orders), -1, -1, nil), nil, agg("count")))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = p.All(ctx, src, session(), Options{})
	var e *errs.Error
	if !errors.As(err, &e) || e.State != "57014" {
		t.Errorf("a canceled query ended with %v", err)
	}
}

func TestSubqueryOfTwoRows(t *testing.T) {
	src, _ := fill(t, 5, 5)
	p := scan(people)
	_, err := Run(context.Background(), project(p, subquery(expr.Scalar, project(scan(orders), at(scan(orders), 0)), false, nil)), src, session())
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := Prepare(project(p, subquery(expr.Scalar, project(scan(orders), at(scan(orders), 0)), false, nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = prepared.All(context.Background(), src, session(), Options{})
	var e *errs.Error
	if !errors.As(err, &e) || e.State != "21000" {
		t.Errorf("two rows for one value ended with %v", err)
	}
}

// BenchmarkPoint is pgbench's select: one column by primary key, prepared.
func BenchmarkPoint(b *testing.B) {
	src, _ := fill(b, 10000, 10)
	o := scan(orders)
	p, err := Prepare(project(filter(o, op("=", at(o, 0), &expr.Param{N: 1, Typ: typ(row.Int4)})), at(o, 2)))
	if err != nil {
		b.Fatal(err)
	}
	if p.point == nil {
		b.Fatal("not a point plan")
	}
	ectx := session()
	ectx.Params = []row.Value{row.NewInt(0)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ectx.Params[0] = row.NewInt(int64(i % 10000))
		rows, err := p.Run(context.Background(), src, ectx, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rows.Next(); err != nil {
			b.Fatal(err)
		}
		rows.Close()
	}
}

// BenchmarkHeapGet is what the heap alone takes for the same.
func BenchmarkHeapGet(b *testing.B) {
	src, _ := fill(b, 10000, 10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var stack [96]byte
		key := AppendRowKey(stack[:0], orders, []row.Value{row.NewInt(int64(i % 10000))})
		if _, ok, err := src.Reader.Get(orders.ID, key); err != nil || !ok {
			b.Fatal(err)
		}
	}
}
