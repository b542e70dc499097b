package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// update checks UPDATE; outer has the WITH bindings around.
func (a *analyzer) update(n *pg.UpdateStmt, outer *scope) (*Update, error) {
	out := &Update{}
	var err error
	if out.With, outer, err = a.with(n.WithClause, outer); err != nil {
		return nil, err
	}
	if out.Table, err = a.writable(n.Relation, updating); err != nil {
		return nil, err
	}
	var s *scope
	if out.Source, s, err = a.matching(n.Relation, n.FromClause, n.WhereClause, outer); err != nil {
		return nil, err
	}
	if out.Set, err = a.assignments(s, out.Table, n.TargetList); err != nil {
		return nil, err
	}
	out.Returning, out.ReturningCols, err = a.returning(s, n.ReturningList)
	return out, err
}

// delete checks DELETE; outer has the WITH bindings around.
func (a *analyzer) delete(n *pg.DeleteStmt, outer *scope) (*Delete, error) {
	out := &Delete{}
	var err error
	if out.With, outer, err = a.with(n.WithClause, outer); err != nil {
		return nil, err
	}
	if out.Table, err = a.writable(n.Relation, deleting); err != nil {
		return nil, err
	}
	var s *scope
	if out.Source, s, err = a.matching(n.Relation, n.UsingClause, n.WhereClause, outer); err != nil {
		return nil, err
	}
	out.Returning, out.ReturningCols, err = a.returning(s, n.ReturningList)
	return out, err
}

// matching is the source of an UPDATE or DELETE: the target's columns first, then those of FROM or USING.
func (a *analyzer) matching(target *pg.RangeVar, others []*pg.Node, where *pg.Node, outer *scope) (Node, *scope, error) {
	first := &pg.Node{Node: &pg.Node_RangeVar{RangeVar: a.pastBindings(target, outer)}}
	node, s, err := a.from(append([]*pg.Node{first}, others...), outer)
	if err != nil {
		return nil, nil, err
	}
	if where == nil {
		return node, s, nil
	}
	cond, err := a.condition(s, where, inWhere, "argument of WHERE")
	if err != nil {
		return nil, nil, err
	}
	return &Filter{node, cond}, s, nil
}

// pastBindings names a target so that no WITH name hides it: a statement writes tables.
func (a *analyzer) pastBindings(target *pg.RangeVar, outer *scope) *pg.RangeVar {
	if target.Schemaname != "" {
		return target
	}
	for s := outer; s != nil; s = s.outer {
		if !slices.ContainsFunc(s.ctes, func(b *Binding) bool { return b.Name == target.Relname }) {
			continue
		}
		named := &pg.RangeVar{Schemaname: a.lookup("", target.Relname).Schema, Relname: target.Relname, Inh: target.Inh,
			Relpersistence: target.Relpersistence, Alias: target.Alias, Location: target.Location}
		if named.Alias == nil {
			named.Alias = &pg.Alias{Aliasname: target.Relname}
		}
		return named
	}
	return target
}

// assignments checks a SET list.
func (a *analyzer) assignments(s *scope, r *catalog.Relation, list []*pg.Node) ([]SetColumn, error) {
	var out []SetColumn
	var rows multiSource
	for _, n := range list {
		t := n.GetResTarget()
		c, err := a.targetColumn(r, t)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o SetColumn) bool { return o.Column == c.index }) {
			return nil, errs.SQL("42601", "multiple assignments to same column %q", t.Name)
		}
		var e expr.Expr
		if m := t.Val.GetMultiAssignRef(); m != nil {
			e, err = a.multiAssign(&rows, s, r, c.index, m)
		} else {
			e, err = a.cell(r, c.index, t.Val, s, inSet)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, SetColumn{c.index, e})
	}
	return out, nil
}

// multiSource keeps the checked subquery of (a, b) = (SELECT ...) for the columns after the first.
type multiSource struct{ query Node }

// multiAssign checks one column of (a, b) = source.
func (a *analyzer) multiAssign(src *multiSource, s *scope, r *catalog.Relation, column int, m *pg.MultiAssignRef) (expr.Expr, error) {
	i := int(m.Colno) - 1
	loc := location(m.Source)
	mismatch := func(n int) error {
		if n == int(m.Ncolumns) {
			return nil
		}
		return errs.SQL("42601", "number of columns does not match number of values").At(a.pos(loc))
	}
	if values := m.Source.GetRowExpr(); values != nil {
		if err := mismatch(len(values.Args)); err != nil {
			return nil, err
		}
		return a.cell(r, column, values.Args[i], s, inSet)
	}
	sub := m.Source.GetSubLink()
	if sub == nil || sub.SubLinkType != pg.SubLinkType_EXPR_SUBLINK {
		return nil, errs.SQL("0A000", "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression").At(a.pos(loc))
	}
	if i == 0 {
		var err error
		if src.query, err = a.query(sub.Subselect.GetSelectStmt(), s, nil); err != nil {
			return nil, err
		}
	}
	cols := src.query.Columns()
	if err := mismatch(len(cols)); err != nil {
		return nil, err
	}
	c := cols[i]
	// Each column asks the subquery for its own column of the one row.
	one := &Project{Output{[]Column{c}}, src.query, []expr.Expr{&expr.Column{Index: i, Typ: c.Type, Name: c.Name}}}
	e := &expr.Subquery{Kind: expr.Scalar, Plan: one, Correlated: Outer(one), Typ: c.Type}
	return a.assign(e, &r.Columns[column], loc)
}
