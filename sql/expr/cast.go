package expr

import (
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// CastFunc converts a value that is not NULL.
type CastFunc = func(ctx *Ctx, v row.Value) (row.Value, error)

func compileCast(e *Cast) (Evaluator, error) {
	cast, err := NewCast(e.Arg.Type(), e.To, e.Context)
	if err != nil {
		return nil, err
	}
	if c, ok := e.Arg.(*Const); ok {
		return castConst(c.Value, e, cast), nil
	}
	arg, err := Compile(e.Arg)
	if err != nil || cast == nil {
		return arg, err
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		return cast(ctx, v)
	}, nil
}

// castOnce is a constant's cast as it came out in one time zone and transaction.
type castOnce struct {
	location *time.Location
	now      int64
	value    row.Value
}

// castConst casts a constant. What depends on the session's time zone or transaction time (timestamptz literals, 'now')
// is remembered for the last of them, so that a condition over many rows parses it once.
func castConst(v row.Value, e *Cast, cast CastFunc) Evaluator {
	if v.IsNull() || cast == nil {
		return func(*Ctx, row.Row) (row.Value, error) { return v, nil }
	}
	switch e.To.OID {
	case row.RegClass, row.RegProc, row.RegType, row.RegNamespace, row.RegRole, row.RegOper, RegProcedure:
		return func(ctx *Ctx, _ row.Row) (row.Value, error) { return cast(ctx, v) }
	}
	var last atomic.Pointer[castOnce]
	return func(ctx *Ctx, _ row.Row) (row.Value, error) {
		f := ctx.format()
		if l := last.Load(); l != nil && l.location == f.Location && l.now == f.Now {
			return l.value, nil
		}
		out, err := cast(ctx, v)
		if err != nil {
			return row.Null, err
		}
		last.Store(&castOnce{f.Location, f.Now, out})
		return out, nil
	}
}

// NewCast gives the conversion from one type to another with its modifier; nil: the value is taken as it is. Errors:
// 42846 when there is no such cast.
func NewCast(from, to row.Type, context CastContext) (CastFunc, error) {
	base, err := baseCast(from, to)
	if err != nil {
		return nil, err
	}
	if to.Mod == 0 || from == to {
		return base, nil
	}
	explicit := context == Explicit
	return func(ctx *Ctx, v row.Value) (row.Value, error) {
		if base != nil {
			var err error
			if v, err = base(ctx, v); err != nil || v.IsNull() {
				return row.Null, err
			}
		}
		return row.ApplyTypmod(to, v, explicit)
	}, nil
}

// pure makes a CastFunc of a function that needs no session.
func pure(f unaryFunc) CastFunc { return func(_ *Ctx, v row.Value) (row.Value, error) { return f(v) } }

func baseCast(from, to row.Type) (CastFunc, error) {
	if from.OID == to.OID || to.OID == AnyOID || to.OID == row.Unknown || to.OID == row.AnyArray {
		return nil, nil
	}
	if isString(from.OID) || from.OID == row.PgNodeTree {
		return fromString(from.OID, to.OID), nil
	}
	if f, ok := scalarCasts[castPair{from.OID, to.OID}]; ok {
		return f, nil
	}
	if isOIDLike(from.OID) && isOIDLike(to.OID) {
		return nil, nil
	}
	if fe, te := from.Element(), to.Element(); fe.OID != 0 && te.OID != 0 {
		return arrayCast(row.T(fe.OID), row.T(te.OID))
	}
	if category(to.OID) == 'S' || to.OID == row.Char {
		return toString(row.T(from.OID), to.OID), nil
	}
	if isInteger(from.OID) && isOIDLike(to.OID) {
		if from.OID == row.Int8 {
			return pure(bigintToOID), nil
		}
		return pure(func(v row.Value) (row.Value, error) { return row.NewInt(int64(uint32(v.Int()))), nil }), nil
	}
	if isOIDLike(from.OID) && to.OID == row.Int8 {
		return nil, nil
	}
	if isOIDLike(from.OID) && to.OID == row.Int4 {
		return pure(func(v row.Value) (row.Value, error) { return row.NewInt(int64(int32(v.Int()))), nil }), nil
	}
	return nil, errs.SQL("42846", "cannot cast type %s to %s", typeName(from), typeName(to))
}

func isInteger(oid row.OID) bool { return oid == row.Int2 || oid == row.Int4 || oid == row.Int8 }

func isOIDLike(oid row.OID) bool {
	switch oid {
	case row.Oid, row.XID, row.RegClass, row.RegProc, row.RegType, row.RegNamespace, row.RegRole, row.RegOper, RegProcedure:
		return true
	}
	return false
}

func bigintToOID(v row.Value) (row.Value, error) {
	if n := v.Int(); n < 0 || n > math.MaxUint32 {
		return row.Null, errs.SQL("22003", "OID out of range")
	}
	return v, nil
}

func arrayCast(from, to row.Type) (CastFunc, error) {
	elem, err := baseCast(from, to)
	if err != nil || elem == nil {
		return nil, err
	}
	var list func(ctx *Ctx, v row.Value) (row.Value, error)
	list = func(ctx *Ctx, v row.Value) (row.Value, error) {
		out := make([]row.Value, len(v.List()))
		for i, x := range v.List() {
			var err error
			switch {
			case x.IsNull():
			case x.Kind() == row.KindList:
				out[i], err = list(ctx, x)
			default:
				out[i], err = elem(ctx, x)
			}
			if err != nil {
				return row.Null, err
			}
		}
		return row.NewList(out), nil
	}
	return list, nil
}

// OutputText is v's text form as ::text gives it: booleans as true and false, reg* types by name.
func OutputText(ctx *Ctx, t row.Type, v row.Value) (string, error) {
	switch t.OID {
	case row.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case row.BPChar:
		return strings.TrimRight(v.Str(), " "), nil
	}
	return wireText(ctx, t, v)
}

// wireText is v's text form as a client sees it.
func wireText(ctx *Ctx, t row.Type, v row.Value) (string, error) {
	if v.Kind() == row.KindText {
		return v.Str(), nil
	}
	if isOIDLike(t.OID) && t.OID != row.Oid && t.OID != row.XID {
		return regOut(ctx, t.OID, v)
	}
	return string(ctx.format().AppendText(nil, t, v)), nil
}

func toString(from row.Type, to row.OID) CastFunc {
	return func(ctx *Ctx, v row.Value) (row.Value, error) {
		text := OutputText
		if to == row.Name { // by its output function
			text = wireText
		}
		s, err := text(ctx, from, v)
		if err != nil {
			return row.Null, err
		}
		return stringAs(to, s), nil
	}
}

// stringAs fits a string to name and "char".
func stringAs(to row.OID, s string) row.Value {
	switch {
	case to == row.Name && len(s) > 63:
		n := 63
		for n > 0 && s[n]&0xC0 == 0x80 {
			n--
		}
		s = s[:n]
	case to == row.Char && len(s) > 1:
		s = s[:1]
	}
	return row.NewText(s)
}

func fromString(from, to row.OID) CastFunc {
	switch {
	case category(to) == 'S' || to == row.Char || to == row.PgNodeTree:
		if from == row.BPChar && to != row.BPChar {
			return pure(func(v row.Value) (row.Value, error) { return stringAs(to, strings.TrimRight(v.Str(), " ")), nil })
		}
		if to == row.Name || to == row.Char {
			return pure(func(v row.Value) (row.Value, error) { return stringAs(to, v.Str()), nil })
		}
		return nil
	case isOIDLike(to) && to != row.Oid && to != row.XID:
		return func(ctx *Ctx, v row.Value) (row.Value, error) { return regIn(ctx, to, v.Str()) }
	case to == row.Record:
		return func(*Ctx, row.Value) (row.Value, error) {
			return row.Null, errs.SQL("0A000", "input of anonymous composite types is not implemented")
		}
	}
	if e := row.ElementOf(to); isOIDLike(e) && e != row.Oid {
		return func(ctx *Ctx, v row.Value) (row.Value, error) {
			list, err := ctx.format().ParseText(row.T(row.ArrayOf(row.Text)), v.Str())
			if err != nil {
				return row.Null, err
			}
			cast, err := arrayCast(row.T(row.Text), row.T(e))
			if err != nil {
				return row.Null, err
			}
			return cast(ctx, list)
		}
	}
	t := row.T(to)
	return func(ctx *Ctx, v row.Value) (row.Value, error) { return ctx.format().ParseText(t, v.Str()) }
}

// regIn reads a reg* value: a number, or a name that the session's catalog knows.
func regIn(ctx *Ctx, t row.OID, s string) (row.Value, error) {
	if s == "-" {
		return row.NewInt(0), nil
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return row.NewInt(int64(n)), nil
	}
	if v, ok, err := regLookup(ctx, t, s); ok || err != nil {
		return v, err
	}
	switch t {
	case row.RegClass:
		return row.Null, errs.SQL("42P01", "relation \"%s\" does not exist", s)
	case row.RegNamespace:
		return row.Null, errs.SQL("3F000", "schema \"%s\" does not exist", s)
	case row.RegRole:
		return row.Null, errs.SQL("42704", "role \"%s\" does not exist", s)
	case row.RegType:
		return row.Null, errs.SQL("42704", "type \"%s\" does not exist", s)
	}
	return row.Null, errs.SQL("42883", "function \"%s\" does not exist", s)
}

// regLookup finds the object that s names: types and functions here, the rest by Env.
func regLookup(ctx *Ctx, t row.OID, s string) (row.Value, bool, error) {
	switch t {
	case row.RegType:
		if typ, ok := row.TypeByName(strings.TrimPrefix(s, "pg_catalog.")); ok {
			return row.NewInt(int64(typ.OID)), true, nil
		}
	case row.RegProc:
		if list := byName[strings.TrimPrefix(s, "pg_catalog.")]; len(list) > 1 {
			return row.Null, false, errs.SQL("42725", "more than one function named \"%s\"", s)
		} else if len(list) == 1 {
			return row.NewInt(int64(list[0].OID)), true, nil
		}
	}
	if ctx == nil || ctx.Env == nil {
		return row.Null, false, nil
	}
	return ctx.Env.Describe(regTypeName(t)+"in", []row.Value{row.NewText(s)})
}

func regTypeName(t row.OID) string {
	info, _ := row.Info(t)
	return info.Name
}

// RegName is the text of a value of a reg* type: its object's name, or its number when there is none.
func RegName(ctx *Ctx, t row.OID, n int64) string {
	s, err := regOut(ctx, t, row.NewInt(n))
	if err != nil {
		return strconv.FormatInt(n, 10)
	}
	return s
}

// RegValue reads the text of a value of a reg* type. Errors: 42P01, 42704, 42883, 3F000, as PostgreSQL's.
func RegValue(ctx *Ctx, t row.OID, name string) (int64, error) {
	v, err := regIn(ctx, t, name)
	return v.Int(), err
}

// regOut is a reg* value's name, or its number when there is no such object.
func regOut(ctx *Ctx, t row.OID, v row.Value) (string, error) {
	if v.Int() == 0 {
		return "-", nil
	}
	switch t {
	case row.RegType:
		if _, ok := row.Info(row.OID(v.Int())); ok {
			return TypeName(row.OID(v.Int())), nil
		}
	case row.RegProc, RegProcedure:
		for _, f := range functions {
			if f.OID == row.OID(v.Int()) && !f.IsOperator() {
				return f.Name, nil
			}
		}
	}
	if ctx != nil && ctx.Env != nil {
		out, ok, err := ctx.Env.Describe(regTypeName(t)+"out", []row.Value{v})
		if err != nil || ok {
			return out.Str(), err
		}
	}
	return strconv.FormatInt(v.Int(), 10), nil
}
