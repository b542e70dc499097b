package op

import (
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// counter: one word, the count.
type counter struct{}

func (counter) words() int { return 1 }

func (counter) add(s *slab, groups []uint32, _ arrow.Array, _ int, weights []int64) error {
	words, stride, at := s.words, s.stride, s.at
	if weights == nil {
		for _, g := range groups {
			words[int(g)*stride+at]++
		}
		return nil
	}
	for i, g := range groups {
		words[int(g)*stride+at] += weights[i]
	}
	return nil
}

func (counter) result(s *slab, groups []uint32) (arrow.Array, error) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(groups))
	for _, g := range groups {
		b.UnsafeAppend(s.of(g)[0])
	}
	return b.NewArray(), nil
}

// intSum: low and high half of the sum, number of values, number of NaNs.
type intSum struct {
	narrow bool
	out    *arrow.Decimal128Type
}

func (*intSum) words() int { return 4 }

func (a *intSum) add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error {
	switch c := col.(type) {
	case *array.Int16:
		addInts(s, groups, c.Int16Values()[from:], weights)
	case *array.Int32:
		addInts(s, groups, c.Int32Values()[from:], weights)
	case *array.Int64:
		addInts(s, groups, c.Int64Values()[from:], weights)
	case *array.Decimal128:
		for i, g := range groups {
			w := int64(1)
			if weights != nil {
				w = weights[i]
			}
			v := c.Value(from + i)
			if w == 0 {
				continue
			}
			words := s.of(g)
			words[2] += w
			if row.IsDecimalNaN(v) {
				words[3] += w
				continue
			}
			hi, lo := bits.Mul64(v.LowBits(), uint64(w))
			hi += uint64(v.HighBits()) * uint64(w)
			if w < 0 {
				hi -= v.LowBits()
			}
			add128(words, hi, lo)
		}
	}
	return nil
}

func addInts[T int16 | int32 | int64](s *slab, groups []uint32, values []T, weights []int64) {
	words, stride, at := s.words, s.stride, s.at
	values = values[:len(groups)]
	if weights == nil {
		for i, g := range groups {
			p := words[int(g)*stride+at:][:3]
			v := int64(values[i])
			lo, carry := bits.Add64(uint64(p[0]), uint64(v), 0)
			p[0], p[1], p[2] = int64(lo), p[1]+v>>63+int64(carry), p[2]+1
		}
		return
	}
	for i, g := range groups {
		w := weights[i]
		if w == 0 {
			continue
		}
		p := words[int(g)*stride+at:][:3]
		v := int64(values[i])
		hi, lo := bits.Mul64(uint64(v), uint64(w))
		hi -= uint64(v>>63)&uint64(w) + uint64(w>>63)&uint64(v)
		add128(p, hi, lo)
		p[2] += w
	}
}

func add128(words []int64, hi, lo uint64) {
	sum, carry := bits.Add64(uint64(words[0]), lo, 0)
	words[0], words[1] = int64(sum), int64(uint64(words[1])+hi+carry)
}

func (a *intSum) result(s *slab, groups []uint32) (arrow.Array, error) {
	if a.narrow {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		defer b.Release()
		for _, g := range groups {
			switch w := s.of(g); {
			case w[2] == 0:
				b.AppendNull()
			case w[1] != w[0]>>63:
				return nil, errs.SQL("22003", "bigint out of range")
			default:
				b.Append(w[0])
			}
		}
		return b.NewArray(), nil
	}
	b := array.NewDecimal128Builder(memory.DefaultAllocator, a.out)
	defer b.Release()
	for _, g := range groups {
		switch w := s.of(g); {
		case w[2] == 0:
			b.AppendNull()
		case w[3] != 0:
			b.Append(decimal128.New(math.MinInt64, 0))
		default:
			b.Append(decimal128.New(w[1], uint64(w[0])))
		}
	}
	return b.NewArray(), nil
}

// floatSum: three floats from large to small, and the numbers of finite values, NaNs, infinities and negative infinities.
type floatSum struct{}

func (floatSum) words() int { return 7 }

func (floatSum) add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error {
	var wide []float64
	if c, ok := col.(*array.Float64); ok {
		wide = c.Float64Values()[from:]
	} else {
		for _, f := range col.(*array.Float32).Float32Values()[from : from+len(groups)] {
			wide = append(wide, float64(f))
		}
	}
	for i, g := range groups {
		w := int64(1)
		if weights != nil {
			w = weights[i]
		}
		if w != 0 {
			addFloat(s.of(g), wide[i], w)
		}
	}
	return nil
}

func addFloat(words []int64, v float64, w int64) {
	switch {
	case math.IsNaN(v):
		words[4] += w
		return
	case math.IsInf(v, 1):
		words[5] += w
		return
	case math.IsInf(v, -1):
		words[6] += w
		return
	}
	if words[3] += w; words[3] == 0 { // nothing is left: not even an error
		words[0], words[1], words[2] = 0, 0, 0
		return
	}
	product := v * float64(w)
	addPart(words, product)
	if w != 1 && w != -1 {
		if e := math.FMA(v, float64(w), -product); e != 0 {
			addPart(words, e)
		}
	}
}

// addPart adds x and keeps what each addition rounds away (Neumaier's sum, twice over).
func addPart(words []int64, x float64) {
	s0, e := twoSum(math.Float64frombits(uint64(words[0])), x)
	s1, e := twoSum(math.Float64frombits(uint64(words[1])), e)
	s2 := math.Float64frombits(uint64(words[2])) + e
	words[0], words[1], words[2] = int64(math.Float64bits(s0)), int64(math.Float64bits(s1)), int64(math.Float64bits(s2))
}

func twoSum(a, b float64) (sum, rounded float64) {
	sum = a + b
	c := sum - a
	return sum, (a - (sum - c)) + (b - c)
}

func (floatSum) result(s *slab, groups []uint32) (arrow.Array, error) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	for _, g := range groups {
		w := s.of(g)
		f := math.Float64frombits(uint64(w[1])) + math.Float64frombits(uint64(w[2]))
		f += math.Float64frombits(uint64(w[0]))
		switch {
		case w[3]|w[4]|w[5]|w[6] == 0:
			b.AppendNull()
		case w[4] != 0 || w[5] != 0 && w[6] != 0:
			b.Append(math.NaN())
		case w[5] != 0:
			b.Append(math.Inf(1))
		case w[6] != 0:
			b.Append(math.Inf(-1))
		case math.IsInf(f, 0) || math.IsNaN(f):
			return nil, errs.SQL("22003", "value out of range: overflow")
		default:
			b.Append(f)
		}
	}
	return b.NewArray(), nil
}

// truth: the numbers of trues and falses.
type truth struct{ and bool }

func (truth) words() int { return 2 }

func (truth) add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error {
	c := col.(*array.Boolean)
	for i, g := range groups {
		w := int64(1)
		if weights != nil {
			w = weights[i]
		}
		if c.Value(from + i) {
			s.of(g)[0] += w
		} else {
			s.of(g)[1] += w
		}
	}
	return nil
}

func (t truth) result(s *slab, groups []uint32) (arrow.Array, error) {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, g := range groups {
		switch w := s.of(g); {
		case w[0] == 0 && w[1] == 0:
			b.AppendNull()
		case t.and:
			b.Append(w[1] == 0)
		default:
			b.Append(w[0] != 0)
		}
	}
	return b.NewArray(), nil
}
