package bench

import (
	"bufio"
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

const (
	txnRecords    = 10
	txnPartitions = 3
	txnWarm       = 500 * time.Millisecond // does not count
	txnMeasured   = 3 * time.Second
)

// transactor is a transactional producer (KIP-890) that does nothing but ask: one Produce for all partitions, one EndTxn.
type transactor struct {
	conn      net.Conn
	read      *bufio.Reader
	id, topic string
	producer  log.TxnProducer
}

// transact commits transactions for a while, one behind the other, and gives how long each took.
func transact(ctx context.Context, address, topic, id string) (latencies []time.Duration, err error) {
	t := &transactor{id: id, topic: topic}
	var hangUp func()
	if t.conn, hangUp, err = connect(ctx, address); err != nil {
		return nil, err
	}
	defer hangUp()
	t.read = bufio.NewReader(t.conn)
	if err := t.retried(t.begin); err != nil {
		return nil, err
	}
	warm := time.Now().Add(txnWarm)
	for end := warm.Add(txnMeasured); time.Now().Before(end); {
		began := time.Now()
		if err := t.retried(t.produce); err != nil {
			return nil, err
		}
		if err := t.retried(t.commit); err != nil {
			return nil, err
		}
		if began.After(warm) {
			latencies = append(latencies, time.Since(began))
		}
	}
	return latencies, nil
}

// retried asks again while the coordinator says that it is busy, as clients do.
func (t *transactor) retried(f func() error) error {
	for deadline := time.Now().Add(readyTimeout); ; {
		err := f()
		var code *kerr.Error
		again := errors.As(err, &code) && (code.Retriable || code == kerr.ConcurrentTransactions)
		if !again || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (t *transactor) ask(q kmsg.Request, a kmsg.Response) error {
	if _, err := t.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("transact")).AppendRequest(nil, q, 0)); err != nil {
		return err
	}
	answer, err := readFrame(t.read, nil)
	if err != nil {
		return err
	}
	a.SetVersion(q.GetVersion())
	header := 4
	if a.IsFlexible() {
		header = 5 // no tags
	}
	return a.ReadFrom(answer[header:])
}

func (t *transactor) begin() error {
	find, where := kmsg.NewPtrFindCoordinatorRequest(), kmsg.NewPtrFindCoordinatorResponse()
	find.Version, find.CoordinatorType, find.CoordinatorKey = 2, 1, t.id
	if err := t.ask(find, where); err != nil {
		return err
	}
	if err := kerr.ErrorForCode(where.ErrorCode); err != nil {
		return err
	}
	q, a := kmsg.NewPtrInitProducerIDRequest(), kmsg.NewPtrInitProducerIDResponse()
	q.Version, q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 5, &t.id, 60_000, -1, -1
	if err := t.ask(q, a); err != nil {
		return err
	}
	t.producer = log.TxnProducer{ID: a.ProducerID, Epoch: a.ProducerEpoch}
	return kerr.ErrorForCode(a.ErrorCode)
}

func (t *transactor) produce() error {
	q, a := kmsg.NewPtrProduceRequest(), kmsg.NewPtrProduceResponse()
	q.Version, q.Acks, q.TimeoutMillis, q.TransactionID = 12, -1, 60_000, &t.id
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = t.topic
	value := make([]byte, 100)
	for i := range txnPartitions {
		var b record.Builder
		for r := i; r < txnRecords; r += txnPartitions {
			b.Add(time.Now().UnixMilli(), nil, value)
		}
		b.Producer(t.producer.ID, t.producer.Epoch, 0)
		b.MarkTransactional()
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition = int32(i)
		var err error
		if p.Records, err = b.Build(); err != nil {
			return err
		}
		topic.Partitions = append(topic.Partitions, p)
	}
	q.Topics = append(q.Topics, topic)
	if err := t.ask(q, a); err != nil {
		return err
	}
	for _, one := range a.Topics {
		for _, p := range one.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err // asked again as a whole: what was written is known by its sequence
			}
		}
	}
	if len(a.Topics) == 0 {
		return errs.New(errs.Corrupt, "a Produce was answered without its topic")
	}
	return nil
}

func (t *transactor) commit() error {
	q, a := kmsg.NewPtrEndTxnRequest(), kmsg.NewPtrEndTxnResponse()
	q.Version, q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = 5, t.id, t.producer.ID, t.producer.Epoch, true
	if err := t.ask(q, a); err != nil {
		return err
	}
	if err := kerr.ErrorForCode(a.ErrorCode); err != nil {
		return err
	}
	t.producer = log.TxnProducer{ID: a.ProducerID, Epoch: a.ProducerEpoch}
	return nil
}
