package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// ordering is one key of ORDER BY: a target.
type ordering struct {
	target int
	key    SortKey // its Expr is not used
	loc    int32
}

// orderBy finds the targets that ORDER BY names, or adds junk.
func (q *selection) orderBy() error {
	for _, n := range q.sel.SortClause {
		by := n.GetSortBy()
		i, err := q.find(by.Node, "ORDER BY", inOrderBy)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(q.order, func(o ordering) bool { return o.target == i }) {
			continue
		}
		key, err := q.a.sortKey(by, q.targets[i].expr)
		if err != nil {
			return err
		}
		q.order = append(q.order, ordering{i, key, location(by.Node)})
	}
	return nil
}

// find gives the target that an expression of ORDER BY, GROUP BY or DISTINCT ON means: by output name, by number (the
// rules of SQL92), or as an expression, which is added when it is not in the list. Its type is settled.
func (q *selection) find(n *pg.Node, clause string, in place) (int, error) {
	i, err := q.named(n, clause, in)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		if i, err = q.numbered(n, clause); err != nil {
			return 0, err
		}
	}
	if i < 0 {
		if i, err = q.expression(n, in); err != nil {
			return 0, err
		}
	} else if in == inGroupBy {
		if err := q.plain(i, n); err != nil {
			return 0, err
		}
	}
	t := &q.targets[i]
	t.expr = q.a.settle(t.expr)
	t.col.Type = t.expr.Type()
	return i, nil
}

// named finds a target by its output name; -1: the node is no such name.
func (q *selection) named(n *pg.Node, clause string, in place) (int, error) {
	ref := n.GetColumnRef()
	if ref == nil || len(ref.Fields) != 1 || ref.Fields[0].GetString_() == nil {
		return -1, nil
	}
	name := ref.Fields[0].GetString_().Sval
	if in == inGroupBy {
		// A column of FROM goes before an output name.
		for _, it := range q.s.items {
			if it.hidden {
				continue
			}
			if c, _ := it.find(name); c != nil {
				return -1, nil
			}
		}
	}
	found := -1
	for i, t := range q.targets {
		if t.junk || t.col.Name != name {
			continue
		}
		if found >= 0 && !expr.Equal(q.targets[found].expr, t.expr) {
			return 0, errs.SQL("42702", "%s %q is ambiguous", clause, name).At(q.a.pos(ref.Location))
		}
		if found < 0 {
			found = i
		}
	}
	return found, nil
}

// numbered finds a target by its number; -1: the node is no constant.
func (q *selection) numbered(n *pg.Node, clause string) (int, error) {
	c := n.GetAConst()
	if c == nil {
		return -1, nil
	}
	at, ok := c.Val.(*pg.A_Const_Ival)
	if c.Isnull || !ok {
		return 0, errs.SQL("42601", "non-integer constant in %s", clause).At(q.a.pos(c.Location))
	}
	number := int(at.Ival.Ival)
	for i, t := range q.targets {
		if !t.junk && i+1 == number {
			return i, nil
		}
	}
	return 0, errs.SQL("42P10", "%s position %d is not in select list", clause, number).At(q.a.pos(c.Location))
}

// expression finds or adds a target for an expression.
func (q *selection) expression(n *pg.Node, in place) (int, error) {
	e, err := q.a.expression(q.s, n, in)
	if err != nil {
		return 0, err
	}
	for i, t := range q.targets {
		if same(t.expr, e) {
			return i, nil
		}
	}
	q.targets = append(q.targets, target{expr: e, loc: location(n), junk: true, col: Column{Name: outputName(n), Type: e.Type()}})
	return len(q.targets) - 1, nil
}

// plain refuses a target with aggregates or window functions for GROUP BY.
func (q *selection) plain(i int, n *pg.Node) (err error) {
	expr.Walk(q.targets[i].expr, func(e expr.Expr) bool {
		switch e := e.(type) {
		case *aggregateRef:
			err = errs.SQL("42803", "aggregate functions are not allowed in GROUP BY").At(e.pos)
		case *windowRef:
			err = errs.SQL("42P20", "window functions are not allowed in GROUP BY").At(e.pos)
		}
		return err == nil
	})
	return err
}

// distinctBy checks DISTINCT and DISTINCT ON.
func (q *selection) distinctBy() error {
	list := q.sel.DistinctClause
	if len(list) == 0 {
		return nil
	}
	if len(list) == 1 && list[0].GetNode() == nil {
		return q.distinctAll()
	}
	var on []int
	var locs []int32
	for _, n := range list {
		i, err := q.find(n, "DISTINCT ON", inDistinctOn)
		if err != nil {
			return err
		}
		if err := hasEquality(q.targets[i].expr.Type()); err != nil {
			return q.a.at(location(n), err)
		}
		if !slices.Contains(on, i) {
			on, locs = append(on, i), append(locs, location(n))
		}
	}
	mismatch := func(loc int32) error {
		return errs.SQL("42P10", "SELECT DISTINCT ON expressions must match initial ORDER BY expressions").At(q.a.pos(loc))
	}
	skipped := false
	for _, o := range q.order {
		at := slices.Index(on, o.target)
		switch {
		case at < 0:
			skipped = true
		case skipped:
			return mismatch(locs[at])
		default:
			q.on = append(q.on, o.target)
		}
	}
	for at, i := range on {
		if slices.Contains(q.on, i) {
			continue
		}
		if skipped {
			return mismatch(locs[at])
		}
		q.on = append(q.on, i)
		q.order = append(q.order, ordering{target: i, loc: locs[at]})
	}
	return nil
}

func (q *selection) distinctAll() error {
	q.distinct = true
	for _, o := range q.order {
		if q.targets[o.target].junk {
			return errs.SQL("42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list").At(q.a.pos(o.loc))
		}
	}
	for i := range q.targets {
		t := &q.targets[i]
		if t.junk {
			continue
		}
		t.expr = q.a.settle(t.expr)
		t.col.Type = t.expr.Type()
		if err := hasEquality(t.col.Type); err != nil {
			return q.a.at(t.loc, err)
		}
	}
	return nil
}

// hasEquality is 42883 for a type whose values cannot be told apart.
func hasEquality(t row.Type) error {
	if _, _, err := expr.Equality(t, t); err != nil && t.OID != row.Record {
		return errs.SQL("42883", "could not identify an equality operator for type %s", t)
	}
	return nil
}

// sorted adds DISTINCT and ORDER BY.
func (q *selection) sorted(n Node) Node {
	if q.distinct {
		n = &Distinct{Input: n}
	}
	if len(q.order) > 0 {
		n = &Sort{n, q.keys(n)}
	}
	if q.on != nil {
		d := &Distinct{Input: n}
		for _, i := range q.on {
			d.On = append(d.On, columnAt(n, i))
		}
		n = d
	}
	return n
}

// keys are the keys of ORDER BY over the SELECT list's columns.
func (q *selection) keys(n Node) []SortKey {
	keys := make([]SortKey, len(q.order))
	for i, o := range q.order {
		keys[i] = o.key
		keys[i].Expr = columnAt(n, o.target)
	}
	return keys
}
