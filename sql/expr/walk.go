package expr

import "github.com/miracledb/miracledb/internal/row"

// Children are the expressions directly below e, left to right; the plan of a Subquery is not among them.
func Children(e Expr) []Expr {
	var out []Expr
	rebuild(e, func(c Expr) Expr {
		out = append(out, c)
		return c
	})
	return out
}

// Walk calls visit for e and what is below it, parents first, until visit returns false for a branch. It does not enter
// the plans of Subqueries: plan.WalkExprs does.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	rebuild(e, func(c Expr) Expr {
		Walk(c, visit)
		return c
	})
}

// Rewrite rebuilds e bottom up: f gets each expression with its children already rewritten. What f leaves alone is
// shared with e, which is not changed.
func Rewrite(e Expr, f func(Expr) Expr) Expr {
	if e == nil {
		return nil
	}
	return f(rebuild(e, func(c Expr) Expr { return Rewrite(c, f) }))
}

// RewriteDown rebuilds e top down: where f gives an expression it replaces the one it got, and f is not called below it.
func RewriteDown(e Expr, f func(Expr) (Expr, bool)) Expr {
	if e == nil {
		return nil
	}
	if r, ok := f(e); ok {
		return r
	}
	return rebuild(e, func(c Expr) Expr { return RewriteDown(c, f) })
}

// MapChildren gives e with f applied to each of its children; e itself when none changed.
func MapChildren(e Expr, f func(Expr) Expr) Expr { return rebuild(e, f) }

type mapper struct {
	f       func(Expr) Expr
	changed bool
}

func (m *mapper) one(e Expr) Expr {
	if e == nil {
		return nil
	}
	n := m.f(e)
	m.changed = m.changed || n != e
	return n
}

func (m *mapper) list(es []Expr) []Expr {
	if es == nil {
		return nil
	}
	out := make([]Expr, len(es))
	for i, e := range es {
		out[i] = m.one(e)
	}
	return out
}

// kept gives e when nothing below it changed, else the copy.
func kept[E Expr](m *mapper, e, copied E) Expr {
	if m.changed {
		return copied
	}
	return e
}

func rebuild(e Expr, f func(Expr) Expr) Expr {
	m := &mapper{f: f}
	switch e := e.(type) {
	case *Call:
		c := *e
		c.Args = m.list(e.Args)
		return kept(m, e, &c)
	case *Cast:
		c := *e
		c.Arg = m.one(e.Arg)
		return kept(m, e, &c)
	case *And:
		return kept(m, e, &And{m.list(e.Args)})
	case *Or:
		return kept(m, e, &Or{m.list(e.Args)})
	case *Not:
		return kept(m, e, &Not{m.one(e.Arg)})
	case *IsNull:
		return kept(m, e, &IsNull{m.one(e.Arg), e.Negated})
	case *BoolTest:
		return kept(m, e, &BoolTest{m.one(e.Arg), e.Value, e.Negated})
	case *Distinct:
		return kept(m, e, &Distinct{m.one(e.Left), m.one(e.Right), e.Eq, e.Negated})
	case *Case:
		c := &Case{Typ: e.Typ}
		for _, w := range e.Whens {
			c.Whens = append(c.Whens, When{m.one(w.Cond), m.one(w.Then)})
		}
		c.Else = m.one(e.Else)
		return kept(m, e, c)
	case *Coalesce:
		return kept(m, e, &Coalesce{m.list(e.Args), e.Typ})
	case *MinMax:
		return kept(m, e, &MinMax{m.list(e.Args), e.Least, e.Typ})
	case *NullIf:
		return kept(m, e, &NullIf{m.one(e.Left), m.one(e.Right), e.Eq})
	case *AnyAll:
		return kept(m, e, &AnyAll{e.Op, m.one(e.Left), m.one(e.Array), e.All})
	case *Array:
		return kept(m, e, &Array{m.list(e.Elems), e.Nested, e.Typ})
	case *Record:
		return kept(m, e, &Record{m.list(e.Fields), e.Names})
	case *Field:
		c := *e
		c.Arg = m.one(e.Arg)
		return kept(m, e, &c)
	case *Subscript:
		c := *e
		c.Arg, c.Lower, c.Upper = m.one(e.Arg), m.list(e.Lower), m.list(e.Upper)
		return kept(m, e, &c)
	case *Subquery:
		c := *e
		c.Left = m.list(e.Left)
		return kept(m, e, &c)
	}
	return e
}

// Equal reports whether a and b are the same expression; positions and names for EXPLAIN do not count. Two volatile
// calls are equal as text, which is what GROUP BY and DISTINCT ask.
func Equal(a, b Expr) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	if !sameHead(a, b) {
		return false
	}
	x, y := Children(a), Children(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !Equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

// sameHead compares what is not a child.
func sameHead(a, b Expr) bool {
	if a.Type() != b.Type() {
		return false
	}
	switch x := a.(type) {
	case *Column:
		y, ok := b.(*Column)
		return ok && x.Depth == y.Depth && x.Index == y.Index
	case *Const:
		y, ok := b.(*Const)
		return ok && x.Value.IsNull() == y.Value.IsNull() && row.Compare(x.Value, y.Value) == 0
	case *Param:
		y, ok := b.(*Param)
		return ok && x.N == y.N
	case *Call:
		y, ok := b.(*Call)
		return ok && x.Func == y.Func
	case *Cast:
		_, ok := b.(*Cast)
		return ok
	case *And:
		_, ok := b.(*And)
		return ok
	case *Or:
		_, ok := b.(*Or)
		return ok
	case *Not:
		_, ok := b.(*Not)
		return ok
	case *IsNull:
		y, ok := b.(*IsNull)
		return ok && x.Negated == y.Negated
	case *BoolTest:
		y, ok := b.(*BoolTest)
		return ok && x.Negated == y.Negated && x.Value.IsNull() == y.Value.IsNull() && x.Value.Bool() == y.Value.Bool()
	case *Distinct:
		y, ok := b.(*Distinct)
		return ok && x.Negated == y.Negated
	case *Case:
		y, ok := b.(*Case)
		return ok && len(x.Whens) == len(y.Whens)
	case *Coalesce:
		_, ok := b.(*Coalesce)
		return ok
	case *MinMax:
		y, ok := b.(*MinMax)
		return ok && x.Least == y.Least
	case *NullIf:
		_, ok := b.(*NullIf)
		return ok
	case *AnyAll:
		y, ok := b.(*AnyAll)
		return ok && x.Op == y.Op && x.All == y.All
	case *Array:
		_, ok := b.(*Array)
		return ok
	case *Record:
		_, ok := b.(*Record)
		return ok
	case *Field:
		y, ok := b.(*Field)
		return ok && x.Index == y.Index
	case *Subscript:
		y, ok := b.(*Subscript)
		return ok && x.Slice == y.Slice && len(x.Lower) == len(y.Lower)
	}
	return false
}
