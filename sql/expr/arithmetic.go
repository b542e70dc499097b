package expr

import (
	"math"
	"math/bits"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

func sqlError(state, format string, args ...any) error { return errs.SQL(state, format, args...) }

var (
	errDivision     = errs.SQL("22012", "division by zero")
	errFloatRange   = errs.SQL("22003", "value out of range: overflow")
	errUnderflow    = errs.SQL("22003", "value out of range: underflow")
	errInt2Range    = errs.SQL("22003", "smallint out of range")
	errInt4Range    = errs.SQL("22003", "integer out of range")
	errInt8Range    = errs.SQL("22003", "bigint out of range")
	errNumericRange = errs.SQL("22003", "value overflows numeric format")
)

// fit checks that n is in the range of an integer type of the given bits and makes its value.
func fit(n int64, width int) (row.Value, error) {
	switch width {
	case 16:
		if n != int64(int16(n)) {
			return row.Null, errInt2Range
		}
	case 32:
		if n != int64(int32(n)) {
			return row.Null, errInt4Range
		}
	}
	return row.NewInt(n), nil
}

type binaryFunc = func(a, b row.Value) (row.Value, error)
type unaryFunc = func(a row.Value) (row.Value, error)

func intAdd(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Int(), b.Int()
		s := x + y
		if (x^s)&(y^s) < 0 {
			return row.Null, errInt8Range
		}
		return fit(s, width)
	}
}

func intSub(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Int(), b.Int()
		d := x - y
		if (x^y)&(x^d) < 0 {
			return row.Null, errInt8Range
		}
		return fit(d, width)
	}
}

func intMul(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		n, ok := mul64(a.Int(), b.Int())
		if !ok {
			return row.Null, errInt8Range
		}
		return fit(n, width)
	}
}

func mul64(x, y int64) (int64, bool) {
	if x == 0 || y == 0 {
		return 0, true
	}
	neg := (x < 0) != (y < 0)
	hi, lo := bits.Mul64(magnitude(x), magnitude(y))
	if hi != 0 || lo > math.MaxInt64 && !(neg && lo == 1<<63) {
		return 0, false
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func intDiv(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Int(), b.Int()
		if y == 0 {
			return row.Null, errDivision
		}
		if y == -1 {
			if x == math.MinInt64 {
				return row.Null, errInt8Range
			}
			return fit(-x, width)
		}
		return row.NewInt(x / y), nil
	}
}

func intMod(a, b row.Value) (row.Value, error) {
	switch b.Int() {
	case 0:
		return row.Null, errDivision
	case -1:
		return row.NewInt(0), nil
	}
	return row.NewInt(a.Int() % b.Int()), nil
}

func intNeg(width int) unaryFunc {
	return func(a row.Value) (row.Value, error) {
		if a.Int() == math.MinInt64 {
			return row.Null, errInt8Range
		}
		return fit(-a.Int(), width)
	}
}

func intAbs(width int) unaryFunc {
	return func(a row.Value) (row.Value, error) {
		if a.Int() >= 0 {
			return a, nil
		}
		return intNeg(width)(a)
	}
}

func same(a row.Value) (row.Value, error) { return a, nil }

// float makes a float function's checked value: an infinity or zero that no argument explains is out of range.
func float(f float64, single bool, explainedInf, explainedZero bool) (row.Value, error) {
	if single {
		f = float64(float32(f))
	}
	if math.IsInf(f, 0) && !explainedInf {
		return row.Null, errFloatRange
	}
	if f == 0 && !explainedZero {
		return row.Null, errUnderflow
	}
	return row.NewFloat(f), nil
}

func isInf(fs ...float64) bool {
	for _, f := range fs {
		if math.IsInf(f, 0) {
			return true
		}
	}
	return false
}

func floatAdd(single bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Float(), b.Float()
		return float(x+y, single, isInf(x, y), true)
	}
}

func floatSub(single bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Float(), b.Float()
		return float(x-y, single, isInf(x, y), true)
	}
}

func floatMul(single bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Float(), b.Float()
		return float(x*y, single, isInf(x, y), x == 0 || y == 0)
	}
}

func floatDiv(single bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		x, y := a.Float(), b.Float()
		if y == 0 && !math.IsNaN(x) {
			return row.Null, errDivision
		}
		return float(x/y, single, isInf(x, y), x == 0 || isInf(y))
	}
}

func floatNeg(a row.Value) (row.Value, error) { return row.NewFloat(-a.Float()), nil }
func floatAbs(a row.Value) (row.Value, error) { return row.NewFloat(math.Abs(a.Float())), nil }

func shiftLeft(width int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		if width == 16 {
			return row.NewInt(int64(int16(int32(a.Int()) << (uint(b.Int()) & 31)))), nil
		}
		if width == 32 {
			return row.NewInt(int64(int32(a.Int()) << (uint(b.Int()) & 31))), nil
		}
		return row.NewInt(a.Int() << (uint(b.Int()) & 63)), nil
	}
}

func shiftRight(width int) binaryFunc {
	mask := uint(31)
	if width == 64 {
		mask = 63
	}
	return func(a, b row.Value) (row.Value, error) { return row.NewInt(a.Int() >> (uint(b.Int()) & mask)), nil }
}

func intAnd(a, b row.Value) (row.Value, error) { return row.NewInt(a.Int() & b.Int()), nil }
func intOr(a, b row.Value) (row.Value, error)  { return row.NewInt(a.Int() | b.Int()), nil }
func intXor(a, b row.Value) (row.Value, error) { return row.NewInt(a.Int() ^ b.Int()), nil }
func intNot(a row.Value) (row.Value, error)    { return row.NewInt(^a.Int()), nil }

// arithmetic holds the operators of the number types.
var arithmetic = arithmeticDefs()

func arithmeticDefs() []def {
	defs := []def{
		{"+(numeric,numeric) numeric", 0, numericAdd},
		{"-(numeric,numeric) numeric", 0, numericSub},
		{"*(numeric,numeric) numeric", 0, numericMul},
		{"/(numeric,numeric) numeric", 0, numericDiv},
		{"%(numeric,numeric) numeric", 0, numericMod},
		{"mod(numeric,numeric) numeric", 0, numericMod},
		{"^(numeric,numeric) numeric", 0, numericPower},
		{"^(float8,float8) float8", 0, floatPower},
		{"+(-,numeric) numeric", 0, same},
		{"-(-,numeric) numeric", 0, numericNeg},
		{"@(-,numeric) numeric", 0, numericAbs},
		{"abs(numeric) numeric", 0, numericAbs},
		{"|/(-,float8) float8", 0, floatSqrt},
		{"||/(-,float8) float8", 0, floatCbrt},
	}
	widths := map[string]int{"int2": 16, "int4": 32, "int8": 64}
	names := []string{"int2", "int4", "int8"}
	for i, l := range names {
		w := widths[l]
		defs = append(defs,
			def{"+(-," + l + ") " + l, 0, same}, def{"-(-," + l + ") " + l, 0, intNeg(w)}, def{"@(-," + l + ") " + l, 0, intAbs(w)},
			def{"abs(" + l + ") " + l, 0, intAbs(w)}, def{"~(-," + l + ") " + l, 0, intNot},
			def{"&(" + l + "," + l + ") " + l, 0, intAnd}, def{"|(" + l + "," + l + ") " + l, 0, intOr}, def{"#(" + l + "," + l + ") " + l, 0, intXor},
			def{"<<(" + l + ",int4) " + l, 0, shiftLeft(w)}, def{">>(" + l + ",int4) " + l, 0, shiftRight(w)},
			def{"%(" + l + "," + l + ") " + l, 0, intMod}, def{"mod(" + l + "," + l + ") " + l, 0, intMod})
		for j, r := range names {
			ret := names[max(i, j)]
			w, pair := widths[ret], "("+l+","+r+") "+ret
			defs = append(defs, def{"+" + pair, 0, intAdd(w)}, def{"-" + pair, 0, intSub(w)}, def{"*" + pair, 0, intMul(w)}, def{"/" + pair, 0, intDiv(w)})
		}
	}
	for _, l := range []string{"float4", "float8"} {
		defs = append(defs, def{"+(-," + l + ") " + l, 0, same}, def{"-(-," + l + ") " + l, 0, floatNeg},
			def{"@(-," + l + ") " + l, 0, floatAbs}, def{"abs(" + l + ") " + l, 0, floatAbs})
		for _, r := range []string{"float4", "float8"} {
			single := l == "float4" && r == "float4"
			ret := "float8"
			if single {
				ret = "float4"
			}
			pair := "(" + l + "," + r + ") " + ret
			defs = append(defs, def{"+" + pair, 0, floatAdd(single)}, def{"-" + pair, 0, floatSub(single)},
				def{"*" + pair, 0, floatMul(single)}, def{"/" + pair, 0, floatDiv(single)})
		}
	}
	return defs
}
