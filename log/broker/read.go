package broker

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/segment"
)

const (
	defaultReadBytes = int(limit.MiB)
	// maxReadBytes bounds what one Read takes memory for, whatever a client asks.
	maxReadBytes = int(limit.KafkaRequest)
	// historyAppends is how many slots of the commit index are looked at for one piece of ReadFrom.
	historyAppends = 1024
)

// Read: see log.Log.
func (b *Broker) Read(ctx context.Context, p log.Partition, offset int64, lim log.ReadLimit) ([]byte, error) {
	maxBytes := min(lim.MaxBytes, maxReadBytes)
	if maxBytes <= 0 {
		maxBytes = defaultReadBytes
	}
	d := b.durable
	d.mu.RLock()
	ps := d.mu.state.partitions[p]
	if ps == nil {
		d.mu.RUnlock()
		return nil, admission.UnknownPartition(p)
	}
	if offset < ps.start && !lim.GivenUp || offset > ps.next {
		defer d.mu.RUnlock()
		return nil, admission.OutOfRange(p, offset, ps.start, ps.next)
	}
	if offset == ps.next {
		d.mu.RUnlock()
		return nil, nil
	}
	v := d.mu.partitions[p]
	if i := v.find(offset); i >= 0 {
		batches := slices.Clone(v.tail[i:reach(v.tail, i, maxBytes)]) // what leaves the tail is cleared there
		d.mu.RUnlock()
		return readTail(batches, offset, maxBytes, lim.Memory), nil
	}
	store := v.store
	d.mu.RUnlock()
	out, err := store.Read(offset, maxBytes, lim.Memory)
	if err != nil || len(out) == 0 {
		bounds, berr := d.bounds(p)
		switch {
		case berr != nil:
			return nil, berr // dropped meanwhile
		case err == nil && offset < bounds.Start:
			return nil, admission.OutOfRange(p, offset, bounds.Start, bounds.End) // its file is gone
		}
	}
	return out, err
}

// readTail copies whole record batches from memory, from the one that holds offset on.
func readTail(batches []tailBatch, offset int64, maxBytes int, memory func(n int) []byte) []byte {
	var out []byte
	for i := range batches {
		for rest := batches[i].bytes; len(rest) > 0; {
			h, err := record.ParseHeader(rest)
			if err != nil {
				return out // cannot be: checked at Submit
			}
			n := len(h.Bytes)
			if h.LastOffset() < offset {
				rest = rest[n:]
				continue
			}
			if len(out) > 0 && len(out)+n > maxBytes {
				return out
			}
			if out == nil {
				size := min(maxBytes, tailSize(batches[i:])) + n
				if memory != nil {
					out = memory(size)[:0]
				} else {
					out = make([]byte, 0, size)
				}
			}
			out = append(out, rest[:n]...)
			rest = rest[n:]
		}
	}
	return out
}

// tailSize is the bytes of batches.
func tailSize(batches []tailBatch) (size int) {
	for i := range batches {
		size += len(batches[i].bytes)
	}
	return size
}

// reach is the end of the batches from i on that fill maxBytes: at least one, and one more than fits.
func reach(batches []tailBatch, i, maxBytes int) int {
	for size := 0; i < len(batches) && size <= maxBytes; i++ {
		size += len(batches[i].bytes)
	}
	return i
}

// ReadFrom: see log.Log. Near the end it gives what is in memory, with attachments; older entries come from the
// segments, where an append over the journal's entry size shows as the pieces it was written in, and batches of topics
// that are gone are left out.
func (b *Broker) ReadFrom(ctx context.Context, after log.Position, maxBytes int) ([]log.Entry, error) {
	if maxBytes <= 0 {
		maxBytes = defaultReadBytes
	}
	d := b.durable
	for {
		d.mu.RLock()
		if !d.mu.state.holds(after) {
			d.mu.RUnlock()
			return nil, errs.New(errs.NotFound, "%w: position %v is not in this log's history", log.ErrHistoryThinned, after)
		}
		if after.Sequence < d.mu.state.sequence {
			if len(d.mu.tail) > 0 && after.Sequence+1 >= d.mu.tail[0].entry.Position.Sequence {
				out := d.tailFromLocked(after.Sequence+1, maxBytes)
				d.mu.RUnlock()
				return out, nil
			}
			d.mu.RUnlock()
			return b.readHistory(after.Sequence+1, maxBytes)
		}
		changed, stopped := d.mu.changed, d.mu.stopped
		d.mu.RUnlock()
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

func (d *durable) tailFromLocked(sequence uint64, maxBytes int) []log.Entry {
	from := int(sequence - d.mu.tail[0].entry.Position.Sequence)
	to, size := from, int64(0)
	for to < len(d.mu.tail) && (to == from || size+d.mu.tail[to].size <= int64(maxBytes)) {
		size += d.mu.tail[to].size
		to++
	}
	out := make([]log.Entry, 0, to-from)
	for i := from; i < to; i++ {
		e := d.mu.tail[i].entry
		e.Commits = commitsOf(&e)
		out = append(out, e)
	}
	return out
}

// commitsOf reads the markers of an append that commit a transaction.
func commitsOf(e *log.Entry) (out []log.TxnRange) {
	if len(e.Effective()) == len(e.Batches) {
		return nil
	}
	for i := range e.Batches {
		for b, err := range record.Batches(e.Batches[i].Batch) {
			if err != nil {
				return out // cannot be: checked before
			}
			if r, commit, ok := record.Marker(b, e.Batches[i].Partition); ok && commit {
				out = append(out, r)
			}
		}
	}
	return out
}

// readHistory reads entries through the commit index.
func (b *Broker) readHistory(sequence uint64, maxBytes int) ([]log.Entry, error) {
	if first, _ := b.commits.Bounds(); sequence < first {
		return nil, errs.New(errs.NotFound, "%w: append %d is asked, the first kept is %d", log.ErrHistoryThinned, sequence, first)
	}
	got, err := b.commits.Read(sequence, historyAppends)
	if err != nil {
		return nil, err
	}
	if len(got) == 0 {
		return nil, errs.New(errs.Internal, "append %d is neither in memory nor in the commit index", sequence)
	}
	runs := runs{}
	size, n := 0, 0
	for ; n < len(got); n++ {
		add := 0
		for _, r := range got[n].Refs {
			add += int(r.Bytes)
		}
		if n > 0 && size+add > maxBytes {
			break
		}
		size += add
		for _, r := range got[n].Refs {
			runs.add(r)
		}
	}
	if err := runs.read(b.durable); err != nil {
		return nil, err
	}
	out := make([]log.Entry, 0, n)
	for _, c := range got[:n] {
		e := log.Entry{Position: c.Position, Term: c.Term, Index: c.Index, Time: c.Time, Txn: c.Txn, Thinned: c.Thinned,
			Batches: make([]log.PartitionBatch, 0, len(c.Refs))}
		for _, r := range c.Refs {
			p, thinned, err := runs.next(b.durable, r)
			if err != nil {
				return nil, err
			}
			e.Thinned = e.Thinned || thinned
			if len(p) > 0 {
				e.Batches = append(e.Batches, log.PartitionBatch{Partition: r.Partition, Batch: p, BaseOffset: r.Base, Records: r.Records})
			}
		}
		e.Commits = commitsOf(&e)
		out = append(out, e)
	}
	return out, nil
}

// run is a stretch of one segment file that several appends wrote behind each other: read at once.
type run struct {
	base     int64
	position uint32
	length   int64
	bytes    []byte
	used     int64
}

// runs gathers the batches of many appends into few reads: the stretches of each partition in order.
type runs map[log.Partition][]*run

func (rs runs) add(r commits.Ref) {
	of := rs[r.Partition]
	if n := len(of); n > 0 && int64(of[n-1].position)+of[n-1].length == int64(r.Position) {
		of[n-1].length += int64(r.Bytes)
		return
	}
	rs[r.Partition] = append(of, &run{base: r.Base, position: r.Position, length: int64(r.Bytes)})
}

func (rs runs) read(d *durable) error {
	for p, of := range rs {
		store := d.store(p)
		if store == nil {
			continue // of a topic that is gone
		}
		for _, one := range of {
			var err error
			if one.bytes, err = store.ReadPlace(one.base, one.position, one.length); err != nil {
				if d.store(p) != nil {
					return err
				}
				one.bytes = nil
			}
		}
	}
	return nil
}

// next gives the bytes of r, which must be asked for in the order of add: what is left of them when records were given up
// or cleaned away (thinned), nothing when the topic is gone.
func (rs runs) next(d *durable, r commits.Ref) (p []byte, thinned bool, err error) {
	of := rs[r.Partition]
	if of[0].used == of[0].length {
		of = of[1:]
		rs[r.Partition] = of
	}
	from := of[0].used
	of[0].used += int64(r.Bytes)
	if of[0].bytes != nil {
		return of[0].bytes[from:of[0].used:of[0].used], false, nil
	}
	store := d.store(r.Partition)
	if store == nil {
		return nil, false, nil
	}
	if p, err = store.ReadRange(r.Base, r.Base+int64(r.Records)); err != nil {
		if d.store(r.Partition) == nil {
			return nil, false, nil
		}
		return nil, false, err
	}
	left := int32(0)
	for h, err := range record.Batches(p) {
		if err != nil {
			return nil, false, err
		}
		left += h.Count
	}
	return p, left < r.Records, nil
}

// OffsetForTime: see log.Log.
func (b *Broker) OffsetForTime(p log.Partition, ms int64) (offset, timestamp int64, err error) {
	d := b.durable
	d.mu.RLock()
	ps := d.mu.state.partitions[p]
	if ps == nil {
		d.mu.RUnlock()
		return 0, 0, admission.UnknownPartition(p)
	}
	from := ps.start
	d.mu.RUnlock()
	for {
		if store := d.store(p); store != nil {
			end := store.End()
			offset, timestamp, ok, err := store.OffsetForTime(ms, from)
			if err != nil || ok {
				return offset, timestamp, err
			}
			from = max(from, end)
		}
		batch, next := d.tailForTime(p, from, ms)
		for h, err := range record.Batches(batch) {
			if err != nil {
				return 0, 0, err
			}
			if h.MaxTimestamp >= ms && h.LastOffset() >= from {
				offset, timestamp, ok, err := segment.FirstAt(h.Bytes, ms, from)
				if err != nil || ok {
					return offset, timestamp, err
				}
			}
		}
		if next < 0 {
			return -1, -1, nil
		}
		from = next
	}
}

// PositionOf: see log.Log. A partition without records at or below offset gives the zero Position. When the append that
// wrote offset has left the commit index, with all that it wrote, it gives one before it and after the last of the
// partition that is there.
func (b *Broker) PositionOf(p log.Partition, offset int64) (log.Position, error) {
	d := b.durable
	d.mu.RLock()
	ps := d.mu.state.partitions[p]
	if ps == nil {
		d.mu.RUnlock()
		return log.Position{}, admission.UnknownPartition(p)
	}
	if offset < ps.start {
		defer d.mu.RUnlock()
		return log.Position{}, admission.OutOfRange(p, offset, ps.start, ps.next)
	}
	if ps.next == ps.start {
		d.mu.RUnlock()
		return log.Position{}, nil
	}
	v := d.mu.partitions[p]
	offset = min(offset, ps.next-1)
	if i := v.find(offset); i >= 0 {
		defer d.mu.RUnlock()
		return v.tail[i].position, nil
	}
	store := v.store
	d.mu.RUnlock()
	sequence, ok := store.Sequence(offset)
	if !ok {
		return log.Position{}, errs.New(errs.Internal, "offset %d of %s partition %d is in no segment", offset, p.Topic, p.Index)
	}
	_, next := b.commits.Bounds()
	// The index promises the append within SequenceStride; one that was made again after its file was lost does not.
	for count := segment.SequenceStride; ; count *= 16 {
		c, ok, passed, err := b.commits.LastFor(p, offset, sequence, count)
		if err != nil {
			return log.Position{}, err
		}
		covered := false
		for _, r := range c.Refs {
			covered = covered || r.Partition == p && r.Base <= offset && offset < r.Base+int64(r.Records)
		}
		if ok && (covered || passed) {
			return c.Position, nil
		}
		if passed {
			return b.positionOf(sequence) // the append has left the index
		}
		if sequence+uint64(count) >= next {
			return log.Position{}, errs.New(errs.Corrupt, "offset %d of %s partition %d has no append in the commit index", offset, p.Topic, p.Index)
		}
	}
}

// positionOf gives the Position of an append that the commit index has.
func (b *Broker) positionOf(sequence uint64) (log.Position, error) {
	got, err := b.commits.Read(sequence, 1)
	if err != nil || len(got) == 0 {
		return log.Position{}, errs.New(errs.NotFound, "%w: append %d is not kept: %w", log.ErrHistoryThinned, sequence, err)
	}
	return got[0].Position, nil
}

// PositionAt: see log.Log. A time before the first append gives the zero Position, or ErrHistoryThinned when older
// appends are no longer kept.
func (b *Broker) PositionAt(t time.Time) (log.Position, error) {
	d := b.durable
	d.mu.RLock()
	if n := len(d.mu.tail); n > 0 && !d.mu.tail[0].entry.Time.After(t) {
		i := sort.Search(n, func(i int) bool { return d.mu.tail[i].entry.Time.After(t) }) - 1
		defer d.mu.RUnlock()
		return d.mu.tail[i].entry.Position, nil
	}
	d.mu.RUnlock()
	c, ok, err := b.commits.AtTime(t)
	if err != nil {
		return log.Position{}, err
	}
	if !ok {
		if first, _ := b.commits.Bounds(); first > 1 {
			return log.Position{}, errs.New(errs.NotFound, "%w: the first append kept is after %v", log.ErrHistoryThinned, t)
		}
	}
	return c.Position, nil
}
