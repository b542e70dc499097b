package heap

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
)

// Batch is the writes of one or several appends, committed together. Its reads see its own writes. It belongs to one
// goroutine. Key, row and entry bytes given to it are copied; bytes it returns must not be changed and are valid until
// the batch ends.
type Batch struct {
	store *Store
	b     *pebble.Batch
	pos   delta.Position
	// overlay holds what the batch wrote, by full key: a hash map, because an indexed Pebble batch costs a skip list
	// insertion per write and a merging iterator per read.
	overlay map[string]*written
	stats   map[delta.RelationID]Stats
	undone  map[delta.RelationID]struct{}
	undo    int
	scratch []byte
	err     error // first failure: the batch can only be discarded
}

// written is the newest state of one key in a batch.
type written struct {
	value  []byte // nil: absent
	undoAt delta.Position
}

// Begin starts the batch of the appends up to pos, which must be above Position. Commit or Discard ends it; one at a time.
func (s *Store) Begin(pos delta.Position) (*Batch, error) {
	if !s.writing.CompareAndSwap(false, true) {
		return nil, errs.New(errs.Internal, "heap: a batch is open already")
	}
	s.mu.RLock()
	at, failed := s.mu.position, s.mu.failed
	s.mu.RUnlock()
	if failed != nil || !at.Less(pos) {
		s.writing.Store(false)
		if failed != nil {
			return nil, failed
		}
		return nil, errs.New(errs.Invalid, "heap: batch at %v, but the store stands at %v", pos, at)
	}
	return &Batch{
		store: s, b: s.db.NewBatch(), pos: pos,
		overlay: map[string]*written{}, stats: map[delta.RelationID]Stats{}, undone: map[delta.RelationID]struct{}{},
	}, nil
}

// Position is that of the append being applied.
func (b *Batch) Position() delta.Position { return b.pos }

// Advance moves on to the next append inside the same batch. What follows gets its own undo records, so Changes and AsOf
// know the state between the two; one Commit still makes all visible at once.
func (b *Batch) Advance(pos delta.Position) error {
	if !b.pos.Less(pos) {
		return errs.New(errs.Invalid, "heap: batch cannot go from %v to %v", b.pos, pos)
	}
	b.pos = pos
	return nil
}

// Get reads a row, with the batch's own writes.
func (b *Batch) Get(rel delta.RelationID, key []byte) (row []byte, found bool, err error) {
	row, _, err = b.read(b.fullKey(spaceRow, rel, key))
	return row, row != nil, err
}

// GetIndex reads the primary key that an index entry names, with the batch's own writes.
func (b *Batch) GetIndex(index delta.RelationID, entry []byte) (key []byte, found bool, err error) {
	key, _, err = b.read(b.fullKey(spaceIndex, index, entry))
	return key, key != nil, err
}

// Set writes a row and returns the one it replaces.
func (b *Batch) Set(rel delta.RelationID, key, row []byte) (old []byte, existed bool, err error) {
	if row == nil {
		row = []byte{}
	}
	old, err = b.change(rel, key, row)
	if err != nil {
		return nil, false, err
	}
	if old == nil {
		b.count(rel, 1, len(key)+len(row))
	} else {
		b.count(rel, 0, len(row)-len(old))
	}
	return old, old != nil, nil
}

// Delete removes a row and returns it; a missing one is no error.
func (b *Batch) Delete(rel delta.RelationID, key []byte) (old []byte, existed bool, err error) {
	old, err = b.change(rel, key, nil)
	if err != nil || old == nil {
		return nil, false, err
	}
	b.count(rel, -1, -len(key)-len(old))
	return old, true, nil
}

// AddWeight adds weight to the multiplicity of a row of a relation without a key and returns the multiplicity before
// and after; at zero the row goes. key is the row's identity (the whole encoded row). A multiplicity below zero is kept, as
// a Z-set would: the caller decides what it means.
func (b *Batch) AddWeight(rel delta.RelationID, key, row []byte, weight int64) (before, now int64, err error) {
	old, found, err := b.Get(rel, key)
	if err != nil {
		return 0, 0, err
	}
	if found {
		if before, _, err = SplitWeight(old); err != nil {
			return 0, 0, err
		}
	}
	now = before + weight
	if weight == 0 {
		return before, now, nil
	}
	var value []byte
	grown := -len(key) - len(old)
	if now != 0 {
		value = append(binary.AppendVarint(make([]byte, 0, len(row)+3), now), row...)
		grown += len(key) + len(value)
	}
	if !found {
		grown += len(key)
	}
	if _, err = b.change(rel, key, value); err != nil {
		return 0, 0, err
	}
	b.count(rel, weight, grown)
	return before, now, nil
}

// SetIndex writes an index entry. Entries of an index that is not unique end with the primary key.
func (b *Batch) SetIndex(index delta.RelationID, entry, key []byte) error {
	if key == nil {
		key = []byte{}
	}
	full := b.fullKey(spaceIndex, index, entry)
	b.put(full).value = bytes.Clone(key)
	return b.fail(b.b.Set(full, key, nil))
}

// DeleteIndex removes an index entry; a missing one is no error.
func (b *Batch) DeleteIndex(index delta.RelationID, entry []byte) error {
	full := b.fullKey(spaceIndex, index, entry)
	b.put(full).value = nil
	return b.fail(b.b.Delete(full, nil))
}

// Drop removes a relation's rows, undo records and statistics, and so makes its past unreadable. The batch must not have
// written to rel, and nobody may later: ids are never reused.
func (b *Batch) Drop(rel delta.RelationID) error {
	for _, space := range []byte{spaceRow, spaceUndo} {
		lo, hi := bounds(space, rel, nil, nil)
		if err := b.fail(b.b.DeleteRange(lo, hi, nil)); err != nil {
			return err
		}
	}
	b.stats[rel] = Stats{}
	return nil
}

// DropIndex removes all entries of an index.
func (b *Batch) DropIndex(index delta.RelationID) error {
	lo, hi := bounds(spaceIndex, index, nil, nil)
	return b.fail(b.b.DeleteRange(lo, hi, nil))
}

// Len is the number of keys the batch has written; Size its bytes. An applier that groups appends stops at a bound on
// them: what is over a memtable becomes a flush of its own.
func (b *Batch) Len() int  { return len(b.overlay) }
func (b *Batch) Size() int { return b.b.Len() }

// Commit makes the batch visible, with its Position. After an error the store refuses further batches: reopen it.
func (b *Batch) Commit() error {
	if b.err != nil {
		err := b.err
		b.Discard()
		return err
	}
	s := b.store
	defer s.writing.Store(false)
	defer b.b.Close()
	if err := b.seal(); err != nil {
		return err
	}
	floor, err := b.prune()
	if err == nil {
		err = s.db.Apply(b.b, pebble.NoSync)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.mu.failed = wrap("commit", err)
		return s.mu.failed
	}
	s.mu.position = b.pos
	s.mu.floor = floor
	for rel, st := range b.stats {
		if st == (Stats{}) {
			delete(s.mu.stats, rel)
		} else {
			s.mu.stats[rel] = st
		}
	}
	for rel := range b.undone {
		s.undoRelations[rel] = struct{}{}
	}
	s.undoWritten += b.undo
	return nil
}

// Discard ends the batch without a trace.
func (b *Batch) Discard() {
	b.b.Close()
	b.store.writing.Store(false)
}

// seal adds the Position and the statistics.
func (b *Batch) seal() error {
	if err := b.b.Set(metaPosition, b.pos.AppendBinary(nil), nil); err != nil {
		return wrap("commit", err)
	}
	for rel, st := range b.stats {
		key := binary.BigEndian.AppendUint32(slices.Clone(metaStats), uint32(rel))
		var err error
		if st == (Stats{}) {
			err = b.b.Delete(key, nil)
		} else {
			err = b.b.Set(key, st.append(nil), nil)
		}
		if err != nil {
			return wrap("commit", err)
		}
	}
	return nil
}

// change writes value (nil: delete) at key and, once per key and append, what was there before.
func (b *Batch) change(rel delta.RelationID, key, value []byte) (old []byte, err error) {
	full := b.fullKey(spaceRow, rel, key)
	old, w, err := b.read(full)
	if err != nil {
		return nil, err
	}
	if old == nil && value == nil {
		return nil, nil
	}
	if w == nil || w.undoAt != b.pos {
		undo := b.b.SetDeferred(undoSize+len(key), 1+len(old))
		appendUndoKey(undo.Key[:0], rel, b.pos, key)
		undo.Value[0] = 0
		if old != nil {
			undo.Value[0] = 1
			copy(undo.Value[1:], old)
		}
		if err := b.fail(undo.Finish()); err != nil {
			return nil, err
		}
		b.undo++
		b.undone[rel] = struct{}{}
	}
	if w == nil {
		w = b.put(full)
	}
	w.undoAt = b.pos
	if value == nil {
		w.value = nil
		return old, b.fail(b.b.Delete(full, nil))
	}
	w.value = append(make([]byte, 0, len(value)), value...)
	return old, b.fail(b.b.Set(full, value, nil))
}

// read gives the value of a full key; nil: absent.
func (b *Batch) read(full []byte) ([]byte, *written, error) {
	if w, ok := b.overlay[string(full)]; ok {
		return w.value, w, nil
	}
	v, _, err := b.store.get(nil, full)
	return v, nil, err
}

func (b *Batch) put(full []byte) *written {
	w, ok := b.overlay[string(full)]
	if !ok {
		w = &written{}
		b.overlay[string(full)] = w
	}
	return w
}

// fullKey is valid until the next call.
func (b *Batch) fullKey(space byte, id delta.RelationID, key []byte) []byte {
	b.scratch = appendKey(b.scratch[:0], space, id, key)
	return b.scratch
}

func (b *Batch) count(rel delta.RelationID, rows int64, bytes int) {
	st, ok := b.stats[rel]
	if !ok {
		st = b.store.Stats(rel)
	}
	b.stats[rel] = Stats{st.Rows + rows, st.Bytes + int64(bytes)}
}

func (b *Batch) fail(err error) error {
	if err != nil && b.err == nil {
		b.err = wrap("write", err)
	}
	return b.err
}
