package external

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// transactionTimeout is after how long the cluster aborts a transaction of ours that does not end.
const transactionTimeout = time.Minute

// producer is the one writer: it has at most one transaction. It belongs to one goroutine.
type producer struct {
	cluster *cluster
	id      string // the transactional id
	who     log.TxnProducer
	numbers map[place]int32 // the next sequence by partition
	joined  map[place]bool  // partitions in the transaction
}

// fencedError says that another node has taken the transactional id.
func fencedError(id string, cause error) error {
	return errs.New(errs.Conflict, "%w: another node writes to this cluster with the transactional id %q now: this one must stop: %w", log.ErrProducerFenced, id, cause).
		WithHint("Only one node can be the writer of a database: end one of the two. Another database on this cluster needs a name of its own: --brokers-name.")
}

// begin takes the transactional id, and fences and ends what its last holder left: all that it committed can be read when
// this returns. A producer that begins again keeps the id only when nobody has taken it since. Errors: ErrProducerFenced,
// Unavailable.
func (p *producer) begin(ctx context.Context) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &p.id, int32(transactionTimeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = p.who.ID, p.who.Epoch
	err := p.cluster.retry(ctx, func() error {
		resp, err := req.RequestWith(ctx, p.cluster.client)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return err
		}
		p.who = log.TxnProducer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}
		return nil
	})
	p.numbers, p.joined = map[place]int32{}, map[place]bool{}
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fencedError(p.id, err)
	}
	return err
}

// join adds partitions to the transaction, where the cluster wants that said.
func (p *producer) join(ctx context.Context, batches map[place][]byte) error {
	if p.cluster.implicit {
		return nil
	}
	topics := map[string][]int32{}
	for at := range batches {
		if !p.joined[at] {
			p.joined[at] = true
			topics[at.topic] = append(topics[at.topic], at.partition)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.who.ID, p.who.Epoch
	for name, ps := range topics {
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = name, ps
		req.Topics = append(req.Topics, t)
	}
	return p.cluster.retry(ctx, func() error {
		resp, err := req.RequestWith(ctx, p.cluster.client)
		if err != nil {
			return err
		}
		err = nil
		for _, t := range resp.Topics {
			for _, part := range t.Partitions {
				// OPERATION_NOT_ATTEMPTED comes beside the error that says why.
				if e := kerr.ErrorForCode(part.ErrorCode); e != nil && (err == nil || errors.Is(err, kerr.OperationNotAttempted)) {
					err = fmt.Errorf("%s partition %d: %w", t.Topic, part.Partition, e)
				}
			}
		}
		return err
	})
}

// produce writes one batch to each partition in the transaction and gives their base offsets. The batches are changed.
func (p *producer) produce(ctx context.Context, batches map[place][]byte) (map[place]produced, error) {
	if err := p.join(ctx, batches); err != nil {
		return nil, err
	}
	for at, batch := range batches {
		record.SetProducer(batch, p.who, p.numbers[at], true)
		b, err := record.ParseHeader(batch)
		if err != nil {
			return nil, err
		}
		p.numbers[at] = int32((int64(p.numbers[at]) + int64(b.Count)) & 0x7fffffff)
	}
	out, left := map[place]produced{}, batches
	err := p.cluster.retry(ctx, func() error {
		got, err := p.cluster.produce(ctx, p.id, left)
		again := map[place][]byte{}
		for at, batch := range left {
			switch g, ok := got[at]; {
			case !ok:
				again[at] = batch
			case g.err != nil:
				again[at] = batch
				err = errors.Join(err, fmt.Errorf("%s partition %d: %w", at.topic, at.partition, g.err))
			default:
				out[at] = g
			}
		}
		if left = again; len(left) > 0 && err == nil {
			err = errs.New(errs.Internal, "the cluster says nothing of %d batches", len(left))
		}
		return err
	})
	return out, err
}

// end commits or aborts the transaction.
func (p *producer) end(ctx context.Context, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.who.ID, p.who.Epoch, commit
	resp, err := req.RequestWith(ctx, p.cluster.client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	clear(p.joined)
	if next := (log.TxnProducer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}); p.cluster.implicit && next != p.who {
		p.who = next
		clear(p.numbers)
	}
	return nil
}
