package heap

import (
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views"
)

var _ views.Snapshot = (*Snapshot)(nil)

// Reader reads rows: the newest ones (a *Store), those of a moment (a *Snapshot), or those a batch sees (a *Batch).
// Rows come in key order. Scan and IndexScan take bounds on the key: lower is in, upper is out, nil is that end.
type Reader interface {
	// Get appends nothing and returns the row, which the caller may keep; found is false when there is none.
	Get(rel delta.RelationID, key []byte) (row []byte, found bool, err error)
	// GetIndex gives the primary key that an index entry names.
	GetIndex(index delta.RelationID, entry []byte) (key []byte, found bool, err error)
	// Scan iterates over keys and rows of a relation.
	Scan(rel delta.RelationID, lower, upper []byte, reverse bool) *Iterator
	// IndexScan iterates over the entries of an index (Key) and the primary keys they name (Value).
	IndexScan(index delta.RelationID, lower, upper []byte, reverse bool) *Iterator
}

var (
	_ Reader = (*Store)(nil)
	_ Reader = (*Snapshot)(nil)
	_ Reader = (*Batch)(nil)
)

// getter is a Pebble DB or snapshot.
type getter interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(*pebble.IterOptions) (*pebble.Iterator, error)
}

// get appends the value of a full key to dst.
func get(g getter, dst, full []byte) ([]byte, bool, error) {
	v, closer, err := g.Get(full)
	if err == pebble.ErrNotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrap("read", err)
	}
	if dst == nil {
		dst = make([]byte, 0, len(v)) // a row of no bytes is not an absent one
	}
	dst = append(dst, v...)
	return dst, true, wrap("read", closer.Close())
}

func (s *Store) get(dst, full []byte) ([]byte, bool, error) { return get(s.db, dst, full) }

// Get reads the newest committed row.
func (s *Store) Get(rel delta.RelationID, key []byte) (row []byte, found bool, err error) {
	return s.AppendGet(nil, rel, key)
}

// AppendGet is Get into the memory after dst.
func (s *Store) AppendGet(dst []byte, rel delta.RelationID, key []byte) (row []byte, found bool, err error) {
	var stack [128]byte
	return s.get(dst, appendKey(stack[:0], spaceRow, rel, key))
}

// GetIndex reads the newest committed index entry.
func (s *Store) GetIndex(index delta.RelationID, entry []byte) (key []byte, found bool, err error) {
	var stack [128]byte
	return s.get(nil, appendKey(stack[:0], spaceIndex, index, entry))
}

// Scan iterates over the rows committed when it was called.
func (s *Store) Scan(rel delta.RelationID, lower, upper []byte, reverse bool) *Iterator {
	return newIterator(s.db, spaceRow, rel, lower, upper, reverse, nil)
}

// IndexScan iterates over the index entries committed when it was called.
func (s *Store) IndexScan(index delta.RelationID, lower, upper []byte, reverse bool) *Iterator {
	return newIterator(s.db, spaceIndex, index, lower, upper, reverse, nil)
}

// Snapshot is the store at one Position. It is safe for several goroutines.
type Snapshot struct {
	s   *pebble.Snapshot
	pos delta.Position
	// past is set for a snapshot at an earlier Position: per relation asked for, what differs from s.
	past *past
}

// Snapshot pins the newest committed state. Close it soon: what it pins cannot be compacted away.
func (s *Store) Snapshot() (*Snapshot, error) {
	snap := &Snapshot{s: s.db.NewSnapshot()}
	// The Position is read through the snapshot: s.mu.position may be a batch ahead of or behind it.
	b, found, err := get(snap.s, nil, metaPosition)
	if err == nil && found {
		snap.pos, err = delta.DecodePosition(b)
	}
	if err != nil {
		snap.s.Close()
		return nil, err
	}
	return snap, nil
}

// Position says what the snapshot has seen.
func (s *Snapshot) Position() delta.Position {
	if s.past != nil {
		return s.past.at
	}
	return s.pos
}

// Close gives up what the snapshot pins. Its iterators must be closed before.
func (s *Snapshot) Close() error {
	if s.past != nil {
		return nil // the pinned state belongs to the snapshot it was made from
	}
	return wrap("close snapshot", s.s.Close())
}

// Get reads a row.
func (s *Snapshot) Get(rel delta.RelationID, key []byte) (row []byte, found bool, err error) {
	full := appendKey(nil, spaceRow, rel, key)
	if s.past != nil {
		old, err := s.past.relation(rel)
		if err != nil {
			return nil, false, err
		}
		if v, ok := old[string(full)]; ok {
			return v, v != nil, nil
		}
	}
	return get(s.s, nil, full)
}

// GetIndex reads an index entry.
func (s *Snapshot) GetIndex(index delta.RelationID, entry []byte) (key []byte, found bool, err error) {
	if s.past != nil {
		return nil, false, errPastIndex
	}
	return get(s.s, nil, appendKey(nil, spaceIndex, index, entry))
}

var errPastIndex = errs.New(errs.Unsupported, "heap: indexes are not kept for the past; scan the relation")

// Scan iterates over the rows of a relation.
func (s *Snapshot) Scan(rel delta.RelationID, lower, upper []byte, reverse bool) *Iterator {
	var over map[string][]byte
	if s.past != nil {
		var err error
		if over, err = s.past.relation(rel); err != nil {
			return &Iterator{err: err}
		}
	}
	return newIterator(s.s, spaceRow, rel, lower, upper, reverse, over)
}

// IndexScan iterates over the entries of an index. A snapshot in the past has none: Unsupported.
func (s *Snapshot) IndexScan(index delta.RelationID, lower, upper []byte, reverse bool) *Iterator {
	if s.past != nil {
		return &Iterator{err: errPastIndex}
	}
	return newIterator(s.s, spaceIndex, index, lower, upper, reverse, nil)
}

// Count gives the number of rows of rel: exact at the snapshot's Position, except in the past, where it is the number at
// the snapshot it was made from.
func (s *Snapshot) Count(rel delta.RelationID) (int64, error) {
	key := appendPrefix(nil, 's', rel)
	b, found, err := get(s.s, nil, append([]byte{spaceMeta}, key...))
	if err != nil || !found {
		return 0, err
	}
	st, err := decodeStats(b)
	return st.Rows, err
}

// Scan iterates over the rows of a relation, with the batch's own writes up to now.
func (b *Batch) Scan(rel delta.RelationID, lower, upper []byte, reverse bool) *Iterator {
	return newIterator(b.store.db, spaceRow, rel, lower, upper, reverse, b.writes(spaceRow, rel))
}

// IndexScan iterates over the entries of an index, with the batch's own writes up to now.
func (b *Batch) IndexScan(index delta.RelationID, lower, upper []byte, reverse bool) *Iterator {
	return newIterator(b.store.db, spaceIndex, index, lower, upper, reverse, b.writes(spaceIndex, index))
}

// writes collects what the batch wrote in one keyspace: a pass over the whole batch, for the rare scan inside one.
func (b *Batch) writes(space byte, id delta.RelationID) map[string][]byte {
	prefix := string(appendPrefix(nil, space, id))
	over := map[string][]byte{}
	for k, w := range b.overlay {
		if len(k) >= prefixSize && k[:prefixSize] == prefix {
			over[k] = w.value
		}
	}
	return over
}
