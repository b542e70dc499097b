package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

// with checks a WITH clause; its bindings are in scope.ctes of the scope returned, whose outer is outer.
func (a *analyzer) with(w *pg.WithClause, outer *scope) ([]*Binding, *scope, error) {
	if outer == nil {
		outer = a.base
	}
	if w == nil {
		return nil, outer, nil
	}
	s := &scope{outer: outer, namesOnly: true}
	var ctes []*pg.CommonTableExpr
	for _, n := range w.Ctes {
		c := n.GetCommonTableExpr()
		for _, other := range ctes {
			if other.Ctename == c.Ctename {
				return nil, nil, errs.SQL("42712", "WITH query name %q specified more than once", c.Ctename).At(a.pos(c.Location))
			}
		}
		ctes = append(ctes, c)
	}
	var recursive []bool
	if w.Recursive {
		var err error
		if ctes, recursive, err = a.dependencyOrder(ctes); err != nil {
			return nil, nil, err
		}
	}
	for i, c := range ctes {
		if !w.Recursive {
			s.later = ctes[i:]
		}
		if c.SearchClause != nil || c.CycleClause != nil {
			return nil, nil, errs.SQL("0A000", "SEARCH and CYCLE are not supported").At(a.pos(c.Location))
		}
		var b *Binding
		var err error
		if recursive != nil && recursive[i] {
			b, err = a.recursive(c, s)
		} else {
			b, err = a.binding(c, s)
		}
		if err != nil {
			return nil, nil, err
		}
		s.ctes = append(s.ctes[:len(s.ctes):len(s.ctes)], b)
	}
	s.later = nil
	return s.ctes, s, nil
}

// binding checks one common table expression that does not refer to itself.
func (a *analyzer) binding(c *pg.CommonTableExpr, s *scope) (*Binding, error) {
	b := &Binding{Name: c.Ctename, Materialized: c.Ctematerialized == pg.CTEMaterialize_CTEMaterializeAlways}
	if sel := c.Ctequery.GetSelectStmt(); sel != nil {
		n, err := a.query(sel, &scope{outer: s.outer, namesOnly: true, ctes: s.ctes, later: s.later}, nil)
		if err != nil {
			return nil, err
		}
		b.Query, b.Cols = n, slices.Clone(n.Columns())
		return b, a.nameColumns(b, c)
	}
	if s.outer != nil {
		return nil, errs.SQL("0A000", "WITH clause containing a data-modifying statement must be at the top level").At(a.pos(c.Location))
	}
	base := a.base
	a.base = &scope{outer: base, namesOnly: true, ctes: s.ctes, later: s.later}
	st, err := a.statement(c.Ctequery)
	a.base = base
	if err != nil {
		return nil, err
	}
	b.Modify = st
	switch st := st.(type) {
	case *Insert:
		st.With, err = a.lent(st.With, st.Source, s.ctes, c)
		b.Cols = st.ReturningCols
	case *Update:
		st.With, err = a.lent(st.With, st.Source, s.ctes, c)
		b.Cols = st.ReturningCols
	case *Delete:
		st.With, err = a.lent(st.With, st.Source, s.ctes, c)
		b.Cols = st.ReturningCols
	}
	if err != nil {
		return nil, err
	}
	b.Cols = slices.Clone(b.Cols)
	return b, a.nameColumns(b, c)
}

// lent gives a data-modifying statement the queries around it that it reads, since it runs by itself.
func (a *analyzer) lent(own []*Binding, source Node, around []*Binding, c *pg.CommonTableExpr) ([]*Binding, error) {
	var reads []*Binding
	for i := len(around) - 1; i >= 0; i-- {
		b := around[i]
		count := countReads(source, b)
		for _, later := range slices.Concat(own, reads) {
			count += countReads(later.Query, b) + countReads(later.Recursive, b)
		}
		if count == 0 {
			continue
		}
		if b.Modify != nil {
			return nil, errs.SQL("0A000", "a data-modifying WITH that reads the rows of another one is not supported").At(a.pos(c.Location))
		}
		reads = append([]*Binding{b}, reads...)
	}
	return append(reads, own...), nil
}

// nameColumns applies the column list of a common table expression.
func (a *analyzer) nameColumns(b *Binding, c *pg.CommonTableExpr) error {
	if len(c.Aliascolnames) > len(b.Cols) {
		return errs.SQL("42P10", "WITH query %q has %d columns available but %d columns specified", b.Name, len(b.Cols), len(c.Aliascolnames)).
			At(a.pos(c.Location))
	}
	for i, n := range c.Aliascolnames {
		b.Cols[i].Name = n.GetString_().Sval
	}
	return nil
}

// reading finds the common table expression that a name in FROM means; nil when it means none.
func (a *analyzer) reading(s *scope, rv *pg.RangeVar) (*Binding, error) {
	if s == nil {
		s = a.base
	}
	b := lookupBinding(s, rv.Relname)
	if b != nil && b.Modify != nil && len(b.Cols) == 0 {
		return nil, errs.SQL("0A000", "WITH query %q does not have a RETURNING clause", b.Name).At(a.pos(rv.Location))
	}
	return b, nil
}

// lookupBinding finds the innermost common table expression of a name.
func lookupBinding(s *scope, name string) *Binding {
	for at := s; at != nil; at = at.outer {
		for i := len(at.ctes) - 1; i >= 0; i-- {
			if at.ctes[i].Name == name {
				return at.ctes[i]
			}
		}
	}
	return nil
}

// laterHint says that a missing relation is a common table expression further on.
func (a *analyzer) laterHint(s *scope, rv *pg.RangeVar, err error) error {
	e, ok := err.(*errs.Error)
	if !ok || rv.Schemaname != "" {
		return err
	}
	for at := s; at != nil; at = at.outer {
		for _, c := range at.later {
			if c.Ctename == rv.Relname {
				return e.WithDetail("There is a WITH item named %q, but it cannot be referenced from this part of the query.", rv.Relname).
					WithHint("Use WITH RECURSIVE, or re-order the WITH items to remove forward references.")
			}
		}
	}
	return err
}

// recursive checks a query that refers to itself: a term without and one with that reference, under UNION.
func (a *analyzer) recursive(c *pg.CommonTableExpr, s *scope) (*Binding, error) {
	sel := c.Ctequery.GetSelectStmt()
	if sel == nil {
		return nil, errs.SQL("42P19", "recursive query %q must not contain data-modifying statements", c.Ctename).At(a.pos(c.Location))
	}
	if sel.Op != pg.SetOperation_SETOP_UNION {
		return nil, errs.SQL("42P19", "recursive query %q does not have the form non-recursive-term UNION [ALL] recursive-term", c.Ctename).
			At(a.pos(c.Location))
	}
	if err := a.noRecursionLimits(sel); err != nil {
		return nil, err
	}
	if err := a.recursiveForm(c, sel); err != nil {
		return nil, err
	}
	inner := &scope{outer: s.outer, namesOnly: true, ctes: s.ctes}
	own, inner, err := a.with(sel.WithClause, inner)
	if err != nil {
		return nil, err
	}
	around := func(n Node) Node {
		if len(own) == 0 {
			return n
		}
		return &With{own, n}
	}
	b := &Binding{Name: c.Ctename, UnionAll: sel.All}
	first, err := a.query(sel.Larg, inner, nil)
	if err != nil {
		return nil, err
	}
	b.Query, b.Cols = around(first), slices.Clone(first.Columns())
	for i := range b.Cols {
		b.Cols[i].Relation, b.Cols[i].Attribute = 0, 0
	}
	if err := a.nameColumns(b, c); err != nil {
		return nil, err
	}
	working := &scope{outer: inner, namesOnly: true, ctes: []*Binding{b}}
	a.working = append(a.working, b)
	right, err := a.outputs(sel.Rarg, working, nil)
	a.working = a.working[:len(a.working)-1]
	if err != nil {
		return nil, err
	}
	n, err := a.recursiveTerm(b, sel, right)
	if err != nil {
		return nil, err
	}
	b.Recursive = around(n)
	return b, nil
}

// recursiveTerm gives the recursive term the types of the first one.
func (a *analyzer) recursiveTerm(b *Binding, sel *pg.SelectStmt, right *outputs) (Node, error) {
	if len(right.exprs) != len(b.Cols) {
		return nil, errs.SQL("42601", "each UNION query must have the same number of columns").At(a.pos(right.location(0)))
	}
	for i, c := range b.Cols {
		first := &expr.Column{Index: i, Typ: c.Type}
		es, t, err := a.common([]expr.Expr{first, right.exprs[i]}, []int32{-1, right.location(i)}, "UNION")
		if err != nil {
			return nil, err
		}
		if t.OID != c.Type.OID {
			return nil, errs.SQL("42804", "recursive query %q column %d has type %s in non-recursive term but type %s overall",
				b.Name, i+1, c.Type, t).WithHint("Cast the output of the non-recursive term to the correct type.").At(a.pos(firstLocation(sel.Larg, i)))
		}
		if !sel.All {
			if err := hasEquality(t); err != nil {
				return nil, err
			}
		}
		right.take(i, es[1])
	}
	return right.finish()
}

// firstLocation is where output i of a query stands.
func firstLocation(sel *pg.SelectStmt, i int) int32 {
	for sel.Larg != nil {
		sel = sel.Larg
	}
	if i < len(sel.TargetList) {
		return location(sel.TargetList[i].GetResTarget().Val)
	}
	return -1
}

func (a *analyzer) noRecursionLimits(sel *pg.SelectStmt) error {
	what := ""
	var at *pg.Node
	switch {
	case len(sel.SortClause) > 0:
		what, at = "ORDER BY", sel.SortClause[0].GetSortBy().GetNode()
	case sel.LimitOffset != nil:
		what, at = "OFFSET", sel.LimitOffset
	case sel.LimitCount != nil:
		what, at = "LIMIT", sel.LimitCount
	case len(sel.LockingClause) > 0:
		what, at = "FOR UPDATE/SHARE", sel.LockingClause[0]
	default:
		return nil
	}
	return errs.SQL("0A000", "%s in a recursive query is not implemented", what).At(a.pos(location(at)))
}
