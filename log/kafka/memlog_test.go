package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// memLog is a log in memory, fast and under the test's thumb: with hold set no append is durable before release.
// It is its own Catalog. The tests that need neither use log/broker.
type memLog struct {
	noTxns
	mu       sync.Mutex
	topics   map[string]log.Topic
	data     map[log.Partition][]record.Batch
	hooks    map[log.TopicID]log.AdmissionHook
	watchers map[chan<- struct{}][]log.Partition
	next     map[log.Partition]int64 // of what was submitted
	sequence uint64
	hold     bool
	held     []func()
}

var noProperties log.Properties

var errNotHere = errs.New(errs.Unsupported, "this log cannot do it")

// noTxns are the transactions of a log that has none.
type noTxns struct{}

func (noTxns) InitTxn(context.Context, string, time.Duration, log.TxnProducer) (log.TxnProducer, error) {
	return log.NoProducer, errNotHere
}

func (noTxns) AddTxnPartitions(context.Context, string, log.TxnProducer, []log.Partition) error {
	return errNotHere
}

func (noTxns) AddTxnOffsets(context.Context, string, log.TxnProducer, bool, []log.TxnOffset) error {
	return errNotHere
}

func (noTxns) EndTxn(context.Context, string, log.TxnProducer, bool, bool) (log.TxnProducer, []log.TxnOffset, error) {
	return log.NoProducer, nil, errNotHere
}

func (noTxns) TxnProducer(string) (log.TxnProducer, bool) { return log.NoProducer, false }

func (noTxns) Txns() []log.Txn                { return nil }
func (noTxns) TxnGroups(string) []string      { return nil }
func (noTxns) PendingOffsets(string) [][]byte { return nil }

func newMemLog() *memLog {
	return &memLog{topics: map[string]log.Topic{}, data: map[log.Partition][]record.Batch{}, hooks: map[log.TopicID]log.AdmissionHook{},
		watchers: map[chan<- struct{}][]log.Partition{}, next: map[log.Partition]int64{}}
}

func (l *memLog) CreateTopic(_ context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.topics[name]; ok {
		return log.Topic{}, errs.New(errs.Exists, "topic %s exists", name)
	}
	t := log.Topic{Name: name, Partitions: partitions, Config: config, Internal: strings.HasPrefix(name, "__")}
	rand.Read(t.ID[:])
	l.topics[name] = t
	return t, nil
}

func (l *memLog) AlterTopic(_ context.Context, topic log.Topic, change func(*log.Topic) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.topics[topic.Name]
	if err := change(&t); err != nil {
		return err
	}
	l.topics[t.Name] = t
	return nil
}

func (l *memLog) DropTopic(_ context.Context, topic log.Topic) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.topics, topic.Name)
	return nil
}

func (l *memLog) end(p log.Partition) int64 {
	if batches := l.data[p]; len(batches) > 0 {
		return batches[len(batches)-1].LastOffset() + 1
	}
	return 0
}

func (l *memLog) Submit(_ context.Context, a log.Append) (*log.Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequence++
	done := log.Appended{Position: log.Position{Sequence: l.sequence}}
	var became []record.Batch
	p := a.Batches[0].Partition
	next := max(l.end(p), l.next[p])
	done.Offsets = []int64{next}
	for rest := a.Batches[0].Batch; len(rest) > 0; {
		b, r, err := record.Parse(rest)
		if err != nil {
			return nil, err
		}
		record.SetBaseOffset(b.Bytes, next)
		b.BaseOffset = next
		next += int64(b.Offsets())
		became, rest = append(became, b), r
	}
	l.next[p] = next
	ticket := log.NewTicket(done)
	finish := func() {
		l.data[p] = append(l.data[p], became...)
		for ch, ps := range l.watchers {
			if slices.Contains(ps, p) {
				select {
				case ch <- struct{}{}:
				default:
				}
			}
		}
		ticket.Complete(nil)
	}
	if l.hold {
		l.held = append(l.held, finish)
	} else {
		finish()
	}
	return ticket, nil
}

// waiting is how many appends are held.
func (l *memLog) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// release makes everything held durable.
func (l *memLog) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, finish := range l.held {
		finish()
	}
	l.held, l.hold = nil, false
}

func (l *memLog) Produce(ctx context.Context, a log.Append) (*log.Ticket, error) {
	l.mu.Lock()
	hook := l.hooks[a.Batches[0].Partition.Topic]
	l.mu.Unlock()
	if hook == nil {
		return l.Submit(ctx, a)
	}
	return hook(ctx, a, func(a log.Append) (*log.Ticket, error) { return l.Submit(ctx, a) })
}

func (l *memLog) Admit(topic log.TopicID, hook log.AdmissionHook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hooks[topic] = hook
}

func (l *memLog) Read(_ context.Context, p log.Partition, offset int64, limit log.ReadLimit) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset < 0 || offset > l.end(p) {
		return nil, errs.New(errs.NotFound, "%w: %d", log.ErrOffsetOutOfRange, offset)
	}
	var out bytes.Buffer
	for _, b := range l.data[p] {
		if b.LastOffset() < offset {
			continue
		}
		if out.Len() > 0 && out.Len()+len(b.Bytes) > limit.MaxBytes && limit.MaxBytes > 0 {
			break
		}
		out.Write(b.Bytes)
	}
	return out.Bytes(), nil
}

func (l *memLog) Notify(ps []log.Partition, ch chan<- struct{}) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[ch] = ps
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, ch)
	}
}

func (l *memLog) Bounds(p log.Partition) (log.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return log.Bounds{End: l.end(p), Stable: l.end(p)}, nil
}

func (l *memLog) OffsetForTime(p log.Partition, ms int64) (offset, timestamp int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var it record.Iterator
	for _, b := range l.data[p] {
		if err := it.Reset(b); err != nil {
			return -1, -1, err
		}
		for i := int64(0); it.Next(); i++ {
			if it.Record().Timestamp >= ms {
				return b.BaseOffset + i, it.Record().Timestamp, nil
			}
		}
	}
	return -1, -1, nil
}

func (l *memLog) DeleteRecords(context.Context, log.Partition, int64) (int64, error) {
	return 0, errs.New(errs.Unsupported, "this log keeps everything")
}

func (l *memLog) Producers(log.Partition) []log.ActiveProducer { return nil }
func (l *memLog) Size(log.Partition) int64                     { return 0 }
func (l *memLog) Volume() (string, int64, int64)               { return "memory", 0, 0 }

func (l *memLog) Aborted(_ log.Partition, _, to int64) ([]log.AbortedTxn, int64, error) {
	return nil, to, nil
}

func (l *memLog) LeaderEpoch() int32 { return 0 }

func (l *memLog) NextProducerID(context.Context) (int64, error) { return 1, nil }

func (l *memLog) Topics() []log.Topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []log.Topic
	for _, t := range l.topics {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b log.Topic) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (l *memLog) Topic(name string) (log.Topic, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.topics[name]
	return t, ok
}

func (l *memLog) TopicByID(id log.TopicID) (log.Topic, bool) {
	for _, t := range l.Topics() {
		if t.ID == id {
			return t, true
		}
	}
	return log.Topic{}, false
}

// What log/kafka never calls.
func (l *memLog) End() log.Position                                                { panic("End") }
func (l *memLog) ReadFrom(context.Context, log.Position, int) ([]log.Entry, error) { panic("ReadFrom") }
func (l *memLog) PositionOf(log.Partition, int64) (log.Position, error)            { panic("PositionOf") }
func (l *memLog) Properties() *log.Properties                                      { return &noProperties }
func (l *memLog) ChangeProperties(context.Context, func(*log.Properties) (map[string][]byte, error)) error {
	return errNotHere
}
func (l *memLog) PositionAt(time.Time) (log.Position, error) { panic("PositionAt") }
func (l *memLog) Pin(string, log.Position) error             { panic("Pin") }
func (l *memLog) Unpin(string)                               { panic("Unpin") }
