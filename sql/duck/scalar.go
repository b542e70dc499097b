package duck

import (
	"fmt"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

var (
	boolType    = row.T(row.Bool)
	numericType = row.T(row.Numeric)
)

// stored is a column as a scan gives it.
func stored(sql string, t row.Type) value {
	v := value{sql: sql, typ: t}
	switch t.OID {
	case row.Numeric:
		p, s, ok := decimalOf(t)
		if v.opaque = !ok; ok {
			v.num = decimal{precision: p, scale: s}
		}
	case row.Bool, row.Int2, row.Int4, row.Int8, row.Oid, row.Float4, row.Float8, row.Text, row.VarChar, row.BPChar, row.Name, row.Bytea,
		row.UUID, row.Date, row.Time, row.Timestamp, row.TimestampTZ, row.Interval:
	default:
		v.opaque = true
	}
	return v
}

// expr translates an expression over the row s.
func (t *translator) expr(e expr.Expr, s *scope) value {
	switch e := e.(type) {
	case *expr.Column:
		return t.column(e, s)
	case *expr.Const:
		return literal(e.Value, e.Typ)
	case *expr.Param:
		v, ok := t.constant(e)
		if !ok {
			fail("parameter $%d without a value", e.N)
		}
		return literal(v, e.Typ)
	case *expr.Call:
		return t.apply(e.Func, t.exprs(e.Args, s), e.Typ, e.Args)
	case *expr.Cast:
		return t.cast(e, s)
	case *expr.And:
		return t.conjunction(e.Args, s)
	case *expr.Or:
		vs := t.exprs(e.Args, s)
		return value{sql: "(" + join(vs, " OR ") + ")", typ: boolType, raises: raises(vs)}
	case *expr.Not:
		v := t.expr(e.Arg, s)
		return value{sql: "(NOT " + v.sql + ")", typ: boolType, raises: v.raises}
	case *expr.IsNull:
		return t.isNull(e, s)
	case *expr.BoolTest:
		return t.boolTest(e, s)
	case *expr.Distinct:
		a, b := t.pair(e.Left, e.Right, s)
		word := "IS DISTINCT FROM"
		if e.Negated {
			word = "IS NOT DISTINCT FROM"
		}
		return value{sql: fmt.Sprintf("(%s %s %s)", a.sql, word, b.sql), typ: boolType}
	case *expr.Case:
		return t.caseOf(e, s)
	case *expr.Coalesce:
		return t.coalesce(e, s)
	case *expr.MinMax:
		return t.minMax(e, s)
	case *expr.NullIf:
		v := t.expr(e.Left, s)
		eq := t.apply(e.Eq, []value{v, t.expr(e.Right, s)}, boolType, nil)
		v.sql = fmt.Sprintf("CASE WHEN %s THEN NULL ELSE %s END", eq.sql, v.sql)
		return paren(v)
	case *expr.AnyAll:
		return t.anyAll(e, s)
	case *expr.Subquery:
		return t.subquery(e, s)
	}
	fail("expression %T", e)
	return value{}
}

func paren(v value) value { v.sql = "(" + v.sql + ")"; return v }

func raises(vs []value) bool {
	for _, v := range vs {
		if v.raises {
			return true
		}
	}
	return false
}

func (t *translator) column(e *expr.Column, s *scope) value {
	for range e.Depth {
		if s == nil {
			break
		}
		s = s.outer
	}
	if s == nil || e.Index >= len(s.cols) {
		fail("column %d of level %d", e.Index, e.Depth)
	}
	v := s.cols[e.Index]
	if v.sql == "" {
		panic(fmt.Sprintf("duck: column %d (%s) was pruned", e.Index, e.Name))
	}
	return v
}

// condition is an expression where only true counts.
func (t *translator) condition(e expr.Expr, s *scope) value { return t.expr(e, s) }

// conjunction keeps what may raise an error behind the other terms: DuckDB evaluates the terms of AND in an order of its
// own, but CASE in ours.
func (t *translator) conjunction(es []expr.Expr, s *scope) value {
	var safe, risky []value
	for i, e := range es {
		if v := t.expr(e, s); v.raises && i > 0 {
			risky = append(risky, v)
		} else {
			safe = append(safe, v)
		}
	}
	a := "(" + join(safe, " AND ") + ")"
	if len(risky) == 0 {
		return value{sql: a, typ: boolType, raises: raises(safe)}
	}
	b := "(" + join(risky, " AND ") + ")"
	return value{sql: fmt.Sprintf("(CASE WHEN %s THEN %s WHEN %s IS NULL THEN (%s AND %s) ELSE false END)", a, b, a, a, b), typ: boolType, raises: true}
}

func (t *translator) isNull(e *expr.IsNull, s *scope) value {
	if _, ok := e.Arg.(*expr.Record); ok || e.Arg.Type().OID == row.Record {
		fail("IS NULL of a row")
	}
	v := t.expr(e.Arg, s)
	word := "IS NULL"
	if e.Negated {
		word = "IS NOT NULL"
	}
	return value{sql: fmt.Sprintf("(%s %s)", v.sql, word), typ: boolType, raises: v.raises}
}

func (t *translator) boolTest(e *expr.BoolTest, s *scope) value {
	v := t.expr(e.Arg, s)
	not := ""
	if e.Negated {
		not = "NOT "
	}
	word := "NULL"
	if !e.Value.IsNull() {
		if word = "FALSE"; e.Value.Bool() {
			word = "TRUE"
		}
		return value{sql: fmt.Sprintf("(%s IS %sDISTINCT FROM %s)", v.sql, map[string]string{"": "NOT ", "NOT ": ""}[not], word), typ: boolType}
	}
	return value{sql: fmt.Sprintf("(%s IS %sNULL)", v.sql, not), typ: boolType}
}

// pair translates two sides of a comparison that has no function.
func (t *translator) pair(l, r expr.Expr, s *scope) (a, b value) {
	return t.groupable(t.comparable(t.expr(l, s))), t.groupable(t.comparable(t.expr(r, s)))
}

// comparable gives v in the form in which DuckDB's order and equality are PostgreSQL's.
func (t *translator) comparable(v value) value {
	if v.opaque {
		fail("comparing %s", v.typ)
	}
	if v.typ.OID == row.BPChar {
		v.sql = "rtrim(" + v.sql + ", ' ')"
	}
	return v
}

// groupable refuses what DuckDB does not group as PostgreSQL does.
func (t *translator) groupable(v value) value {
	if v.opaque {
		fail("grouping %s", v.typ)
	}
	if v.typ.OID == row.Interval || v.num.display != "" {
		fail("grouping values that are equal and look different")
	}
	return v
}

// unification is values brought to one form: for CASE, VALUES, UNION.
type unification struct {
	result   value
	sqls     []string
	displays []string // nil: the display scale is result's
}

func (t *translator) unify(vs []value, typ row.Type) unification {
	u := unification{result: value{typ: typ, raises: raises(vs)}, sqls: make([]string, len(vs))}
	var nums []decimal
	opaque, plain := 0, 0
	for i, v := range vs {
		u.sqls[i] = v.sql
		switch {
		case v.sql == nullText:
		case v.opaque:
			opaque++
		default:
			plain++
			nums = append(nums, v.num)
		}
	}
	if opaque > 0 && plain > 0 {
		fail("values of two forms of %s", typ)
	}
	u.result.opaque = opaque > 0
	if typ.OID != row.Numeric || opaque > 0 || len(nums) == 0 {
		if typ.OID == row.Numeric && opaque == 0 {
			u.result.num = fixed(1, 0)
		}
		return u
	}
	d, same := unified(nums)
	u.result.num = d
	for i, v := range vs {
		if v.sql != nullText {
			u.sqls[i] = v.at(d)
		}
	}
	if !same {
		u.displays = make([]string, len(vs))
		for i, v := range vs {
			u.displays[i] = nullText
			if v.sql != nullText {
				u.displays[i] = "CAST(" + v.num.shown() + " AS INTEGER)"
			}
		}
		u.result.num.display = "d" // the caller puts the text together
	}
	return u
}

func (t *translator) caseOf(e *expr.Case, s *scope) value {
	var conds []value
	var vs []value
	for _, w := range e.Whens {
		conds = append(conds, t.expr(w.Cond, s))
		vs = append(vs, t.expr(w.Then, s))
	}
	if e.Else != nil {
		vs = append(vs, t.expr(e.Else, s))
	} else {
		vs = append(vs, literal(row.Null, e.Typ))
	}
	u := t.unify(vs, e.Typ)
	write := func(branches []string) string {
		var b strings.Builder
		b.WriteString("(CASE")
		for i, c := range conds {
			fmt.Fprintf(&b, " WHEN %s THEN %s", c.sql, branches[i])
		}
		fmt.Fprintf(&b, " ELSE %s END)", branches[len(conds)])
		return b.String()
	}
	v := u.result
	v.sql = write(u.sqls)
	if u.displays != nil {
		v.num.display = write(u.displays)
	}
	// CASE is the guard: what its branches raise, it means to raise.
	v.raises = len(conds) > 0 && raises(conds)
	return v
}

func (t *translator) coalesce(e *expr.Coalesce, s *scope) value {
	vs := t.exprs(e.Args, s)
	u := t.unify(vs, e.Typ)
	v := u.result
	v.sql = "coalesce(" + strings.Join(u.sqls, ", ") + ")"
	if u.displays != nil {
		var b strings.Builder
		b.WriteString("(CASE")
		for i, a := range u.sqls {
			fmt.Fprintf(&b, " WHEN %s IS NOT NULL THEN %s", a, u.displays[i])
		}
		b.WriteString(" END)")
		v.num.display = b.String()
	}
	return v
}

func (t *translator) minMax(e *expr.MinMax, s *scope) value {
	vs := t.exprs(e.Args, s)
	for _, v := range vs {
		if !orderable(v) {
			fail("GREATEST or LEAST of %s", v.typ)
		}
	}
	u := t.unify(vs, e.Typ)
	if u.displays != nil {
		fail("GREATEST or LEAST of numerics of different scales")
	}
	v := u.result
	word := "greatest"
	if e.Least {
		word = "least"
	}
	v.sql = word + "(" + strings.Join(u.sqls, ", ") + ")"
	return v
}

// anyAll: a list of elements is IN, or a chain of comparisons; other arrays are PostgreSQL's text here.
func (t *translator) anyAll(e *expr.AnyAll, s *scope) value {
	left := t.expr(e.Left, s)
	elems := t.elements(e.Array, s)
	if len(elems) == 0 {
		return value{sql: map[bool]string{true: "true", false: "false"}[e.All], typ: boolType}
	}
	if e.Op.Name == "=" && !e.All || e.Op.Name == "<>" && e.All {
		if _, known := rules[signature(e.Op)]; !known {
			fail("operator %s", signature(e.Op))
		}
		l := t.comparable(left)
		list := make([]value, len(elems))
		for i, v := range elems {
			list[i] = t.comparable(v)
		}
		not := ""
		if e.All {
			not = "NOT "
		}
		return value{sql: fmt.Sprintf("(%s %sIN (%s))", l.sql, not, join(list, ", ")), typ: boolType}
	}
	terms := make([]value, len(elems))
	for i, v := range elems {
		terms[i] = t.apply(e.Op, []value{left, v}, boolType, nil)
	}
	word := " OR "
	if e.All {
		word = " AND "
	}
	return value{sql: "(" + join(terms, word) + ")", typ: boolType}
}

func (t *translator) elements(e expr.Expr, s *scope) []value {
	if a, ok := e.(*expr.Array); ok && !a.Nested {
		return t.exprs(a.Elems, s)
	}
	v, ok := t.constant(e)
	if !ok || v.Kind() != row.KindList {
		fail("ANY or ALL of a computed array")
	}
	var out []value
	for _, x := range v.List() {
		if x.Kind() == row.KindList {
			fail("ANY or ALL of an array of arrays")
		}
		out = append(out, literal(x, e.Type().Element()))
	}
	return out
}

func (t *translator) subquery(e *expr.Subquery, s *scope) value {
	n, ok := e.Plan.(plan.Node)
	if !ok {
		fail("subquery %T", e.Plan)
	}
	need := make([]bool, len(n.Columns()))
	for i := range need {
		need[i] = e.Kind != expr.Exists
	}
	r := t.node(n, need, s)
	switch e.Kind {
	case expr.Exists:
		return value{sql: "(EXISTS (" + r.text() + "))", typ: boolType}
	case expr.Scalar:
		v := r.cols[0]
		if v.num.display != "" {
			fail("a scalar subquery that gives a numeric of changing scale")
		}
		v.sql, v.raises = "("+r.text()+")", false
		return v
	case expr.AnyOf, expr.AllOf:
		return t.subqueryComparison(e, r, s)
	}
	fail("a subquery of this kind")
	return value{}
}

func (t *translator) subqueryComparison(e *expr.Subquery, r *rel, s *scope) value {
	if len(e.Left) != 1 {
		fail("a row compared with a subquery")
	}
	if _, known := rules[signature(e.Ops[0])]; !known {
		fail("operator %s", signature(e.Ops[0]))
	}
	l := t.comparable(t.expr(e.Left[0], s))
	r = t.closed(r)
	r.cols[0] = t.comparable(r.cols[0])
	r.cols[0].num.display = "" // only compared
	word := "ANY"
	if e.Kind == expr.AllOf {
		word = "ALL"
	}
	return value{sql: fmt.Sprintf("(%s %s %s (%s))", l.sql, e.Ops[0].Name, word, r.text()), typ: boolType}
}
