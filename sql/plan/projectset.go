package plan

import (
	"github.com/miracledb/miracledb/sql/expr"
)

// setCallOf gives the set-returning call that e is, if any.
func setCallOf(e expr.Expr) *expr.Call {
	if c, ok := e.(*expr.Call); ok && c.Func.Kind == expr.SetFunc {
		return c
	}
	return nil
}

func hasSet(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		found = found || setCallOf(e) != nil
		return !found
	})
	return found
}

func hasSets(es []expr.Expr) bool {
	for _, e := range es {
		if hasSet(e) {
			return true
		}
	}
	return false
}

// expandSets projects expressions some of which contain set-returning calls.
func (a *analyzer) expandSets(n Node, exprs []expr.Expr, cols []Column) (Node, error) {
	flat := true // every call stands for itself and has plain arguments
	for _, e := range exprs {
		if c := setCallOf(e); c != nil {
			flat = flat && !hasSets(c.Args)
		} else {
			flat = flat && !hasSet(e)
		}
	}
	if flat {
		return &ProjectSet{Output: Output{cols}, Input: n, Exprs: exprs}, nil
	}
	n, exprs = liftSets(n, exprs)
	return &Project{Output: Output{cols}, Input: n, Exprs: exprs}, nil
}

// liftSets computes the set-returning calls of expressions beside the input's columns, innermost calls first, and gives the
// expressions over the result.
func liftSets(n Node, exprs []expr.Expr) (Node, []expr.Expr) {
	for hasSets(exprs) {
		p := &ProjectSet{Input: n, Exprs: identity(n)}
		p.Cols = append(p.Cols, n.Columns()...)
		for i, e := range exprs {
			exprs[i] = expr.RewriteDown(e, func(e expr.Expr) (expr.Expr, bool) {
				c := setCallOf(e)
				if c == nil || hasSets(c.Args) {
					return nil, false
				}
				p.Exprs = append(p.Exprs, c)
				p.Cols = append(p.Cols, Column{Name: c.Func.Name, Type: c.Typ})
				return columnAt(p, len(p.Exprs)-1), true
			})
		}
		n = p
	}
	return n, exprs
}
