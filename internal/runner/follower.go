package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/ivm"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

// follower steps everything behind the tables' heap. It belongs to one goroutine.
type follower struct {
	o   *Options
	pos log.Position
	// together is the highest Position of any store at Open. A tick that ends before it has a past that cannot be queried: one
	// store may have rows of later ticks already.
	together log.Position
	// views are in dependency order: a view comes after the views that it reads.
	views   []*view
	records int64                             // since the last checkpoint
	changed map[delta.RelationID]log.Position // when each view changed last
	reading reading
	// history tells down to which Position the past is kept when a checkpoint stands at the one given.
	history func(log.Position) log.Position
	catalog *catalog.Snapshot
}

// step takes one tick through columnar store, circuits and views' heap.
func (f *follower) step(ctx context.Context, t *tick) error {
	if t.to.Compare(f.pos) <= 0 {
		return nil
	}
	f.catalog = t.catalog
	if err := f.redefine(t.changed); err != nil {
		return err
	}
	write := f.o.Views.Position().Less(t.to)
	var b *heap.Batch
	if write {
		var err error
		if b, err = f.o.Views.Begin(t.to); err != nil {
			return err
		}
		defer func() {
			if b != nil {
				b.Discard()
			}
		}()
		for _, d := range t.changed {
			if d.after == nil && d.before != nil && d.before.Kind == catalog.MaterializedView {
				if err := b.Drop(d.before.ID); err != nil {
					return err
				}
			}
		}
	}
	if err := f.applyColumns(ctx, t); err != nil {
		return err
	}
	f.reading = reading{tables: t.tables, views: b}
	outputs := make([]delta.Delta, 0, len(f.views))
	defer func() {
		for _, d := range outputs {
			d.Release()
		}
	}()
	for _, v := range f.views {
		if !v.synced || v.broken != nil || !v.program.Circuit.Position().Less(t.to) {
			continue
		}
		if v.program.Class == ivm.Recompute && !f.present(t) {
			v.synced = false // its rows are compared with the present's once that is reached
			continue
		}
		d, err := v.program.Circuit.Step(ctx, t.deltas, t.to)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			f.breaks(v, err)
			continue
		}
		d.Relation, d.From, d.To = v.rel.ID, t.from, t.to
		outputs = append(outputs, d)
		if d.Len() > 0 {
			f.changed[v.rel.ID] = t.to
			t.deltas[v.rel.ID] = d
			d.Rows.Retain()
		}
		if b != nil {
			if err := v.write(b, d); err != nil {
				return err
			}
		}
	}
	if b != nil {
		if f.present(t) {
			if err := f.sync(ctx, t, b); err != nil {
				return err
			}
		}
		err := b.Commit()
		b = nil
		if err != nil {
			return err
		}
	}
	f.pos = t.to
	f.records += t.records
	return nil
}

// present reports whether every store is at the end of a tick, so that its relations can be read as of then.
func (f *follower) present(t *tick) bool { return t.tables != nil && !t.to.Less(f.together) }

// applyColumns gives the columnar store its part of the tick, again and again while there are no descriptors or space for it.
func (f *follower) applyColumns(ctx context.Context, t *tick) error {
	changes := f.columns(t)
	again := func(err error) bool { return errs.Is(err, errs.Unavailable) && f.o.Columnar.Stopped() == nil }
	return f.o.patient(ctx, again, func() error { return f.o.Columnar.Apply(t.to, changes...) })
}

// columns are the changes for the columnar store: those of tables and streams. Views are read from the heap.
func (f *follower) columns(t *tick) []columnar.Change {
	var cs []columnar.Change
	for _, d := range t.changed {
		if d.after == nil && d.before != nil && (d.before.Kind == catalog.Table || d.before.Kind == catalog.Stream) {
			cs = append(cs, columnar.Change{Relation: d.before.ID, Drop: true})
		}
		if d.after != nil && d.before != nil && (d.after.Kind == catalog.Table || d.after.Kind == catalog.Stream) &&
			len(d.after.Columns) > len(d.before.Columns) && t.deltas[d.after.ID].Rows == nil {
			// The store gets its new columns at once: a statement may ask for them before there is a row with them.
			c := columnar.Change{Relation: d.after.ID, Rows: newChanges(d.after).rows.NewRecord()}
			if d.after.Keyed() {
				c.Keys = [][]byte{}
			}
			cs = append(cs, c)
		}
	}
	for id, d := range t.deltas {
		rel, ok := t.catalog.ByID(id)
		if !ok {
			continue
		}
		switch rel.Kind {
		case catalog.Stream:
			d.Rows.Retain()
			cs = append(cs, columnar.Change{Relation: id, Rows: d.Rows})
		case catalog.Table:
			cs = append(cs, last(d, t.keys[id], rel))
		}
	}
	return cs
}

// last keeps the last version of each key of a table's delta: what was replaced inside a tick never enters the column
// store.
func last(d delta.Delta, keys [][]byte, rel *catalog.Relation) columnar.Change {
	c := columnar.Change{Relation: d.Relation}
	if d.Weights == nil { // only new rows, so each key once
		d.Rows.Retain()
		c.Rows, c.Keys = d.Rows, keys
		return c
	}
	final := make(map[string]int, len(keys))
	for i, k := range keys {
		if d.Weight(i) > 0 {
			final[string(k)] = i
		} else {
			final[string(k)] = -1
		}
	}
	b := row.NewBuilder(nil, rel.RowSchema())
	defer b.Release()
	for i, k := range keys {
		switch at := final[string(k)]; {
		case at == i:
			b.AppendFrom(d.Rows, i)
			c.Keys = append(c.Keys, k)
		case at < 0:
			c.Deletes = append(c.Deletes, k)
			final[string(k)] = len(keys) // once
		}
	}
	if b.Len() > 0 {
		c.Rows = b.NewRecord()
	}
	return c
}

// breaks stops a view from following: a fault of its query on its data (a division by zero, say) must not stop the rest.
func (f *follower) breaks(v *view, err error) {
	v.broken = err
	if f.o.Broken != nil {
		f.o.Broken(v.rel, err)
	}
}

// redefine starts and ends views.
func (f *follower) redefine(changed []definition) error {
	for _, d := range changed {
		if d.before != nil && d.before.Kind == catalog.MaterializedView && (d.after == nil || d.after.Query != d.before.Query) {
			f.views = slices.DeleteFunc(f.views, func(v *view) bool { return v.rel.ID == d.before.ID })
		}
		if d.after != nil && d.after.Kind == catalog.MaterializedView {
			if i := slices.IndexFunc(f.views, func(v *view) bool { return v.rel.ID == d.after.ID }); i >= 0 {
				f.views[i].rel = d.after
				continue
			}
			v, err := f.open(d.after)
			if err != nil {
				return err
			}
			f.views = append(f.views, v)
		}
	}
	return nil
}

// open compiles a view; its circuit is empty.
func (f *follower) open(rel *catalog.Relation) (*view, error) {
	v := &view{rel: rel, schema: rel.RowSchema(), inputs: map[delta.RelationID]bool{}}
	p, err := f.o.Compile(rel, f.catalog, f.query)
	if err != nil {
		v.broken = err
		if f.o.Broken != nil {
			f.o.Broken(rel, err)
		}
		return v, nil
	}
	v.program = p
	for _, id := range p.Circuit.Inputs() {
		v.inputs[id] = true
	}
	return v, nil
}

// sync brings views that are new, or whose checkpoint was lost, to the end of the tick: the circuit gets all rows of its
// inputs as one change, and what its result differs from the heap's rows is applied.
func (f *follower) sync(ctx context.Context, t *tick, b *heap.Batch) error {
	for _, v := range f.views {
		if v.synced || v.broken != nil {
			continue
		}
		if err := f.syncView(ctx, v, t, b); err != nil {
			if ctx.Err() != nil || errs.Is(err, errs.Corrupt) {
				return err
			}
			f.breaks(v, err)
		}
	}
	return nil
}

func (f *follower) syncView(ctx context.Context, v *view, t *tick, b *heap.Batch) error {
	inputs := map[delta.RelationID]delta.Delta{}
	defer func() {
		for _, d := range inputs {
			d.Release()
		}
	}()
	for id := range v.inputs {
		rel, ok := f.catalog.ByID(id)
		if !ok {
			return errs.New(errs.Internal, "view %q reads relation %d, which is not there", v.rel.Name, id)
		}
		rec, weights, err := f.all(ctx, rel, t.tables, b)
		if err != nil {
			return err
		}
		inputs[id] = delta.Delta{Relation: id, To: t.to, Rows: rec, Weights: weights}
	}
	result, err := v.program.Circuit.Step(ctx, inputs, t.to)
	if err != nil {
		return err
	}
	defer result.Release()
	d, err := v.difference(b, result, t.from, t.to)
	if err != nil {
		return err
	}
	d.Release()
	f.changed[v.rel.ID] = t.to
	v.synced = true
	return nil
}

// all reads a relation whole at the end of the tick that is being applied.
func (f *follower) all(ctx context.Context, rel *catalog.Relation, tables, views heap.Reader) (arrow.Record, []int64, error) {
	switch rel.Kind {
	case catalog.Stream:
		return f.stream(ctx, rel)
	case catalog.Table, catalog.Rejected:
		return f.rows(rel, tables)
	case catalog.MaterializedView:
		return f.rows(rel, views)
	}
	return nil, nil, errs.SQL("0A000", "a materialized view cannot read %s %q", rel.Kind, rel.Name)
}

func (f *follower) rows(rel *catalog.Relation, r heap.Reader) (arrow.Record, []int64, error) {
	c := newChanges(rel)
	var failed error
	var weights []int64
	err := stored(rel, r, func(encoded []byte, weight int64) {
		row, err := ingest.DecodeRow(rel, encoded)
		if err != nil {
			failed = err
			return
		}
		c.rows.AppendRow(row)
		weights = append(weights, weight)
	})
	return c.rows.NewRecord(), weights, errors.Join(err, failed)
}

func (f *follower) stream(ctx context.Context, rel *catalog.Relation) (arrow.Record, []int64, error) {
	snap, err := f.o.Columnar.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = snap.Close() }()
	var recs []arrow.Record
	defer func() {
		for _, r := range recs {
			r.Release()
		}
	}()
	if r, ok := snap.Relation(rel.ID); ok {
		err := r.Read(ctx, nil, func(rec arrow.Record) error {
			rec.Retain()
			recs = append(recs, rec)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	rec, err := concatenate(recs, newChanges(rel).rows.NewRecord())
	return rec, nil, err
}

// concatenate joins records of one schema; empty gives its shape when there are none.
func concatenate(recs []arrow.Record, empty arrow.Record) (arrow.Record, error) {
	switch len(recs) {
	case 0:
		return empty, nil
	case 1:
		recs[0].Retain()
		return recs[0], nil
	}
	cols := make([]arrow.Array, recs[0].NumCols())
	rows := int64(0)
	for _, r := range recs {
		rows += r.NumRows()
	}
	for i := range cols {
		parts := make([]arrow.Array, len(recs))
		for j, r := range recs {
			parts[j] = r.Column(i)
		}
		col, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("joining column %d: %w", i, err)
		}
		cols[i] = col
	}
	return array.NewRecord(recs[0].Schema(), cols, rows), nil
}

// publish makes the follower's Position readable; the version owns tables.
func (f *follower) publish(tables *heap.Snapshot) error {
	v := &version.Version{At: f.pos, Catalog: f.catalog, Tables: tables, Changed: maps.Clone(f.changed)}
	for _, view := range f.views { // a view comes after those that it reads
		err := view.broken
		for id := range view.inputs {
			if cause := v.Broken[id]; err == nil && cause != nil {
				err = errs.New(errs.Unavailable, "it reads a view that has stopped: %w", cause)
			}
		}
		if err != nil {
			if v.Broken == nil {
				v.Broken = map[delta.RelationID]error{}
			}
			v.Broken[view.rel.ID] = err
		}
	}
	var err1, err2 error
	v.Views, err1 = f.o.Views.Snapshot()
	v.Columnar, err2 = f.o.Columnar.Snapshot()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return f.o.Versions.Publish(v)
}
