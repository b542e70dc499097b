package runner

import (
	"context"
	"fmt"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
)

// readBytes is about how much of the log one tick of the applier takes: large enough that a tick's fixed cost vanishes
// when behind, small enough that a tick is applied in tens of milliseconds.
const readBytes = 4 << 20

// applier turns log entries into ticks. It belongs to one goroutine.
type applier struct {
	o   *Options
	pos log.Position
	// at is the append whose effects are being applied.
	at log.Position
	// cuts are the Positions above pos where a tick must end, rising.
	cuts    []log.Position
	codecs  map[delta.RelationID]*ingest.Codec
	open    map[delta.RelationID]*changes
	touched map[delta.RelationID]*catalog.Relation // keyed tables changed while replaying
	batch   *heap.Batch
	it      record.Iterator
}

// next reads what is there, at least one entry, and gives one or more ticks in order.
func (a *applier) next(ctx context.Context) ([]*tick, error) {
	var entries []log.Entry
	err := a.o.patient(ctx, vfs.Scarce, func() (err error) {
		entries, err = a.o.Log.ReadFrom(ctx, a.pos, readBytes)
		return err
	})
	if err != nil {
		return nil, err
	}
	var ticks []*tick
	for len(entries) > 0 {
		n := a.cut(entries)
		t, err := a.apply(ctx, entries[:n])
		if err != nil {
			return nil, err
		}
		ticks = append(ticks, t)
		entries = entries[n:]
	}
	return ticks, nil
}

// cut is the number of entries in the next tick: up to a forced cut. A change of the catalog is a tick of its own: the rows of a
// tick are all of one shape.
func (a *applier) cut(entries []log.Entry) int {
	for len(a.cuts) > 0 && !a.pos.Less(a.cuts[0]) {
		a.cuts = a.cuts[1:]
	}
	for i := range entries {
		if len(a.cuts) > 0 && !entries[i].Position.Less(a.cuts[0]) {
			return i + 1
		}
		for _, b := range entries[i].Batches {
			if b.Partition.Topic == log.CatalogTopicID {
				return max(i, 1)
			}
		}
	}
	return len(entries)
}

func (a *applier) apply(ctx context.Context, entries []log.Entry) (*tick, error) {
	to := entries[len(entries)-1].Position
	t := &tick{from: a.pos, to: to, deltas: map[delta.RelationID]delta.Delta{}, keys: map[delta.RelationID][][]byte{}}
	replaying := !a.o.Tables.Position().Less(to)
	var err error
	if !replaying {
		if a.batch, err = a.o.Tables.Begin(entries[0].Position); err != nil {
			return nil, err
		}
		defer func() {
			if a.batch != nil {
				a.batch.Discard()
				a.batch = nil
			}
		}()
	}
	for i := range entries {
		if a.batch != nil && i > 0 {
			if err := a.batch.Advance(entries[i].Position); err != nil {
				return nil, err
			}
		}
		if err := a.entry(ctx, t, &entries[i]); err != nil {
			return nil, fmt.Errorf("applying the append at %v: %w", entries[i].Position, err)
		}
	}
	if a.batch != nil {
		err := a.batch.Commit()
		a.batch = nil
		if err != nil {
			return nil, err
		}
		if t.tables, err = a.o.Tables.Snapshot(); err != nil {
			return nil, err
		}
	} else if err := a.replayed(t); err != nil {
		return nil, err
	}
	for id, c := range a.open {
		if c.rows.Len() > 0 {
			if c.keys != nil {
				t.keys[id] = c.keys
			}
			t.deltas[id] = c.delta(t.from, t.to)
		}
	}
	t.catalog = a.o.Catalog.Current()
	a.pos = to
	return t, nil
}

// replayed takes the changes of the keyed tables of a replayed tick from the heap's undo records.
func (a *applier) replayed(t *tick) error {
	for id, rel := range a.touched {
		c := a.changes(rel)
		err := a.o.Tables.Changes(id, t.from, t.to, func(ch heap.Change) error {
			for _, side := range []struct {
				row    []byte
				weight int64
			}{{ch.Old, -1}, {ch.New, 1}} {
				if side.row == nil {
					continue
				}
				r, err := ingest.DecodeRow(rel, side.row)
				if err != nil {
					return err
				}
				c.add(ch.Key, r, side.weight)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	clear(a.touched)
	return nil
}

func (a *applier) changes(rel *catalog.Relation) *changes {
	c := a.open[rel.ID]
	if c == nil || c.rel != rel {
		c = newChanges(rel)
		a.open[rel.ID] = c
	}
	return c
}

func (a *applier) codec(rel *catalog.Relation) (*ingest.Codec, error) {
	c := a.codecs[rel.ID]
	if c == nil || c.Relation != rel {
		var err error
		if c, err = a.o.Codec(rel); err != nil {
			return nil, err
		}
		a.codecs[rel.ID] = c
	}
	return c, nil
}

// entry applies one append. Its catalog records come first: they may create what its other batches fill.
func (a *applier) entry(ctx context.Context, t *tick, e *log.Entry) error {
	for _, b := range e.Batches {
		t.records += int64(b.Records)
		if b.Partition.Topic == log.CatalogTopicID {
			if err := a.define(t, e.Position, b.Batch); err != nil {
				return err
			}
		}
	}
	for _, d := range t.changed { // only the last append of a tick has any
		if d.before == nil && (d.after.Kind == catalog.Table || d.after.Kind == catalog.Stream) {
			if err := a.history(t, d.after, e.Position); err != nil {
				return fmt.Errorf("reading the past of %q: %w", d.after.Name, err)
			}
		}
	}
	a.at = e.Position
	attached, _ := e.Attachment.(*ingest.Decoded)
	if attached != nil && attached.Placed {
		return a.rows(t, attached.Changes, log.PartitionBatch{}) // what its batches say
	}
	snap := a.o.Catalog.Current()
	related := func(topic log.TopicID) bool {
		rel, ok := snap.ByTopic(topic)
		return ok && topic != log.CatalogTopicID && (rel.Kind == catalog.Table || rel.Kind == catalog.Stream)
	}
	// The records of a Kafka transaction take effect with the append that commits it.
	return record.Effects(ctx, a.o.Log, e, related, func(b log.PartitionBatch) error {
		rel, _ := snap.ByTopic(b.Partition.Topic)
		switch rel.Kind {
		case catalog.Table:
			return a.table(t, rel, b, attached)
		case catalog.Stream:
			return a.stream(snap, rel, b)
		}
		return nil
	})
}

func (a *applier) stream(snap *catalog.Snapshot, rel *catalog.Relation, b log.PartitionBatch) error {
	c, err := a.codec(rel)
	if err != nil {
		return err
	}
	faults, err := c.DecodeColumns(a.changes(rel).rows, b.Batch, a.place(b))
	if err != nil {
		return err
	}
	return a.reject(snap, rel, b.Partition.Index, faults)
}

func (a *applier) place(b log.PartitionBatch) ingest.Place {
	return ingest.Place{Topic: b.Partition.Topic, Partition: b.Partition.Index, Position: a.at}
}

// table applies a batch that a Kafka client produced into a table's topic.
func (a *applier) table(t *tick, rel *catalog.Relation, b log.PartitionBatch, d *ingest.Decoded) error {
	if a.batch == nil {
		a.touched[rel.ID] = rel
	}
	if d == nil {
		c, err := a.codec(rel)
		if err != nil {
			return err
		}
		if d, err = c.Decode(b.Batch, a.place(b)); err != nil {
			return err
		}
	} else {
		for i := range d.Faults { // decoded before the batch had its place
			d.Faults[i].Offset = b.BaseOffset + int64(d.Faults[i].Index)
		}
	}
	snap := a.o.Catalog.Current()
	if err := a.reject(snap, rel, b.Partition.Index, d.Faults); err != nil {
		return err
	}
	return a.rows(t, d.Changes, b)
}

// rows applies row changes. b is where they stand when a record that breaks a constraint is to be rejected; what SQL
// attached was validated before it was appended.
func (a *applier) rows(t *tick, cs []ingest.Change, b log.PartitionBatch) error {
	for i := range cs {
		c := &cs[i]
		if !c.Relation.Keyed() {
			a.changes(c.Relation).add(nil, c.Row, 1)
			continue
		}
		if a.batch == nil {
			a.touched[c.Relation.ID] = c.Relation
			if b.Batch == nil {
				continue
			}
		}
		if b.Batch != nil {
			reason, err := a.conflict(c)
			if err != nil {
				return err
			}
			if reason != "" {
				if err := a.rejectRecord(c, b, reason); err != nil {
					return err
				}
				continue
			}
		}
		if a.batch == nil {
			continue
		}
		if err := a.row(c); err != nil {
			return err
		}
	}
	return nil
}

// row writes one change of a keyed table to the heap, with its index entries, and notes its delta.
func (a *applier) row(c *ingest.Change) error {
	rel := c.Relation
	var old []byte
	var existed bool
	var err error
	if c.Encoded == nil {
		old, existed, err = a.batch.Delete(rel.ID, c.Key)
	} else {
		old, existed, err = a.batch.Set(rel.ID, c.Key, c.Encoded)
	}
	if err != nil {
		return err
	}
	ch := a.changes(rel)
	var before row.Row
	if existed {
		if before, err = ingest.DecodeRow(rel, old); err != nil {
			return err
		}
		ch.add(c.Key, before, -1)
	}
	if c.Row != nil {
		ch.add(c.Key, c.Row, 1)
	}
	for i := range rel.Indexes {
		if err := a.index(rel, &rel.Indexes[i], c, before); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) index(rel *catalog.Relation, x *catalog.Index, c *ingest.Change, before row.Row) error {
	var was, is []byte
	if before != nil {
		was = ingest.IndexEntry(rel, x, before, c.Key)
	}
	if c.Row != nil {
		is = ingest.IndexEntry(rel, x, c.Row, c.Key)
	}
	if string(was) == string(is) {
		return nil
	}
	if was != nil {
		if err := a.batch.DeleteIndex(x.ID, was); err != nil {
			return err
		}
	}
	if is != nil {
		return a.batch.SetIndex(x.ID, is, c.Key)
	}
	return nil
}

// conflict says why a produced row cannot stand beside the rows before it: UNIQUE and FOREIGN KEY, checked here as a
// function of the prefix.
func (a *applier) conflict(c *ingest.Change) (string, error) {
	rel := c.Relation
	if c.Row == nil || a.batch == nil { // a replay takes what was decided then from the heap
		return "", nil
	}
	for i := range rel.Indexes {
		x := &rel.Indexes[i]
		if !x.Unique {
			continue
		}
		entry, ok := ingest.EntryKey(rel, x, c.Row)
		if !ok {
			continue
		}
		key, found, err := a.batch.GetIndex(x.ID, entry)
		if err != nil {
			return "", err
		}
		if found && string(key) != string(c.Key) {
			return fmt.Sprintf("duplicate key value violates unique constraint %q", x.Name), nil
		}
	}
	for i := range rel.ForeignKeys {
		ok, err := ingest.Refers(a.batch, a.o.Catalog.Current(), &rel.ForeignKeys[i], c.Row)
		if err != nil {
			return "", err
		}
		if !ok {
			return fmt.Sprintf("violates foreign key constraint %q", rel.ForeignKeys[i].Name), nil
		}
	}
	return "", nil
}

// rejectRecord moves one decoded record to the rejected relation, with its bytes from the batch.
func (a *applier) rejectRecord(c *ingest.Change, b log.PartitionBatch, reason string) error {
	f := ingest.Fault{Index: c.Index, Reason: reason}
	index := int32(0)
	for h, err := range record.Batches(b.Batch) {
		if err != nil {
			return err
		}
		if err := a.it.Reset(h); err != nil {
			return err
		}
		for ; a.it.Next(); index++ {
			if index == c.Index {
				r := a.it.Record()
				f.Offset, f.Timestamp, f.Key, f.Value = r.Offset, r.Timestamp, r.Key, r.Value
				return a.reject(a.o.Catalog.Current(), c.Relation, b.Partition.Index, []ingest.Fault{f})
			}
		}
	}
	return errs.New(errs.Internal, "record %d is not in its batch", c.Index)
}

func (a *applier) reject(snap *catalog.Snapshot, rel *catalog.Relation, partition int32, faults []ingest.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	rejected, ok := snap.RejectedOf(rel.ID)
	if !ok {
		return nil
	}
	if a.batch == nil {
		a.touched[rejected.ID] = rejected
		return nil
	}
	for _, f := range faults {
		r := row.Row{row.NewText(f.Reason), ingest.Readable(f.Key), ingest.Readable(f.Value), row.NewInt(int64(partition)),
			row.NewInt(f.Offset), row.NewTimestamp(f.Timestamp * 1000)}
		c := ingest.Change{Relation: rejected, Key: ingest.HeapKey(nil, rejected, r), Row: r, Encoded: row.EncodeRow(nil, r)}
		if err := a.row(&c); err != nil {
			return err
		}
	}
	if a.o.Rejected != nil {
		a.o.Rejected(rel, len(faults))
	}
	return nil
}

// define applies the catalog records of one batch.
func (a *applier) define(t *tick, pos log.Position, batch []byte) error {
	for h, err := range record.Batches(batch) {
		if err != nil {
			return err
		}
		err = applyDefinitions(a.o.Catalog, &a.it, h, pos, func(before, after *catalog.Relation) error {
			t.changed = append(t.changed, definition{before, after})
			return a.redefine(before, after)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// applyDefinitions applies the records of one batch of the catalog's topic, and calls changed for each that changed a definition.
func applyDefinitions(c *catalog.Catalog, it *record.Iterator, h record.Batch, pos log.Position, changed func(before, after *catalog.Relation) error) error {
	if err := it.Reset(h); err != nil {
		return err
	}
	for it.Next() {
		r, err := catalog.DecodeRecord(it.Record().Value)
		if err != nil {
			return err
		}
		before, after, err := c.Apply(r, pos)
		if err == nil && before != after {
			err = changed(before, after)
		}
		if err != nil {
			return err
		}
	}
	return it.Err()
}

// redefine brings the heap of tables in line with a changed definition: a dropped table's rows and entries go, a new
// index is filled.
func (a *applier) redefine(before, after *catalog.Relation) error {
	if a.o.Defined != nil {
		a.o.Defined(before, after)
	}
	if a.batch == nil {
		return nil
	}
	was := map[delta.RelationID]bool{}
	if before != nil {
		for _, x := range before.Indexes {
			was[x.ID] = true
		}
	}
	if after != nil && after.Kind == catalog.Table {
		for i := range after.Indexes {
			x := &after.Indexes[i]
			if was[x.ID] {
				delete(was, x.ID)
			} else if err := a.fill(after, x); err != nil {
				return err
			}
		}
	}
	for id := range was {
		if err := a.batch.DropIndex(id); err != nil {
			return err
		}
	}
	if after == nil && before != nil && before.Kind == catalog.Table {
		delete(a.open, before.ID)
		delete(a.codecs, before.ID)
		return a.batch.Drop(before.ID)
	}
	return nil
}

func (a *applier) fill(rel *catalog.Relation, x *catalog.Index) error {
	it := a.batch.Scan(rel.ID, nil, nil, false)
	defer func() { _ = it.Close() }()
	for it.Next() {
		r, err := ingest.DecodeRow(rel, it.Value())
		if err != nil {
			return err
		}
		if err := a.batch.SetIndex(x.ID, ingest.IndexEntry(rel, x, r, it.Key()), it.Key()); err != nil {
			return err
		}
	}
	return it.Err()
}
