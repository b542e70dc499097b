package ivm

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/processors/state"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// fold keeps the arguments of each group and computes the aggregate over those of the groups that a tick touches. An
// element is the key of the aggregate's ORDER BY, the arguments' row, and the length of the key in four bytes; without
// ORDER BY the elements stand in the order of their bytes.
func (g *grouping) fold(c *plan.AggregateCall, call op.Call) error {
	direct := make([]row.Value, len(c.Direct))
	types := make([]row.Type, 0, len(c.Direct)+len(c.Args))
	for i, d := range c.Direct {
		v, err := constantOf(d)
		if err != nil {
			return err
		}
		direct[i], types = v, append(types, d.Type())
	}
	types = append(types, typesOf(c.Args)...)
	args, err := g.columns(c.Args...)
	if err != nil {
		return err
	}
	order := keyColumn{}
	for _, k := range c.OrderBy {
		order.exprs = append(order.exprs, g.in.local(k.Expr))
		order.desc, order.first = append(order.desc, k.Desc), append(order.first, k.NullsFirst)
	}
	in, _, places, err := g.c.extend(g.in, nil, []keyColumn{order})
	if err != nil {
		return err
	}
	g.in = in
	codec, err := state.NewCodec(pick(in.schema, args), 0)
	if err != nil {
		return err
	}
	e := &elements{codec: codec, args: args, order: places[0], skipNulls: !c.Func.NullsToo()}
	in = g.widen(e, fmt.Sprintf("elements of %v by %s", args, &order))
	call.Distinct = false // the fold itself leaves repetitions out
	call.Kind, call.Arg, call.Fold = op.Fold, len(in.types)-1, foldOf(c, codec, types, direct)
	call.Result = row.ArrowField(row.Column{Type: c.Typ})
	g.folds = append(g.folds, fmt.Sprintf("; fold %s%v(%v) distinct %v to %s", c.Func.Name, direct, types, c.Distinct, c.Typ))
	g.results = append(g.results, result{[]int{g.add(call)}, only})
	return nil
}

// widen adds the column of elements behind the input's.
func (g *grouping) widen(e *elements, label string) *stream {
	out := *g.in
	out.types = append(append([]row.Type(nil), g.in.types...), row.T(row.Bytea))
	fields := append(append([]arrow.Field(nil), g.in.schema.Fields()...), arrow.Field{Name: "e", Type: arrow.BinaryTypes.Binary, Nullable: true})
	out.schema = arrow.NewSchema(fields, nil)
	e.schema = out.schema
	out.wire = g.c.graph.Add(&op.Map{F: e.build}, label, g.in.wire)
	g.in = &out
	return g.in
}

func pick(s *arrow.Schema, cols []int) *arrow.Schema {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = s.Field(c)
	}
	return arrow.NewSchema(fields, nil)
}

// elements makes the column of elements.
type elements struct {
	codec     *state.Codec
	args      []int
	order     int
	skipNulls bool
	schema    *arrow.Schema
	rows      state.Rows
}

func (e *elements) build(in arrow.Record) (arrow.Record, error) {
	cols := make([]arrow.Array, len(e.args))
	for i, a := range e.args {
		cols[i] = in.Column(a)
	}
	n := int(in.NumRows())
	e.codec.Encode(cols, 0, n, &e.rows)
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer b.Release()
	order := in.Column(e.order).(*array.Binary)
	var buf []byte
	for i := range n {
		null := false
		for _, c := range cols {
			null = null || e.skipNulls && c.IsNull(i)
		}
		if null {
			b.AppendNull()
			continue
		}
		o := order.Value(i)
		buf = append(append(buf[:0], o...), e.rows.Row(i)...)
		b.Append(binary.BigEndian.AppendUint32(buf, uint32(len(o))))
	}
	col := b.NewArray()
	defer col.Release()
	return array.NewRecord(e.schema, append(append([]arrow.Array(nil), in.Columns()...), col), in.NumRows()), nil
}

// foldOf runs the aggregate's accumulator over a group's elements.
func foldOf(c *plan.AggregateCall, codec *state.Codec, types []row.Type, direct []row.Value) op.FoldFunc {
	first := len(direct)
	return func(b array.Builder, each func(func([]byte, int64) bool)) error {
		var data []byte
		var ends []int
		var counts []int64
		each(func(value []byte, count int64) bool {
			n := len(value) - 4
			data = append(data, value[binary.BigEndian.Uint32(value[n:]):n]...)
			ends, counts = append(ends, len(data)), append(counts, count)
			return true
		})
		cols := codec.Decode(len(ends), func(i int) []byte {
			if i == 0 {
				return data[:ends[0]]
			}
			return data[ends[i-1]:ends[i]]
		})
		acc := c.Func.NewAccumulator(types, c.Typ)
		ctx := &expr.Ctx{}
		seen := map[string]bool{}
		for i := range ends {
			args := make([]row.Value, len(types))
			copy(args, direct)
			for k, col := range cols {
				args[first+k] = row.FromArrow(col, i, types[first+k])
			}
			if c.Distinct {
				key := ""
				for k := range cols {
					key = string(row.AppendKey([]byte(key), types[first+k], args[first+k], false))
				}
				if seen[key] {
					continue
				}
				seen[key], counts[i] = true, 1
			}
			for range counts[i] {
				if err := acc.Add(ctx, args); err != nil {
					return err
				}
			}
		}
		for _, col := range cols {
			col.Release()
		}
		v, err := acc.Result(ctx)
		if err != nil {
			return err
		}
		row.Append(b, c.Typ, v)
		return nil
	}
}
