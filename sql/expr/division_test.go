package expr

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/miracledb/miracledb/internal/row"
)

// TestSmallDivision holds the 128-bit division and the first digits of small numerics against the big ones.
func TestSmallDivision(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	any := func() int64 {
		switch rng.IntN(4) {
		case 0:
			return rng.Int64N(20) - 10
		case 1:
			return []int64{math.MaxInt64, math.MinInt64, 1, 10000, 9999, 99999999, 100000000, -1}[rng.IntN(8)]
		}
		return (rng.Int64() - rng.Int64()) >> rng.IntN(60)
	}
	small := 0
	for range 200000 {
		a, b := row.NewNumeric(any(), int32(rng.IntN(12))), row.NewNumeric(any(), int32(rng.IntN(12)))
		if c, s, _ := a.Numeric(); c != 0 {
			n, sc := bigOf(a)
			text := n.Abs(n).String()
			exponent := len(text) - 1 - int(sc)
			weight := floorDiv(exponent, 4)
			digit := int64(0)
			for i := range exponent - 4*weight + 1 {
				digit *= 10
				if i < len(text) {
					digit += int64(text[i] - '0')
				}
			}
			if w, d := nbaseSmall(magnitude(c), int(s)); w != weight || d != digit {
				t.Fatalf("%s: %d %d, want %d %d", a.Text(row.T(row.Numeric)), w, d, weight, digit)
			}
		}
		if b.Int() == 0 {
			continue
		}
		scale := divScale(a, b)
		v, ok := divideSmall(a, b, scale)
		if !ok {
			continue
		}
		small++
		x, xs := bigOf(a)
		y, ys := bigOf(b)
		want := bigDivide(x, y, scale+ys-xs)
		if got, _ := bigOf(v); got.Cmp(want) != 0 || v.Scale() != scale {
			t.Fatalf("%s / %s = %s, want %s at scale %d", a.Text(row.T(row.Numeric)), b.Text(row.T(row.Numeric)), got, want, scale)
		}
	}
	if small < 50000 {
		t.Fatalf("only %d small divisions", small)
	}
}
