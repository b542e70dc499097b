package broker

import (
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/topics"
)

// item is one append on its way through the stages.
type item struct {
	entry log.Entry
	parts []part // one per batch of entry
	// topics are the changes that records of the catalog topic make.
	topics []log.TopicRecord
	// events take effect with the append, or alone; encoded is their form in the journal.
	events  []event
	encoded []byte
	join    bool // transactional batches may join their transactions unannounced
	size    int64
	largest int // bytes of the largest record batch
	ticket  *log.Ticket
}

// part is what the stages need of one PartitionBatch beyond its bytes.
type part struct {
	maxTimestamp  int64
	producer      producerBatch
	transactional bool
	marker        marker
	read          *keyRead // nil: nobody needs the records' keys and headers
}

// producerBatch is the idempotent producer's view of a batch; id -1: none.
type producerBatch struct {
	id          int64
	epoch       int16
	first, last int32 // sequences
}

// newEvents makes an item that is no append.
func newEvents(events ...event) *item {
	return &item{events: events, encoded: encodeEvents(events)}
}

func (it *item) isAppend() bool { return it.entry.Position.Sequence != 0 }

// inspect parses the batches of a and checks everything about them that does not depend on the log's state.
func inspect(a log.Append) (*item, error) {
	if len(a.Batches) == 0 {
		return nil, errs.New(errs.Invalid, "an append names at least one partition")
	}
	it := &item{
		entry: log.Entry{Txn: a.Txn, Batches: a.Batches, Attachment: a.Attachment},
		parts: make([]part, len(a.Batches)), join: a.JoinTxn,
	}
	for i := range a.Batches {
		if err := it.inspectBatch(i, record.Parse, appended); err != nil {
			return nil, err
		}
	}
	return it, nil
}

// recovered makes the item of an entry that was checked when it was appended.
func recovered(e log.Entry) (*item, error) {
	it := &item{entry: e, parts: make([]part, len(e.Batches))}
	for i := range e.Batches {
		if err := it.inspectBatch(i, record.ParseChecked, appended); err != nil {
			return nil, errs.New(errs.Corrupt, "append %v: %w", e.Position, err)
		}
	}
	return it, nil
}

// appended and kept are what inspectBatch asks of a batch: one that is appended is whole, one that was kept may have lost
// records.
func appended(b *record.Batch) error { return b.ValidateProduced() }
func kept(*record.Batch) error       { return nil }

func (it *item) inspectBatch(i int, parse func([]byte) (record.Batch, []byte, error), validate func(*record.Batch) error) error {
	pb, pt := &it.entry.Batches[i], &it.parts[i]
	pt.producer.id = -1
	it.size += int64(len(pb.Batch))
	pb.Records = 0
	first := true
	for rest := pb.Batch; len(rest) > 0 || first; first = false {
		b, next, err := parse(rest)
		if err == nil {
			err = validate(&b)
		}
		if err != nil {
			return errs.New(errs.KindOf(err), "batch %d: %w", i, err)
		}
		if int64(pb.Records)+int64(b.Offsets()) > 1<<31-1 {
			return errs.New(errs.Limit, "%w: batch %d has over 2^31-1 records", log.ErrTooLarge, i)
		}
		pb.Records += b.Offsets()
		it.largest = max(it.largest, len(b.Bytes))
		if first || b.MaxTimestamp > pt.maxTimestamp {
			pt.maxTimestamp = b.MaxTimestamp
		}
		if b.Control() {
			if r, commit, ok := record.Marker(b, pb.Partition); ok {
				pt.marker = marker{true, commit, r.Producer, r.First}
			}
		} else if b.ProducerID >= 0 {
			// Kafka's rule: what a producer numbers is one batch per partition, so that a retry is whole.
			if !first || len(next) > 0 {
				return errs.New(errs.Invalid, "%w: batch %d: an idempotent producer sends one batch per partition", log.ErrInvalidRecord, i)
			}
			pt.producer = producerBatch{b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.LastSequence()}
			pt.transactional = b.Transactional()
		}
		if pb.Partition.Topic == log.CatalogTopicID {
			if it.topics, err = topics.Records(it.topics, b); err != nil {
				return err
			}
		}
		rest = next
	}
	return nil
}

// place gives the item its offsets, Position and time: in the batches too.
func (it *item) place(s *state, now int64) {
	it.entry.Position = log.Position{Epoch: s.epoch, Sequence: s.sequence + 1}
	it.entry.Time = time.Unix(0, now).UTC()
	var placed map[log.Partition]int64
	if len(it.entry.Batches) > 1 {
		placed = make(map[log.Partition]int64, len(it.entry.Batches))
	}
	for i := range it.entry.Batches {
		pb := &it.entry.Batches[i]
		next, again := placed[pb.Partition]
		if !again {
			next = s.next(pb.Partition)
		}
		pb.BaseOffset = next
		appendTime := false
		if t := s.topics.ByID[pb.Partition.Topic]; t != nil {
			appendTime = t.Config["message.timestamp.type"] == "LogAppendTime"
		}
		for rest := pb.Batch; len(rest) > 0; {
			b, _ := record.ParseHeader(rest)
			record.SetBaseOffset(rest, next)
			record.SetLeaderEpoch(rest, int32(s.term))
			if appendTime {
				it.parts[i].maxTimestamp = now / 1e6
				record.SetLogAppendTime(b.Bytes, now/1e6)
			}
			next += int64(b.Count)
			rest = rest[len(b.Bytes):]
		}
		if placed != nil {
			placed[pb.Partition] = next
		}
	}
}
