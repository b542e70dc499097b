package record

import (
	"context"
	"iter"

	"github.com/miracledb/miracledb/log"
)

// Batches walks whole batches that were checked before. The last one given may be an error: ErrCorruptBatch.
func Batches(p []byte) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for len(p) > 0 {
			b, rest, err := ParseChecked(p)
			if !yield(b, err) || err != nil {
				return
			}
			p = rest
		}
	}
}

// firstRead and maxRead are how much a Reader reads at once, in bytes: most ranges are small, and a replay reads one for each
// transaction.
const (
	firstRead = 4 << 10
	maxRead   = 1 << 20
)

// Reader reads the batches of one partition from an offset to before another, in order. Records that are given up or compacted
// away while it is on its way are passed over: what it gives was there when it came by. It holds at most one batch
// or maxRead bytes.
//
//	for r.Next(ctx) { use(r.Batch()) }
//	if err := r.Err(); err != nil { … }
type Reader struct {
	log       log.Log
	partition log.Partition
	from, end int64 // of the records
	next      int64 // behind the last batch
	size      int   // of the next reading
	data      []byte
	aborted   *AbortedCursor // nil: markers and aborted records are read too
	upTo      int64          // where what is aborted is not known yet
	givenUp   bool           // see log.ReadLimit
	it        Iterator
	batch     Batch
	err       error
}

// NewReader reads every batch with an offset at or after from (below the partition's start: from there) and before end
// (beyond the partition's end: to where it is when the reader comes there), markers and aborted ones too.
func NewReader(l log.Log, p log.Partition, from, end int64) *Reader {
	return &Reader{log: l, partition: p, from: from, end: end, next: from, size: firstRead}
}

// ReadCommitted reads the records that take effect by now: neither markers nor what was aborted, to where the first open
// transaction begins.
func ReadCommitted(l log.Log, p log.Partition) (*Reader, error) {
	b, err := l.Bounds(p)
	if err != nil {
		return nil, err
	}
	r := NewReader(l, p, b.Start, b.Stable)
	r.aborted = NewAbortedCursor(l, p, b.Stable)
	return r, nil
}

// Next reads the next batch. It is false after the last one and at an error.
func (r *Reader) Next(ctx context.Context) bool {
	for r.err == nil && r.next < r.end {
		if len(r.data) == 0 {
			if r.err = r.read(ctx); r.err != nil || r.next >= r.end {
				break
			}
		}
		var b Batch
		if b, r.data, r.err = ParseChecked(r.data); r.err != nil {
			break
		}
		if b.BaseOffset >= r.end {
			r.end = r.next
			break
		}
		if r.aborted != nil && b.BaseOffset >= r.upTo {
			r.next, r.data = b.BaseOffset, nil
			continue
		}
		r.next = b.LastOffset() + 1
		if aborted := false; r.aborted != nil {
			if aborted, r.err = r.aborted.HasBatch(&b); r.err != nil {
				break
			}
			if aborted || b.Control() {
				continue
			}
		}
		r.batch = b
		return true
	}
	r.batch, r.data = Batch{}, nil
	return false
}

// read reads on, from the partition's start when what comes next has been given up.
func (r *Reader) read(ctx context.Context) error {
	for r.next < r.end {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.aborted != nil {
			// Before the reading: what tells that records were aborted is given up together with them.
			upTo, err := r.aborted.From(r.next)
			if err != nil {
				return err
			}
			r.upTo = upTo
		}
		data, err := r.log.Read(ctx, r.partition, r.next, log.ReadLimit{MaxBytes: r.size, GivenUp: r.givenUp})
		if err == nil {
			if r.data, r.size = data, min(2*r.size, maxRead); len(data) == 0 {
				r.end = r.next // compaction has left nothing from here on
			}
			return nil
		}
		b, gone := r.log.Bounds(r.partition)
		if gone != nil || b.Start <= r.next {
			return err
		}
		r.from, r.next = b.Start, b.Start
	}
	return nil
}

// Batch is what Next read. Its bytes are nobody else's.
func (r *Reader) Batch() Batch { return r.batch }

// Position is where the batch was appended. It is known as long as the batch is there: else ErrOffsetOutOfRange.
func (r *Reader) Position() (log.Position, error) {
	// By its last offset: the partition may begin within the batch.
	return r.log.PositionOf(r.partition, r.batch.LastOffset())
}

// Within reports whether a record of the batch is one that is to be read: the first and last batch of a range may hold others.
func (r *Reader) Within(offset int64) bool { return r.from <= offset && offset < r.end }

// Cut gives what of the batch is to be read, as its partition's batch.
func (r *Reader) Cut() (log.PartitionBatch, error) {
	b := r.batch
	out := log.PartitionBatch{Partition: r.partition, Batch: b.Bytes, BaseOffset: b.BaseOffset, Records: b.Offsets()}
	if r.Within(b.BaseOffset) && r.Within(b.LastOffset()) {
		return out, nil
	}
	var err error
	out.Batch, err = Filter(b, &r.it, 0, func(rec Record) bool { return r.Within(rec.Offset) })
	return out, err
}

// Offset is where the reader stands: behind the last batch. At the end of all that there was it may be before the end that was
// asked for, where compaction has left nothing.
func (r *Reader) Offset() int64 { return r.next }

// Err is what stopped Next before the end: errors of log.Log's Read.
func (r *Reader) Err() error { return r.err }
