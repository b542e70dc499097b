package expr

import (
	"math"
	"math/big"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

type counter struct{ n int64 }

func (c *counter) Add(*Ctx, []row.Value) error    { c.n++; return nil }
func (c *counter) Result(*Ctx) (row.Value, error) { return row.NewInt(c.n), nil }

func newCounter([]row.Type, row.Type) Accumulator { return &counter{} }

// intSum adds integers exactly: 64 bits, then big.
type intSum struct {
	n    int64
	big  *big.Int // what did not fit
	rows int64
	// result makes the sum's or average's value.
	result func(s *intSum) (row.Value, error)
}

func (s *intSum) Add(_ *Ctx, args []row.Value) error {
	s.rows++
	sum, ok := add64(s.n, args[0].Int())
	if !ok {
		if s.big == nil {
			s.big = new(big.Int)
		}
		s.big.Add(s.big, big.NewInt(s.n))
		sum = args[0].Int()
	}
	s.n = sum
	return nil
}

func (s *intSum) Result(*Ctx) (row.Value, error) {
	if s.rows == 0 {
		return row.Null, nil
	}
	return s.result(s)
}

func (s *intSum) numeric() (row.Value, error) {
	if s.big == nil {
		return row.NewNumeric(s.n, 0), nil
	}
	return fromBig(new(big.Int).Add(s.big, big.NewInt(s.n)), 0)
}

func sumAsInt8(s *intSum) (row.Value, error) {
	if s.big != nil {
		return row.Null, errInt8Range
	}
	return row.NewInt(s.n), nil
}

func sumAsNumeric(s *intSum) (row.Value, error) { return s.numeric() }

func averageOfInts(s *intSum) (row.Value, error) {
	sum, err := s.numeric()
	if err != nil {
		return row.Null, err
	}
	return numericDiv(sum, row.NewNumeric(s.rows, 0))
}

func newIntSum(result func(*intSum) (row.Value, error)) aggregate {
	return func([]row.Type, row.Type) Accumulator { return &intSum{result: result} }
}

// valueSum adds by an operator; average divides by the count.
type valueSum struct {
	sum     row.Value
	rows    int64
	add     binaryFunc
	average func(sum row.Value, n int64) (row.Value, error)
}

func (s *valueSum) Add(_ *Ctx, args []row.Value) error {
	s.rows++
	if s.rows == 1 {
		s.sum = args[0]
		return nil
	}
	var err error
	s.sum, err = s.add(s.sum, args[0])
	return err
}

func (s *valueSum) Result(*Ctx) (row.Value, error) {
	if s.rows == 0 || s.average == nil {
		return s.sum, nil
	}
	return s.average(s.sum, s.rows)
}

func newValueSum(add binaryFunc, average func(row.Value, int64) (row.Value, error)) aggregate {
	return func([]row.Type, row.Type) Accumulator { return &valueSum{add: add, average: average} }
}

func averageNumeric(sum row.Value, n int64) (row.Value, error) {
	return numericDiv(sum, row.NewNumeric(n, 0))
}

func averageInterval(sum row.Value, n int64) (row.Value, error) {
	return intervalDiv(sum, row.NewFloat(float64(n)))
}

// extreme keeps the least or greatest value.
type extreme struct {
	best row.Value
	t    row.Type
	sign int // 1: greatest
}

func (e *extreme) Add(_ *Ctx, args []row.Value) error {
	if e.best.IsNull() || row.CompareTyped(e.t, args[0], e.best)*e.sign > 0 {
		e.best = args[0]
	}
	return nil
}

func (e *extreme) Result(*Ctx) (row.Value, error) { return e.best, nil }

func newExtreme(sign int) aggregate {
	return func(types []row.Type, _ row.Type) Accumulator { return &extreme{t: types[0], sign: sign} }
}

// boolean is bool_and (decisive false) and bool_or (decisive true).
type booleans struct {
	seen, value, decisive bool
}

func (b *booleans) Add(_ *Ctx, args []row.Value) error {
	if !b.seen {
		b.seen, b.value = true, !b.decisive
	}
	if args[0].Bool() == b.decisive {
		b.value = b.decisive
	}
	return nil
}

func (b *booleans) Result(*Ctx) (row.Value, error) {
	if !b.seen {
		return row.Null, nil
	}
	return row.NewBool(b.value), nil
}

func newBooleans(decisive bool) aggregate {
	return func([]row.Type, row.Type) Accumulator { return &booleans{decisive: decisive} }
}

// folded folds by a function.
type folded struct {
	v row.Value
	f binaryFunc
}

func (a *folded) Add(_ *Ctx, args []row.Value) error {
	if a.v.IsNull() {
		a.v = args[0]
		return nil
	}
	var err error
	a.v, err = a.f(a.v, args[0])
	return err
}

func (a *folded) Result(*Ctx) (row.Value, error) { return a.v, nil }

func newFolded(f binaryFunc) aggregate {
	return func([]row.Type, row.Type) Accumulator { return &folded{f: f} }
}

// stringAgg joins strings; the delimiter is each row's own.
type stringAgg struct {
	buf   []byte
	seen  bool
	bytes bool
}

func (a *stringAgg) Add(_ *Ctx, args []row.Value) error {
	if args[0].IsNull() {
		return nil
	}
	if a.seen && !args[1].IsNull() {
		a.buf = append(a.buf, args[1].Str()...)
	}
	a.seen = true
	if len(a.buf)+len(args[0].Str()) > maxText {
		return errTooLarge
	}
	a.buf = append(a.buf, args[0].Str()...)
	return nil
}

func (a *stringAgg) Result(*Ctx) (row.Value, error) {
	switch {
	case !a.seen:
		return row.Null, nil
	case a.bytes:
		return row.NewBytes(a.buf), nil
	}
	return row.NewText(string(a.buf)), nil
}

// arrayAgg collects values, NULLs too.
type arrayAgg struct{ list []row.Value }

func (a *arrayAgg) Add(_ *Ctx, args []row.Value) error {
	a.list = append(a.list, args[0])
	return nil
}

func (a *arrayAgg) Result(*Ctx) (row.Value, error) {
	if a.list == nil {
		return row.Null, nil
	}
	return row.NewList(slices.Clone(a.list)), nil
}

// jsonAgg builds a JSON array or object.
type jsonAgg struct {
	buf            []byte
	types          []row.Type
	object, binary bool
}

func (a *jsonAgg) Add(ctx *Ctx, args []row.Value) error {
	if a.buf != nil {
		a.buf = append(a.buf, ", "...)
	} else if a.object {
		a.buf = append(a.buf, "{ "...)
	} else {
		a.buf = append(a.buf, '[')
	}
	var err error
	if a.object {
		if args[0].IsNull() {
			return errs.SQL("22004", "field name must not be null")
		}
		a.buf, err = appendPair(ctx, a.buf, a.types[0], args[0], a.types[1], args[1], 1)
	} else {
		a.buf, err = appendJSON(ctx, a.buf, a.types[0], args[0], compactStyle)
	}
	if len(a.buf) > maxText {
		return errTooLarge
	}
	return err
}

func (a *jsonAgg) Result(*Ctx) (row.Value, error) {
	if a.buf == nil {
		return row.Null, nil
	}
	s := string(a.buf)
	if a.object {
		s += " }"
	} else {
		s += "]"
	}
	if a.binary {
		return jsonb(s)
	}
	return row.NewText(s), nil
}

func newJSONAgg(object, binary bool) aggregate {
	return func(types []row.Type, _ row.Type) Accumulator {
		return &jsonAgg{types: types, object: object, binary: binary}
	}
}

// moments is the running count, sum and sum of squared deviations of floats (Youngs and Cramer), as PostgreSQL's
// float8_accum.
type moments struct {
	n, sum, sxx float64
	finish      func(m *moments) (row.Value, error)
}

func (m *moments) Add(_ *Ctx, args []row.Value) error {
	x := args[0].Float()
	m.n++
	m.sum += x
	if m.n > 1 {
		t := x*m.n - m.sum
		m.sxx += t * t / (m.n * (m.n - 1))
		if math.IsInf(m.sxx, 0) || math.IsInf(m.sum, 0) {
			if !math.IsInf(x, 0) && !math.IsInf(m.sum-x, 0) {
				return errFloatRange
			}
			m.sxx = math.NaN()
		}
	} else if math.IsNaN(x) || math.IsInf(x, 0) {
		m.sxx = math.NaN()
	}
	return nil
}

func (m *moments) Result(*Ctx) (row.Value, error) { return m.finish(m) }

func newMoments(least float64, f func(m *moments) float64) aggregate {
	return func([]row.Type, row.Type) Accumulator {
		return &moments{finish: func(m *moments) (row.Value, error) {
			if m.n < least {
				return row.Null, nil
			}
			return row.NewFloat(f(m)), nil
		}}
	}
}

// numericMoments is the exact count, sum and sum of squares of numerics and integers.
type numericMoments struct {
	n          int64
	sum, sum2  row.Value
	nan        bool
	samp, root bool
}

func (m *numericMoments) Add(_ *Ctx, args []row.Value) error {
	v := args[0]
	if v.Kind() == row.KindInt {
		v = row.NumericFromInt(v.Int())
	}
	m.n++
	if !finite(v) {
		m.nan = true
		return nil
	}
	sq, err := numericMul(v, v)
	if err != nil {
		return err
	}
	if m.sum.IsNull() {
		m.sum, m.sum2 = v, sq
		return nil
	}
	if m.sum, err = numericAdd(m.sum, v); err != nil {
		return err
	}
	m.sum2, err = numericAdd(m.sum2, sq)
	return err
}

// Result follows PostgreSQL's numeric_stddev_internal.
func (m *numericMoments) Result(*Ctx) (row.Value, error) {
	if m.n == 0 || m.samp && m.n == 1 {
		return row.Null, nil
	}
	if m.nan {
		return row.NumericNaN, nil
	}
	n := row.NewNumeric(m.n, 0)
	a, err := numericMul(n, m.sum2)
	if err != nil {
		return row.Null, err
	}
	b, err := numericMul(m.sum, m.sum)
	if err != nil {
		return row.Null, err
	}
	spread, err := numericSub(a, b)
	if err != nil {
		return row.Null, err
	}
	if numericSign(spread) <= 0 {
		return row.NewNumeric(0, 0), nil
	}
	divisor := row.NewNumeric(m.n, 0)
	if m.samp {
		divisor = row.NewNumeric(m.n-1, 0)
	}
	if divisor, err = numericMul(divisor, n); err != nil {
		return row.Null, err
	}
	scale := divScale(spread, divisor)
	v, err := divideTo(spread, divisor, scale)
	if err != nil || !m.root {
		return v, err
	}
	return sqrtTo(v, scale)
}

func newNumericMoments(samp, root bool) aggregate {
	return func([]row.Type, row.Type) Accumulator { return &numericMoments{samp: samp, root: root} }
}

// pairMoments is float8_regr_accum: of (Y, X).
type pairMoments struct {
	n, sx, sxx, sy, syy, sxy float64
	finish                   func(m *pairMoments) (row.Value, error)
}

func (m *pairMoments) Add(_ *Ctx, args []row.Value) error {
	y, x := args[0].Float(), args[1].Float()
	m.n++
	m.sx += x
	m.sy += y
	if m.n > 1 {
		tx, ty := x*m.n-m.sx, y*m.n-m.sy
		scale := 1 / (m.n * (m.n - 1))
		m.sxx += tx * tx * scale
		m.syy += ty * ty * scale
		m.sxy += tx * ty * scale
	}
	return nil
}

func (m *pairMoments) Result(*Ctx) (row.Value, error) { return m.finish(m) }

func newPairMoments(least float64, f func(m *pairMoments) (float64, bool)) aggregate {
	return func([]row.Type, row.Type) Accumulator {
		return &pairMoments{finish: func(m *pairMoments) (row.Value, error) {
			if m.n < least {
				return row.Null, nil
			}
			v, ok := f(m)
			if !ok {
				return row.Null, nil
			}
			return row.NewFloat(v), nil
		}}
	}
}

// percentile is percentile_cont and percentile_disc: its Add takes the direct argument, then the ordered value.
type percentile struct {
	fraction   row.Value
	list       []row.Value
	continuous bool
}

func (p *percentile) Add(_ *Ctx, args []row.Value) error {
	p.fraction = args[0]
	if !args[1].IsNull() {
		p.list = append(p.list, args[1])
	}
	return nil
}

func (p *percentile) Result(*Ctx) (row.Value, error) {
	if len(p.list) == 0 || p.fraction.IsNull() {
		return row.Null, nil
	}
	sorted := slices.Clone(p.list) // in the aggregate's order already when that is ascending
	at := func(f row.Value) (row.Value, error) {
		if f.IsNull() {
			return row.Null, nil
		}
		if !(f.Float() >= 0 && f.Float() <= 1) {
			return row.Null, errs.SQL("22003", "percentile value %g is not between 0 and 1", f.Float())
		}
		if !p.continuous {
			return sorted[max(int(math.Ceil(f.Float()*float64(len(sorted))))-1, 0)], nil
		}
		pos := f.Float() * float64(len(sorted)-1)
		lo, hi := sorted[int(math.Floor(pos))], sorted[int(math.Ceil(pos))]
		part := pos - math.Floor(pos)
		if lo.Kind() == row.KindInterval {
			diff, err := intervalSub(hi, lo)
			if err != nil {
				return row.Null, err
			}
			if diff, err = intervalMul(diff, row.NewFloat(part)); err != nil {
				return row.Null, err
			}
			return intervalAdd(lo, diff)
		}
		return row.NewFloat(lo.Float() + (hi.Float()-lo.Float())*part), nil
	}
	if p.fraction.Kind() != row.KindList {
		return at(p.fraction)
	}
	out := make([]row.Value, len(p.fraction.List()))
	for i, f := range p.fraction.List() {
		var err error
		if out[i], err = at(f); err != nil {
			return row.Null, err
		}
	}
	return row.NewList(out), nil
}

func newPercentile(continuous bool) aggregate {
	return func([]row.Type, row.Type) Accumulator { return &percentile{continuous: continuous} }
}

// mode is the most frequent value of the ordered ones, the first of equals.
type mode struct {
	t                 row.Type
	best, run         row.Value
	bestCount, runLen int
}

func (m *mode) Add(_ *Ctx, args []row.Value) error {
	v := args[len(args)-1]
	if v.IsNull() {
		return nil
	}
	if m.runLen > 0 && row.CompareTyped(m.t, v, m.run) == 0 {
		m.runLen++
	} else {
		m.run, m.runLen = v, 1
	}
	if m.runLen > m.bestCount {
		m.best, m.bestCount = m.run, m.runLen
	}
	return nil
}

func (m *mode) Result(*Ctx) (row.Value, error) { return m.best, nil }
