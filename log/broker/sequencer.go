package broker

import (
	"cmp"
	"context"
	"sync"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/topics"
)

// sequencer gives appends their place before they are durable. Its state is that of everything ordered.
type sequencer struct {
	clock clock.Clock
	wake  chan struct{} // capacity 1: the committer has something to do

	mu struct {
		sync.Mutex
		state   *state
		queue   []*item
		pending pending // keys of what is queued, and of what the key index does not have yet
		// durable is the sequence up to which tickets are done; waiting are tickets of duplicates whose first write is
		// ordered and not yet durable, in order.
		durable uint64
		waiting []follower
		closed  error // why nothing is taken any more
	}
}

// follower waits for the append with a sequence.
type follower struct {
	sequence uint64
	ticket   *log.Ticket
}

func newSequencer(s *state, c clock.Clock, index *keyIndex, applied func() uint64) *sequencer {
	q := &sequencer{clock: c, wake: make(chan struct{}, 1)}
	q.mu.pending.index, q.mu.pending.applied = index, applied
	q.mu.state, q.mu.durable = s, s.sequence
	return q
}

// submit checks the append against the state, gives it its place and queues it. fresh is false when nothing of it is
// new: a retry of an idempotent producer.
func (q *sequencer) submit(it *item, expect []log.Expect) (ticket *log.Ticket, fresh bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		return nil, false, q.mu.closed
	}
	s := q.mu.state
	o := &topics.Overlay{Set: s.topics}
	if err := q.checkTargets(o, it); err != nil {
		return nil, false, err
	}
	offsets := make([]int64, len(it.entry.Batches))
	last, err := q.dropDuplicates(it, offsets)
	if err != nil {
		return nil, false, err
	}
	if len(it.entry.Batches) == 0 {
		return q.followLocked(last, offsets), false, nil
	}
	if err := q.checkExpectations(o, it, expect); err != nil {
		return nil, false, err
	}
	now := max(q.clock.Now().UnixNano(), s.time)
	if it.events, err = s.joinTxns(it, now); err != nil {
		return nil, false, err
	}
	it.encoded = encodeEvents(it.events)
	it.place(s, now)
	next := 0
	for i := range offsets {
		if offsets[i] < 0 {
			offsets[i] = it.entry.Batches[next].BaseOffset
			next++
		}
	}
	s.apply(it)
	q.mu.pending.add(it)
	it.ticket = log.NewTicket(log.Appended{Position: it.entry.Position, Time: it.entry.Time, Offsets: offsets})
	q.queueLocked(it)
	return it.ticket, true, nil
}

// allocate queues the durable allocation of producer ids up to limit.
func (q *sequencer) allocate(count int64) (first int64, ticket *log.Ticket, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		return 0, nil, q.mu.closed
	}
	first = q.mu.state.producerIDs
	it := newEvents(producerIDsGiven(first + count))
	it.ticket = log.NewTicket(log.Appended{})
	q.mu.state.apply(it)
	q.queueLocked(it)
	return first, it.ticket, nil
}

// change queues the events that decide makes of the state that everything ordered leaves. No events: nothing to wait for.
func (q *sequencer) change(decide func(s *state) ([]event, error)) (*log.Ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		return nil, q.mu.closed
	}
	events, err := decide(q.mu.state)
	if err != nil {
		return nil, err
	}
	it := newEvents(events...)
	it.ticket = log.NewTicket(log.Appended{})
	if len(events) == 0 {
		it.ticket.Complete(nil)
		return it.ticket, nil
	}
	q.mu.state.apply(it)
	q.queueLocked(it)
	return it.ticket, nil
}

// transact queues an append and events, either may be missing, that decide makes of the state that everything ordered leaves.
func (q *sequencer) transact(b *budget, decide func(s *state, now int64) ([]log.PartitionBatch, []event, error)) (*log.Ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		return nil, q.mu.closed
	}
	s := q.mu.state
	now := max(q.clock.Now().UnixNano(), s.time)
	batches, events, err := decide(s, now)
	if err != nil {
		return nil, err
	}
	it := newEvents(events...)
	if len(batches) > 0 {
		if it, err = inspect(log.Append{Batches: batches}); err != nil {
			return nil, err
		}
		it.events, it.encoded = events, encodeEvents(events)
		b.force(it.size)
		it.place(s, now)
	}
	it.ticket = log.NewTicket(log.Appended{Position: it.entry.Position, Time: it.entry.Time})
	for i := range batches {
		it.ticket.Offsets = append(it.ticket.Offsets, it.entry.Batches[i].BaseOffset)
	}
	if len(batches)+len(events) == 0 {
		it.ticket.Complete(nil)
		return it.ticket, nil
	}
	s.apply(it)
	q.queueLocked(it)
	return it.ticket, nil
}

// follow gives a ticket that is done when the append with a sequence is durable.
func (q *sequencer) follow(sequence uint64) *log.Ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.followLocked(rememberedWrite{position: log.Position{Sequence: sequence}}, nil)
}

func (q *sequencer) queueLocked(it *item) {
	q.mu.queue = append(q.mu.queue, it)
	q.poke()
}

func (q *sequencer) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// checkTargets checks topics and partitions, and reads the keys of topics that only the newest state says to have an index.
func (q *sequencer) checkTargets(o *topics.Overlay, it *item) error {
	for i := range it.topics {
		if err := o.Check(&it.topics[i]); err != nil {
			return err
		}
	}
	for i := range it.entry.Batches {
		p := it.entry.Batches[i].Partition
		if !o.Exists(p) {
			return admission.UnknownPartition(p)
		}
		_, indexed := q.mu.pending.index.get(p)
		if err := it.parts[i].readKeys(o.Topic(p.Topic), indexed != nil, it.entry.Batches[i].Batch); err != nil {
			return err
		}
	}
	return nil
}

// dropDuplicates takes batches out of the item that an idempotent producer had written before, and notes their first
// offsets; -1 stands for those that remain. last is the newest of the writes they repeat.
func (q *sequencer) dropDuplicates(it *item, offsets []int64) (last rememberedWrite, err error) {
	kept := 0
	numbered := map[log.Partition]bool(nil)
	for i := range it.entry.Batches {
		offsets[i] = -1
		pr := it.parts[i].producer
		if pr.id >= 0 {
			p := it.entry.Batches[i].Partition
			if numbered[p] {
				return last, errs.New(errs.Invalid, "%w: batch %d: an idempotent producer sends one batch per partition", log.ErrInvalidRecord, i)
			}
			if len(it.entry.Batches) > 1 {
				if numbered == nil {
					numbered = map[log.Partition]bool{}
				}
				numbered[p] = true
			}
			check, err := q.mu.state.checkSequence(p, pr)
			if err != nil {
				return last, err
			}
			if check.duplicate {
				offsets[i] = check.write.offset
				if last.position.Less(check.write.position) {
					last = check.write
				}
				continue
			}
		}
		if kept != i {
			it.entry.Batches[kept], it.parts[kept] = it.entry.Batches[i], it.parts[i]
		}
		kept++
	}
	it.entry.Batches, it.parts = it.entry.Batches[:kept], it.parts[:kept]
	return last, nil
}

// followLocked gives the ticket of a retry: done when the first write is.
func (q *sequencer) followLocked(first rememberedWrite, offsets []int64) *log.Ticket {
	ticket := log.NewTicket(log.Appended{
		Position: first.position, Time: unixNano(first.time), Offsets: offsets, Duplicate: true,
	})
	if first.position.Sequence <= q.mu.durable {
		ticket.Complete(nil)
	} else {
		q.mu.waiting = append(q.mu.waiting, follower{first.position.Sequence, ticket})
	}
	return ticket
}

// take gives everything queued.
func (q *sequencer) take() []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.mu.queue
	q.mu.queue = nil
	return items
}

// done says that everything up to sequence is durable, and completes the tickets of retries of it.
func (q *sequencer) done(sequence uint64) {
	q.mu.Lock()
	q.mu.durable = max(q.mu.durable, sequence)
	var ready []follower
	rest := q.mu.waiting[:0]
	for _, f := range q.mu.waiting {
		if f.sequence <= q.mu.durable {
			ready = append(ready, f)
		} else {
			rest = append(rest, f)
		}
	}
	q.mu.waiting = rest
	q.mu.Unlock()
	for _, f := range ready {
		f.ticket.Complete(nil)
	}
}

// revert forgets everything ordered behind the durable state s, and gives what was queued: a full disk has refused it.
func (q *sequencer) revert(s *state, cause error) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.mu.queue
	q.mu.queue = nil
	// Ids that were given out stay given out, whatever became of their allocation.
	s.producerIDs = max(s.producerIDs, q.mu.state.producerIDs)
	q.mu.state = s
	q.mu.pending.revert(s.sequence)
	for _, f := range q.mu.waiting {
		f.ticket.Complete(cause)
	}
	q.mu.waiting = nil
	return items
}

// close refuses everything from now on with cause. What is queued stays for the committer.
func (q *sequencer) close(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed == nil {
		q.mu.closed = cause
	}
}

// abandon completes every queued and waiting ticket with cause: the committer has gone.
func (q *sequencer) abandon(cause error) {
	q.mu.Lock()
	items, waiting := q.mu.queue, q.mu.waiting
	q.mu.queue, q.mu.waiting = nil, nil
	if q.mu.closed == nil {
		q.mu.closed = cause
	}
	q.mu.Unlock()
	for _, it := range items {
		it.ticket.Complete(cause)
	}
	for _, f := range waiting {
		f.ticket.Complete(cause)
	}
}

func (q *sequencer) expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.state.expire()
}

// budget bounds the bytes of appends that are not yet in segments.
type budget struct {
	limit int64

	mu struct {
		sync.Mutex
		used    int64
		changed chan struct{}
		full    error // why waiting is of no use now
		stopped error // or ever
	}
}

func newBudget(limit int64) *budget {
	b := &budget{limit: limit}
	b.mu.changed = make(chan struct{})
	return b
}

// acquire waits for room; an append larger than the whole budget goes when nothing else is on its way.
func (b *budget) acquire(ctx context.Context, n int64) error {
	for {
		b.mu.Lock()
		if b.mu.used == 0 || b.mu.used+n <= b.limit {
			b.mu.used += n
			b.mu.Unlock()
			return nil
		}
		changed, err := b.mu.changed, cmp.Or(b.mu.stopped, b.mu.full)
		b.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errs.New(errs.Canceled, "waiting for the disk: %w", ctx.Err())
		}
	}
}

// force takes n whether there is room or not: for what must not wait, and is small.
func (b *budget) force(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used += n
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used -= n
	b.signalLocked()
}

// taken is the bytes on their way to segments.
func (b *budget) taken() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.used
}

// full makes waiting an error while the disk is full (nil: no longer); fail does for good.
func (b *budget) full(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.full == nil && err == nil {
		return
	}
	b.mu.full = err
	b.signalLocked()
}

func (b *budget) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.stopped = err
	b.signalLocked()
}

func (b *budget) signalLocked() {
	close(b.mu.changed)
	b.mu.changed = make(chan struct{})
}
