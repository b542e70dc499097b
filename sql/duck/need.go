package duck

import (
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// uses marks in need the columns of the row that stands depth levels out which e refers to.
func uses(e expr.Expr, depth int, need []bool) {
	if e == nil {
		return
	}
	switch e := e.(type) {
	case *expr.Column:
		if e.Depth == depth && e.Index < len(need) {
			need[e.Index] = true
		}
	case *expr.Subquery:
		for _, l := range e.Left {
			uses(l, depth, need)
		}
		if n, ok := e.Plan.(plan.Node); ok {
			nodeUses(n, depth+1, need)
		}
	default:
		for _, c := range children(e) {
			uses(c, depth, need)
		}
	}
}

// nodeUses is uses for a whole subplan.
func nodeUses(n plan.Node, depth int, need []bool) {
	for _, e := range nodeExprs(n) {
		uses(e, depth, need)
	}
	if w, ok := n.(*plan.With); ok {
		for _, b := range w.Bindings {
			if b.Query != nil {
				nodeUses(b.Query, depth, need)
			}
			if b.Recursive != nil {
				nodeUses(b.Recursive, depth, need)
			}
		}
	}
	if j, ok := n.(*plan.Join); ok && j.Lateral {
		nodeUses(j.Left, depth, need)
		nodeUses(j.Right, depth+1, need)
		return
	}
	for _, in := range n.Inputs() {
		nodeUses(in, depth, need)
	}
}

// children are the direct parts of an expression that is no column and no subquery.
func children(e expr.Expr) []expr.Expr {
	switch e := e.(type) {
	case *expr.Call:
		return e.Args
	case *expr.Cast:
		return []expr.Expr{e.Arg}
	case *expr.And:
		return e.Args
	case *expr.Or:
		return e.Args
	case *expr.Not:
		return []expr.Expr{e.Arg}
	case *expr.IsNull:
		return []expr.Expr{e.Arg}
	case *expr.BoolTest:
		return []expr.Expr{e.Arg}
	case *expr.Distinct:
		return []expr.Expr{e.Left, e.Right}
	case *expr.Case:
		var out []expr.Expr
		for _, w := range e.Whens {
			out = append(out, w.Cond, w.Then)
		}
		return append(out, e.Else)
	case *expr.Coalesce:
		return e.Args
	case *expr.MinMax:
		return e.Args
	case *expr.NullIf:
		return []expr.Expr{e.Left, e.Right}
	case *expr.AnyAll:
		return []expr.Expr{e.Left, e.Array}
	case *expr.Array:
		return e.Elems
	case *expr.Record:
		return e.Fields
	case *expr.Field:
		return []expr.Expr{e.Arg}
	case *expr.Subscript:
		return append(append([]expr.Expr{e.Arg}, e.Lower...), e.Upper...)
	case *expr.Const, *expr.Param:
		return nil
	}
	fail("expression %T", e)
	return nil
}

// nodeExprs are all expressions of an operator over its input row (a join's keys are over one side; see joinNeed).
func nodeExprs(n plan.Node) []expr.Expr {
	var out []expr.Expr
	keys := func(ks []plan.SortKey) {
		for _, k := range ks {
			out = append(out, k.Expr)
		}
	}
	switch n := n.(type) {
	case *plan.Values:
		for _, r := range n.Rows {
			out = append(out, r...)
		}
	case *plan.Function:
		out = append(out, n.Calls...)
	case *plan.ProjectSet:
		out = append(out, n.Exprs...)
	case *plan.Filter:
		out = append(out, n.Cond)
	case *plan.Project:
		out = append(out, n.Exprs...)
	case *plan.Join:
		out = append(append(append(out, n.LeftKeys...), n.RightKeys...), n.Cond)
	case *plan.Aggregate:
		out = append(out, n.Groups...)
		for _, c := range n.Calls {
			out = append(append(append(out, c.Args...), c.Filter), c.Direct...)
			keys(c.OrderBy)
		}
	case *plan.Window:
		for _, c := range n.Calls {
			out = append(append(append(out, c.Args...), c.Filter), c.PartitionBy...)
			out = append(out, c.Frame.Start.Offset, c.Frame.End.Offset)
			keys(c.OrderBy)
		}
	case *plan.Sort:
		keys(n.Keys)
	case *plan.Limit:
		out = append(out, n.Count, n.Offset)
		keys(n.Keys)
	case *plan.Distinct:
		out = append(out, n.On...)
	}
	return out
}

// inputNeed is what an operator with one input needs of it: what its expressions use, and what passes through.
func inputNeed(n plan.Node, in plan.Node, pass []bool) []bool {
	need := make([]bool, len(in.Columns()))
	copy(need, pass)
	for _, e := range nodeExprs(n) {
		uses(e, 0, need)
	}
	return need
}
