package expr

import (
	"slices"
	"sort"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// dimensions are the lengths of an array's dimensions; an empty array has none.
func dimensions(v row.Value) []int {
	var out []int
	for v.Kind() == row.KindList && len(v.List()) > 0 {
		out = append(out, len(v.List()))
		v = v.List()[0]
	}
	return out
}

func arrayLength(a, b row.Value) (row.Value, error) {
	d := dimensions(a)
	if n := b.Int(); n >= 1 && n <= int64(len(d)) {
		return row.NewInt(int64(d[n-1])), nil
	}
	return row.Null, nil
}

func arrayLower(types []row.Type, _ row.Type) evalFunc {
	base := int64(1)
	if oid := types[0].OID; oid == row.Int2Vector || oid == row.OidVector {
		base = 0
	}
	return func(_ *Ctx, args []row.Value) (row.Value, error) {
		d := dimensions(args[0])
		if n := args[1].Int(); n >= 1 && n <= int64(len(d)) {
			return row.NewInt(base), nil
		}
		return row.Null, nil
	}
}

func arrayUpper(types []row.Type, _ row.Type) evalFunc {
	less := int64(0)
	if oid := types[0].OID; oid == row.Int2Vector || oid == row.OidVector {
		less = 1
	}
	return func(_ *Ctx, args []row.Value) (row.Value, error) {
		v, err := arrayLength(args[0], args[1])
		if err != nil || v.IsNull() {
			return v, err
		}
		return row.NewInt(v.Int() - less), nil
	}
}

func arrayNDims(a row.Value) (row.Value, error) {
	d := dimensions(a)
	if len(d) == 0 {
		return row.Null, nil
	}
	return row.NewInt(int64(len(d))), nil
}

func arrayDims(a row.Value) (row.Value, error) {
	d := dimensions(a)
	if len(d) == 0 {
		return row.Null, nil
	}
	var out strings.Builder
	for _, n := range d {
		out.WriteString("[1:" + row.NewInt(int64(n)).Text(row.T(row.Int4)) + "]")
	}
	return row.NewText(out.String()), nil
}

func cardinality(a row.Value) (row.Value, error) { return row.NewInt(int64(len(flatten(a)))), nil }

func arrayAppend(args []row.Value) (row.Value, error) {
	list := args[0].List()
	if len(dimensions(args[0])) > 1 {
		return row.Null, errs.SQL("22000", "argument must be empty or one-dimensional array")
	}
	return row.NewList(append(list[:len(list):len(list)], args[1])), nil
}

func arrayPrepend(args []row.Value) (row.Value, error) {
	if len(dimensions(args[1])) > 1 {
		return row.Null, errs.SQL("22000", "argument must be empty or one-dimensional array")
	}
	return row.NewList(append([]row.Value{args[0]}, args[1].List()...)), nil
}

func arrayCat(args []row.Value) (row.Value, error) {
	a, b := args[0], args[1]
	switch {
	case a.IsNull():
		return b, nil
	case b.IsNull():
		return a, nil
	}
	da, db := len(dimensions(a)), len(dimensions(b))
	x, y := a.List(), b.List()
	incompatible := errs.SQL("2202E", "cannot concatenate incompatible arrays")
	inner := func(outer, part row.Value) bool { return slices.Equal(dimensions(outer)[1:], dimensions(part)) }
	switch {
	case da == 0:
		return b, nil
	case db == 0:
		return a, nil
	case da == db && !slices.Equal(dimensions(a)[1:], dimensions(b)[1:]), da == db+1 && !inner(a, b), db == da+1 && !inner(b, a):
		return row.Null, incompatible
	case da == db:
		return row.NewList(append(x[:len(x):len(x)], y...)), nil
	case da == db+1:
		return row.NewList(append(x[:len(x):len(x)], b)), nil
	case db == da+1:
		return row.NewList(append([]row.Value{a}, y...)), nil
	}
	return row.Null, incompatible
}

// withElement makes a function that compares elements by their type.
func withElement(f func(t row.Type, args []row.Value) (row.Value, error)) binder {
	return func(types []row.Type, _ row.Type) evalFunc {
		t := row.T(row.ElementOf(types[0].OID))
		return func(_ *Ctx, args []row.Value) (row.Value, error) { return f(t, args) }
	}
}

// widthBucketArray is the number of thresholds, which are sorted, that are not above a value.
func widthBucketArray(types []row.Type, _ row.Type) evalFunc {
	t := row.T(types[0].OID)
	return func(_ *Ctx, args []row.Value) (row.Value, error) {
		thresholds := args[1].List()
		for _, v := range thresholds {
			switch {
			case v.Kind() == row.KindList:
				return row.Null, errs.SQL("2202E", "thresholds must be one-dimensional array")
			case v.IsNull():
				return row.Null, errs.SQL("22004", "thresholds array must not contain NULLs")
			}
		}
		n := sort.Search(len(thresholds), func(i int) bool { return row.CompareTyped(t, args[0], thresholds[i]) < 0 })
		return row.NewInt(int64(n)), nil
	}
}

// notDistinct is IS NOT DISTINCT FROM.
func notDistinct(t row.Type, a, b row.Value) bool {
	return a.IsNull() == b.IsNull() && (a.IsNull() || row.CompareTyped(t, a, b) == 0)
}

func arrayPosition(t row.Type, args []row.Value) (row.Value, error) {
	if args[0].IsNull() {
		return row.Null, nil
	}
	if len(dimensions(args[0])) > 1 {
		return row.Null, errs.SQL("0A000", "searching for elements in multidimensional arrays is not supported")
	}
	start := int64(1)
	if len(args) > 2 && len(args[0].List()) > 0 {
		if args[2].IsNull() {
			return row.Null, errs.SQL("22004", "initial position must not be null")
		}
		start = max(args[2].Int(), 1)
	}
	for i, x := range args[0].List() {
		if int64(i)+1 >= start && notDistinct(t, x, args[1]) {
			return row.NewInt(int64(i) + 1), nil
		}
	}
	return row.Null, nil
}

func arrayPositions(t row.Type, args []row.Value) (row.Value, error) {
	if args[0].IsNull() {
		return row.Null, nil
	}
	if len(dimensions(args[0])) > 1 {
		return row.Null, errs.SQL("0A000", "searching for elements in multidimensional arrays is not supported")
	}
	out := []row.Value{}
	for i, x := range args[0].List() {
		if notDistinct(t, x, args[1]) {
			out = append(out, row.NewInt(int64(i)+1))
		}
	}
	return row.NewList(out), nil
}

func arrayRemove(t row.Type, args []row.Value) (row.Value, error) {
	if args[0].IsNull() {
		return row.Null, nil
	}
	if len(dimensions(args[0])) > 1 {
		return row.Null, errs.SQL("0A000", "removing elements from multidimensional arrays is not supported")
	}
	out := []row.Value{}
	for _, x := range args[0].List() {
		if !notDistinct(t, x, args[1]) {
			out = append(out, x)
		}
	}
	return row.NewList(out), nil
}

func arrayReplace(t row.Type, args []row.Value) (row.Value, error) {
	if args[0].IsNull() {
		return row.Null, nil
	}
	out := make([]row.Value, len(args[0].List()))
	for i, x := range args[0].List() {
		out[i] = x
		switch {
		case x.Kind() == row.KindList:
			inner, err := arrayReplace(t, []row.Value{x, args[1], args[2]})
			if err != nil {
				return row.Null, err
			}
			out[i] = inner
		case notDistinct(t, x, args[1]):
			out[i] = args[2]
		}
	}
	return row.NewList(out), nil
}

func contains(t row.Type, list []row.Value, x row.Value) bool {
	if x.IsNull() {
		return false
	}
	for _, y := range list {
		if !y.IsNull() && row.CompareTyped(t, x, y) == 0 {
			return true
		}
	}
	return false
}

func arrayContains(t row.Type, args []row.Value) (row.Value, error) {
	all := flatten(args[0])
	for _, x := range flatten(args[1]) {
		if !contains(t, all, x) {
			return row.NewBool(false), nil
		}
	}
	return row.NewBool(true), nil
}

func arrayContained(t row.Type, args []row.Value) (row.Value, error) {
	return arrayContains(t, []row.Value{args[1], args[0]})
}

func arrayOverlap(t row.Type, args []row.Value) (row.Value, error) {
	all := flatten(args[0])
	for _, x := range flatten(args[1]) {
		if contains(t, all, x) {
			return row.NewBool(true), nil
		}
	}
	return row.NewBool(false), nil
}

// arrayToString joins the elements; NULLs are left out, or written as the third argument.
func arrayToString(types []row.Type, _ row.Type) evalFunc {
	elem := row.T(row.ElementOf(types[0].OID))
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if args[0].IsNull() || args[1].IsNull() {
			return row.Null, nil
		}
		var out strings.Builder
		first := true
		for _, x := range flatten(args[0]) {
			s := ""
			if x.IsNull() {
				if len(args) < 3 || args[2].IsNull() {
					continue
				}
				s = args[2].Str()
			} else {
				var err error
				if s, err = wireText(ctx, elem, x); err != nil {
					return row.Null, err
				}
			}
			if !first {
				out.WriteString(args[1].Str())
			}
			first = false
			out.WriteString(s)
		}
		return row.NewText(out.String()), nil
	}
}

// maxElements bounds what array_fill makes.
const maxElements = 1 << 24

func arrayFill(args []row.Value) (row.Value, error) {
	if args[1].IsNull() {
		return row.Null, errs.SQL("22004", "dimension array or low bound array cannot be null")
	}
	total := int64(1)
	for _, d := range args[1].List() {
		if d.Int() < 0 {
			return row.Null, errs.SQL("2202E", "array lengths must not be negative")
		}
		if total *= d.Int(); total > maxElements {
			return row.Null, errs.SQL("54000", "array size exceeds the maximum allowed (%d)", maxElements)
		}
	}
	if total == 0 || len(args[1].List()) == 0 {
		return row.NewList(nil), nil
	}
	v := args[0]
	dims := args[1].List()
	for i := len(dims) - 1; i >= 0; i-- {
		list := make([]row.Value, dims[i].Int())
		for j := range list {
			list[j] = v
		}
		v = row.NewList(list)
	}
	return v, nil
}

func trimArray(a, b row.Value) (row.Value, error) {
	list, n := a.List(), b.Int()
	if n < 0 || n > int64(len(list)) {
		return row.Null, errs.SQL("2202E", "number of elements to trim must be between 0 and %d", len(list))
	}
	return row.NewList(list[:len(list)-int(n)]), nil
}

func unnest(_ *Ctx, args []row.Value) ([]row.Row, error) {
	if args[0].IsNull() {
		return nil, nil
	}
	return rowsOf(flatten(args[0])), nil
}

func generateSubscripts(types []row.Type, _ row.Type) func(ctx *Ctx, args []row.Value) ([]row.Row, error) {
	base := int64(1)
	if oid := types[0].OID; oid == row.Int2Vector || oid == row.OidVector {
		base = 0
	}
	return func(_ *Ctx, args []row.Value) ([]row.Row, error) {
		n, err := arrayLength(args[0], args[1])
		if err != nil || n.IsNull() {
			return nil, err
		}
		out := make([]row.Value, n.Int())
		for i := range out {
			out[i] = row.NewInt(int64(i) + base)
			if len(args) > 2 && args[2].Bool() {
				out[i] = row.NewInt(n.Int() - int64(i) - 1 + base)
			}
		}
		return rowsOf(out), nil
	}
}

// expandArray is information_schema._pg_expandarray.
func expandArray(_ *Ctx, args []row.Value) ([]row.Row, error) {
	var out []row.Row
	for i, x := range args[0].List() {
		out = append(out, row.Row{x, row.NewInt(int64(i) + 1)})
	}
	return out, nil
}

// arrays holds the array functions and operators (PostgreSQL 9.19).
var arrays = []def{
	{"array_length(anyarray,int4) int4", 0, arrayLength},
	{"array_lower(anyarray,int4) int4", 0, binder(arrayLower)},
	{"array_upper(anyarray,int4) int4", 0, binder(arrayUpper)},
	{"array_ndims(anyarray) int4", 0, arrayNDims},
	{"array_dims(anyarray) text", 0, arrayDims},
	{"cardinality(anyarray) int4", 0, cardinality},
	{"array_append(anycompatiblearray,anycompatible) anycompatiblearray", nullable, arrayAppend},
	{"array_prepend(anycompatible,anycompatiblearray) anycompatiblearray", nullable, arrayPrepend},
	{"array_cat(anycompatiblearray,anycompatiblearray) anycompatiblearray", nullable, arrayCat},
	{"||(anycompatiblearray,anycompatible) anycompatiblearray", nullable, arrayAppend},
	{"||(anycompatible,anycompatiblearray) anycompatiblearray", nullable, arrayPrepend},
	{"||(anycompatiblearray,anycompatiblearray) anycompatiblearray", nullable, arrayCat},
	{"array_position(anycompatiblearray,anycompatible) int4", nullable, withElement(arrayPosition)},
	{"array_position(anycompatiblearray,anycompatible,int4) int4", nullable, withElement(arrayPosition)},
	{"array_positions(anycompatiblearray,anycompatible) _int4", nullable, withElement(arrayPositions)},
	{"array_remove(anycompatiblearray,anycompatible) anycompatiblearray", nullable, withElement(arrayRemove)},
	{"array_replace(anycompatiblearray,anycompatible,anycompatible) anycompatiblearray", nullable, withElement(arrayReplace)},
	{"@>(anyarray,anyarray) bool", 0, withElement(arrayContains)},
	{"<@(anyarray,anyarray) bool", 0, withElement(arrayContained)},
	{"&&(anyarray,anyarray) bool", 0, withElement(arrayOverlap)},
	{"array_to_string(anyarray,text) text", stable, binder(arrayToString)},
	{"array_to_string(anyarray,text,text) text", nullable | stable, binder(arrayToString)},
	{"array_fill(anyelement,_int4) anyarray", nullable, arrayFill},
	{"trim_array(anyarray,int4) anyarray", 0, trimArray},
	{"unnest(anyarray) anyelement", 0, setFunc{set: unnest}},
	{"generate_subscripts(anyarray,int4) int4", 0, setFunc{bind: generateSubscripts}},
	{"generate_subscripts(anyarray,int4,bool) int4", 0, setFunc{bind: generateSubscripts}},
	{"_pg_expandarray(anyarray) record", 0, setFunc{columns: "x anyelement, n int4", set: expandArray}},
}
