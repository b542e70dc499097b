package exec

import (
	"context"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
)

// keyAbove ends a key prefix: above every byte that a key's next value begins with.
const keyAbove = 0xFF

// HeapSource is a Source over the heap: its newest rows, a snapshot, or a batch with a transaction's own writes.
//
// A row's key is the primary key's columns by row.AppendKey. An index entry is the index's columns, then, unless the index
// is unique and no column NULL, the primary key.
type HeapSource struct {
	Reader heap.Reader
	// Lock locks a row by its key before it is read; nil: locks are 0A000.
	Lock func(ctx context.Context, rel *catalog.Relation, key []byte, strength plan.LockStrength) error
}

var _ Source = (*HeapSource)(nil)

// AppendRowKey appends the key of a row by its primary key's values.
func AppendRowKey(dst []byte, rel *catalog.Relation, key []row.Value) []byte {
	for i, v := range key {
		dst = row.AppendKey(dst, rel.Columns[rel.Key[i]].Type, v, false)
	}
	return dst
}

// Get reads one row.
func (s *HeapSource) Get(ctx context.Context, rel *catalog.Relation, key []row.Value, want []int, lock plan.LockStrength) (row.Row, bool, error) {
	var stack [96]byte
	encoded := AppendRowKey(stack[:0], rel, key)
	if lock != plan.NoLock {
		if err := s.lock(ctx, rel, encoded, lock); err != nil {
			return nil, false, err
		}
	}
	value, found, err := s.Reader.Get(rel.ID, encoded)
	if err != nil || !found {
		return nil, false, err
	}
	r, err := ingest.DecodeWanted(rel, value, want)
	return r, err == nil, err
}

func (s *HeapSource) lock(ctx context.Context, rel *catalog.Relation, key []byte, strength plan.LockStrength) error {
	if s.Lock == nil {
		return errs.SQL("0A000", "row locks are not possible here")
	}
	return s.Lock(ctx, rel, key, strength)
}

// Scan reads rows within bounds.
func (s *HeapSource) Scan(ctx context.Context, q *ScanRequest) (Iterator, error) {
	it := &heapIterator{source: s, ctx: ctx, q: *q, size: batchRows}
	if q.Few {
		it.size = 16
	}
	lower, upper := q.keyBounds()
	if q.Index != nil {
		it.it = s.Reader.IndexScan(q.Index.ID, lower, upper, q.Reverse)
	} else {
		it.it = s.Reader.Scan(q.Relation.ID, lower, upper, q.Reverse)
	}
	return it, nil
}

// keyBounds are the request's bounds as encoded keys; nil: no bound.
func (q *ScanRequest) keyBounds() (lower, upper []byte) {
	if len(q.Equal) == 0 && q.Low == nil && q.High == nil {
		return nil, nil
	}
	key := q.Key()
	typ := func(i int) row.Type { return q.Relation.Columns[key[i]].Type }
	var prefix []byte
	for i, v := range q.Equal {
		prefix = row.AppendKey(prefix, typ(i), v, false)
	}
	at := func(v row.Value, above bool) []byte {
		out := row.AppendKey(append([]byte(nil), prefix...), typ(len(q.Equal)), v, false)
		if above {
			out = append(out, keyAbove)
		}
		return out
	}
	lower = prefix
	if q.Low != nil {
		lower = at(q.Low.Value, q.Low.Exclusive)
	}
	switch {
	case q.High != nil:
		upper = at(q.High.Value, !q.High.Exclusive)
	case q.Low != nil:
		upper = at(row.Null, false) // a range excludes NULLs, which come last
	default:
		upper = append(append([]byte(nil), prefix...), keyAbove)
	}
	return lower, upper
}

// heapIterator is a scan of the heap.
type heapIterator struct {
	source *HeapSource
	ctx    context.Context
	q      ScanRequest
	it     *heap.Iterator
	size   int
	out    []row.Row
}

func (h *heapIterator) Next() ([]row.Row, error) {
	h.out = h.out[:0]
	for len(h.out) < h.size && h.it.Next() {
		r, times, err := h.current()
		if err != nil {
			return nil, err
		}
		for range times {
			h.out = append(h.out, r)
		}
	}
	h.size = batchRows
	return h.out, h.it.Err()
}

// current decodes the iterator's row and says how often it counts: 0 when it has gone meanwhile.
func (h *heapIterator) current() (row.Row, int64, error) {
	rel := h.q.Relation
	value := h.it.Value()
	key := h.it.Key()
	if h.q.Index != nil {
		key = value
	}
	if h.q.Lock != plan.NoLock {
		key = append([]byte(nil), key...)
		if err := h.source.lock(h.ctx, rel, key, h.q.Lock); err != nil {
			return nil, 0, err
		}
	}
	if h.q.Index != nil || h.q.Lock != plan.NoLock {
		var found bool
		var err error
		if value, found, err = h.source.Reader.Get(rel.ID, key); err != nil || !found {
			return nil, 0, err
		}
	}
	times := int64(1)
	if !rel.Keyed() {
		var err error
		if times, value, err = heap.SplitWeight(value); err != nil {
			return nil, 0, err
		}
	}
	r, err := ingest.DecodeWanted(rel, value, h.q.Columns)
	return r, times, err
}

func (h *heapIterator) Close() error { return h.it.Close() }
