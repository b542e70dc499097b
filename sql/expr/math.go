package expr

import (
	"math"
	"math/big"
	"math/rand/v2"

	"github.com/miracledb/miracledb/internal/row"
)

func floatSqrt(a row.Value) (row.Value, error) {
	f := a.Float()
	if f < 0 {
		return row.Null, sqlError("2201F", "cannot take square root of a negative number")
	}
	return row.NewFloat(math.Sqrt(f)), nil
}

func floatCbrt(a row.Value) (row.Value, error) { return row.NewFloat(math.Cbrt(a.Float())), nil }

func floatPower(a, b row.Value) (row.Value, error) {
	x, y := a.Float(), b.Float()
	switch {
	case math.IsNaN(x):
		if y == 0 {
			return row.NewFloat(1), nil
		}
		return a, nil
	case math.IsNaN(y):
		if x == 1 {
			return row.NewFloat(1), nil
		}
		return b, nil
	case x == 0 && y < 0:
		return row.Null, sqlError("2201F", "zero raised to a negative power is undefined")
	case x < 0 && math.Floor(y) != y:
		return row.Null, sqlError("2201F", "a negative number raised to a non-integer power yields a complex result")
	}
	return float(math.Pow(x, y), false, isInf(x, y), x == 0 || isInf(x, y))
}

func floatExp(a row.Value) (row.Value, error) {
	x := a.Float()
	return float(math.Exp(x), false, isInf(x), isInf(x))
}

func floatLogWith(log func(float64) float64) unaryFunc {
	return func(a row.Value) (row.Value, error) {
		switch x := a.Float(); {
		case x == 0:
			return row.Null, sqlError("2201E", "cannot take logarithm of zero")
		case x < 0:
			return row.Null, sqlError("2201E", "cannot take logarithm of a negative number")
		default:
			return row.NewFloat(log(x)), nil
		}
	}
}

func floatFunc(f func(float64) float64) unaryFunc {
	return func(a row.Value) (row.Value, error) { return float(f(a.Float()), false, isInf(a.Float()), true) }
}

// unchecked is a function whose overflow is an infinity.
func unchecked(f func(float64) float64) unaryFunc {
	return func(a row.Value) (row.Value, error) { return row.NewFloat(f(a.Float())), nil }
}

// domainFunc is a function of [lo, hi] only.
func domainFunc(f func(float64) float64, lo, hi float64) unaryFunc {
	return func(a row.Value) (row.Value, error) {
		x := a.Float()
		if x < lo || x > hi {
			return row.Null, sqlError("22003", "input is out of range")
		}
		return row.NewFloat(f(x)), nil
	}
}

// trigonometric functions of an infinity are out of range.
func trigonometric(f func(float64) float64) unaryFunc {
	return func(a row.Value) (row.Value, error) {
		if isInf(a.Float()) {
			return row.Null, sqlError("22003", "input is out of range")
		}
		return row.NewFloat(f(a.Float())), nil
	}
}

func degrees(f float64) float64 { return f * (180 / math.Pi) }
func radians(f float64) float64 { return f * (math.Pi / 180) }

// exactDegrees makes the degree forms of trigonometric functions exact at multiples of 30 and 45, as PostgreSQL's are.
func exactDegrees(f func(float64) float64) func(float64) float64 {
	return func(d float64) float64 {
		r := f(radians(math.Mod(d, 360)))
		for _, exact := range []float64{0, 0.5, 1, -0.5, -1} {
			if math.Abs(r-exact) < 1e-15 {
				return exact
			}
		}
		return r
	}
}

func floatSign(a row.Value) (row.Value, error) {
	switch f := a.Float(); {
	case f > 0:
		return row.NewFloat(1), nil
	case f < 0:
		return row.NewFloat(-1), nil
	}
	return row.NewFloat(0), nil
}

func numericSignValue(a row.Value) (row.Value, error) {
	if a.IsNaN() {
		return a, nil
	}
	return row.NewNumeric(int64(numericSign(a)), 0), nil
}

func numericRound0(a row.Value) (row.Value, error) { return row.RoundNumeric(a, 0), nil }
func numericRound(a, n row.Value) (row.Value, error) {
	return row.RoundNumeric(a, int32(min(max(n.Int(), -maxResultScale), maxResultScale))), nil
}

// truncated cuts v to scale digits after the point.
func truncated(v row.Value, scale int32) (row.Value, error) {
	if !finite(v) {
		return v, nil
	}
	n, s := bigOf(v)
	if scale < s {
		n.Quo(n, tenTo(s-scale))
	} else {
		n.Mul(n, tenTo(scale-s))
	}
	if scale < 0 {
		return fromBig(n.Mul(n, tenTo(-scale)), 0)
	}
	return fromBig(n, scale)
}

func numericTrunc0(a row.Value) (row.Value, error) { return truncated(a, 0) }
func numericTrunc(a, n row.Value) (row.Value, error) {
	return truncated(a, int32(min(max(n.Int(), -maxResultScale), maxResultScale)))
}

func numericFloor(a row.Value) (row.Value, error) {
	t, err := truncated(a, 0)
	if err != nil || row.Compare(t, a) <= 0 {
		return t, err
	}
	return numericSub(t, row.NewNumeric(1, 0))
}

func numericCeil(a row.Value) (row.Value, error) {
	t, err := truncated(a, 0)
	if err != nil || row.Compare(t, a) >= 0 {
		return t, err
	}
	return numericAdd(t, row.NewNumeric(1, 0))
}

func gcd64(a, b int64) uint64 {
	x, y := magnitude(a), magnitude(b)
	for y != 0 {
		x, y = y, x%y
	}
	return x
}

func intGCD(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		g := gcd64(a.Int(), b.Int())
		if g > math.MaxInt64 {
			return row.Null, errInt8Range
		}
		return fit(int64(g), width)
	}
}

func intLCM(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		if a.Int() == 0 || b.Int() == 0 {
			return row.NewInt(0), nil
		}
		n, ok := mul64(a.Int()/int64(gcd64(a.Int(), b.Int())), b.Int())
		if !ok || n == math.MinInt64 {
			if width == 32 {
				return row.Null, errInt4Range
			}
			return row.Null, errInt8Range
		}
		if n < 0 {
			n = -n
		}
		return fit(n, width)
	}
}

func numericGCD(a, b row.Value) (row.Value, error) {
	if !finite(a) || !finite(b) {
		return row.NumericNaN, nil
	}
	x, y, scale := aligned(a, b)
	return fromBig(new(big.Int).GCD(nil, nil, x.Abs(x), y.Abs(y)), scale)
}

func numericLCM(a, b row.Value) (row.Value, error) {
	if !finite(a) || !finite(b) {
		return row.NumericNaN, nil
	}
	x, y, scale := aligned(a, b)
	if x.Sign() == 0 || y.Sign() == 0 {
		return fromBig(new(big.Int), scale)
	}
	g := new(big.Int).GCD(nil, nil, new(big.Int).Abs(x), new(big.Int).Abs(y))
	x.Quo(x, g)
	x.Mul(x, y)
	return fromBig(x.Abs(x), scale)
}

func factorial(a row.Value) (row.Value, error) {
	switch n := a.Int(); {
	case n < 0:
		return row.Null, sqlError("22003", "factorial of a negative number is undefined")
	case n > 32177:
		return row.Null, errNumericRange
	default:
		return fromBig(new(big.Int).MulRange(1, max(n, 1)), 0)
	}
}

// widthBucket gives the bucket of v among count equal ones between lo and hi; less tells the order of its type.
func widthBucket(args []row.Value) (row.Value, error) {
	v, lo, hi, count := args[0], args[1], args[2], args[3].Int()
	if count <= 0 {
		return row.Null, sqlError("2201G", "count must be greater than zero")
	}
	if v.IsNaN() || lo.IsNaN() || hi.IsNaN() {
		return row.Null, sqlError("2201G", "operand, lower bound, and upper bound cannot be NaN")
	}
	if lo.IsInf() != 0 || hi.IsInf() != 0 {
		return row.Null, sqlError("2201G", "lower and upper bounds must be finite")
	}
	order := row.Compare(lo, hi)
	if order == 0 {
		return row.Null, sqlError("2201G", "lower bound cannot equal upper bound")
	}
	below, above := row.Compare(v, lo), row.Compare(v, hi)
	if order > 0 {
		below, above = -below, -above
	}
	switch {
	case below < 0:
		return row.NewInt(0), nil
	case above >= 0:
		return fit(count+1, 32)
	}
	if v.Kind() == row.KindFloat {
		f := math.Floor((v.Float() - lo.Float()) / (hi.Float() - lo.Float()) * float64(count))
		return fit(int64(min(f, float64(count-1)))+1, 32)
	}
	part, err := numericSub(v, lo)
	if err != nil {
		return row.Null, err
	}
	whole, err := numericSub(hi, lo)
	if err != nil {
		return row.Null, err
	}
	if part, err = numericMul(part, row.NewNumeric(count, 0)); err != nil {
		return row.Null, err
	}
	if part, err = numericQuotient(part, whole); err != nil {
		return row.Null, err
	}
	n, _, _ := part.Numeric()
	return fit(n+1, 32)
}

func random([]row.Value) (row.Value, error) { return row.NewFloat(rand.Float64()), nil }

// mathematics holds the mathematical functions (PostgreSQL 9.3).
var mathematics = []def{
	{"sqrt(float8) float8", 0, floatSqrt},
	{"sqrt(numeric) numeric", 0, numericSqrt},
	{"cbrt(float8) float8", 0, floatCbrt},
	{"power(float8,float8) float8", 0, floatPower},
	{"power(numeric,numeric) numeric", 0, numericPower},
	{"pow(float8,float8) float8", 0, floatPower},
	{"pow(numeric,numeric) numeric", 0, numericPower},
	{"exp(float8) float8", 0, floatExp},
	{"exp(numeric) numeric", 0, numericExp},
	{"ln(float8) float8", 0, floatLogWith(math.Log)},
	{"ln(numeric) numeric", 0, numericLn},
	{"log(float8) float8", 0, floatLogWith(math.Log10)},
	{"log(numeric) numeric", 0, numericLog10},
	{"log(numeric,numeric) numeric", 0, numericLog},
	{"log10(float8) float8", 0, floatLogWith(math.Log10)},
	{"log10(numeric) numeric", 0, numericLog10},
	{"ceil(float8) float8", 0, floatFunc(math.Ceil)},
	{"ceil(numeric) numeric", 0, numericCeil},
	{"ceiling(float8) float8", 0, floatFunc(math.Ceil)},
	{"ceiling(numeric) numeric", 0, numericCeil},
	{"floor(float8) float8", 0, floatFunc(math.Floor)},
	{"floor(numeric) numeric", 0, numericFloor},
	{"round(float8) float8", 0, floatFunc(math.RoundToEven)},
	{"round(numeric) numeric", 0, numericRound0},
	{"round(numeric,int4) numeric", 0, numericRound},
	{"trunc(float8) float8", 0, floatFunc(math.Trunc)},
	{"trunc(numeric) numeric", 0, numericTrunc0},
	{"trunc(numeric,int4) numeric", 0, numericTrunc},
	{"sign(float8) float8", 0, floatSign},
	{"sign(numeric) numeric", 0, numericSignValue},
	{"div(numeric,numeric) numeric", 0, numericQuotient},
	{"scale(numeric) int4", 0, numericScale},
	{"min_scale(numeric) int4", 0, numericMinScale},
	{"trim_scale(numeric) numeric", 0, numericTrimScale},
	{"gcd(int4,int4) int4", 0, intGCD(32)},
	{"gcd(int8,int8) int8", 0, intGCD(64)},
	{"lcm(int4,int4) int4", 0, intLCM(32)},
	{"lcm(int8,int8) int8", 0, intLCM(64)},
	{"gcd(numeric,numeric) numeric", 0, numericGCD},
	{"lcm(numeric,numeric) numeric", 0, numericLCM},
	{"factorial(int8) numeric", 0, factorial},
	{"width_bucket(float8,float8,float8,int4) int4", 0, widthBucket},
	{"width_bucket(numeric,numeric,numeric,int4) int4", 0, widthBucket},
	{"width_bucket(anycompatible,anycompatiblearray) int4", 0, binder(widthBucketArray)},
	{"random() float8", volatile, random},
	{"pi() float8", 0, func([]row.Value) (row.Value, error) { return row.NewFloat(math.Pi), nil }},
	{"degrees(float8) float8", 0, floatFunc(degrees)},
	{"radians(float8) float8", 0, floatFunc(radians)},
	{"sin(float8) float8", 0, trigonometric(math.Sin)},
	{"cos(float8) float8", 0, trigonometric(math.Cos)},
	{"tan(float8) float8", 0, trigonometric(math.Tan)},
	{"cot(float8) float8", 0, trigonometric(func(f float64) float64 { return 1 / math.Tan(f) })},
	{"asin(float8) float8", 0, domainFunc(math.Asin, -1, 1)},
	{"acos(float8) float8", 0, domainFunc(math.Acos, -1, 1)},
	{"atan(float8) float8", 0, floatFunc(math.Atan)},
	{"atan2(float8,float8) float8", 0, func(a, b row.Value) (row.Value, error) { return row.NewFloat(math.Atan2(a.Float(), b.Float())), nil }},
	{"sinh(float8) float8", 0, unchecked(math.Sinh)},
	{"cosh(float8) float8", 0, unchecked(math.Cosh)},
	{"tanh(float8) float8", 0, floatFunc(math.Tanh)},
	{"asinh(float8) float8", 0, floatFunc(math.Asinh)},
	{"acosh(float8) float8", 0, domainFunc(math.Acosh, 1, math.Inf(1))},
	{"atanh(float8) float8", 0, domainFunc(math.Atanh, -1, 1)},
	{"sind(float8) float8", 0, trigonometric(exactDegrees(math.Sin))},
	{"cosd(float8) float8", 0, trigonometric(exactDegrees(math.Cos))},
	{"tand(float8) float8", 0, trigonometric(exactDegrees(math.Tan))},
}

func numericScale(a row.Value) (row.Value, error) {
	if !finite(a) {
		return row.Null, nil
	}
	return row.NewInt(int64(a.Scale())), nil
}

func trimmed(a row.Value) (*big.Int, int32) {
	n, s := bigOf(a)
	ten, rest := big.NewInt(10), new(big.Int)
	for s > 0 {
		q, r := new(big.Int).QuoRem(n, ten, rest)
		if r.Sign() != 0 {
			break
		}
		n, s = q, s-1
	}
	return n, s
}

func numericMinScale(a row.Value) (row.Value, error) {
	if !finite(a) {
		return row.Null, nil
	}
	_, s := trimmed(a)
	return row.NewInt(int64(s)), nil
}

func numericTrimScale(a row.Value) (row.Value, error) {
	if !finite(a) {
		return a, nil
	}
	return fromBig(trimmed(a))
}
