package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// operator applies a binary (or, with nil left, prefix) operator to checked expressions, coercing them.
func (a *analyzer) operator(op string, left, right expr.Expr, loc int32) (expr.Expr, error) {
	return a.operatorAt(op, left, right, loc, loc, loc)
}

// operatorAt is operator with the places of its operands.
func (a *analyzer) operatorAt(op string, left, right expr.Expr, loc, leftLoc, rightLoc int32) (expr.Expr, error) {
	if left == nil {
		f, castTo, result, err := expr.ResolveOperator(op, row.Type{}, right.Type())
		if err != nil {
			return nil, a.at(loc, err)
		}
		if right, err = a.coerce(right, castTo[0], expr.Implicit, rightLoc, ""); err != nil {
			return nil, err
		}
		return &expr.Call{Func: f, Args: []expr.Expr{right}, Typ: result, Pos: a.pos(loc)}, nil
	}
	f, castTo, result, err := expr.ResolveOperator(op, left.Type(), right.Type())
	if err != nil {
		return nil, a.at(loc, err)
	}
	if left, err = a.coerce(left, castTo[0], expr.Implicit, leftLoc, ""); err != nil {
		return nil, err
	}
	if right, err = a.coerce(right, castTo[1], expr.Implicit, rightLoc, ""); err != nil {
		return nil, err
	}
	return &expr.Call{Func: f, Args: []expr.Expr{left, right}, Typ: result, Pos: a.pos(loc)}, nil
}

// equality finds "=" for two checked expressions and coerces them to its argument types.
func (a *analyzer) equality(left, right expr.Expr, loc int32) (l, r expr.Expr, eq *expr.Func, err error) {
	e, err := a.operator("=", left, right, loc)
	if err != nil {
		return nil, nil, nil, err
	}
	c := e.(*expr.Call)
	return c.Args[0], c.Args[1], c.Func, nil
}

// operation checks what the grammar makes an A_Expr of.
func (a *analyzer) operation(s *scope, x *pg.A_Expr, in place) (expr.Expr, error) {
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		return a.quantified(s, x, in)
	case pg.A_Expr_Kind_AEXPR_IN:
		return a.inList(s, x, in)
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		return a.between(s, x, in)
	}
	if x.Kind == pg.A_Expr_Kind_AEXPR_OP && x.Lexpr.GetRowExpr() != nil && isScalarSubquery(x.Rexpr) {
		return a.rowSubquery(s, x, in)
	}
	var left expr.Expr
	var err error
	if x.Lexpr != nil {
		if left, err = a.expression(s, x.Lexpr, in); err != nil {
			return nil, err
		}
	}
	right, err := a.expression(s, x.Rexpr, in)
	if err != nil {
		return nil, err
	}
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return a.distinct(x, left, right)
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		return a.nullIf(x, left, right)
	}
	op := lastName(x.Name)
	if x.Lexpr.GetRowExpr() != nil && x.Rexpr.GetRowExpr() != nil {
		return a.compareRows(op, left.(*expr.Record).Fields, right.(*expr.Record).Fields, x)
	}
	return a.operatorAt(op, left, right, x.Location, location(x.Lexpr), location(x.Rexpr))
}

func isNull(e expr.Expr) bool {
	c, ok := e.(*expr.Const)
	return ok && c.Value.IsNull() && c.Typ.OID == row.Unknown
}

func (a *analyzer) distinct(x *pg.A_Expr, left, right expr.Expr) (expr.Expr, error) {
	negated := x.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT
	switch {
	case isNull(right):
		return &expr.IsNull{Arg: left, Negated: !negated}, nil
	case isNull(left):
		return &expr.IsNull{Arg: right, Negated: !negated}, nil
	case x.Lexpr.GetRowExpr() == nil || x.Rexpr.GetRowExpr() == nil:
		return a.distinctPair(x, left, right, negated)
	}
	l, r := left.(*expr.Record).Fields, right.(*expr.Record).Fields
	if len(l) != len(r) {
		return nil, a.at(x.Location, errs.SQL("42601", "unequal number of entries in row expressions"))
	}
	pairs := make([]expr.Expr, len(l))
	for i := range l {
		var err error
		if pairs[i], err = a.distinctPair(x, l[i], r[i], negated); err != nil {
			return nil, err
		}
	}
	if negated {
		return conjunction(pairs), nil
	}
	return disjunction(pairs), nil
}

func (a *analyzer) distinctPair(x *pg.A_Expr, left, right expr.Expr, negated bool) (expr.Expr, error) {
	l, r, eq, err := a.equality(left, right, x.Location)
	if err != nil {
		return nil, err
	}
	return &expr.Distinct{Left: l, Right: r, Eq: eq, Negated: negated}, nil
}

func (a *analyzer) nullIf(x *pg.A_Expr, left, right expr.Expr) (expr.Expr, error) {
	l, r, eq, err := a.equality(left, right, x.Location)
	if err != nil {
		return nil, err
	}
	return &expr.NullIf{Left: l, Right: r, Eq: eq}, nil
}

// disjunction is the OR of one or more conditions.
func disjunction(list []expr.Expr) expr.Expr {
	if len(list) == 1 {
		return list[0]
	}
	return &expr.Or{Args: list}
}

func (a *analyzer) between(s *scope, x *pg.A_Expr, in place) (expr.Expr, error) {
	value, err := a.expression(s, x.Lexpr, in)
	if err != nil {
		return nil, err
	}
	nodes := x.Rexpr.GetList().GetItems()
	if len(nodes) != 2 {
		return nil, a.at(x.Location, errs.SQL("42601", "BETWEEN needs two bounds"))
	}
	bounds := make([]expr.Expr, 2)
	compare := func(op string, bound int) (expr.Expr, error) {
		if bounds[bound] == nil {
			var err error
			if bounds[bound], err = a.expression(s, nodes[bound], in); err != nil {
				return nil, err
			}
		}
		return a.operatorAt(op, value, bounds[bound], x.Location, location(x.Lexpr), location(nodes[bound]))
	}
	within := func(low, high int) (expr.Expr, error) {
		l, err := compare(">=", low)
		if err != nil {
			return nil, err
		}
		h, err := compare("<=", high)
		return &expr.And{Args: []expr.Expr{l, h}}, err
	}
	without := func(low, high int) (expr.Expr, error) {
		l, err := compare("<", low)
		if err != nil {
			return nil, err
		}
		h, err := compare(">", high)
		return &expr.Or{Args: []expr.Expr{l, h}}, err
	}
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_BETWEEN:
		return within(0, 1)
	case pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:
		return without(0, 1)
	}
	test, join := within, disjunction
	if x.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
		test, join = without, conjunction
	}
	first, err := test(0, 1)
	if err != nil {
		return nil, err
	}
	second, err := test(1, 0)
	if err != nil {
		return nil, err
	}
	return join([]expr.Expr{first, second}), nil
}

// quantified is "left op ANY|ALL (array)".
func (a *analyzer) quantified(s *scope, x *pg.A_Expr, in place) (expr.Expr, error) {
	left, err := a.expression(s, x.Lexpr, in)
	if err != nil {
		return nil, err
	}
	right, err := a.expression(s, x.Rexpr, in)
	if err != nil {
		return nil, err
	}
	elem := right.Type()
	if elem.OID != row.Unknown {
		if elem = elem.Element(); elem.OID == 0 {
			return nil, a.at(x.Location, errs.SQL("42809", "op ANY/ALL (array) requires array on right side"))
		}
	}
	f, castTo, result, err := expr.ResolveOperator(lastName(x.Name), left.Type(), elem)
	if err != nil {
		return nil, a.at(x.Location, err)
	}
	if result.OID != row.Bool {
		return nil, a.at(x.Location, errs.SQL("42809", "op ANY/ALL (array) requires operator to yield boolean"))
	}
	if left, err = a.coerce(left, castTo[0], expr.Implicit, location(x.Lexpr), ""); err != nil {
		return nil, err
	}
	array := castTo[1].Array()
	if array.OID == 0 {
		return nil, a.at(x.Location, errs.SQL("42704", "could not find array type for data type %s", baseName(castTo[1])))
	}
	if right, err = a.coerce(right, array, expr.Implicit, location(x.Rexpr), ""); err != nil {
		return nil, err
	}
	return &expr.AnyAll{Op: f, Left: left, Array: right, All: x.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL}, nil
}

// inList is "left [NOT] IN (list)": one search of an array for what needs no columns and has a common type, "=" for the
// rest.
func (a *analyzer) inList(s *scope, x *pg.A_Expr, in place) (expr.Expr, error) {
	left, err := a.expression(s, x.Lexpr, in)
	if err != nil {
		return nil, err
	}
	nodes := x.Rexpr.GetList().GetItems()
	list, err := a.separate(s, nodes, in)
	if err != nil {
		return nil, err
	}
	op := lastName(x.Name)
	var tests, fixed []expr.Expr
	var fixedNodes []*pg.Node
	var others []int
	for i, e := range list {
		if x.Lexpr.GetRowExpr() == nil && nodes[i].GetRowExpr() == nil && !usesColumns(e) {
			fixed, fixedNodes = append(fixed, e), append(fixedNodes, nodes[i])
		} else {
			others = append(others, i)
		}
	}
	if len(fixed) > 1 {
		test, err := a.inArray(op, left, fixed, fixedNodes, x)
		if err != nil {
			return nil, err
		}
		if test != nil {
			tests = append(tests, test)
		}
	}
	if tests == nil {
		others = others[:0]
		for i := range list {
			others = append(others, i)
		}
	}
	for _, i := range others {
		test, err := a.inOne(op, left, list[i], nodes[i], x)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	if op == "<>" {
		return conjunction(tests), nil
	}
	return disjunction(tests), nil
}

func usesColumns(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		switch e.(type) {
		case *expr.Column, *expr.Subquery, *aggregateRef, *windowRef, *groupingRef:
			found = true
		}
		return !found
	})
	return found
}

// inOne compares with one element of an IN list.
func (a *analyzer) inOne(op string, left, right expr.Expr, n *pg.Node, x *pg.A_Expr) (expr.Expr, error) {
	if x.Lexpr.GetRowExpr() != nil && n.GetRowExpr() != nil {
		return a.compareRows(op, left.(*expr.Record).Fields, right.(*expr.Record).Fields, x)
	}
	e, err := a.operatorAt(op, left, right, x.Location, location(x.Lexpr), location(n))
	if err == nil && e.Type().OID != row.Bool {
		return nil, a.at(x.Location, errs.SQL("42804", "argument of IN must be type boolean, not type %s", baseName(e.Type())))
	}
	return e, err
}

// inArray is a search of an array; nil when left and the elements have no common type.
func (a *analyzer) inArray(op string, left expr.Expr, list []expr.Expr, nodes []*pg.Node, x *pg.A_Expr) (expr.Expr, error) {
	types := []row.Type{left.Type()}
	for _, e := range list {
		types = append(types, e.Type())
	}
	t, err := expr.CommonType(types, "IN")
	if err != nil || t.OID == row.Record || t.Array().OID == 0 {
		return nil, nil
	}
	elems := make([]expr.Expr, len(list))
	for i, e := range list {
		if elems[i], err = a.coerce(e, t, expr.Implicit, location(nodes[i]), "IN"); err != nil {
			return nil, err
		}
	}
	f, castTo, _, err := expr.ResolveOperator(op, left.Type(), t)
	if err != nil {
		return nil, a.at(x.Location, err)
	}
	if left, err = a.coerce(left, castTo[0], expr.Implicit, location(x.Lexpr), ""); err != nil {
		return nil, err
	}
	for i, e := range elems {
		if elems[i], err = a.coerce(e, castTo[1], expr.Implicit, location(nodes[i]), "IN"); err != nil {
			return nil, err
		}
	}
	array := &expr.Array{Elems: elems, Typ: row.T(row.ArrayOf(castTo[1].OID))}
	return &expr.AnyAll{Op: f, Left: left, Array: array, All: op == "<>"}, nil
}

// rowOperators are the comparisons of rows, with the strict form that decides before the last column.
var rowOperators = map[string]string{"=": "=", "<>": "<>", "<": "<", "<=": "<", ">": ">", ">=": ">"}

// compareRows is "(a, b) op (c, d)": column by column, the first difference deciding.
func (a *analyzer) compareRows(op string, left, right []expr.Expr, x *pg.A_Expr) (expr.Expr, error) {
	strict, ok := rowOperators[op]
	switch {
	case len(left) != len(right):
		return nil, a.at(x.Location, errs.SQL("42601", "unequal number of entries in row expressions"))
	case len(left) == 0:
		return nil, a.at(x.Location, errs.SQL("0A000", "cannot compare rows of zero length"))
	}
	leftLocs, rightLocs := rowLocations(x.Lexpr, x.Location, len(left)), rowLocations(x.Rexpr, x.Location, len(left))
	pair := func(op string, i int) (expr.Expr, error) {
		return a.operatorAt(op, left[i], right[i], x.Location, leftLocs[i], rightLocs[i])
	}
	tests := make([]expr.Expr, len(left))
	for i := range left {
		var err error
		if tests[i], err = pair(op, i); err != nil {
			return nil, err
		}
		if t := tests[i].Type(); t.OID != row.Bool {
			return nil, a.at(x.Location, errs.SQL("42804", "row comparison operator must yield type boolean, not type %s", baseName(t)))
		}
	}
	switch {
	case op == "=":
		return conjunction(tests), nil
	case op == "<>" || len(tests) == 1:
		return disjunction(tests), nil
	case !ok:
		return nil, a.at(x.Location, errs.SQL("0A000", "could not determine interpretation of row comparison operator %s", op).
			WithHint("Row comparison operators must be associated with btree operator families."))
	}
	result := tests[len(tests)-1]
	for i := len(left) - 2; i >= 0; i-- {
		decided, err := pair(strict, i)
		if err != nil {
			return nil, err
		}
		same, err := pair("=", i)
		if err != nil {
			return nil, err
		}
		result = &expr.Or{Args: []expr.Expr{decided, &expr.And{Args: []expr.Expr{same, result}}}}
	}
	return result, nil
}

// rowLocations are the places of a row's fields; loc for those of another expression.
func rowLocations(n *pg.Node, loc int32, count int) []int32 {
	if r := n.GetRowExpr(); r != nil && len(r.Args) == count {
		return locations(r.Args)
	}
	return slices.Repeat([]int32{loc}, count)
}
