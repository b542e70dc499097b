package record

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/miracledb/miracledb/log"
)

// At gives the record at an offset, in memory of its own; ok is false when compaction has removed it, or the offset is not
// a record's.
func At(ctx context.Context, l log.Log, p log.Partition, offset int64) (r Record, ok bool, err error) {
	data, err := l.Read(ctx, p, offset, log.ReadLimit{MaxBytes: 1})
	if err != nil || len(data) == 0 {
		return r, false, err
	}
	b, _, err := Parse(data)
	if err != nil || b.Control() {
		return r, false, err
	}
	var it Iterator
	if err := it.Reset(b); err != nil {
		return r, false, err
	}
	for it.Next() {
		if r := it.Record(); r.Offset == offset {
			r.Headers = slices.Clone(r.Headers)
			return r, true, nil // the iterator's memory is nobody else's
		}
	}
	return r, false, it.Err()
}

// EndAt gives the end of a partition as it was at a Position: the offset after its last record then.
func EndAt(l log.Log, p log.Partition, at log.Position) (int64, error) {
	bounds, err := l.Bounds(p)
	if err != nil || !at.Less(l.End()) {
		return bounds.End, err
	}
	n := sort.Search(int(bounds.End-bounds.Start), func(i int) bool {
		if err != nil {
			return true
		}
		var of log.Position
		of, err = l.PositionOf(p, bounds.Start+int64(i))
		return at.Less(of)
	})
	return bounds.Start + int64(n), err
}

// Cut is a partition as it was at an instant.
type Cut struct {
	// Start is the first offset that is kept now, End the one after the last record then, Stable the first one of a
	// transaction that was open then, End when there was none: what reading committed records would have given.
	Start, Stable, End int64
}

// AsOf gives the Position of an instant, and each partition of a topic as it was then. Errors: ErrHistoryThinned.
func AsOf(ctx context.Context, l log.Log, t log.Topic, at time.Time, transactions bool) (log.Position, []Cut, error) {
	position, err := l.PositionAt(at)
	if err != nil {
		return position, nil, err
	}
	// What is not kept any more holds no open transaction that could be read.
	before, err := l.PositionAt(at.Add(-log.MaxTxnTimeout))
	if err != nil {
		before = log.Position{}
	}
	cuts := make([]Cut, t.Partitions)
	for i := range cuts {
		p, c := log.Partition{Topic: t.ID, Index: int32(i)}, &cuts[i]
		bounds, err := l.Bounds(p)
		if err != nil {
			return position, nil, err
		}
		c.Start = bounds.Start
		if c.End, err = EndAt(l, p, position); err != nil {
			return position, nil, err
		}
		if c.Stable = c.End; !transactions {
			continue
		}
		from, err := EndAt(l, p, before)
		if err == nil {
			c.Stable, err = stable(ctx, l, p, from, c.End)
		}
		if err != nil {
			return position, nil, err
		}
	}
	return position, cuts, nil
}

// stable gives the first record of the oldest transaction that is open at end, of those that began at from or later.
func stable(ctx context.Context, l log.Log, p log.Partition, from, end int64) (int64, error) {
	open := map[int64]int64{}
	r := NewReader(l, p, from, end)
	for r.Next(ctx) {
		b := r.Batch()
		if _, begun := open[b.ProducerID]; b.Control() {
			delete(open, b.ProducerID)
		} else if b.Transactional() && !begun {
			open[b.ProducerID] = b.BaseOffset
		}
	}
	if r.Err() != nil {
		return end, r.Err()
	}
	first := end
	for _, at := range open {
		first = min(first, at)
	}
	return first, nil
}
