package plan

import (
	"slices"

	"github.com/miracledb/miracledb/sql/expr"
)

// joinGroup is a tree of inner joins taken apart. The row of the group is that of its leaves one after the other.
type joinGroup struct {
	leaves  []Node
	offsets []int // where each leaf's columns begin
	width   int
	conds   []expr.Expr // over the group's row
}

// flatten adds the tree below n, and gives n's columns as expressions over the group's row.
func (g *joinGroup) flatten(n Node) []expr.Expr {
	switch n := n.(type) {
	case *Join:
		if n.Kind == Inner && !n.Lateral {
			cols := append(g.flatten(n.Left), g.flatten(n.Right)...)
			g.add(joinConds(n), cols)
			return cols
		}
	case *Filter:
		if splits(n.Input) && !volatile(n.Cond) {
			cols := g.flatten(n.Input)
			g.add(conjuncts(n.Cond), cols)
			return cols
		}
	case *Project:
		if (splits(n.Input) || scansTable(n.Input)) && plainColumns(n.Exprs) {
			return replaced(n.Exprs, g.flatten(n.Input))
		}
	}
	g.leaves, g.offsets = append(g.leaves, n), append(g.offsets, g.width)
	cols := identity(n)
	for i := range cols {
		cols[i] = shift(cols[i], g.width)
	}
	g.width += len(cols)
	return cols
}

// splits reports whether flatten takes an operator apart.
func splits(n Node) bool {
	switch n := n.(type) {
	case *Join:
		return n.Kind == Inner && !n.Lateral
	case *Filter:
		return splits(n.Input)
	case *Project:
		return (splits(n.Input) || scansTable(n.Input)) && plainColumns(n.Exprs)
	}
	return false
}

// scansTable reports whether an operator is a scan with conditions.
func scansTable(n Node) bool {
	if f, ok := n.(*Filter); ok {
		n = f.Input
	}
	_, ok := n.(*Scan)
	return ok
}

func plainColumns(exprs []expr.Expr) bool {
	return !slices.ContainsFunc(exprs, func(e expr.Expr) bool {
		c, ok := e.(*expr.Column)
		return !ok || c.Depth != 0
	})
}

func (g *joinGroup) add(conds, cols []expr.Expr) {
	for _, cond := range replaced(conds, cols) {
		for _, c := range factored(cond) {
			if !isTrue(c) {
				g.conds = append(g.conds, c)
			}
		}
	}
}

// leafOf is the leaf of a column of the group's row.
func (g *joinGroup) leafOf(column int) int {
	leaf := len(g.leaves) - 1
	for g.offsets[leaf] > column {
		leaf--
	}
	return leaf
}

func (g *joinGroup) leavesOf(cond expr.Expr) []int {
	var out []int
	columnsOf(cond, func(c *expr.Column) {
		if leaf := g.leafOf(c.Index); !slices.Contains(out, leaf) {
			out = append(out, leaf)
		}
	})
	return out
}

// pushInner takes a tree of inner joins apart, gives each leaf its own conditions, and joins the leaves: first one whose
// rows are found by key, then in their order as long as an equality connects the next one.
func pushInner(j *Join, conds []expr.Expr) Node {
	g := &joinGroup{}
	cols := g.flatten(j)
	g.add(conds, cols)
	g.derive()
	g.restrict()
	own := make([][]expr.Expr, len(g.leaves))
	var rest, above []expr.Expr
	for _, c := range g.conds {
		switch leaves := g.leavesOf(c); {
		case volatile(c):
			above = append(above, c)
		case len(leaves) == 0:
			own[0] = append(own[0], c)
		case len(leaves) == 1:
			own[leaves[0]] = append(own[leaves[0]], shift(c, -g.offsets[leaves[0]]))
		default:
			rest = append(rest, c)
		}
	}
	for i, leaf := range g.leaves {
		g.leaves[i] = push(leaf, own[i])
	}
	b := &joinBuilder{g: g, rest: rest, at: make([]int, len(g.leaves))}
	n := b.build()
	moved := func(e expr.Expr) expr.Expr { return substitute(e, b.moved) }
	for i, c := range above {
		above[i] = moved(c)
	}
	n = filtered(n, above)
	p := &Project{Output: Output{j.Cols}, Input: n}
	for _, c := range cols {
		p.Exprs = append(p.Exprs, moved(c))
	}
	if isIdentity(p) {
		return n
	}
	return p
}

// joinBuilder joins a group's leaves.
type joinBuilder struct {
	g    *joinGroup
	rest []expr.Expr // conditions that were not placed yet
	done []int       // leaves that are joined
	at   []int       // where their columns begin now
}

// moved gives a column of the group's row as one of what is joined.
func (b *joinBuilder) moved(c *expr.Column) expr.Expr {
	leaf := b.g.leafOf(c.Index)
	c.Index += b.at[leaf] - b.g.offsets[leaf]
	return c
}

func (b *joinBuilder) build() Node {
	first := b.first()
	n := b.g.leaves[first]
	b.done = []int{first}
	for len(b.done) < len(b.g.leaves) {
		next := b.next()
		right := b.g.leaves[next]
		b.at[next] = len(n.Columns())
		b.done = append(b.done, next)
		j := &Join{Kind: Inner, Left: n, Right: right}
		j.Cols = append(append(j.Cols, n.Columns()...), right.Columns()...)
		ready, rest := split(b.rest, func(c expr.Expr) bool { return !b.waits(c) })
		b.rest = rest
		for i, c := range ready {
			ready[i] = substitute(c, b.moved)
		}
		j.keys(ready)
		n = j
	}
	return n
}

// first is the leaf to begin with: the one whose rows are found best, so that the others can be looked up from there.
func (b *joinBuilder) first() int {
	best := 0
	for i, leaf := range b.g.leaves {
		if reach(leaf) > reach(b.g.leaves[best]) {
			best = i
		}
	}
	return best
}

// waits reports whether a condition reads a leaf that is not joined yet.
func (b *joinBuilder) waits(c expr.Expr) bool {
	return slices.ContainsFunc(b.g.leavesOf(c), func(leaf int) bool { return !slices.Contains(b.done, leaf) })
}

// next is the first leaf that an equality connects with what is joined, else the first one.
func (b *joinBuilder) next() int {
	first := -1
	for leaf := range b.g.leaves {
		if slices.Contains(b.done, leaf) {
			continue
		}
		if first < 0 {
			first = leaf
		}
		if slices.ContainsFunc(b.rest, func(c expr.Expr) bool { return b.connects(c, leaf) }) {
			return leaf
		}
	}
	return first
}

// connects reports whether a condition is an equality of a leaf and what is joined.
func (b *joinBuilder) connects(c expr.Expr, leaf int) bool {
	call, ok := c.(*expr.Call)
	if !ok || !call.Func.Hashable() {
		return false
	}
	l, r := b.g.leavesOf(call.Args[0]), b.g.leavesOf(call.Args[1])
	if slices.Contains(l, leaf) {
		l, r = r, l
	}
	return len(r) == 1 && r[0] == leaf && len(l) > 0 && !slices.ContainsFunc(l, func(x int) bool { return !slices.Contains(b.done, x) })
}

// derive adds "b = constant" where there are "a = b" and "a = constant", so that both sides of a join are found by key.
func (g *joinGroup) derive() {
	for i := 0; i < len(g.conds); i++ {
		known, ok := g.conds[i].(*expr.Call)
		if !ok || !symmetric(known.Func) {
			continue
		}
		column, value := known.Args[0], known.Args[1]
		if fixedValue(column) {
			column, value = value, column
		}
		if _, ok := column.(*expr.Column); !ok || !fixedValue(value) {
			continue
		}
		for _, c := range g.conds {
			other, ok := c.(*expr.Call)
			if !ok || other.Func != known.Func {
				continue
			}
			for side := range 2 {
				if !expr.Equal(other.Args[side], column) {
					continue
				}
				if to, ok := other.Args[1-side].(*expr.Column); ok && to.Depth == 0 {
					g.addOnce(&expr.Call{Func: known.Func, Args: []expr.Expr{to, value}, Typ: boolean})
				}
			}
		}
	}
}

// symmetric reports whether f is "=" of one type.
func symmetric(f *expr.Func) bool {
	return f.Name == "=" && len(f.Args) == 2 && f.Args[0] == f.Args[1] && f.Hashable()
}

// fixedValue reports whether an expression reads nothing of the row and is cheap.
func fixedValue(e expr.Expr) bool {
	switch e := e.(type) {
	case *expr.Const, *expr.Param:
		return true
	case *expr.Column:
		return e.Depth > 0
	case *expr.Cast:
		return fixedValue(e.Arg)
	}
	return false
}

func (g *joinGroup) addOnce(cond *expr.Call) {
	mirror := &expr.Call{Func: cond.Func, Args: []expr.Expr{cond.Args[1], cond.Args[0]}, Typ: boolean}
	if !slices.ContainsFunc(g.conds, func(c expr.Expr) bool { return expr.Equal(c, cond) || expr.Equal(c, mirror) }) {
		g.conds = append(g.conds, cond)
	}
}
