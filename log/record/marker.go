package record

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/miracledb/miracledb/log"
)

// firstHeader is the header of a marker's record that holds the first offset of the transaction in its partition. Kafka's
// clients do not look at it.
const firstHeader = "first"

// BuildMarker makes the control batch that ends a transaction in a partition where its first record is at offset first.
func BuildMarker(p log.TxnProducer, commit bool, first, timestamp int64) ([]byte, error) {
	var b Builder
	kind := byte(0)
	if commit {
		kind = 1
	}
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(first))
	// Key: version, type; value: version, coordinator epoch (EndTransactionMarker).
	b.Add(timestamp, []byte{0, 0, 0, kind}, []byte{0, 0, 0, 0, 0, 0}, Header{Key: []byte(firstHeader), Value: at[:]})
	b.Producer(p.ID, p.Epoch, -1)
	b.attributes = transactionalBit | controlBit
	return b.Build()
}

// Marker reads a control batch: how the producer's transaction ended, and where it stands. ok is false for one that has
// been compacted away or is none of ours.
func Marker(b Batch, partition log.Partition) (r log.TxnRange, commit, ok bool) {
	var it Iterator
	if !b.Control() || it.Reset(b) != nil || !it.Next() {
		return r, false, false
	}
	rec := it.Record()
	if len(rec.Key) < 4 || len(rec.Headers) != 1 || string(rec.Headers[0].Key) != firstHeader || len(rec.Headers[0].Value) != 8 {
		return r, false, false
	}
	r = log.TxnRange{Partition: partition, Producer: b.ProducerID, First: int64(binary.BigEndian.Uint64(rec.Headers[0].Value)), Marker: b.BaseOffset}
	return r, rec.Key[3] == 1, true
}

// Committed visits the batches of a committed transaction in one partition, in order: those that are still there, though the
// partition may begin behind them by now. The first one is without the records that were given up before the transaction ended.
func Committed(ctx context.Context, l log.Log, t log.TxnRange, visit func(log.PartitionBatch) error) error {
	r := NewReader(l, t.Partition, t.First, t.Marker)
	r.givenUp = true
	for r.Next(ctx) {
		b := r.Batch()
		if b.ProducerID != t.Producer || !b.Transactional() || b.Control() {
			continue
		}
		cut, err := r.Cut()
		if err != nil {
			return err
		}
		if err := visit(cut); err != nil {
			return err
		}
	}
	if errors.Is(r.Err(), log.ErrUnknownPartition) {
		return nil // dropped meanwhile
	}
	return r.Err()
}

// Effects visits the batches of wanted topics that take effect with an append: its own, but for those of a Kafka transaction
// that goes on, and those of the transactions that it commits, which are read back from the log.
func Effects(ctx context.Context, l log.Log, e *log.Entry, wanted func(log.TopicID) bool, visit func(log.PartitionBatch) error) error {
	for _, b := range e.Effective() {
		if !wanted(b.Partition.Topic) {
			continue
		}
		if err := visit(b); err != nil {
			return err
		}
	}
	for _, r := range e.Commits {
		if !wanted(r.Partition.Topic) {
			continue
		}
		if err := Committed(ctx, l, r, visit); err != nil {
			return err
		}
	}
	return nil
}

// MarkTransactional makes the next batch one of the producer's transaction.
func (b *Builder) MarkTransactional() { b.attributes = transactionalBit }
