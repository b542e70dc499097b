package vector

import "github.com/miracledb/miracledb/sql/expr"

// Children are the direct parts of an expression (a subquery's Left among them, its plan not).
func Children(e expr.Expr) []expr.Expr {
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
		if e.Else != nil {
			out = append(out, e.Else)
		}
		return out
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
		out := []expr.Expr{e.Arg}
		for _, list := range [][]expr.Expr{e.Lower, e.Upper} {
			for _, x := range list {
				if x != nil {
					out = append(out, x)
				}
			}
		}
		return out
	case *expr.Subquery:
		return e.Left
	}
	return nil
}

// Visit calls f for e and all its parts, outermost first; a part is skipped when f gives false for what holds it.
func Visit(e expr.Expr, f func(expr.Expr) bool) {
	if e == nil || !f(e) {
		return
	}
	for _, c := range Children(e) {
		Visit(c, f)
	}
}

// Columns adds the indexes of e's columns of Depth 0 to set.
func Columns(e expr.Expr, set map[int]bool) {
	Visit(e, func(x expr.Expr) bool {
		if c, ok := x.(*expr.Column); ok && c.Depth == 0 {
			set[c.Index] = true
		}
		return true
	})
}

// Rewrite gives e with f applied to every part: f gives the replacement, or nil to go into the part. Expressions are
// immutable, so what changes is copied.
func Rewrite(e expr.Expr, f func(expr.Expr) expr.Expr) expr.Expr {
	if e == nil {
		return nil
	}
	if r := f(e); r != nil {
		return r
	}
	one := func(x expr.Expr) expr.Expr { return Rewrite(x, f) }
	all := func(xs []expr.Expr) []expr.Expr {
		if xs == nil {
			return nil
		}
		out := make([]expr.Expr, len(xs))
		for i, x := range xs {
			out[i] = one(x)
		}
		return out
	}
	switch e := e.(type) {
	case *expr.Call:
		c := *e
		c.Args = all(e.Args)
		return &c
	case *expr.Cast:
		c := *e
		c.Arg = one(e.Arg)
		return &c
	case *expr.And:
		return &expr.And{Args: all(e.Args)}
	case *expr.Or:
		return &expr.Or{Args: all(e.Args)}
	case *expr.Not:
		return &expr.Not{Arg: one(e.Arg)}
	case *expr.IsNull:
		return &expr.IsNull{Arg: one(e.Arg), Negated: e.Negated}
	case *expr.BoolTest:
		return &expr.BoolTest{Arg: one(e.Arg), Value: e.Value, Negated: e.Negated}
	case *expr.Distinct:
		return &expr.Distinct{Left: one(e.Left), Right: one(e.Right), Eq: e.Eq, Negated: e.Negated}
	case *expr.Case:
		c := &expr.Case{Typ: e.Typ, Else: one(e.Else)}
		for _, w := range e.Whens {
			c.Whens = append(c.Whens, expr.When{Cond: one(w.Cond), Then: one(w.Then)})
		}
		return c
	case *expr.Coalesce:
		return &expr.Coalesce{Args: all(e.Args), Typ: e.Typ}
	case *expr.MinMax:
		return &expr.MinMax{Args: all(e.Args), Least: e.Least, Typ: e.Typ}
	case *expr.NullIf:
		return &expr.NullIf{Left: one(e.Left), Right: one(e.Right), Eq: e.Eq}
	case *expr.AnyAll:
		return &expr.AnyAll{Op: e.Op, Left: one(e.Left), Array: one(e.Array), All: e.All}
	case *expr.Array:
		return &expr.Array{Elems: all(e.Elems), Nested: e.Nested, Typ: e.Typ}
	case *expr.Record:
		return &expr.Record{Fields: all(e.Fields), Names: e.Names}
	case *expr.Field:
		return &expr.Field{Arg: one(e.Arg), Index: e.Index, Typ: e.Typ}
	case *expr.Subscript:
		return &expr.Subscript{Arg: one(e.Arg), Lower: all(e.Lower), Upper: all(e.Upper), Slice: e.Slice, Typ: e.Typ}
	}
	return e
}
