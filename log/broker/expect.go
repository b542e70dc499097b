package broker

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/keys"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/topics"
)

// keyRead is what was read of a part's records: their keys, and the conditions in their headers.
type keyRead struct {
	keys   []recordKey
	expect []recordExpect
}

// recordKey is the key of a record, by the record's distance from the part's first offset.
type recordKey struct {
	delta int32
	name  keys.Name
}

// recordExpect is a condition in the headers of a record.
type recordExpect struct {
	delta int32
	key   []byte // nil: of the next offset
	want  int64
}

// readKeys reads the records of a part when its topic needs it.
func (pt *part) readKeys(t *log.Topic, indexed bool, batches []byte) error {
	conditional := t.Enabled(log.ConfigConditional)
	indexed = indexed || t.Enabled(log.ConfigKeyIndex)
	if pt.read != nil || !conditional && !indexed {
		return nil
	}
	read := &keyRead{}
	var it record.Iterator
	base := int64(0)
	for b, err := range record.Batches(batches) {
		if err != nil {
			return err
		}
		if b.Control() {
			base += int64(b.Offsets())
			continue
		}
		if err := it.Reset(b); err != nil {
			return err
		}
		index := 0
		for ; it.Next(); index++ {
			r := it.Record()
			delta := int32(base + r.Offset - b.BaseOffset)
			if conditional && len(r.Headers) > 0 {
				if err := read.headers(t, r, delta); err != nil {
					return errs.New(errs.Invalid, "topic %s: %w", t.Name, &log.RecordError{Index: int(delta), Message: err.Error()})
				}
			}
			if indexed && r.Key != nil {
				read.keys = append(read.keys, recordKey{delta, keys.NameOf(r.Key)})
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		base += int64(b.Offsets())
	}
	pt.read = read
	return nil
}

func (read *keyRead) headers(t *log.Topic, r record.Record, delta int32) error {
	for _, h := range r.Headers {
		name := string(h.Key)
		if name != log.HeaderNextOffset && name != log.HeaderKeyOffset {
			continue
		}
		want, err := strconv.ParseInt(string(h.Value), 10, 64)
		switch {
		case err != nil || want < -1 || want < 0 && name == log.HeaderNextOffset:
			return fmt.Errorf("header %s is %q: want an offset as a decimal number", name, h.Value)
		case name == log.HeaderNextOffset:
			read.expect = append(read.expect, recordExpect{delta, nil, want})
		case r.Key == nil:
			return fmt.Errorf("header %s: the record has no key", name)
		case !t.Enabled(log.ConfigKeyIndex):
			return fmt.Errorf("header %s: the topic has no key index: set %s=true", name, log.ConfigKeyIndex)
		default:
			read.expect = append(read.expect, recordExpect{delta, append([]byte{}, r.Key...), want})
		}
	}
	return nil
}

// prepare reads the records of topics that need it, waits for the key indexes that the conditions name, and looks the keys
// up once: what the sequencer then looks up again, under its lock, is in memory.
func (b *Broker) prepare(ctx context.Context, it *item, expect []log.Expect) error {
	warm := func(p log.Partition, key []byte) error {
		if t, ok := b.TopicByID(p.Topic); !ok || p.Index < 0 || p.Index >= t.Partitions || !t.Enabled(log.ConfigKeyIndex) {
			return nil // the sequencer knows better: the append may make the topic
		}
		x, err := b.keys.await(ctx, p)
		if err != nil {
			return err
		}
		for _, err := range x.Newest(p, keys.NameOf(key), math.MaxInt64) {
			return err
		}
		return nil
	}
	for i := range it.entry.Batches {
		pb := &it.entry.Batches[i]
		t, ok := b.TopicByID(pb.Partition.Topic)
		if !ok {
			continue
		}
		if err := it.parts[i].readKeys(&t, false, pb.Batch); err != nil {
			return err
		}
		if read := it.parts[i].read; read != nil {
			for _, e := range read.expect {
				if e.key != nil {
					if err := warm(pb.Partition, e.key); err != nil {
						return err
					}
				}
			}
		}
	}
	for _, e := range expect {
		if e.Key != nil {
			if err := warm(e.Partition, e.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyPlace is a key of a partition.
type keyPlace struct {
	partition log.Partition
	name      keys.Name
}

// pending are the keys of the appends that are ordered and may not be in the index yet.
type pending struct {
	index   *keyIndex
	applied func() uint64 // sequence up to which the index has everything
	// hasAborted looks among the aborted transactions that are durable; the sequencer's state has the others.
	hasAborted func(p log.Partition, producer, offset int64) (bool, error)
	entries    map[keyPlace][]keys.Entry
	order      []pendingKey
}

type pendingKey struct {
	sequence uint64
	place    keyPlace
}

// add notes the keys of an append that was ordered.
func (n *pending) add(it *item) {
	for i := range it.parts {
		read, pb := it.parts[i].read, &it.entry.Batches[i]
		if read == nil || len(read.keys) == 0 {
			continue
		}
		if n.entries == nil {
			n.entries = map[keyPlace][]keys.Entry{}
		}
		for _, k := range read.keys {
			place := keyPlace{pb.Partition, k.name}
			n.entries[place] = append(n.entries[place], keys.Entry{Offset: pb.BaseOffset + int64(k.delta), Producer: it.parts[i].transaction()})
			n.order = append(n.order, pendingKey{it.entry.Position.Sequence, place})
		}
		it.parts[i].read = nil // the rest of the way needs it no more
	}
	n.prune()
}

// prune forgets what the index has.
func (n *pending) prune() {
	if len(n.order) == 0 {
		return
	}
	applied, i := n.applied(), 0
	for ; i < len(n.order) && n.order[i].sequence <= applied; i++ {
		place := n.order[i].place
		if left := n.entries[place][1:]; len(left) > 0 {
			n.entries[place] = left
		} else {
			delete(n.entries, place)
		}
	}
	if n.order = n.order[i:]; len(n.order) == 0 {
		n.order, n.entries = nil, nil // an idle log holds nothing
	}
}

// revert forgets what was ordered behind a sequence.
func (n *pending) revert(sequence uint64) {
	for i := len(n.order) - 1; i >= 0 && n.order[i].sequence > sequence; i-- {
		place := n.order[i].place
		n.entries[place] = n.entries[place][:len(n.entries[place])-1]
		if len(n.entries[place]) == 0 {
			delete(n.entries, place)
		}
		n.order = n.order[:i]
	}
}

// transaction is the producer whose transaction the part is of, -1: none.
func (pt *part) transaction() int64 {
	if pt.transactional {
		return pt.producer.id
	}
	return -1
}

// newest gives the last record of a key that was ordered, -1: there is none. open: it is of a transaction of another
// producer than the one that asks, and that transaction has not ended.
func (n *pending) newest(s *state, place keyPlace, producer int64) (offset int64, open bool, err error) {
	ps := s.partitions[place.partition]
	if ps == nil {
		return -1, false, nil // made by the append that asks
	}
	x, one := n.index.get(place.partition)
	if one == nil || !one.isBuilt() {
		return 0, false, errs.New(errs.Unavailable, "the key index of %s partition %d is not built yet", place.partition.Topic, place.partition.Index)
	}
	n.prune()
	for e, err := range newestFirst(n.entries[place], x.Newest(place.partition, place.name, math.MaxInt64)) {
		switch {
		case err != nil:
			return 0, false, err
		case e.Offset < ps.start:
			return -1, false, nil
		case ps.hasAborted(e):
			continue
		}
		if aborted, err := n.hasAborted(place.partition, e.Producer, e.Offset); err != nil {
			return 0, false, err
		} else if aborted {
			continue
		}
		if first, ongoing := ps.open[e.Producer]; ongoing && e.Offset >= first {
			open = e.Producer != producer
		}
		return e.Offset, open, nil
	}
	return -1, false, nil
}

// newestFirst gives the entries of a key that are pending, oldest first, among those of the index, newest first; some may come
// twice. The index may have newer ones than what is pending: those of appends that came when the topic had no index for a while.
func newestFirst(pending []keys.Entry, index iter.Seq2[keys.Entry, error]) iter.Seq2[keys.Entry, error] {
	return func(yield func(keys.Entry, error) bool) {
		i := len(pending)
		for e, err := range index {
			for ; err == nil && i > 0 && pending[i-1].Offset >= e.Offset; i-- {
				if !yield(pending[i-1], nil) {
					return
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		for ; i > 0; i-- {
			if !yield(pending[i-1], nil) {
				return
			}
		}
	}
}

// hasAborted looks among the aborted transactions that the state holds.
func (p *partitionState) hasAborted(e keys.Entry) bool {
	if e.Producer < 0 {
		return false
	}
	for i := len(p.aborted) - 1; i >= 0 && p.aborted[i].Last >= e.Offset; i-- {
		if a := p.aborted[i]; a.Producer == e.Producer && a.First <= e.Offset {
			return true
		}
	}
	return false
}

// checkExpectations checks the conditions of an append and of its records against everything ordered.
func (q *sequencer) checkExpectations(o *topics.Overlay, it *item, expect []log.Expect) error {
	var unmet []log.Unmet
	for i, e := range expect {
		if !o.Exists(e.Partition) {
			return admission.UnknownPartition(e.Partition)
		}
		if next := q.mu.state.next(e.Partition); e.NextOffset >= 0 && e.NextOffset != next {
			unmet = append(unmet, log.Unmet{Expect: log.Expect{Partition: e.Partition, NextOffset: e.NextOffset}, Record: -1, Index: i, Actual: next})
		}
		if e.Key == nil {
			continue
		}
		if t := o.Topic(e.Partition.Topic); !t.Enabled(log.ConfigKeyIndex) {
			return noKeyIndex(t.Name)
		}
		last, open, err := q.mu.pending.newest(q.mu.state, keyPlace{e.Partition, keys.NameOf(e.Key)}, it.transactionOf(e.Partition))
		if err != nil {
			return err
		}
		if open || last != e.LastOffset {
			unmet = append(unmet, log.Unmet{Expect: log.Expect{Partition: e.Partition, NextOffset: -1, Key: e.Key, LastOffset: e.LastOffset},
				Record: -1, Index: i, Actual: last, Open: open})
		}
	}
	unmet, err := q.checkHeaders(o, it, unmet)
	if err == nil && len(unmet) > 0 {
		err = errs.New(errs.Conflict, "%w: %w", log.ErrExpectation, &log.ExpectationError{Unmet: unmet})
	}
	return err
}

// transactionOf gives the producer whose transaction the append's records of a partition are of.
func (it *item) transactionOf(p log.Partition) int64 {
	for i := range it.parts {
		if it.entry.Batches[i].Partition == p && it.parts[i].transactional {
			return it.parts[i].producer.id
		}
	}
	return -1
}

// checkHeaders checks the conditions of records, each as if the records before it had been appended.
func (q *sequencer) checkHeaders(o *topics.Overlay, it *item, unmet []log.Unmet) ([]log.Unmet, error) {
	conditional := false
	for i := range it.parts {
		conditional = conditional || it.parts[i].read != nil && len(it.parts[i].read.expect) > 0
	}
	if !conditional {
		return unmet, nil
	}
	next, before := map[log.Partition]int64{}, map[keyPlace]int64{} // what the parts so far make of them
	for i := range it.parts {
		pb, read := &it.entry.Batches[i], it.parts[i].read
		base, again := next[pb.Partition]
		if !again {
			base = q.mu.state.next(pb.Partition)
		}
		next[pb.Partition] = base + int64(pb.Records)
		if read == nil {
			continue
		}
		rest := read.keys
		for _, e := range read.expect {
			for ; len(rest) > 0 && rest[0].delta < e.delta; rest = rest[1:] {
				before[keyPlace{pb.Partition, rest[0].name}] = base + int64(rest[0].delta)
			}
			u := log.Unmet{Expect: log.Expect{Partition: pb.Partition, NextOffset: e.want}, Record: int(e.delta), Index: i, Actual: base + int64(e.delta)}
			if e.key != nil {
				u.Expect.NextOffset, u.Expect.Key, u.Expect.LastOffset = -1, e.key, e.want
				place, err, seen := keyPlace{pb.Partition, keys.NameOf(e.key)}, error(nil), false
				if u.Actual, seen = before[place]; !seen {
					u.Actual, u.Open, err = q.mu.pending.newest(q.mu.state, place, it.parts[i].transaction())
				}
				if err != nil {
					return nil, err
				}
			}
			if u.Open || u.Actual != e.want {
				unmet = append(unmet, u)
			}
		}
		for _, k := range rest {
			before[keyPlace{pb.Partition, k.name}] = base + int64(k.delta)
		}
	}
	return unmet, nil
}

// pendingKeys gives the entries of a key that may not be in the index yet.
func (q *sequencer) pendingKeys(p log.Partition, name keys.Name) []keys.Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.pending.prune()
	return append([]keys.Entry(nil), q.mu.pending.entries[keyPlace{p, name}]...)
}
