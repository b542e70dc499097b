package admission

import (
	"context"
	"errors"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// topics is a Log that has topics and takes every append.
type topics struct {
	log.Log
	byID   map[log.TopicID]log.Topic
	ticket *log.Ticket
}

func (l *topics) TopicByID(id log.TopicID) (log.Topic, bool) {
	t, ok := l.byID[id]
	return t, ok
}

func (l *topics) Submit(context.Context, log.Append) (*log.Ticket, error) { return l.ticket, nil }

func newTopics(ts ...log.Topic) *topics {
	l := &topics{byID: map[log.TopicID]log.Topic{}, ticket: log.NewTicket(log.Appended{})}
	for _, t := range ts {
		l.byID[t.ID] = t
	}
	return l
}

func batch(t testing.TB, keys ...string) []byte {
	t.Helper()
	var b record.Builder
	for _, k := range keys {
		if k == "" {
			b.Add(1, nil, []byte("v"))
		} else {
			b.Add(1, []byte(k), []byte("v"))
		}
	}
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func to(batches ...log.PartitionBatch) log.Append { return log.Append{Batches: batches} }

func TestRefusals(t *testing.T) {
	l := newTopics(log.Topic{ID: log.TopicID{1}, Name: "plain"}, log.Topic{ID: log.TopicID{2}, Name: "__internal", Internal: true, Config: map[string]string{"cleanup.policy": "compact"}},
		log.Topic{ID: log.TopicID{3}, Name: "compacted", Config: map[string]string{"cleanup.policy": "compact,delete"}})
	marker, err := record.BuildMarker(log.TxnProducer{ID: 1}, true, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		topic log.TopicID
		batch []byte
		want  error
		kind  errs.Kind
	}{
		{"a topic that is not", log.TopicID{9}, batch(t, ""), log.ErrUnknownPartition, errs.NotFound},
		{"an internal topic", log.TopicID{2}, batch(t, ""), log.ErrInvalidTopic, errs.Denied},
		{"a marker", log.TopicID{1}, marker, log.ErrInvalidRecord, errs.Invalid},
		{"cut short", log.TopicID{1}, batch(t, "")[:65], log.ErrCorruptBatch, errs.Invalid},
	} {
		var h Hooks
		if _, err := h.Produce(context.Background(), l, to(log.PartitionBatch{Partition: log.Partition{Topic: c.topic}, Batch: c.batch})); !errors.Is(err, c.want) || !errs.Is(err, c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	var h Hooks
	var refused *log.RecordError
	p := append(batch(t, "a", "b"), batch(t, "c", "")...)
	_, err = h.Produce(context.Background(), l, to(log.PartitionBatch{Partition: log.Partition{Topic: log.TopicID{3}}, Batch: p}))
	if !errors.As(err, &refused) || refused.Index != 3 {
		t.Errorf("a record without a key in a compacted topic: %v", err)
	}
	if _, err := h.Produce(context.Background(), l, to(log.PartitionBatch{Partition: log.Partition{Topic: log.TopicID{3}}, Batch: batch(t, "a")})); err != nil {
		t.Error(err)
	}
}

// A hook is asked once for an append, however many of its topic's partitions it writes.
func TestHookOnce(t *testing.T) {
	a, b := log.Topic{ID: log.TopicID{1}}, log.Topic{ID: log.TopicID{2}}
	l := newTopics(a, b)
	var h Hooks
	asked := ""
	for id, name := range map[log.TopicID]string{a.ID: "a", b.ID: "b"} {
		h.Set(id, func(_ context.Context, x log.Append, submit func(log.Append) (*log.Ticket, error)) (*log.Ticket, error) {
			asked += name
			return submit(x)
		})
	}
	one := func(t log.Topic, i int32, p []byte) log.PartitionBatch {
		return log.PartitionBatch{Partition: log.Partition{Topic: t.ID, Index: i}, Batch: p}
	}
	got, err := h.Produce(context.Background(), l, to(one(a, 0, batch(t, "")), one(b, 0, batch(t, "")), one(a, 1, batch(t, ""))))
	if err != nil || got != l.ticket || asked != "ba" {
		t.Errorf("%v, %v, asked %q", got, err, asked)
	}
}

// Every produced partition comes by here.
func TestProduceAllocatesNothing(t *testing.T) {
	l := newTopics(log.Topic{ID: log.TopicID{1}})
	a := to(log.PartitionBatch{Partition: log.Partition{Topic: log.TopicID{1}}, Batch: batch(t, "")})
	var h Hooks
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Produce(context.Background(), l, a) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
