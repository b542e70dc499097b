package kafka

import (
	"math/bits"
	"sync"
)

// buffers is memory for what fetches read, used again and again: to clear fresh memory costs more than to copy records into
// it. Class i holds buffers of smallestBuffer<<i bytes and some.
type buffers [bufferClasses]sync.Pool

const (
	smallestBuffer = 16 << 10
	bufferClasses  = 11 // up to 16 MiB
	// bufferExtra is what a log reads before the records that were asked for, so that a read of a power of two fits.
	bufferExtra = 32 << 10
)

// bufferClass is the class of buffers that hold n bytes; bufferClasses: they are made for one use.
func bufferClass(n int) int {
	return min(bits.Len(uint((max(n-bufferExtra, 1)-1)/smallestBuffer)), bufferClasses)
}

// borrowed are buffers until what stands in them was sent.
type borrowed struct {
	from *buffers
	by   []lent
}

type lent struct {
	p     *[]byte
	class int
}

// take gives n bytes until the next giveBack.
func (b *borrowed) take(n int) []byte {
	class := bufferClass(n)
	if class == bufferClasses {
		return make([]byte, n)
	}
	p, ok := b.from[class].Get().(*[]byte)
	if !ok {
		fresh := make([]byte, smallestBuffer<<class+bufferExtra)
		p = &fresh
	}
	b.by = append(b.by, lent{p, class})
	return (*p)[:n]
}

// giveBack gives back what was taken, all but the first keep buffers.
func (b *borrowed) giveBack(keep int) {
	for _, l := range b.by[keep:] {
		b.from[l.class].Put(l.p)
	}
	b.by = b.by[:keep]
}

// wasteful is from how many unused bytes on a buffer is not kept for what was read into it.
const wasteful = 4 << 10

// fit gives p, which was read into buffers taken after the first keep, in memory that is not much larger than p.
func (b *borrowed) fit(keep int, p []byte) []byte {
	held := 0
	for _, l := range b.by[keep:] {
		held += cap(*l.p)
	}
	if held <= 2*len(p)+wasteful {
		return p
	}
	p = append(make([]byte, 0, len(p)), p...)
	b.giveBack(keep)
	return p
}
