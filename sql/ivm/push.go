package ivm

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ivm/vector"
	"github.com/miracledb/miracledb/sql/plan"
)

// pushed are functions that are computed below a join when they see one side only: strict, cheap, never failing on a
// fixed first argument, and with fewer different values than their argument.
var pushed = map[string]bool{"date_trunc": true, "time_bucket": true, "date_bin": true, "date_part": true, "extract": true}

// pushFunctions rewrites aggregates over joins so that such functions in them are computed below the join, which then keeps
// their values and not their arguments.
func pushFunctions(n plan.Node) plan.Node {
	switch n := n.(type) {
	case *plan.Filter:
		c := *n
		c.Input = pushFunctions(n.Input)
		return &c
	case *plan.Project:
		c := *n
		c.Input = pushFunctions(n.Input)
		return &c
	case *plan.Sort:
		c := *n
		c.Input = pushFunctions(n.Input)
		return &c
	case *plan.Limit:
		c := *n
		c.Input = pushFunctions(n.Input)
		return &c
	case *plan.Aggregate:
		return pushAggregate(n)
	}
	return n
}

func pushAggregate(n *plan.Aggregate) plan.Node {
	a := *n
	for {
		p, ok := a.Input.(*plan.Project)
		if !ok {
			break
		}
		a = *inline(&a, p)
	}
	j, ok := a.Input.(*plan.Join)
	if !ok || j.Lateral || j.Kind == plan.Semi || j.Kind == plan.Anti {
		return &a
	}
	return pushBelow(&a, j)
}

// mapExprs gives the aggregate with f applied to its expressions.
func mapExprs(a *plan.Aggregate, f func(expr.Expr) expr.Expr) *plan.Aggregate {
	out := *a
	list := func(es []expr.Expr) []expr.Expr {
		es = slices.Clone(es)
		for i := range es {
			es[i] = f(es[i])
		}
		return es
	}
	out.Groups = list(a.Groups)
	out.Calls = slices.Clone(a.Calls)
	for i := range out.Calls {
		c := &out.Calls[i]
		c.Args, c.OrderBy = list(c.Args), slices.Clone(c.OrderBy)
		if c.Filter != nil {
			c.Filter = f(c.Filter)
		}
		for k := range c.OrderBy {
			c.OrderBy[k].Expr = f(c.OrderBy[k].Expr)
		}
	}
	return &out
}

// inline computes a projection's expressions where the aggregate uses them.
func inline(a *plan.Aggregate, p *plan.Project) *plan.Aggregate {
	out := mapExprs(a, func(e expr.Expr) expr.Expr {
		return rewrite(e, func(x expr.Expr) expr.Expr {
			if c, ok := x.(*expr.Column); ok && c.Depth == 0 {
				return p.Exprs[c.Index]
			}
			return nil
		})
	})
	out.Input = p.Input
	return out
}

// pushBelow moves functions of one side below join j.
func pushBelow(a *plan.Aggregate, j *plan.Join) plan.Node {
	width := len(j.Left.Columns())
	var left, right []expr.Expr // over each side's own columns
	texts := map[string][2]int{}
	side := func(e expr.Expr) int {
		set := map[int]bool{}
		vector.Columns(e, set)
		l, r := false, false
		for i := range set {
			l, r = l || i < width, r || i >= width
		}
		switch {
		case l && !r:
			return 0
		case r && !l:
			return 1
		}
		return -1
	}
	find := func(e expr.Expr) expr.Expr { // notes what moves
		return rewrite(e, func(x expr.Expr) expr.Expr {
			c, ok := x.(*expr.Call)
			if !ok || !pushed[c.Func.Name] || side(c) < 0 {
				return nil
			}
			if _, fixed := c.Args[0].(*expr.Const); !fixed {
				return nil
			}
			text := describe(c)
			if _, known := texts[text]; !known {
				if side(c) == 0 {
					texts[text] = [2]int{0, len(left)}
					left = append(left, c)
				} else {
					texts[text] = [2]int{1, len(right)}
					right = append(right, shift(c, -width))
				}
			}
			return x
		})
	}
	mapExprs(a, find)
	if len(left)+len(right) == 0 {
		return a
	}
	k := *j
	k.Left, k.Right = widen(j.Left, left), widen(j.Right, right)
	move := func(i int) int { // a column of j in k
		if i < width {
			return i
		}
		return i + len(left)
	}
	replace := func(e expr.Expr) expr.Expr {
		return rewrite(e, func(x expr.Expr) expr.Expr {
			if c, ok := x.(*expr.Column); ok && c.Depth == 0 {
				moved := *c
				moved.Index = move(c.Index)
				return &moved
			}
			if at, ok := texts[describe(x)]; ok && isCall(x) {
				i := width + at[1]
				if at[0] == 1 {
					i = width + len(left) + len(j.Right.Columns()) + at[1]
				}
				return &expr.Column{Index: i, Typ: x.Type()}
			}
			return nil
		})
	}
	k.Cols = append(slices.Clone(k.Left.Columns()), k.Right.Columns()...)
	if k.Cond != nil {
		k.Cond = replace(k.Cond)
	}
	out := mapExprs(a, replace)
	out.Input = &k
	return out
}

func shift(e expr.Expr, by int) expr.Expr {
	return rewrite(e, func(x expr.Expr) expr.Expr {
		if c, ok := x.(*expr.Column); ok && c.Depth == 0 {
			moved := *c
			moved.Index += by
			return &moved
		}
		return nil
	})
}

// widen adds computed columns to a plan.
func widen(n plan.Node, es []expr.Expr) plan.Node {
	if len(es) == 0 {
		return n
	}
	p := &plan.Project{Input: n, Output: plan.Output{Cols: slices.Clone(n.Columns())}}
	for i, c := range n.Columns() {
		p.Exprs = append(p.Exprs, &expr.Column{Index: i, Typ: c.Type, Name: c.Name})
	}
	for _, e := range es {
		p.Exprs = append(p.Exprs, e)
		p.Cols = append(p.Cols, plan.Column{Name: "pushed", Type: e.Type()})
	}
	return p
}

func isCall(e expr.Expr) bool {
	_, ok := e.(*expr.Call)
	return ok
}
