package plan

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
)

// Walk calls visit for n and the operators below it, parents first; visit returns false to leave out a branch. Queries of
// WITH bindings are entered, subqueries inside expressions are not.
func Walk(n Node, visit func(Node) bool) {
	if n == nil || !visit(n) {
		return
	}
	if w, ok := n.(*With); ok {
		for _, b := range w.Bindings {
			walkBinding(b, visit)
		}
	}
	for _, in := range n.Inputs() {
		Walk(in, visit)
	}
}

func walkBinding(b *Binding, visit func(Node) bool) {
	if b.Query != nil {
		Walk(b.Query, visit)
	}
	if b.Recursive != nil {
		Walk(b.Recursive, visit)
	}
}

// Exprs are the expressions that operator n itself evaluates, in a fixed order.
func Exprs(n Node) []expr.Expr {
	var out []expr.Expr
	MapExprs(n, func(e expr.Expr) expr.Expr {
		out = append(out, e)
		return e
	})
	return out
}

// WalkAll calls visit for every expression of n and of the operators below it, entering the plans of subqueries too.
// depth is the number of query levels between n and the expression: a Column of Depth depth+k in it is one of Depth k at n.
func WalkAll(n Node, visit func(e expr.Expr, depth int)) { walkAll(n, 0, visit) }

func walkAll(n Node, depth int, visit func(expr.Expr, int)) {
	if n == nil {
		return
	}
	if w, ok := n.(*With); ok {
		for _, b := range w.Bindings {
			walkAll(b.Query, depth, visit)
			walkAll(b.Recursive, depth, visit)
		}
	}
	for _, e := range Exprs(n) {
		walkExprAll(e, depth, visit)
	}
	for i, in := range n.Inputs() {
		walkAll(in, depth+level(n, i), visit)
	}
}

func walkExprAll(e expr.Expr, depth int, visit func(expr.Expr, int)) {
	expr.Walk(e, func(e expr.Expr) bool {
		visit(e, depth)
		if s, ok := e.(*expr.Subquery); ok {
			walkAll(s.Plan.(Node), depth+1, visit)
		}
		return true
	})
}

// level is 1 for the right input of a lateral join, whose Depth 1 is the left side's row.
func level(n Node, input int) int {
	if j, ok := n.(*Join); ok && j.Lateral && input == 1 {
		return 1
	}
	return 0
}

// Rewrite rebuilds a plan bottom up: f gets each operator with its inputs already rewritten, and gives what stands in its
// place. The plan given is not changed; bindings are rewritten in copies that the CTEScans below point to.
func Rewrite(n Node, f func(Node) Node) Node { return newRewriter(nil, f).node(n, 0) }

// RewriteExprs gives a plan with f applied to every root expression of its operators, subqueries' plans included; depth is as in
// WalkAll. f is called for an expression after the plans of the subqueries in it.
func RewriteExprs(n Node, f func(e expr.Expr, depth int) expr.Expr) Node {
	return newRewriter(f, nil).node(n, 0)
}

// rewriter rebuilds plans; either function may be nil.
type rewriter struct {
	expr func(expr.Expr, int) expr.Expr
	op   func(Node) Node
	// place, when not nil, is called after op with the number of query levels around.
	place    func(n Node, depth int) Node
	bindings map[*Binding]*Binding
	// flat leaves the plans of subqueries alone; keep changes bindings in place.
	flat, keep bool
}

func newRewriter(e func(expr.Expr, int) expr.Expr, op func(Node) Node) *rewriter {
	return &rewriter{expr: e, op: op, bindings: map[*Binding]*Binding{}}
}

func (r *rewriter) node(n Node, depth int) Node {
	if n == nil {
		return nil
	}
	if w, ok := n.(*With); ok {
		c := *w
		c.Bindings = make([]*Binding, len(w.Bindings))
		for i, b := range w.Bindings {
			c.Bindings[i] = r.binding(b, depth)
		}
		n = &c
	}
	if s, ok := n.(*CTEScan); ok {
		if b := r.bindings[s.Binding]; b != nil {
			c := *s
			c.Binding = b
			n = &c
		}
	}
	inputs := n.Inputs()
	rebuilt := make([]Node, len(inputs))
	changed := false
	for i, in := range inputs {
		rebuilt[i] = r.node(in, depth+level(n, i))
		changed = changed || rebuilt[i] != in
	}
	if changed {
		n = WithInputs(n, rebuilt)
	}
	n = MapExprs(n, func(e expr.Expr) expr.Expr { return r.expression(e, depth) })
	if r.op != nil {
		n = r.op(n)
	}
	if r.place != nil {
		n = r.place(n, depth)
	}
	return n
}

func (r *rewriter) binding(b *Binding, depth int) *Binding {
	if r.keep || r.flat {
		b.Query, b.Recursive = r.node(b.Query, depth), r.node(b.Recursive, depth)
		return b
	}
	c := *b
	r.bindings[b] = &c
	c.Query, c.Recursive = r.node(b.Query, depth), r.node(b.Recursive, depth)
	return &c
}

// expression rewrites one root expression: first the plans of its subqueries.
func (r *rewriter) expression(e expr.Expr, depth int) expr.Expr {
	if e == nil {
		return nil
	}
	e = expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		s, ok := e.(*expr.Subquery)
		if !ok || r.flat {
			return e
		}
		p := r.node(s.Plan.(Node), depth+1)
		if p == s.Plan {
			return e
		}
		c := *s
		c.Plan = p
		return &c
	})
	if r.expr != nil {
		e = r.expr(e, depth)
	}
	return e
}

// WithInputs gives a copy of n over other inputs, of the same number.
func WithInputs(n Node, in []Node) Node {
	switch n := n.(type) {
	case *ProjectSet:
		c := *n
		c.Input = in[0]
		return &c
	case *Filter:
		return &Filter{in[0], n.Cond}
	case *Project:
		c := *n
		c.Input = in[0]
		return &c
	case *Join:
		c := *n
		c.Left, c.Right = in[0], in[1]
		return &c
	case *Aggregate:
		c := *n
		c.Input = in[0]
		return &c
	case *Window:
		c := *n
		c.Input = in[0]
		return &c
	case *Sort:
		return &Sort{in[0], n.Keys}
	case *Limit:
		c := *n
		c.Input = in[0]
		return &c
	case *Distinct:
		return &Distinct{in[0], n.On}
	case *SetOperation:
		c := *n
		c.Left, c.Right = in[0], in[1]
		return &c
	case *With:
		return &With{n.Bindings, in[0]}
	}
	return n
}

// exprMapper applies f and remembers whether anything changed.
type exprMapper struct {
	f       func(expr.Expr) expr.Expr
	changed bool
}

func (m *exprMapper) one(e expr.Expr) expr.Expr {
	if e == nil {
		return nil
	}
	n := m.f(e)
	m.changed = m.changed || n != e
	return n
}

func (m *exprMapper) list(es []expr.Expr) []expr.Expr {
	es = slices.Clone(es)
	for i := range es {
		es[i] = m.one(es[i])
	}
	return es
}

func (m *exprMapper) keys(ks []SortKey) []SortKey {
	ks = slices.Clone(ks)
	for i := range ks {
		ks[i].Expr = m.one(ks[i].Expr)
	}
	return ks
}

func changedTo[N Node](m *exprMapper, n, c N) Node {
	if m.changed {
		return c
	}
	return n
}

// MapExprs gives n with f applied to each of its own expressions; n itself when none changed.
func MapExprs(n Node, f func(expr.Expr) expr.Expr) Node {
	m := &exprMapper{f: f}
	switch n := n.(type) {
	case *Values:
		c := *n
		c.Rows = slices.Clone(n.Rows)
		for i := range c.Rows {
			c.Rows[i] = m.list(c.Rows[i])
		}
		return changedTo(m, n, &c)
	case *Function:
		c := *n
		c.Calls = m.list(n.Calls)
		return changedTo(m, n, &c)
	case *ProjectSet:
		c := *n
		c.Exprs = m.list(n.Exprs)
		return changedTo(m, n, &c)
	case *Filter:
		return changedTo(m, n, &Filter{n.Input, m.one(n.Cond)})
	case *Project:
		c := *n
		c.Exprs = m.list(n.Exprs)
		return changedTo(m, n, &c)
	case *Join:
		c := *n
		c.LeftKeys, c.RightKeys, c.Cond = m.list(n.LeftKeys), m.list(n.RightKeys), m.one(n.Cond)
		return changedTo(m, n, &c)
	case *Aggregate:
		return m.aggregate(n)
	case *Window:
		return m.window(n)
	case *Sort:
		return changedTo(m, n, &Sort{n.Input, m.keys(n.Keys)})
	case *Limit:
		c := *n
		c.Count, c.Offset, c.Keys = m.one(n.Count), m.one(n.Offset), m.keys(n.Keys)
		return changedTo(m, n, &c)
	case *Distinct:
		return changedTo(m, n, &Distinct{n.Input, m.list(n.On)})
	}
	return n
}

func (m *exprMapper) aggregate(n *Aggregate) Node {
	c := *n
	c.Groups, c.Calls = m.list(n.Groups), slices.Clone(n.Calls)
	for i := range c.Calls {
		a := &c.Calls[i]
		a.Args, a.Filter, a.OrderBy, a.Direct = m.list(a.Args), m.one(a.Filter), m.keys(a.OrderBy), m.list(a.Direct)
	}
	return changedTo(m, n, &c)
}

func (m *exprMapper) window(n *Window) Node {
	c := *n
	c.Calls = slices.Clone(n.Calls)
	for i := range c.Calls {
		a := &c.Calls[i]
		a.Args, a.Filter, a.PartitionBy, a.OrderBy = m.list(a.Args), m.one(a.Filter), m.list(a.PartitionBy), m.keys(a.OrderBy)
		a.Frame.Start.Offset, a.Frame.End.Offset = m.one(a.Frame.Start.Offset), m.one(a.Frame.End.Offset)
	}
	return changedTo(m, n, &c)
}

// Outer reports whether a plan has a column that reaches out of it: its value depends on a surrounding query's row. It may
// do so by way of a WITH query that is bound outside.
func Outer(n Node) bool { return outer(n, map[*Binding]bool{}) }

// outer looks into bindings that are not seen yet.
func outer(n Node, seen map[*Binding]bool) bool {
	found := false
	WalkAll(n, func(e expr.Expr, depth int) {
		if c, ok := e.(*expr.Column); ok && c.Depth > depth {
			found = true
		}
	})
	if found {
		return true
	}
	eachNode(n, func(n Node) {
		if w, ok := n.(*With); ok {
			for _, b := range w.Bindings {
				seen[b] = true
			}
		}
	})
	eachNode(n, func(n Node) {
		s, ok := n.(*CTEScan)
		if !ok || seen[s.Binding] {
			return
		}
		seen[s.Binding] = true
		for _, q := range []Node{s.Binding.Query, s.Binding.Recursive} {
			found = found || q != nil && outer(q, seen)
		}
	})
	return found
}

// dropLevel takes away the query level at distance 1 around n, to whose row n must not refer: columns that reach
// further out reach one level less.
func dropLevel(n Node) Node {
	return RewriteExprs(n, func(e expr.Expr, depth int) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			if c, ok := e.(*expr.Column); ok && c.Depth > depth {
				d := *c
				d.Depth--
				return &d
			}
			return e
		})
	})
}
