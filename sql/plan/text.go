package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

// AnalyzeExpr checks an expression that the catalog keeps as text: a CHECK, which is a condition, over a relation's columns;
// a DEFAULT, whose value may have any type, when rel is nil.
func AnalyzeExpr(text string, rel *catalog.Relation) (expr.Expr, error) {
	if rel == nil {
		return analyzeText(text, nil, func(a *analyzer, _ *scope, n *pg.Node) (expr.Expr, error) {
			e, err := a.expression(nil, n, inDefault)
			if err != nil {
				return nil, err
			}
			return a.settle(e), nil
		})
	}
	return analyzeText(text, relationScope(rel, "", nil), func(a *analyzer, s *scope, n *pg.Node) (expr.Expr, error) {
		return a.condition(s, n, inCheck, "argument of CHECK")
	})
}

// analyzeText parses an expression and has it checked in a scope.
func analyzeText(text string, s *scope, check func(*analyzer, *scope, *pg.Node) (expr.Expr, error)) (expr.Expr, error) {
	list, err := parse.Parse("SELECT " + text)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || len(list[0].Tree.GetSelectStmt().GetTargetList()) != 1 {
		return nil, errs.New(errs.Corrupt, "%q is not one expression", text)
	}
	a := newAnalyzer(list[0], Options{Catalog: catalog.New().Current()})
	return check(a, s, list[0].Tree.GetSelectStmt().TargetList[0].GetResTarget().Val)
}

// pgVersion is the version of the trees that the parser makes and the deparser takes.
const pgVersion = 170007

// exprText is an expression as SQL text.
func exprText(n *pg.Node) (string, error) {
	target := &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: n}}}
	sel := &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{TargetList: []*pg.Node{target},
		LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT, Op: pg.SetOperation_SETOP_NONE}}}
	text, err := pg.Deparse(&pg.ParseResult{Version: pgVersion, Stmts: []*pg.RawStmt{{Stmt: sel}}})
	if err != nil {
		return "", errs.New(errs.Internal, "an expression as text: %w", err)
	}
	return strings.TrimPrefix(text, "SELECT "), nil
}
