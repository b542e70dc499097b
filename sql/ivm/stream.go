package ivm

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/processors/circuit"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ivm/vector"
	"github.com/miracledb/miracledb/sql/plan"
)

// stream is a compiled operator: a wire and what stands on it. Its columns are not the plan operator's: those that nobody
// wants are left out, and computed ones may follow.
type stream struct {
	wire   circuit.Wire
	types  []row.Type
	schema *arrow.Schema
	// at maps the plan operator's columns to the wire's.
	at map[int]int
	// appendOnly: no retraction ever comes.
	appendOnly bool
	// key are columns of the plan operator that name a row; nil: none known.
	key []int
}

// compiler compiles one plan.
type compiler struct {
	graph    circuit.Graph
	inputs   []Input
	bindings map[*plan.Binding]*stream
}

// local rewrites a plan operator's expression to the stream's columns.
func (s *stream) local(e expr.Expr) expr.Expr {
	return rewrite(e, func(x expr.Expr) expr.Expr {
		c, ok := x.(*expr.Column)
		if !ok || c.Depth != 0 {
			return nil
		}
		moved := *c
		at, ok := s.at[c.Index]
		if !ok {
			panic(fmt.Sprintf("ivm: column %d was not asked for", c.Index))
		}
		moved.Index = at
		return &moved
	})
}

func (s *stream) column(i int) *expr.Column { return &expr.Column{Index: i, Typ: s.types[i]} }

// keyColumn is a computed binary column whose bytes are those of row.AppendKey over expressions.
type keyColumn struct {
	exprs []expr.Expr // over the stream's columns
	// normal: the normal form of one expression, null for its null. Else an order by all of them, with desc and first.
	normal      bool
	desc, first []bool
}

func (k *keyColumn) String() string {
	s := "order"
	if k.normal {
		s = "normal"
	}
	return fmt.Sprintf("%s(%s) %v %v", s, describeAll(k.exprs), k.desc, k.first)
}

// extend adds computed columns behind the stream's own: expressions over its columns (a plain column is used where it
// stands), then key columns. It gives where they are.
func (c *compiler) extend(s *stream, exprs []expr.Expr, keys []keyColumn) (*stream, []int, []int, error) {
	out := *s
	var list []expr.Expr
	var labels []string
	places, keyPlaces := make([]int, len(exprs)), make([]int, len(keys))
	known := map[string]int{}
	place := func(e expr.Expr) int {
		if col, ok := e.(*expr.Column); ok {
			return col.Index
		}
		text := describe(e)
		if at, ok := known[text]; ok {
			return at
		}
		list, labels = append(list, e), append(labels, text)
		known[text] = len(s.types) + len(list) - 1
		return known[text]
	}
	for i, e := range exprs {
		places[i] = place(e)
	}
	sources := make([][]int, len(keys))
	for i, k := range keys {
		for _, e := range k.exprs {
			sources[i] = append(sources[i], place(e))
		}
	}
	if len(list)+len(keys) == 0 {
		return s, places, keyPlaces, nil
	}
	all := make([]expr.Expr, 0, len(s.types)+len(list))
	names := make([]string, 0, cap(all))
	for i := range s.types {
		all, names = append(all, s.column(i)), append(names, s.schema.Field(i).Name)
	}
	for i, e := range list {
		all, names = append(all, e), append(names, fmt.Sprintf("e%d", i))
	}
	program, err := vector.Compile(all, names, s.types)
	if err != nil {
		return nil, nil, nil, err
	}
	out.types = append(append([]row.Type(nil), s.types...), typesOf(list)...)
	fields := append([]arrow.Field(nil), program.Schema().Fields()...)
	makers := make([]keyMaker, len(keys))
	for i := range keys {
		keyPlaces[i] = len(out.types)
		makers[i] = newKeyMaker(&keys[i], sources[i], out.types)
		out.types = append(out.types, row.T(row.Bytea))
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("k%d", i), Type: arrow.BinaryTypes.Binary, Nullable: true})
		labels = append(labels, keys[i].String())
	}
	out.schema = arrow.NewSchema(fields, nil)
	f := program.Eval
	if len(keys) > 0 {
		f = func(in arrow.Record) (arrow.Record, error) { return withKeys(program, makers, out.schema, in) }
	}
	label := "compute "
	if !program.Fast() {
		label = "compute by row "
	}
	out.wire = c.graph.Add(&op.Map{F: f}, label+strings.Join(labels, ", "), s.wire)
	return &out, places, keyPlaces, nil
}

func typesOf(es []expr.Expr) []row.Type {
	ts := make([]row.Type, len(es))
	for i, e := range es {
		ts[i] = e.Type()
	}
	return ts
}

// keyMaker makes a key column of the record's columns sources.
type keyMaker struct {
	*keyColumn
	sources []int
	types   []row.Type
}

func newKeyMaker(k *keyColumn, sources []int, types []row.Type) keyMaker {
	m := keyMaker{keyColumn: k, sources: sources}
	for _, s := range sources {
		m.types = append(m.types, types[s])
	}
	return m
}

func withKeys(program *vector.Program, makers []keyMaker, schema *arrow.Schema, in arrow.Record) (arrow.Record, error) {
	rec, err := program.Eval(in)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	cols := append([]arrow.Array(nil), rec.Columns()...)
	for i := range makers {
		col := makers[i].build(rec)
		defer col.Release()
		cols = append(cols, col)
	}
	return array.NewRecord(schema, cols, rec.NumRows()), nil
}

func (m *keyMaker) build(rec arrow.Record) arrow.Array {
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer b.Release()
	var key []byte
	for i := range int(rec.NumRows()) {
		if m.normal {
			v := row.PeekArrow(rec.Column(m.sources[0]), i, m.types[0])
			if v.IsNull() {
				b.AppendNull()
				continue
			}
			b.Append(row.AppendKey(key[:0], m.types[0], v, false))
			continue
		}
		key = key[:0]
		for k, s := range m.sources {
			v := row.PeekArrow(rec.Column(s), i, m.types[k])
			switch {
			case !v.IsNull():
				key = row.AppendKey(append(key, 1), m.types[k], v, m.desc[k])
			case m.first[k]:
				key = append(key, 0)
			default:
				key = append(key, 2)
			}
		}
		b.Append(key)
	}
	return b.NewArray()
}

// exact reports whether equal values of t have equal Arrow bytes, floats aside, which key codecs make equal.
func exact(t row.Type) bool {
	switch t.OID {
	case row.Bool, row.Int2, row.Int4, row.Int8, row.Oid, row.XID, row.Float4, row.Float8, row.Text, row.VarChar, row.Name, row.Char,
		row.Bytea, row.UUID, row.Date, row.Time, row.Timestamp, row.TimestampTZ:
		return true
	case row.Numeric:
		_, decimal := row.ArrowType(t).(*arrow.Decimal128Type)
		return decimal
	}
	return false
}

// normal adds, for expressions over the stream's columns, columns in normal form; it gives the places of the expressions
// themselves and of their normal forms.
func (c *compiler) normal(s *stream, exprs []expr.Expr) (out *stream, shown, keys []int, err error) {
	var computed []keyColumn
	for _, e := range exprs {
		if !exact(e.Type()) {
			computed = append(computed, keyColumn{exprs: []expr.Expr{e}, normal: true})
		}
	}
	out, shown, places, err := c.extend(s, exprs, computed)
	if err != nil {
		return nil, nil, nil, err
	}
	for i, e := range exprs {
		if exact(e.Type()) {
			keys = append(keys, shown[i])
		} else {
			keys, places = append(keys, places[0]), places[1:]
		}
	}
	return out, shown, keys, nil
}

// project computes exactly the given expressions over the stream's columns, under the given names.
func (c *compiler) project(s *stream, exprs []expr.Expr, names []string) (*stream, error) {
	program, err := vector.Compile(exprs, names, s.types)
	if err != nil {
		return nil, err
	}
	out := *s
	out.types, out.schema, out.at = typesOf(exprs), program.Schema(), map[int]int{}
	for i := range exprs {
		out.at[i] = i
	}
	label := "project "
	if !program.Fast() {
		label = "project by row "
	}
	out.wire = c.graph.Add(&op.Map{F: program.Eval}, label+describeAll(exprs), s.wire)
	return &out, nil
}

// finish gives exactly the view's columns under their names.
func (c *compiler) finish(s *stream, cols []plan.Column) (*stream, error) {
	exprs, names := make([]expr.Expr, len(cols)), make([]string, len(cols))
	for i, col := range cols {
		names[i] = col.Name
		exprs[i] = s.column(s.at[i])
		if t := exprs[i].Type(); row.ArrowType(t).ID() != row.ArrowType(col.Type).ID() {
			exprs[i] = &expr.Cast{Arg: exprs[i], To: col.Type, Context: expr.Explicit}
		}
		exprs[i] = retyped(exprs[i], col.Type)
	}
	key := s.key
	out, err := c.project(s, exprs, names)
	if err == nil {
		out.key = key
	}
	return out, err
}

// retyped gives a plain column the type under which the view shows it (a typmod may differ).
func retyped(e expr.Expr, t row.Type) expr.Expr {
	if c, ok := e.(*expr.Column); ok && row.ArrowType(c.Typ) != nil && arrow.TypeEqual(row.ArrowType(c.Typ), row.ArrowType(t)) {
		moved := *c
		moved.Typ = t
		return &moved
	}
	return e
}
