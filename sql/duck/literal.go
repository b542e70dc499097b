package duck

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

const nullText = "NULL"

// constant gives the value of an expression that is known now.
func (t *translator) constant(e expr.Expr) (row.Value, bool) {
	switch e := e.(type) {
	case *expr.Const:
		return e.Value, true
	case *expr.Param:
		if e.N >= 1 && e.N <= len(t.context.Params) {
			return t.context.Params[e.N-1], true
		}
	case *expr.Cast:
		// An integer is the same in every integer type that holds it.
		if v, ok := t.constant(e.Arg); ok && v.Kind() == row.KindInt && row.KindOf(e.To.OID) == row.KindInt {
			if bits, ok := intBits[e.To.OID]; ok && (v.Int()>>(bits-1) == 0 || v.Int()>>(bits-1) == -1) {
				return v, true
			}
		}
	}
	return row.Null, false
}

var intBits = map[row.OID]int{row.Int2: 16, row.Int4: 32, row.Int8: 64}

// maxLiteral bounds a string literal: the engine makes a copy of it for each row of a vector of 2,048.
const maxLiteral = 64 << 10

func checkLength(s string) {
	if len(s) > maxLiteral {
		fail("a string of more than 64 KiB")
	}
}

// text writes a string literal.
func text(s string) string {
	checkLength(s)
	if strings.IndexByte(s, 0) >= 0 {
		fail("a NUL byte in a string")
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// literal writes a value of type t.
func literal(v row.Value, t row.Type) value {
	if v.IsNull() {
		out := stored(nullText, t)
		if t.OID == row.Numeric {
			out.opaque, out.num = false, fixed(1, 0)
		}
		return out
	}
	out := stored("", t)
	if t.OID == row.Unknown {
		out.opaque, out.typ = false, row.T(row.Text)
	}
	typ, ok := storedType(t)
	if !ok {
		fail("a value of type %s", t)
	}
	switch row.KindOf(t.OID) {
	case row.KindBool:
		out.sql = strconv.FormatBool(v.Bool())
	case row.KindInt:
		out.sql = fmt.Sprintf("CAST(%d AS %s)", v.Int(), typ)
		if v.Int() == math.MinInt64 {
			out.sql = "CAST('" + strconv.FormatInt(v.Int(), 10) + "' AS BIGINT)"
		}
	case row.KindFloat:
		out.sql = "CAST('" + strconv.FormatFloat(v.Float(), 'g', -1, 64) + "' AS " + typ + ")"
	case row.KindNumeric:
		return numericLiteral(v, t)
	case row.KindText:
		out.sql = text(v.Str())
	case row.KindBytes:
		checkLength(v.Str())
		out.sql = "from_hex('" + hex.EncodeToString([]byte(v.Str())) + "')"
	default:
		out.sql = otherLiteral(v, t, typ)
	}
	return out
}

// storedLiteral is a constant in the form in which column values are stored, of DuckDB's type typ.
func storedLiteral(v row.Value, t row.Type, typ string) string {
	if row.KindOf(t.OID) == row.KindNumeric {
		return "CAST(" + text(string(row.AppendText(nil, t, v))) + " AS " + typ + ")"
	}
	return literal(v, t).sql
}

func otherLiteral(v row.Value, t row.Type, typ string) string {
	switch row.KindOf(t.OID) {
	case row.KindUUID:
		return "CAST(" + text(string(row.AppendText(nil, t, v))) + " AS UUID)"
	case row.KindTime:
		return fmt.Sprintf("CAST(make_timestamp(%d) AS TIME)", v.Int())
	case row.KindDate, row.KindTimestamp:
		if v.IsInf() < 0 {
			fail("-infinity, which DuckDB holds as another number than the store")
		}
		if v.IsInf() > 0 {
			return "CAST(" + text(string(row.AppendText(nil, t, v))) + " AS " + typ + ")"
		}
		if t.OID == row.Date {
			return fmt.Sprintf("CAST(make_timestamp(%d) AS DATE)", v.Int()*86400_000_000)
		}
		return fmt.Sprintf("make_timestamp%s(%d)", map[bool]string{true: "tz"}[t.OID == row.TimestampTZ], v.Int())
	case row.KindInterval:
		months, days, micros := v.Interval()
		return fmt.Sprintf("(to_months(%d) + to_days(%d) + to_microseconds(%d))", months, days, micros)
	case row.KindTimeTZ, row.KindList:
		return text(string(row.AppendText(nil, t, v)))
	}
	fail("a value of type %s", t)
	return ""
}

func numericLiteral(v row.Value, t row.Type) value {
	s := string(v.AppendNumeric(nil))
	digits := len(strings.TrimLeft(strings.Replace(s, ".", "", 1), "-0"))
	scale := int(v.Scale())
	if v.IsNaN() || v.IsInf() != 0 || digits > maxDigits || scale > maxDigits {
		fail("the number %.40s", s)
	}
	d := fixed(max(digits, scale, 1), scale)
	return value{sql: "CAST('" + s + "' AS " + decimalType(d.precision, d.scale) + ")", typ: t, num: d}
}
