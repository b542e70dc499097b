package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/group"
	"github.com/miracledb/miracledb/log/record"
)

// Transactions is the part of a log that keeps Kafka transactions: see log/broker.
type Transactions interface {
	InitTxn(ctx context.Context, id string, timeout time.Duration, current log.TxnProducer) (log.TxnProducer, error)
	AddTxnPartitions(ctx context.Context, id string, p log.TxnProducer, partitions []log.Partition) error
	AddTxnOffsets(ctx context.Context, id string, p log.TxnProducer, join bool, offsets []log.TxnOffset) error
	EndTxn(ctx context.Context, id string, p log.TxnProducer, commit, bump bool) (log.TxnProducer, []log.TxnOffset, error)
	// Txns lists the transactional ids; TxnGroups and PendingOffsets tell of offsets that ongoing transactions may commit.
	Txns() []log.Txn
	// TxnProducer is the producer of a transactional id.
	TxnProducer(id string) (p log.TxnProducer, ok bool)
	TxnGroups(id string) []string
	PendingOffsets(group string) (keys [][]byte)
}

// txnCode is the code of a coordinator's error. Clients know PRODUCER_FENCED from a version on (KIP-588).
func txnCode(err error, fenced bool) int16 {
	switch {
	case errors.Is(err, log.ErrProducerFenced) && fenced:
		return kerr.ProducerFenced.Code
	case errs.Is(err, errs.Unavailable), errs.Is(err, errs.Unknown), errs.Is(err, errs.Canceled):
		return kerr.CoordinatorNotAvailable.Code // asked again, the answer is the same
	}
	return errorCode(err)
}

// initProducerID gives an idempotent producer a new id (KIP-98), and a transactional one its id with the next epoch. An
// idempotent one that comes back with its old id (KIP-360) gets a new one too: only a transactional id ties it to its past.
func (s *Server) initProducerID(ctx context.Context, r *request, q *kmsg.InitProducerIDRequest) answer {
	a := kmsg.NewPtrInitProducerIDResponse()
	a.ProducerID, a.ProducerEpoch = -1, -1
	if r.version >= 3 && (q.ProducerID == -1) != (q.ProducerEpoch == -1) {
		a.ErrorCode = kerr.InvalidRequest.Code
		return answer{response: a}
	}
	if q.TransactionalID != nil {
		current := log.NoProducer
		if r.version >= 3 {
			current = log.TxnProducer{ID: q.ProducerID, Epoch: q.ProducerEpoch}
		}
		p, err := s.log.InitTxn(ctx, *q.TransactionalID, time.Duration(q.TransactionTimeoutMillis)*time.Millisecond, current)
		if a.ErrorCode = txnCode(err, r.version >= 4); err == nil {
			a.ProducerID, a.ProducerEpoch = p.ID, p.Epoch
		}
		return answer{response: a}
	}
	id, err := s.log.NextProducerID(ctx)
	if err != nil {
		a.ErrorCode = kerr.CoordinatorNotAvailable.Code // retriable
		return answer{response: a}
	}
	a.ProducerID, a.ProducerEpoch = id, 0
	return answer{response: a}
}

// addPartitionsToTxn announces the partitions that a transaction is going to write to: all of them or none.
func (s *Server) addPartitionsToTxn(ctx context.Context, r *request, q *kmsg.AddPartitionsToTxnRequest) answer {
	var partitions []log.Partition
	a, unknown := kmsg.NewPtrAddPartitionsToTxnResponse(), false
	for i := range q.Topics {
		t := kmsg.NewAddPartitionsToTxnResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		for _, index := range q.Topics[i].Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			p.Partition = index
			if !known || topic.Internal || index < 0 || index >= topic.Partitions {
				p.ErrorCode, unknown = absent, true
			}
			partitions = append(partitions, log.Partition{Topic: topic.ID, Index: index})
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	code := kerr.OperationNotAttempted.Code
	if !unknown {
		code = txnCode(s.log.AddTxnPartitions(ctx, q.TransactionalID, log.TxnProducer{ID: q.ProducerID, Epoch: q.ProducerEpoch}, partitions), r.version >= 2)
	}
	for i := range a.Topics {
		for j := range a.Topics[i].Partitions {
			if p := &a.Topics[i].Partitions[j]; p.ErrorCode == 0 {
				p.ErrorCode = code
			}
		}
	}
	return answer{response: a}
}

// addOffsetsToTxn announces a group whose offsets a transaction is going to commit. There is nothing to prepare: groups and
// transactions have one coordinator.
func (s *Server) addOffsetsToTxn(ctx context.Context, r *request, q *kmsg.AddOffsetsToTxnRequest) answer {
	a := kmsg.NewPtrAddOffsetsToTxnResponse()
	a.ErrorCode = txnCode(s.log.AddTxnPartitions(ctx, q.TransactionalID, log.TxnProducer{ID: q.ProducerID, Epoch: q.ProducerEpoch}, nil), r.version >= 2)
	return answer{response: a}
}

// endTxn commits or aborts. From version 5 on the answer is the producer's next epoch (KIP-890).
func (s *Server) endTxn(ctx context.Context, r *request, q *kmsg.EndTxnRequest) answer {
	a := kmsg.NewPtrEndTxnResponse()
	a.ProducerID, a.ProducerEpoch = -1, -1
	p, err := s.coordinator.endTxn(ctx, s.log, q, r.version >= 5)
	if a.ErrorCode = txnCode(err, r.version >= 2); err == nil {
		a.ProducerID, a.ProducerEpoch = p.ID, p.Epoch
	}
	return answer{response: a}
}

// endTxn ends a transaction and takes its offsets in. Until then OffsetFetch tells who must have stable offsets to wait.
func (c *coordinator) endTxn(ctx context.Context, l Transactions, q *kmsg.EndTxnRequest, bump bool) (log.TxnProducer, error) {
	var groups []string
	if q.Commit {
		groups = l.TxnGroups(q.TransactionalID)
		c.ending(groups, 1)
		defer c.ending(groups, -1)
	}
	p, offsets, err := l.EndTxn(ctx, q.TransactionalID, log.TxnProducer{ID: q.ProducerID, Epoch: q.ProducerEpoch}, q.Commit, bump)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range offsets {
		c.load(record.Record{Key: o.Key, Value: o.Value, Offset: o.At})
	}
	return p, err
}

func (c *coordinator) ending(groups []string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range groups {
		if c.mu.ending[g] += by; c.mu.ending[g] == 0 {
			delete(c.mu.ending, g)
		}
	}
}

// unstable tells which of a group's offsets a transaction may be about to change.
func (c *coordinator) unstable(name string, l Transactions) func(topic string, partition int32) bool {
	c.mu.Lock()
	ending := c.mu.ending[name] > 0
	c.mu.Unlock()
	pending := map[topicPartition]bool{}
	for _, p := range l.PendingOffsets(name) {
		if key := kmsg.NewOffsetCommitKey(); key.ReadFrom(p) == nil {
			pending[topicPartition{key.Topic, key.Partition}] = true
		}
	}
	return func(topic string, partition int32) bool { return ending || pending[topicPartition{topic, partition}] }
}

// txnOffsetCommit adds offsets to a transaction: they are the group's when it commits (KIP-98, KIP-447).
func (s *Server) txnOffsetCommit(ctx context.Context, r *request, q *kmsg.TxnOffsetCommitRequest) answer {
	a := kmsg.NewPtrTxnOffsetCommitResponse()
	in := group.Commit{Group: q.Group, Generation: -1}
	if r.version >= 3 {
		in.Generation, in.Member, in.Instance = q.Generation, q.MemberID, text(q.InstanceID)
	}
	now := s.options.Clock.Now().UnixMilli()
	var places [][2]int // of each of in.Offsets in the answer
	for i := range q.Topics {
		t := kmsg.NewTxnOffsetCommitResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		for j := range q.Topics[i].Partitions {
			want := &q.Topics[i].Partitions[j]
			p := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			p.Partition = want.Partition
			if !known || want.Partition < 0 || want.Partition >= topic.Partitions {
				p.ErrorCode = absent
			} else {
				places = append(places, [2]int{i, j})
				in.Offsets = append(in.Offsets, group.Offset{Topic: t.Topic, TopicID: topic.ID, Partition: want.Partition,
					Offset: want.Offset, LeaderEpoch: want.LeaderEpoch, Metadata: text(want.Metadata), Time: now})
			}
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	producer := log.TxnProducer{ID: q.ProducerID, Epoch: q.ProducerEpoch}
	for i, code := range s.coordinator.commitInTxn(ctx, s.log, q.TransactionalID, producer, r.version >= 5, in) {
		a.Topics[places[i][0]].Partitions[places[i][1]].ErrorCode = int16(code)
	}
	return answer{response: a}
}

func (c *coordinator) commitInTxn(ctx context.Context, l Transactions, id string, p log.TxnProducer, join bool, in group.Commit) []group.Code {
	if _, err := c.offsetsTopic(ctx); err != nil {
		return everywhere(len(in.Offsets), group.Code(kerr.CoordinatorNotAvailable.Code))
	}
	c.mu.Lock()
	codes := c.mu.machine.MayCommit(c.clock.Now(), in)
	c.mu.Unlock()
	var offsets []log.TxnOffset
	for i, o := range in.Offsets {
		if codes[i] == 0 {
			key, value := offsetRecord(in.Group, o)
			offsets = append(offsets, log.TxnOffset{Group: in.Group, Key: key, Value: value})
		}
	}
	if len(offsets) == 0 {
		return codes
	}
	code := group.Code(txnCode(l.AddTxnOffsets(ctx, id, p, join, offsets), false))
	for i := range codes {
		if codes[i] == 0 {
			codes[i] = code
		}
	}
	return codes
}

// describeTransactions tells of transactional ids (KIP-664).
func (s *Server) describeTransactions(_ context.Context, r *request, q *kmsg.DescribeTransactionsRequest) answer {
	a := kmsg.NewPtrDescribeTransactionsResponse()
	txns := s.log.Txns()
	for _, id := range unique(q.TransactionalIDs, itself) {
		t := kmsg.NewDescribeTransactionsResponseTransactionState()
		t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.StartTimestamp = id, -1, -1, -1
		i := slices.IndexFunc(txns, func(t log.Txn) bool { return t.ID == id })
		if id == "" {
			t.ErrorCode = kerr.InvalidRequest.Code
		} else if !s.mayTxn(r, id) {
			t.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		} else if i < 0 {
			t.ErrorCode = kerr.TransactionalIDNotFound.Code
		} else {
			s.describeTransaction(r, &t, &txns[i])
		}
		a.TransactionStates = append(a.TransactionStates, t)
	}
	return answer{response: a}
}

func (s *Server) describeTransaction(r *request, a *kmsg.DescribeTransactionsResponseTransactionState, t *log.Txn) {
	a.State, a.ProducerID, a.ProducerEpoch, a.TimeoutMillis = string(t.Status), t.Producer.ID, t.Producer.Epoch, int32(t.Timeout.Milliseconds())
	if !t.Started.IsZero() {
		a.StartTimestamp = t.Started.UnixMilli()
	}
	for _, p := range t.Partitions {
		topic, ok, _ := s.topicByID(r, p.Topic)
		if !ok {
			continue
		}
		i := slices.IndexFunc(a.Topics, func(t kmsg.DescribeTransactionsResponseTransactionStateTopic) bool { return t.Topic == topic.Name })
		if i < 0 {
			one := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			one.Topic = topic.Name
			a.Topics = append(a.Topics, one)
			i = len(a.Topics) - 1
		}
		a.Topics[i].Partitions = append(a.Topics[i].Partitions, p.Index)
	}
}

// listTransactions names the transactional ids, those in some states or of some producers only, or that have been ongoing
// for some time (KIP-994).
func (s *Server) listTransactions(_ context.Context, r *request, q *kmsg.ListTransactionsRequest) answer {
	a := kmsg.NewPtrListTransactionsResponse()
	// The last ones are Kafka's, and never ours: a transaction whose end is answered is complete.
	known := []string{string(log.TxnEmpty), string(log.TxnOngoing), string(log.TxnCommitted), string(log.TxnAborted),
		"PrepareCommit", "PrepareAbort", "PrepareEpochFence", "Dead"}
	for _, state := range unique(slices.Clone(q.StateFilters), itself) {
		if !slices.Contains(known, state) {
			a.UnknownStateFilters = append(a.UnknownStateFilters, state)
		}
	}
	for _, t := range s.log.Txns() {
		switch {
		case !s.mayTxn(r, t.ID),
			len(q.StateFilters) > 0 && !slices.Contains(q.StateFilters, string(t.Status)),
			len(q.ProducerIDFilters) > 0 && !slices.Contains(q.ProducerIDFilters, t.Producer.ID),
			r.version >= 1 && q.DurationFilterMillis >= 0 && (t.Started.IsZero() || s.options.Clock.Now().Sub(t.Started).Milliseconds() < q.DurationFilterMillis):
			continue
		}
		one := kmsg.NewListTransactionsResponseTransactionState()
		one.TransactionalID, one.ProducerID, one.TransactionState = t.ID, t.Producer.ID, string(t.Status)
		a.TransactionStates = append(a.TransactionStates, one)
	}
	return answer{response: a}
}
