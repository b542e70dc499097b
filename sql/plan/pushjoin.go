package plan

import (
	"github.com/miracledb/miracledb/sql/expr"
)

// sides tells which sides of a join a condition reads.
type sides uint8

const (
	neither   sides = 0
	leftSided sides = 1 << (iota - 1)
	rightSided
	bothSided = leftSided | rightSided
)

func sidesOf(cond expr.Expr, width int) sides {
	s := neither
	columnsOf(cond, func(c *expr.Column) {
		if c.Index < width {
			s |= leftSided
		} else {
			s |= rightSided
		}
	})
	return s
}

// joinConds are all conditions of a join over both sides' columns, its keys among them.
func joinConds(j *Join) []expr.Expr {
	width := len(j.Left.Columns())
	var out []expr.Expr
	for i, l := range j.LeftKeys {
		out = append(out, &expr.Call{Func: j.Eq[i], Args: []expr.Expr{l, shift(j.RightKeys[i], width)}, Typ: boolean})
	}
	return append(out, conjuncts(j.Cond)...)
}

// pushJoin pushes conditions into a join and gives it its keys.
func pushJoin(j *Join, conds []expr.Expr) Node {
	j = reduced(j, conds)
	if j.Kind == Inner && !j.Lateral {
		return pushInner(j, conds)
	}
	width := len(j.Left.Columns())
	var left, right, own, above []expr.Expr
	for _, c := range conds { // over the join's output
		switch s := sidesOf(c, width); {
		case (s == leftSided || s == neither) && j.Kind != Right && j.Kind != Full:
			left = append(left, c)
		case s == rightSided && (j.Kind == Right || j.Kind == Inner):
			right = append(right, c)
		case j.Kind == Inner:
			own = append(own, c)
		default:
			above = append(above, c)
		}
	}
	for _, c := range joinConds(j) { // its own
		s := sidesOf(c, width)
		switch {
		case volatile(c):
			own = append(own, c)
		case s == rightSided && j.Kind != Right && j.Kind != Full:
			right = append(right, c)
		case s == leftSided && (j.Kind == Right || j.Kind == Inner || j.Kind == Semi):
			left = append(left, c)
		case isTrue(c):
		default:
			own = append(own, c)
		}
	}
	out := *j
	out.LeftKeys, out.RightKeys, out.Eq, out.Cond = nil, nil, nil, nil
	out.Left = push(j.Left, left)
	for i, c := range right {
		right[i] = intoRight(c, width, j.Lateral)
	}
	out.Right = push(j.Right, right)
	out.keys(own)
	return filtered(&out, above)
}

// intoRight gives a condition on the right side's columns as it reads inside the right side.
func intoRight(c expr.Expr, width int, lateral bool) expr.Expr {
	c = shift(c, -width)
	if !lateral {
		return c
	}
	return deep(c, func(e expr.Expr, depth int) expr.Expr {
		if x, ok := e.(*expr.Column); ok && x.Depth > depth {
			r := *x
			r.Depth++
			return &r
		}
		return e
	})
}

// keys divides a join's conditions into keys and the rest.
func (j *Join) keys(conds []expr.Expr) {
	width := len(j.Left.Columns())
	var rest []expr.Expr
	for _, c := range conds {
		l, r, eq := equality(c, width)
		if eq == nil || j.Lateral {
			rest = append(rest, c)
			continue
		}
		j.LeftKeys, j.RightKeys, j.Eq = append(j.LeftKeys, l), append(j.RightKeys, shift(r, -width)), append(j.Eq, eq)
	}
	j.Cond = conjunction(rest)
}

// equality takes "left = right" apart where each argument reads one side only and the operator can be hashed; eq is nil for
// anything else.
func equality(c expr.Expr, width int) (l, r expr.Expr, eq *expr.Func) {
	call, ok := c.(*expr.Call)
	if !ok || !call.Func.Hashable() || volatile(c) {
		return nil, nil, nil
	}
	l, r, eq = call.Args[0], call.Args[1], call.Func
	if hasSubquery(l) || hasSubquery(r) {
		return nil, nil, nil
	}
	if sidesOf(l, width) == rightSided {
		l, r = r, l
		if eq.Args[0] != eq.Args[1] {
			eq = expr.Lookup("=", eq.Args[1], eq.Args[0])
		}
	}
	if sidesOf(l, width) != leftSided || sidesOf(r, width) != rightSided || eq == nil || !eq.Hashable() {
		return nil, nil, nil
	}
	return l, r, eq
}

// reduced turns an outer join into a narrower kind when a condition above drops the rows that only the wider one has.
func reduced(j *Join, conds []expr.Expr) *Join {
	width := len(j.Left.Columns())
	dropsLeft, dropsRight := false, false // rows in which that side is all NULL
	for _, c := range conds {
		dropsLeft = dropsLeft || rejectsNull(c, func(i int) bool { return i < width })
		dropsRight = dropsRight || rejectsNull(c, func(i int) bool { return i >= width })
	}
	kind := j.Kind
	switch {
	case kind == Left && dropsRight, kind == Right && dropsLeft, kind == Full && dropsLeft && dropsRight:
		kind = Inner
	case kind == Full && dropsLeft:
		kind = Left
	case kind == Full && dropsRight:
		kind = Right
	}
	if kind == j.Kind {
		return j
	}
	out := *j
	out.Kind = kind
	return &out
}

// rejectsNull reports whether a condition cannot be true when certain columns are NULL.
func rejectsNull(e expr.Expr, in func(i int) bool) bool {
	switch e := e.(type) {
	case *expr.And:
		for _, a := range e.Args {
			if rejectsNull(a, in) {
				return true
			}
		}
	case *expr.Or:
		for _, a := range e.Args {
			if !rejectsNull(a, in) {
				return false
			}
		}
		return true
	case *expr.Not:
		return nullWith(e.Arg, in)
	case *expr.IsNull:
		return e.Negated && nullWith(e.Arg, in)
	case *expr.BoolTest:
		return !e.Negated && !e.Value.IsNull() && nullWith(e.Arg, in)
	case *expr.AnyAll:
		return !e.All && e.Op.Strict && nullWith(e.Left, in)
	}
	return nullWith(e, in)
}

// nullWith reports whether an expression is NULL when certain columns are.
func nullWith(e expr.Expr, in func(i int) bool) bool {
	switch e := e.(type) {
	case *expr.Column:
		return e.Depth == 0 && in(e.Index)
	case *expr.Cast:
		return nullWith(e.Arg, in)
	case *expr.Not:
		return nullWith(e.Arg, in)
	case *expr.Call:
		if !e.Func.Strict || e.Func.Kind != expr.ScalarFunc || e.VariadicArray {
			return false
		}
		for _, a := range e.Args {
			if nullWith(a, in) {
				return true
			}
		}
	}
	return false
}
