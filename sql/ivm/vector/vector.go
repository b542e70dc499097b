package vector

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// form is how a vector's values are held.
type form uint8

const (
	values form = iota // row.Value
	ints               // int2, int4, int8, oid, date, time, timestamp, timestamptz
	floats
	bools
	texts // text, varchar, name: equal and ordered by bytes
)

func formOf(t row.Type) form {
	switch t.OID {
	case row.Bool:
		return bools
	case row.Float4, row.Float8:
		return floats
	case row.Text, row.VarChar, row.Name:
		return texts
	case row.Int2, row.Int4, row.Int8, row.Oid, row.Date, row.Time, row.Timestamp, row.TimestampTZ:
		return ints
	}
	return values
}

// vec is a column of values; entry i is at i&mask, so a constant is one entry with mask 0.
type vec struct {
	form   form
	mask   int
	ints   []int64
	floats []float64
	bools  []bool
	texts  []string // they refer to the batch's memory
	values []row.Value
	null   []bool // nil: none is null
}

func (v *vec) isNull(i int) bool { return v.null != nil && v.null[i&v.mask] }

// value is entry i as a Value of type t; text is not copied.
func (v *vec) value(i int, t row.Type) row.Value {
	if v.isNull(i) {
		return row.Null
	}
	i &= v.mask
	switch v.form {
	case ints:
		return intValue(v.ints[i], t)
	case floats:
		return row.NewFloat(v.floats[i])
	case bools:
		return row.NewBool(v.bools[i])
	case texts:
		return row.NewText(v.texts[i])
	}
	return v.values[i]
}

func intValue(n int64, t row.Type) row.Value {
	switch row.KindOf(t.OID) {
	case row.KindDate:
		return row.NewDate(n)
	case row.KindTime:
		return row.NewTime(n)
	case row.KindTimestamp:
		return row.NewTimestamp(n)
	}
	return row.NewInt(n)
}

// batch is the record in work. Its column vectors are made once.
type batch struct {
	rec  arrow.Record
	n    int
	cols []*vec
	ctx  *expr.Ctx
	row  row.Row
}

// node computes a vector. active, when not nil, says for which rows; the others' entries are undefined.
type node func(b *batch, active []bool) (*vec, error)

// Program computes expressions over records whose columns have the types given to Compile.
type Program struct {
	types   []row.Type
	exprs   []expr.Expr
	nodes   []node
	columns []int // of an expression that is just a column; else -1
	schema  *arrow.Schema
	ctx     expr.Ctx
	fast    bool
}

// Compile makes a Program of expressions over input columns of the given types; names are those of the result's columns.
// An expression that cannot be computed in a circuit (a parameter, a subquery, a set) is errs.Unsupported.
func Compile(exprs []expr.Expr, names []string, types []row.Type) (*Program, error) {
	p := &Program{types: types, exprs: exprs, fast: true}
	fields := make([]arrow.Field, len(exprs))
	for i, e := range exprs {
		n, err := p.compile(e)
		if err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, n)
		col := -1
		if c, ok := e.(*expr.Column); ok {
			col = c.Index
		}
		p.columns = append(p.columns, col)
		fields[i] = row.ArrowField(row.Column{Name: names[i], Type: e.Type()})
	}
	p.schema = arrow.NewSchema(fields, nil)
	return p, nil
}

// Schema is the result's columns: all nullable, of row.ArrowField.
func (p *Program) Schema() *arrow.Schema { return p.schema }

// Fast reports whether no part is computed row by row.
func (p *Program) Fast() bool { return p.fast }

func (p *Program) batch(rec arrow.Record) *batch {
	return &batch{rec: rec, n: int(rec.NumRows()), cols: make([]*vec, len(p.types)), ctx: &p.ctx}
}

// Eval computes the expressions; the caller owns the result.
func (p *Program) Eval(rec arrow.Record) (arrow.Record, error) {
	b := p.batch(rec)
	cols := make([]arrow.Array, 0, len(p.nodes))
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i, n := range p.nodes {
		if c := p.columns[i]; c >= 0 {
			rec.Column(c).Retain()
			cols = append(cols, rec.Column(c))
			continue
		}
		v, err := n(b, nil)
		if err != nil {
			return nil, err
		}
		cols = append(cols, toArrow(v, b.n, p.exprs[i].Type()))
	}
	return array.NewRecord(p.schema, cols, int64(b.n)), nil
}

// Where computes the first expression, a condition.
func (p *Program) Where(rec arrow.Record) (*array.Boolean, error) {
	b := p.batch(rec)
	v, err := p.nodes[0](b, nil)
	if err != nil {
		return nil, err
	}
	return toArrow(v, b.n, row.T(row.Bool)).(*array.Boolean), nil
}

// toArrow makes a column of n entries.
func toArrow(v *vec, n int, t row.Type) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, row.ArrowType(t))
	defer b.Release()
	b.Reserve(n)
	if v.form == values {
		for i := range n {
			row.Append(b, t, v.value(i, t))
		}
		return b.NewArray()
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(v.ints[i]) })
	case *array.Int32Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(int32(v.ints[i])) })
	case *array.Int16Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(int16(v.ints[i])) })
	case *array.Date32Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(arrow.Date32(v.ints[i])) })
	case *array.Time64Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(arrow.Time64(v.ints[i])) })
	case *array.TimestampBuilder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(arrow.Timestamp(v.ints[i])) })
	case *array.Float64Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(v.floats[i]) })
	case *array.Float32Builder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(float32(v.floats[i])) })
	case *array.BooleanBuilder:
		appendAll(b, v, n, func(i int) { b.UnsafeAppend(v.bools[i]) })
	case *array.StringBuilder:
		appendAll(b, v, n, func(i int) { b.Append(v.texts[i]) })
	}
	return b.NewArray()
}

func appendAll(b array.Builder, v *vec, n int, one func(i int)) {
	for i := range n {
		if v.null != nil && v.null[i&v.mask] {
			b.AppendNull()
			continue
		}
		one(i & v.mask)
	}
}

// column gives the vector of a column.
func (b *batch) column(i int, t row.Type) *vec {
	if b.cols[i] == nil {
		b.cols[i] = fromArrow(b.rec.Column(i), b.n, t)
	}
	return b.cols[i]
}

func fromArrow(a arrow.Array, n int, t row.Type) *vec {
	v := &vec{form: formOf(t), mask: -1}
	if a.NullN() > 0 {
		v.null = make([]bool, n)
		for i := range v.null {
			v.null[i] = a.IsNull(i)
		}
	}
	switch a := a.(type) {
	case *array.Int64:
		v.ints = a.Int64Values()
	case *array.Int32:
		v.ints = widen(a.Int32Values())
	case *array.Int16:
		v.ints = widen(a.Int16Values())
	case *array.Date32:
		v.ints = widen(a.Date32Values())
	case *array.Time64:
		v.ints = widen(a.Time64Values())
	case *array.Timestamp:
		v.ints = arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues()))
	case *array.Float64:
		v.floats = a.Float64Values()
	case *array.Float32:
		v.floats = make([]float64, n)
		for i, f := range a.Float32Values() {
			v.floats[i] = float64(f)
		}
	case *array.Boolean:
		v.bools = make([]bool, n)
		for i := range n {
			v.bools[i] = a.Value(i)
		}
	case *array.String:
		if v.form == texts {
			v.texts = make([]string, n)
			for i := range n {
				v.texts[i] = a.Value(i)
			}
			return v
		}
		v.peek(a, n, t)
	default:
		v.peek(a, n, t)
	}
	return v
}

// peek holds a column as Values.
func (v *vec) peek(a arrow.Array, n int, t row.Type) {
	v.form, v.null = values, nil
	v.values = make([]row.Value, n)
	for i := range n {
		v.values[i] = row.FromArrow(a, i, t)
	}
	v.nullsOfValues()
}

func (v *vec) nullsOfValues() {
	for i := range v.values {
		if v.values[i].IsNull() {
			if v.null == nil {
				v.null = make([]bool, len(v.values))
			}
			v.null[i] = true
		}
	}
}

func widen[T ~int16 | ~int32 | ~int64](s []T) []int64 {
	out := make([]int64, len(s))
	for i, x := range s {
		out[i] = int64(x)
	}
	return out
}

// fault gives the error of e on row i of the batch: a loop has failed there.
func (b *batch) fault(slow expr.Evaluator, types []row.Type, i int) error {
	_, err := slow(b.ctx, b.rowAt(types, nil, i))
	if err == nil {
		return errs.New(errs.Internal, "a column's and a row's evaluation of an expression differ")
	}
	return err
}

// rowAt fills the wanted columns (nil: all) of row i.
func (b *batch) rowAt(types []row.Type, cols []int, i int) row.Row {
	if b.row == nil {
		b.row = make(row.Row, len(types))
	}
	if cols == nil {
		for c, t := range types {
			b.row[c] = row.FromArrow(b.rec.Column(c), i, t)
		}
		return b.row
	}
	for _, c := range cols {
		b.row[c] = row.FromArrow(b.rec.Column(c), i, types[c])
	}
	return b.row
}
