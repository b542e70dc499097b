package log

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/errs"
)

// RecordError says which record of a produced batch was refused: an admission hook returns it inside an errs.Constraint
// or errs.Invalid error (a %w verb of errs.New), and log/kafka answers INVALID_RECORD with the record's index (KIP-467).
type RecordError struct {
	// Index is the record's place in the partition's batch, from 0.
	Index int
	// Message says why, to the person who produced the record.
	Message string
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %s", e.Index, e.Message) }

// ExpectationError says which conditions of an append do not hold, and what holds instead.
type ExpectationError struct{ Unmet []Unmet }

// Unmet is a condition that does not hold.
type Unmet struct {
	Expect Expect
	// Record is the index of the record, in its batch, whose header carried the condition; -1: Append.Expect did.
	Record int
	// Index is the condition's place in Append.Expect, or the batch's in Append.Batches.
	Index int
	// Actual is the next offset, or the last one of the key.
	Actual int64
	// Open is set when the key's last record is of a transaction that has not ended.
	Open bool
}

func (u Unmet) String() string {
	switch {
	case u.Expect.Key == nil:
		return fmt.Sprintf("the next offset is %d, expected %d", u.Actual, u.Expect.NextOffset)
	case u.Open:
		return fmt.Sprintf("the key's last record, at offset %d, is of a transaction that has not ended", u.Actual)
	case u.Actual < 0:
		return fmt.Sprintf("the key has no record, expected is its last at offset %d", u.Expect.LastOffset)
	case u.Expect.LastOffset < 0:
		return fmt.Sprintf("the key's last record is at offset %d, expected none", u.Actual)
	}
	return fmt.Sprintf("the key's last record is at offset %d, expected %d", u.Actual, u.Expect.LastOffset)
}

func (e *ExpectationError) Error() string {
	u := e.Unmet[0]
	if len(e.Unmet) > 1 {
		return fmt.Sprintf("%s partition %d: %v (and %d more)", u.Expect.Partition.Topic, u.Expect.Partition.Index, u, len(e.Unmet)-1)
	}
	return fmt.Sprintf("%s partition %d: %v", u.Expect.Partition.Topic, u.Expect.Partition.Index, u)
}

// RecordErrors are the records of one batch that were refused, at least one, by index.
type RecordErrors []RecordError

func (e RecordErrors) Error() string {
	if len(e) > 1 {
		return fmt.Sprintf("%v (and %d more)", &e[0], len(e)-1)
	}
	return e[0].Error()
}

// Unwrap gives the first one.
func (e RecordErrors) Unwrap() error { return &e[0] }

// Why a batch of an idempotent producer is refused; find them with errors.Is. A batch that was appended before is no
// error (Appended.Duplicate).
var (
	// ErrOutOfOrderSequence: there is a gap between the producer's last sequence and this batch's.
	ErrOutOfOrderSequence = errs.New(errs.Conflict, "the batch's sequence does not follow the producer's last one")
	// ErrDuplicateSequence: the batch was appended before, so long ago that its offsets are no longer known.
	ErrDuplicateSequence = errs.New(errs.Conflict, "the batch's sequence is below the producer's remembered ones")
	// ErrProducerFenced: a newer epoch of the same producer has written.
	ErrProducerFenced = errs.New(errs.Conflict, "the producer's epoch is older than one that has written")
)

// The other errors that an edge tells apart by errors.Is, because Kafka's clients program against the difference. Each
// comes wrapped with the object it is about; its kind says what a caller without a protocol may do.
var (
	// ErrCorruptBatch: bytes that are no whole record batch, or whose CRC does not fit (Kafka CORRUPT_MESSAGE).
	ErrCorruptBatch = errs.New(errs.Invalid, "corrupt record batch")
	// ErrInvalidRecord: a well-formed batch that its topic does not take (Kafka INVALID_RECORD).
	ErrInvalidRecord = errs.New(errs.Invalid, "invalid record")
	// ErrTooLarge: a batch or an append over its limit (Kafka MESSAGE_TOO_LARGE).
	ErrTooLarge = errs.New(errs.Limit, "too large")
	// ErrUnknownPartition: no such topic or partition (Kafka UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID).
	ErrUnknownPartition = errs.New(errs.NotFound, "unknown topic or partition")
	// ErrOffsetOutOfRange: a read outside [Start, End] (Kafka OFFSET_OUT_OF_RANGE).
	ErrOffsetOutOfRange = errs.New(errs.NotFound, "offset out of range")
	// ErrHistoryThinned: a Position that is below what is kept, or not in this log's history.
	ErrHistoryThinned = errs.New(errs.NotFound, "history thinned")
	// ErrExpectation: a condition of the append does not hold. An ExpectationError beside it says which.
	ErrExpectation = errs.New(errs.Conflict, "expectation does not hold")
	// ErrTopicExists: a topic of that name is there under another id (Kafka TOPIC_ALREADY_EXISTS).
	ErrTopicExists = errs.New(errs.Exists, "topic exists")
	// ErrInvalidTopic: a name, partition count or id that no topic can have (Kafka INVALID_TOPIC_EXCEPTION).
	ErrInvalidTopic = errs.New(errs.Invalid, "invalid topic")
	// ErrTxnState: the transaction is not in a state for this (Kafka INVALID_TXN_STATE).
	ErrTxnState = errs.New(errs.Conflict, "invalid transaction state")
	// ErrTxnTimeout: a transaction that would take too long (Kafka INVALID_TRANSACTION_TIMEOUT).
	ErrTxnTimeout = errs.New(errs.Invalid, "invalid transaction timeout")
	// ErrProducerMapping: the transactional id is not known, or stands for another producer (Kafka
	// INVALID_PRODUCER_ID_MAPPING).
	ErrProducerMapping = errs.New(errs.Conflict, "the producer is not that of the transactional id")
	// ErrInvalidConfig: a topic setting that does not exist or has a wrong value (Kafka INVALID_CONFIG).
	ErrInvalidConfig = errs.New(errs.Invalid, "invalid topic config")
)
