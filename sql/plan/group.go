package plan

import (
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// grouping turns expressions over a query's input into expressions over its Aggregate: group expressions, aggregates and
// GROUPING() become columns.
type grouping struct {
	a *analyzer
	s *scope
	// groups are the group expressions; behind the first own ones stand columns that depend on them.
	groups []expr.Expr
	own    int
	sets   [][]int // nil: one set of all
	calls  []AggregateCall
	err    error
}

// groupBy checks GROUP BY.
func (q *selection) groupBy() error {
	g := &grouping{a: q.a, s: q.s}
	if len(q.sel.GroupClause) > 0 {
		sets, plain, err := q.groupSets(g)
		if err != nil {
			return err
		}
		if !plain {
			g.sets = sets
		}
		q.groups = g
	}
	if q.having != nil || q.aggregates() {
		q.groups = g
	}
	g.own = len(g.groups)
	return nil
}

// add gives the place of a group expression.
func (g *grouping) add(e expr.Expr) int {
	for i, have := range g.groups {
		if same(have, e) {
			return i
		}
	}
	g.groups = append(g.groups, e)
	return len(g.groups) - 1
}

// aggregates reports whether the query has an aggregate or GROUPING.
func (q *selection) aggregates() bool {
	for _, t := range q.targets {
		if hasAggregate(t.expr) {
			return true
		}
	}
	return false
}

func hasAggregate(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		switch e := e.(type) {
		case *aggregateRef, *groupingRef:
			found = true
		case *windowRef:
			mapWindow(e.call, func(x expr.Expr) expr.Expr {
				found = found || hasAggregate(x)
				return x
			})
		}
		return !found
	})
	return found
}

// checkGroups reports what is neither grouped nor aggregated, in PostgreSQL's order.
func (q *selection) checkGroups() error {
	if q.groups == nil {
		return nil
	}
	if err := q.checkRecursion(); err != nil {
		return err
	}
	for _, t := range q.targets {
		if _, err := q.groups.over(t.expr); err != nil {
			return err
		}
	}
	if q.having != nil {
		if _, err := q.groups.over(q.having); err != nil {
			return err
		}
	}
	return nil
}

// checkRecursion refuses aggregates over the working table of a recursive query.
func (q *selection) checkRecursion() (err error) {
	for _, it := range q.s.level.items {
		if it.binding == nil || !slices.Contains(q.a.working, it.binding) {
			continue
		}
		for _, t := range q.targets {
			expr.Walk(t.expr, func(e expr.Expr) bool {
				if ref, ok := e.(*aggregateRef); ok && err == nil {
					err = errs.SQL("42P19", "aggregate functions are not allowed in a recursive query's recursive term").At(ref.pos)
				}
				return err == nil
			})
		}
	}
	return err
}

// grouped adds the Aggregate and HAVING, and gives expressions over it.
func (q *selection) grouped(n Node, exprs []expr.Expr) (Node, []expr.Expr, error) {
	g := q.groups
	over := func() (having expr.Expr, out []expr.Expr, err error) {
		for _, e := range exprs {
			e, err := g.over(e)
			if err != nil {
				return nil, nil, err
			}
			out = append(out, e)
		}
		if q.having != nil {
			having, err = g.over(q.having)
		}
		return having, out, err
	}
	// The first pass finds the calls and the dependent columns; then their places are known.
	if _, _, err := over(); err != nil {
		return nil, nil, err
	}
	having, out, err := over()
	if err != nil {
		return nil, nil, err
	}
	groups := g.groups
	if hasSets(groups) {
		n, groups = liftSets(n, slices.Clone(groups))
	}
	agg := &Aggregate{Input: n, Groups: groups, Sets: g.sets, Calls: g.calls}
	for _, e := range groups {
		c := Column{Type: e.Type()}
		if x, ok := e.(*expr.Column); ok {
			c.Name = x.Name
			if x.Depth == 0 {
				in := n.Columns()[x.Index]
				c.Relation, c.Attribute = in.Relation, in.Attribute
			}
		}
		agg.Cols = append(agg.Cols, c)
	}
	for _, c := range g.calls {
		agg.Cols = append(agg.Cols, Column{Name: c.Func.Name, Type: c.Typ})
	}
	if g.sets != nil {
		agg.Cols = append(agg.Cols, Column{Name: "grouping", Type: row.T(row.Int4)})
	}
	n = agg
	if having != nil {
		n = &Filter{n, having}
	}
	return n, out, nil
}

// over gives e over the Aggregate.
func (g *grouping) over(e expr.Expr) (expr.Expr, error) {
	out := expr.RewriteDown(e, g.replace)
	err := g.err
	g.err = nil
	return out, err
}

func (g *grouping) replace(e expr.Expr) (expr.Expr, bool) {
	if g.err != nil {
		return e, true
	}
	if _, constant := e.(*expr.Const); !constant {
		for i, have := range g.groups {
			if same(have, e) {
				return g.column(i, 0), true
			}
		}
	}
	switch e := e.(type) {
	case *aggregateRef:
		return &expr.Column{Index: len(g.groups) + g.call(e.call), Typ: e.call.Typ, Name: e.call.Func.Name}, true
	case *groupingRef:
		return g.groupingOf(e), true
	case *windowRef:
		w := &windowRef{pos: e.pos}
		w.call = mapWindow(e.call, func(x expr.Expr) expr.Expr { return expr.RewriteDown(x, g.replace) })
		return w, true
	case *expr.Column:
		if e.Depth != 0 {
			return e, true
		}
		return g.dependent(e, 0, "column %q must appear in the GROUP BY clause or be used in an aggregate function"), true
	case *expr.Subquery:
		return g.subquery(e), true
	}
	return nil, false
}

func (g *grouping) column(i, depth int) expr.Expr {
	c := &expr.Column{Depth: depth, Index: i, Typ: g.groups[i].Type()}
	if x, ok := g.groups[i].(*expr.Column); ok {
		c.Name = x.Name
	}
	return c
}

// call gives the place of an aggregate among the calls; equal ones are computed once.
func (g *grouping) call(c *AggregateCall) int {
	for i := range g.calls {
		if sameCall(&g.calls[i], c) {
			return i
		}
	}
	g.calls = append(g.calls, *c)
	return len(g.calls) - 1
}

// subquery replaces the columns of this level in a subquery; only grouped columns can be used there.
func (g *grouping) subquery(e *expr.Subquery) expr.Expr {
	c := *e
	c.Left = slices.Clone(e.Left)
	for i := range c.Left {
		c.Left[i] = expr.RewriteDown(c.Left[i], g.replace)
	}
	c.Plan = RewriteExprs(e.Plan.(Node), func(e expr.Expr, depth int) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			x, ok := e.(*expr.Column)
			if !ok || x.Depth != depth+1 || g.err != nil {
				return e
			}
			own := *x
			own.Depth = 0
			for i, have := range g.groups {
				if same(have, &own) {
					return g.column(i, x.Depth)
				}
			}
			return g.dependent(x, x.Depth, "subquery uses ungrouped column %q from outer query")
		})
	})
	return &c
}

// dependent is a column that is no group expression: allowed when a table's whole primary key is grouped, since then it
// has one value in each group. It becomes one more group expression.
func (g *grouping) dependent(c *expr.Column, depth int, message string) expr.Expr {
	if g.keyGrouped(c.Index) {
		at := len(g.groups)
		own := *c
		own.Depth = 0
		g.groups = append(g.groups, &own)
		for i := range g.sets {
			g.sets[i] = append(slices.Clip(g.sets[i]), at)
		}
		return g.column(at, depth)
	}
	g.err = errs.SQL("42803", message, c.Name).At(g.a.pos(g.location(c)))
	return c
}

func (g *grouping) location(c *expr.Column) int32 {
	if loc, ok := g.a.locations[c]; ok {
		return loc
	}
	return -1
}

// keyGrouped reports whether the primary key of the table of input column i is among the group columns of every set.
func (g *grouping) keyGrouped(i int) bool {
	is := func(c *itemColumn, index int) bool {
		x, ok := c.expr.(*expr.Column)
		return ok && x.Index == index
	}
	for _, it := range g.s.tables {
		if !slices.ContainsFunc(it.columns, func(c itemColumn) bool { return is(&c, i) }) {
			continue
		}
		for _, k := range it.relation.Key {
			at := slices.IndexFunc(g.groups[:g.own], func(e expr.Expr) bool {
				x, ok := e.(*expr.Column)
				return ok && x.Depth == 0 && is(&it.columns[k], x.Index)
			})
			if at < 0 || slices.ContainsFunc(g.sets, func(s []int) bool { return !slices.Contains(s, at) }) {
				return false
			}
		}
		return len(it.relation.Key) > 0
	}
	return false
}

// same compares expressions, the ones that the analyzer adds too.
func same(a, b expr.Expr) bool {
	switch x := a.(type) {
	case *aggregateRef:
		y, ok := b.(*aggregateRef)
		return ok && sameCall(x.call, y.call)
	case *windowRef:
		y, ok := b.(*windowRef)
		return ok && sameWindow(x.call, y.call)
	case *groupingRef:
		y, ok := b.(*groupingRef)
		return ok && slices.EqualFunc(x.args, y.args, expr.Equal)
	}
	return expr.Equal(a, b)
}

func sameKeys(a, b []SortKey) bool {
	return slices.EqualFunc(a, b, func(x, y SortKey) bool {
		return x.Desc == y.Desc && x.NullsFirst == y.NullsFirst && same(x.Expr, y.Expr)
	})
}

func sameCall(a, b *AggregateCall) bool {
	return a == b || a.Func == b.Func && a.Distinct == b.Distinct && a.Star == b.Star && a.Typ == b.Typ && slices.EqualFunc(a.Args, b.Args, same) &&
		same(a.Filter, b.Filter) && sameKeys(a.OrderBy, b.OrderBy) && slices.EqualFunc(a.Direct, b.Direct, same)
}

func sameWindow(a, b *WindowCall) bool {
	return a == b || a.Func == b.Func && a.Star == b.Star && a.Typ == b.Typ && a.IgnoreNulls == b.IgnoreNulls && slices.EqualFunc(a.Args, b.Args, same) &&
		same(a.Filter, b.Filter) && slices.EqualFunc(a.PartitionBy, b.PartitionBy, same) && sameKeys(a.OrderBy, b.OrderBy) && sameFrame(a.Frame, b.Frame)
}

func sameFrame(a, b Frame) bool {
	return a.Mode == b.Mode && a.Exclude == b.Exclude && a.Start.Kind == b.Start.Kind && a.End.Kind == b.End.Kind &&
		same(a.Start.Offset, b.Start.Offset) && same(a.End.Offset, b.End.Offset)
}

// groupingOf is GROUPING(args): a bit for each argument, set when the row's grouping set lacks it.
func (g *grouping) groupingOf(e *groupingRef) expr.Expr {
	t := row.T(row.Int4)
	places := make([]int, len(e.args))
	for i, arg := range e.args {
		places[i] = slices.IndexFunc(g.groups[:g.own], func(have expr.Expr) bool { return same(have, arg) })
		if places[i] < 0 {
			g.err = errs.SQL("42803", "arguments to GROUPING must be grouping expressions of the associated query level").At(e.at[i])
			return e
		}
	}
	if g.sets == nil {
		return &expr.Const{Value: row.NewInt(0), Typ: t}
	}
	mask := expr.Expr(&expr.Column{Index: len(g.groups) + len(g.calls), Typ: t, Name: "grouping"})
	whole := len(places) == len(g.groups)
	for i, at := range places {
		whole = whole && i == at
	}
	if whole {
		return mask
	}
	number := func(n int) expr.Expr { return &expr.Const{Value: row.NewInt(int64(n)), Typ: t} }
	apply := func(op string, a, b expr.Expr) expr.Expr {
		return &expr.Call{Func: expr.Lookup(op, row.Int4, row.Int4), Args: []expr.Expr{a, b}, Typ: t}
	}
	var out expr.Expr
	for i, at := range places {
		bit := apply("&", apply(">>", mask, number(len(g.groups)-1-at)), number(1))
		if up := len(places) - 1 - i; up > 0 {
			bit = apply("<<", bit, number(up))
		}
		if out == nil {
			out = bit
		} else {
			out = apply("|", out, bit)
		}
	}
	return out
}
