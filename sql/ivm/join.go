package ivm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ivm/vector"
	"github.com/miracledb/miracledb/sql/plan"
)

var joinKinds = map[plan.JoinKind]op.JoinKind{plan.Inner: op.Inner, plan.Left: op.Left, plan.Right: op.Right, plan.Full: op.Full,
	plan.Semi: op.Semi, plan.Anti: op.Anti}

// keyType is the type in which the two sides of an equality meet; false: they are compared as a condition instead.
func keyType(l, r row.Type) (row.Type, bool) {
	lk, rk := row.KindOf(l.OID), row.KindOf(r.OID)
	switch {
	case lk != rk || lk == row.KindList || lk == row.KindRecord || lk == row.KindNull:
		return l, false
	case lk == row.KindInt:
		return row.T(row.Int8), true
	case lk == row.KindFloat:
		return row.T(row.Float8), true
	case lk == row.KindNumeric:
		return row.T(row.Numeric), true
	case lk == row.KindText && (l.OID == row.BPChar) != (r.OID == row.BPChar), lk == row.KindText && (l.OID == row.JSONB) != (r.OID == row.JSONB):
		return l, false
	case lk == row.KindTimestamp && l.OID != r.OID:
		return l, false
	}
	return l, true
}

// widened casts a key to the type in which the sides meet, where that changes its Arrow form.
func widened(e expr.Expr, to row.Type) expr.Expr {
	if k := row.KindOf(to.OID); (k == row.KindInt || k == row.KindFloat) && e.Type().OID != to.OID {
		if e.Type().OID == row.Int2 || e.Type().OID == row.Int4 || e.Type().OID == row.Float4 {
			return &expr.Cast{Arg: e, To: to, Context: expr.Implicit}
		}
	}
	return e
}

// joinParts are a join's keys and condition as operators take them.
type joinParts struct {
	left, right []expr.Expr // equal pairs, each over its own input
	normal      []bool      // by pair: through row.AppendKey
	cond        expr.Expr   // over the left columns, then the right ones
}

func partsOf(n *plan.Join) joinParts {
	var p joinParts
	var conds []expr.Expr
	width := len(n.Left.Columns())
	for i, l := range n.LeftKeys {
		r := n.RightKeys[i]
		t, ok := keyType(l.Type(), r.Type())
		if !ok {
			moved := rewrite(r, func(x expr.Expr) expr.Expr {
				if c, ok := x.(*expr.Column); ok && c.Depth == 0 {
					shifted := *c
					shifted.Index += width
					return &shifted
				}
				return nil
			})
			conds = append(conds, &expr.Call{Func: n.Eq[i], Args: []expr.Expr{l, moved}, Typ: row.T(row.Bool)})
			continue
		}
		p.left, p.right = append(p.left, widened(l, t)), append(p.right, widened(r, t))
		same := exact(l.Type()) && exact(r.Type())
		if row.KindOf(l.Type().OID) == row.KindNumeric {
			same = same && l.Type() == r.Type()
		}
		p.normal = append(p.normal, !same)
	}
	if n.Cond != nil {
		conds = append(conds, n.Cond)
	}
	switch len(conds) {
	case 0:
	case 1:
		p.cond = conds[0]
	default:
		p.cond = &expr.And{Args: conds}
	}
	return p
}

func (c *compiler) join(n *plan.Join, need map[int]bool) (*stream, error) {
	if n.Lateral {
		return nil, unsupported("LATERAL")
	}
	p := partsOf(n)
	width := len(n.Left.Columns())
	kept := need
	if p.cond != nil {
		kept = columnsOf(need, p.cond)
	}
	leftNeed, rightNeed := map[int]bool{}, map[int]bool{}
	for i := range kept {
		if i < width {
			leftNeed[i] = true
		} else {
			rightNeed[i-width] = true
		}
	}
	l, leftKeys, err := c.joinSide(n.Left, columnsOf(leftNeed, p.left...), p.left, p.normal)
	if err != nil {
		return nil, err
	}
	r, rightKeys, err := c.joinSide(n.Right, columnsOf(rightNeed, p.right...), p.right, p.normal)
	if err != nil {
		return nil, err
	}
	kind := joinKinds[n.Kind]
	spec := op.JoinSpec{Kind: kind, LeftKeys: leftKeys, RightKeys: rightKeys}
	out := &stream{at: map[int]int{}}
	pair := &stream{at: map[int]int{}} // the columns that the condition sees
	keep := func(s *stream, cols map[int]bool, shift int, places *[]int) {
		for _, i := range slices.Sorted(maps.Keys(cols)) {
			*places = append(*places, s.at[i])
			pair.at[i+shift] = len(pair.types)
			pair.types = append(pair.types, s.types[s.at[i]])
		}
	}
	keep(l, leftNeed, 0, &spec.LeftColumns)
	keep(r, rightNeed, width, &spec.RightColumns)
	label := fmt.Sprintf("%s join on %v = %v keep %v, %v", kind, leftKeys, rightKeys, spec.LeftColumns, spec.RightColumns)
	if p.cond != nil {
		cond := pair.local(p.cond)
		program, err := vector.Compile([]expr.Expr{cond}, []string{"cond"}, pair.types)
		if err != nil {
			return nil, err
		}
		spec.Cond = program.Where
		label += " where " + describe(cond)
	}
	j, err := op.NewJoin(l.schema, r.schema, spec)
	if err != nil {
		return nil, err
	}
	out.at, out.types, out.schema = pair.at, pair.types, j.Schema()
	if kind == op.Semi || kind == op.Anti {
		out.types = pair.types[:len(spec.LeftColumns)]
	}
	out.appendOnly = l.appendOnly && r.appendOnly && (kind == op.Inner || kind == op.Semi)
	out.key = joinKey(n, l.key, r.key, width)
	out.wire = c.graph.Add(j, label, l.wire, r.wire)
	return out, nil
}

// joinKey is the join's key: the left one when each left row has at most one partner, else both.
func joinKey(n *plan.Join, l, r []int, width int) []int {
	if l == nil {
		return nil
	}
	if n.Kind == plan.Semi || n.Kind == plan.Anti {
		return l
	}
	if r == nil {
		return nil
	}
	single := n.Kind == plan.Inner || n.Kind == plan.Left
	for _, k := range r {
		single = single && slices.ContainsFunc(n.RightKeys, func(e expr.Expr) bool {
			c, ok := e.(*expr.Column)
			return ok && c.Depth == 0 && c.Index == k
		})
	}
	out := slices.Clone(l)
	if !single {
		for _, k := range r {
			out = append(out, k+width)
		}
	}
	return out
}

// joinSide compiles an input with its key columns.
func (c *compiler) joinSide(n plan.Node, need map[int]bool, keys []expr.Expr, normal []bool) (*stream, []int, error) {
	s, err := c.compile(n, need)
	if err != nil {
		return nil, nil, err
	}
	var plain []expr.Expr
	var computed []keyColumn
	for i, k := range keys {
		local := s.local(k)
		if normal[i] {
			computed = append(computed, keyColumn{exprs: []expr.Expr{local}, normal: true})
		} else {
			plain = append(plain, local)
		}
	}
	s, plainAt, computedAt, err := c.extend(s, plain, computed)
	if err != nil {
		return nil, nil, err
	}
	var places []int
	for _, isNormal := range normal {
		if isNormal {
			places, computedAt = append(places, computedAt[0]), computedAt[1:]
		} else {
			places, plainAt = append(places, plainAt[0]), plainAt[1:]
		}
	}
	return s, places, nil
}
