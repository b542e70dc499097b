package state

import "github.com/zeebo/xxh3"

// Rows are encoded rows one after the other, with their hashes.
type Rows struct {
	Data    []byte
	Offsets []uint32 // one more than rows
	Hashes  []uint64
}

// Len is the number of rows.
func (r *Rows) Len() int { return max(len(r.Offsets)-1, 0) }

// Row is the bytes of row i.
func (r *Rows) Row(i int) []byte { return r.Data[r.Offsets[i]:r.Offsets[i+1]] }

// HashBytes is the hash of a key: it is part of the checkpoint format.
func HashBytes(b []byte) uint64 { return xxh3.Hash(b) }

// Hash fills Hashes.
func (r *Rows) Hash() {
	n := r.Len()
	r.Hashes = grow(r.Hashes, n)
	for i := range n {
		r.Hashes[i] = xxh3.Hash(r.Data[r.Offsets[i]:r.Offsets[i+1]])
	}
}

// Reset makes room for n rows; Data keeps its capacity.
func (r *Rows) Reset(n int) {
	r.Offsets = grow(r.Offsets, n+1)
	r.Offsets[0] = 0
	r.Data = r.Data[:0]
}

// grow gives a slice of n elements, s's memory if it is enough; its content is undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
