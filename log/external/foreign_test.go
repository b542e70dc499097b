package external

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// stock is a client that writes to the cluster beside the log.
func stock(t *testing.T, brokers string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func put(t *testing.T, c *kgo.Client, topic, key, value string) {
	t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// effects waits until the appends have these values.
func effects(t *testing.T, l *Log, after log.Position, want string) {
	t.Helper()
	got := ""
	for range 2400 { // a minute
		if got = logtest.Effects(t, l, after); strings.Join(strings.Fields(got), " ") == want {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("effects\n%swant %s", got, want)
}

// Records of other producers take one Position each and keep it; those of a transaction take effect with its end, also when
// the log is started again in its middle.
func TestForeign(t *testing.T) {
	brokers := testenv.Kafka(t)
	in := &instance{t: t, brokers: brokers}
	l := in.start(t)
	topic := logtest.CreateTopic(t, l, "f", 1, nil)
	p := log.Partition{Topic: topic.ID}
	from := l.End()
	ours := func(value string) error {
		_, err := log.Commit(t.Context(), l, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.Batch(t, 1, value)}}})
		return err
	}
	must(t, ours("o1"))
	plain := stock(t, brokers)
	put(t, plain, "f", "k", "p1")
	effects(t, l, from, "o1 p1")
	must(t, ours("o2"))

	kept, dropped := stock(t, brokers, kgo.TransactionalID("kept")), stock(t, brokers, kgo.TransactionalID("dropped"))
	must(t, kept.BeginTransaction())
	must(t, dropped.BeginTransaction())
	put(t, kept, "f", "k", "t1")
	put(t, dropped, "f", "k", "never")
	put(t, plain, "f", "k", "p2")
	effects(t, l, from, "o1 p1 o2 p2")
	must(t, ours("o3"))
	effects(t, l, from, "o1 p1 o2 p2 o3")
	in.Stop()
	put(t, kept, "f", "k", "t2")
	must(t, dropped.EndTransaction(context.Background(), kgo.TryAbort))
	put(t, plain, "f", "k", "p3")
	l = in.start(t)
	effects(t, l, from, "o1 p1 o2 p2 o3 p3")
	must(t, kept.EndTransaction(context.Background(), kgo.TryCommit))
	effects(t, l, from, "o1 p1 o2 p2 o3 p3 t1 t2")
	must(t, ours("o4"))
	effects(t, l, from, "o1 p1 o2 p2 o3 p3 t1 t2 o4")
	before := logtest.Entries(t, l, from)
	in.Stop()
	l = in.start(t)
	after := logtest.Entries(t, l, from)
	if len(before) != len(after) {
		t.Fatalf("%d entries, before %d", len(after), len(before))
	}
	for i := range after {
		if !reflect.DeepEqual(after[i], before[i]) {
			t.Fatalf("entry %d: %+v\nbefore %+v", i, after[i], before[i])
		}
	}
	effects(t, l, from, "o1 p1 o2 p2 o3 p3 t1 t2 o4")
}

// A record of a table that another client produced under a key, and that is not ordered yet, is never overtaken by ours.
func TestForeignKeyConflict(t *testing.T) {
	brokers := testenv.Kafka(t)
	in := &instance{t: t, brokers: brokers}
	l := in.start(t)
	topic := logtest.CreateTopic(t, l, "table", 1, nil)
	p := log.Partition{Topic: topic.ID}
	hold := make(chan struct{})
	l.Admit(topic.ID, func(_ context.Context, a log.Append, submit func(log.Append) (*log.Ticket, error)) (*log.Ticket, error) {
		<-hold
		return submit(a)
	})
	put(t, stock(t, brokers), "table", "k0", "theirs")
	ours := func() error {
		_, err := log.Commit(t.Context(), l, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.Batch(t, 1, "ours")}}})
		return err
	}
	from := l.End()
	if err := ours(); !errors.Is(err, errRefused) {
		t.Fatalf("%v, want a refusal", err)
	}
	close(hold)
	effects(t, l, from, "theirs")
	must(t, ours())
	effects(t, l, from, "theirs ours")
}
