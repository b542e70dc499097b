package duck

import (
	"fmt"
	"strconv"
)

// decimal says how DuckDB holds a numeric: as DECIMAL(precision, scale). PostgreSQL's display scale is the same, or, when
// it depends on the row (CASE with branches of different scales, quotients), display is an SQL integer that gives it.
type decimal struct {
	precision, scale int
	display          string
}

// quotientScale is the scale of mdb_quotient's result (functions.c).
const quotientScale = 24

// shown is the display scale as SQL.
func (d decimal) shown() string {
	if d.display != "" {
		return d.display
	}
	return strconv.Itoa(d.scale)
}

func fixed(precision, scale int) decimal {
	if scale > maxDigits {
		fail("a numeric of scale %d", scale)
	}
	return decimal{precision: min(max(precision, scale), maxDigits), scale: scale}
}

// sum is the form of a+b and a-b.
func (d decimal) sum(o decimal) decimal {
	s := max(d.scale, o.scale)
	r := fixed(max(d.precision-d.scale, o.precision-o.scale)+s+1, s)
	if d.display != "" || o.display != "" {
		r.display = fmt.Sprintf("greatest(%s, %s)", d.shown(), o.shown())
	}
	return r
}

// product is the form of a*b.
func (d decimal) product(o decimal) decimal {
	r := fixed(d.precision+o.precision, d.scale+o.scale)
	if d.display != "" || o.display != "" {
		r.display = fmt.Sprintf("(%s + %s)", d.shown(), o.shown())
	}
	return r
}

// unified is a form that holds values of all the given ones; ok is false when their display scales differ, which then
// depend on the row.
func unified(ds []decimal) (d decimal, same bool) {
	d, same = ds[0], ds[0].display == ""
	digits := d.precision - d.scale
	for _, o := range ds[1:] {
		same = same && o.display == "" && o.scale == d.scale
		digits, d.scale = max(digits, o.precision-o.scale), max(d.scale, o.scale)
	}
	d = fixed(digits+d.scale, d.scale)
	return d, same
}

// at casts v to the given precision and scale; a value that does not fit is an error that the row executor then avoids.
func (v value) at(d decimal) string {
	if v.num.precision == d.precision && v.num.scale == d.scale {
		return v.sql
	}
	return fmt.Sprintf("CAST(%s AS %s)", v.sql, decimalType(d.precision, d.scale))
}

// quotientArg writes a numeric as mdb_quotient takes it: unscaled in 128 bits, and its scales.
func quotientArg(v value) string {
	wide := fmt.Sprintf("CAST(%s AS %s)", v.sql, decimalType(maxDigits, v.num.scale))
	if v.num.display != "" {
		return fmt.Sprintf("%s, CAST(%s AS INTEGER) * 256 + %d", wide, v.num.display, v.num.scale)
	}
	return fmt.Sprintf("%s, CAST(%d AS INTEGER)", wide, v.num.scale*257)
}

// quotient is PostgreSQL's numeric division.
func quotient(a, b value) value {
	args := quotientArg(a) + ", " + quotientArg(b)
	return value{sql: "mdb_quotient(" + args + ")", typ: numericType, raises: true,
		num: decimal{maxDigits, quotientScale, "mdb_quotient_scale(" + args + ")"}}
}
