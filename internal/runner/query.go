package runner

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/heap"
)

// reading is the state at the end of the tick that is being applied: what a recomputed view's query reads.
type reading struct {
	tables *heap.Snapshot
	views  *heap.Batch
}

// query runs a view's whole query at the end of the tick: for views that have no incremental form.
func (f *follower) query(ctx context.Context, node plan.Node, at log.Position, yield func(row.Row) error) (err error) {
	if f.reading.tables == nil || f.reading.views == nil {
		return errs.New(errs.Internal, "a view's query was run outside a tick, at %v", at)
	}
	snap, err := f.o.Columnar.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	src := &tickSource{reading: f.reading, columnar: snap}
	now := f.o.Clock.Now()
	rows, err := exec.Run(ctx, node, src, &expr.Ctx{Now: now, StatementTime: now, Location: time.UTC})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		batch, err := rows.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range batch {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
}

// tickSource is the row executor's source over the state at the end of a tick.
type tickSource struct {
	reading
	columnar *columnar.Snapshot
}

func (s *tickSource) heap(rel *catalog.Relation) *exec.HeapSource {
	if rel.Kind == catalog.MaterializedView {
		return &exec.HeapSource{Reader: s.views}
	}
	return &exec.HeapSource{Reader: s.tables}
}

func (s *tickSource) Get(ctx context.Context, rel *catalog.Relation, key []row.Value, want []int, lock plan.LockStrength) (row.Row, bool, error) {
	return s.heap(rel).Get(ctx, rel, key, want, lock)
}

func (s *tickSource) Scan(ctx context.Context, q *exec.ScanRequest) (exec.Iterator, error) {
	switch q.Relation.Kind {
	case catalog.Stream:
		it := &records{schema: q.Relation.RowSchema()}
		r, ok := s.columnar.Relation(q.Relation.ID)
		if !ok {
			return it, nil
		}
		err := r.Read(ctx, nil, func(rec arrow.Record) error {
			rec.Retain()
			it.recs = append(it.recs, rec)
			return nil
		})
		return it, err
	case catalog.System, catalog.Raw:
		return nil, errs.SQL("0A000", "a materialized view cannot read %s %q", q.Relation.Kind, q.Relation.Name)
	}
	return s.heap(q.Relation).Scan(ctx, q)
}

// records yields the rows of records that are at hand.
type records struct {
	schema *row.Schema
	recs   []arrow.Record
}

func (r *records) Next() ([]row.Row, error) {
	if len(r.recs) == 0 {
		return nil, nil
	}
	rec := r.recs[0]
	r.recs = r.recs[1:]
	defer rec.Release()
	return row.AppendRecord(nil, rec, r.schema), nil
}

func (r *records) Close() error {
	for _, rec := range r.recs {
		rec.Release()
	}
	r.recs = nil
	return nil
}
