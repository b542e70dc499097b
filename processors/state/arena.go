package state

import (
	"encoding/binary"
	"math/bits"

	"github.com/miracledb/miracledb/internal/errs"
)

// Ref is the place of a byte string in an Arena; 0 is no place.
type Ref uint32

const (
	refUnit    = 8 // bytes per step of a Ref
	chunkBits  = 17
	chunkSize  = refUnit << chunkBits // 1 MiB
	maxChunks  = 1 << (32 - chunkBits)
	firstChunk = 4 << 10 // a small state takes little: the first chunk doubles until it is whole

	// Sizes up to exactSizes units have a free list each, larger ones one per power of two.
	exactSizes = 64
	sizeLists  = exactSizes + 1 + 32
)

// Arena keeps byte strings. The zero Arena is empty and ready.
type Arena struct {
	chunks [][]byte
	// current is the chunk that is being filled, used its filled bytes.
	current, used int
	free          [sizeLists]Ref
	live          int64
}

// sizeList gives the free list and the reserved bytes of a string of n bytes.
func sizeList(n int) (list, reserved int) {
	units := max((n+refUnit-1)/refUnit, 1)
	if units <= exactSizes {
		return units, units * refUnit
	}
	b := bits.Len(uint(units - 1))
	return exactSizes + b, refUnit << b
}

// Add keeps a copy of b.
func (a *Arena) Add(b []byte) Ref {
	r := a.alloc(len(b))
	copy(a.At(r, len(b)), b)
	return r
}

// At gives the n bytes at r; they stay in place until they are freed, except that the Arena's first MiB moves while it
// grows: they must not be kept over an Add.
func (a *Arena) At(r Ref, n int) []byte {
	c := a.chunks[r>>chunkBits]
	o := int(r&(1<<chunkBits-1)) * refUnit
	return c[o : o+n : o+n]
}

// Remove frees the n bytes at r.
func (a *Arena) Remove(r Ref, n int) {
	list, reserved := sizeList(n)
	binary.LittleEndian.PutUint32(a.At(r, 4), uint32(a.free[list]))
	a.free[list] = r
	a.live -= int64(reserved)
}

// Memory is the bytes that the Arena takes.
func (a *Arena) Memory() int64 {
	var n int64
	for _, c := range a.chunks {
		n += int64(cap(c))
	}
	return n
}

func (a *Arena) alloc(n int) Ref {
	list, reserved := sizeList(n)
	a.live += int64(reserved)
	if r := a.free[list]; r != 0 {
		a.free[list] = Ref(binary.LittleEndian.Uint32(a.At(r, 4)))
		return r
	}
	if reserved > chunkSize {
		return a.newChunk(reserved)
	}
	if len(a.chunks) == 0 {
		a.chunks = append(a.chunks, make([]byte, firstChunk))
		a.current, a.used = 0, refUnit // Ref 0 stays unused
	}
	for a.used+reserved > len(a.chunks[a.current]) {
		c := a.chunks[a.current]
		if len(c) < chunkSize { // only the first chunk is ever smaller
			a.chunks[a.current] = append(c, make([]byte, len(c))...)
			continue
		}
		a.newChunk(chunkSize)
		a.current, a.used = len(a.chunks)-1, 0
	}
	r := Ref(a.current<<chunkBits + a.used/refUnit)
	a.used += reserved
	return r
}

func (a *Arena) newChunk(size int) Ref {
	if len(a.chunks) == 0 { // a large string comes first: keep Ref 0 unused
		a.chunks = append(a.chunks, make([]byte, firstChunk))
		a.current, a.used = 0, refUnit
	}
	if len(a.chunks) == maxChunks {
		panic(full("bytes"))
	}
	a.chunks = append(a.chunks, make([]byte, size))
	return Ref((len(a.chunks) - 1) << chunkBits)
}

func full(what string) error {
	return errs.New(errs.Limit, "a materialized view's state is full: no more %s can be addressed in one operator", what).
		WithHint("Split the view, or let it keep fewer groups or join keys.")
}

// Checkpoint writes the Arena.
func (a *Arena) Checkpoint(w *Writer) {
	w.Uint(uint64(a.current))
	w.Uint(uint64(a.used))
	w.Uint(uint64(a.live))
	for _, f := range a.free {
		w.Uint(uint64(f))
	}
	w.Uint(uint64(len(a.chunks)))
	for i, c := range a.chunks {
		if i == a.current {
			w.Uint(uint64(len(c)))
			w.Bytes(c[:a.used])
			continue
		}
		w.Uint(uint64(len(c)))
		w.Bytes(c)
	}
}

// Restore reads what Checkpoint wrote.
func (a *Arena) Restore(r *Reader) {
	*a = Arena{current: int(r.Uint(maxChunks)), used: int(r.Uint(1 << 40)), live: int64(r.Uint(1 << 50))}
	for i := range a.free {
		a.free[i] = Ref(r.Uint(1<<32 - 1))
	}
	n := int(r.Uint(maxChunks))
	for range n {
		size := int(r.Uint(1 << 40))
		c := r.Bytes(size)
		if r.Err() != nil {
			return
		}
		if len(c) < size { // the rest of the chunk being filled
			if size > chunkSize {
				r.fail("a chunk of %d bytes is cut short", size)
				return
			}
			c = append(make([]byte, 0, size), c...)[:size]
		}
		a.chunks = append(a.chunks, c)
	}
	switch {
	case n == 0 && (a.current != 0 || a.used != 0), n > 0 && (a.current >= n || a.used > len(a.chunks[a.current])):
		r.fail("an arena's end is outside it")
	}
	for i, f := range a.free {
		if f != 0 && !a.Valid(f, 4) {
			r.fail("free list %d of an arena begins outside it", i)
		}
	}
}

// Valid reports whether n bytes at r are inside the Arena.
func (a *Arena) Valid(r Ref, n int) bool {
	i := int(r >> chunkBits)
	return r != 0 && n >= 0 && i < len(a.chunks) && int(r&(1<<chunkBits-1))*refUnit+n <= len(a.chunks[i])
}
