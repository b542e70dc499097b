package external

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/record"
)

const (
	defaultReadBytes = 1 << 20
	// historyEntries bounds the appends that one ReadFrom takes from the cluster.
	historyEntries = 256
)

// Bounds: see log.Log.
func (l *Log) Bounds(p log.Partition) (log.Bounds, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if _, ok := l.placeLocked(p); !ok {
		return log.Bounds{}, admission.UnknownPartition(p)
	}
	ps := l.mu.index.partitions[p]
	if ps == nil {
		return log.Bounds{}, nil
	}
	start := min(ps.start, ps.end)
	return log.Bounds{Start: start, End: ps.end, Clean: start, Stable: max(ps.stable(), start)}, nil
}

// Aborted: see log.Log. It is of foreign transactions: records of ours that were aborted are not shown.
func (l *Log) Aborted(p log.Partition, from, to int64) (out []log.AbortedTxn, upTo int64, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	ps := l.mu.index.partitions[p]
	if ps == nil {
		return nil, to, nil
	}
	begin := sort.Search(len(ps.ends), func(i int) bool { return ps.ends[i].base >= from })
	for _, e := range ps.ends[begin:] {
		if e.kind == refAbort && e.first < to {
			out = append(out, log.AbortedTxn{Producer: e.producer, First: e.first, Last: e.base})
		}
	}
	return out, to, nil
}

// Read: see log.Log. Offsets of our own markers and of our own aborted records are gaps.
func (l *Log) Read(ctx context.Context, p log.Partition, offset int64, lim log.ReadLimit) ([]byte, error) {
	bounds, err := l.Bounds(p)
	if err != nil {
		return nil, err
	}
	if offset < bounds.Start || offset > bounds.End {
		return nil, admission.OutOfRange(p, offset, bounds.Start, bounds.End)
	}
	maxBytes := lim.MaxBytes
	if maxBytes <= 0 {
		maxBytes = defaultReadBytes
	}
	l.mu.RLock()
	from, ok := l.placeLocked(p)
	l.mu.RUnlock()
	if !ok {
		return nil, admission.UnknownPartition(p)
	}
	for offset < bounds.End {
		got, err := l.cluster.fetchOne(ctx, from, offset, false, int32(max(min(maxBytes, 50<<20), 1)))
		if errors.Is(err, kerr.OffsetOutOfRange) {
			l.cut(p, got.start)
			return nil, admission.OutOfRange(p, offset, got.start, bounds.End)
		}
		if err != nil {
			return nil, err
		}
		l.cut(p, got.start)
		var out []byte
		next := offset
		err = eachBatch(got.data, func(b record.Batch) error {
			if b.LastOffset() < offset || b.BaseOffset >= bounds.End {
				return nil
			}
			shown, err := l.show(p, b)
			if err == nil && (len(out) == 0 || len(out)+len(shown) <= maxBytes) {
				out, next = append(out, shown...), b.LastOffset()+1
			} else {
				return errors.Join(err, errEnough)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
		if len(out) > 0 {
			return out, nil
		}
		if next == offset {
			return nil, errs.New(errs.Corrupt, "the cluster gives nothing of %s from offset %d, %s names records up to %d", from.topic, offset, CommitsTopic, bounds.End)
		}
		offset = next
	}
	return nil, nil
}

var errEnough = errors.New("enough")

// cut notes the first offset that the cluster keeps of a partition.
func (l *Log) cut(p log.Partition, start int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ps := l.mu.index.partitions[p]; ps != nil && start > ps.start {
		ps.start = start
	}
}

// show gives a batch of the cluster as this log's readers see it; nothing when it is not ordered.
func (l *Log) show(p log.Partition, b record.Batch) ([]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	ps := l.mu.index.partitions[p]
	switch {
	case ps == nil:
	case b.Control():
		if s := at(ps.ends, b.BaseOffset); s != nil {
			return endBatch(b, s.ref)
		}
	case l.mu.ours[b.ProducerID] && b.Transactional():
		if at(ps.own, b.BaseOffset) != nil {
			return plain(b, b.BaseOffset, b.LastOffset()+1)
		}
	case at(ps.foreign, b.BaseOffset) != nil:
		return foreignBatch(b), nil
	}
	return nil, nil
}

// ReadFrom: see log.Log.
func (l *Log) ReadFrom(ctx context.Context, after log.Position, maxBytes int) ([]log.Entry, error) {
	if maxBytes <= 0 {
		maxBytes = defaultReadBytes
	}
	for {
		l.mu.RLock()
		if !l.holdsLocked(after) {
			l.mu.RUnlock()
			return nil, errs.New(errs.NotFound, "%w: position %v is not in this log's history", log.ErrHistoryThinned, after)
		}
		end := uint64(len(l.mu.index.commits))
		if after.Sequence < end {
			if n := uint64(len(l.mu.tail)); n > 0 && after.Sequence >= end-n {
				out := takeTail(l.mu.tail[after.Sequence-(end-n):], maxBytes)
				l.mu.RUnlock()
				return out, nil
			}
			to := min(end, after.Sequence+historyEntries)
			commits := l.mu.index.commits[after.Sequence:to:to]
			l.mu.RUnlock()
			return l.readHistory(ctx, commits, maxBytes)
		}
		changed, stopped := l.mu.changed, l.mu.stopped
		l.mu.RUnlock()
		if stopped != nil {
			return nil, stopped
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func takeTail(tail []*log.Entry, maxBytes int) []log.Entry {
	var out []log.Entry
	size := 0
	for _, e := range tail {
		for i := range e.Batches {
			size += len(e.Batches[i].Batch)
		}
		if len(out) > 0 && size > maxBytes {
			break
		}
		out = append(out, *e)
	}
	return out
}

// window is a piece of a partition, so that the next append of it need not be asked for.
type window struct {
	data []byte
	next int64 // offset behind it
}

func (l *Log) readHistory(ctx context.Context, commits []commit, maxBytes int) ([]log.Entry, error) {
	var out []log.Entry
	windows := map[log.Partition]*window{}
	size := 0
	for i := range commits {
		c := &commits[i]
		e := log.Entry{Position: c.position, Term: 1, Index: c.position.Sequence, Time: unixNano(c.time), Txn: c.txn}
		for _, r := range c.refs {
			pb, err := l.readRef(ctx, r, windows)
			if errors.Is(err, log.ErrUnknownPartition) || errors.Is(err, log.ErrOffsetOutOfRange) {
				e.Thinned = true
				continue
			}
			if err != nil {
				return nil, err
			}
			if r.kind == refCommit {
				e.Commits = append(e.Commits, log.TxnRange{Partition: r.partition, Producer: r.producer, First: r.first, Marker: r.base})
			}
			size += len(pb.Batch)
			e.Batches = append(e.Batches, pb)
		}
		if len(out) > 0 && size > maxBytes {
			break
		}
		out = append(out, e)
	}
	return out, nil
}

// readRef reads the batches of a part of an append.
func (l *Log) readRef(ctx context.Context, r ref, windows map[log.Partition]*window) (pb log.PartitionBatch, err error) {
	pb = log.PartitionBatch{Partition: r.partition, BaseOffset: r.base, Records: int32(r.count)}
	l.mu.RLock()
	from, ok := l.placeLocked(r.partition)
	l.mu.RUnlock()
	if !ok {
		return pb, admission.UnknownPartition(r.partition)
	}
	for next := r.base; next < r.end(); {
		w := windows[r.partition]
		if w == nil || !w.holds(next) {
			got, err := l.cluster.fetchOne(ctx, from, next, false, fetchBytes)
			if errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicOrPartition) {
				return pb, admission.OutOfRange(r.partition, next, got.start, got.end)
			}
			if err != nil {
				return pb, err
			}
			w = &window{data: got.data, next: next}
			if err := eachBatch(got.data, func(b record.Batch) error { w.next = b.LastOffset() + 1; return nil }); err != nil {
				return pb, err
			}
			if w.next == next {
				if r.kind == refForeign {
					return pb, nil // compacted away to its end
				}
				return pb, errs.New(errs.Corrupt, "the cluster gives nothing of %s from offset %d, which %s names", from.topic, next, CommitsTopic)
			}
			windows[r.partition] = w
		}
		err := eachBatch(w.data, func(b record.Batch) error {
			if b.LastOffset() < next || b.BaseOffset >= r.end() {
				return nil
			}
			p, err := l.piece(b, r)
			pb.Batch = append(pb.Batch, p...)
			return err
		})
		if err != nil {
			return pb, err
		}
		next = w.next
	}
	return pb, nil
}

// holds reports whether the window has a batch with an offset.
func (w *window) holds(offset int64) bool {
	if len(w.data) < record.HeaderSize || offset >= w.next {
		return false
	}
	b, err := record.ParseHeader(w.data)
	return err == nil && b.BaseOffset <= offset
}

// piece gives what of a batch of the cluster belongs to a ref.
func (l *Log) piece(b record.Batch, r ref) ([]byte, error) {
	l.mu.RLock()
	ours := l.mu.ours[b.ProducerID] && b.Transactional()
	l.mu.RUnlock()
	switch {
	case r.kind == refCommit || r.kind == refAbort:
		return endBatch(b, r)
	case b.Control():
	case r.own():
		return plain(b, r.base, r.end())
	case !ours:
		return foreignBatch(b), nil
	}
	return nil, nil
}

// PositionOf: see log.Log.
func (l *Log) PositionOf(p log.Partition, offset int64) (log.Position, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if _, ok := l.placeLocked(p); !ok {
		return log.Position{}, admission.UnknownPartition(p)
	}
	ps := l.mu.index.partitions[p]
	if ps == nil {
		return log.Position{}, nil
	}
	if offset < ps.start {
		return log.Position{}, admission.OutOfRange(p, offset, ps.start, ps.end)
	}
	if s := ps.last(offset); s > 0 {
		return log.Position{Epoch: epoch, Sequence: s}, nil
	}
	return log.Position{}, nil
}

// PositionAt: see log.Log.
func (l *Log) PositionAt(t time.Time) (log.Position, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	cs := l.mu.index.commits
	n := sort.Search(len(cs), func(i int) bool { return cs[i].time > t.UnixNano() })
	if n == 0 {
		return log.Position{}, nil
	}
	return cs[n-1].position, nil
}

// OffsetForTime: see log.Log. The cluster says where to begin looking; what it counts may be no record of this log.
func (l *Log) OffsetForTime(p log.Partition, ms int64) (offset, timestamp int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	bounds, err := l.Bounds(p)
	if err != nil {
		return 0, 0, err
	}
	l.mu.RLock()
	from, _ := l.placeLocked(p)
	l.mu.RUnlock()
	all, err := l.cluster.admin.ListOffsetsAfterMilli(ctx, max(ms, 0), from.topic)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return 0, 0, err
	}
	begin, ok := all.Lookup(from.topic, from.partition)
	if !ok || begin.Timestamp < 0 {
		return -1, -1, nil // kadm gives the end when there is none
	}
	var it record.Iterator
	for next := max(begin.Offset, bounds.Start); next < bounds.End; {
		data, err := l.Read(ctx, p, next, log.ReadLimit{})
		if err != nil || len(data) == 0 {
			return -1, -1, err
		}
		for len(data) > 0 {
			b, rest, err := record.ParseChecked(data)
			if err == nil {
				err = it.Reset(b)
			}
			if err != nil {
				return 0, 0, err
			}
			for !b.Control() && it.Next() {
				if r := it.Record(); r.Offset >= begin.Offset && r.Timestamp >= ms {
					return r.Offset, r.Timestamp, nil
				}
			}
			data, next = rest, b.LastOffset()+1
		}
	}
	return -1, -1, nil
}
