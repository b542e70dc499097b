package state

import "encoding/binary"

// RowPrefix is the length of an arranged row's prefix: the id of its key.
const RowPrefix = 4

// Arrangement is a multimap from key to weighted rows: a relation ordered for lookup by key. Equal rows of a key are one
// entry. Each entry has a degree, which a join sets to the weight of the other side's rows that it matches.
//
// The zero Arrangement is empty and ready. Entries whose weight becomes zero stay until Sweep.
type Arrangement struct {
	keys    Table
	heads   []uint32 // by key id: link of the first entry
	rows    Table    // key id and row bytes → entry
	weights []int64  // by entry
	degrees []int64
	// next and prev chain the entries of a key: a link is an entry's id plus 2. 1 ends the chain; next is 0 for an entry
	// that is not in one.
	next, prev []uint32
	zero       []uint32 // entries that had weight zero since the last Sweep

	keyIDs []uint32
}

const (
	chainEnd   = 1
	linkOffset = 2
)

// Lookup gives the key ids of keys, None for those without a row.
func (a *Arrangement) Lookup(keys *Rows, ids []uint32) { a.keys.Lookup(keys, ids) }

// Update adds weights[i] (nil: 1) to row i of key i and puts the entries' ids into entries. rows' prefixes are filled here.
func (a *Arrangement) Update(keys, rows *Rows, weights []int64, entries []uint32) {
	n := keys.Len()
	a.keyIDs = grow(a.keyIDs, n)
	a.keys.Upsert(keys, a.keyIDs)
	a.heads = extend(a.heads, a.keys.IDs())
	for i, id := range a.keyIDs {
		binary.LittleEndian.PutUint32(rows.Data[rows.Offsets[i]:], id)
	}
	rows.Hash()
	a.rows.Upsert(rows, entries)
	m := a.rows.IDs()
	a.weights, a.degrees = extend(a.weights, m), extend(a.degrees, m)
	a.next, a.prev = extend(a.next, m), extend(a.prev, m)
	for i, e := range entries[:n] {
		if a.next[e] == 0 {
			a.link(a.keyIDs[i], e)
		}
		w := int64(1)
		if weights != nil {
			w = weights[i]
		}
		if a.weights[e] += w; a.weights[e] == 0 {
			a.zero = append(a.zero, e)
		}
	}
}

func (a *Arrangement) link(key, e uint32) {
	head := a.heads[key]
	if head == 0 {
		head = chainEnd
	}
	a.next[e], a.prev[e] = head, chainEnd
	if head != chainEnd {
		a.prev[head-linkOffset] = e + linkOffset
	}
	a.heads[key] = e + linkOffset
}

// extend gives s with at least n elements; new ones are zero.
func extend[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	if n <= cap(s) {
		return s[:n]
	}
	t := make([]T, n, max(n, len(s)+len(s)/2))
	copy(t, s)
	return t
}

// First gives the first entry of a key id, None when there is none; Next the one after e.
func (a *Arrangement) First(key uint32) uint32 { return unlink(a.heads[key]) }

// Next gives the entry after e in its key's chain, or None.
func (a *Arrangement) Next(e uint32) uint32 { return unlink(a.next[e]) }

func unlink(l uint32) uint32 {
	if l < linkOffset {
		return None
	}
	return l - linkOffset
}

// Row is the bytes of entry e, with their prefix; they must not be kept over an Update.
func (a *Arrangement) Row(e uint32) []byte { return a.rows.Key(e) }

// Weight is the weight of entry e.
func (a *Arrangement) Weight(e uint32) int64 { return a.weights[e] }

// Degree is the degree of entry e.
func (a *Arrangement) Degree(e uint32) int64 { return a.degrees[e] }

// SetDegree sets it.
func (a *Arrangement) SetDegree(e uint32, d int64) { a.degrees[e] = d }

// Sweep removes the entries that were left with weight zero.
func (a *Arrangement) Sweep() {
	for _, e := range a.zero {
		if !a.rows.Has(e) || a.weights[e] != 0 {
			continue
		}
		key := binary.LittleEndian.Uint32(a.rows.Key(e))
		next, prev := a.next[e], a.prev[e]
		if next >= linkOffset {
			a.prev[next-linkOffset] = prev
		}
		if prev >= linkOffset {
			a.next[prev-linkOffset] = next
		} else if next >= linkOffset {
			a.heads[key] = next
		} else {
			a.heads[key] = 0
			a.keys.Delete(key)
		}
		a.next[e], a.prev[e], a.degrees[e] = 0, 0, 0
		a.rows.Delete(e)
	}
	a.zero = a.zero[:0]
}

// Len is the number of entries, Keys of keys.
func (a *Arrangement) Len() int { return a.rows.Len() }

// Keys is the number of keys.
func (a *Arrangement) Keys() int { return a.keys.Len() }

// Memory is the bytes that the Arrangement takes.
func (a *Arrangement) Memory() int64 {
	return a.keys.Memory() + a.rows.Memory() + int64(cap(a.heads)+cap(a.next)+cap(a.prev))*4 + int64(cap(a.weights)+cap(a.degrees))*8
}

// Checkpoint writes the Arrangement; it must have been swept.
func (a *Arrangement) Checkpoint(w *Writer) {
	a.keys.Checkpoint(w)
	WriteWords(w, a.heads)
	a.rows.Checkpoint(w)
	WriteWords(w, a.weights)
	WriteWords(w, a.degrees)
	WriteWords(w, a.next)
	WriteWords(w, a.prev)
}

// Restore reads what Checkpoint wrote.
func (a *Arrangement) Restore(r *Reader) {
	*a = Arrangement{}
	a.keys.Restore(r)
	a.heads = ReadWords[uint32](r, maxIDs)
	a.rows.Restore(r)
	a.weights = ReadWords[int64](r, maxIDs)
	a.degrees = ReadWords[int64](r, maxIDs)
	a.next = ReadWords[uint32](r, maxIDs)
	a.prev = ReadWords[uint32](r, maxIDs)
	if r.Err() != nil {
		return
	}
	n := a.rows.IDs()
	if len(a.heads) != a.keys.IDs() || len(a.weights) != n || len(a.degrees) != n || len(a.next) != n || len(a.prev) != n {
		r.fail("an arrangement's parts have different lengths")
		return
	}
	// Walking every chain once proves that each entry is in the chain of its own key and that no chain is a ring.
	seen := 0
	for key, l := range a.heads {
		prev := uint32(chainEnd)
		for l >= linkOffset {
			e := l - linkOffset
			if seen++; seen > a.rows.Len() || !a.rows.Has(e) || a.prev[e] != prev || len(a.rows.Key(e)) < RowPrefix ||
				binary.LittleEndian.Uint32(a.rows.Key(e)) != uint32(key) {
				r.fail("an arrangement's chain is broken")
				return
			}
			prev, l = l, a.next[e]
		}
	}
	if seen != a.rows.Len() {
		r.fail("an arrangement has entries in no chain")
	}
}
