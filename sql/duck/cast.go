package duck

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func (t *translator) cast(e *expr.Cast, s *scope) value {
	from, to := e.Arg.Type(), e.To
	if v, ok := t.constant(e.Arg); ok && (v.IsNull() || from.OID == row.Unknown) {
		if v.IsNull() {
			return literal(row.Null, to)
		}
		parsed, err := row.ParseText(to, v.Str())
		if err != nil {
			fail("a literal that is no %s", to)
		}
		return literal(parsed, to)
	}
	v := t.expr(e.Arg, s)
	if v.opaque {
		if from.OID == to.OID && to.Mod == 0 {
			return v
		}
		fail("a cast from %s to %s", from, to)
	}
	out, ok := t.castValue(v, from, to, e.Context)
	if !ok {
		fail("a cast from %s to %s", from, to)
	}
	out.typ = to
	out.raises = out.raises || v.raises
	return out
}

func (t *translator) castValue(v value, from, to row.Type, context expr.CastContext) (value, bool) {
	fk, tk := row.KindOf(from.OID), row.KindOf(to.OID)
	target, _ := storedType(to)
	plain := value{sql: "CAST(" + v.sql + " AS " + target + ")"}
	switch {
	case to.OID == row.Numeric:
		return castNumeric(v, fk, to)
	case tk == row.KindText:
		return castText(v, from, to, context)
	case fk == row.KindInt && tk == row.KindInt:
		plain.raises = intBits[to.OID] < intBits[from.OID]
		return plain, intBits[to.OID] > 0 && (intBits[from.OID] > 0 || to.OID == row.Int8)
	case fk == row.KindInt && tk == row.KindFloat, fk == row.KindFloat && tk == row.KindFloat:
		plain.raises = to.OID == row.Float4
		return plain, !(to.OID == row.Float4 && from.OID == row.Float8)
	case fk == row.KindFloat && tk == row.KindInt:
		// Both round to even; a value out of range is an error in both.
		plain.raises = true
		return plain, intBits[to.OID] > 0
	case fk == row.KindNumeric && tk == row.KindInt:
		plain.raises = true
		return plain, intBits[to.OID] > 0
	case fk == row.KindNumeric && to.OID == row.Float8:
		// Up to 15 digits the quotient of two exact doubles is the nearest one.
		return plain, v.num.precision <= 15
	case from.OID == to.OID && to.Mod == 0:
		return v, true
	case to.Mod != 0:
		return value{}, false
	}
	arg := []value{v}
	switch {
	case from.OID == row.Date && to.OID == row.Timestamp, from.OID == row.Timestamp && to.OID == row.Date:
		return t.guarded(plain.sql, arg, nil), true
	case (from.OID == row.Date || from.OID == row.Timestamp) && to.OID == row.TimestampTZ:
		return t.toZoned(v, nil), true
	case from.OID == row.TimestampTZ && (to.OID == row.Timestamp || to.OID == row.Date):
		return t.guarded("CAST("+t.local(v)+" AS "+target+")", arg, nil), true
	}
	return value{}, false
}

func castNumeric(v value, from row.Kind, to row.Type) (value, bool) {
	var d decimal
	switch from {
	case row.KindInt:
		d = fixed(19, 0)
	case row.KindNumeric:
		d = v.num
	default:
		return value{}, false // float8 to numeric goes by 15 significant digits
	}
	if p, s, ok := decimalOf(to); ok {
		// A value that does not fit is an error in both, but PostgreSQL's says more: the row executor raises it.
		return value{sql: "CAST(" + v.sql + " AS " + decimalType(p, s) + ")", num: decimal{precision: p, scale: s}, raises: true}, true
	}
	if to.Mod != 0 {
		return value{}, false
	}
	if from == row.KindNumeric {
		return value{sql: v.sql, num: v.num}, true
	}
	return value{sql: "CAST(" + v.sql + " AS " + decimalType(d.precision, 0) + ")", num: d}, true
}

func castText(v value, from, to row.Type, context expr.CastContext) (value, bool) {
	s := v.sql
	switch from.OID {
	case row.Text, row.VarChar, row.Name:
	case row.BPChar:
		if to.OID != row.BPChar {
			s = "rtrim(" + s + ", ' ')"
		}
	case row.Bool, row.Int2, row.Int4, row.Int8, row.UUID:
		s = "CAST(" + s + " AS VARCHAR)"
	case row.Numeric:
		if v.num.display != "" {
			return value{}, false
		}
		s = "CAST(" + s + " AS VARCHAR)"
	default:
		return value{}, false
	}
	switch to.OID {
	case row.Text:
		return value{sql: s}, true
	case row.VarChar:
		if n, ok := to.Length(); ok {
			if context != expr.Explicit {
				return value{}, false // too long is an error
			}
			s = fmt.Sprintf("left(%s, %d)", s, n)
		}
		return value{sql: s}, true
	case row.BPChar:
		if n, ok := to.Length(); ok && (from.OID != row.BPChar || from.Mod != to.Mod) {
			if context != expr.Explicit {
				return value{}, false
			}
			s = fmt.Sprintf("rpad(%s, %d, ' ')", s, n)
		}
		return value{sql: s}, true
	}
	return value{}, false
}
