package vector

import (
	"cmp"
	"math"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// compileFast gives a node with a loop of its own; nil when e has none.
func (p *Program) compileFast(e expr.Expr) (node, error) {
	switch e := e.(type) {
	case *expr.Call:
		if e.VariadicArray || !e.Func.Strict || len(e.Args) != 2 {
			return nil, nil
		}
		l, r := e.Args[0].Type(), e.Args[1].Type()
		if test, ok := comparisons[e.Func.Name]; ok && comparable(l, r) {
			return p.binary(e, compareLoop(formOf(l), test))
		}
		if loop, ok := arithmeticLoop(e, l, r); ok {
			return p.binary(e, loop)
		}
		return p.compileTruncation(e)
	case *expr.Cast:
		return p.compileCast(e)
	case *expr.AnyAll:
		return p.compileIn(e)
	}
	return nil, nil
}

// binaryLoop fills out from a and b for the rows that are not skipped; it gives the first row that fails, else -1.
type binaryLoop struct {
	form form
	run  func(out, a, b *vec, skip func(i int) bool, n int) int
	// safe loops cannot fail, so they take every row, null or not.
	safe bool
}

// binary computes both arguments and runs the loop; a null argument makes a null.
func (p *Program) binary(e *expr.Call, loop binaryLoop) (node, error) {
	l, err := p.compile(e.Args[0])
	if err != nil {
		return nil, err
	}
	r, err := p.compile(e.Args[1])
	if err != nil {
		return nil, err
	}
	slow, err := expr.Compile(e)
	if err != nil {
		return nil, err
	}
	return func(b *batch, active []bool) (*vec, error) {
		x, err := l(b, active)
		if err != nil {
			return nil, err
		}
		y, err := r(b, active)
		if err != nil {
			return nil, err
		}
		out := newVec(loop.form, b.n)
		out.null = bothNulls(x, y, b.n)
		var skip func(i int) bool
		if !loop.safe && (active != nil || out.null != nil) {
			skip = func(i int) bool { return active != nil && !active[i] || out.null != nil && out.null[i] }
		}
		if i := loop.run(out, x, y, skip, b.n); i >= 0 {
			return nil, b.fault(slow, p.types, i)
		}
		return out, nil
	}, nil
}

func bothNulls(x, y *vec, n int) []bool {
	if x.null == nil && y.null == nil {
		return nil
	}
	null := make([]bool, n)
	for i := range null {
		null[i] = x.isNull(i) || y.isNull(i)
	}
	return null
}

// comparisons are the operators as what they accept of a three-way comparison: less, equal, greater.
var comparisons = map[string][3]bool{"=": {false, true, false}, "<>": {true, false, true}, "<": {true, false, false},
	"<=": {true, true, false}, ">": {false, false, true}, ">=": {false, true, true}}

// comparable reports whether values of the two types compare as their vectors' entries do.
func comparable(l, r row.Type) bool {
	integer := func(t row.Type) bool { return t.OID == row.Int2 || t.OID == row.Int4 || t.OID == row.Int8 }
	f := formOf(l)
	return f != values && f == formOf(r) && (f != ints || l.OID == r.OID || integer(l) && integer(r))
}

func compareLoop(f form, accept [3]bool) binaryLoop {
	l := binaryLoop{form: bools, safe: true}
	switch f {
	case ints:
		l.run = func(out, a, b *vec, _ func(int) bool, n int) int {
			compareOrdered(out.bools[:n], a.ints, b.ints, a.mask, b.mask, accept)
			return -1
		}
	case texts:
		l.run = func(out, a, b *vec, _ func(int) bool, n int) int {
			if accept[0] == accept[2] { // equality needs no order
				for i := range out.bools[:n] {
					out.bools[i] = (a.texts[i&a.mask] == b.texts[i&b.mask]) == accept[1]
				}
				return -1
			}
			compareOrdered(out.bools[:n], a.texts, b.texts, a.mask, b.mask, accept)
			return -1
		}
	case floats:
		l.run = func(out, a, b *vec, _ func(int) bool, n int) int {
			for i := range n {
				out.bools[i] = accept[row.CompareFloat(a.floats[i&a.mask], b.floats[i&b.mask])+1]
			}
			return -1
		}
	default:
		l.run = func(out, a, b *vec, _ func(int) bool, n int) int {
			for i := range n {
				c := 1
				if x, y := a.bools[i&a.mask], b.bools[i&b.mask]; x == y {
					c = 1
				} else if y {
					c = 0
				} else {
					c = 2
				}
				out.bools[i] = accept[c]
			}
			return -1
		}
	}
	return l
}

func compareOrdered[T cmp.Ordered](out []bool, a, b []T, am, bm int, accept [3]bool) {
	for i := range out {
		x, y := a[i&am], b[i&bm]
		switch {
		case x < y:
			out[i] = accept[0]
		case x > y:
			out[i] = accept[2]
		default:
			out[i] = accept[1]
		}
	}
}

// arithmeticLoop gives the loop of +, -, *, /, % on integers and of the first four on floats.
func arithmeticLoop(e *expr.Call, l, r row.Type) (loop binaryLoop, ok bool) {
	if bits := width(e.Func.Ret); bits > 0 && width(l.OID) > 0 && width(r.OID) > 0 {
		f, ok := intOperators[e.Func.Name]
		return binaryLoop{form: ints, run: intLoop(f, bits)}, ok
	}
	if formOf(l) == floats && formOf(r) == floats && (e.Func.Ret == row.Float4 || e.Func.Ret == row.Float8) {
		f, ok := floatOperators[e.Func.Name]
		return binaryLoop{form: floats, run: floatLoop(f, e.Func.Ret == row.Float4)}, ok
	}
	return binaryLoop{}, false
}

// width is the bits of an integer type, 0 for others.
func width(t row.OID) uint {
	switch t {
	case row.Int2:
		return 16
	case row.Int4:
		return 32
	case row.Int8:
		return 64
	}
	return 0
}

// intOperators give the result in 64 bits and whether it is right.
var intOperators = map[string]func(x, y int64) (int64, bool){
	"+": func(x, y int64) (int64, bool) { s := x + y; return s, (x^s)&(y^s) >= 0 },
	"-": func(x, y int64) (int64, bool) { d := x - y; return d, (x^y)&(x^d) >= 0 },
	"*": func(x, y int64) (int64, bool) {
		p := x * y
		return p, x == 0 || p/x == y && !(x == -1 && y == math.MinInt64)
	},
	"/": func(x, y int64) (int64, bool) {
		if y == 0 || y == -1 && x == math.MinInt64 {
			return 0, false
		}
		return x / y, true
	},
	"%": func(x, y int64) (int64, bool) {
		if y == 0 {
			return 0, false
		}
		if y == -1 {
			return 0, true
		}
		return x % y, true
	},
}

func intLoop(f func(x, y int64) (int64, bool), bits uint) func(out, a, b *vec, skip func(int) bool, n int) int {
	return func(out, a, b *vec, skip func(int) bool, n int) int {
		for i := range n {
			if skip != nil && skip(i) {
				continue
			}
			z, ok := f(a.ints[i&a.mask], b.ints[i&b.mask])
			if !ok || z<<(64-bits)>>(64-bits) != z {
				return i
			}
			out.ints[i] = z
		}
		return -1
	}
}

// floatOperators give the result and whether an infinity or zero in it has its reason in the arguments.
var floatOperators = map[string]func(x, y float64) (z float64, inf, zero bool){
	"+": func(x, y float64) (float64, bool, bool) { return x + y, isInf(x, y), true },
	"-": func(x, y float64) (float64, bool, bool) { return x - y, isInf(x, y), true },
	"*": func(x, y float64) (float64, bool, bool) { return x * y, isInf(x, y), x == 0 || y == 0 },
	"/": func(x, y float64) (float64, bool, bool) {
		if y == 0 && !math.IsNaN(x) {
			return 0, false, false
		}
		return x / y, isInf(x, y), x == 0 || math.IsInf(y, 0)
	},
}

func isInf(x, y float64) bool { return math.IsInf(x, 0) || math.IsInf(y, 0) }

func floatLoop(f func(x, y float64) (float64, bool, bool), single bool) func(out, a, b *vec, skip func(int) bool, n int) int {
	return func(out, a, b *vec, skip func(int) bool, n int) int {
		for i := range n {
			if skip != nil && skip(i) {
				continue
			}
			z, inf, zero := f(a.floats[i&a.mask], b.floats[i&b.mask])
			if single {
				z = float64(float32(z))
			}
			if !inf && math.IsInf(z, 0) || !zero && z == 0 {
				return i
			}
			out.floats[i] = z
		}
		return -1
	}
}

// unary makes a node of a loop over one argument; run gives the first row that fails, else -1.
func (p *Program) unary(e, arg expr.Expr, f form, run func(out, a *vec, skip func(i int) bool, n int) int) (node, error) {
	n, err := p.compile(arg)
	if err != nil {
		return nil, err
	}
	slow, err := expr.Compile(e)
	if err != nil {
		return nil, err
	}
	return func(b *batch, active []bool) (*vec, error) {
		x, err := n(b, active)
		if err != nil {
			return nil, err
		}
		out := newVec(f, b.n)
		out.null = bothNulls(x, &vec{}, b.n)
		skip := func(i int) bool { return active != nil && !active[i] || out.null != nil && out.null[i] }
		if i := run(out, x, skip, b.n); i >= 0 {
			return nil, b.fault(slow, p.types, i)
		}
		return out, nil
	}, nil
}

// compileCast has loops for integers among themselves and to float8.
func (p *Program) compileCast(e *expr.Cast) (node, error) {
	from, to := width(e.Arg.Type().OID), width(e.To.OID)
	switch {
	case from > 0 && to > 0:
		return p.unary(e, e.Arg, ints, func(out, a *vec, skip func(int) bool, n int) int {
			for i := range n {
				z := a.ints[i&a.mask]
				if z<<(64-to)>>(64-to) != z && !skip(i) {
					return i
				}
				out.ints[i] = z
			}
			return -1
		})
	case from > 0 && e.To.OID == row.Float8:
		return p.unary(e, e.Arg, floats, func(out, a *vec, _ func(int) bool, n int) int {
			for i := range n {
				out.floats[i] = float64(a.ints[i&a.mask])
			}
			return -1
		})
	case e.Arg.Type().OID == row.Float4 && e.To.OID == row.Float8:
		return p.unary(e, e.Arg, floats, func(out, a *vec, _ func(int) bool, n int) int {
			for i := range n {
				out.floats[i] = a.floats[i&a.mask]
			}
			return -1
		})
	}
	return nil, nil
}

// compileTruncation has loops for date_trunc, time_bucket and date_bin of timestamps without zone by a fixed time.
func (p *Program) compileTruncation(e *expr.Call) (node, error) {
	c, ok := e.Args[0].(*expr.Const)
	if !ok || c.Value.IsNull() || e.Args[1].Type().OID != row.Timestamp {
		return nil, nil
	}
	var step, origin int64
	switch e.Func.Name {
	case "date_trunc":
		step = truncations[c.Value.Str()]
	case "time_bucket":
		months, days, micros := c.Value.Interval()
		if months == 0 && days >= 0 && days < 1e6 && micros >= 0 && micros < 1e6*microsPerDay {
			step = int64(days)*microsPerDay + micros
		}
		origin = row.DateFromCivil(2000, 1, 3) * microsPerDay
	}
	if step <= 0 {
		return nil, nil
	}
	return p.unary(e, e.Args[1], ints, func(out, a *vec, skip func(int) bool, n int) int {
		for i := range n {
			t := a.ints[i&a.mask]
			if t == math.MaxInt64 || t == math.MinInt64 { // an infinity
				out.ints[i] = t
				continue
			}
			d := (t - origin) % step
			if d < 0 {
				d += step
			}
			if t-d < leastTimestamp && !skip(i) {
				return i
			}
			out.ints[i] = t - d
		}
		return -1
	})
}

const (
	microsPerSecond = int64(1_000_000)
	microsPerDay    = 86400 * microsPerSecond
	leastTimestamp  = -210_866_803_200_000_000 // 4714-11-24 BC, PostgreSQL's first day
)

var truncations = map[string]int64{"second": microsPerSecond, "minute": 60 * microsPerSecond, "hour": 3600 * microsPerSecond, "day": microsPerDay}

// compileIn has a loop for "x = ANY (constants)" over text and integers.
func (p *Program) compileIn(e *expr.AnyAll) (node, error) {
	list, ok := e.Array.(*expr.Array)
	f := formOf(e.Left.Type())
	if !ok || e.All || list.Nested || e.Op.Name != "=" || f != ints && f != texts {
		return nil, nil
	}
	numbers, strings := map[int64]bool{}, map[string]bool{}
	for _, x := range list.Elems {
		c, ok := x.(*expr.Const)
		if !ok || c.Value.IsNull() || !comparable(e.Left.Type(), c.Typ) {
			return nil, nil
		}
		numbers[c.Value.Int()], strings[c.Value.Str()] = true, true
	}
	return p.unary(e, e.Left, bools, func(out, a *vec, _ func(int) bool, n int) int {
		for i := range n {
			if f == ints {
				out.bools[i] = numbers[a.ints[i&a.mask]]
			} else {
				out.bools[i] = strings[a.texts[i&a.mask]]
			}
		}
		return -1
	})
}
