package schemarow

import (
	"math"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
)

// convert gives a scalar of type t as a value of the column. Texts are read as PostgreSQL reads them; numbers, times and bytes
// become what holds them without loss but for numeric's scale and float's digits; else it is a fault.
func convert(c *column, t row.Type, v row.Value) (row.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	if c.json {
		return row.ParseText(c.typ, string(jsonrow.AppendValue(nil, t, v)))
	}
	switch from := v.Kind(); {
	case from == c.kind:
		return sameKind(c, v)
	case from == row.KindText:
		return row.ParseText(c.typ, v.Str())
	case c.kind == row.KindText && from == row.KindBytes:
		s, err := text([]byte(v.Str()))
		if err != nil {
			return row.Null, err
		}
		return sameKind(c, s)
	case c.kind == row.KindText:
		return row.ParseText(c.typ, string(row.AppendText(nil, t, v)))
	case c.kind == row.KindUUID && from == row.KindBytes && len(v.Str()) == 16:
		return row.NewUUID([16]byte([]byte(v.Str()))), nil
	case isNumber(c.kind) && isNumber(from):
		return number(c, t, v)
	case isTime(c.kind) && isTime(from):
		return row.ParseText(c.typ, string(row.AppendText(nil, t, v)))
	}
	return row.Null, errs.SQL("22P02", "a value of type %s is no value of type %s", t, c.typ)
}

func isNumber(k row.Kind) bool {
	return k == row.KindInt || k == row.KindFloat || k == row.KindNumeric
}

// isTime is false for intervals and times of day: no date can be made of them.
func isTime(k row.Kind) bool { return k == row.KindDate || k == row.KindTimestamp }

func sameKind(c *column, v row.Value) (row.Value, error) {
	switch c.kind {
	case row.KindInt:
		if v.Int() < c.min || v.Int() > c.max {
			return row.Null, errs.SQL("22003", "value \"%d\" is out of range for type %s", v.Int(), c.typ)
		}
		return v, nil
	case row.KindFloat:
		if c.typ.OID == row.Float4 {
			f := float64(float32(v.Float()))
			if math.IsInf(f, 0) && v.IsInf() == 0 {
				return row.Null, errs.SQL("22003", "\"%g\" is out of range for type %s", v.Float(), c.typ)
			}
			return row.NewFloat(f), nil
		}
		return v, nil
	case row.KindText:
		if c.typ.OID == row.Name || c.typ.OID == row.Char {
			return row.ParseText(c.typ, v.Str())
		}
	}
	if c.typ.Mod == 0 {
		return v, nil
	}
	return row.ApplyTypmod(c.typ, v, false)
}

func number(c *column, t row.Type, v row.Value) (row.Value, error) {
	if c.kind == row.KindNumeric && v.Kind() == row.KindInt {
		return sameKind(c, row.NumericFromInt(v.Int()))
	}
	s := string(row.AppendText(nil, t, v))
	if c.kind != row.KindInt {
		return row.ParseText(c.typ, s)
	}
	n, err := row.NumericFromString(s)
	if err != nil {
		return row.Null, err
	}
	whole := row.RoundNumeric(n, 0)
	if n.IsNaN() || n.IsInf() != 0 || row.Compare(whole, n) != 0 {
		return row.Null, errs.SQL("22P02", "invalid input syntax for type %s: \"%.64s\"", c.typ, s)
	}
	return row.ParseText(c.typ, string(whole.AppendNumeric(nil)))
}
