package ivm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// describe writes an expression wholly: two expressions of one text compute the same. It is part of the plan's hash.
func describe(e expr.Expr) string {
	args := func(name string, xs ...expr.Expr) string { return name + "(" + describeAll(xs) + ")" }
	switch e := e.(type) {
	case nil:
		return "nothing"
	case *expr.Column:
		return fmt.Sprintf("$%d", e.Index)
	case *expr.Const:
		if e.Value.IsNull() {
			return "null::" + e.Typ.String()
		}
		return fmt.Sprintf("%q::%s", e.Value.Text(e.Typ), e.Typ)
	case *expr.Call:
		if e.Func.IsOperator() && len(e.Args) == 2 {
			return "(" + describe(e.Args[0]) + " " + e.Func.Name + " " + describe(e.Args[1]) + ")"
		}
		return args(e.Func.Name, e.Args...)
	case *expr.Cast:
		return args("cast "+e.To.String(), e.Arg)
	case *expr.And:
		return args("and", e.Args...)
	case *expr.Or:
		return args("or", e.Args...)
	case *expr.IsNull:
		return args(fmt.Sprintf("is null %v", !e.Negated), e.Arg)
	case *expr.BoolTest:
		return args(fmt.Sprintf("is %s %v", e.Value.Text(row.T(row.Bool)), !e.Negated), e.Arg)
	case *expr.Distinct:
		return args(fmt.Sprintf("distinct %v", !e.Negated), e.Left, e.Right)
	case *expr.MinMax:
		return args(fmt.Sprintf("greatest %v", !e.Least), e.Args...)
	case *expr.AnyAll:
		return args(fmt.Sprintf("%s any %v", e.Op.Name, !e.All), e.Left, e.Array)
	case *expr.Field:
		return args(fmt.Sprintf("field %d", e.Index), e.Arg)
	}
	return args(strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e), "*expr.")), expr.Children(e)...)
}

func describeAll(es []expr.Expr) string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = describe(e)
	}
	return strings.Join(texts, ", ")
}

// describeNode writes a plan wholly, for a recomputed view.
func describeNode(n plan.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", strings.TrimPrefix(fmt.Sprintf("%T", n), "*plan."))
	switch n := n.(type) {
	case *plan.Scan:
		fmt.Fprintf(&b, " %s#%d", n.Relation.Name, n.Relation.ID)
	case *plan.CTEScan:
		fmt.Fprintf(&b, " %s", n.Binding.Name)
	case *plan.Join:
		fmt.Fprintf(&b, " %d lateral %v", n.Kind, n.Lateral)
	case *plan.SetOperation:
		fmt.Fprintf(&b, " %d all %v", n.Kind, n.All)
	case *plan.Aggregate:
		fmt.Fprintf(&b, " %v", n.Sets)
		for _, c := range n.Calls {
			fmt.Fprintf(&b, " %s distinct %v", c.Func.Name, c.Distinct)
		}
	case *plan.Window:
		for _, c := range n.Calls {
			fmt.Fprintf(&b, " %s frame %d %d %d %d", c.Func.Name, c.Frame.Mode, c.Frame.Start.Kind, c.Frame.End.Kind, c.Frame.Exclude)
		}
	}
	if es := plan.Exprs(n); len(es) > 0 {
		fmt.Fprintf(&b, " [%s]", describeAll(es))
	}
	var parts []string
	for _, in := range inputsOf(n) {
		parts = append(parts, describeNode(in))
	}
	if len(parts) > 0 {
		fmt.Fprintf(&b, "(%s)", strings.Join(parts, "; "))
	}
	return b.String()
}

// inputsOf are the operators below n, the queries of its common table expressions and of its subqueries among them.
func inputsOf(n plan.Node) []plan.Node {
	in := slices.Clone(n.Inputs())
	if w, ok := n.(*plan.With); ok {
		for _, b := range w.Bindings {
			for _, q := range []plan.Node{b.Query, b.Recursive} {
				if q != nil {
					in = append(in, q)
				}
			}
		}
	}
	for _, e := range plan.Exprs(n) {
		expr.Walk(e, func(x expr.Expr) bool {
			if s, ok := x.(*expr.Subquery); ok {
				if p, ok := s.Plan.(plan.Node); ok {
					in = append(in, p)
				}
			}
			return true
		})
	}
	return in
}

func visitNodes(n plan.Node, f func(plan.Node)) {
	f(n)
	for _, in := range inputsOf(n) {
		visitNodes(in, f)
	}
}

// rewrite gives e with f applied from above: f gives a replacement, or nil to go on below.
func rewrite(e expr.Expr, f func(expr.Expr) expr.Expr) expr.Expr {
	return expr.RewriteDown(e, func(x expr.Expr) (expr.Expr, bool) {
		r := f(x)
		return r, r != nil
	})
}

// zoned are the stable functions that depend on the time zone alone, which is fixed in a view.
var zoned = map[string]bool{"date_trunc": true, "date_part": true, "extract": true, "to_char": true, "timezone": true,
	"to_timestamp": true, "date": true, "time_bucket": true, "date_bin": true}

// checkFunctions finds what depends on the moment, the session or chance.
func checkFunctions(node plan.Node) (err error) {
	visitNodes(node, func(n plan.Node) {
		for _, e := range plan.Exprs(n) {
			expr.Walk(e, func(x expr.Expr) bool {
				c, ok := x.(*expr.Call)
				if !ok || err != nil {
					return err == nil
				}
				f := c.Func
				if f.Volat == expr.Volatile || f.Volat == expr.Stable && !zoned[f.Name] && !f.IsOperator() {
					err = unsupported("function %s depends on more than its arguments", f.Name)
				}
				return err == nil
			})
		}
		if s, ok := n.(*plan.Scan); ok && (s.Relation.Kind == "system" || s.Relation.Kind == "view") {
			err = unsupported("relation %s has no log of changes", s.Relation.Name)
		}
	})
	return err
}
