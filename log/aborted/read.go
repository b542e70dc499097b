package aborted

import (
	"math"
	"sort"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
)

var strideReaders = sync.Pool{New: func() any { return new(strideReader) }}

// Query gathers the transactions with records from an offset to before another. It is told of them in the order of their
// markers: by an Index, and after that by who has newer ones.
type Query struct {
	from, to int64
	room     int
	txns     []log.AbortedTxn
}

// NewQuery asks for the transactions with records from one offset to before another. The answer ends earlier once room of them
// have ended in the range.
func NewQuery(from, to int64, room int) *Query { return &Query{from: from, to: to, room: room} }

// Add takes the next transaction in. It is false when those that come behind it have no records in the range.
func (q *Query) Add(t Txn) (more bool) {
	if t.Last < q.from {
		return true
	}
	if t.First < q.to {
		q.txns = append(q.txns, t.AbortedTxn)
	}
	if q.room--; q.room == 0 {
		q.to = min(q.to, t.Last+1)
	}
	return t.Stable < q.to
}

// Answer is what was gathered, and the offset before which it is all: above the one asked from.
func (q *Query) Answer() (txns []log.AbortedTxn, upTo int64) { return q.txns, q.to }

// Collect tells q of the transactions whose markers stand before an offset. Errors: Corrupt, with the place; NotFound: the Index
// is closed.
func (x *Index) Collect(q *Query, before int64) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.mu.closed {
		return errs.New(errs.NotFound, "aborted transactions %s: closed", x.opts.Dir)
	}
	q.from = max(q.from, x.mu.forgotten)
	r := strideReaders.Get().(*strideReader)
	defer strideReaders.Put(r)
	i := sort.Search(len(x.mu.files), func(i int) bool { return x.mu.files[i].state.First >= q.from })
	for i = max(i-1, 0); i < len(x.mu.files); i++ {
		if more, err := x.collect(x.mu.files[i], r, q, before); err != nil || !more {
			return err
		}
	}
	return nil
}

// collect tells q of the transactions in one file: of those strides that may concern it.
func (x *Index) collect(f *file, r *strideReader, q *Query, before int64) (more bool, err error) {
	fences, err := x.fences(f, r)
	if err != nil {
		return false, err
	}
	for at := sort.Search(len(fences), func(i int) bool { return fences[i].last >= q.from }); int64(at)*stride < f.state.Slots; at++ {
		if at < len(fences) && fences[at].first >= q.to {
			if fences[at].stable >= q.to {
				return false, nil
			}
			continue
		}
		txns, err := r.read(x, f, at)
		if err != nil {
			return false, err
		}
		for _, t := range txns {
			if t.Last >= before || !q.Add(t) {
				return false, nil
			}
		}
	}
	return true, nil
}

// fences checks the header of a file and gives the fences of its whole strides, made as far as that has not been done.
func (x *Index) fences(f *file, r *strideReader) ([]fence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.checked {
		p := make([]byte, headerSize)
		if err := x.read(f, p, 0); err != nil {
			return nil, err
		}
		if !validHeader(p, f.state.First) {
			return nil, f.damage(0, headerSize, errs.New(errs.Corrupt, "it is no header of such a file"))
		}
		f.checked = true
	}
	for at := len(f.fences); int64(at+1)*stride <= f.state.Slots; at++ {
		txns, err := r.read(x, f, at)
		if err != nil {
			return nil, err
		}
		last := txns[len(txns)-1]
		one := fence{last: last.Last, first: math.MaxInt64, stable: last.Stable}
		for _, t := range txns {
			one.first = min(one.first, t.First)
		}
		f.fences = append(f.fences, one)
	}
	return f.fences, nil
}

// strideReader reads strides, each into the memory of the one before.
type strideReader struct {
	bytes [stride * SlotSize]byte
	txns  [stride]Txn
}

// read gives the slots of one stride.
func (r *strideReader) read(x *Index, f *file, at int) ([]Txn, error) {
	first := int64(at) * stride
	place := headerSize + first*SlotSize
	p := r.bytes[:min(stride, f.state.Slots-first)*SlotSize]
	if err := x.read(f, p, place); err != nil {
		return nil, err
	}
	txns := r.txns[:0]
	for after := f.state.First; len(p) > 0; p = p[SlotSize:] {
		t, err := decodeSlot(p, after)
		if err != nil {
			from := place + int64(len(txns))*SlotSize
			return nil, f.damage(from, from+SlotSize, err)
		}
		after = t.Last
		txns = append(txns, t)
	}
	return txns, nil
}

func (x *Index) read(f *file, p []byte, at int64) error {
	data, err := f.opened(x.opts.FS)
	if err == nil {
		var got int
		if got, err = data.ReadAt(p, at); got == len(p) {
			err = nil
		}
	}
	switch {
	case vfs.Scarce(err):
		return errs.New(errs.Unavailable, "aborted transactions %s: %w", f.name, err)
	case err != nil:
		return f.damage(at, at+int64(len(p)), err)
	}
	return nil
}

func (f *file) damage(from, to int64, err error) error {
	return errs.New(errs.Corrupt, "aborted transactions %s is damaged in bytes %d to %d: %w", f.name, from, to, err)
}

// Check reads every slot, and calls found with each piece of damage and visit with each transaction that is not forgotten.
func (x *Index) Check(found func(error), visit func(Txn)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var r strideReader
	last := int64(math.MinInt64)
	for _, f := range x.mu.files {
		if _, err := x.fences(f, &r); err != nil {
			found(err)
			continue
		}
		for at := 0; int64(at)*stride < f.state.Slots; at++ {
			txns, err := r.read(x, f, at)
			if err != nil {
				found(err)
				break
			}
			for i, t := range txns {
				if t.Last < last {
					from := headerSize + (int64(at)*stride+int64(i))*SlotSize
					found(f.damage(from, from+SlotSize, errs.New(errs.Corrupt, "a marker at %d after one at %d", t.Last, last)))
				}
				if last = t.Last; last >= x.mu.forgotten {
					visit(t)
				}
			}
		}
	}
}
