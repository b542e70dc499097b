package plan

import (
	"errors"
	"strings"
	"time"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// coerce converts e to a type in a context: constants are parsed at once (22P02 with position), parameters take the type,
// anything else gets a Cast where its type (or typmod, on Assignment and Explicit) differs. what names the construct in
// the error (42804), such as "argument of WHERE" or `column "x"`; with "" a cast that does not exist is 42846. loc is e's
// location.
func (a *analyzer) coerce(e expr.Expr, to row.Type, ctx expr.CastContext, loc int32, what string) (expr.Expr, error) {
	if to.OID == row.Unknown || to.OID == expr.AnyOID {
		return e, nil
	}
	switch x := e.(type) {
	case *expr.Const:
		if x.Typ.OID == row.Unknown {
			return a.literal(x, to, ctx, loc)
		}
	case *expr.Param:
		if x.Typ.OID == row.Unknown {
			p, err := a.decide(x, to, loc)
			if err != nil {
				return nil, err
			}
			e = p
		}
	case *expr.Record:
		e = a.settle(e)
	}
	from := e.Type()
	switch {
	case from == to, from.OID == to.OID && (ctx == expr.Implicit || ctx == expr.Assignment && to.Mod == 0):
		return e, nil
	case !expr.CanCast(from.OID, to.OID, ctx):
		return nil, a.at(loc, cannotCoerce(from, to, what))
	}
	return &expr.Cast{Arg: e, To: to, Context: ctx, Pos: a.pos(loc)}, nil
}

func cannotCoerce(from, to row.Type, what string) error {
	switch {
	case what == "":
		return errs.SQL("42846", "cannot cast type %s to %s", baseName(from), baseName(to))
	case strings.HasPrefix(what, "column "):
		return errs.SQL("42804", "%s is of type %s but expression is of type %s", what, baseName(to), baseName(from)).
			WithHint("You will need to rewrite or cast the expression.")
	}
	return errs.SQL("42804", "%s must be type %s, not type %s", what, baseName(to), baseName(from))
}

// baseName is a type's name without its modifier, as messages give it.
func baseName(t row.Type) string { return expr.TypeName(t.OID) }

// literal gives an untyped constant its type.
func (a *analyzer) literal(c *expr.Const, to row.Type, ctx expr.CastContext, loc int32) (expr.Expr, error) {
	if at, ok := a.locations[c]; ok {
		loc = at
	}
	if c.Value.IsNull() {
		return &expr.Const{Typ: to}, nil
	}
	base := row.T(to.OID)
	if to.OID == row.Interval {
		base = to
	}
	v, fixed, err := parseLiteral(c.Value, base)
	if err != nil {
		return nil, a.at(loc, err)
	}
	if !fixed {
		return &expr.Cast{Arg: c, To: to, Context: ctx, Pos: a.pos(loc)}, nil
	}
	fitted, err := row.ApplyTypmod(to, v, ctx == expr.Explicit)
	if err != nil { // raised where and when it is executed
		return &expr.Cast{Arg: &expr.Const{Value: v, Typ: base}, To: to, Context: ctx, Pos: a.pos(loc)}, nil
	}
	return &expr.Const{Value: fitted, Typ: to}, nil
}

// moments are two sessions that differ in all that a literal may depend on.
var moments = [2]expr.Ctx{
	{Now: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), Location: time.UTC},
	{Now: time.Date(2010, 11, 12, 13, 14, 15, 0, time.UTC), Location: time.FixedZone("", 5*3600+45*60)},
}

// parseLiteral reads the text of a constant. fixed is false for what depends on the session (its time zone, its time, its
// names), which must not be decided in a plan that others will use.
func parseLiteral(text row.Value, to row.Type) (v row.Value, fixed bool, err error) {
	if named(to.OID) || named(row.ElementOf(to.OID)) {
		return row.Null, false, nil
	}
	cast, err := expr.NewCast(row.T(row.Unknown), row.T(to.OID), expr.Explicit)
	switch {
	case err != nil:
		return row.Null, false, err
	case cast == nil:
		return text, true, nil
	case to.OID == row.Interval: // whose fields say what a number means
		v, err = row.ParseText(to, text.Str())
		return v, true, err
	}
	var values [2]row.Value
	for i := range moments {
		if values[i], err = cast(&moments[i], text); err != nil {
			return row.Null, false, err
		}
	}
	return values[0], row.CompareTyped(to, values[0], values[1]) == 0, nil
}

// named reports whether values of a type are read by the names of a session's objects.
func named(oid row.OID) bool {
	switch oid {
	case row.RegClass, row.RegProc, row.RegType, row.RegNamespace, row.RegRole, row.RegOper, expr.RegProcedure:
		return true
	}
	return false
}

// decide gives a parameter the type that its first use asks for.
func (a *analyzer) decide(p *expr.Param, to row.Type, loc int32) (*expr.Param, error) {
	if at, ok := a.locations[p]; ok {
		loc = at
	}
	known := &a.params[p.N-1]
	if known.OID == 0 || known.OID == row.Unknown {
		*known = row.T(to.OID)
	}
	if known.OID != to.OID {
		return nil, a.at(loc, errs.SQL("42P08", "inconsistent types deduced for parameter $%d", p.N).
			WithDetail("%s versus %s", baseName(*known), baseName(to)))
	}
	return &expr.Param{N: p.N, Typ: *known}, nil
}

// settle gives text to what is still Unknown (PostgreSQL's rule for the outputs of a query).
func (a *analyzer) settle(e expr.Expr) expr.Expr {
	switch x := e.(type) {
	case *expr.Const:
		if x.Typ.OID == row.Unknown {
			return &expr.Const{Value: x.Value, Typ: row.T(row.Text)}
		}
	case *expr.Param:
		if x.Typ.OID == row.Unknown {
			p, err := a.decide(x, row.T(row.Text), -1)
			if err != nil {
				a.undecided = err
				return e
			}
			return p
		}
	case *expr.Record:
		return expr.MapChildren(x, func(f expr.Expr) expr.Expr {
			if _, ok := f.(*expr.Param); ok { // PostgreSQL leaves it undecided
				return f
			}
			return a.settle(f)
		})
	}
	return e
}

// common coerces expressions to their CommonType; what as in expr.CommonType.
func (a *analyzer) common(es []expr.Expr, locs []int32, what string) ([]expr.Expr, row.Type, error) {
	types := make([]row.Type, len(es))
	for i, e := range es {
		types[i] = e.Type()
	}
	t, err := expr.CommonType(types, what)
	if err != nil {
		at := len(es) - 1
		for n := 2; n < len(es); n++ {
			if _, short := expr.CommonType(types[:n], what); state(short) == state(err) {
				at = n - 1
				break
			}
		}
		return nil, t, a.at(locs[at], err)
	}
	out := make([]expr.Expr, len(es))
	for i, e := range es {
		if out[i], err = a.coerce(e, t, expr.Implicit, locs[i], what); err != nil {
			return nil, t, err
		}
	}
	return out, t, nil
}

// state is an error's SQLSTATE.
func state(err error) string {
	var e *errs.Error
	if errors.As(err, &e) {
		return e.State
	}
	return ""
}

// condition is expression + coerce to boolean: "argument of WHERE must be type boolean, not type integer" (42804).
func (a *analyzer) condition(s *scope, n *pg.Node, in place, what string) (expr.Expr, error) {
	e, err := a.expression(s, n, in)
	if err != nil {
		return nil, err
	}
	loc := location(n)
	if e, err = a.coerce(e, row.T(row.Bool), expr.Implicit, loc, what); err != nil {
		return nil, err
	}
	if setCall(e) != nil {
		return nil, a.at(loc, errs.SQL("42804", "%s must not return a set", what))
	}
	return e, nil
}

// sortKey makes the key of ORDER BY from its checked expression: direction, nulls, USING; 42883 where the type has no
// order.
func (a *analyzer) sortKey(by *pg.SortBy, e expr.Expr) (SortKey, error) {
	k := SortKey{Expr: a.settle(e)}
	loc := location(by.Node)
	switch by.SortbyDir {
	case pg.SortByDir_SORTBY_DESC:
		k.Desc = true
	case pg.SortByDir_SORTBY_USING:
		switch op := lastName(by.UseOp); op {
		case "<":
		case ">":
			k.Desc = true
		default:
			return k, a.at(by.Location, errs.SQL("42809", "operator %s is not a valid ordering operator", op).
				WithHint("Ordering operators must be \"<\" or \">\" members of btree operator families."))
		}
	}
	switch by.SortbyNulls {
	case pg.SortByNulls_SORTBY_NULLS_FIRST:
		k.NullsFirst = true
	case pg.SortByNulls_SORTBY_NULLS_DEFAULT:
		k.NullsFirst = k.Desc
	}
	if !ordered(k.Expr.Type()) {
		return k, a.at(loc, errs.SQL("42883", "could not identify an ordering operator for type %s", baseName(k.Expr.Type())).
			WithHint("Use an explicit ordering operator or modify the query."))
	}
	return k, nil
}

// ordered reports whether a type has "<".
func ordered(t row.Type) bool {
	if elem := row.ElementOf(t.OID); elem != 0 && t.OID != row.OidVector {
		return ordered(row.T(elem))
	}
	_, _, _, err := expr.ResolveOperator("<", t, t)
	return err == nil
}
