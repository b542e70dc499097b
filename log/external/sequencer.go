package external

import (
	"context"
	"sync"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/topics"
)

// item is one append on its way into the cluster.
type item struct {
	entry      log.Entry
	offsets    []int64 // first one of each batch that was submitted
	topics     []log.TopicRecord
	made       []madeTopic
	properties map[string][]byte
	expect     []log.Expect
	refs       []ref                // of foreign records
	placed     []log.PartitionBatch // of ours, as readers see it
	foreign    bool
	size       int64
	ticket     *log.Ticket
}

// locate sets the offsets from where the cluster says that the append is.
func (it *item) locate() {
	if it.foreign {
		return
	}
	taken := map[log.Partition]int64{}
	for i := range it.entry.Batches {
		p := it.entry.Batches[i].Partition
		skip := taken[p]
		for _, r := range it.refs {
			if r.partition != p {
				continue
			}
			if skip < r.count {
				it.offsets[i] = r.base + skip
				break
			}
			skip -= r.count
		}
		taken[p] += int64(it.entry.Batches[i].Records)
	}
}

func (it *item) isAppend() bool { return it.entry.Position.Sequence != 0 }

// sequencer gives appends their place before they are in the cluster.
type sequencer struct {
	clock clock.Clock
	limit int64
	wake  chan struct{} // capacity 1: the committer has something to do

	mu struct {
		sync.Mutex
		topics     topics.Set
		properties *log.Properties
		sequence   uint64
		time       int64
		queue      []*item
		pending    int   // items ordered and not done
		bytes      int64 // of those
		changed    chan struct{}
		closed     error
	}
}

func (q *sequencer) init(o Options) {
	q.clock, q.limit, q.wake = o.Clock, int64(o.QueueBytes), make(chan struct{}, 1)
	q.mu.changed = make(chan struct{})
}

// wait holds until ready is true of the locked sequencer, and leaves it locked. Errors: why it is closed, Canceled.
func (q *sequencer) wait(ctx context.Context, ready func() bool) error {
	for {
		q.mu.Lock()
		if q.mu.closed != nil {
			defer q.mu.Unlock()
			return q.mu.closed
		}
		if ready() {
			return nil
		}
		changed := q.mu.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return errs.New(errs.Canceled, "waiting for the Kafka cluster: %w", ctx.Err())
		}
	}
}

// room is true when an item of a size may be ordered, however large, once nothing else is on its way.
func (q *sequencer) room(size int64) func() bool {
	return func() bool { return q.mu.pending == 0 || q.mu.bytes+size <= q.limit }
}

// idle is true when everything ordered is done.
func (q *sequencer) idle() bool { return q.mu.pending == 0 }

// placeLocked gives the item its Position and time and queues it.
func (q *sequencer) placeLocked(it *item) {
	now := max(q.clock.Now().UnixNano(), q.mu.time)
	q.mu.time = now
	q.mu.sequence++
	it.entry.Position = log.Position{Epoch: epoch, Sequence: q.mu.sequence}
	it.entry.Term, it.entry.Index, it.entry.Time = 1, q.mu.sequence, unixNano(now)
	for _, r := range it.topics {
		q.mu.topics.Apply(r)
	}
	it.ticket = log.NewTicket(log.Appended{Position: it.entry.Position, Time: it.entry.Time, Offsets: it.offsets})
	q.queueLocked(it)
}

func (q *sequencer) queueLocked(it *item) {
	q.mu.queue = append(q.mu.queue, it)
	q.mu.pending++
	q.mu.bytes += it.size
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives a group of items: about maxBytes.
func (q *sequencer) take(maxBytes int64, maxItems int) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(q.mu.queue) && n < maxItems && (n == 0 || size+q.mu.queue[n].size <= maxBytes) {
		size += q.mu.queue[n].size
		n++
	}
	group := q.mu.queue[:n:n]
	q.mu.queue = q.mu.queue[n:]
	if len(q.mu.queue) > 0 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return group
}

// done says that a group is in the cluster.
func (q *sequencer) done(group []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range group {
		q.mu.pending--
		q.mu.bytes -= it.size
	}
	close(q.mu.changed)
	q.mu.changed = make(chan struct{})
}

// revert forgets everything ordered behind what the log has, and gives what was queued.
func (q *sequencer) revert(set topics.Set, p *log.Properties, end log.Position) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	queue := q.mu.queue
	q.mu.queue, q.mu.pending, q.mu.bytes = nil, 0, 0
	q.mu.topics, q.mu.properties, q.mu.sequence = set, p, end.Sequence
	close(q.mu.changed)
	q.mu.changed = make(chan struct{})
	return queue
}

// close refuses everything from now on with cause, and gives what was queued.
func (q *sequencer) close(cause error) []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed == nil {
		q.mu.closed = cause
		close(q.mu.changed)
		q.mu.changed = make(chan struct{})
	}
	queue := q.mu.queue
	q.mu.queue = nil
	return queue
}

// inspect parses the batches of a and checks everything about them that does not depend on the log's state.
func inspect(a log.Append) (*item, error) {
	if len(a.Batches) == 0 {
		return nil, errs.New(errs.Invalid, "an append names at least one partition")
	}
	it := &item{entry: log.Entry{Txn: a.Txn, Batches: a.Batches, Attachment: a.Attachment}, offsets: make([]int64, len(a.Batches))}
	for i := range a.Batches {
		pb := &a.Batches[i]
		it.size += int64(len(pb.Batch))
		pb.Records = 0
		for rest, first := pb.Batch, true; len(rest) > 0 || first; first = false {
			b, next, err := record.Parse(rest)
			if err == nil {
				err = b.ValidateProduced()
			}
			if err == nil && b.Transactional() {
				err = errs.New(errs.Unsupported, "transactions of Kafka clients are the cluster's own")
			}
			if err == nil && pb.Partition.Topic == log.CatalogTopicID {
				it.topics, err = topics.Records(it.topics, b)
			}
			if err != nil {
				return nil, errs.New(errs.KindOf(err), "batch %d: %w", i, err)
			}
			pb.Records += b.Offsets()
			rest = next
		}
	}
	return it, nil
}

// Submit: see log.Log. Offsets are known when the ticket is done, not before: the cluster gives them. An append that changes
// topics or has conditions waits until everything before it is in the cluster. What was ordered is refused with Conflict
// when a foreign record came between that it may not follow, and everything ordered behind it.
func (l *Log) Submit(ctx context.Context, a log.Append) (*log.Ticket, error) {
	it, err := inspect(a)
	if err != nil {
		return nil, err
	}
	for _, e := range a.Expect {
		if e.Key != nil {
			return nil, errs.New(errs.Unsupported, "an expectation on a key needs a key index, which a log on a Kafka cluster does not have")
		}
	}
	q := &l.sequence
	ready := q.room(it.size)
	if len(a.Expect)+len(it.topics) > 0 {
		ready = q.idle
	}
	if err := q.wait(ctx, ready); err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	o := topics.Overlay{Set: q.mu.topics}
	for i := range it.topics {
		if err := o.Check(&it.topics[i]); err != nil {
			return nil, err
		}
	}
	for i := range a.Batches {
		p := a.Batches[i].Partition
		if !o.Exists(p) {
			return nil, admission.UnknownPartition(p)
		}
		if err := checkSizes(o.Topic(p.Topic), a.Batches[i].Batch); err != nil {
			return nil, err
		}
	}
	if err := l.expectations(&o, a.Expect); err != nil {
		return nil, err
	}
	if it.made, err = l.ensureAll(ctx, it.topics); err != nil {
		return nil, err
	}
	it.expect = a.Expect
	q.placeLocked(it)
	return it.ticket, nil
}

// expectations checks conditions against everything ordered, which is in the cluster: foreign records that came since
// are looked for when the append is written.
func (l *Log) expectations(o *topics.Overlay, expect []log.Expect) error {
	var unmet []log.Unmet
	for i, e := range expect {
		if !o.Exists(e.Partition) {
			return admission.UnknownPartition(e.Partition)
		}
		l.mu.RLock()
		next := int64(0)
		if ps := l.mu.index.partitions[e.Partition]; ps != nil {
			next = ps.end
		}
		l.mu.RUnlock()
		if e.NextOffset >= 0 && e.NextOffset != next {
			unmet = append(unmet, log.Unmet{Expect: log.Expect{Partition: e.Partition, NextOffset: e.NextOffset}, Record: -1, Index: i, Actual: next})
		}
	}
	if len(unmet) > 0 {
		return errs.New(errs.Conflict, "%w: %w", log.ErrExpectation, &log.ExpectationError{Unmet: unmet})
	}
	return nil
}

// maxBatch is the size up to which records are put together: half of what a Kafka topic takes by default.
const maxBatch = int(limit.MiB / 2)

// checkSizes refuses a record that the topic cannot take, in whatever batch it is sent. Errors: ErrTooLarge.
func checkSizes(t *log.Topic, p []byte) error {
	most := admission.MaxMessageBytes(*t)
	if int64(len(p)) <= min(most, int64(maxBatch)) {
		return nil
	}
	var it record.Iterator
	for len(p) > 0 {
		b, rest, err := record.ParseChecked(p)
		if err == nil {
			err = it.Reset(b)
		}
		if err != nil {
			return err
		}
		for it.Next() {
			r := it.Record()
			if n := int64(len(r.Key)+len(r.Value)) + record.HeaderSize + 64; n > most {
				return errs.New(errs.Limit, "%w: a record of %d bytes for topic %s, over max.message.bytes=%d", log.ErrTooLarge, n, t.Name, most)
			}
		}
		if it.Err() != nil {
			return it.Err()
		}
		p = rest
	}
	return nil
}

// ChangeProperties: see log.Log.
func (l *Log) ChangeProperties(ctx context.Context, decide func(p *log.Properties) (map[string][]byte, error)) error {
	q := &l.sequence
	if err := q.wait(ctx, q.room(0)); err != nil {
		return err
	}
	changes, err := decide(q.mu.properties)
	if err == nil {
		err = q.mu.properties.Check(changes)
	}
	it := &item{properties: changes, ticket: log.NewTicket(log.Appended{})}
	if err == nil {
		err = it.checkRecord()
	}
	if err != nil || len(changes) == 0 {
		q.mu.Unlock()
		return err
	}
	q.mu.properties = q.mu.properties.With(changes)
	q.queueLocked(it)
	q.mu.Unlock()
	return it.ticket.Wait(ctx)
}

// checkRecord refuses properties that one record of CommitsTopic, which takes effect whole, does not hold. Errors: Limit.
func (it *item) checkRecord() error {
	size := 0
	for name, v := range it.properties {
		size += len(name) + len(v)
	}
	if size > maxBatch {
		return errs.New(errs.Limit, "%d bytes of properties change at once, the limit on a Kafka cluster is %d", size, maxBatch)
	}
	return nil
}
