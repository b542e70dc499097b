package admission

import (
	"context"
	"slices"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// Hooks are the admission hooks by topic, and the one of Kafka transactions. The zero Hooks has none.
type Hooks struct {
	mu struct {
		sync.RWMutex
		byTopic map[log.TopicID]log.AdmissionHook
		txn     log.TxnHook
	}
}

// Set gives a topic its hook; nil takes it away.
func (h *Hooks) Set(topic log.TopicID, hook log.AdmissionHook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hook == nil {
		delete(h.mu.byTopic, topic)
		return
	}
	if h.mu.byTopic == nil {
		h.mu.byTopic = map[log.TopicID]log.AdmissionHook{}
	}
	h.mu.byTopic[topic] = hook
}

// Get is a topic's hook, nil for none.
func (h *Hooks) Get(topic log.TopicID) log.AdmissionHook {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.mu.byTopic[topic]
}

// SetTxn sets the hook of the transactions that commit records of topics that have a hook.
func (h *Hooks) SetTxn(hook log.TxnHook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.txn = hook
}

// Txn is the hook of transactions, nil for none.
func (h *Hooks) Txn() log.TxnHook {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.mu.txn
}

// Produce submits a foreign writer's append to l through the hooks of the topics that it names. Beyond what Submit checks it
// refuses internal topics, transaction markers, batches over the topic's max.message.bytes, and records without a key in
// compacted topics.
func (h *Hooks) Produce(ctx context.Context, l log.Log, a log.Append) (*log.Ticket, error) {
	var hooks []log.AdmissionHook
	var hooked []log.TopicID
	for i := range a.Batches {
		pb := &a.Batches[i]
		topic, ok := l.TopicByID(pb.Partition.Topic)
		if !ok {
			return nil, UnknownPartition(pb.Partition)
		}
		if topic.Internal {
			return nil, errs.New(errs.Denied, "%w: %s is internal: clients may only read it", log.ErrInvalidTopic, topic.Name)
		}
		hook := h.Get(topic.ID)
		if err := checkProduced(&topic, pb.Batch, hook != nil); err != nil {
			return nil, err
		}
		if hook != nil && !slices.Contains(hooked, topic.ID) {
			hooks, hooked = append(hooks, hook), append(hooked, topic.ID)
		}
	}
	if len(hooks) == 0 {
		return l.Submit(ctx, a)
	}
	submit := func(a log.Append) (*log.Ticket, error) { return l.Submit(ctx, a) }
	for _, hook := range hooks {
		inner := submit
		submit = func(a log.Append) (*log.Ticket, error) { return hook(ctx, a, inner) }
	}
	return submit(a)
}

// checkProduced is what a foreign writer's batches must hold beyond what the log itself asks. Submit checks the CRC; it
// is checked here already when somebody looks at the records before.
func checkProduced(t *log.Topic, p []byte, hooked bool) error {
	limit := MaxMessageBytes(*t)
	_, compacted := t.Cleanup()
	parse := record.ParseChecked
	if hooked || compacted {
		parse = record.Parse
	}
	records := 0
	for len(p) > 0 {
		b, rest, err := parse(p)
		switch {
		case err != nil:
			return err
		case b.Control():
			return errs.New(errs.Invalid, "%w: clients may not write control batches", log.ErrInvalidRecord)
		case b.Transactional() && b.ProducerID < 0:
			return errs.New(errs.Invalid, "%w: a transactional batch without a producer", log.ErrInvalidRecord)
		case int64(len(b.Bytes)) > limit:
			return errs.New(errs.Limit, "%w: a batch of %d bytes for topic %s, over max.message.bytes=%d", log.ErrTooLarge, len(b.Bytes), t.Name, limit)
		}
		if err := b.ValidateFrame(); err != nil {
			return err
		}
		if compacted {
			if err := checkKeys(t, b, records); err != nil {
				return err
			}
		}
		p, records = rest, records+int(b.Count)
	}
	return nil
}

// checkKeys refuses the first record without a key: a compacted topic could never forget it. before is how many records stand
// before the batch.
func checkKeys(t *log.Topic, b record.Batch, before int) error {
	var it record.Iterator
	if err := it.Reset(b); err != nil {
		return err
	}
	for index := before; it.Next(); index++ {
		if it.Record().Key == nil {
			return errs.New(errs.Invalid, "topic %s is compacted: %w", t.Name, &log.RecordError{Index: index, Message: "it has no key"})
		}
	}
	return it.Err()
}

// MaxMessageBytes is the limit that a topic puts on a produced batch.
func MaxMessageBytes(t log.Topic) int64 {
	return min(t.Number("max.message.bytes"), int64(limit.KafkaRequest))
}

// UnknownPartition is the error of a topic or partition that is not there.
func UnknownPartition(p log.Partition) error {
	return errs.New(errs.NotFound, "%w: %s partition %d", log.ErrUnknownPartition, p.Topic, p.Index)
}

// OutOfRange is the error of a read outside of what a partition keeps.
func OutOfRange(p log.Partition, offset, start, end int64) error {
	return errs.New(errs.NotFound, "%w: offset %d of %s partition %d, kept are %d to %d",
		log.ErrOffsetOutOfRange, offset, p.Topic, p.Index, start, end)
}
