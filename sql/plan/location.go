package plan

import pg "github.com/pganalyze/pg_query_go/v6"

// location is where an expression starts in the statement's text, -1 when the tree does not say (PostgreSQL's
// exprLocation).
func location(n *pg.Node) int32 {
	if n == nil {
		return -1
	}
	switch x := n.Node.(type) {
	case *pg.Node_AConst:
		return x.AConst.Location
	case *pg.Node_ColumnRef:
		return x.ColumnRef.Location
	case *pg.Node_ParamRef:
		return x.ParamRef.Location
	case *pg.Node_AExpr:
		return leftmost(x.AExpr.Location, location(x.AExpr.Lexpr))
	case *pg.Node_BoolExpr:
		return leftmost(x.BoolExpr.Location, listLocation(x.BoolExpr.Args))
	case *pg.Node_FuncCall:
		return leftmost(x.FuncCall.Location, listLocation(x.FuncCall.Args))
	case *pg.Node_TypeCast:
		if c := x.TypeCast.Arg.GetAConst(); c != nil && (c.Isnull || c.GetSval() != nil) { // date '2020-01-01' is a constant
			return c.Location
		}
		return leftmost(leftmost(x.TypeCast.Location, location(x.TypeCast.Arg)), x.TypeCast.TypeName.GetLocation())
	case *pg.Node_NullTest:
		return leftmost(x.NullTest.Location, location(x.NullTest.Arg))
	case *pg.Node_BooleanTest:
		return leftmost(x.BooleanTest.Location, location(x.BooleanTest.Arg))
	case *pg.Node_CollateClause:
		return location(x.CollateClause.Arg)
	case *pg.Node_AIndirection:
		return location(x.AIndirection.Arg)
	case *pg.Node_SubLink:
		return leftmost(x.SubLink.Location, location(x.SubLink.Testexpr))
	case *pg.Node_NamedArgExpr:
		return leftmost(x.NamedArgExpr.Location, location(x.NamedArgExpr.Arg))
	case *pg.Node_CaseExpr:
		return x.CaseExpr.Location
	case *pg.Node_CoalesceExpr:
		return x.CoalesceExpr.Location
	case *pg.Node_MinMaxExpr:
		return x.MinMaxExpr.Location
	case *pg.Node_RowExpr:
		return x.RowExpr.Location
	case *pg.Node_AArrayExpr:
		return x.AArrayExpr.Location
	case *pg.Node_SqlvalueFunction:
		return x.SqlvalueFunction.Location
	case *pg.Node_GroupingFunc:
		return x.GroupingFunc.Location
	case *pg.Node_SetToDefault:
		return x.SetToDefault.Location
	case *pg.Node_ResTarget:
		return location(x.ResTarget.Val)
	case *pg.Node_List:
		return listLocation(x.List.Items)
	}
	return -1
}

func listLocation(list []*pg.Node) int32 {
	for _, n := range list {
		if l := location(n); l >= 0 {
			return l
		}
	}
	return -1
}

func leftmost(a, b int32) int32 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

func locations(list []*pg.Node) []int32 {
	out := make([]int32, len(list))
	for i, n := range list {
		out[i] = location(n)
	}
	return out
}

// names are the strings of a qualified name.
func names(list []*pg.Node) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		out = append(out, n.GetString_().GetSval())
	}
	return out
}

// lastName is a qualified name without its schema.
func lastName(list []*pg.Node) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].GetString_().GetSval()
}
