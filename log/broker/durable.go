package broker

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/segment"
)

// durable is what readers see: the state at the durable end, the newest entries in memory, and the segments behind.
type durable struct {
	keep int64 // bytes of memory of entries that stay although segments have them

	mu struct {
		sync.RWMutex
		state      *state
		tail       []tailEntry // dense sequences up to state.sequence
		bytes      int64       // of memory that tail takes
		applied    uint64      // sequence up to which segments and commit index have it
		partitions map[log.Partition]*partitionView
		changed    chan struct{} // closed when the end moves
		stopped    error         // why the end will not move again
	}
}

type tailEntry struct {
	entry log.Entry
	parts []part
	size  int64 // bytes of its batches
}

// entryMemory and batchMemory are about what an entry and each of its batches take in memory beside their bytes.
const (
	entryMemory = 512
	batchMemory = 320
)

func (e *tailEntry) memory() int64 {
	return e.size + entryMemory + int64(len(e.entry.Batches))*batchMemory
}

// partitionView is where the records of a partition are.
type partitionView struct {
	store *segment.Store
	tail  []tailBatch
}

// tailBatch is a batch of a tail entry.
type tailBatch struct {
	base, next   int64
	bytes        []byte
	maxTimestamp int64
	position     log.Position
}

func newDurable(s *state, keep int64) *durable {
	d := &durable{keep: keep}
	d.mu.state, d.mu.applied = s, s.sequence
	d.mu.partitions = map[log.Partition]*partitionView{}
	d.mu.changed = make(chan struct{})
	return d
}

// commit takes in a durable group: from here on readers see it.
func (d *durable) commit(items []*item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, it := range items {
		d.mu.state.apply(it)
		if !it.isAppend() {
			continue
		}
		e := tailEntry{it.entry, it.parts, it.size}
		d.mu.tail = append(d.mu.tail, e)
		d.mu.bytes += e.memory()
		for i := range it.entry.Batches {
			b := &it.entry.Batches[i]
			v := d.viewLocked(b.Partition)
			v.tail = append(v.tail, tailBatch{
				base: b.BaseOffset, next: b.BaseOffset + int64(b.Records), bytes: b.Batch,
				maxTimestamp: it.parts[i].maxTimestamp, position: it.entry.Position,
			})
		}
	}
	d.evictLocked()
	d.signalLocked()
}

func (d *durable) signalLocked() {
	close(d.mu.changed)
	d.mu.changed = make(chan struct{})
}

// stop lets every waiting reader go with cause.
func (d *durable) stop(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.stopped == nil {
		d.mu.stopped = cause
		d.signalLocked()
	}
}

func (d *durable) viewLocked(p log.Partition) *partitionView {
	v := d.mu.partitions[p]
	if v == nil {
		v = &partitionView{}
		d.mu.partitions[p] = v
	}
	return v
}

// evictLocked drops the oldest entries that are in segments while the tail is over its size.
func (d *durable) evictLocked() {
	n := 0
	for n < len(d.mu.tail) && d.mu.bytes > d.keep && d.mu.tail[n].entry.Position.Sequence <= d.mu.applied {
		e := &d.mu.tail[n]
		d.mu.bytes -= e.memory()
		for i := range e.entry.Batches {
			if v := d.mu.partitions[e.entry.Batches[i].Partition]; v != nil && len(v.tail) > 0 {
				v.tail[0] = tailBatch{}
				v.tail = v.tail[1:]
			}
		}
		*e = tailEntry{}
		n++
	}
	d.mu.tail = d.mu.tail[n:]
}

// unapplied gives about maxBytes of the entries that segments do not have.
func (d *durable) unapplied(maxBytes int64) []tailEntry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.mu.tail) == 0 {
		return nil
	}
	from := int(d.mu.applied + 1 - d.mu.tail[0].entry.Position.Sequence)
	to, size := from, int64(0)
	for to < len(d.mu.tail) && size < maxBytes {
		size += d.mu.tail[to].size
		to++
	}
	return slices.Clone(d.mu.tail[from:to])
}

// setApplied says that segments and commit index have everything up to sequence.
func (d *durable) setApplied(sequence uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.applied = sequence
	d.evictLocked()
}

// appliedTo is the sequence up to which segments, commit index and key index have everything.
func (d *durable) appliedTo() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mu.applied
}

func (d *durable) end() log.Position {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.endLocked()
}

func (d *durable) endLocked() log.Position {
	s := d.mu.state
	if s.sequence == 0 {
		return log.Position{}
	}
	return log.Position{Epoch: s.epochAt(s.sequence), Sequence: s.sequence}
}

func (d *durable) topics() []log.Topic {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]log.Topic, 0, len(d.mu.state.topics.ByID))
	for _, t := range d.mu.state.topics.ByID {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b log.Topic) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (d *durable) topic(name string) (log.Topic, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.mu.state.topics.ByID[d.mu.state.topics.Names[name]]; t != nil {
		return *t, true
	}
	return log.Topic{}, false
}

func (d *durable) topicByID(id log.TopicID) (log.Topic, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.mu.state.topics.ByID[id]; t != nil {
		return *t, true
	}
	return log.Topic{}, false
}

func (d *durable) bounds(p log.Partition) (log.Bounds, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	ps := d.mu.state.partitions[p]
	if ps == nil {
		return log.Bounds{}, admission.UnknownPartition(p)
	}
	clean := max(ps.clean, ps.start)
	if v := d.mu.partitions[p]; v != nil && v.store != nil {
		clean = max(clean, v.store.Whole())
	}
	return log.Bounds{Start: ps.start, End: ps.next, Clean: clean, Stable: max(ps.stable(), ps.start)}, nil
}

// store gives the segments of a partition, nil when there are none.
func (d *durable) store(p log.Partition) *segment.Store {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if v := d.mu.partitions[p]; v != nil {
		return v.store
	}
	return nil
}

// find gives the index of the tail batch that holds offset, -1 when it is older than the tail.
func (v *partitionView) find(offset int64) int {
	return sort.Search(len(v.tail), func(i int) bool { return v.tail[i].base > offset }) - 1
}

// tailForTime gives the first batch in memory from an offset on that says it has a timestamp of ms or later, and the offset to
// go on at: behind the batch, at from itself when that has left the memory meanwhile, -1 when nothing is left.
func (d *durable) tailForTime(p log.Partition, from, ms int64) (batch []byte, next int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	v, ps := d.mu.partitions[p], d.mu.state.partitions[p]
	if v == nil || ps == nil || from >= ps.next {
		return nil, -1
	}
	i := v.find(from)
	if i < 0 {
		return nil, from
	}
	for ; i < len(v.tail); i++ {
		if t := &v.tail[i]; t.maxTimestamp >= ms && t.next > from {
			return t.bytes, t.next
		}
	}
	return nil, -1
}

func unixNano(ns int64) time.Time { return time.Unix(0, ns).UTC() }
