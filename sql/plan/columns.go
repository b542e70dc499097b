package plan

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

var boolean = row.T(row.Bool)

// deep rewrites an expression, the plans of subqueries in it included: f gets every expression bottom up with the number
// of query levels between e and it.
func deep(e expr.Expr, f func(e expr.Expr, depth int) expr.Expr) expr.Expr {
	return newRewriter(func(e expr.Expr, depth int) expr.Expr {
		return expr.Rewrite(e, func(e expr.Expr) expr.Expr { return f(e, depth) })
	}, nil).expression(e, 0)
}

// substitute puts f's result in the place of every column of e's own input row (Depth 0), also where subqueries refer to
// it. f's results are over the new input row.
func substitute(e expr.Expr, f func(c *expr.Column) expr.Expr) expr.Expr {
	return deep(e, func(e expr.Expr, depth int) expr.Expr {
		c, ok := e.(*expr.Column)
		if !ok || c.Depth != depth {
			return e
		}
		own := *c
		own.Depth = 0
		return raise(f(&own), depth)
	})
}

// raise gives e as it reads from by query levels further in.
func raise(e expr.Expr, by int) expr.Expr {
	if by == 0 {
		return e
	}
	return deep(e, func(e expr.Expr, depth int) expr.Expr {
		if c, ok := e.(*expr.Column); ok && c.Depth >= depth {
			r := *c
			r.Depth += by
			return &r
		}
		return e
	})
}

// shift moves the columns of e's own input row by a number of places.
func shift(e expr.Expr, by int) expr.Expr {
	if by == 0 || e == nil {
		return e
	}
	return substitute(e, func(c *expr.Column) expr.Expr {
		c.Index += by
		return c
	})
}

// columnsOf calls visit for every column of e's own input row, also where subqueries refer to it.
func columnsOf(e expr.Expr, visit func(c *expr.Column)) {
	if e == nil {
		return
	}
	walkExprAll(e, 0, func(e expr.Expr, depth int) {
		if c, ok := e.(*expr.Column); ok && c.Depth == depth {
			visit(c)
		}
	})
}

// conjuncts are the parts of a condition that must all hold.
func conjuncts(e expr.Expr) []expr.Expr {
	if e == nil {
		return nil
	}
	and, ok := e.(*expr.And)
	if !ok {
		return []expr.Expr{e}
	}
	var out []expr.Expr
	for _, arg := range and.Args {
		out = append(out, conjuncts(arg)...)
	}
	return out
}

// conjunction is the condition that all of a list hold; nil for none.
func conjunction(list []expr.Expr) expr.Expr {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return &expr.And{Args: list}
}

// columnAt is column i of an operator's output.
func columnAt(n Node, i int) *expr.Column {
	c := n.Columns()[i]
	name := c.Name
	if s, ok := n.(*Scan); ok && s.Alias != "" {
		name = s.Alias + "." + name
	}
	return &expr.Column{Index: i, Typ: c.Type, Name: name}
}

// identity are all columns of an operator.
func identity(n Node) []expr.Expr {
	out := make([]expr.Expr, len(n.Columns()))
	for i := range out {
		out[i] = columnAt(n, i)
	}
	return out
}
