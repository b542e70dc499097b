package log

import "time"

// TxnProducer is the producer that a Kafka transactional id stands for at present. Whoever shows an older epoch is fenced.
type TxnProducer struct {
	ID    int64
	Epoch int16
}

// NoProducer is who has no producer id yet.
var NoProducer = TxnProducer{-1, -1}

// TxnOffset is a record that a transaction writes to OffsetsTopic when it commits; its bytes are log/kafka's.
type TxnOffset struct {
	Group      string
	Key, Value []byte
	// At is its offset in OffsetsTopic, once the transaction has committed.
	At int64
}

// TxnRange is where the records of one committed transaction stand in one partition: those of its producer from First to
// before Marker. The built-in log gives a First no lower than where the partition began when the transaction ended.
type TxnRange struct {
	Partition     Partition
	Producer      int64
	First, Marker int64
}

// AbortedTxn is an aborted transaction in one partition: its producer's transactional records from First to Last, its
// marker, are not to be read.
type AbortedTxn struct {
	Producer    int64
	First, Last int64
}

// MaxTxnTimeout is transaction.max.timeout.ms: no transaction that is open began earlier.
const MaxTxnTimeout = 15 * time.Minute

// TxnStatus is the state of a transactional id, by Kafka's names.
type TxnStatus string

// The states.
const (
	TxnEmpty     TxnStatus = "Empty"
	TxnOngoing   TxnStatus = "Ongoing"
	TxnCommitted TxnStatus = "CompleteCommit"
	TxnAborted   TxnStatus = "CompleteAbort"
)

// Txn is a transactional id and its newest transaction.
type Txn struct {
	ID         string
	Producer   TxnProducer
	Status     TxnStatus
	Timeout    time.Duration
	Started    time.Time // of the one that is ongoing
	Partitions []Partition
}

// Attribute bits of a record batch, in the low byte of its attributes (DefaultRecordBatch.java).
const (
	atAttributesLow  = 22
	transactionalBit = 0x10
	controlBit       = 0x20
)

// Effective are the batches whose records take effect with this append: not those of a Kafka transaction, which do so
// when it commits (see Commits), and not the markers.
func (e *Entry) Effective() []PartitionBatch {
	ordinary := func(b *PartitionBatch) bool {
		return len(b.Batch) <= atAttributesLow || b.Batch[atAttributesLow]&(transactionalBit|controlBit) == 0
	}
	for i := range e.Batches {
		if ordinary(&e.Batches[i]) {
			continue
		}
		var out []PartitionBatch
		for j := range e.Batches {
			if ordinary(&e.Batches[j]) {
				out = append(out, e.Batches[j])
			}
		}
		return out
	}
	return e.Batches
}
