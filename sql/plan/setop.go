package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

var setKinds = map[pg.SetOperation]struct {
	kind SetKind
	name string
}{
	pg.SetOperation_SETOP_UNION:     {Union, "UNION"},
	pg.SetOperation_SETOP_INTERSECT: {Intersect, "INTERSECT"},
	pg.SetOperation_SETOP_EXCEPT:    {Except, "EXCEPT"},
}

// setQuery checks a set operation with its ORDER BY and LIMIT.
func (a *analyzer) setQuery(sel *pg.SelectStmt, s *scope) (*outputs, error) {
	o, err := a.setOperation(sel, s)
	if err != nil {
		return nil, err
	}
	q := &selection{a: a, sel: sel, s: newScope(s)}
	it := &item{alias: "*SELECT* 1", columns: namedColumns(o.cols)}
	q.s.items = []*item{it}
	for i, leaf := range o.leaves {
		q.s.level.items = append(q.s.level.items, &item{alias: "*SELECT* " + itoa(i+1), columns: namedColumns(leaf)})
	}
	for i, c := range o.cols {
		q.targets = append(q.targets, target{expr: it.columns[i].expr, col: c, loc: o.location(i)})
	}
	width := len(q.targets)
	if err := q.orderBy(); err != nil {
		return nil, err
	}
	if len(q.targets) > width {
		return nil, errs.SQL("0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause").
			WithDetail("Only result column names can be used, not expressions or functions.").
			WithHint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.").At(a.pos(q.targets[width].loc))
	}
	if q.count, q.offset, err = a.limits(q.s, sel); err != nil {
		return nil, err
	}
	if len(sel.LockingClause) > 0 {
		return nil, errs.SQL("0A000", "%s is not allowed with UNION/INTERSECT/EXCEPT", lockName(sel.LockingClause[0].GetLockingClause()))
	}
	combine := o.build
	o.build = func(exprs []expr.Expr) (Node, error) {
		n, err := combine(exprs)
		if err != nil {
			return nil, err
		}
		n = q.sorted(n)
		if q.count == nil && q.offset == nil {
			return n, nil
		}
		l := &Limit{Input: n, Count: q.count, Offset: q.offset}
		if sel.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES {
			l.WithTies, l.Keys = true, q.keys(n)
		}
		return l, nil
	}
	return o, nil
}

// setSide checks one side: a set operation without clauses of its own is part of the same tree.
func (a *analyzer) setSide(sel *pg.SelectStmt, s *scope) (*outputs, error) {
	if sel.Larg != nil && len(sel.SortClause) == 0 && sel.LimitCount == nil && sel.LimitOffset == nil && len(sel.LockingClause) == 0 &&
		sel.WithClause == nil {
		return a.setOperation(sel, s)
	}
	o, err := a.outputs(sel, a.inside(s), nil)
	if err == nil {
		o.leaves = [][]Column{o.cols}
	}
	return o, err
}

// setOperation checks both sides and gives their columns common types.
func (a *analyzer) setOperation(sel *pg.SelectStmt, s *scope) (*outputs, error) {
	op := setKinds[sel.Op]
	left, err := a.setSide(sel.Larg, s)
	if err != nil {
		return nil, err
	}
	right, err := a.setSide(sel.Rarg, s)
	if err != nil {
		return nil, err
	}
	if len(left.exprs) != len(right.exprs) {
		return nil, errs.SQL("42601", "each %s query must have the same number of columns", op.name).At(a.pos(right.location(0)))
	}
	o := &outputs{a: a, locs: left.locs, leaves: append(left.leaves, right.leaves...)}
	for i := range left.exprs {
		es, t, err := a.common([]expr.Expr{left.exprs[i], right.exprs[i]}, []int32{left.location(i), right.location(i)}, op.name)
		if err != nil {
			return nil, err
		}
		if op.kind != Union || !sel.All {
			if err := hasEquality(t); err != nil {
				return nil, a.at(left.location(i), err)
			}
		}
		left.take(i, es[0])
		right.take(i, es[1])
		c := Column{Name: left.cols[i].Name, Type: t}
		o.cols = append(o.cols, c)
		o.exprs = append(o.exprs, &expr.Column{Index: i, Typ: t, Name: c.Name})
	}
	o.build = func([]expr.Expr) (Node, error) {
		n := &SetOperation{Output: Output{slices.Clone(o.cols)}, Kind: op.kind, All: sel.All}
		var err error
		if n.Left, err = left.finish(); err != nil {
			return nil, err
		}
		n.Right, err = right.finish()
		return n, err
	}
	return o, nil
}
