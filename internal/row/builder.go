package row

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Builder makes Arrow records of one schema from rows. It is not for concurrent use.
type Builder struct {
	schema  *Schema
	arrow   *arrow.Schema
	columns []array.Builder
	rows    int
}

// NewBuilder makes a builder; a nil allocator is Go's heap.
func NewBuilder(mem memory.Allocator, s *Schema) *Builder {
	if mem == nil {
		mem = memory.DefaultAllocator
	}
	b := &Builder{schema: s, arrow: ArrowSchema(s)}
	for _, c := range s.Columns {
		b.columns = append(b.columns, array.NewBuilder(mem, ArrowType(c.Type)))
	}
	return b
}

// Schema is the schema of the rows.
func (b *Builder) Schema() *Schema { return b.schema }

// Len is the number of rows since the last record.
func (b *Builder) Len() int { return b.rows }

// Column is the builder of one column, for who appends by column; every column must get one value, then RowDone.
func (b *Builder) Column(i int) array.Builder { return b.columns[i] }

// RowDone counts a row whose values were appended through Column.
func (b *Builder) RowDone() { b.rows++ }

// Reserve makes room for n more rows.
func (b *Builder) Reserve(n int) {
	for _, c := range b.columns {
		c.Reserve(n)
	}
}

// AppendRow appends a row of the schema's columns. The values are copied.
func (b *Builder) AppendRow(r Row) {
	for i, c := range b.columns {
		Append(c, b.schema.Columns[i].Type, r[i])
	}
	b.rows++
}

// AppendFrom appends row i of a record of the same schema.
func (b *Builder) AppendFrom(rec arrow.Record, i int) {
	for c, col := range b.columns {
		Copy(col, rec.Column(c), i)
	}
	b.rows++
}

// NewRecord gives the rows so far as a record, which the caller releases, and starts anew with room for as many.
func (b *Builder) NewRecord() arrow.Record {
	arrays := make([]arrow.Array, len(b.columns))
	for i, c := range b.columns {
		arrays[i] = c.NewArray()
	}
	rec := array.NewRecord(b.arrow, arrays, int64(b.rows))
	for _, a := range arrays {
		a.Release()
	}
	b.Reserve(min(b.rows, 4096))
	b.rows = 0
	return rec
}

// Release gives back the builders' memory.
func (b *Builder) Release() {
	for _, c := range b.columns {
		c.Release()
	}
}
