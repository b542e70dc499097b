package plan

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// existence turns conditions EXISTS, NOT EXISTS and IN (subquery) of a filter into joins that keep each left row at most
// once.
func existence(n Node) Node {
	f, ok := n.(*Filter)
	if !ok || pointRead(f) {
		return n
	}
	var rest []expr.Expr
	var joins []*Join
	for _, c := range conjuncts(f.Cond) {
		if j := existenceJoin(c, f); j != nil {
			joins = append(joins, j)
		} else {
			rest = append(rest, c)
		}
	}
	if len(joins) == 0 {
		return n
	}
	out := filtered(f.Input, rest)
	for _, j := range joins {
		j.Left, j.Cols = out, out.Columns()
		out = j
	}
	return out
}

// pointRead reports whether a filter finds at most one row of a table by its primary key: a subquery that runs once is
// cheaper than a join.
func pointRead(f *Filter) bool { return reach(f) == byKey }

// reached says how a scan's rows are found, the best way last.
type reached uint8

const (
	byScan reached = iota
	byPrefix
	byIndex
	byKey
)

// reach tells how the rows of a filtered scan are found.
func reach(n Node) reached {
	f, ok := n.(*Filter)
	if !ok {
		return byScan
	}
	s, ok := f.Input.(*Scan)
	if !ok || s.Relation.Kind != catalog.Table && s.Relation.Kind != catalog.MaterializedView || len(s.Relation.Key) == 0 {
		return byScan
	}
	fixed := map[int]bool{}
	for _, c := range conjuncts(f.Cond) {
		call, ok := c.(*expr.Call)
		if !ok || call.Func.Name != "=" || len(call.Args) != 2 {
			continue
		}
		for side := range 2 {
			if col, ok := call.Args[side].(*expr.Column); ok && col.Depth == 0 && fixedValue(call.Args[1-side]) {
				fixed[col.Index] = true
			}
		}
	}
	all := func(columns []int) bool {
		return !slices.ContainsFunc(columns, func(k int) bool { return !fixed[k] })
	}
	best := byScan
	if all(s.Relation.Key) {
		return byKey
	}
	if fixed[s.Relation.Key[0]] {
		best = byPrefix
	}
	for _, x := range s.Relation.Indexes {
		switch {
		case all(x.Columns):
			best = byIndex
		case fixed[x.Columns[0]]:
			best = max(best, byPrefix)
		}
	}
	return best
}

// existenceJoin makes the join of a condition of a filter; nil when the condition has another form.
func existenceJoin(c expr.Expr, f *Filter) *Join {
	width := len(f.Input.Columns())
	kind := Semi
	if not, ok := c.(*expr.Not); ok {
		kind, c = Anti, not.Arg
	}
	s, ok := c.(*expr.Subquery)
	if !ok || volatile(s) || locks(s.Plan.(Node)) {
		return nil
	}
	switch s.Kind {
	case expr.Exists:
		return existsJoin(s.Plan.(Node), kind, width)
	case expr.AnyOf:
		if kind == Semi || nullSafe(s, f) {
			return inJoin(s, kind, width)
		}
	}
	return nil
}

func existsJoin(n Node, kind JoinKind, width int) *Join {
	for { // what does not change whether there is a row
		switch x := n.(type) {
		case *Project:
			n = x.Input
			continue
		case *Sort:
			n = x.Input
			continue
		case *Distinct:
			n = x.Input
			continue
		case *Limit:
			if count, ok := x.Count.(*expr.Const); ok && x.Offset == nil && !count.Value.IsNull() && count.Value.Int() > 0 {
				n = x.Input
				continue
			}
		}
		break
	}
	right, conds, ok := detach(n)
	if !ok || len(conds) == 0 {
		return nil
	}
	return &Join{Kind: kind, Right: right, Cond: conjunction(inJoinRow(conds, width))}
}

// nullSafe reports whether NOT IN is never NULL: neither its left side nor the subquery has NULLs.
func nullSafe(s *expr.Subquery, f *Filter) bool {
	for i, l := range s.Left {
		if !exprNotNull(l, f) || !notNull(s.Plan.(Node), i) {
			return false
		}
	}
	return true
}

func inJoin(s *expr.Subquery, kind JoinKind, width int) *Join {
	if slices.ContainsFunc(s.Ops, func(f *expr.Func) bool { return f.Name != "=" }) {
		return nil
	}
	n := s.Plan.(Node)
	values := identity(n)
	var right Node
	var conds []expr.Expr
	if !reaches(n, 1) {
		right = dropLevel(n)
	} else {
		for {
			p, ok := n.(*Project)
			if !ok || slices.ContainsFunc(p.Exprs, hasSubquery) {
				break
			}
			values, n = replaced(values, p.Exprs), p.Input
		}
		var ok bool
		if right, conds, ok = detach(n); !ok {
			return nil
		}
	}
	conds = inJoinRow(conds, width)
	for i, v := range inJoinRow(values, width) {
		conds = append(conds, &expr.Call{Func: s.Ops[i], Args: []expr.Expr{s.Left[i], v}, Typ: boolean})
	}
	return &Join{Kind: kind, Right: right, Cond: conjunction(conds)}
}

// detach takes the conditions that depend on the surrounding row out of a subquery; the rest must not depend on it.
func detach(n Node) (rest Node, conds []expr.Expr, ok bool) {
	rest, conds = lifted(n)
	if reaches(rest, 1) {
		return nil, nil, false
	}
	return dropLevel(rest), conds, true
}

// lifted takes such conditions out of filters, also of those below joins and projections where they can be computed above.
func lifted(n Node) (rest Node, conds []expr.Expr) {
	switch n := n.(type) {
	case *Filter:
		rest, conds = lifted(n.Input)
		outside, own := split(conjuncts(n.Cond), exprReaches)
		return filtered(rest, own), append(conds, outside...)
	case *Join:
		if !n.Lateral && n.Kind != Right && n.Kind != Full {
			return liftedJoin(n)
		}
	case *Project:
		if in, conds := lifted(n.Input); len(conds) > 0 {
			if up, ok := aboveProject(conds, n.Exprs); ok {
				p := *n
				p.Input = in
				return &p, up
			}
		}
	}
	return n, nil
}

func liftedJoin(n *Join) (Node, []expr.Expr) {
	j := *n
	left, conds := lifted(n.Left)
	j.Left = left
	if n.Kind != Inner {
		return &j, conds
	}
	right, more := lifted(n.Right)
	j.Right = right
	width := len(left.Columns())
	for _, c := range more {
		conds = append(conds, shift(c, width))
	}
	outside, own := split(joinConds(n), exprReaches)
	j.LeftKeys, j.RightKeys, j.Eq, j.Cond = nil, nil, nil, nil
	j.keys(own)
	return &j, append(conds, outside...)
}

// aboveProject gives conditions over a projection's input as ones over its columns.
func aboveProject(conds, exprs []expr.Expr) (up []expr.Expr, ok bool) {
	ok = true
	for _, c := range conds {
		up = append(up, substitute(c, func(c *expr.Column) expr.Expr {
			at := slices.IndexFunc(exprs, func(e expr.Expr) bool {
				x, plain := e.(*expr.Column)
				return plain && x.Depth == 0 && x.Index == c.Index
			})
			if at < 0 {
				ok = false
				return c
			}
			c.Index = at
			return c
		}))
	}
	return up, ok
}

// exprReaches reports whether an expression reads the row around its own query.
func exprReaches(e expr.Expr) bool {
	found := false
	walkExprAll(e, 0, func(e expr.Expr, depth int) {
		c, ok := e.(*expr.Column)
		found = found || ok && c.Depth == depth+1
	})
	return found
}

// inJoinRow gives expressions of a subquery, over its row and the one around it, as ones over the joined row of the two:
// the surrounding row has width columns.
func inJoinRow(list []expr.Expr, width int) []expr.Expr {
	out := make([]expr.Expr, len(list))
	for i, e := range list {
		out[i] = deep(e, func(e expr.Expr, depth int) expr.Expr {
			c, ok := e.(*expr.Column)
			if !ok || c.Depth < depth {
				return e
			}
			r := *c
			if c.Depth == depth {
				r.Index += width
			} else {
				r.Depth--
			}
			return &r
		})
	}
	return out
}

// notNull reports whether a column of a plan is never NULL.
func notNull(n Node, i int) bool {
	switch n := n.(type) {
	case *Scan:
		return n.Relation.Columns[i].NotNull
	case *Filter:
		return notNull(n.Input, i) || slices.ContainsFunc(conjuncts(n.Cond), func(c expr.Expr) bool {
			return rejectsNull(c, func(column int) bool { return column == i })
		})
	case *Project:
		return exprNotNull(n.Exprs[i], n.Input)
	case *Sort:
		return notNull(n.Input, i)
	case *Limit:
		return notNull(n.Input, i)
	case *Distinct:
		return notNull(n.Input, i)
	case *Aggregate:
		return n.Sets == nil && i < len(n.Groups) && exprNotNull(n.Groups[i], n.Input)
	case *Join:
		width := len(n.Left.Columns())
		if i < width {
			return n.Kind != Right && n.Kind != Full && notNull(n.Left, i)
		}
		return (n.Kind == Inner || n.Kind == Right) && !n.Lateral && notNull(n.Right, i-width)
	}
	return false
}

// exprNotNull reports whether an expression over a plan's columns is never NULL.
func exprNotNull(e expr.Expr, n Node) bool {
	switch e := e.(type) {
	case *expr.Column:
		return e.Depth == 0 && notNull(n, e.Index)
	case *expr.Const:
		return !e.Value.IsNull()
	}
	return false
}
