package duck

import (
	"strings"

	"github.com/miracledb/miracledb/sql/plan"
)

func (t *translator) join(n *plan.Join, need []bool, outer *scope) *rel {
	nl := len(n.Left.Columns())
	both := make([]bool, nl+len(n.Right.Columns()))
	copy(both, need) // Semi and Anti have the left columns only
	uses(n.Cond, 0, both)
	needLeft, needRight := both[:nl], both[nl:]
	for i := range n.LeftKeys {
		uses(n.LeftKeys[i], 0, needLeft)
		uses(n.RightKeys[i], 0, needRight)
	}
	if n.Lateral {
		nodeUses(n.Right, 1, needLeft)
	}
	l := t.open(t.node(n.Left, needLeft, outer))
	around := outer
	if n.Lateral {
		around = &scope{l.cols, outer}
	}
	r := t.node(n.Right, needRight, around)
	if n.Lateral {
		r = t.lateral(n, r)
	} else {
		r = t.open(r)
	}
	on := t.joinCondition(n, l, r, outer)
	return t.joined(n.Kind, l, r, on)
}

func (t *translator) lateral(n *plan.Join, r *rel) *rel {
	if n.Kind != plan.Inner && n.Kind != plan.Left {
		fail("a lateral join of this kind")
	}
	r = t.closed(r)
	r.from = "LATERAL " + r.from
	return r
}

func (t *translator) joinCondition(n *plan.Join, l, r *rel, outer *scope) []string {
	var on []string
	for i := range n.LeftKeys {
		a := t.expr(n.LeftKeys[i], &scope{l.cols, outer})
		b := t.expr(n.RightKeys[i], &scope{r.cols, outer})
		on = append(on, t.apply(n.Eq[i], []value{a, b}, boolType, nil).sql)
	}
	if n.Cond != nil {
		cols := append(append([]value{}, l.cols...), r.cols...)
		on = append(on, t.condition(n.Cond, &scope{cols, outer}).sql)
	}
	return on
}

// joined writes the join. A side's own filter goes above the join where its rows are kept as they are, else into the
// condition.
func (t *translator) joined(kind plan.JoinKind, l, r *rel, on []string) *rel {
	out := &rel{}
	switch kind {
	case plan.Inner:
		out.where = append(l.where, r.where...)
	case plan.Left, plan.Semi, plan.Anti:
		out.where = l.where
		on = append(on, r.where...)
	case plan.Right:
		out.where = r.where
		on = append(on, l.where...)
	case plan.Full:
		if len(l.where) > 0 {
			l.where = append([]string{}, l.where...)
		}
		on = t.fullSides(l, r, on)
	}
	out.cols = l.cols
	if kind != plan.Semi && kind != plan.Anti {
		out.cols = append(append([]value{}, l.cols...), r.cols...)
	}
	left, right := fromOrUnit(l), fromOrUnit(r)
	if strings.Contains(right, " JOIN ") && !strings.HasPrefix(right, "(SELECT") && !strings.HasPrefix(right, "LATERAL") {
		right = "(" + right + ")"
	}
	word := [...]string{" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " SEMI JOIN ", " ANTI JOIN "}[kind]
	if len(on) == 0 {
		on = []string{"true"}
		if kind == plan.Inner {
			out.from = left + " CROSS JOIN " + right
			return out
		}
	}
	out.from = left + word + right + " ON " + strings.Join(on, " AND ")
	return out
}

// fullSides: a filter below a full join can go nowhere else.
func (t *translator) fullSides(l, r *rel, on []string) []string {
	if len(l.where)+len(r.where) > 0 {
		fail("a full join over filtered inputs")
	}
	return on
}

func fromOrUnit(r *rel) string {
	if r.from == "" {
		return "(SELECT 1 AS one) AS unit"
	}
	return r.from
}
