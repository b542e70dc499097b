package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// producePartitions bounds the partitions of one request: each costs a ticket and an answer.
const producePartitions = 100_000

// producing is a Produce on its way: the answer as far as it is known, and the ticket of each of its partitions, in
// order; nil where the partition was refused.
type producing struct {
	acks     int16
	timeout  time.Duration
	response *kmsg.ProduceResponse
	tickets  []*log.Ticket
}

// beginProduce decodes a Produce (by hand, so that nothing is allocated on the word of a length) and submits its batches
// in the order in which they came. The answer waits until they are durable.
func (s *Server) beginProduce(ctx context.Context, r *request) (finisher, error) {
	flexible := r.version >= 9
	w := wire{b: r.body}
	transactional := r.version >= 3 && w.text(flexible) != ""
	p := &producing{acks: w.int16(), timeout: time.Duration(w.int32()) * time.Millisecond, response: kmsg.NewPtrProduceResponse()}
	refusal := error(nil)
	switch {
	case r.version < 3:
		refusal = kerr.UnsupportedForMessageFormat
	case transactional:
		refusal = errTransactions
	case p.acks < -1 || p.acks > 1:
		refusal = kerr.InvalidRequiredAcks
	}
	for topics := w.length(flexible); topics > 0 && !w.bad; topics-- {
		t := kmsg.NewProduceResponseTopic()
		t.Topic = w.text(flexible)
		topic, known := s.log.Topic(t.Topic)
		for partitions := w.length(flexible); partitions > 0 && !w.bad; partitions-- {
			index, size := w.int32(), w.length(flexible)
			var records []byte
			if size > 0 {
				records = w.span(size)
			}
			if flexible {
				w.tags()
			}
			if len(p.tickets) >= producePartitions {
				w.bad = true
			}
			if w.bad {
				break
			}
			ticket, err := (*log.Ticket)(nil), refusal
			if err == nil {
				ticket, err = s.submit(ctx, topic, known, index, records)
			}
			p.tickets = append(p.tickets, ticket)
			t.Partitions = append(t.Partitions, produceAnswer(index, err))
		}
		if flexible {
			w.tags()
		}
		p.response.Topics = append(p.response.Topics, t)
	}
	if w.bad {
		return nil, errs.New(errs.Invalid, "kafka: a Produce request is cut short")
	}
	return p.finish, nil
}

// submit checks the batches of one partition and hands them to the log.
func (s *Server) submit(ctx context.Context, topic log.Topic, known bool, index int32, records []byte) (*log.Ticket, error) {
	switch {
	case !known || index < 0 || index >= topic.Partitions:
		return nil, kerr.UnknownTopicOrPartition
	case topic.Internal:
		return nil, &fault{kerr.InvalidTopicException, "topic " + topic.Name + " is internal: clients may only read it"}
	}
	if err := s.checkProduced(topic, records); err != nil {
		return nil, err
	}
	return s.log.Produce(ctx, log.Append{Batches: []log.PartitionBatch{{
		Partition: log.Partition{Topic: topic.ID, Index: index}, Batch: records}}})
}

// checkProduced is what Kafka's LogValidator asks of produced batches, as far as their headers tell; only a compacted
// topic needs a look at each record, for its key.
func (s *Server) checkProduced(topic log.Topic, records []byte) error {
	if len(records) == 0 {
		return &fault{kerr.InvalidRecord, "no record batch for topic " + topic.Name}
	}
	settings := topicSettings(topic.Config)
	first := true
	for rest := records; len(rest) > 0; first = false {
		var b record.Batch
		var err error
		if b, rest, err = record.Parse(rest); err != nil {
			return err
		}
		if err := b.ValidateProduced(); err != nil {
			return err
		}
		if err := s.checkBatch(topic, settings, b); err != nil {
			return err
		}
		if b.ProducerID >= 0 && (!first || len(rest) > 0) {
			return &fault{kerr.InvalidRecord, "an idempotent producer sends one batch per partition and request"}
		}
	}
	return nil
}

func (s *Server) checkBatch(topic log.Topic, settings settings, b record.Batch) error {
	switch {
	case b.Control():
		return &fault{kerr.InvalidRecord, "clients may not write control batches"}
	case b.Transactional():
		return errTransactions
	case len(b.Bytes) > settings.maxMessage:
		return errs.New(errs.Limit, "%w: the batch has %d bytes, topic %s takes %d (max.message.bytes)",
			log.ErrTooLarge, len(b.Bytes), topic.Name, settings.maxMessage)
	}
	now := s.options.Clock.Now().UnixMilli()
	if settings.logAppendTime {
		record.SetLogAppendTime(b.Bytes, now)
	} else if (settings.maxAfter >= 0 && b.MaxTimestamp > now && b.MaxTimestamp-now > settings.maxAfter) ||
		(settings.maxBefore >= 0 && b.BaseTimestamp >= 0 && now-b.BaseTimestamp > settings.maxBefore) {
		return &fault{kerr.InvalidTimestamp, "a timestamp is further from the server's time than topic " + topic.Name + " takes"}
	}
	if settings.compacted {
		return checkKeys(topic, b)
	}
	return nil
}

// checkKeys refuses the first record without a key: a compacted topic could never forget it.
func checkKeys(topic log.Topic, b record.Batch) error {
	var it record.Iterator
	if err := it.Reset(b); err != nil {
		return err
	}
	for index := 0; it.Next(); index++ {
		if it.Record().Key == nil {
			return errs.New(errs.Invalid, "topic %s is compacted: %w", topic.Name, &log.RecordError{Index: index, Message: "it has no key"})
		}
	}
	return it.Err()
}

// produceAnswer is the answer for one partition, as far as err decides it.
func produceAnswer(index int32, err error) kmsg.ProduceResponseTopicPartition {
	a := kmsg.NewProduceResponseTopicPartition()
	a.Partition, a.BaseOffset, a.LogAppendTime, a.LogStartOffset = index, -1, -1, -1
	refuse(&a, err)
	return a
}

func refuse(a *kmsg.ProduceResponseTopicPartition, err error) {
	if err == nil {
		return
	}
	a.ErrorCode, a.ErrorMessage = errorCode(err), message(err)
	var refused *log.RecordError
	if errors.As(err, &refused) {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = int32(refused.Index), &refused.Message
		a.ErrorRecords = append(a.ErrorRecords, e)
	}
}

// finish waits for the tickets and answers; with acks=0 there is no answer, and a fault ends the connection: the only way
// to tell such a client of it.
func (p *producing) finish(ctx context.Context) (answer, error) {
	deadline := time.NewTimer(max(p.timeout, time.Second))
	defer deadline.Stop()
	next, failed := 0, false
	for i := range p.response.Topics {
		partitions := p.response.Topics[i].Partitions
		for j := range partitions {
			if ticket := p.tickets[next]; ticket != nil {
				if err := await(ctx, ticket, deadline.C); err != nil {
					refuse(&partitions[j], err)
				} else {
					partitions[j].BaseOffset, partitions[j].LogStartOffset = ticket.Offsets[0], -1
				}
			}
			failed = failed || partitions[j].ErrorCode != 0
			next++
		}
	}
	if p.acks == 0 {
		if failed {
			return answer{}, errs.New(errs.Invalid, "kafka: a Produce with acks=0 failed")
		}
		return answer{}, nil
	}
	return answer{response: p.response}, nil
}

func await(ctx context.Context, ticket *log.Ticket, deadline <-chan time.Time) error {
	select {
	case <-ticket.Done():
		return ticket.Err()
	default:
	}
	select {
	case <-ticket.Done():
		return ticket.Err()
	case <-deadline:
		return &fault{kerr.RequestTimedOut, "the records were not durable within the request's timeout; they may become so"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errTransactions refuses transactional producers. The code is one that every client takes for final; others would make
// them try again until their timeout.
var errTransactions = &fault{kerr.TransactionalIDAuthorizationFailed, "transactions are not built yet: produce without a transactional.id"}
