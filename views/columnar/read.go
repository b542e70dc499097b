package columnar

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// Read calls fn with the living rows, oldest first, in records of the wanted columns (indexes into Schema; nil: all; an
// empty slice: none, for counting) and of at most some 120,000 rows. fn may retain rec; it is released after the call.
// Errors: Corrupt with the path of a damaged segment, Unavailable while it cannot be opened for want of file descriptors,
// Canceled, and what fn returns.
func (r *Relation) Read(ctx context.Context, columns []int, fn func(rec arrow.Record) error) error {
	if columns == nil {
		columns = allOf(r.Schema)
	}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		if c < 0 || c >= r.Schema.NumFields() {
			return errs.New(errs.Internal, "columnar: relation %d has no column %d", r.ID, c)
		}
		fields[i] = r.Schema.Field(c)
	}
	schema := arrow.NewSchema(fields, nil)
	give := func(rec arrow.Record, first int64, dead *roaring.Bitmap) error {
		if err := ctx.Err(); err != nil {
			return errs.New(errs.Canceled, "reading relation %d: %w", r.ID, err)
		}
		rec, err := living(rec, first, dead)
		if err != nil || rec.NumRows() == 0 {
			return err
		}
		return fn(rec)
	}
	for _, g := range r.Segments {
		if err := r.readSegment(g, columns, schema, give); err != nil {
			return err
		}
	}
	for _, t := range r.Tails {
		first := int64(0)
		for _, rec := range t.Batches {
			part, err := chosen(rec, columns, schema)
			if err != nil {
				return err
			}
			if err := give(part, first, t.Deleted); err != nil {
				return err
			}
			first += rec.NumRows()
		}
	}
	rec, err := r.Open()
	if err != nil {
		return err
	}
	if rec, err = chosen(rec, columns, schema); err != nil {
		return err
	}
	return give(rec, 0, nil)
}

// readSegment reads the columns that the segment has and makes the others.
func (r *Relation) readSegment(g Segment, columns []int, schema *arrow.Schema, give func(arrow.Record, int64, *roaring.Bitmap) error) error {
	var stored []int
	for _, c := range columns {
		if c < g.Schema.NumFields() {
			stored = append(stored, c)
		}
	}
	return r.store.readSegment(g.segment, stored, func(first int64, rec arrow.Record) error {
		all := make([]arrow.Array, 0, len(columns))
		next := 0
		for i, c := range columns {
			if c < g.Schema.NumFields() {
				all = append(all, rec.Column(next))
				next++
				continue
			}
			absent, err := row.Absent(schema.Field(i), int(rec.NumRows()))
			if err != nil {
				return err
			}
			all = append(all, absent)
		}
		return give(array.NewRecord(schema, all, rec.NumRows()), first, g.Deleted)
	})
}

// chosen gives some columns of a record of this process's memory; made where it is older than the column.
func chosen(rec arrow.Record, columns []int, schema *arrow.Schema) (arrow.Record, error) {
	all := make([]arrow.Array, len(columns))
	for i, c := range columns {
		if c < int(rec.NumCols()) {
			all[i] = rec.Column(c)
			continue
		}
		var err error
		if all[i], err = row.Absent(schema.Field(i), int(rec.NumRows())); err != nil {
			return nil, err
		}
	}
	return array.NewRecord(schema, all, rec.NumRows()), nil
}

func emptyRecord(schema *arrow.Schema) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	return b.NewRecord()
}
