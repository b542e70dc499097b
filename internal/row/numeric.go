package row

import (
	"math"
	"math/big"
	"strconv"

	"github.com/cockroachdb/apd/v3"

	"github.com/miracledb/miracledb/internal/errs"
)

// PostgreSQL's numeric holds up to this many digits before and after the point.
const (
	maxIntegerDigits = 131072
	maxScale         = 16383
)

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// The numerics that are no numbers.
var (
	NumericNaN    = Value{kind: KindNumeric, s: "NaN"}
	NumericInf    = Value{kind: KindNumeric, s: "Infinity"}
	NumericNegInf = Value{kind: KindNumeric, s: "-Infinity"}
)

// NewNumeric makes the numeric coef * 10^-scale, shown with scale digits after the point. A negative scale is multiplied
// out.
func NewNumeric(coef int64, scale int32) Value {
	if scale >= 0 {
		return Value{kind: KindNumeric, n: coef, a: scale}
	}
	neg, u := coef < 0, absolute(coef)
	if int(-scale) < len(pow10) && (u == 0 || pow10[-scale] <= math.MaxInt64/u) {
		return Value{kind: KindNumeric, n: coef * int64(pow10[-scale])}
	}
	d := strconv.AppendUint(nil, u, 10)
	for ; scale < 0; scale++ {
		d = append(d, '0')
	}
	return numericFromDigits(neg, d, 0)
}

func absolute(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// Numeric is the value of a KindNumeric as coef * 10^-scale; ok is false for what needs the canonical text: a coefficient
// over int64, NaN, the infinities.
func (v Value) Numeric() (coef int64, scale int32, ok bool) { return v.n, v.a, v.s == "" }

// Scale is the display scale of a KindNumeric.
func (v Value) Scale() int32 { return v.a }

// IsNaN reports whether v is a numeric or float NaN.
func (v Value) IsNaN() bool {
	switch v.kind {
	case KindNumeric:
		return v.s == "NaN"
	case KindFloat:
		return math.IsNaN(v.Float())
	}
	return false
}

// IsInf is 1 for Infinity, -1 for -Infinity, else 0; for numerics, floats, dates and timestamps.
func (v Value) IsInf() int {
	switch v.kind {
	case KindNumeric:
		switch v.s {
		case "Infinity":
			return 1
		case "-Infinity":
			return -1
		}
	case KindFloat:
		f := v.Float()
		if math.IsInf(f, 1) {
			return 1
		}
		if math.IsInf(f, -1) {
			return -1
		}
	case KindDate:
		switch v.n {
		case math.MaxInt32:
			return 1
		case math.MinInt32:
			return -1
		}
	case KindTimestamp:
		switch v.n {
		case math.MaxInt64:
			return 1
		case math.MinInt64:
			return -1
		}
	}
	return 0
}

// AppendNumeric appends PostgreSQL's text of a KindNumeric.
func (v Value) AppendNumeric(dst []byte) []byte {
	if v.s != "" {
		return append(dst, v.s...)
	}
	if v.n < 0 {
		dst = append(dst, '-')
	}
	if v.a == 0 {
		return strconv.AppendUint(dst, absolute(v.n), 10)
	}
	var buf [20]byte
	return appendPoint(dst, strconv.AppendUint(buf[:0], absolute(v.n), 10), int(v.a))
}

// appendPoint appends digits with the last scale of them after a point.
func appendPoint(dst, digits []byte, scale int) []byte {
	if scale <= 0 {
		return append(dst, digits...)
	}
	if whole := len(digits) - scale; whole > 0 {
		dst = append(dst, digits[:whole]...)
		dst = append(dst, '.')
		return append(dst, digits[whole:]...)
	}
	dst = append(dst, '0', '.')
	for range scale - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// numericFromDigits makes ±digits * 10^-scale; digits is a decimal number, may have leading zeros and is not kept.
func numericFromDigits(neg bool, digits []byte, scale int32) Value {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits) < 19 || len(digits) == 19 && (string(digits) <= "9223372036854775807" || neg && string(digits) == "9223372036854775808") {
		var u uint64
		for _, c := range digits {
			u = u*10 + uint64(c-'0')
		}
		if neg {
			u = -u
		}
		return Value{kind: KindNumeric, n: int64(u), a: scale}
	}
	text := make([]byte, 0, len(digits)+3+int(scale))
	if neg {
		text = append(text, '-')
	}
	return Value{kind: KindNumeric, s: string(appendPoint(text, digits, int(scale))), a: scale}
}

// decimal is a numeric taken apart: ±0.d1d2d3… * 10^exp, without leading and trailing zeros; zero has no digits. class is
// -1 for -Infinity, 0 for a number, 1 for Infinity, 2 for NaN.
type decimal struct {
	class  int8
	neg    bool
	digits []byte
	exp    int
}

// decimal takes v apart; buf is used for the digits.
func (v Value) decimal(buf []byte) decimal {
	var d decimal
	switch v.s {
	case "":
		d.neg = v.n < 0
		d.digits = strconv.AppendUint(buf[:0], absolute(v.n), 10)
	case "NaN":
		return decimal{class: 2}
	case "Infinity":
		return decimal{class: 1}
	case "-Infinity":
		return decimal{class: -1, neg: true}
	default:
		d.digits = buf[:0]
		for i := 0; i < len(v.s); i++ {
			switch c := v.s[i]; c {
			case '-':
				d.neg = true
			case '.':
			default:
				d.digits = append(d.digits, c)
			}
		}
	}
	d.exp = len(d.digits) - int(v.a)
	for len(d.digits) > 0 && d.digits[0] == '0' {
		d.digits, d.exp = d.digits[1:], d.exp-1
	}
	for n := len(d.digits); n > 0 && d.digits[n-1] == '0'; n-- {
		d.digits = d.digits[:n-1]
	}
	if len(d.digits) == 0 {
		d.exp = 0
	}
	return d
}

// RoundNumeric rounds a KindNumeric to scale digits after the point, half away from zero, and gives it exactly that display
// scale (a negative scale rounds before the point; the display scale is then 0). NaN and infinities are unchanged.
func RoundNumeric(v Value, scale int32) Value {
	if v.s == "" && v.a == scale {
		return v
	}
	if v.s == "" && scale >= 0 {
		if r, ok := roundSmall(v.n, v.a, scale); ok {
			return Value{kind: KindNumeric, n: r, a: scale}
		}
	}
	if v.IsNaN() || v.IsInf() != 0 {
		return v
	}
	d := v.decimal(nil)
	keep := d.exp + int(scale) // digits of d that stay
	shown := max(scale, 0)
	if keep < 0 {
		return Value{kind: KindNumeric, a: shown}
	}
	out := make([]byte, 0, keep+2)
	out = append(out, '0')
	up := false
	if keep < len(d.digits) {
		up = d.digits[keep] >= '5'
		out = append(out, d.digits[:keep]...)
	} else {
		out = append(out, d.digits...)
		for range keep - len(d.digits) {
			out = append(out, '0')
		}
	}
	for i := len(out) - 1; up; i-- {
		if out[i]++; out[i] <= '9' {
			up = false
		} else {
			out[i] = '0'
		}
	}
	for ; scale < 0; scale++ {
		out = append(out, '0')
	}
	return numericFromDigits(d.neg, out, shown)
}

func roundSmall(n int64, from, to int32) (int64, bool) {
	u := absolute(n)
	if to >= from {
		if to-from >= 19 || u > math.MaxInt64/pow10[to-from] {
			return 0, n == 0
		}
		return n * int64(pow10[to-from]), true
	}
	if from-to >= 20 {
		return 0, true
	}
	p := pow10[from-to]
	q, r := u/p, u%p
	if r >= p-r { // r*2 >= p without overflow
		q++
	}
	if n < 0 {
		return -int64(q), true
	}
	return int64(q), true
}

// NumericFromInt makes a numeric with scale 0.
func NumericFromInt(n int64) Value { return Value{kind: KindNumeric, n: n} }

// NumericFromDecimal makes a numeric of d; its display scale is -d.Exponent, at least 0. Forms other than finite give NaN
// and the infinities. Out of PostgreSQL's range: 22003.
func NumericFromDecimal(d *apd.Decimal) (Value, error) {
	switch d.Form {
	case apd.Infinite:
		if d.Negative {
			return NumericNegInf, nil
		}
		return NumericInf, nil
	case apd.NaN, apd.NaNSignaling:
		return NumericNaN, nil
	}
	if d.Coeff.IsInt64() && d.Exponent <= 0 && d.Exponent >= -maxScale {
		n := d.Coeff.Int64()
		if d.Negative {
			n = -n
		}
		return Value{kind: KindNumeric, n: n, a: -d.Exponent}, nil
	}
	digits := d.Coeff.Append(nil, 10)
	if d.Exponent < -maxScale {
		return numericFromParts(d.Negative, digits, -int(d.Exponent))
	}
	if d.Exponent > 0 {
		if len(digits)+int(d.Exponent) > maxIntegerDigits {
			if d.Coeff.Sign() == 0 {
				return NumericFromInt(0), nil
			}
			return Null, numericOverflow()
		}
		for range d.Exponent {
			digits = append(digits, '0')
		}
		return numericFromDigits(d.Negative, digits, 0), nil
	}
	if len(digits)+int(d.Exponent) > maxIntegerDigits {
		return Null, numericOverflow()
	}
	return numericFromDigits(d.Negative, digits, -d.Exponent), nil
}

func numericOverflow() error { return errs.SQL("22003", "value overflows numeric format") }

// Decimal puts a KindNumeric into d, with Exponent = -scale.
func (v Value) Decimal(d *apd.Decimal) {
	*d = apd.Decimal{Exponent: -v.a}
	switch v.s {
	case "":
		d.Negative = v.n < 0
		if v.n == math.MinInt64 {
			d.Coeff.SetMathBigInt(new(big.Int).SetUint64(absolute(v.n)))
		} else {
			d.Coeff.SetInt64(int64(absolute(v.n)))
		}
	case "NaN":
		d.Form = apd.NaN
	case "Infinity":
		d.Form = apd.Infinite
	case "-Infinity":
		d.Form, d.Negative = apd.Infinite, true
	default:
		if _, _, err := d.SetString(v.s); err != nil {
			panic("row: numeric is not canonical: " + v.s)
		}
	}
}

// NumericFromString reads PostgreSQL's numeric input: digits, a point, an exponent, NaN, [+-]inf and infinity, blanks around.
// The display scale is the number of digits after the point. Errors: 22P02, 22003.
func NumericFromString(s string) (Value, error) {
	if v, ok := numericFast(s); ok {
		return v, nil
	}
	t := trimSpace(s)
	syntax := func() (Value, error) { return Null, syntaxError("numeric", s) }
	if v, ok := numericSpecial(t); ok {
		return v, nil
	}
	i, neg := 0, false
	if i < len(t) && (t[i] == '-' || t[i] == '+') {
		neg = t[i] == '-'
		i++
	}
	digits := make([]byte, 0, min(len(t), 256))
	scale, point, any := 0, false, false
	for ; i < len(t); i++ {
		switch c := t[i]; {
		case isDigit(c):
			any = true
			digits = append(digits, c)
			if point {
				scale++
			}
			continue
		case c == '.' && !point:
			point = true
			continue
		}
		break
	}
	if !any {
		return syntax()
	}
	if i < len(t) {
		if t[i] != 'e' && t[i] != 'E' {
			return syntax()
		}
		e, err := strconv.ParseInt(t[i+1:], 10, 32)
		if err != nil {
			if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
				return Null, numericOverflow()
			}
			return syntax()
		}
		if e >= math.MaxInt32/2 || e <= -math.MaxInt32/2 {
			return Null, numericOverflow()
		}
		scale -= int(e)
	}
	if scale > maxScale {
		return Null, numericOverflow()
	}
	return numericFromParts(neg, digits, scale)
}

// numericFromParts makes ±digits * 10^-scale within PostgreSQL's bounds, before memory is taken for zeros.
func numericFromParts(neg bool, digits []byte, scale int) (Value, error) {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits)-scale > maxIntegerDigits && len(digits) > 0 {
		return Null, numericOverflow()
	}
	if scale < 0 {
		if len(digits) == 0 {
			scale = 0
		}
		for ; scale < 0; scale++ {
			digits = append(digits, '0')
		}
	}
	if scale > maxScale { // PostgreSQL rounds what is beyond its smallest digit
		drop := scale - maxScale
		if drop > len(digits) {
			return Value{kind: KindNumeric, a: maxScale}, nil
		}
		up := digits[len(digits)-drop] >= '5'
		kept := append([]byte{'0'}, digits[:len(digits)-drop]...)
		for i := len(kept) - 1; up; i-- {
			if kept[i]++; kept[i] <= '9' {
				up = false
			} else {
				kept[i] = '0'
			}
		}
		digits, scale = kept, maxScale
	}
	return numericFromDigits(neg, digits, int32(scale)), nil
}

// numericFast reads [-]digits[.digits] of up to 18 digits.
func numericFast(s string) (Value, bool) {
	if len(s) == 0 || len(s) > 20 {
		return Null, false
	}
	i, neg := 0, s[0] == '-'
	if neg {
		i++
	}
	var n int64
	count, scale, point := 0, int32(0), false
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if !isDigit(c) {
			return Null, false
		}
		n = n*10 + int64(c-'0')
		count++
		if point {
			scale++
		}
	}
	if count == 0 || count > 18 {
		return Null, false
	}
	if neg {
		n = -n
	}
	return Value{kind: KindNumeric, n: n, a: scale}, true
}

func numericSpecial(t string) (Value, bool) {
	switch {
	case equalFold(t, "nan"):
		return NumericNaN, true
	case equalFold(t, "infinity"), equalFold(t, "+infinity"), equalFold(t, "inf"), equalFold(t, "+inf"):
		return NumericInf, true
	case equalFold(t, "-infinity"), equalFold(t, "-inf"):
		return NumericNegInf, true
	}
	return Null, false
}

// NumericFromFloat makes the numeric that PostgreSQL's cast gives: digits significant digits (15 for float8, 6 for float4).
func NumericFromFloat(f float64, digits int) Value {
	switch {
	case math.IsNaN(f):
		return NumericNaN
	case math.IsInf(f, 1):
		return NumericInf
	case math.IsInf(f, -1):
		return NumericNegInf
	}
	v, err := NumericFromString(strconv.FormatFloat(f, 'g', digits, 64))
	if err != nil {
		return NumericNaN
	}
	return v
}

// NumericFloat is the float64 nearest to a KindNumeric; beyond its range ±Inf.
func (v Value) NumericFloat() float64 {
	if v.s == "" && absolute(v.n) < 1<<53 && v.a <= 22 {
		return float64(v.n) / math.Pow10(int(v.a))
	}
	var buf [64]byte
	f, _ := strconv.ParseFloat(string(v.AppendNumeric(buf[:0])), 64)
	return f
}

// TrimNumeric gives the numeric equal to v with the least display scale.
func TrimNumeric(v Value) Value {
	if v.a == 0 || v.s != "" && v.s[len(v.s)-1] != '0' {
		return v
	}
	if v.s == "" {
		for v.a > 0 && v.n%10 == 0 {
			v.n, v.a = v.n/10, v.a-1
		}
		return v
	}
	d := v.decimal(nil)
	return RoundNumeric(v, int32(max(len(d.digits)-d.exp, 0)))
}
