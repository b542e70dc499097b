package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// outputs is a checked query whose columns may still have to take another type: an untyped literal the one that a set
// operation or an INSERT wants.
type outputs struct {
	a     *analyzer
	exprs []expr.Expr
	cols  []Column
	locs  []int32
	// types are what the columns are to become; the zero Type: what they are.
	types []row.Type
	// leaves are the columns of the queries that a set operation combines.
	leaves [][]Column
	// build makes the operators, with what untyped outputs have become.
	build func(exprs []expr.Expr) (Node, error)
}

func (o *outputs) location(i int) int32 {
	if i < len(o.locs) {
		return o.locs[i]
	}
	return -1
}

// take gives output i the type of e, which is output i converted.
func (o *outputs) take(i int, e expr.Expr) {
	if untyped(o.exprs[i]) {
		o.exprs[i] = e
		return
	}
	if o.types == nil {
		o.types = make([]row.Type, len(o.exprs))
	}
	o.types[i] = e.Type()
}

func untyped(e expr.Expr) bool { return e.Type().OID == row.Unknown }

// finish makes the query's operators. What is still untyped becomes text.
func (o *outputs) finish() (Node, error) {
	for i, e := range o.exprs {
		o.exprs[i] = o.a.settle(e)
	}
	n, err := o.build(o.exprs)
	if err != nil {
		return nil, err
	}
	p := &Project{Input: n, Exprs: identity(n)}
	p.Cols = append(p.Cols, n.Columns()...)
	same := true
	for i, t := range o.types {
		if t.OID == 0 || t.OID == p.Cols[i].Type.OID {
			continue
		}
		if p.Exprs[i], err = o.a.coerce(p.Exprs[i], t, expr.Implicit, o.location(i), ""); err != nil {
			return nil, err
		}
		p.Cols[i] = Column{Name: p.Cols[i].Name, Type: t}
		same = false
	}
	if same {
		return n, nil
	}
	return p, nil
}

// query checks a SELECT, VALUES, TABLE or set operation with its WITH. outer is the scope around (nil: none); want, when
// not nil, gives the types that untyped outputs should take (INSERT's columns). Outputs of type Unknown are settled to
// text.
func (a *analyzer) query(sel *pg.SelectStmt, outer *scope, want []row.Type) (Node, error) {
	o, err := a.outputs(sel, outer, want)
	if err != nil {
		return nil, err
	}
	for i, e := range o.exprs {
		if i >= len(want) || !untyped(e) {
			continue
		}
		if e, err = a.coerce(e, want[i], expr.Assignment, o.location(i), ""); err != nil {
			return nil, err
		}
		o.take(i, e)
	}
	return o.finish()
}

func (a *analyzer) outputs(sel *pg.SelectStmt, outer *scope, want []row.Type) (*outputs, error) {
	if sel.IntoClause != nil {
		return nil, errs.SQL("0A000", "SELECT ... INTO is not allowed here").At(a.pos(sel.IntoClause.GetRel().GetLocation()))
	}
	bindings, s, err := a.with(sel.WithClause, outer)
	if err != nil {
		return nil, err
	}
	var o *outputs
	switch {
	case sel.Larg != nil:
		o, err = a.setQuery(sel, s)
	case len(sel.ValuesLists) > 0:
		o, err = a.values(sel, s, want)
	default:
		o, err = a.selectFrom(sel, s)
	}
	if err != nil || len(bindings) == 0 {
		return o, err
	}
	body := o.build
	o.build = func(exprs []expr.Expr) (Node, error) {
		n, err := body(exprs)
		if err != nil {
			return nil, err
		}
		return &With{bindings, n}, nil
	}
	return o, nil
}

// target is one entry of the SELECT list, or what ORDER BY and DISTINCT ON need beside it (junk).
type target struct {
	expr expr.Expr
	col  Column
	loc  int32
	junk bool
}

// selection is a SELECT in the making.
type selection struct {
	a       *analyzer
	sel     *pg.SelectStmt
	s       *scope
	node    Node
	targets []target
	having  expr.Expr
	groups  *grouping
	order   []ordering
	// distinct is set for DISTINCT; on are the targets of DISTINCT ON.
	distinct      bool
	on            []int
	count, offset expr.Expr
}

// selectFrom checks a SELECT. The order is PostgreSQL's, so that of several errors the same one is reported.
func (a *analyzer) selectFrom(sel *pg.SelectStmt, outer *scope) (*outputs, error) {
	n, s, err := a.from(sel.FromClause, outer)
	if err != nil {
		return nil, err
	}
	if n == nil {
		n = &Values{Rows: [][]expr.Expr{{}}}
	}
	q := &selection{a: a, sel: sel, s: s, node: n}
	if err := a.nameWindows(s, sel.WindowClause); err != nil {
		return nil, err
	}
	if q.targets, err = a.targetList(s, sel.TargetList, inTarget); err != nil {
		return nil, err
	}
	if sel.WhereClause != nil {
		cond, err := a.condition(s, sel.WhereClause, inWhere, "argument of WHERE")
		if err != nil {
			return nil, err
		}
		q.node = &Filter{q.node, cond}
	}
	if sel.HavingClause != nil {
		if q.having, err = a.condition(s, sel.HavingClause, inHaving, "argument of HAVING"); err != nil {
			return nil, err
		}
	}
	return q.clauses()
}

// clauses checks what follows WHERE and HAVING.
func (q *selection) clauses() (*outputs, error) {
	if err := q.orderBy(); err != nil {
		return nil, err
	}
	if err := q.groupBy(); err != nil {
		return nil, err
	}
	if err := q.distinctBy(); err != nil {
		return nil, err
	}
	var err error
	if q.count, q.offset, err = q.a.limits(q.s, q.sel); err != nil {
		return nil, err
	}
	if err := q.a.checkWindows(q.s, q.sel.WindowClause); err != nil {
		return nil, err
	}
	if err := q.lock(); err != nil {
		return nil, err
	}
	if err := q.checkGroups(); err != nil {
		return nil, err
	}
	o := &outputs{a: q.a, build: q.build}
	for _, t := range q.targets {
		if !t.junk {
			o.exprs, o.cols, o.locs = append(o.exprs, t.expr), append(o.cols, t.col), append(o.locs, t.loc)
		}
	}
	return o, nil
}

// build makes the operators of the SELECT: groups, windows, set-returning functions, the list itself, then duplicates,
// order and limit.
func (q *selection) build(outputs []expr.Expr) (Node, error) {
	width := len(outputs)
	n := q.node
	exprs := make([]expr.Expr, len(q.targets))
	for i, t := range q.targets {
		exprs[i] = t.expr
		if !t.junk {
			exprs[i] = outputs[i]
		}
	}
	var err error
	if q.groups != nil {
		if n, exprs, err = q.grouped(n, exprs); err != nil {
			return nil, err
		}
	}
	n, exprs = windowed(n, exprs)
	if n, err = q.projected(n, exprs); err != nil {
		return nil, err
	}
	n = q.sorted(n)
	if q.count != nil || q.offset != nil {
		l := &Limit{Input: n, Count: q.count, Offset: q.offset}
		if q.sel.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES {
			l.WithTies, l.Keys = true, q.keys(n)
		}
		n = l
	}
	if width < len(exprs) {
		n = &Project{Output: Output{n.Columns()[:width]}, Input: n, Exprs: identity(n)[:width]}
	}
	return n, nil
}

// projected computes the SELECT list.
func (q *selection) projected(n Node, exprs []expr.Expr) (Node, error) {
	cols := make([]Column, len(exprs))
	for i, t := range q.targets {
		cols[i] = t.col
		cols[i].Type = exprs[i].Type()
	}
	if hasSets(exprs) {
		return q.a.expandSets(n, exprs, cols)
	}
	if v, ok := n.(*Values); ok && len(q.sel.ValuesLists) > 0 && len(exprs) == len(v.Cols) {
		return v, nil // VALUES are their own list
	}
	return &Project{Output: Output{cols}, Input: n, Exprs: exprs}, nil
}

// limits checks LIMIT and OFFSET: bigint, and the same for all rows.
func (a *analyzer) limits(s *scope, sel *pg.SelectStmt) (count, offset expr.Expr, err error) {
	if offset, err = a.limit(s, sel.LimitOffset, inOffset, "OFFSET"); err != nil {
		return nil, nil, err
	}
	ties := sel.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES
	if c := sel.LimitCount.GetAConst(); c != nil && c.Isnull && ties {
		return nil, nil, errs.SQL("2201W", "row count cannot be null in FETCH FIRST ... WITH TIES clause")
	}
	count, err = a.limit(s, sel.LimitCount, inLimit, "LIMIT")
	return count, offset, err
}

func (a *analyzer) limit(s *scope, n *pg.Node, in place, what string) (expr.Expr, error) {
	if n == nil {
		return nil, nil
	}
	if c := n.GetAConst(); c != nil && c.Isnull {
		return nil, nil // LIMIT ALL
	}
	e, err := a.expression(s, n, in)
	if err != nil {
		return nil, err
	}
	if e, err = a.coerce(e, row.T(row.Int8), expr.Assignment, location(n), "argument of "+what); err != nil {
		return nil, err
	}
	columnsOf(e, func(c *expr.Column) {
		err = errs.SQL("42P10", "argument of %s must not contain variables", what).At(a.pos(a.locations[c]))
	})
	return e, err
}

// values checks VALUES: rows whose columns have common types.
func (a *analyzer) values(sel *pg.SelectStmt, outer *scope, want []row.Type) (*outputs, error) {
	s := newScope(outer)
	var columns [][]expr.Expr
	var locs [][]int32
	for i, list := range sel.ValuesLists {
		items := list.GetList().GetItems()
		if i == 0 {
			columns, locs = make([][]expr.Expr, len(items)), make([][]int32, len(items))
		}
		if len(items) != len(columns) {
			return nil, errs.SQL("42601", "VALUES lists must all be the same length").At(a.pos(location(items[0])))
		}
		for j, n := range items {
			e, err := a.expression(s, n, inValues)
			if err != nil {
				return nil, err
			}
			columns[j], locs[j] = append(columns[j], e), append(locs[j], location(n))
		}
	}
	v := &Values{Rows: make([][]expr.Expr, len(sel.ValuesLists))}
	for j, es := range columns {
		es, t, err := a.valuesColumn(es, locs[j], j, want)
		if err != nil {
			return nil, err
		}
		v.Cols = append(v.Cols, Column{Name: "column" + itoa(j+1), Type: t})
		for i, e := range es {
			v.Rows[i] = append(v.Rows[i], e)
		}
	}
	it := &item{alias: "*VALUES*"}
	src, err := a.item(v, it, nil, s.level)
	if err != nil {
		return nil, err
	}
	q := &selection{a: a, sel: sel, s: s, node: v}
	s.items = src.items
	for i, c := range v.Cols {
		q.targets = append(q.targets, target{expr: it.columns[i].expr, col: c, loc: locs[i][0]})
	}
	return q.clauses()
}

// valuesColumn gives a column of VALUES its type.
func (a *analyzer) valuesColumn(es []expr.Expr, locs []int32, j int, want []row.Type) ([]expr.Expr, row.Type, error) {
	open := j < len(want)
	for _, e := range es {
		open = open && untyped(e)
	}
	if !open {
		return a.common(es, locs, "VALUES")
	}
	for i, e := range es {
		e, err := a.coerce(e, want[j], expr.Assignment, locs[i], "")
		if err != nil {
			return nil, row.Type{}, err
		}
		es[i] = e
	}
	return es, want[j], nil
}
