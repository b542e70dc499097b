package expr

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/cockroachdb/apd/v3"

	"github.com/miracledb/miracledb/internal/row"
)

// PostgreSQL's limits on the scale of computed numerics (numeric.h).
const (
	minSignificantDigits = 16
	maxDisplayScale      = 1000
	maxResultScale       = 16383
)

// bigOf is v's coefficient and scale; v is finite.
func bigOf(v row.Value) (*big.Int, int32) {
	if c, s, ok := v.Numeric(); ok {
		return big.NewInt(c), s
	}
	var d apd.Decimal
	v.Decimal(&d)
	n := d.Coeff.MathBigInt()
	if d.Negative {
		n.Neg(n)
	}
	return n, -d.Exponent
}

func fromBig(n *big.Int, scale int32) (row.Value, error) {
	if n.IsInt64() && scale >= 0 {
		return row.NewNumeric(n.Int64(), scale), nil
	}
	var d apd.Decimal
	d.Coeff.SetMathBigInt(new(big.Int).Abs(n))
	d.Negative = n.Sign() < 0
	d.Exponent = -scale
	return row.NumericFromDecimal(&d)
}

func tenTo(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func finite(v row.Value) bool { return !v.IsNaN() && v.IsInf() == 0 }

// special computes operators over NaN and the infinities as floats do, which PostgreSQL's numeric follows.
func special(f float64) row.Value {
	switch {
	case math.IsNaN(f):
		return row.NumericNaN
	case math.IsInf(f, 1):
		return row.NumericInf
	case math.IsInf(f, -1):
		return row.NumericNegInf
	}
	return row.NewNumeric(int64(f), 0)
}

func numericAdd(a, b row.Value) (row.Value, error) {
	if x, xs, ok := a.Numeric(); ok {
		if y, ys, ok := b.Numeric(); ok && xs == ys {
			if s := x + y; (x^s)&(y^s) >= 0 {
				return row.NewNumeric(s, xs), nil
			}
		}
	}
	if !finite(a) || !finite(b) {
		return special(a.NumericFloat() + b.NumericFloat()), nil
	}
	x, y, scale := aligned(a, b)
	return fromBig(x.Add(x, y), scale)
}

// aligned gives the coefficients of a and b at their greater scale.
func aligned(a, b row.Value) (x, y *big.Int, scale int32) {
	x, xs := bigOf(a)
	y, ys := bigOf(b)
	switch {
	case xs < ys:
		x.Mul(x, tenTo(ys-xs))
	case ys < xs:
		y.Mul(y, tenTo(xs-ys))
	}
	return x, y, max(xs, ys)
}

func numericSub(a, b row.Value) (row.Value, error) {
	n, err := numericNeg(b)
	if err != nil {
		return row.Null, err
	}
	return numericAdd(a, n)
}

func numericNeg(a row.Value) (row.Value, error) {
	if n, s, ok := a.Numeric(); ok && n != math.MinInt64 {
		return row.NewNumeric(-n, s), nil
	}
	if !finite(a) {
		return special(-a.NumericFloat()), nil
	}
	n, s := bigOf(a)
	return fromBig(n.Neg(n), s)
}

func numericAbs(a row.Value) (row.Value, error) {
	if numericSign(a) < 0 {
		return numericNeg(a)
	}
	return a, nil
}

func numericSign(a row.Value) int { return row.Compare(a, row.NewNumeric(0, 0)) }

func numericMul(a, b row.Value) (row.Value, error) {
	if x, xs, ok := a.Numeric(); ok {
		if y, ys, ok := b.Numeric(); ok && xs+ys <= maxResultScale {
			if p, ok := mul64(x, y); ok {
				return row.NewNumeric(p, xs+ys), nil
			}
		}
	}
	if !finite(a) || !finite(b) {
		return special(a.NumericFloat() * b.NumericFloat()), nil
	}
	x, xs := bigOf(a)
	y, ys := bigOf(b)
	x.Mul(x, y)
	if scale := xs + ys; scale > maxResultScale {
		v, err := fromBig(x, scale)
		if err != nil {
			return v, err
		}
		return row.RoundNumeric(v, maxResultScale), nil
	}
	return fromBig(x, xs+ys)
}

// nbase is the weight and value of the first base-10000 digit of a numeric, in which PostgreSQL counts scales; zero has
// weight 0 and digit 0.
func nbase(v row.Value) (weight int, digit int64) {
	if c, scale, ok := v.Numeric(); ok && scale >= 0 {
		return nbaseSmall(magnitude(c), int(scale))
	}
	n, scale := bigOf(v)
	if n.Sign() == 0 {
		return 0, 0
	}
	text := n.Abs(n).String()
	exponent := len(text) - 1 - int(scale) // of the first decimal digit
	weight = floorDiv(exponent, 4)
	width := exponent - 4*weight + 1 // decimal digits in the first group
	for i := range width {
		digit *= 10
		if i < len(text) {
			digit += int64(text[i] - '0')
		}
	}
	return weight, digit
}

// nbaseSmall is nbase of n * 10^-scale.
func nbaseSmall(n uint64, scale int) (weight int, digit int64) {
	if n == 0 {
		return 0, 0
	}
	digits := decimalDigits(n)
	exponent := digits - 1 - scale
	weight = floorDiv(exponent, 4)
	width := exponent - 4*weight + 1
	if width <= digits {
		return weight, int64(n / powersOf10[digits-width])
	}
	return weight, int64(n * powersOf10[width-digits])
}

// powersOf10 are those that fit in 64 bits.
var powersOf10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

func decimalDigits(n uint64) int {
	d := bits.Len64(n) * 1233 >> 12
	if d < len(powersOf10) && n >= powersOf10[d] {
		d++
	}
	return d
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// divScale is PostgreSQL's select_div_scale.
func divScale(a, b row.Value) int32 {
	aw, ad := nbase(a)
	bw, bd := nbase(b)
	q := aw - bw
	if ad <= bd {
		q--
	}
	return clampScale(minSignificantDigits-int32(q)*4, a.Scale(), b.Scale())
}

func clampScale(scale int32, atLeast ...int32) int32 {
	for _, s := range atLeast {
		scale = max(scale, s)
	}
	return min(max(scale, 0), maxDisplayScale)
}

func numericDiv(a, b row.Value) (row.Value, error) {
	if a.IsNaN() || b.IsNaN() {
		return row.NumericNaN, nil
	}
	if numericSign(b) == 0 {
		return row.Null, errDivision
	}
	if !finite(a) || !finite(b) {
		return special(a.NumericFloat() / b.NumericFloat()), nil
	}
	return divideTo(a, b, divScale(a, b))
}

// divideTo divides, rounding half away from zero at scale.
func divideTo(a, b row.Value, scale int32) (row.Value, error) {
	if v, ok := divideSmall(a, b, scale); ok {
		return v, nil
	}
	x, xs := bigOf(a)
	y, ys := bigOf(b)
	return fromBig(bigDivide(x, y, scale+ys-xs), scale)
}

// bigDivide is x * 10^shift / y, rounded half away from zero.
func bigDivide(x, y *big.Int, shift int32) *big.Int {
	if shift >= 0 {
		x.Mul(x, tenTo(shift))
	} else {
		y.Mul(y, tenTo(-shift))
	}
	neg := (x.Sign() < 0) != (y.Sign() < 0)
	x.Abs(x)
	y.Abs(y)
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	if r.Lsh(r, 1).CmpAbs(y) >= 0 {
		q.Add(q, big.NewInt(1))
	}
	if neg {
		q.Neg(q)
	}
	return q
}

// divideSmall is divideTo in 128 bits, where they are enough: an average takes 20 ns and not 1 µs.
func divideSmall(a, b row.Value, scale int32) (row.Value, bool) {
	x, xs, ok := a.Numeric()
	y, ys, fine := b.Numeric()
	shift := scale + ys - xs
	if !ok || !fine || shift < 0 || int(shift) >= len(powersOf10) || scale < 0 || y == 0 {
		return row.Null, false
	}
	hi, lo := bits.Mul64(magnitude(x), powersOf10[shift])
	d := magnitude(y)
	if hi >= d {
		return row.Null, false
	}
	q, r := bits.Div64(hi, lo, d)
	if r >= d-r {
		q++
	}
	if q > math.MaxInt64 {
		return row.Null, false
	}
	if (x < 0) != (y < 0) {
		return row.NewNumeric(-int64(q), scale), true
	}
	return row.NewNumeric(int64(q), scale), true
}

// numericQuotient is div(): the quotient truncated to an integer.
func numericQuotient(a, b row.Value) (row.Value, error) {
	if a.IsNaN() || b.IsNaN() {
		return row.NumericNaN, nil
	}
	if numericSign(b) == 0 {
		return row.Null, errDivision
	}
	if !finite(a) || !finite(b) {
		return special(math.Trunc(a.NumericFloat() / b.NumericFloat())), nil
	}
	x, y, _ := aligned(a, b)
	return fromBig(x.Quo(x, y), 0)
}

func numericMod(a, b row.Value) (row.Value, error) {
	if a.IsNaN() || b.IsNaN() {
		return row.NumericNaN, nil
	}
	if numericSign(b) == 0 {
		return row.Null, errDivision
	}
	if !finite(a) {
		return row.NumericNaN, nil
	}
	if !finite(b) {
		return a, nil
	}
	x, y, scale := aligned(a, b)
	return fromBig(x.Rem(x, y), scale)
}

// decimalContext computes with digits significant digits beyond what the result shows.
func decimalContext(digits int) *apd.Context {
	c := apd.BaseContext.WithPrecision(uint32(max(digits, 20)))
	c.Rounding = apd.RoundHalfUp
	c.MaxExponent, c.MinExponent = apd.MaxExponent, apd.MinExponent
	c.Traps = 0
	return c
}

func fromDecimal(d *apd.Decimal, scale int32) (row.Value, error) {
	if d.Form != apd.Finite {
		return row.Null, errNumericRange
	}
	if d.Exponent < -scale {
		c := decimalContext(int(d.NumDigits()) + int(scale) + 10)
		if _, err := c.Quantize(d, d, -scale); err != nil {
			return row.Null, errNumericRange
		}
	}
	v, err := row.NumericFromDecimal(d)
	if err != nil {
		return row.Null, err
	}
	return row.RoundNumeric(v, scale), nil
}

func numericSqrt(a row.Value) (row.Value, error) {
	if a.IsNaN() || a.IsInf() > 0 {
		return a, nil
	}
	if numericSign(a) < 0 {
		return row.Null, sqlError("2201F", "cannot take square root of a negative number")
	}
	weight, _ := nbase(a)
	sweight := weight*4/2 + 1
	if weight < 0 {
		sweight = 1 - (1-weight*4)/2
	}
	return sqrtTo(a, clampScale(minSignificantDigits-int32(sweight), a.Scale()))
}

// sqrtTo is the root of a number that is not negative, rounded half away from zero at scale.
func sqrtTo(a row.Value, scale int32) (row.Value, error) {
	n, s := bigOf(a)
	// One digit more than shown, to round half away from zero.
	shift := 2*(scale+1) - s
	if shift >= 0 {
		n.Mul(n, tenTo(shift))
	} else {
		n.Quo(n, tenTo(-shift))
	}
	n.Sqrt(n)
	v, err := fromBig(n, scale+1)
	if err != nil {
		return row.Null, err
	}
	return row.RoundNumeric(v, scale), nil
}

func numericExp(a row.Value) (row.Value, error) {
	if a.IsNaN() || a.IsInf() > 0 {
		return a, nil
	}
	if a.IsInf() < 0 {
		return row.NewNumeric(0, 0), nil
	}
	weight := max(-1000, min(a.NumericFloat()*0.434294481903252, 1000000))
	if weight > 131072 {
		return row.Null, errNumericRange
	}
	if a.NumericFloat() < -40000 {
		return row.NewNumeric(0, maxDisplayScale), nil
	}
	scale := clampScale(minSignificantDigits-int32(weight), a.Scale())
	var d, r apd.Decimal
	a.Decimal(&d)
	decimalContext(int(scale)+max(int(weight), 0)+12).Exp(&r, &d)
	return fromDecimal(&r, scale)
}

// lnWeight is PostgreSQL's estimate_ln_dweight: the decimal weight of ln(v).
func lnWeight(v row.Value) int {
	if numericSign(v) <= 0 {
		return 0
	}
	f := v.NumericFloat()
	if f >= 0.9 && f <= 1.1 {
		x, _ := numericSub(v, row.NewNumeric(1, 0))
		if numericSign(x) == 0 {
			return 0
		}
		w, d := nbase(x)
		return w*4 + int(math.Log10(float64(d)))
	}
	n, scale := bigOf(v)
	text := n.String()
	lead := text[:min(len(text), 8)]
	digits := 0.0
	for _, c := range lead {
		digits = digits*10 + float64(c-'0')
	}
	ln := math.Log(digits) + float64(len(text)-len(lead)-int(scale))*2.302585092994046
	return int(math.Log10(math.Abs(ln)))
}

func logDomain(a row.Value) error {
	switch numericSign(a) {
	case 0:
		return sqlError("2201E", "cannot take logarithm of zero")
	case -1:
		return sqlError("2201E", "cannot take logarithm of a negative number")
	}
	return nil
}

func numericLn(a row.Value) (row.Value, error) {
	if err := logDomain(a); err != nil || a.IsNaN() || a.IsInf() > 0 {
		return a, err
	}
	scale := clampScale(int32(minSignificantDigits-lnWeight(a)), a.Scale())
	var d, r apd.Decimal
	a.Decimal(&d)
	decimalContext(int(scale)+20).Ln(&r, &d)
	return fromDecimal(&r, scale)
}

func numericLog10(a row.Value) (row.Value, error) { return numericLog(row.NewNumeric(10, 0), a) }

func numericLog(base, a row.Value) (row.Value, error) {
	if base.IsNaN() || a.IsNaN() {
		return row.NumericNaN, nil
	}
	for _, v := range []row.Value{base, a} {
		if err := logDomain(v); err != nil {
			return row.Null, err
		}
	}
	if !finite(base) || !finite(a) {
		if !finite(base) && !finite(a) {
			return row.NumericNaN, nil
		}
		if !finite(base) {
			return row.NewNumeric(0, 0), nil
		}
		return row.NumericInf, nil
	}
	scale := clampScale(int32(minSignificantDigits-(lnWeight(a)-lnWeight(base))), base.Scale(), a.Scale())
	c := decimalContext(int(scale) + 30)
	var b, d, lb, ld, r apd.Decimal
	base.Decimal(&b)
	a.Decimal(&d)
	c.Ln(&lb, &b)
	if lb.IsZero() {
		return row.Null, errDivision
	}
	c.Ln(&ld, &d)
	c.Quo(&r, &ld, &lb)
	return fromDecimal(&r, scale)
}

func numericPower(a, b row.Value) (row.Value, error) {
	zero, one := row.NewNumeric(0, 0), row.NewNumeric(1, 0)
	if !finite(a) || !finite(b) {
		switch {
		case !a.IsNaN() && row.Compare(a, one) == 0 || !b.IsNaN() && row.Compare(b, zero) == 0:
			return one, nil
		case numericSign(a) == 0 && b.IsInf() < 0:
			return row.Null, sqlError("2201F", "zero raised to a negative power is undefined")
		}
		return special(math.Pow(a.NumericFloat(), b.NumericFloat())), nil
	}
	if numericSign(a) == 0 && numericSign(b) < 0 {
		return row.Null, sqlError("2201F", "zero raised to a negative power is undefined")
	}
	bn, bs := bigOf(b)
	whole, rest := new(big.Int).QuoRem(bn, tenTo(bs), new(big.Int))
	if rest.Sign() == 0 && whole.IsInt64() && whole.Int64() == int64(int32(whole.Int64())) {
		return numericPowerInt(a, whole.Int64())
	}
	if numericSign(a) < 0 {
		return row.Null, sqlError("2201F", "a negative number raised to a non-integer power yields a complex result")
	}
	if numericSign(a) == 0 {
		return row.NewNumeric(0, minSignificantDigits), nil
	}
	weight := b.NumericFloat() * lnFloat(a) * 0.434294481903252
	if weight > 131072 {
		return row.Null, errNumericRange
	}
	if weight < -20000 {
		return row.NewNumeric(0, maxDisplayScale), nil
	}
	scale := clampScale(minSignificantDigits-int32(weight), a.Scale(), b.Scale())
	var x, y, r apd.Decimal
	a.Decimal(&x)
	b.Decimal(&y)
	c := decimalContext(int(scale) + max(int(weight), 0) + 30)
	c.Ln(&r, &x)
	c.Mul(&r, &r, &y)
	c.Exp(&r, &r)
	return fromDecimal(&r, scale)
}

func lnFloat(v row.Value) float64 {
	n, scale := bigOf(v)
	text := n.Abs(n).String()
	lead := text[:min(len(text), 17)]
	f := 0.0
	for _, c := range lead {
		f = f*10 + float64(c-'0')
	}
	return math.Log(f) + float64(len(text)-len(lead)-int(scale))*math.Ln10
}

// numericPowerInt is PostgreSQL's power_var_int.
func numericPowerInt(a row.Value, exp int64) (row.Value, error) {
	scale := clampScale(minSignificantDigits, a.Scale())
	if exp == 0 {
		return row.RoundNumeric(row.NewNumeric(1, 0), scale), nil
	}
	if numericSign(a) == 0 {
		return row.RoundNumeric(row.NewNumeric(0, 0), scale), nil
	}
	digits := float64(exp) * lnFloat(a) / math.Ln10
	if digits > 131072 {
		return row.Null, errNumericRange
	}
	if digits+1 < -maxDisplayScale {
		return row.RoundNumeric(row.NewNumeric(0, 0), scale), nil
	}
	n, s := bigOf(a)
	if exp >= 0 && int64(s)*exp <= 20000 {
		v, err := fromBig(n.Exp(n, big.NewInt(exp), nil), s*int32(exp))
		if err != nil {
			return row.Null, err
		}
		return row.RoundNumeric(v, scale), nil
	}
	var x, r apd.Decimal
	a.Decimal(&x)
	c := decimalContext(int(scale) + max(int(digits), 0) + 30)
	c.Pow(&r, &x, apd.New(exp, 0))
	return fromDecimal(&r, scale)
}
