package expr

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// hashedList is the length from which a constant IN list is searched by hash.
const hashedList = 9

// compileAnyAll is "left op ANY (array)" and ALL: the first element that decides ends the search.
func compileAnyAll(e *AnyAll) (Evaluator, error) {
	left, err := Compile(e.Left)
	if err != nil {
		return nil, err
	}
	if c, ok := e.Array.(*Const); ok && !e.All && e.Op.Hashable() && len(c.Value.List()) >= hashedList {
		return compileInSet(e, left, c.Value.List()), nil
	}
	array, err := Compile(e.Array)
	if err != nil {
		return nil, err
	}
	elem := row.T(row.ElementOf(e.Array.Type().OID))
	test := equality(e.Op, e.Left, &Const{Typ: elem})
	all := e.All
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		a, err := left(ctx, r)
		if err != nil {
			return row.Null, err
		}
		list, err := array(ctx, r)
		if err != nil || list.IsNull() {
			return row.Null, err
		}
		return quantify(ctx, a, flatten(list), test, all)
	}, nil
}

// quantify is the three-valued ANY or ALL over the elements.
func quantify(ctx *Ctx, a row.Value, list []row.Value, test func(*Ctx, row.Value, row.Value) (row.Value, error), all bool) (row.Value, error) {
	null := false
	for _, b := range list {
		if a.IsNull() || b.IsNull() {
			null = true
			continue
		}
		v, err := test(ctx, a, b)
		if err != nil {
			return row.Null, err
		}
		switch {
		case v.IsNull():
			null = true
		case v.Bool() != all:
			return v, nil
		}
	}
	if null {
		return row.Null, nil
	}
	return row.NewBool(all), nil
}

// flatten lists the elements of an array of any number of dimensions.
func flatten(v row.Value) []row.Value {
	list := v.List()
	if len(list) == 0 || list[0].Kind() != row.KindList {
		return list
	}
	var out []row.Value
	for _, x := range list {
		out = append(out, flatten(x)...)
	}
	return out
}

// compileInSet looks a value up in a long constant list by its hash.
func compileInSet(e *AnyAll, left Evaluator, list []row.Value) Evaluator {
	t := e.Left.Type()
	set := make(map[uint64][]row.Value, len(list))
	null := false
	for _, v := range list {
		if v.IsNull() {
			null = true
			continue
		}
		h := row.HashTyped(t, v)
		set[h] = append(set[h], v)
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := left(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		for _, x := range set[row.HashTyped(t, v)] {
			if row.CompareTyped(t, v, x) == 0 {
				return row.NewBool(true), nil
			}
		}
		if null {
			return row.Null, nil
		}
		return row.NewBool(false), nil
	}
}

func compileArray(e *Array) (Evaluator, error) {
	elems, err := CompileAll(e.Elems)
	if err != nil {
		return nil, err
	}
	nested := e.Nested
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		out := make([]row.Value, len(elems))
		for i, x := range elems {
			v, err := x(ctx, r)
			if err != nil {
				return row.Null, err
			}
			if nested && i > 0 && len(v.List()) != len(out[0].List()) {
				return row.Null, errs.SQL("2202E", "multidimensional arrays must have array expressions with matching dimensions")
			}
			out[i] = v
		}
		if nested && len(out) > 0 && len(out[0].List()) == 0 {
			return row.NewList(nil), nil
		}
		return row.NewList(out), nil
	}, nil
}

// compileSubscript is array[i] and array[l:u]; for jsonb a field or element. Out of bounds is NULL or empty.
func compileSubscript(e *Subscript) (Evaluator, error) {
	arg, err := Compile(e.Arg)
	if err != nil {
		return nil, err
	}
	bounds := make([][2]Evaluator, max(len(e.Lower), len(e.Upper)))
	for i := range bounds {
		for side, list := range [2][]Expr{e.Lower, e.Upper} {
			if i < len(list) && list[i] != nil {
				if bounds[i][side], err = Compile(list[i]); err != nil {
					return nil, err
				}
			}
		}
	}
	if e.Arg.Type().OID == row.JSONB {
		return subscriptJSON(arg, bounds), nil
	}
	// int2vector and oidvector count from 0.
	base := int64(1)
	if oid := e.Arg.Type().OID; oid == row.Int2Vector || oid == row.OidVector {
		base = 0
	}
	slice := e.Slice
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		var lo, hi [8]row.Value
		if len(bounds) > 6 {
			return row.Null, errs.SQL("54000", "number of array dimensions exceeds the maximum allowed (6)")
		}
		for i, b := range bounds {
			for side, to := range [2]*row.Value{&lo[i], &hi[i]} {
				if b[side] == nil {
					continue
				}
				if *to, err = b[side](ctx, r); err != nil || to.IsNull() {
					return row.Null, err
				}
			}
		}
		if slice {
			return sliceArray(v, lo[:len(bounds)], hi[:len(bounds)], bounds, base), nil
		}
		for i := range bounds {
			n := lo[i].Int() - base
			list := v.List()
			if v.Kind() != row.KindList || n < 0 || n >= int64(len(list)) {
				return row.Null, nil
			}
			v = list[n]
		}
		if v.Kind() == row.KindList { // fewer subscripts than dimensions
			return row.Null, nil
		}
		return v, nil
	}, nil
}

func sliceArray(v row.Value, lo, hi []row.Value, bounds [][2]Evaluator, base int64) row.Value {
	if len(lo) == 0 || v.Kind() != row.KindList {
		return v
	}
	list := v.List()
	from, to := int64(0), int64(len(list))
	if bounds[0][0] != nil {
		from = max(lo[0].Int()-base, 0)
	}
	if bounds[0][1] != nil {
		to = min(hi[0].Int()-base+1, to)
	}
	if from >= to {
		return row.NewList(nil)
	}
	if len(lo) == 1 {
		return row.NewList(list[from:to:to])
	}
	out := make([]row.Value, 0, to-from)
	for _, x := range list[from:to] {
		inner := sliceArray(x, lo[1:], hi[1:], bounds[1:], base)
		if len(inner.List()) == 0 {
			return row.NewList(nil)
		}
		out = append(out, inner)
	}
	return row.NewList(out)
}
