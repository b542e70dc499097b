package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

var joinKinds = map[pg.JoinType]JoinKind{pg.JoinType_JOIN_INNER: Inner, pg.JoinType_JOIN_LEFT: Left,
	pg.JoinType_JOIN_RIGHT: Right, pg.JoinType_JOIN_FULL: Full}

// join checks a JOIN: its sides, its condition, and the item that its columns are.
func (a *analyzer) join(j *pg.JoinExpr, l *queryLevel, around *scope) (*source, error) {
	kind := joinKinds[j.Jointype]
	left, err := a.source(j.Larg, l, around)
	if err != nil {
		return nil, err
	}
	visible := leftOpen
	if kind == Right || kind == Full {
		visible = leftOuter
	}
	right, lateral, err := a.right(j.Rarg, left, l, around, visible)
	if err != nil {
		return nil, err
	}
	out, err := a.joined(kind, left, right, lateral, nil)
	if err != nil {
		return nil, err
	}
	m, err := a.merge(j, kind, left, right)
	if err != nil {
		return nil, err
	}
	cond := conjunction(m.conds)
	if j.Quals != nil {
		on := &scope{outer: closed(around, l), items: out.items, level: l}
		if cond, err = a.condition(on, j.Quals, inJoinOn, "argument of JOIN/ON"); err != nil {
			return nil, err
		}
	}
	out.node.(*Join).Cond = cond
	return a.joinItems(j, l, out, m)
}

// joinItems gives the join its own item and takes the sides' columns out of sight.
func (a *analyzer) joinItems(j *pg.JoinExpr, l *queryLevel, out *source, m *merge) (*source, error) {
	it := &item{columns: m.columns, isJoin: true}
	var items []*item
	if j.Alias == nil {
		for _, side := range out.items {
			c := *side
			c.hidden = true
			items = append(items, &c)
		}
	} else {
		it.alias = j.Alias.Aliasname
		if err := rename(it, j.Alias); err != nil {
			return nil, err
		}
	}
	l.items = append(l.items, it)
	if j.JoinUsingAlias != nil {
		using := &item{alias: j.JoinUsingAlias.Aliasname, columns: slices.Clone(m.columns[:m.merged]), hidden: true, isJoin: true}
		if err := conflict(items, using); err != nil {
			return nil, err
		}
		items = append(items, using)
	}
	out.items = append(items, it)
	return out, nil
}

// merge is what USING and NATURAL make of two sides.
type merge struct {
	conds   []expr.Expr
	columns []itemColumn // merged ones first, then the rest of the left side, then of the right one
	merged  int
}

// offered are the columns that a side gives to * and to USING, over its own row.
func offered(items []*item) []itemColumn {
	var out []itemColumn
	for _, it := range items {
		if !it.hidden {
			out = append(out, it.columns...)
		}
	}
	return out
}

func (a *analyzer) merge(j *pg.JoinExpr, kind JoinKind, left, right *source) (*merge, error) {
	width := len(left.node.Columns())
	ls, rs := offered(left.items), offered(right.items)
	for i := range rs {
		rs[i].expr = shift(rs[i].expr, width)
	}
	var names []string
	for _, n := range j.UsingClause {
		names = append(names, n.GetString_().Sval)
	}
	if j.IsNatural {
		for _, c := range ls {
			if !c.unlisted && slices.ContainsFunc(rs, func(r itemColumn) bool { return !r.unlisted && r.Name == c.Name }) {
				names = append(names, c.Name)
			}
		}
	}
	m := &merge{merged: len(names)}
	var usedLeft, usedRight []int
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, errs.SQL("42701", "column name %q appears more than once in USING clause", name)
		}
		li, err := usingColumn(ls, name, "left")
		if err != nil {
			return nil, err
		}
		ri, err := usingColumn(rs, name, "right")
		if err != nil {
			return nil, err
		}
		usedLeft, usedRight = append(usedLeft, li), append(usedRight, ri)
		l, r, eq, err := a.equality(ls[li].expr, rs[ri].expr, -1)
		if err != nil {
			return nil, err
		}
		m.conds = append(m.conds, &expr.Call{Func: eq, Args: []expr.Expr{l, r}, Typ: boolean})
		c, err := a.mergedColumn(kind, ls[li], rs[ri])
		if err != nil {
			return nil, err
		}
		m.columns = append(m.columns, c)
	}
	for i, c := range ls {
		if !slices.Contains(usedLeft, i) {
			m.columns = append(m.columns, c)
		}
	}
	for i, c := range rs {
		if !slices.Contains(usedRight, i) {
			m.columns = append(m.columns, c)
		}
	}
	return m, nil
}

func usingColumn(columns []itemColumn, name, side string) (int, error) {
	found := -1
	for i, c := range columns {
		if c.Name != name {
			continue
		}
		if found >= 0 {
			return 0, errs.SQL("42702", "common column name %q appears more than once in %s table", name, side)
		}
		found = i
	}
	if found < 0 {
		return 0, errs.SQL("42703", "column %q specified in USING clause does not exist in %s table", name, side)
	}
	return found, nil
}

// mergedColumn is the one column that two equal ones become.
func (a *analyzer) mergedColumn(kind JoinKind, l, r itemColumn) (itemColumn, error) {
	es, t, err := a.common([]expr.Expr{l.expr, r.expr}, []int32{-1, -1}, "JOIN/USING")
	if err != nil {
		return itemColumn{}, err
	}
	c := itemColumn{Column: Column{Name: l.Name, Type: t}, expr: es[0], merged: true}
	from := &l
	switch kind {
	case Right:
		c.expr, from = es[1], &r
	case Full:
		c.expr, from = &expr.Coalesce{Args: es, Typ: t}, nil
	case Inner:
		if es[0] != l.expr && es[1] == r.expr {
			c.expr, from = es[1], &r
		}
	}
	if from != nil && c.expr == from.expr {
		c.Relation, c.Attribute = from.Relation, from.Attribute
	}
	return c, nil
}
