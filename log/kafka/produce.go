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
	"github.com/miracledb/miracledb/log/record"
)

// producePartitions bounds the partitions of one request: each costs a ticket and an answer.
const producePartitions = 100_000

// producing is a Produce on its way: the answer as far as it is known, and the tickets of its partitions, in order.
type producing struct {
	acks     int16
	timeout  time.Duration
	response *kmsg.ProduceResponse
	tickets  []produced
}

// togetherBytes is up to how many bytes the partitions of a topic in a Produce are one append.
const togetherBytes = 1 << 20

// produced is the ticket of one partition's batches, nil where they were refused.
type produced struct {
	*log.Ticket
	at            int // which of the ticket's appends
	messages      int64
	logAppendTime bool
	meter         *topicMeter
}

// beginProduce decodes a Produce (by hand, so that nothing is allocated on the word of a length) and submits its batches
// in the order in which they came. The answer waits until they are durable.
func (s *Server) beginProduce(ctx context.Context, r *request) (finisher, error) {
	flexible := r.version >= 9
	w, txn := wire{b: r.body}, ""
	if r.version >= 3 {
		txn = w.text(flexible) // only to be allowed: the log knows the producer's
	}
	join := r.version >= 12
	p := &producing{acks: w.int16(), timeout: time.Duration(w.int32()) * time.Millisecond, response: kmsg.NewPtrProduceResponse()}
	refusal, producer := error(nil), s.transactionOf(txn)
	switch {
	case r.version < 3:
		refusal = kerr.UnsupportedForMessageFormat
	case p.acks < -1 || p.acks > 1:
		refusal = kerr.InvalidRequiredAcks
	case txn != "" && !s.mayTxn(r, txn):
		refusal = kerr.TransactionalIDAuthorizationFailed
	}
	for topics := w.length(flexible); topics > 0 && !w.bad; topics-- {
		t := kmsg.NewProduceResponseTopic()
		topic, unknown := s.producedTopic(r, &w, &t)
		to := target{topic, unknown, topicSettings(&topic), s.meters.topic(topic.ID), producer}
		var batches []log.PartitionBatch
		var of []int // the partition's place in tickets of each of batches
		first := len(p.tickets)
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
			messages, err := int64(0), refusal
			if err == nil {
				messages, err = s.mayProduce(&to, index, records)
			}
			if err == nil {
				batches = append(batches, log.PartitionBatch{Partition: log.Partition{Topic: to.topic.ID, Index: index}, Batch: records})
				of = append(of, len(p.tickets))
			}
			to.meter.produces.Add(1)
			p.tickets = append(p.tickets, produced{messages: messages, logAppendTime: to.settings.logAppendTime, meter: to.meter})
			t.Partitions = append(t.Partitions, produceAnswer(index, err))
		}
		if w.bad {
			break
		}
		s.submit(ctx, &to, batches, join, func(i int, ticket *log.Ticket, at int, err error) {
			one := &p.tickets[of[i]]
			one.Ticket, one.at = ticket, at
			if err != nil {
				refuse(&t.Partitions[of[i]-first], err)
			} else if !ticket.Duplicate {
				to.meter.produced(one.messages, len(batches[i].Batch))
			}
		})
		if flexible {
			w.tags()
		}
		p.response.Topics = append(p.response.Topics, t)
	}
	if flexible {
		w.tags()
	}
	if w.bad {
		return nil, errs.New(errs.Invalid, "kafka: a Produce request is cut short")
	}
	return p.finish, nil
}

// producedTopic reads which topic is meant, from version 13 on by its id, and repeats it in the answer. The error is that there is
// none.
func (s *Server) producedTopic(r *request, w *wire, t *kmsg.ProduceResponseTopic) (log.Topic, error) {
	if r.version >= 13 {
		copy(t.TopicID[:], w.span(len(t.TopicID)))
		topic, ok, absent := s.topicByID(r, log.TopicID(t.TopicID))
		if !ok {
			return topic, kerr.ErrorForCode(absent)
		}
		return topic, nil
	}
	t.Topic = w.text(r.version >= 9)
	topic, ok, absent := s.topic(r, t.Topic)
	if !ok {
		return topic, kerr.ErrorForCode(absent)
	}
	return topic, nil
}

// target is what the partitions of one topic in a Produce have in common.
type target struct {
	topic    log.Topic
	unknown  error // that there is no such topic
	settings settings
	meter    *topicMeter
	producer transactional
}

// transactional is who may write to a transaction by a request: the producer of its transactional id.
type transactional struct {
	named, known bool
	id           int64
}

func (s *Server) transactionOf(txn string) transactional {
	if txn == "" {
		return transactional{}
	}
	p, ok := s.log.TxnProducer(txn)
	return transactional{true, ok, p.ID}
}

// check refuses a batch of a transaction of others: who may write to a topic may not write to everybody's transactions.
func (t *transactional) check(b *record.Batch) error {
	switch {
	case !b.Transactional():
		return nil
	case !t.named:
		return kerr.TransactionalIDAuthorizationFailed
	case !t.known || t.id != b.ProducerID:
		return kerr.InvalidProducerIDMapping
	}
	return nil
}

// mayProduce checks the batches for one partition, and gives how many records they have.
func (s *Server) mayProduce(to *target, index int32, records []byte) (messages int64, err error) {
	switch {
	case to.unknown != nil:
		return 0, to.unknown
	case index < 0 || index >= to.topic.Partitions:
		return 0, kerr.UnknownTopicOrPartition
	}
	return s.checkProduced(to, records)
}

// submit hands the batches of one topic to the log, several of them as one append. When that is refused each is one of its own:
// Kafka's partitions succeed and fail alone. got is told the ticket of each, and its place there.
func (s *Server) submit(ctx context.Context, to *target, batches []log.PartitionBatch, join bool, got func(i int, ticket *log.Ticket, at int, err error)) {
	for done := 0; done < len(batches); {
		n := 1
		if !to.settings.logAppendTime { // an append that the log has already is told its own time
			n = together(batches[done:])
		}
		// A copy: the log takes batches out that it has, and may refuse the others then.
		ticket, err := s.log.Produce(ctx, log.Append{JoinTxn: join, Batches: slices.Clone(batches[done : done+n])})
		for i := done; i < done+n; i++ {
			if err == nil || n == 1 {
				got(i, ticket, i-done, err)
				continue
			}
			alone, err := s.log.Produce(ctx, log.Append{JoinTxn: join, Batches: batches[i : i+1 : i+1]})
			got(i, alone, 0, err)
		}
		done += n
	}
}

// together is how many of the first batches can be one append: each its own partition, so that what one of them expects of the
// log is asked of what the others leave as it is.
func together(batches []log.PartitionBatch) (n int) {
	var seen map[int32]bool
	for size := 0; n < len(batches); n++ {
		p := batches[n].Partition.Index
		if size += len(batches[n].Batch); n > 0 && (size > togetherBytes || seen[p]) {
			break
		}
		if len(batches) > 1 {
			if seen == nil {
				seen = map[int32]bool{}
			}
			seen[p] = true
		}
	}
	return n
}

// checkProduced is what a Kafka broker asks of produced batches and no other writer is asked: that there are some, and timestamps
// that the topic takes, and transactions of the sender's own. It gives how many records there are.
func (s *Server) checkProduced(to *target, records []byte) (messages int64, err error) {
	topic, settings := &to.topic, &to.settings
	if len(records) == 0 {
		return 0, &fault{kerr.InvalidRecord, "no record batch for topic " + topic.Name}
	}
	for b, err := range record.Batches(records) {
		if err != nil {
			return 0, err
		}
		if err := to.producer.check(&b); err != nil {
			return 0, err
		}
		now := s.options.Clock.Now().UnixMilli()
		if !settings.logAppendTime && ((settings.maxAfter >= 0 && b.MaxTimestamp > now && b.MaxTimestamp-now > settings.maxAfter) ||
			(settings.maxBefore >= 0 && b.BaseTimestamp >= 0 && now-b.BaseTimestamp > settings.maxBefore)) {
			return 0, &fault{kerr.InvalidTimestamp, "a timestamp is further from the server's time than topic " + topic.Name + " takes"}
		}
		messages += int64(b.Count)
	}
	return messages, nil
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
	var several log.RecordErrors
	var refused *log.RecordError
	if !errors.As(err, &several) && errors.As(err, &refused) {
		several = log.RecordErrors{*refused}
	}
	for _, r := range several {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = int32(r.Index), &r.Message
		a.ErrorRecords = append(a.ErrorRecords, e)
	}
	var expected *log.ExpectationError
	if errors.As(err, &expected) {
		for _, u := range expected.Unmet {
			text := u.String()
			e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
			e.RelativeOffset, e.ErrorMessage = int32(u.Record), &text
			a.ErrorRecords = append(a.ErrorRecords, e)
		}
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
			ticket := p.tickets[next]
			if ticket.Ticket != nil {
				if err := await(ctx, ticket.Ticket, deadline.C); err != nil {
					refuse(&partitions[j], err)
				} else {
					partitions[j].BaseOffset = ticket.Offsets[ticket.at]
					if ticket.logAppendTime {
						partitions[j].LogAppendTime = ticket.Time.UnixMilli()
					}
				}
			}
			if partitions[j].ErrorCode != 0 {
				failed = true
				ticket.meter.failedProduces.Add(1)
			}
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
