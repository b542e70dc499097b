package plan

import (
	"errors"
	"math"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// expression checks an expression in a scope (nil: no columns). The result is fully typed, except that a string literal is
// still a Const of type Unknown (its text as Value) and an untyped parameter is a Param of type Unknown: coerce gives them
// their type.
func (a *analyzer) expression(s *scope, n *pg.Node, in place) (expr.Expr, error) {
	if n == nil {
		return nil, errs.SQL("XX000", "an expression is missing")
	}
	switch x := n.Node.(type) {
	case *pg.Node_AConst:
		return a.constant(x.AConst)
	case *pg.Node_ColumnRef:
		return a.columnRef(s, x.ColumnRef, in)
	case *pg.Node_ParamRef:
		return a.param(x.ParamRef)
	case *pg.Node_AExpr:
		return a.operation(s, x.AExpr, in)
	case *pg.Node_BoolExpr:
		return a.logic(s, x.BoolExpr, in)
	case *pg.Node_FuncCall:
		return a.call(s, x.FuncCall, in)
	case *pg.Node_TypeCast:
		return a.cast(s, x.TypeCast, in)
	case *pg.Node_NullTest:
		return a.nullTest(s, x.NullTest, in)
	case *pg.Node_BooleanTest:
		return a.booleanTest(s, x.BooleanTest, in)
	case *pg.Node_CaseExpr:
		return a.caseOf(s, x.CaseExpr, in)
	case *pg.Node_CoalesceExpr:
		return a.coalesce(s, x.CoalesceExpr, in)
	case *pg.Node_MinMaxExpr:
		return a.minMax(s, x.MinMaxExpr, in)
	case *pg.Node_SqlvalueFunction:
		return a.sqlValue(x.SqlvalueFunction)
	case *pg.Node_AArrayExpr:
		return a.array(s, x.AArrayExpr, row.Type{}, in)
	case *pg.Node_AIndirection:
		return a.indirection(s, x.AIndirection, in)
	case *pg.Node_RowExpr:
		return a.record(s, x.RowExpr, in)
	case *pg.Node_SubLink:
		return a.subquery(s, x.SubLink, in)
	case *pg.Node_CollateClause:
		return a.collate(s, x.CollateClause, in)
	case *pg.Node_GroupingFunc:
		return a.grouping(s, x.GroupingFunc, in)
	case *pg.Node_NamedArgExpr:
		return a.expression(s, x.NamedArgExpr.Arg, in)
	case *pg.Node_SetToDefault:
		return nil, a.at(x.SetToDefault.Location, errs.SQL("42601", "DEFAULT is not allowed in this context"))
	case *pg.Node_CurrentOfExpr:
		return nil, errs.SQL("0A000", "WHERE CURRENT OF is not supported")
	}
	return nil, unsupported(n)
}

// unsupported is the error for the expressions of PostgreSQL's grammar that we do not have.
func unsupported(n *pg.Node) error {
	kind := "this kind of expression"
	switch n.Node.(type) {
	case *pg.Node_XmlExpr, *pg.Node_XmlSerialize:
		kind = "XML"
	case *pg.Node_JsonObjectConstructor, *pg.Node_JsonArrayConstructor, *pg.Node_JsonArrayQueryConstructor, *pg.Node_JsonObjectAgg,
		*pg.Node_JsonArrayAgg, *pg.Node_JsonIsPredicate, *pg.Node_JsonFuncExpr, *pg.Node_JsonParseExpr, *pg.Node_JsonScalarExpr,
		*pg.Node_JsonSerializeExpr:
		kind = "an SQL/JSON constructor"
	}
	return errs.SQL("0A000", "%s is not supported", kind)
}

// expressions checks a list; "t.*" in it stands for the columns of t.
func (a *analyzer) expressions(s *scope, list []*pg.Node, in place) ([]expr.Expr, error) {
	out := make([]expr.Expr, 0, len(list))
	for _, n := range list {
		e, err := a.expression(s, n, in)
		if err != nil {
			return nil, err
		}
		if r, ok := e.(*expr.Record); ok && endsInStar(n) {
			out = append(out, r.Fields...)
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

func endsInStar(n *pg.Node) bool {
	fields := n.GetColumnRef().GetFields()
	return len(fields) > 1 && fields[len(fields)-1].GetAStar() != nil
}

func (a *analyzer) constant(c *pg.A_Const) (expr.Expr, error) {
	if c.Isnull {
		return a.mark(&expr.Const{Typ: row.T(row.Unknown)}, c.Location), nil
	}
	switch v := c.Val.(type) {
	case *pg.A_Const_Ival:
		return &expr.Const{Value: row.NewInt(int64(v.Ival.GetIval())), Typ: row.T(row.Int4)}, nil
	case *pg.A_Const_Boolval:
		return &expr.Const{Value: row.NewBool(v.Boolval.GetBoolval()), Typ: row.T(row.Bool)}, nil
	case *pg.A_Const_Sval:
		return a.mark(&expr.Const{Value: row.NewText(v.Sval.GetSval()), Typ: row.T(row.Unknown)}, c.Location), nil
	case *pg.A_Const_Fval:
		e, err := number(v.Fval.GetFval())
		return e, a.at(c.Location, err)
	}
	return nil, a.at(c.Location, errs.SQL("0A000", "bit strings are not supported"))
}

// number is a numeric constant that the grammar did not take as an int4.
func number(text string) (expr.Expr, error) {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		if n >= math.MinInt32 && n <= math.MaxInt32 {
			return &expr.Const{Value: row.NewInt(n), Typ: row.T(row.Int4)}, nil
		}
		return &expr.Const{Value: row.NewInt(n), Typ: row.T(row.Int8)}, nil
	}
	v, err := row.ParseText(row.T(row.Numeric), strings.ReplaceAll(text, "_", ""))
	return &expr.Const{Value: v, Typ: row.T(row.Numeric)}, err
}

// mark remembers where a leaf stands.
func (a *analyzer) mark(e expr.Expr, loc int32) expr.Expr {
	a.locations[e] = loc
	return e
}

func (a *analyzer) columnRef(s *scope, c *pg.ColumnRef, in place) (expr.Expr, error) {
	if in == inDefault {
		return nil, a.at(c.Location, errs.SQL("0A000", "cannot use column reference in DEFAULT expression"))
	}
	fields := c.Fields
	if last := fields[len(fields)-1]; last.GetAStar() != nil {
		if fields = fields[:len(fields)-1]; len(fields) == 0 {
			return nil, a.at(c.Location, errs.SQL("42601", "row expansion via \"*\" is not supported here"))
		}
	}
	e, err := a.column(s, names(fields), c.Location)
	if err != nil {
		return nil, a.at(c.Location, err)
	}
	return a.mark(e, c.Location), nil
}

// maxParams is the number of parameters that the wire protocol can bind.
const maxParams = math.MaxUint16

func (a *analyzer) param(p *pg.ParamRef) (expr.Expr, error) {
	n := int(p.Number)
	if n < 1 || n > maxParams {
		return nil, a.at(p.Location, errs.SQL("42P02", "there is no parameter $%d", n))
	}
	for len(a.params) < n {
		a.params = append(a.params, row.Type{})
	}
	t := a.params[n-1]
	if t.OID == 0 {
		t = row.T(row.Unknown)
	}
	return a.mark(&expr.Param{N: n, Typ: t}, p.Location), nil
}

func (a *analyzer) cast(s *scope, c *pg.TypeCast, in place) (expr.Expr, error) {
	to, err := a.typeName(c.TypeName)
	if err != nil {
		return nil, err
	}
	var e expr.Expr
	if list := c.Arg.GetAArrayExpr(); list != nil && row.IsArray(to.OID) {
		e, err = a.array(s, list, to, in)
	} else {
		e, err = a.expression(s, c.Arg, in)
	}
	if err != nil {
		return nil, err
	}
	loc := c.Location
	if loc < 0 {
		loc = c.TypeName.Location
	}
	return a.coerce(e, to, expr.Explicit, loc, "")
}

func (a *analyzer) logic(s *scope, b *pg.BoolExpr, in place) (expr.Expr, error) {
	what := map[pg.BoolExprType]string{pg.BoolExprType_AND_EXPR: "AND", pg.BoolExprType_OR_EXPR: "OR", pg.BoolExprType_NOT_EXPR: "NOT"}[b.Boolop]
	args := make([]expr.Expr, len(b.Args))
	for i, n := range b.Args {
		var err error
		if args[i], err = a.condition(s, n, in, "argument of "+what); err != nil {
			return nil, err
		}
	}
	switch b.Boolop {
	case pg.BoolExprType_AND_EXPR:
		return &expr.And{Args: args}, nil
	case pg.BoolExprType_OR_EXPR:
		return &expr.Or{Args: args}, nil
	}
	return &expr.Not{Arg: args[0]}, nil
}

func (a *analyzer) nullTest(s *scope, t *pg.NullTest, in place) (expr.Expr, error) {
	e, err := a.expression(s, t.Arg, in)
	if err != nil {
		return nil, err
	}
	return &expr.IsNull{Arg: e, Negated: t.Nulltesttype == pg.NullTestType_IS_NOT_NULL}, nil
}

func (a *analyzer) booleanTest(s *scope, t *pg.BooleanTest, in place) (expr.Expr, error) {
	e := &expr.BoolTest{}
	name := "TRUE"
	switch t.Booltesttype {
	case pg.BoolTestType_IS_TRUE, pg.BoolTestType_IS_NOT_TRUE:
		e.Value = row.NewBool(true)
	case pg.BoolTestType_IS_FALSE, pg.BoolTestType_IS_NOT_FALSE:
		e.Value, name = row.NewBool(false), "FALSE"
	default:
		name = "UNKNOWN"
	}
	what := "argument of IS "
	switch t.Booltesttype {
	case pg.BoolTestType_IS_NOT_TRUE, pg.BoolTestType_IS_NOT_FALSE, pg.BoolTestType_IS_NOT_UNKNOWN:
		e.Negated = true
		what += "NOT "
	}
	var err error
	e.Arg, err = a.condition(s, t.Arg, in, what+name)
	return e, err
}

func (a *analyzer) caseOf(s *scope, c *pg.CaseExpr, in place) (expr.Expr, error) {
	var subject expr.Expr
	var err error
	if c.Arg != nil {
		if subject, err = a.expression(s, c.Arg, in); err != nil {
			return nil, err
		}
		subject = a.settle(subject)
	}
	out := &expr.Case{}
	results, locs := make([]expr.Expr, 1), []int32{location(c.Defresult)} // ELSE decides before the others, as in PostgreSQL
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		cond, err := a.when(s, subject, w, in)
		if err != nil {
			return nil, err
		}
		then, err := a.expression(s, w.Result, in)
		if err != nil {
			return nil, err
		}
		out.Whens = append(out.Whens, expr.When{Cond: cond})
		results, locs = append(results, then), append(locs, location(w.Result))
	}
	results[0] = &expr.Const{Typ: row.T(row.Unknown)}
	if c.Defresult != nil {
		if results[0], err = a.expression(s, c.Defresult, in); err != nil {
			return nil, err
		}
	}
	if results, out.Typ, err = a.common(results, locs, "CASE"); err != nil {
		return nil, caseError(err, a.pos(locs[0]))
	}
	if c.Defresult != nil {
		out.Else = results[0]
	}
	for i := range out.Whens {
		out.Whens[i].Then = results[i+1]
	}
	return out, noSetIn(out, "CASE")
}

// caseError names the branch that a CASE could not convert.
func caseError(err error, elseAt int) error {
	var e *errs.Error
	if !errors.As(err, &e) || e.State != "42846" {
		return err
	}
	branch := "CASE/WHEN"
	if e.Position == elseAt {
		branch = "CASE/ELSE"
	}
	placed := *e
	placed.Message = strings.Replace(e.Message, "CASE", branch, 1)
	return &placed
}

// when is the condition of one branch; subject, when not nil, is what a simple CASE compares.
func (a *analyzer) when(s *scope, subject expr.Expr, w *pg.CaseWhen, in place) (expr.Expr, error) {
	if subject == nil {
		return a.condition(s, w.Expr, in, "argument of CASE/WHEN")
	}
	value, err := a.expression(s, w.Expr, in)
	if err != nil {
		return nil, err
	}
	return a.operatorAt("=", subject, value, w.Location, -1, location(w.Expr))
}

// noSetIn refuses set-returning calls below e, a conditional expression.
func noSetIn(e expr.Expr, what string) error {
	if c := setCall(e); c != nil {
		return errs.SQL("0A000", "set-returning functions are not allowed in %s", what).At(c.Pos).
			WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
	}
	return nil
}

func (a *analyzer) coalesce(s *scope, c *pg.CoalesceExpr, in place) (expr.Expr, error) {
	args, err := a.separate(s, c.Args, in)
	if err != nil {
		return nil, err
	}
	args, t, err := a.common(args, locations(c.Args), "COALESCE")
	if err != nil {
		return nil, err
	}
	out := &expr.Coalesce{Args: args, Typ: t}
	return out, noSetIn(out, "COALESCE")
}

func (a *analyzer) minMax(s *scope, m *pg.MinMaxExpr, in place) (expr.Expr, error) {
	args, err := a.separate(s, m.Args, in)
	if err != nil {
		return nil, err
	}
	least := m.Op == pg.MinMaxOp_IS_LEAST
	what := map[bool]string{true: "LEAST", false: "GREATEST"}[least]
	args, t, err := a.common(args, locations(m.Args), what)
	if err != nil {
		return nil, err
	}
	if !ordered(t) {
		return nil, errs.SQL("42883", "could not identify a comparison function for type %s", baseName(t))
	}
	return &expr.MinMax{Args: args, Least: least, Typ: t}, nil
}

// separate checks a list of which each stands for itself.
func (a *analyzer) separate(s *scope, list []*pg.Node, in place) ([]expr.Expr, error) {
	out := make([]expr.Expr, len(list))
	for i, n := range list {
		var err error
		if out[i], err = a.expression(s, n, in); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *analyzer) collate(s *scope, c *pg.CollateClause, in place) (expr.Expr, error) {
	e, err := a.expression(s, c.Arg, in)
	if err != nil {
		return nil, err
	}
	t := e.Type().OID
	if elem := row.ElementOf(t); elem != 0 {
		t = elem
	}
	if info, ok := row.Info(t); t != row.Unknown && (!ok || info.Collation == 0) {
		return nil, a.at(c.Location, errs.SQL("42804", "collations are not supported by type %s", baseName(e.Type())))
	}
	switch name := lastName(c.Collname); name {
	case "C", "POSIX", "default", "ucs_basic", "C.UTF-8", "C.utf8":
		return e, nil
	default:
		return nil, a.at(c.Location, errs.SQL("42704", "collation \"%s\" for encoding \"UTF8\" does not exist", strings.Join(names(c.Collname), ".")))
	}
}
