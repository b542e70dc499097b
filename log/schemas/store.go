package schemas

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// TopicConfig is the config with which the topic is made: see the package comment.
var TopicConfig = map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "9223372036854775807"}

// Options are what a Store needs.
type Options struct {
	Log log.Log
	// Create makes the topic when the first schema is registered.
	Create func(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error)
	Clock  clock.Clock
}

// Store is the registry. All methods are safe for concurrent use. It starts nothing and holds no goroutine.
type Store struct {
	o Options
	// writing is held from the decision of a write until it is durable: ids and versions are given one after another.
	writing chan struct{}
	// compare is schema.Follow: it may take a while, and is never called with a lock held.
	compare func(ctx context.Context, steps int, l schema.Level, next *schema.Schema, history []*schema.Schema) ([]string, error)
	lanes   [2]lane
	mu      struct {
		sync.RWMutex
		*state
		topic log.TopicID
		next  int64 // the first offset that has not been read
	}
}

// New makes a store. What the topic holds is read when something is asked.
func New(o Options) *Store {
	s := &Store{o: o, writing: make(chan struct{}, 1), compare: schema.Follow, lanes: newLanes()}
	s.mu.state = newState()
	return s
}

func partition(id log.TopicID) log.Partition { return log.Partition{Topic: id} }

// read takes in what the topic holds up to its durable end and gives the state under a read lock; done lets go of it.
func (s *Store) read(ctx context.Context) (st *state, done func(), err error) {
	topic, ok := s.o.Log.Topic(log.SchemasTopic)
	end := int64(0)
	if ok {
		b, err := s.o.Log.Bounds(partition(topic.ID))
		if err != nil {
			return nil, nil, err
		}
		end = b.End
	}
	s.mu.RLock()
	if s.mu.topic == topic.ID && s.mu.next >= end {
		return s.mu.state, s.mu.RUnlock, nil
	}
	s.mu.RUnlock()
	if err := s.catchUp(ctx, topic.ID, end); err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	return s.mu.state, s.mu.RUnlock, nil
}

func (s *Store) catchUp(ctx context.Context, topic log.TopicID, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.topic != topic {
		s.mu.state, s.mu.topic, s.mu.next = newState(), topic, 0
	}
	r := record.NewReader(s.o.Log, partition(topic), s.mu.next, end)
	var it record.Iterator
	for r.Next(ctx) {
		if err := s.take(&it, r); err != nil {
			return err
		}
		s.mu.next = r.Offset()
	}
	if r.Err() == nil {
		s.mu.next = max(s.mu.next, end)
	}
	return r.Err()
}

// take applies the records of one batch that have not been applied. The caller holds mu. Registries write no transactions: a
// transactional batch, which may be aborted yet, is nobody's.
func (s *Store) take(it *record.Iterator, r *record.Reader) error {
	b := r.Batch()
	if b.Control() || b.Transactional() {
		return nil
	}
	at, err := r.Position()
	if errors.Is(err, log.ErrOffsetOutOfRange) {
		return nil // given up meanwhile
	}
	if err != nil {
		return err
	}
	if err := it.Reset(b); err != nil {
		return err
	}
	for it.Next() {
		if rec := it.Record(); r.Within(rec.Offset) {
			s.mu.apply(rec.Key, rec.Value, at)
		}
	}
	return it.Err()
}

// Writer gives the schema of an id that was registered before the append at a Position (zero: by now). ok is false when there
// is none: an id is known from its registration on, for ever, so the answer for a Position never changes.
func (s *Store) Writer(ctx context.Context, id int32, before log.Position) (c *Content, ok bool, err error) {
	s.mu.RLock()
	c, ok = s.mu.contents[id]
	s.mu.RUnlock()
	if !ok {
		st, done, err := s.read(ctx)
		if err != nil {
			return nil, false, err
		}
		c, ok = st.contents[id]
		done()
	}
	if !ok || !before.IsZero() && !c.Since.Less(before) {
		return nil, false, nil
	}
	return c, true, nil
}

// conflictPause is how long a write waits for the records of another writer to become durable.
const conflictPause = 2 * time.Millisecond

// write appends what decide makes of the state. The append is conditional on the offset up to which the state was read, so
// that nobody's record comes between; decide is called anew when one has.
func (s *Store) write(ctx context.Context, decide func(*state) ([]entry, error)) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		st, done, err := s.read(ctx)
		if err != nil {
			return err
		}
		topic, next := s.mu.topic, s.mu.next
		entries, err := decide(st)
		done()
		if err != nil || len(entries) == 0 {
			return err
		}
		if topic.IsZero() {
			_, err := s.o.Create(ctx, log.SchemasTopic, 1, TopicConfig)
			if _, there := s.o.Log.Topic(log.SchemasTopic); err != nil && !there {
				return err
			}
			continue
		}
		err = s.append(ctx, topic, next, entries)
		if !errors.Is(err, log.ErrExpectation) {
			return err
		}
		select {
		case <-time.After(conflictPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) append(ctx context.Context, topic log.TopicID, next int64, entries []entry) error {
	var b record.Builder
	for _, e := range entries {
		b.Add(s.o.Clock.Now().UnixMilli(), e.key, e.value)
	}
	batch, err := b.Build()
	if err != nil {
		return err
	}
	p := partition(topic)
	t, err := s.o.Log.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: batch}},
		Expect: []log.Expect{{Partition: p, NextOffset: next}}})
	if err != nil {
		return err
	}
	// An answer "cancelled" would be a lie: the records may be durable.
	if err := t.Wait(context.WithoutCancel(ctx)); err != nil {
		return errs.New(errs.KindOf(err), "writing to %s: %w", log.SchemasTopic, err)
	}
	return nil
}
