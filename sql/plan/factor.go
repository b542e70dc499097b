package plan

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
)

// factored takes what all branches of an OR have in common out of it: (a AND b) OR (a AND c) is a AND (b OR c).
func factored(cond expr.Expr) []expr.Expr {
	or, ok := cond.(*expr.Or)
	if !ok || len(or.Args) < 2 {
		return []expr.Expr{cond}
	}
	branches := make([][]expr.Expr, len(or.Args))
	for i, arg := range or.Args {
		branches[i] = conjuncts(arg)
	}
	in := func(list []expr.Expr, e expr.Expr) bool {
		return slices.ContainsFunc(list, func(x expr.Expr) bool { return expr.Equal(x, e) })
	}
	var common []expr.Expr
	for _, c := range branches[0] {
		shared := !volatile(c) && !in(common, c)
		for _, b := range branches[1:] {
			shared = shared && in(b, c)
		}
		if shared {
			common = append(common, c)
		}
	}
	if len(common) == 0 {
		return []expr.Expr{cond}
	}
	var rest []expr.Expr
	for _, b := range branches {
		left := slices.DeleteFunc(slices.Clone(b), func(c expr.Expr) bool { return in(common, c) })
		if len(left) == 0 { // a OR (a AND b) is a
			return common
		}
		rest = append(rest, conjunction(left))
	}
	return append(common, &expr.Or{Args: rest})
}

// restrict adds for an OR over several leaves what it says of each alone, where every branch says something: it holds for
// fewer rows of the leaf, which are then joined.
func (g *joinGroup) restrict() {
	for _, cond := range slices.Clone(g.conds) {
		or, ok := cond.(*expr.Or)
		if !ok || hasSubquery(cond) || volatile(cond) {
			continue
		}
		leaves := g.leavesOf(cond)
		if len(leaves) < 2 {
			continue
		}
		for _, leaf := range leaves {
			if c := g.restriction(or, leaf); c != nil {
				g.conds = append(g.conds, c)
			}
		}
	}
}

func (g *joinGroup) restriction(or *expr.Or, leaf int) expr.Expr {
	var branches []expr.Expr
	for _, arg := range or.Args {
		var own []expr.Expr
		for _, c := range conjuncts(arg) {
			if l := g.leavesOf(c); len(l) == 1 && l[0] == leaf {
				own = append(own, c)
			}
		}
		if len(own) == 0 {
			return nil
		}
		branches = append(branches, conjunction(own))
	}
	return &expr.Or{Args: branches}
}
