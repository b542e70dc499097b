package plan

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func fieldName(i int) string { return fmt.Sprintf("f%d", i+1) }

// subquery checks a query inside an expression.
func (a *analyzer) subquery(s *scope, x *pg.SubLink, in place) (expr.Expr, error) {
	if what := noSubquery[in]; what != "" {
		return nil, a.at(x.Location, errs.SQL("0A000", "cannot use subquery in %s", what))
	}
	n, err := a.subplan(s, x)
	if err != nil {
		return nil, err
	}
	e := &expr.Subquery{Plan: n, Correlated: Outer(n)}
	switch x.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		e.Kind, e.Typ = expr.Exists, row.T(row.Bool)
		return e, nil
	case pg.SubLinkType_EXPR_SUBLINK, pg.SubLinkType_ARRAY_SUBLINK:
		if len(n.Columns()) != 1 {
			return nil, a.at(x.Location, errs.SQL("42601", "subquery must return only one column"))
		}
		e.Kind, e.Typ = expr.Scalar, n.Columns()[0].Type
		if x.SubLinkType == pg.SubLinkType_ARRAY_SUBLINK {
			return a.arrayOf(e, x.Location)
		}
		return e, nil
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		return a.quantifiedSubquery(s, x, e, in)
	}
	return nil, a.at(x.Location, errs.SQL("0A000", "this form of subquery is not supported"))
}

func (a *analyzer) subplan(s *scope, x *pg.SubLink) (Node, error) {
	sel := x.Subselect.GetSelectStmt()
	if sel == nil {
		return nil, a.at(x.Location, errs.SQL("42601", "a subquery must be a query"))
	}
	return a.query(sel, s, nil)
}

// arrayOf makes a one-column subquery ARRAY(subquery).
func (a *analyzer) arrayOf(e *expr.Subquery, loc int32) (expr.Expr, error) {
	e.Kind = expr.ArrayOf
	if row.IsArray(e.Typ.OID) {
		return e, nil
	}
	array := e.Typ.Array()
	if array.OID == 0 {
		return nil, a.at(loc, errs.SQL("42704", "could not find array type for data type %s", baseName(e.Typ)))
	}
	e.Typ = row.T(array.OID)
	return e, nil
}

// quantifiedSubquery is "left op ANY|ALL (subquery)" and IN (subquery).
func (a *analyzer) quantifiedSubquery(s *scope, x *pg.SubLink, e *expr.Subquery, in place) (expr.Expr, error) {
	left, err := a.expression(s, x.Testexpr, in)
	if err != nil {
		return nil, err
	}
	fields, locs := []expr.Expr{left}, []int32{location(x.Testexpr)}
	if r := x.Testexpr.GetRowExpr(); r != nil {
		fields, locs = left.(*expr.Record).Fields, rowLocations(x.Testexpr, x.Location, len(left.(*expr.Record).Fields))
	}
	columns := e.Plan.(Node).Columns()
	switch {
	case len(columns) < len(fields):
		return nil, a.at(x.Location, errs.SQL("42601", "subquery has too few columns"))
	case len(columns) > len(fields):
		return nil, a.at(x.Location, errs.SQL("42601", "subquery has too many columns"))
	}
	op := "="
	if len(x.OperName) > 0 {
		op = lastName(x.OperName)
	}
	e.Kind, e.Typ = expr.AnyOf, row.T(row.Bool)
	if x.SubLinkType == pg.SubLinkType_ALL_SUBLINK {
		e.Kind = expr.AllOf
	}
	negate := false
	if len(fields) > 1 {
		switch op {
		case "=":
		case "<>": // some column differs, which is not that all are equal
			op, negate = "=", true
			e.Kind = map[expr.SubqueryKind]expr.SubqueryKind{expr.AnyOf: expr.AllOf, expr.AllOf: expr.AnyOf}[e.Kind]
		default:
			return nil, a.at(x.Location, errs.SQL("0A000", "row comparison %s with a subquery is not supported", op))
		}
	}
	if err := a.compareColumns(e, op, fields, locs, x.Location); err != nil {
		return nil, err
	}
	if negate {
		return &expr.Not{Arg: e}, nil
	}
	return e, nil
}

// compareColumns fills in Left and Ops; columns of the subquery that need a cast get it in a Project above it.
func (a *analyzer) compareColumns(e *expr.Subquery, op string, fields []expr.Expr, locs []int32, loc int32) error {
	n := e.Plan.(Node)
	project := &Project{Input: n}
	changed := false
	for i, c := range n.Columns() {
		f, castTo, result, err := expr.ResolveOperator(op, fields[i].Type(), c.Type)
		if err != nil {
			return a.at(loc, err)
		}
		if result.OID != row.Bool {
			return a.at(loc, errs.SQL("42804", "row comparison operator must yield type boolean, not type %s", baseName(result)))
		}
		left, err := a.coerce(fields[i], castTo[0], expr.Implicit, locs[i], "")
		if err != nil {
			return err
		}
		column := expr.Expr(&expr.Column{Index: i, Typ: c.Type, Name: c.Name})
		right, err := a.coerce(column, castTo[1], expr.Implicit, loc, "")
		if err != nil {
			return err
		}
		changed = changed || right != column
		e.Left, e.Ops = append(e.Left, left), append(e.Ops, f)
		project.Exprs = append(project.Exprs, right)
		project.Cols = append(project.Cols, Column{Name: c.Name, Type: right.Type()})
	}
	if changed {
		e.Plan = project
	}
	return nil
}

func isScalarSubquery(n *pg.Node) bool {
	return n.GetSubLink().GetSubLinkType() == pg.SubLinkType_EXPR_SUBLINK
}

// rowSubquery is "(a, b) op (SELECT x, y ...)".
func (a *analyzer) rowSubquery(s *scope, x *pg.A_Expr, in place) (expr.Expr, error) {
	link := x.Rexpr.GetSubLink()
	if what := noSubquery[in]; what != "" {
		return nil, a.at(link.Location, errs.SQL("0A000", "cannot use subquery in %s", what))
	}
	left, err := a.expression(s, x.Lexpr, in)
	if err != nil {
		return nil, err
	}
	n, err := a.subplan(s, link)
	if err != nil {
		return nil, err
	}
	fields, columns := left.(*expr.Record).Fields, n.Columns()
	switch {
	case len(columns) < len(fields):
		return nil, a.at(x.Location, errs.SQL("42601", "subquery has too few columns"))
	case len(columns) > len(fields):
		return nil, a.at(x.Location, errs.SQL("42601", "subquery has too many columns"))
	}
	sub := &expr.Subquery{Kind: expr.Scalar, Plan: n, Correlated: Outer(n), Typ: row.T(row.Record)}
	if len(columns) == 1 {
		sub.Typ = columns[0].Type
		return a.operatorAt(lastName(x.Name), fields[0], sub, x.Location, location(x.Lexpr), link.Location)
	}
	right := make([]expr.Expr, len(columns))
	for i, c := range columns {
		right[i] = &expr.Field{Arg: sub, Index: i, Typ: c.Type}
	}
	return a.compareRows(lastName(x.Name), fields, right, x)
}
