package runner

import (
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/ivm"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
)

// view is one materialized view at work.
type view struct {
	rel     *catalog.Relation
	schema  *row.Schema
	program *ivm.Program
	inputs  map[delta.RelationID]bool
	// synced is false until the circuit and the rows in the heap belong together.
	synced bool
	// broken is why the view no longer follows; its rows stay as they were.
	broken error
}

// write applies a view's delta to the heap of views. Retractions come before insertions.
func (v *view) write(b *heap.Batch, d delta.Delta) error {
	if d.Rows == nil {
		return nil
	}
	var r row.Row
	var key, encoded []byte
	for i := range d.Len() {
		r = row.RowAt(d.Rows, i, v.schema, r)
		encoded = row.EncodeRow(encoded[:0], r)
		w := d.Weight(i)
		var err error
		switch {
		case !v.rel.Keyed():
			_, _, err = b.AddWeight(v.rel.ID, encoded, encoded, w)
		case w < 0:
			key = ingest.HeapKey(key[:0], v.rel, r)
			_, _, err = b.Delete(v.rel.ID, key)
		default:
			key = ingest.HeapKey(key[:0], v.rel, r)
			_, _, err = b.Set(v.rel.ID, key, encoded)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// difference turns the heap's rows of the view into those of result (a Z-set of all its rows) and gives what changed.
func (v *view) difference(b *heap.Batch, result delta.Delta, from, to log.Position) (delta.Delta, error) {
	weights := map[string]int64{}
	var r row.Row
	var encoded []byte
	for i := range result.Len() {
		r = row.RowAt(result.Rows, i, v.schema, r)
		encoded = row.EncodeRow(encoded[:0], r)
		weights[string(encoded)] += result.Weight(i)
	}
	if err := stored(v.rel, b, func(row []byte, weight int64) { weights[string(row)] -= weight }); err != nil {
		return delta.Delta{}, err
	}
	c := newChanges(v.rel)
	for _, sign := range []int64{-1, 1} {
		for e, w := range weights {
			for ; w*sign > 0; w -= sign {
				r, err := ingest.DecodeRow(v.rel, []byte(e))
				if err != nil {
					return delta.Delta{}, err
				}
				c.add(nil, r, sign)
			}
		}
	}
	d := c.delta(from, to)
	return d, v.write(b, d)
}

// stored calls fn for every row that the heap holds of a relation, with its weight.
func stored(rel *catalog.Relation, b heap.Reader, fn func(row []byte, weight int64)) error {
	it := b.Scan(rel.ID, nil, nil, false)
	defer func() { _ = it.Close() }()
	for it.Next() {
		if rel.Keyed() {
			fn(it.Value(), 1)
			continue
		}
		weight, row, err := heap.SplitWeight(it.Value())
		if err != nil {
			return err
		}
		fn(row, weight)
	}
	return it.Err()
}
