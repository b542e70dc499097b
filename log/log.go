package log

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/miracledb/miracledb/internal/delta"
)

// Position is the place of one append: see delta.Position. State at p has seen every append up to and including p.
type Position = delta.Position

// TopicID is the stable 16-byte id of one incarnation of a topic: deleted and created again it has another (Kafka's
// topic id). It is also the key of the topic's partitions on disk.
type TopicID [16]byte

func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id names no topic.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// Topic is a named set of partitions. Topics are made and dropped by records of CatalogTopic (see TopicRecord).
type Topic struct {
	ID         TopicID
	Name       string
	Partitions int32
	// Config holds the overrides by their Kafka names ("retention.ms").
	Config map[string]string
	// Internal topics begin with "__": Kafka clients may read them and never write them.
	Internal bool
}

// Partition names one partition of one topic incarnation.
type Partition struct {
	Topic TopicID
	Index int32
}

// Names of the internal topics.
const (
	// CatalogTopic holds every version of every catalog object, never compacted, keyed by (object id, version). Its
	// records create and drop topics: one append may make a topic and fill it.
	CatalogTopic = "__catalog"
	// OffsetsTopic holds the committed offsets of consumer groups in Kafka's own record format.
	OffsetsTopic = "__consumer_offsets"
	// SchemasTopic holds the schema registry's records in Confluent's format. Clients may write it, so that a registry's topic
	// can be copied here; they may not delete it, as it says what the records of other topics mean.
	SchemasTopic = "_schemas"
)

// CatalogTopicID is the well-known id of CatalogTopic: it exists before any record does.
var CatalogTopicID = TopicID{0xca, 0x7a, 0x10, 0x60, 15: 1}

// PartitionBatch is what one append writes to one partition.
type PartitionBatch struct {
	Partition Partition
	// Batch is one or more whole Kafka record batches (v2, magic 2), as a client sends them. The log assigns base
	// offset and leader epoch in place (neither is under the CRC) and owns the bytes from Submit on.
	Batch []byte
	// BaseOffset and Records are set by the log: the first offset, and how many offsets the batches take.
	BaseOffset int64
	Records    int32
}

// Expect is a condition of an append, checked in the same step that orders it, against everything ordered before. An append
// whose condition does not hold fails with errs.Conflict (an ExpectationError inside) and writes nothing.
type Expect struct {
	Partition Partition
	// NextOffset is the offset that the append's first record of this partition must get; -1: any.
	NextOffset int64
	// Key, when not nil, asks that the last record of the partition with this key is at LastOffset (-1: there is none kept).
	// Records of aborted transactions do not count; one of another transaction that has not ended never fits. Only on
	// topics with a key index (ConfigKeyIndex).
	Key        []byte
	LastOffset int64
}

// Append is one atomic write over all the partitions it names.
type Append struct {
	Batches []PartitionBatch
	Expect  []Expect
	// Txn is the id of the SQL or Kafka transaction that this append commits, 0: none.
	Txn uint64
	// JoinTxn lets the batches of a transactional producer join its transaction, or begin it, without their partitions
	// having been announced (KIP-890).
	JoinTxn bool
	// Attachment travels in memory with the entry to readers at the tail and is never stored: the typed delta that SQL
	// made of the rows, so that nobody decodes them again. After a restart it is nil.
	Attachment any
}

// Appended says where an append went. It is known at Submit; it is durable only when the Ticket is done.
type Appended struct {
	Position Position
	// Time is the log's own commit time: monotone over positions.
	Time time.Time
	// Offsets holds the first offset of each batch of the Append, in its order.
	Offsets []int64
	// Duplicate is set when the batch of an idempotent producer had been appended before: Offsets are the first ones.
	Duplicate bool
}

// Entry is one durable append, as a reader in log order sees it.
type Entry struct {
	Position Position
	// Term and Index are the entry's place in the replicated journal.
	Term, Index uint64
	Time        time.Time
	Txn         uint64
	Batches     []PartitionBatch
	// Commits are the Kafka transactions that the append commits: their records, which stand in older appends, take effect
	// with it. record.Effects visits them.
	Commits []TxnRange
	// Thinned is set when records of the append are no longer kept: retention, a deletion or compaction has removed them.
	Thinned    bool
	Attachment any
}

// ActiveProducer is an idempotent producer that a partition remembers.
type ActiveProducer struct {
	ID           int64
	Epoch        int16
	LastSequence int32
	// Time is when it wrote last.
	Time time.Time
	// TxnStart is the first offset of its open transaction, -1: none.
	TxnStart int64
}

// Bounds are the limits of a partition.
type Bounds struct {
	// Start is the first offset kept, End the one after the last durable record (Kafka's high watermark).
	Start, End int64
	// Clean is the first offset from which history is whole: below it compaction has removed records.
	Clean int64
	// Stable is the first offset of a transaction that has not ended, no lower than Start, End when there is none (Kafka's last
	// stable offset).
	Stable int64
}

// ReadLimit bounds one Read.
type ReadLimit struct {
	// MaxBytes is the size wanted; the first batch is returned even when it is larger (KIP-74). 0: 1 MiB.
	MaxBytes int
	// Memory gives the bytes, n or more of them, that what is read is put in; nil: they are made.
	Memory func(n int) []byte
	// GivenUp asks for records below the partition's start too, as long as they are there: for who applies the log's order, in
	// which they took effect before the start moved.
	GivenUp bool
}

// Log is a durable, partitioned, totally ordered log. All methods are safe for concurrent use.
type Log interface {
	// Submit checks and orders a, assigning its offsets and Position, and returns before it is durable: two Submits of
	// one goroutine, or under one lock, keep their order. The Ticket is done when the write is durable (DESIGN rule 1).
	// Errors: NotFound (no such topic or partition), Conflict (expectation), Invalid (malformed batch), Limit (batch too
	// large), Unavailable (closing, disk full).
	Submit(ctx context.Context, a Append) (*Ticket, error)

	// Produce is Submit through the admission hooks of the topics that a names: what foreign writers call.
	Produce(ctx context.Context, a Append) (*Ticket, error)

	// Admit sets the hook of a topic; nil removes it.
	Admit(topic TopicID, hook AdmissionHook)

	// Read gives durable batches of one partition from the one that holds offset on. An offset at End gives no bytes
	// and no error; one outside [Start, End] gives errs.NotFound with the bounds in the message.
	Read(ctx context.Context, p Partition, offset int64, limit ReadLimit) ([]byte, error)

	// ReadFrom gives whole durable entries after the Position, in order, at least one unless ctx ends first, and about
	// maxBytes of them. A position below what is kept gives errs.NotFound ("history thinned").
	ReadFrom(ctx context.Context, after Position, maxBytes int) ([]Entry, error)

	// Notify sends on ch (never blocking) after records of any of the partitions became durable, until cancel.
	Notify(ps []Partition, ch chan<- struct{}) (cancel func())

	// Bounds gives the limits of a partition.
	Bounds(p Partition) (Bounds, error)

	// Aborted lists the aborted transactions with records from offset from to before upTo, by their markers: readers of committed
	// records leave those out. upTo is to, or lower, and above from, where there are many: who reads on asks again from there. It
	// is asked after Bounds, with to no higher than Stable, and before what it is asked for is read: compaction takes the records
	// out, and then their transactions are forgotten. Errors: Corrupt, Unavailable.
	Aborted(p Partition, from, to int64) (txns []AbortedTxn, upTo int64, err error)

	// OffsetForTime gives the first offset whose record has a timestamp at or after ms (Unix milliseconds) and that
	// timestamp; -1, -1 when there is none.
	OffsetForTime(p Partition, ms int64) (offset, timestamp int64, err error)

	// PositionOf gives the last append at or below an offset of a partition; PositionAt the last at or before a time.
	PositionOf(p Partition, offset int64) (Position, error)
	PositionAt(t time.Time) (Position, error)

	// End is the newest durable Position.
	End() Position

	// Topics lists the topics at the durable end, by name. Topic and TopicByID look one up.
	Topics() []Topic
	Topic(name string) (Topic, bool)
	TopicByID(id TopicID) (Topic, bool)

	// Pin keeps everything after p for the named holder; Unpin lets go.
	Pin(holder string, p Position) error
	Unpin(holder string)

	PropertyStore
}

// KeyReader is a Log with key indexes.
type KeyReader interface {
	Log
	// KeyOffsets gives the offsets of up to n durable records of a partition with a key, below an offset (-1: any), the
	// newest first. Records of transactions that were aborted or have not ended are left out. Errors: Invalid (the topic
	// has no key index), Unavailable (it is being built).
	KeyOffsets(ctx context.Context, p Partition, key []byte, below int64, n int) ([]int64, error)
}

// AdmissionHook stands between a foreign writer and a topic: it may refuse a, or hold a lock around submit so that the
// write takes its place in an order of the hook's own. It must call submit at most once and return its ticket.
type AdmissionHook func(ctx context.Context, a Append, submit func(Append) (*Ticket, error)) (*Ticket, error)

// TxnHook stands between a producer and the commit of its Kafka transaction, as an AdmissionHook stands before an append:
// batches are the transaction's, of the topics that have admission hooks.
type TxnHook func(ctx context.Context, batches []PartitionBatch, submit func() (*Ticket, error)) (*Ticket, error)

// Ticket is an append on its way to the disk.
type Ticket struct {
	Appended
	done chan struct{}
	err  error
}

// NewTicket makes the ticket of an append that has been ordered; the log calls Complete on it once.
func NewTicket(a Appended) *Ticket { return &Ticket{Appended: a, done: make(chan struct{})} }

// Complete marks the append as durable (nil) or failed.
func (t *Ticket) Complete(err error) {
	t.err = err
	close(t.done)
}

// Done is closed when the append is durable or has failed.
func (t *Ticket) Done() <-chan struct{} { return t.done }

// Err is the outcome; valid once Done is closed.
func (t *Ticket) Err() error { return t.err }

// Wait waits until the append is durable. When ctx ends first the outcome is not known, and ctx's error is returned.
func (t *Ticket) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Commit is Submit and Wait.
func Commit(ctx context.Context, l Log, a Append) (Appended, error) {
	t, err := l.Submit(ctx, a)
	if err != nil {
		return Appended{}, err
	}
	return t.Appended, t.Wait(ctx)
}
