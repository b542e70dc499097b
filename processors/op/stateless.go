package op

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/processors"
)

// chunkRows is how many rows an operator takes at a time: its scratch memory stays in the cache, and a backfill in one
// delta needs no more than a live tick.
const chunkRows = 8192

// Func computes a record of the same number of rows. It must be pure: the same row gives the same result at any time.
type Func func(in arrow.Record) (arrow.Record, error)

// Predicate says which rows are kept: those where it is true; a null is not.
type Predicate func(in arrow.Record) (*array.Boolean, error)

// Map applies a Func.
type Map struct{ F Func }

// Step implements processors.Operator.
func (m *Map) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	if in[0].Len() == 0 {
		return processors.Batch{}, nil
	}
	rec, err := m.F(in[0].Rows)
	return processors.Batch{Rows: rec, Weights: in[0].Weights}, err
}

// Filter keeps the rows for which a Predicate is true.
type Filter struct{ Keep Predicate }

// Step implements processors.Operator.
func (f *Filter) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	if in[0].Len() == 0 {
		return processors.Batch{}, nil
	}
	mask, err := f.Keep(in[0].Rows)
	if err != nil {
		return processors.Batch{}, err
	}
	defer mask.Release()
	rows := selected(mask)
	switch len(rows) {
	case 0:
		return processors.Batch{}, nil
	case in[0].Len():
		return in[0].Retain(), nil
	}
	out := processors.Batch{Rows: TakeRecord(in[0].Rows, rows)}
	if in[0].Weights != nil {
		out.Weights = takeWeights(in[0].Weights, rows)
	}
	return out, nil
}

func selected(mask *array.Boolean) []int32 {
	rows := make([]int32, 0, mask.Len())
	nulls := mask.NullN() > 0
	for i := range mask.Len() {
		if mask.Value(i) && (!nulls || mask.IsValid(i)) {
			rows = append(rows, int32(i))
		}
	}
	return rows
}

func takeWeights(w []int64, rows []int32) []int64 {
	out := make([]int64, len(rows))
	for i, r := range rows {
		out[i] = w[r]
	}
	return out
}

// Union adds its inputs up (UNION ALL). All have the same columns.
type Union struct{}

// Step implements processors.Operator.
func (Union) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	var full []processors.Batch
	for _, b := range in {
		if b.Len() > 0 {
			full = append(full, b)
		}
	}
	return concat(full)
}

// concat puts batches one behind the other; the result is the caller's, the batches stay whose they were.
func concat(bs []processors.Batch) (processors.Batch, error) {
	switch len(bs) {
	case 0:
		return processors.Batch{}, nil
	case 1:
		return bs[0].Retain(), nil
	}
	n, weighted := 0, false
	for _, b := range bs {
		n += b.Len()
		weighted = weighted || b.Weights != nil
	}
	schema := bs[0].Rows.Schema()
	cols := make([]arrow.Array, schema.NumFields())
	for c := range cols {
		parts := make([]arrow.Array, len(bs))
		for i, b := range bs {
			parts[i] = b.Rows.Column(c)
		}
		col, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return processors.Batch{}, err
		}
		cols[c] = col
	}
	out := processors.Batch{Rows: newRecord(schema, cols, n)}
	if weighted {
		out.Weights = make([]int64, 0, n)
		for _, b := range bs {
			for i := range b.Len() {
				out.Weights = append(out.Weights, b.Weight(i))
			}
		}
	}
	return out, nil
}

// newRecord makes a record that owns cols.
func newRecord(schema *arrow.Schema, cols []arrow.Array, n int) arrow.Record {
	rec := array.NewRecord(schema, cols, int64(n))
	for _, c := range cols {
		c.Release()
	}
	return rec
}
