package broker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/record"
)

// txnTick is how often transactions are looked at that have taken longer than their timeout.
const txnTick = time.Second

// errNeedsID: a decision needs a producer id that was not allocated before the sequencer's lock was taken.
var errNeedsID = errors.New("a new producer id is needed")

// InitTxn makes the caller the producer of a transactional id: who was it before is fenced, and its transaction aborted.
// A current producer (KIP-360) only bumps its own epoch. Errors: ErrProducerFenced, Invalid, Limit.
func (b *Broker) InitTxn(ctx context.Context, id string, timeout time.Duration, current log.TxnProducer) (next log.TxnProducer, err error) {
	if id == "" || len(id) > maxTxnID {
		return log.NoProducer, errs.New(errs.Invalid, "a transactional id has 1 to %d bytes", maxTxnID)
	}
	if timeout <= 0 || timeout > log.MaxTxnTimeout {
		return log.NoProducer, errs.New(errs.Invalid, "%w: a transaction's timeout of %v, the longest is %v", log.ErrTxnTimeout, timeout, log.MaxTxnTimeout)
	}
	fresh := int64(-1)
	for {
		_, err = b.transact(ctx, func(s *state, now int64) ([]log.PartitionBatch, []event, error) {
			next = log.NoProducer
			t := s.txns[id]
			switch {
			case t == nil && current.ID >= 0, t != nil && current.ID >= 0 && current != t.producer && (current != t.previous || t.status == log.TxnOngoing):
				return nil, nil, errs.New(errs.Conflict, "%w: %d is not the producer of %q", log.ErrProducerFenced, current.ID, id)
			case t != nil && current.ID >= 0 && current == t.previous:
				next = t.producer // a retry: of what may not be durable yet
				return nil, []event{txnChanged{t.txnHeader}}, nil
			case t == nil && len(s.txns) >= maxTxns:
				return nil, nil, errs.New(errs.Limit, "there are %d transactional ids, the limit", maxTxns)
			}
			h := txnHeader{id: id, status: log.TxnEmpty, previous: current, timeout: timeout.Milliseconds(), updated: now}
			var markers []log.PartitionBatch
			if t != nil && t.producer.Epoch < lastEpoch {
				h.producer = log.TxnProducer{ID: t.producer.ID, Epoch: t.producer.Epoch + 1}
			} else if fresh < 0 {
				return nil, nil, errNeedsID
			} else {
				h.producer = log.TxnProducer{ID: fresh}
			}
			if t != nil && t.status == log.TxnOngoing {
				if markers, err = s.markers(t, false, t.producer.Epoch+1, now); err != nil {
					return nil, nil, err
				}
			}
			next = h.producer
			return markers, []event{txnChanged{h}}, nil
		})
		if !errors.Is(err, errNeedsID) {
			return next, err
		}
		if fresh, err = b.NextProducerID(ctx); err != nil {
			return log.NoProducer, err
		}
	}
}

// AddTxnPartitions adds partitions to the transaction of an id, and begins it. Errors: ErrProducerMapping, ErrProducerFenced.
func (b *Broker) AddTxnPartitions(ctx context.Context, id string, p log.TxnProducer, partitions []log.Partition) error {
	_, err := b.transact(ctx, func(s *state, now int64) ([]log.PartitionBatch, []event, error) {
		t, err := s.txn(id, p)
		if err != nil {
			return nil, nil, err
		}
		return nil, append(t.begin(now), txnJoined{id, partitions}), nil
	})
	return err
}

// AddTxnOffsets adds offsets that are committed with the transaction of an id; join begins one. Errors: ErrProducerMapping,
// ErrProducerFenced, ErrTxnState.
func (b *Broker) AddTxnOffsets(ctx context.Context, id string, p log.TxnProducer, join bool, offsets []log.TxnOffset) error {
	_, err := b.transact(ctx, func(s *state, now int64) ([]log.PartitionBatch, []event, error) {
		t, err := s.txn(id, p)
		if err != nil {
			return nil, nil, err
		}
		if !join && t.status != log.TxnOngoing {
			return nil, nil, errs.New(errs.Conflict, "%w: %q has no ongoing transaction", log.ErrTxnState, id)
		}
		return nil, append(t.begin(now), txnOffsets{id, offsets}), nil
	})
	return err
}

// EndTxn commits or aborts the transaction of an id: one append has the markers of all its partitions and the offsets.
// bump gives the producer its next epoch, or a new id, so that nothing late joins its next transaction (KIP-890). It
// gives the producer from now on, and the offsets that were committed. Errors: ErrProducerMapping, ErrProducerFenced,
// ErrTxnState.
func (b *Broker) EndTxn(ctx context.Context, id string, p log.TxnProducer, commit, bump bool) (next log.TxnProducer, offsets []log.TxnOffset, err error) {
	fresh := int64(-1)
	for {
		end := ending{id: id, producer: p, commit: commit, bump: bump, fresh: fresh}
		submit := func() (*log.Ticket, error) { return b.order(end.decide) }
		var ticket *log.Ticket
		if ticket, err = b.admitEnd(ctx, &end, submit); err == nil {
			err = ticket.Wait(ctx)
		}
		switch {
		case err == nil:
			for i := range end.offsets {
				end.offsets[i].At = ticket.Offsets[len(ticket.Offsets)-1] + int64(i)
			}
			return end.next, end.offsets, nil
		case !errors.Is(err, errNeedsID):
			return log.NoProducer, nil, err
		}
		if fresh, err = b.NextProducerID(ctx); err != nil {
			return log.NoProducer, nil, err
		}
	}
}

// ending is one EndTxn.
type ending struct {
	id           string
	producer     log.TxnProducer
	commit, bump bool
	fresh        int64

	next    log.TxnProducer
	offsets []log.TxnOffset
}

func (e *ending) status() log.TxnStatus {
	if e.commit {
		return log.TxnCommitted
	}
	return log.TxnAborted
}

func (e *ending) decide(s *state, now int64) (batches []log.PartitionBatch, events []event, err error) {
	e.next, e.offsets = e.producer, nil
	if t := s.txns[e.id]; t != nil && e.bump && t.previous == e.producer && t.status != log.TxnOngoing {
		if t.status != e.status() {
			return nil, nil, errs.New(errs.Conflict, "%w: the transaction of %q has ended as %s", log.ErrTxnState, e.id, t.status)
		}
		e.next = t.producer // a retry: of what may not be durable yet
		return nil, []event{txnChanged{t.txnHeader}}, nil
	}
	t, err := s.txn(e.id, e.producer)
	switch {
	case err != nil:
		return nil, nil, err
	case t.status == log.TxnOngoing:
	case !e.bump && t.status != log.TxnEmpty && t.status != e.status():
		return nil, nil, errs.New(errs.Conflict, "%w: the transaction of %q has ended as %s", log.ErrTxnState, e.id, t.status)
	case !e.bump:
		return nil, []event{txnChanged{t.txnHeader}}, nil // a retry, or a transaction without anything
	}
	h := t.txnHeader
	h.status, h.updated, h.previous = e.status(), now, log.NoProducer
	epoch := e.producer.Epoch
	if e.bump {
		epoch, h.previous = epoch+1, e.producer
		if h.producer.Epoch = epoch; epoch > lastEpoch {
			if e.fresh < 0 {
				return nil, nil, errNeedsID
			}
			h.producer = log.TxnProducer{ID: e.fresh}
		}
	}
	e.next = h.producer
	if t.status == log.TxnOngoing {
		if batches, err = s.markers(t, e.commit, epoch, now); err != nil {
			return nil, nil, err
		}
		if e.commit && len(t.offsets) > 0 {
			batch, err := e.offsetBatch(s, t, now)
			if err != nil {
				return nil, nil, err
			}
			batches = append(batches, batch)
		}
	}
	return batches, []event{txnChanged{h}}, nil
}

func (e *ending) offsetBatch(s *state, t *txn, now int64) (pb log.PartitionBatch, err error) {
	topic, ok := s.topics.Names[log.OffsetsTopic]
	if !ok {
		return pb, admission.UnknownPartition(log.Partition{})
	}
	var b record.Builder
	for _, key := range slices.Sorted(maps.Keys(t.offsets)) {
		o := t.offsets[key]
		b.Add(now/1e6, o.Key, o.Value)
		e.offsets = append(e.offsets, o)
	}
	pb.Partition.Topic = topic
	pb.Batch, err = b.Build()
	return pb, err
}

// markers makes the control batches that end a transaction in the partitions that have records of it.
func (s *state) markers(t *txn, commit bool, epoch int16, now int64) (batches []log.PartitionBatch, err error) {
	for p := range t.partitions {
		ps := s.partitions[p]
		if ps == nil {
			continue // dropped
		}
		first, has := ps.open[t.producer.ID]
		if !has {
			continue
		}
		pb := log.PartitionBatch{Partition: p}
		if commit {
			first = max(first, ps.start) // what was given up before takes no effect
		}
		if pb.Batch, err = record.BuildMarker(log.TxnProducer{ID: t.producer.ID, Epoch: epoch}, commit, first, now/1e6); err != nil {
			return nil, err
		}
		batches = append(batches, pb)
	}
	sort.Slice(batches, func(i, j int) bool {
		a, b := batches[i].Partition, batches[j].Partition
		if c := strings.Compare(string(a.Topic[:]), string(b.Topic[:])); c != 0 {
			return c < 0
		}
		return a.Index < b.Index
	})
	return batches, nil
}

func (b *Broker) transact(ctx context.Context, decide func(s *state, now int64) ([]log.PartitionBatch, []event, error)) (*log.Ticket, error) {
	ticket, err := b.order(decide)
	if err != nil {
		return nil, err
	}
	return ticket, ticket.Wait(ctx)
}

// order gives what decide makes of the newest state its place. The sequencer's state remembers an aborted transaction until its
// partition's next marker finds it beside segments.
func (b *Broker) order(decide func(s *state, now int64) ([]log.PartitionBatch, []event, error)) (*log.Ticket, error) {
	applied := b.durable.appliedTo()
	return b.sequence.transact(b.budget, func(s *state, now int64) ([]log.PartitionBatch, []event, error) {
		batches, events, err := decide(s, now)
		for i := range batches {
			if ps := s.partitions[batches[i].Partition]; ps != nil {
				ps.dropAborted(sort.Search(len(ps.aborted), func(i int) bool { return ps.aborted[i].sequence > applied }))
			}
		}
		return batches, events, err
	})
}

// AdmitTxns sets the hook that the commits of Kafka transactions go through which have records for a topic that has an
// admission hook.
func (b *Broker) AdmitTxns(hook log.TxnHook) { b.hooks.SetTxn(hook) }

// admitEnd submits an EndTxn, through the hook when it commits records of topics that have one.
func (b *Broker) admitEnd(ctx context.Context, e *ending, submit func() (*log.Ticket, error)) (*log.Ticket, error) {
	hook := b.hooks.Txn()
	if hook == nil || !e.commit {
		return submit()
	}
	ranges, last := b.hookedRanges(e.id)
	if len(ranges) == 0 {
		return submit()
	}
	if err := b.sequence.follow(last).Wait(ctx); err != nil {
		return nil, err
	}
	var batches []log.PartitionBatch
	for _, r := range ranges {
		bounds, err := b.Bounds(r.Partition)
		if err != nil {
			return nil, err
		}
		r.Marker = bounds.End
		err = record.Committed(ctx, b, r, func(pb log.PartitionBatch) error {
			batches = append(batches, pb)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return hook(ctx, batches, submit)
}

// hookedRanges are where a transaction's records stand in topics that have an admission hook, and its newest append.
func (b *Broker) hookedRanges(id string) (ranges []log.TxnRange, last uint64) {
	q := b.sequence
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.mu.state.txns[id]
	if t == nil {
		return nil, 0
	}
	for p := range t.partitions {
		ps := q.mu.state.partitions[p]
		if ps == nil || b.hooks.Get(p.Topic) == nil {
			continue
		}
		if first, has := ps.open[t.producer.ID]; has {
			ranges = append(ranges, log.TxnRange{Partition: p, Producer: t.producer.ID, First: max(first, ps.start)})
		}
	}
	return ranges, t.last
}

// expireTxns aborts the transactions that take longer than their timeout, until ctx ends. Their producers are fenced.
func (b *Broker) expireTxns(ctx context.Context) {
	ticker := time.NewTicker(min(txnTick, b.opts.CleanInterval))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := b.opts.Clock.Now()
		for _, t := range b.Txns() {
			if t.Status == log.TxnOngoing && now.Sub(t.Started) > t.Timeout {
				_ = b.abortLate(ctx, t) // tried again at the next tick
			}
		}
	}
}

func (b *Broker) abortLate(ctx context.Context, late log.Txn) error {
	_, err := b.transact(ctx, func(s *state, now int64) ([]log.PartitionBatch, []event, error) {
		t, err := s.txn(late.ID, late.Producer)
		if err != nil || t.status != log.TxnOngoing || !unixNano(t.started).Equal(late.Started) {
			return nil, nil, nil // it has ended meanwhile
		}
		h := t.txnHeader
		h.status, h.updated, h.previous = log.TxnAborted, now, log.NoProducer
		h.producer.Epoch++
		markers, err := s.markers(t, false, h.producer.Epoch, now)
		return markers, []event{txnChanged{h}}, err
	})
	return err
}

// TxnProducer is the producer of a transactional id.
func (b *Broker) TxnProducer(id string) (p log.TxnProducer, ok bool) {
	b.durable.mu.RLock()
	defer b.durable.mu.RUnlock()
	t := b.durable.mu.state.txns[id]
	if t == nil {
		return log.NoProducer, false
	}
	return t.producer, true
}

// Txns lists the transactional ids, by name.
func (b *Broker) Txns() []log.Txn {
	d := b.durable
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]log.Txn, 0, len(d.mu.state.txns))
	for _, t := range d.mu.state.txns {
		one := log.Txn{ID: t.id, Producer: t.producer, Status: t.status, Timeout: time.Duration(t.timeout) * time.Millisecond,
			Partitions: slices.Collect(maps.Keys(t.partitions))}
		if t.status == log.TxnOngoing {
			one.Started = unixNano(t.started)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b log.Txn) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// TxnGroups are the groups whose offsets an ongoing transaction may commit: what has been asked for, durable or not.
func (b *Broker) TxnGroups(id string) (groups []string) {
	q := b.sequence
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.mu.state.txns[id]; t != nil {
		for _, o := range t.offsets {
			if !slices.Contains(groups, o.Group) {
				groups = append(groups, o.Group)
			}
		}
	}
	return groups
}

// PendingOffsets are the keys of the offsets of a group that ongoing transactions will commit or not.
func (b *Broker) PendingOffsets(group string) (keys [][]byte) {
	d := b.durable
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range d.mu.state.txns {
		for _, o := range t.offsets {
			if o.Group == group {
				keys = append(keys, o.Key)
			}
		}
	}
	return keys
}
