package vector

import (
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// compile gives the fastest node for e.
func (p *Program) compile(e expr.Expr) (node, error) {
	switch e := e.(type) {
	case *expr.Column:
		if e.Depth != 0 || e.Index >= len(p.types) {
			return nil, errs.New(errs.Unsupported, "a column of an outer query")
		}
		return func(b *batch, _ []bool) (*vec, error) { return b.column(e.Index, e.Typ), nil }, nil
	case *expr.Const:
		v := constant(e.Value, e.Typ)
		return func(*batch, []bool) (*vec, error) { return v, nil }, nil
	case *expr.Param, *expr.Subquery:
		return nil, errs.New(errs.Unsupported, "a parameter or a subquery in an expression")
	case *expr.And:
		return p.compileLogic(e.Args, false)
	case *expr.Or:
		return p.compileLogic(e.Args, true)
	case *expr.Not:
		return p.compileNot(e)
	case *expr.IsNull:
		if e.Arg.Type().OID != row.Record {
			return p.compileIsNull(e)
		}
	case *expr.Case:
		return p.compileCase(e)
	case *expr.Coalesce:
		return p.compileCoalesce(e)
	case *expr.Call, *expr.Cast, *expr.AnyAll:
		n, err := p.compileFast(e)
		if n != nil || err != nil {
			return n, err
		}
	}
	return p.compileRows(e)
}

func constant(v row.Value, t row.Type) *vec {
	c := &vec{form: formOf(t)}
	if v.IsNull() {
		c.null = []bool{true}
	}
	switch c.form {
	case ints:
		c.ints = []int64{v.Int()}
	case floats:
		c.floats = []float64{v.Float()}
	case bools:
		c.bools = []bool{v.Bool()}
	case texts:
		c.texts = []string{v.Str()}
	default:
		c.values = []row.Value{v}
	}
	return c
}

// newVec makes a vector of n entries of a type, for loops to fill.
func newVec(f form, n int) *vec {
	v := &vec{form: f, mask: -1}
	switch f {
	case ints:
		v.ints = make([]int64, n)
	case floats:
		v.floats = make([]float64, n)
	case bools:
		v.bools = make([]bool, n)
	case texts:
		v.texts = make([]string, n)
	default:
		v.values = make([]row.Value, n)
	}
	return v
}

// set puts a Value into entry i.
func (v *vec) set(i int, x row.Value) {
	if x.IsNull() {
		if v.null == nil {
			v.null = make([]bool, max(len(v.ints), len(v.floats), len(v.bools), len(v.texts), len(v.values)))
		}
		v.null[i] = true
		return
	}
	switch v.form {
	case ints:
		v.ints[i] = x.Int()
	case floats:
		v.floats[i] = x.Float()
	case bools:
		v.bools[i] = x.Bool()
	case texts:
		v.texts[i] = x.Str()
	default:
		v.values[i] = x
	}
}

// compileRows computes e row by row.
func (p *Program) compileRows(e expr.Expr) (node, error) {
	var bad error
	expr.Walk(e, func(x expr.Expr) bool {
		switch x := x.(type) {
		case *expr.Subquery, *expr.Param:
			bad = errs.New(errs.Unsupported, "a parameter or a subquery in an expression")
		case *expr.Column:
			if x.Depth != 0 {
				bad = errs.New(errs.Unsupported, "a column of an outer query")
			}
		}
		return bad == nil
	})
	if bad != nil {
		return nil, bad
	}
	eval, err := expr.Compile(e)
	if err != nil {
		return nil, err
	}
	p.fast = false
	used := map[int]bool{}
	Columns(e, used)
	cols := make([]int, 0, len(used))
	for c := range used {
		cols = append(cols, c)
	}
	slices.Sort(cols)
	types, f := p.types, formOf(e.Type())
	return func(b *batch, active []bool) (*vec, error) {
		out := newVec(f, b.n)
		for i := range b.n {
			if active != nil && !active[i] {
				continue
			}
			x, err := eval(b.ctx, b.rowAt(types, cols, i))
			if err != nil {
				return nil, err
			}
			out.set(i, x)
		}
		return out, nil
	}, nil
}

// compileLogic is AND (decisive false) and OR (decisive true): an argument is computed where none before it decided.
func (p *Program) compileLogic(args []expr.Expr, decisive bool) (node, error) {
	nodes := make([]node, len(args))
	for i, a := range args {
		n, err := p.compile(a)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	return func(b *batch, active []bool) (*vec, error) {
		out := newVec(bools, b.n)
		open := make([]bool, b.n)
		for i := range open {
			open[i] = active == nil || active[i]
			out.bools[i] = !decisive
		}
		for _, n := range nodes {
			v, err := n(b, open)
			if err != nil {
				return nil, err
			}
			for i := range open {
				switch {
				case !open[i]:
				case v.isNull(i):
					if out.null == nil {
						out.null = make([]bool, b.n)
					}
					out.null[i] = true
				case v.bools[i&v.mask] == decisive:
					open[i], out.bools[i] = false, decisive
					if out.null != nil {
						out.null[i] = false
					}
				}
			}
		}
		return out, nil
	}, nil
}

func (p *Program) compileNot(e *expr.Not) (node, error) {
	arg, err := p.compile(e.Arg)
	if err != nil {
		return nil, err
	}
	return func(b *batch, active []bool) (*vec, error) {
		v, err := arg(b, active)
		if err != nil {
			return nil, err
		}
		out := &vec{form: bools, mask: v.mask, null: v.null, bools: make([]bool, len(v.bools))}
		for i, x := range v.bools {
			out.bools[i] = !x
		}
		return out, nil
	}, nil
}

func (p *Program) compileIsNull(e *expr.IsNull) (node, error) {
	arg, err := p.compile(e.Arg)
	if err != nil {
		return nil, err
	}
	return func(b *batch, active []bool) (*vec, error) {
		v, err := arg(b, active)
		if err != nil {
			return nil, err
		}
		out := newVec(bools, b.n)
		for i := range out.bools {
			out.bools[i] = v.isNull(i) != e.Negated
		}
		return out, nil
	}, nil
}

// compileCase computes each branch where its condition holds and none before did.
func (p *Program) compileCase(e *expr.Case) (node, error) {
	var conds, thens []node
	for _, w := range e.Whens {
		c, err := p.compile(w.Cond)
		if err != nil {
			return nil, err
		}
		t, err := p.compile(w.Then)
		if err != nil {
			return nil, err
		}
		conds, thens = append(conds, c), append(thens, t)
	}
	otherwise := func(*batch, []bool) (*vec, error) { return constant(row.Null, e.Typ), nil }
	if e.Else != nil {
		n, err := p.compile(e.Else)
		if err != nil {
			return nil, err
		}
		otherwise = n
	}
	return func(b *batch, active []bool) (*vec, error) {
		out := newVec(formOf(e.Typ), b.n)
		open := make([]bool, b.n)
		for i := range open {
			open[i] = active == nil || active[i]
		}
		for k, cond := range conds {
			c, err := cond(b, open)
			if err != nil {
				return nil, err
			}
			taken := make([]bool, b.n)
			for i := range open {
				if open[i] && !c.isNull(i) && c.bools[i&c.mask] {
					taken[i], open[i] = true, false
				}
			}
			if err := out.fill(b, thens[k], taken, e.Typ); err != nil {
				return nil, err
			}
		}
		return out, out.fill(b, otherwise, open, e.Typ)
	}, nil
}

// fill sets the entries where is true from a node.
func (v *vec) fill(b *batch, n node, where []bool, t row.Type) error {
	if !slices.Contains(where, true) {
		return nil
	}
	from, err := n(b, where)
	if err != nil {
		return err
	}
	for i, w := range where {
		if w {
			v.set(i, from.value(i, t))
		}
	}
	return nil
}

func (p *Program) compileCoalesce(e *expr.Coalesce) (node, error) {
	nodes := make([]node, len(e.Args))
	for i, a := range e.Args {
		n, err := p.compile(a)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	return func(b *batch, active []bool) (*vec, error) {
		out := newVec(formOf(e.Typ), b.n)
		open := make([]bool, b.n)
		for i := range open {
			open[i] = active == nil || active[i]
		}
		for _, n := range nodes {
			if !slices.Contains(open, true) {
				break
			}
			v, err := n(b, open)
			if err != nil {
				return nil, err
			}
			for i := range open {
				if open[i] && !v.isNull(i) {
					out.set(i, v.value(i, e.Typ))
					open[i] = false
				}
			}
		}
		for i := range open {
			if open[i] {
				out.set(i, row.Null)
			}
		}
		return out, nil
	}, nil
}

// Columns adds the indexes of e's columns of Depth 0 to set.
func Columns(e expr.Expr, set map[int]bool) {
	expr.Walk(e, func(x expr.Expr) bool {
		if c, ok := x.(*expr.Column); ok && c.Depth == 0 {
			set[c.Index] = true
		}
		return true
	})
}
