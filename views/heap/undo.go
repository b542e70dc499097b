package heap

import (
	"bytes"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
)

// SetUndoFloor says that nobody will ask for a past below pos any more: not a circuit's durable checkpoint, not the
// columnar manifest, not a subscription. A floor never goes back. The records go with a later batch.
func (s *Store) SetUndoFloor(pos delta.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.wanted.Less(pos) {
		s.mu.wanted = pos
	}
}

// UndoFloor is the earliest Position that Changes and AsOf may be asked for.
func (s *Store) UndoFloor() delta.Position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.wanted
}

// prune adds the removal of undo records below the floor to the batch, when enough have been written since the last
// time: range deletions are few and wide, as Pebble likes them.
func (b *Batch) prune() (floor delta.Position, err error) {
	s := b.store
	s.mu.RLock()
	wanted, floor := s.mu.wanted, s.mu.floor
	s.mu.RUnlock()
	if b.pos.Less(wanted) {
		wanted = b.pos
	}
	if !floor.Less(wanted) || s.undoWritten < s.opts.UndoBatch {
		return floor, nil
	}
	for rel := range s.undoRelations {
		lo := appendPrefix(nil, spaceUndo, rel)
		if err := b.b.DeleteRange(lo, appendUndoKey(nil, rel, after(wanted), nil), nil); err != nil {
			return floor, wrap("prune", err)
		}
	}
	if err := b.b.Set(metaFloor, wanted.AppendBinary(nil), nil); err != nil {
		return floor, wrap("prune", err)
	}
	// Relations that are written to come back; the others have nothing left but what is above the floor, which a later
	// round takes: keep them until then.
	s.undoWritten = 0
	return wanted, nil
}

// Change is one key's difference between two Positions; Old or New is nil where the key is absent.
type Change struct {
	Key, Old, New []byte
}

// Changes calls fn for each key of rel whose row at to differs from that at from, in key order. Both must be Positions
// at which an append was applied (Begin, Advance), from not below UndoFloor, to not above Position. The bytes are fn's to keep.
// Errors: NotFound when the past is no longer kept, Invalid for Positions out of order, and what fn returns.
func (s *Store) Changes(rel delta.RelationID, from, to delta.Position, fn func(Change) error) error {
	snap, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	switch {
	case to.Less(from):
		return errs.New(errs.Invalid, "heap: changes from %v to %v", from, to)
	case snap.pos.Less(to):
		return errs.New(errs.Invalid, "heap: changes up to %v, but the store stands at %v", to, snap.pos)
	}
	if err := snap.checkKept(from); err != nil {
		return err
	}
	before, err := snap.undo(rel, from, to)
	if err != nil || len(before) == 0 {
		return err
	}
	later := map[string][]byte{}
	if to.Less(snap.pos) {
		if later, err = snap.undo(rel, to, snap.pos); err != nil {
			return err
		}
	}
	keys := make([]string, 0, len(before))
	for k := range before {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, full := range keys {
		now, changed := later[full]
		if !changed {
			if now, _, err = get(snap.s, nil, []byte(full)); err != nil {
				return err
			}
		}
		old := before[full]
		if (old == nil) == (now == nil) && bytes.Equal(old, now) {
			continue
		}
		if err := fn(Change{Key: []byte(full[prefixSize:]), Old: old, New: now}); err != nil {
			return err
		}
	}
	return nil
}

// AsOf gives the state at an earlier Position, from undo records. It lives on s: close s after the last use of it. Its
// memory is what changed since, per relation asked for. Errors: NotFound when that past is no longer kept.
func (s *Snapshot) AsOf(pos delta.Position) (*Snapshot, error) {
	if s.past != nil {
		return nil, errs.New(errs.Invalid, "heap: a snapshot in the past has no past of its own")
	}
	if s.pos.Less(pos) {
		return nil, errs.New(errs.Invalid, "heap: position %v is after the snapshot's, %v", pos, s.pos)
	}
	if err := s.checkKept(pos); err != nil {
		return nil, err
	}
	return &Snapshot{s: s.s, pos: s.pos, past: &past{of: s, at: pos}}, nil
}

// past is what differs from a snapshot at an earlier Position, found per relation when it is first asked for.
type past struct {
	of *Snapshot
	at delta.Position

	mu struct {
		sync.Mutex
		relations map[delta.RelationID]map[string][]byte
	}
}

// relation gives the older values by full row key.
func (p *past) relation(rel delta.RelationID) (map[string][]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, ok := p.mu.relations[rel]; ok {
		return m, nil
	}
	m, err := p.of.undo(rel, p.at, p.of.pos)
	if err != nil {
		return nil, err
	}
	if p.mu.relations == nil {
		p.mu.relations = map[delta.RelationID]map[string][]byte{}
	}
	p.mu.relations[rel] = m
	return m, nil
}

// checkKept reports whether undo records reach back to pos in this snapshot.
func (s *Snapshot) checkKept(pos delta.Position) error {
	b, found, err := get(s.s, nil, metaFloor)
	if err != nil || !found {
		return err
	}
	floor, err := delta.DecodePosition(b)
	if err != nil {
		return err
	}
	if pos.Less(floor) {
		return errs.New(errs.NotFound, "history thinned: the rows at position %v are no longer kept, only those from %v on", pos, floor).
			WithHint("Read from the current state, or restore a backup that reaches back further.")
	}
	return nil
}

// undo gives, for each key changed in (from, to], its full row key and what it was at from; nil: absent.
func (s *Snapshot) undo(rel delta.RelationID, from, to delta.Position) (map[string][]byte, error) {
	it, err := s.s.NewIter(&pebble.IterOptions{
		LowerBound: appendUndoKey(nil, rel, after(from), nil),
		UpperBound: appendUndoKey(nil, rel, after(to), nil),
	})
	if err != nil {
		return nil, wrap("read undo", err)
	}
	defer it.Close()
	m := map[string][]byte{}
	var full []byte
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, wrap("read undo", err)
		}
		_, key, old, err := splitUndo(it.Key(), v)
		if err != nil {
			return nil, err
		}
		full = appendKey(full[:0], spaceRow, rel, key)
		if _, seen := m[string(full)]; seen {
			continue // the earliest record holds what was there at from
		}
		if old != nil {
			old = append(make([]byte, 0, len(old)), old...)
		}
		m[string(full)] = old
	}
	return m, wrap("read undo", it.Error())
}
