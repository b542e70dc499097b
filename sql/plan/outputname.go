package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// outputName is the name PostgreSQL gives an unnamed SELECT column (FigureColname).
func outputName(n *pg.Node) string {
	if name, _ := nameOf(n); name != "" {
		return name
	}
	return "?column?"
}

// nameOf gives a name and whether it is a good one: better than the name of a type or of CASE around it.
func nameOf(n *pg.Node) (name string, good bool) {
	if n == nil {
		return "", false
	}
	switch x := n.Node.(type) {
	case *pg.Node_ColumnRef:
		return lastField(x.ColumnRef.Fields)
	case *pg.Node_AIndirection:
		if name, good := lastField(x.AIndirection.Indirection); good {
			return name, true
		}
		return nameOf(x.AIndirection.Arg)
	case *pg.Node_FuncCall:
		return lastName(x.FuncCall.Funcname), true
	case *pg.Node_AExpr:
		if x.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", true
		}
	case *pg.Node_TypeCast:
		if name, good := nameOf(x.TypeCast.Arg); good {
			return name, true
		}
		return lastName(x.TypeCast.TypeName.Names), false
	case *pg.Node_CollateClause:
		return nameOf(x.CollateClause.Arg)
	case *pg.Node_CaseExpr:
		if name, good := nameOf(x.CaseExpr.Defresult); good {
			return name, true
		}
		return "case", false
	case *pg.Node_SubLink:
		return subqueryName(x.SubLink)
	case *pg.Node_MinMaxExpr:
		if x.MinMaxExpr.Op == pg.MinMaxOp_IS_LEAST {
			return "least", true
		}
		return "greatest", true
	case *pg.Node_SqlvalueFunction:
		return sqlValueName(x.SqlvalueFunction.Op), true
	case *pg.Node_GroupingFunc:
		return "grouping", true
	case *pg.Node_CoalesceExpr:
		return "coalesce", true
	case *pg.Node_AArrayExpr:
		return "array", true
	case *pg.Node_RowExpr:
		return "row", true
	}
	return "", false
}

func lastField(list []*pg.Node) (string, bool) {
	for i := len(list) - 1; i >= 0; i-- {
		if s := list[i].GetString_(); s != nil {
			return s.Sval, true
		}
	}
	return "", false
}

func subqueryName(s *pg.SubLink) (string, bool) {
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists", true
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array", true
	case pg.SubLinkType_EXPR_SUBLINK:
		return firstColumn(s.Subselect.GetSelectStmt()), true
	}
	return "", false
}

// firstColumn is the name of a query's first column, "" when only the catalog knows it.
func firstColumn(s *pg.SelectStmt) string {
	for s.GetLarg() != nil {
		s = s.Larg
	}
	if len(s.GetValuesLists()) > 0 {
		return "column1"
	}
	if len(s.GetTargetList()) == 0 {
		return ""
	}
	t := s.TargetList[0].GetResTarget()
	if t.GetName() != "" {
		return t.Name
	}
	return outputName(t.GetVal())
}

// sqlValueName is the keyword of CURRENT_DATE and its kin, which stands in the tree by its precision too.
func sqlValueName(op pg.SQLValueFunctionOp) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(op.String(), "SVFOP_"), "_N"))
}
