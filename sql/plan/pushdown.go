package plan

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
)

// push puts conditions over n's columns as far down in n as they can stand, and does the same with those in n. No condition
// calls a volatile function.
func push(n Node, conds []expr.Expr) Node {
	switch n := n.(type) {
	case *Filter:
		return pushFilter(n, conds)
	case *Project:
		down, up := split(conds, func(c expr.Expr) bool { return movable(c, n.Exprs) })
		p := *n
		p.Input = push(n.Input, replaced(down, n.Exprs))
		return filtered(&p, up)
	case *ProjectSet:
		down, up := split(conds, func(c expr.Expr) bool { return movable(c, n.Exprs) })
		p := *n
		p.Input = push(n.Input, replaced(down, n.Exprs))
		return filtered(&p, up)
	case *Sort:
		return &Sort{push(n.Input, conds), n.Keys}
	case *Distinct:
		return pushDistinct(n, conds)
	case *Limit:
		l := *n
		l.Input = push(n.Input, nil)
		return filtered(&l, conds)
	case *Aggregate:
		return pushAggregate(n, conds)
	case *Window:
		return pushWindow(n, conds)
	case *SetOperation:
		return pushSets(n, conds)
	case *With:
		for _, b := range n.Bindings {
			if b.Query != nil {
				b.Query = push(b.Query, nil)
			}
			if b.Recursive != nil {
				b.Recursive = push(b.Recursive, nil)
			}
		}
		return &With{n.Bindings, push(n.Body, conds)}
	case *Join:
		return pushJoin(n, conds)
	}
	return filtered(n, conds)
}

// filtered puts conditions above an operator.
func filtered(n Node, conds []expr.Expr) Node {
	if len(conds) == 0 {
		return n
	}
	if f, ok := n.(*Filter); ok {
		return &Filter{f.Input, conjunction(append(conjuncts(f.Cond), conds...))}
	}
	return &Filter{n, conjunction(conds)}
}

// split keeps the order of the conditions on both sides.
func split(conds []expr.Expr, down func(expr.Expr) bool) (yes, no []expr.Expr) {
	for _, c := range conds {
		if down(c) {
			yes = append(yes, c)
		} else {
			no = append(no, c)
		}
	}
	return yes, no
}

func pushFilter(n *Filter, conds []expr.Expr) Node {
	own, rest := split(conjuncts(n.Cond), func(c expr.Expr) bool { return !volatile(c) })
	own = slices.DeleteFunc(own, isTrue)
	return filtered(push(n.Input, append(own, conds...)), rest)
}

func isTrue(e expr.Expr) bool {
	c, ok := e.(*expr.Const)
	return ok && !c.Value.IsNull() && c.Value.Bool()
}

// movable reports whether a condition can be computed below a projection.
func movable(cond expr.Expr, exprs []expr.Expr) bool {
	plain := !hasSubquery(cond)
	ok := true
	columnsOf(cond, func(c *expr.Column) {
		e := exprs[c.Index]
		if _, column := e.(*expr.Column); column {
			return
		}
		ok = ok && plain && !volatile(e) && !hasSubquery(e) && !hasSet(e)
	})
	return ok
}

// replaced gives conditions with what their columns stand for.
func replaced(conds, exprs []expr.Expr) []expr.Expr {
	out := make([]expr.Expr, len(conds))
	for i, c := range conds {
		out[i] = expr.Fold(substitute(c, func(c *expr.Column) expr.Expr { return exprs[c.Index] }))
	}
	return out
}

// over reports whether all columns that a condition reads satisfy ok; there must be one.
func over(cond expr.Expr, ok func(i int) bool) bool {
	all, some := true, false
	columnsOf(cond, func(c *expr.Column) {
		all, some = all && ok(c.Index), true
	})
	return all && some
}

func pushDistinct(n *Distinct, conds []expr.Expr) Node {
	down, up := split(conds, func(c expr.Expr) bool {
		return n.On == nil || over(c, func(i int) bool { return containsColumn(n.On, i) })
	})
	return filtered(&Distinct{push(n.Input, down), n.On}, up)
}

func containsColumn(list []expr.Expr, i int) bool {
	return slices.ContainsFunc(list, func(e expr.Expr) bool {
		c, ok := e.(*expr.Column)
		return ok && c.Depth == 0 && c.Index == i
	})
}

// pushAggregate moves conditions on what all grouping sets have in common below the grouping.
func pushAggregate(n *Aggregate, conds []expr.Expr) Node {
	down, up := split(conds, func(c expr.Expr) bool {
		grouped := over(c, func(i int) bool {
			return i < len(n.Groups) && !slices.ContainsFunc(n.Sets, func(s []int) bool { return !slices.Contains(s, i) })
		})
		return grouped && movable(c, slices.Concat(n.Groups, make([]expr.Expr, len(n.Cols)-len(n.Groups))))
	})
	a := *n
	a.Input = push(n.Input, replaced(down, n.Groups))
	return filtered(&a, up)
}

// pushWindow moves conditions below window functions when they keep or drop whole partitions.
func pushWindow(n *Window, conds []expr.Expr) Node {
	width := len(n.Input.Columns())
	down, up := split(conds, func(c expr.Expr) bool {
		return over(c, func(i int) bool {
			return i < width && !slices.ContainsFunc(n.Calls, func(call WindowCall) bool { return !containsColumn(call.PartitionBy, i) })
		})
	})
	w := *n
	w.Input = push(n.Input, down)
	return filtered(&w, up)
}

func pushSets(n *SetOperation, conds []expr.Expr) Node {
	down, up := split(conds, func(c expr.Expr) bool { return !hasSubquery(c) })
	s := *n
	s.Left, s.Right = push(n.Left, down), push(n.Right, down)
	return filtered(&s, up)
}
