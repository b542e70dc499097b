package plan

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

// aggregate makes the resolved call an aggregate of its query level.
func (c *calling) aggregate() (expr.Expr, error) {
	if err := c.a.aggregateAllowed(c.in, "aggregate functions", c.fc.Location); err != nil {
		return nil, err
	}
	if c.f.OrderedSet() {
		return nil, c.errorf("42809", "WITHIN GROUP is required for ordered-set aggregate %s", c.name)
	}
	call := &AggregateCall{Func: c.f, Args: c.args, Distinct: c.fc.AggDistinct, Star: c.fc.AggStar, Typ: c.result}
	if !call.Star && len(call.Args) == 0 {
		return nil, c.errorf("42809", "%s(*) must be used to call a parameterless aggregate function", c.name)
	}
	var err error
	if call.OrderBy, err = c.order(); err != nil {
		return nil, err
	}
	return c.finish(call)
}

// withinGroup is an ordered-set aggregate: its direct arguments, then what it is ordered by.
func (c *calling) withinGroup() (expr.Expr, error) {
	order, err := c.order()
	if err != nil {
		return nil, err
	}
	direct := len(c.args)
	for i, k := range order {
		c.args = append(c.args, k.Expr)
		c.locs = append(c.locs, location(c.fc.AggOrder[i].GetSortBy().GetNode()))
	}
	switch c.name {
	case "rank", "dense_rank", "percent_rank", "cume_dist":
		return nil, c.errorf("0A000", "hypothetical-set aggregate %s is not supported", c.name)
	}
	if err := c.resolve(); err != nil {
		return nil, err
	}
	switch {
	case c.f == nil || c.f.Kind != expr.AggregateFunc:
		return nil, c.errorf("42809", "WITHIN GROUP specified, but %s is not an aggregate function", c.name)
	case !c.f.OrderedSet():
		return nil, c.errorf("42809", "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", c.name)
	case c.fc.Over != nil:
		return nil, c.errorf("0A000", "OVER is not supported for ordered-set aggregate %s", c.name)
	}
	if err := c.a.aggregateAllowed(c.in, "aggregate functions", c.fc.Location); err != nil {
		return nil, err
	}
	for i := range order {
		order[i].Expr = c.args[direct+i]
	}
	return c.finish(&AggregateCall{Func: c.f, Direct: c.args[:direct:direct], Args: c.args[direct:], OrderBy: order, Typ: c.result})
}

// order checks ORDER BY inside the call's brackets.
func (c *calling) order() ([]SortKey, error) {
	var keys []SortKey
	for _, n := range c.fc.AggOrder {
		by := n.GetSortBy()
		e, err := c.a.expression(c.s, by.GetNode(), c.in)
		if err != nil {
			return nil, err
		}
		k, err := c.a.sortKey(by, e)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (c *calling) finish(call *AggregateCall) (expr.Expr, error) {
	if err := c.notNested(call); err != nil {
		return nil, err
	}
	if call.Distinct {
		if err := c.checkDistinct(call); err != nil {
			return nil, err
		}
	}
	var err error
	if call.Filter, err = c.filter(); err != nil {
		return nil, err
	}
	return &aggregateRef{call: call, pos: c.a.pos(c.fc.Location)}, nil
}

func (c *calling) filter() (expr.Expr, error) {
	if c.fc.AggFilter == nil {
		return nil, nil
	}
	return c.a.condition(c.s, c.fc.AggFilter, inFilter, "argument of FILTER")
}

// checkDistinct: the arguments must have "=", and ORDER BY may only name them.
func (c *calling) checkDistinct(call *AggregateCall) error {
	for i, e := range call.Args {
		if _, _, err := expr.Equality(e.Type(), e.Type()); err != nil {
			return c.a.at(c.locs[i], errs.SQL("42883", "could not identify an equality operator for type %s", baseName(e.Type())))
		}
	}
	for i, k := range call.OrderBy {
		if !containsExpr(call.Args, k.Expr) {
			return c.a.at(location(c.fc.AggOrder[i].GetSortBy().GetNode()),
				errs.SQL("42P10", "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list"))
		}
	}
	return nil
}

func containsExpr(list []expr.Expr, e expr.Expr) bool {
	for _, x := range list {
		if expr.Equal(x, e) {
			return true
		}
		if cast, ok := x.(*expr.Cast); ok && cast.Context == expr.Implicit && expr.Equal(cast.Arg, e) {
			return true
		}
	}
	return false
}

// notNested refuses aggregates, windows and sets in an aggregate's arguments, and arguments that are all of an outer
// query: PostgreSQL would take the aggregate as one of that query.
func (c *calling) notNested(call *AggregateCall) error {
	list := append(append(append([]expr.Expr{}, call.Direct...), call.Args...), sortExprs(call.OrderBy)...)
	own, outer := false, false
	for _, root := range list {
		var err error
		expr.Walk(root, func(e expr.Expr) bool {
			switch x := e.(type) {
			case *aggregateRef:
				err = errs.SQL("42803", "aggregate function calls cannot be nested").At(x.pos)
			case *groupingRef:
				err = errs.SQL("42803", "aggregate function calls cannot be nested").At(x.pos)
			case *windowRef:
				err = errs.SQL("42803", "aggregate function calls cannot contain window function calls").At(x.pos)
			case *expr.Call:
				if x.Func.Kind == expr.SetFunc {
					err = errs.SQL("0A000", "aggregate function calls cannot contain set-returning function calls").At(x.Pos).
						WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
				}
			case *expr.Column:
				own, outer = own || x.Depth == 0, outer || x.Depth > 0
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	if outer && !own {
		return c.errorf("0A000", "an aggregate over columns of an outer query is not supported")
	}
	return nil
}

func sortExprs(keys []SortKey) []expr.Expr {
	out := make([]expr.Expr, len(keys))
	for i, k := range keys {
		out[i] = k.Expr
	}
	return out
}

// window makes the resolved call a window function over its window.
func (c *calling) window() (expr.Expr, error) {
	fc := c.fc
	switch {
	case c.f.Kind == expr.WindowFunc && fc.Over == nil:
		return nil, c.errorf("42809", "window function %s requires an OVER clause", c.name)
	case c.f.Kind != expr.WindowFunc && c.f.Kind != expr.AggregateFunc:
		return nil, c.errorf("42809", "OVER specified, but %s is not a window function nor an aggregate function", c.name)
	case fc.AggDistinct:
		return nil, c.errorf("0A000", "DISTINCT is not implemented for window functions")
	case len(fc.AggOrder) > 0:
		return nil, c.errorf("0A000", "aggregate ORDER BY is not implemented for window functions")
	case c.f.Kind == expr.WindowFunc && fc.AggFilter != nil:
		return nil, c.errorf("0A000", "FILTER is not implemented for non-aggregate window functions")
	case c.f.OrderedSet():
		return nil, c.errorf("42809", "WITHIN GROUP is required for ordered-set aggregate %s", c.name)
	case c.f.Kind == expr.AggregateFunc && !fc.AggStar && len(c.args) == 0:
		return nil, c.errorf("42809", "%s(*) must be used to call a parameterless aggregate function", c.name)
	}
	if err := c.a.windowAllowed(c.in, fc.Location); err != nil {
		return nil, err
	}
	call := &WindowCall{Func: c.f, Args: c.args, Star: fc.AggStar, Typ: c.result}
	for _, root := range c.args {
		if err := c.noWindowIn(root); err != nil {
			return nil, err
		}
	}
	var err error
	if call.Filter, err = c.filter(); err != nil {
		return nil, err
	}
	if call.PartitionBy, call.OrderBy, call.Frame, err = c.a.window(c.s, fc.Over); err != nil {
		return nil, err
	}
	return &windowRef{call: call, pos: c.a.pos(fc.Location)}, nil
}

func (c *calling) noWindowIn(root expr.Expr) error {
	var err error
	expr.Walk(root, func(e expr.Expr) bool {
		switch x := e.(type) {
		case *windowRef:
			err = errs.SQL("42P20", "window function calls cannot be nested").At(x.pos)
		case *expr.Call:
			if x.Func.Kind == expr.SetFunc {
				err = errs.SQL("0A000", "window function calls cannot contain set-returning function calls").At(x.Pos).
					WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
			}
		}
		return err == nil
	})
	return err
}
