package plan

import (
	"slices"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// Decorrelate turns what is left of subqueries and lateral joins in an optimized plan into joins, where that gives the same
// rows: a circuit can follow those, and an executor that runs such a query for each row would rather look it up by key. The
// plan given is not changed.
func Decorrelate(n Node) Node {
	out := Rewrite(n, func(n Node) Node {
		switch n := n.(type) {
		case *Project, *Aggregate:
			return withoutScalars(n, joinValue)
		case *Filter:
			return filterWithoutScalars(n, joinValue)
		case *Join:
			if n.Lateral {
				return withoutLateral(n)
			}
			return joinWithoutScalars(n, joinValue)
		}
		return n
	})
	return finish(out, n.Columns())
}

// joinScans is Decorrelate for the scalar subqueries that would scan a whole table for each row.
func joinScans(n Node) Node {
	switch n := n.(type) {
	case *Project, *Aggregate:
		return withoutScalars(n, joinScan)
	case *Filter:
		return filterWithoutScalars(n, joinScan)
	case *Join:
		return joinWithoutScalars(n, joinScan)
	}
	return n
}

// joinScan is joinValue for aggregates over rows that are not found by key, unless the left side is one row.
func joinScan(left Node, s *expr.Subquery) (expr.Expr, Node, bool) {
	if !s.Correlated || s.Kind != expr.Scalar || reach(left) == byKey || byKeys(s.Plan.(Node)) {
		return nil, nil, false
	}
	return joinValue(left, s)
}

// byKeys reports whether a table in a plan is found by key with values of the surrounding row.
func byKeys(n Node) bool {
	found := false
	Walk(n, func(n Node) bool {
		found = found || reach(n) > byScan
		return !found
	})
	return found
}

// joiner joins a subquery to a left side, and gives its value over the joined row.
type joiner func(left Node, s *expr.Subquery) (expr.Expr, Node, bool)

// joinWithoutScalars computes the conditions of an inner join that have subqueries above it.
func joinWithoutScalars(j *Join, join joiner) Node {
	if j.Kind != Inner || j.Lateral {
		return j
	}
	above, own := split(conjuncts(j.Cond), hasSubquery)
	if len(above) == 0 {
		return j
	}
	c := *j
	c.Cond = conjunction(own)
	f := &Filter{&c, conjunction(above)}
	if out := filterWithoutScalars(f, join); out != Node(f) {
		return out
	}
	return j
}

// withoutScalars joins the scalar subqueries in an operator's expressions to its input.
func withoutScalars(n Node, join joiner) Node {
	in := n.Inputs()[0]
	joined := in
	out := MapExprs(n, func(e expr.Expr) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			s, ok := e.(*expr.Subquery)
			if !ok || volatile(s) || locks(s.Plan.(Node)) {
				return e
			}
			value, node, ok := join(joined, s)
			if !ok {
				return e
			}
			joined = node
			return value
		})
	})
	if joined == in {
		return n
	}
	return WithInputs(out, []Node{joined})
}

// joinValue joins a subquery to a left side, and gives its value over the joined row.
func joinValue(left Node, s *expr.Subquery) (expr.Expr, Node, bool) {
	n := s.Plan.(Node)
	switch {
	case s.Kind == expr.Exists:
		return joinCount(left, n)
	case s.Kind != expr.Scalar || s.Typ.OID == row.Record:
		return nil, nil, false
	}
	j, ok := joinSingle(left, n)
	if !ok {
		if j, ok = joinKeyed(left, n); !ok {
			return nil, nil, false
		}
	}
	value := j.exprs[0]
	if len(j.conds) > 0 {
		value = &expr.Case{Whens: []expr.When{{Cond: conjunction(j.conds), Then: value}}, Typ: value.Type()}
	}
	return value, j.node, true
}

// joinCount makes EXISTS of a count that is not 0.
func joinCount(left Node, n Node) (expr.Expr, Node, bool) {
	count := expr.Lookup("count")
	for {
		if p, ok := n.(*Project); ok {
			n = p.Input
			continue
		}
		break
	}
	big := row.T(row.Int8)
	agg := &Aggregate{Input: n, Calls: []AggregateCall{{Func: count, Star: true, Typ: big}}, Output: Output{[]Column{{Name: "count", Type: big}}}}
	j, ok := joinSingle(left, agg)
	if !ok {
		return nil, nil, false
	}
	zero := &expr.Const{Value: row.NewInt(0), Typ: big}
	return &expr.Call{Func: expr.Lookup(">", row.Int8, row.Int8), Args: []expr.Expr{j.exprs[0], zero}, Typ: boolean}, j.node, true
}

// joinKeyed joins a query that finds one row of a table, or none, by its primary key.
func joinKeyed(left Node, n Node) (*single, bool) {
	exprs := identity(n)
	for {
		p, ok := n.(*Project)
		if !ok || slices.ContainsFunc(p.Exprs, hasSubquery) {
			break
		}
		exprs, n = replaced(exprs, p.Exprs), p.Input
	}
	if reach(n) != byKey {
		return nil, false
	}
	right, conds, ok := detach(n)
	if !ok {
		return nil, false
	}
	width := len(left.Columns())
	j := &Join{Kind: Left, Left: left, Right: right}
	j.Cols = append(append(j.Cols, left.Columns()...), right.Columns()...)
	j.keys(inJoinRow(conds, width))
	scan := n.(*Filter).Input.(*Scan)
	key := scan.Relation.Key[0]
	found := &expr.IsNull{Arg: shift(columnAt(scan, key), width), Negated: true}
	return &single{node: j, exprs: inJoinRow(exprs, width), conds: []expr.Expr{found}}, true
}

func filterWithoutScalars(f *Filter, join joiner) Node {
	out := withoutScalars(f, join)
	if out == Node(f) {
		return f
	}
	return &Project{Output: Output{f.Columns()}, Input: out, Exprs: identity(out)[:len(f.Columns())]}
}

// single is a left side joined with a query that gives one row for each of its rows, or none where the query has conds.
type single struct {
	node  Node
	exprs []expr.Expr // the query's outputs over node's columns
	conds []expr.Expr // over node's columns; without them the row is there
}

// joinSingle joins a query of one row, an aggregate without groups, to a left side whose row it may refer to.
func joinSingle(left Node, n Node) (*single, bool) {
	exprs := identity(n)
	var conds []expr.Expr
	for {
		switch x := n.(type) {
		case *Project:
			if slices.ContainsFunc(append(slices.Clone(x.Exprs), conds...), hasSubquery) {
				return nil, false
			}
			exprs, conds, n = replaced(exprs, x.Exprs), replaced(conds, x.Exprs), x.Input
			continue
		case *Filter:
			conds, n = append(conjuncts(x.Cond), conds...), x.Input
			continue
		}
		break
	}
	agg, ok := n.(*Aggregate)
	if !ok || len(agg.Groups) > 0 || agg.Sets != nil || slices.ContainsFunc(conds, hasSubquery) {
		return nil, false
	}
	width := len(left.Columns())
	j, ok := groupedJoin(left, agg)
	if !ok {
		return nil, false
	}
	out := &single{node: j}
	base := width + len(j.Right.Columns()) - len(agg.Calls)
	over := func(e expr.Expr) expr.Expr { return aggregated(e, agg, base) }
	for _, e := range exprs {
		out.exprs = append(out.exprs, over(e))
	}
	for _, c := range conds {
		out.conds = append(out.conds, over(c))
	}
	return out, true
}

// aggregated gives an expression over an aggregate's columns, and the surrounding row, as one over the joined row, in which
// the calls begin at base. Where nothing was joined, a count is 0 and everything else NULL, as over no rows.
func aggregated(e expr.Expr, agg *Aggregate, base int) expr.Expr {
	return deep(e, func(e expr.Expr, depth int) expr.Expr {
		c, ok := e.(*expr.Column)
		if !ok || c.Depth < depth {
			return e
		}
		r := *c
		if c.Depth > depth {
			r.Depth--
			return &r
		}
		r.Index = base + c.Index
		if agg.Calls[c.Index].Func.Name == "count" || agg.Calls[c.Index].Func.Name == "regr_count" {
			return &expr.Coalesce{Args: []expr.Expr{&r, &expr.Const{Value: row.NewInt(0), Typ: c.Typ}}, Typ: c.Typ}
		}
		return &r
	})
}

// groupedJoin joins an aggregate to a left side by the equalities with which its input depends on the left row: they become
// its groups.
func groupedJoin(left Node, agg *Aggregate) (*Join, bool) {
	rest, conds, ok := detach(agg.Input)
	if !ok || slices.ContainsFunc(Exprs(agg), func(e expr.Expr) bool { return e != nil && exprReaches(e) }) {
		return nil, false
	}
	width := len(left.Columns())
	right := dropLevel(&Aggregate{Input: &Values{}, Calls: agg.Calls, Output: agg.Output}).(*Aggregate)
	right.Input, right.Cols = rest, nil
	j := &Join{Kind: Left, Left: left}
	for _, c := range conds {
		call, ok := c.(*expr.Call)
		if !ok || !symmetric(call.Func) {
			return nil, false
		}
		inner, outside := call.Args[0], call.Args[1]
		if exprReaches(inner) {
			inner, outside = outside, inner
		}
		if exprReaches(inner) || !outsideOnly(outside) || hasSubquery(inner) || hasSubquery(outside) {
			return nil, false
		}
		inner = lowered(inner)
		at := len(right.Groups)
		right.Groups = append(right.Groups, inner)
		right.Cols = append(right.Cols, Column{Name: "key", Type: inner.Type()})
		j.LeftKeys = append(j.LeftKeys, inJoinRow([]expr.Expr{outside}, width)[0])
		j.RightKeys = append(j.RightKeys, &expr.Column{Index: at, Typ: inner.Type(), Name: FormatExpr(inner)})
		j.Eq = append(j.Eq, call.Func)
	}
	right.Cols = append(right.Cols, agg.Cols...)
	j.Right = right
	j.Cols = append(append(j.Cols, left.Columns()...), right.Cols...)
	return j, true
}

// outsideOnly reports whether an expression reads the surrounding row and not its own.
func outsideOnly(e expr.Expr) bool {
	own := false
	columnsOf(e, func(*expr.Column) { own = true })
	return !own && exprReaches(e)
}

// lowered gives an expression of a subquery as it reads one query level further out.
func lowered(e expr.Expr) expr.Expr {
	return deep(e, func(e expr.Expr, depth int) expr.Expr {
		if c, ok := e.(*expr.Column); ok && c.Depth > depth {
			r := *c
			r.Depth--
			return &r
		}
		return e
	})
}

// withoutLateral makes a lateral join a plain one: the right side depends on the left row by its conditions only, or is an
// aggregate over such rows.
func withoutLateral(j *Join) Node {
	if !j.Lateral || j.Kind != Inner && j.Kind != Left || volatilePlan(j.Right) || locks(j.Right) {
		return j
	}
	if n, ok := lateralConditions(j); ok {
		return n
	}
	s, ok := joinSingle(j.Left, j.Right)
	if !ok || j.Kind == Left && (len(s.conds) > 0 || j.Cond != nil) {
		return j
	}
	exprs := append(identity(j.Left), s.exprs...)
	conds := append(s.conds, replaced(conjuncts(j.Cond), exprs)...)
	return &Project{Output: Output{j.Cols}, Input: filtered(s.node, conds), Exprs: exprs}
}

// lateralConditions moves the conditions by which the right side depends on the left row into the join.
func lateralConditions(j *Join) (Node, bool) {
	n := j.Right
	exprs := identity(n)
	for {
		p, ok := n.(*Project)
		if !ok || slices.ContainsFunc(p.Exprs, hasSubquery) {
			break
		}
		exprs, n = replaced(exprs, p.Exprs), p.Input
	}
	if j.Kind == Left && !plainColumns(exprs) { // a row without a partner has NULLs there
		return nil, false
	}
	right, conds, ok := detach(n)
	if !ok {
		return nil, false
	}
	width := len(j.Left.Columns())
	out := &Join{Kind: j.Kind, Left: j.Left, Right: right}
	out.Cols = append(append(out.Cols, j.Left.Columns()...), right.Columns()...)
	p := &Project{Output: Output{j.Cols}, Input: out, Exprs: append(identity(j.Left), inJoinRow(exprs, width)...)}
	out.keys(append(inJoinRow(conds, width), replaced(conjuncts(j.Cond), p.Exprs)...))
	return p, true
}
