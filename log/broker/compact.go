package broker

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"strconv"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/segment"
)

const (
	// compactKeys bounds the keys of one round in memory, at about 40 bytes each; what is behind the last one that fits
	// waits for the next round. It must not grow: of transactions over more offsets no deletion is forgotten (rowRound).
	compactKeys = 1 << 20
	// compactFile is the size up to which small segments become one.
	compactFile = 256 << 20
)

// compact compacts the partitions of the topics that ask for it and have enough to win.
func (c *cleaner) compact(ctx context.Context) error {
	for _, t := range c.broker.Topics() {
		if _, compact := t.Cleanup(); !compact || t.ID == log.CatalogTopicID {
			continue
		}
		for i := range t.Partitions {
			p := log.Partition{Topic: t.ID, Index: i}
			if c.damaged[p] {
				continue
			}
			err := c.compactPartition(ctx, &t, p)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.tell(&t, p, err)
			if errs.Is(err, errs.Corrupt) || errors.Is(err, log.ErrCorruptBatch) || errors.Is(err, log.ErrInvalidRecord) {
				// Reading it gives the damage to whoever asks; compacting it would lose what is left.
				c.damaged[p] = true
			}
		}
	}
	maps.DeleteFunc(c.told, func(p log.Partition, _ string) bool { return c.broker.durable.store(p) == nil })
	maps.DeleteFunc(c.fences, func(p log.Partition, _ map[int64]lastWrite) bool { return c.broker.durable.store(p) == nil })
	return nil
}

// tell tells why a partition that is still there was not compacted, unless that was told.
func (c *cleaner) tell(t *log.Topic, p log.Partition, err error) {
	switch {
	case err == nil || c.broker.durable.store(p) == nil:
		delete(c.told, p)
	case c.told[p] != err.Error() && c.broker.opts.Uncompacted != nil:
		c.told[p] = err.Error()
		c.broker.opts.Uncompacted(t.Name, p.Index, err)
	}
}

func (c *cleaner) compactPartition(ctx context.Context, t *log.Topic, p log.Partition) error {
	store := c.broker.durable.store(p)
	if store == nil || !c.compacted(t) {
		return nil
	}
	rows, known := c.broker.opts.Rows(ctx, *t)
	if !known {
		return nil
	}
	if err := c.seal(ctx, t, store); err != nil {
		return err
	}
	r := round{topic: t, store: store, partition: p, now: c.clock.Now(), room: c.broker.opts.roundKeys}
	infos, cleaned := store.Segments()
	r.cleaned = cleaned
	bounds, err := c.broker.Bounds(p)
	if err != nil {
		return err
	}
	if !r.choose(infos, cleaned, c.broker.kept(), bounds.Stable) {
		return nil
	}
	r.aborted, r.observed = record.NewAbortedCursor(c.broker, p, r.upTo), map[int64]bool{}
	r.producers, r.fences = c.broker.durable.lastWrites(p), map[int64]lastWrite{}
	for id, f := range c.fences[p] {
		r.fence(id, f)
	}
	c.fences[p] = r.fences
	r.keys, r.seeds = map[[2]uint64]int64{}, [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	if rows != nil {
		r.rows = newRowRound(c.broker, &r, rows, bounds.Start)
		err = r.rows.collect(ctx)
	} else {
		err = r.collect(ctx)
	}
	if err != nil {
		return err
	}
	groups := r.groups()
	for i, group := range groups {
		rewritten, err := store.Rewrite(group, func(b record.Batch) ([]byte, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return r.edit(b)
		})
		if err != nil {
			return err
		}
		// The old files go at the next checkpoint, after the snapshot that names the new one.
		clean := int64(0)
		if i == len(groups)-1 {
			clean = r.upTo // not before: a round that is cut short is begun again
		}
		ok, err := c.broker.applier.replace(ctx, store, rewritten, clean, func() bool {
			now, known := c.broker.opts.Rows(ctx, *t)
			return known && (now == nil) == (rows == nil) && c.compacted(t)
		})
		if err != nil {
			return err
		}
		c.broker.requestCheckpoint()
		if !ok {
			return nil // retention came in between, or a table's declaration, and one of the files may be left as it was
		}
	}
	return nil
}

// compacted tells whether a topic is there and still asks for compaction: between a round's beginning and its end its settings
// may change.
func (c *cleaner) compacted(t *log.Topic) bool {
	now, ok := c.broker.TopicByID(t.ID)
	_, compact := now.Cleanup()
	return ok && compact
}

// seal closes the last segment when it is older than segment.ms or max.compaction.lag.ms allow: without appends nobody
// else would.
func (c *cleaner) seal(ctx context.Context, t *log.Topic, store *segment.Store) error {
	infos, _ := store.Segments()
	if len(infos) == 0 {
		return nil
	}
	last := infos[len(infos)-1]
	age := c.clock.Now().UnixMilli() - last.Created/1e6
	if last.Closed || last.Size == 0 || last.Created == 0 || age < min(t.Number("segment.ms"), t.Number("max.compaction.lag.ms")) {
		return nil
	}
	return c.broker.applier.do(ctx, func() error {
		if err := store.Flush(); err != nil {
			return err
		}
		store.Seal()
		return nil
	})
}

// round is one compaction of a partition, as Kafka's LogCleaner defines it.
type round struct {
	topic     *log.Topic
	store     *segment.Store
	partition log.Partition
	now       time.Time
	cleaned   int64     // the clean offset before the round
	rows      *rowRound // nil: records are told apart by their keys

	files     []segment.Info // to be written anew
	upTo      int64          // the offset up to which keys are known, the clean one after the round
	keys      map[[2]uint64]int64
	room      int // for keys
	seeds     [2]maphash.Seed
	producers map[int64]lastWrite // of each live producer
	fences    map[int64]lastWrite // those of them that are markers
	it        record.Iterator

	aborted  *record.AbortedCursor
	observed map[int64]bool // producers with records left of the transaction that the next marker ends
}

// choose takes the closed segments that may be compacted, and tells whether there is enough to win.
func (r *round) choose(infos []segment.Info, cleaned int64, kept uint64, stable int64) bool {
	lag, longest := r.topic.Number("min.compaction.lag.ms"), r.topic.Number("max.compaction.lag.ms")
	now := r.now.UnixMilli()
	clean, dirty, overdue := int64(0), int64(0), false
	for _, s := range infos {
		if !s.Closed || s.Next > stable || s.Last > kept || lag > 0 && s.MaxTimestamp > now-lag {
			break
		}
		r.files, r.upTo = append(r.files, s), s.Next
		if s.Next <= cleaned {
			clean += s.Size
			continue
		}
		dirty += s.Size
		overdue = overdue || now-s.Created/1e6 > longest
	}
	ratio, err := strconv.ParseFloat(r.topic.Setting("min.cleanable.dirty.ratio"), 64)
	if err != nil {
		ratio = 0.5
	}
	return dirty > 0 && (overdue || float64(dirty)/float64(dirty+clean) >= ratio)
}

// collect finds the newest offset of each key of the dirty segments, as many as fit.
func (r *round) collect(ctx context.Context) error {
	full := false
	for i, s := range r.files {
		if s.Next <= r.cleaned {
			continue
		}
		err := r.store.Scan(s.Base, func(b record.Batch) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.meet(&b)
			if full || b.LastOffset() < r.cleaned || b.Control() {
				return nil
			}
			if aborted, err := r.aborted.HasBatch(&b); err != nil || aborted {
				return err
			}
			if !r.fits(b) {
				full, r.upTo = true, b.BaseOffset
				return nil
			}
			return r.note(b)
		})
		if err != nil {
			return err
		}
		if full {
			r.files = r.files[:i+1]
			return nil
		}
	}
	return nil
}

// meet takes a marker in that began an epoch of its producer.
func (r *round) meet(b *record.Batch) {
	if b.Control() {
		r.fence(b.ProducerID, lastWrite{b.LastOffset(), b.ProducerEpoch})
	}
}

// fence makes a marker what tells a producer's state, in the place of its last batch, when it began a newer epoch.
func (r *round) fence(id int64, marker lastWrite) {
	if last, live := r.producers[id]; live && marker.epoch > last.epoch && marker.offset > last.offset {
		r.producers[id], r.fences[id] = marker, marker
	}
}

// fits tells whether there is room for the keys of a batch; for the first one there is.
func (r *round) fits(b record.Batch) bool {
	return len(r.keys)+int(b.Count) <= r.room || len(r.keys) == 0
}

func (r *round) note(b record.Batch) error {
	if err := r.it.Reset(b); err != nil {
		return err
	}
	for r.it.Next() {
		if rec := r.it.Record(); rec.Key != nil {
			r.keys[r.hash(rec.Key)] = rec.Offset
		}
	}
	return r.it.Err()
}

// hash names a key by 128 bits under seeds that no client knows.
func (r *round) hash(key []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(r.seeds[0], key), maphash.Bytes(r.seeds[1], key)}
}

// groups puts neighbouring segments together as long as they make no more than one segment's size.
func (r *round) groups() (groups [][]int64) {
	room := min(r.topic.Number("segment.bytes"), compactFile)
	size, first := int64(0), int64(0)
	for i, s := range r.files {
		if i == 0 || size+s.Size > room || s.Next-first > 1<<31-1 {
			groups = append(groups, nil)
			size, first = 0, s.Base
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s.Base)
		size += s.Size
	}
	return groups
}

// edit gives what is left of a batch: the records that are the newest of their key, none of an aborted transaction. A
// tombstone stays until delete.retention.ms after the round that first met it as the newest, a marker as long after the
// round that found nothing left of its transaction. The last batch of a producer (or the marker that began its epoch) and of the
// round stay without records, so that sequences and the end are known from the batches alone.
func (r *round) edit(b record.Batch) ([]byte, error) {
	r.meet(&b)
	horizon, stamped := b.DeleteHorizon()
	expired := stamped && r.now.UnixMilli() >= horizon
	tombstones := false
	aborted, err := r.aborted.HasBatch(&b)
	if err != nil {
		return nil, err
	}
	if b.Control() {
		tombstones = !r.observed[b.ProducerID] // nothing is left of the transaction: its marker may go one day
		expired = expired && tombstones
		delete(r.observed, b.ProducerID)
	} else if b.Transactional() {
		r.observed[b.ProducerID] = true
	}
	drops := func(rec record.Record) bool {
		return rec.Key == nil || rec.Offset < r.newest(rec.Key) || rec.Value == nil && expired
	}
	if r.rows != nil && !aborted && !b.Control() {
		if drops, err = r.rows.drops(b, expired); drops == nil {
			return b.Bytes, err
		}
	}
	keep := func(rec record.Record) bool {
		switch {
		case aborted:
			return false
		case b.Control():
			return !expired
		case rec.Offset >= r.upTo:
			return true
		case drops(rec):
			return false
		}
		tombstones = tombstones || rec.Value == nil
		return true
	}
	p, err := record.Filter(b, &r.it, 0, keep)
	if err != nil {
		return nil, err
	}
	if tombstones && !stamped {
		if p, err = record.Filter(b, &r.it, r.now.UnixMilli()+r.topic.Number("delete.retention.ms"), keep); err != nil {
			return nil, err
		}
	}
	left, err := record.ParseHeader(p)
	if err != nil {
		return nil, err
	}
	last, live := r.producers[b.ProducerID]
	if left.Count == 0 && !(live && last.offset == b.LastOffset()) && b.LastOffset() < r.upTo-1 {
		return nil, nil
	}
	return p, nil
}

// newest is the highest offset known of a key, -1: none in the dirty part.
func (r *round) newest(key []byte) int64 {
	if offset, ok := r.keys[r.hash(key)]; ok {
		return offset
	}
	return -1
}

// lastWrite is the last batch of a producer.
type lastWrite struct {
	offset int64 // of its last record
	epoch  int16
}

// lastWrites gives the last batch of each producer that a partition remembers.
func (d *durable) lastWrites(p log.Partition) map[int64]lastWrite {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := map[int64]lastWrite{}
	if ps := d.mu.state.partitions[p]; ps != nil {
		for id, k := range ps.producers {
			w := k.batches[len(k.batches)-1]
			out[id] = lastWrite{w.offset + int64(uint32(w.last-w.first)&0x7fffffff), k.epoch}
		}
	}
	return out
}
