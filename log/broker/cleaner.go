package broker

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/segment"
)

// cleaner gives up what topics no longer keep. It has a goroutine of its own, so that producers never wait for it: it
// decides, the journal makes the decision durable, and files go at the next checkpoint.
type cleaner struct {
	broker *Broker
	every  time.Duration
	clock  clock.Clock
	// damaged are partitions whose compaction has met damage: they are left as they are until the next start. What else fails
	// is tried again.
	damaged map[log.Partition]bool
	// told are the partitions that Options.Uncompacted has been told of, and what it was told.
	told map[log.Partition]string
	// fences are the markers, met in the rounds before, that began the present epoch of their producer.
	fences  map[log.Partition]map[int64]lastWrite
	thinner thinner
}

func (c *cleaner) run(ctx context.Context) {
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// What ends it now (a full disk, the log's end) is tried again or reported elsewhere.
		_ = c.pass(ctx)
	}
}

// pass looks at every partition once.
func (c *cleaner) pass(ctx context.Context) error {
	if err := c.retain(ctx); err != nil {
		return err
	}
	if err := c.compact(ctx); err != nil {
		return err
	}
	if err := c.forget(ctx); err != nil {
		return err
	}
	if err := c.thin(ctx); err != nil {
		return err
	}
	if c.retirable() {
		c.broker.requestCheckpoint()
	}
	return nil
}

// retain moves the starts of the partitions whose oldest segments are too old or too many.
func (c *cleaner) retain(ctx context.Context) error {
	var moves []event
	now, kept := c.clock.Now(), c.broker.kept()
	for _, t := range c.broker.Topics() {
		cut, _ := t.Cleanup()
		if !cut || t.ID == log.CatalogTopicID {
			continue
		}
		for i := range t.Partitions {
			p := log.Partition{Topic: t.ID, Index: i}
			store := c.broker.durable.store(p)
			if store == nil {
				continue
			}
			infos, _ := store.Segments()
			if bounds, err := c.broker.Bounds(p); err != nil {
				continue // dropped
			} else if i := slices.IndexFunc(infos, func(s segment.Info) bool { return s.Next > bounds.Stable }); i >= 0 {
				infos = infos[:i] // a transaction that has not ended
			}
			if start := retained(&t, infos, now, kept); start >= 0 {
				moves = append(moves, startMoved{p, start})
			}
		}
	}
	return c.broker.change(ctx, func(s *state) ([]event, error) {
		return slices.DeleteFunc(moves, func(m event) bool {
			move := m.(startMoved)
			p := s.partitions[move.partition]
			return p == nil || p.start >= move.start
		}), nil
	})
}

// retained gives the offset from which on a partition keeps its segments by retention.ms and retention.bytes (Kafka's
// UnifiedLog.deleteOldSegments); -1: all of them.
func retained(t *log.Topic, infos []segment.Info, now time.Time, kept uint64) int64 {
	age, size := t.Number("retention.ms"), t.Number("retention.bytes")
	excess := int64(0)
	if size >= 0 {
		for _, s := range infos {
			excess += s.Size
		}
		excess -= size
	}
	start := int64(-1)
	for _, s := range infos {
		newest := s.MaxTimestamp
		if newest < 0 {
			newest = s.Created / 1e6
		}
		old := age >= 0 && now.UnixMilli()-newest > age
		if s.Last > kept || !old && (size < 0 || excess < s.Size) {
			break
		}
		excess -= s.Size
		start = s.Next
	}
	return start
}

// retirable reports whether there are segments whose records have all been given up.
func (c *cleaner) retirable() bool {
	d, kept := c.broker.durable, c.broker.kept()
	d.mu.RLock()
	defer d.mu.RUnlock()
	for p, v := range d.mu.partitions {
		ps := d.mu.state.partitions[p]
		if ps == nil || v.store == nil || ps.start == 0 {
			continue
		}
		if infos, _ := v.store.Segments(); len(infos) > 0 && infos[0].Next <= ps.start && infos[0].Last <= kept {
			return true
		}
	}
	return false
}

// kept is the sequence of the newest append that nobody holds a pin before.
func (p *pins) kept() uint64 {
	if lowest, pinned := p.lowest(); pinned {
		return lowest.Sequence
	}
	return math.MaxUint64
}

// kept is the sequence of the newest append whose records nobody who holds a pin has still to see. A Kafka transaction's
// records take effect when it commits: those of the longest one before the pin are kept too.
func (b *Broker) kept() uint64 {
	kept := b.pins.kept()
	b.durable.mu.RLock()
	txns := len(b.durable.mu.state.txns)
	b.durable.mu.RUnlock()
	if txns == 0 || kept == 0 || kept == math.MaxUint64 {
		return kept
	}
	at, err := b.timeOf(kept)
	if err != nil {
		return 0
	}
	before, err := b.PositionAt(at.Add(-log.MaxTxnTimeout))
	if err != nil {
		return 0
	}
	return before.Sequence
}

// timeOf gives the commit time of an append that is durable.
func (b *Broker) timeOf(sequence uint64) (time.Time, error) {
	d := b.durable
	d.mu.RLock()
	if n := len(d.mu.tail); n > 0 && sequence >= d.mu.tail[0].entry.Position.Sequence {
		defer d.mu.RUnlock()
		return d.mu.tail[min(int(sequence-d.mu.tail[0].entry.Position.Sequence), n-1)].entry.Time, nil
	}
	d.mu.RUnlock()
	got, err := b.commits.Read(sequence, 1)
	if err != nil || len(got) == 0 {
		return time.Time{}, errs.New(errs.NotFound, "%w: append %d is not kept: %w", log.ErrHistoryThinned, sequence, err)
	}
	return got[0].Time, nil
}

// change makes events durable that decide makes of the newest state.
func (b *Broker) change(ctx context.Context, decide func(s *state) ([]event, error)) error {
	ticket, err := b.sequence.change(decide)
	if err != nil {
		return err
	}
	return ticket.Wait(ctx)
}

// DeleteRecords gives up the records of a partition before an offset (-1: all that are durable) and gives the partition's
// start. Their bytes go when whole segments are given up that no pin holds. Errors: ErrUnknownPartition,
// ErrOffsetOutOfRange, Denied (the catalog).
func (b *Broker) DeleteRecords(ctx context.Context, p log.Partition, before int64) (start int64, err error) {
	bounds, err := b.Bounds(p)
	switch {
	case err != nil:
		return -1, err
	case p.Topic == log.CatalogTopicID:
		return -1, errs.New(errs.Denied, "the topic %s is never cut", log.CatalogTopic)
	case before == -1:
		before = bounds.End
	case before < 0 || before > bounds.End:
		return -1, errs.New(errs.NotFound, "%w: offset %d of %s partition %d, kept are %d to %d",
			log.ErrOffsetOutOfRange, before, p.Topic, p.Index, bounds.Start, bounds.End)
	}
	if before > bounds.Start {
		err = b.change(ctx, func(s *state) ([]event, error) {
			if s.partitions[p] == nil {
				return nil, admission.UnknownPartition(p)
			}
			return []event{startMoved{p, before}}, nil
		})
	}
	if err == nil {
		bounds, err = b.Bounds(p)
	}
	if err != nil {
		return -1, err
	}
	return bounds.Start, nil
}

// requestCheckpoint asks the committer for a checkpoint of what is durable.
func (b *Broker) requestCheckpoint() {
	b.wanted.Store(true)
	b.sequence.poke()
}
