package plan

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
)

// Optimize gives a plan of the same columns and rows that takes less work: WITH queries that are read once stand where they
// are read, conditions stand as far down as they can, joins have their keys, subqueries that ask for existence are joins.
// The plan given is not changed.
func Optimize(n Node) Node {
	out := Rewrite(n, inline)
	out = RewriteExprs(out, func(e expr.Expr, _ int) expr.Expr { return expr.Fold(e) })
	out = Rewrite(out, existence)
	out = finish(out, n.Columns())
	if scans := Rewrite(out, joinScans); scans != out {
		return finish(scans, n.Columns())
	}
	return out
}

// finish moves conditions down in a rewritten plan, and gives it the columns that it had.
func finish(n Node, cols []Column) Node {
	n = markCorrelated(Rewrite(optimizePlan(n), simplify))
	if !slices.Equal(n.Columns(), cols) {
		n = renamed(n, cols)
	}
	return n
}

// renamed gives a plan other columns' names and origins.
func renamed(n Node, cols []Column) Node {
	if p, ok := n.(*Project); ok {
		c := *p
		c.Cols = cols
		return &c
	}
	return &Project{Output: Output{cols}, Input: n, Exprs: identity(n)}
}

// optimizePlan moves conditions down in a plan and in those of the subqueries in its expressions. Bindings are changed in
// place: the plan is Optimize's own.
func optimizePlan(n Node) Node {
	n = push(n, nil)
	changed := &rewriter{flat: true, bindings: map[*Binding]*Binding{}}
	changed.expr = func(e expr.Expr, _ int) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			s, ok := e.(*expr.Subquery)
			if !ok {
				return e
			}
			c := *s
			c.Plan = optimizePlan(s.Plan.(Node))
			return &c
		})
	}
	return changed.node(n, 0)
}

// markCorrelated tells anew which subqueries depend on the rows around them: an inlined WITH query may have brought such
// a dependency along.
func markCorrelated(n Node) Node {
	return RewriteExprs(n, func(e expr.Expr, _ int) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			s, ok := e.(*expr.Subquery)
			if !ok {
				return e
			}
			if outer := Outer(s.Plan.(Node)); outer != s.Correlated {
				c := *s
				c.Correlated = outer
				return &c
			}
			return e
		})
	})
}

// inline puts the queries of a With where they are read, if that is in one place and running them there changes nothing,
// and drops those that nobody reads.
func inline(n Node) Node {
	w, ok := n.(*With)
	if !ok {
		return n
	}
	kept := []*Binding{}
	for i, b := range w.Bindings {
		reads := countReads(w.Body, b)
		for _, later := range w.Bindings[i+1:] {
			reads += countReads(later.Query, b) + countReads(later.Recursive, b)
			if later.Modify != nil {
				reads += 2 // it may read b out of our sight
			}
		}
		switch {
		case b.Modify != nil, b.Recursive != nil && reads > 0, b.Materialized && reads > 0, reads > 1:
			kept = append(kept, b)
		case reads == 1 && (volatilePlan(b.Query) || locks(b.Query)):
			kept = append(kept, b)
		case reads == 1:
			w.Body = replaceReads(w.Body, b)
			for _, later := range w.Bindings[i+1:] {
				later.Query, later.Recursive = replaceReads(later.Query, b), replaceReads(later.Recursive, b)
			}
		}
	}
	if len(kept) == 0 {
		return w.Body
	}
	return &With{kept, w.Body}
}

// countReads counts the scans of a binding, in subqueries too.
func countReads(n Node, b *Binding) int {
	count := 0
	eachNode(n, func(n Node) {
		if s, ok := n.(*CTEScan); ok && s.Binding == b {
			count++
		}
	})
	return count
}

// eachNode visits all operators, those of subqueries in expressions and of bindings too.
func eachNode(n Node, visit func(Node)) {
	Walk(n, func(n Node) bool {
		visit(n)
		for _, e := range Exprs(n) {
			expr.Walk(e, func(e expr.Expr) bool {
				if s, ok := e.(*expr.Subquery); ok {
					eachNode(s.Plan.(Node), visit)
				}
				return true
			})
		}
		return true
	})
}

// replaceReads puts a binding's query in the place of its scan. Bindings are shared with the plan, which is ours.
func replaceReads(n Node, b *Binding) Node {
	if n == nil || countReads(n, b) == 0 {
		return n
	}
	r := newRewriter(nil, nil)
	r.place = func(n Node, depth int) Node {
		if s, ok := n.(*CTEScan); ok && s.Binding == b {
			return renamed(raiseLevel(b.Query, depth), s.Cols)
		}
		return n
	}
	r.keep = true
	return r.node(n, 0)
}

// raiseLevel gives a plan as it reads from by query levels further in.
func raiseLevel(n Node, by int) Node {
	if by == 0 {
		return n
	}
	return RewriteExprs(n, func(e expr.Expr, depth int) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			if c, ok := e.(*expr.Column); ok && c.Depth > depth {
				r := *c
				r.Depth += by
				return &r
			}
			return e
		})
	})
}

// volatilePlan reports whether a plan calls a volatile function.
func volatilePlan(n Node) bool {
	found := false
	WalkAll(n, func(e expr.Expr, _ int) {
		if c, ok := e.(*expr.Call); ok && c.Func.Volat == expr.Volatile {
			found = true
		}
	})
	return found
}

func locks(n Node) bool {
	found := false
	eachNode(n, func(n Node) {
		s, ok := n.(*Scan)
		found = found || ok && s.Lock != NoLock
	})
	return found
}

// volatile reports whether an expression calls a volatile function, in subqueries too.
func volatile(e expr.Expr) bool {
	found := false
	walkExprAll(e, 0, func(e expr.Expr, _ int) {
		c, ok := e.(*expr.Call)
		found = found || ok && c.Func.Volat == expr.Volatile
	})
	return found
}

func hasSubquery(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		_, ok := e.(*expr.Subquery)
		found = found || ok
		return !found
	})
	return found
}

// simplify merges projections, and drops those that change nothing.
func simplify(n Node) Node {
	switch n := n.(type) {
	case *Project:
		if in, ok := n.Input.(*Project); ok && mergeable(n.Exprs, in) {
			c := *n
			c.Input, c.Exprs = in.Input, make([]expr.Expr, len(n.Exprs))
			for i, e := range n.Exprs {
				c.Exprs[i] = through(e, in)
			}
			return simplify(&c)
		}
		if isIdentity(n) {
			return n.Input
		}
	case *Aggregate:
		if in, ok := n.Input.(*Project); ok && mergeable(Exprs(n), in) {
			c := *n
			c.Input = in.Input
			return MapExprs(&c, func(e expr.Expr) expr.Expr { return through(e, in) })
		}
	}
	return n
}

// through gives an expression over a projection's columns as one over its input's.
func through(e expr.Expr, p *Project) expr.Expr {
	return substitute(e, func(c *expr.Column) expr.Expr { return p.Exprs[c.Index] })
}

// mergeable reports whether a projection below can be computed in the expressions above it at no greater cost.
func mergeable(above []expr.Expr, p *Project) bool {
	uses := make([]int, len(p.Exprs))
	for _, e := range above {
		if e == nil {
			continue
		}
		walkExprAll(e, 0, func(e expr.Expr, depth int) {
			if c, ok := e.(*expr.Column); ok && c.Depth == depth {
				uses[c.Index]++
				if depth > 0 {
					uses[c.Index]++ // once for each row of the subquery
				}
			}
		})
	}
	for i, e := range p.Exprs {
		switch e.(type) {
		case *expr.Column, *expr.Const, *expr.Param:
			continue
		}
		if uses[i] > 1 || volatile(e) || uses[i] > 0 && hasSubquery(e) {
			return false
		}
	}
	return true
}

// isIdentity reports whether a projection gives its input's columns as they are.
func isIdentity(p *Project) bool {
	in := p.Input.Columns()
	if len(in) != len(p.Exprs) {
		return false
	}
	for i, e := range p.Exprs {
		c, ok := e.(*expr.Column)
		if !ok || c.Depth != 0 || c.Index != i || p.Cols[i].Type != in[i].Type {
			return false
		}
	}
	return true
}
