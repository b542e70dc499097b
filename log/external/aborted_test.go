package external

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// bounds waits until the limits of a partition are what a test wants.
func bounds(t *testing.T, l *Log, p log.Partition, want log.Bounds) {
	t.Helper()
	var got log.Bounds
	for range 2400 { // a minute
		var err error
		if got, err = l.Bounds(p); err == nil && got == want {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("bounds %+v, want %+v", got, want)
}

// A transaction of another client that was aborted is told as log/broker tells it: below the stable offset only once it has
// ended, and left out by Aborted, also after a restart.
func TestForeignAborted(t *testing.T) {
	brokers := testenv.Kafka(t)
	in := &instance{t: t, brokers: brokers}
	l := in.start(t)
	topic := logtest.CreateTopic(t, l, "a", 1, nil)
	p := log.Partition{Topic: topic.ID}
	plain, c := stock(t, brokers), stock(t, brokers, kgo.TransactionalID("aborts"))
	put(t, plain, "a", "k", "p0")
	must(t, c.BeginTransaction())
	put(t, c, "a", "k", "never1")
	put(t, plain, "a", "k", "p2")
	put(t, c, "a", "k", "never3")
	bounds(t, l, p, log.Bounds{End: 4, Stable: 1})
	if got, _, err := l.Aborted(p, 0, 100); err != nil || len(got) != 0 {
		t.Fatalf("aborted %+v before anything was", got)
	}
	if got := l.Txns(); len(got) != 1 || got[0].Status != log.TxnOngoing || !reflect.DeepEqual(got[0].Partitions, []log.Partition{p}) {
		t.Fatalf("transactions %+v", got)
	}
	must(t, c.EndTransaction(context.Background(), kgo.TryAbort))
	bounds(t, l, p, log.Bounds{End: 5, Stable: 5})
	check := func() {
		t.Helper()
		got, _, err := l.Aborted(p, 0, 100)
		if err != nil || len(got) != 1 || got[0].First != 1 || got[0].Last != 4 || got[0].Producer < 0 {
			t.Fatalf("aborted %+v", got)
		}
		for _, r := range []struct{ from, to int64 }{{0, 1}, {5, 100}} {
			if got, _, err := l.Aborted(p, r.from, r.to); err != nil || len(got) != 0 {
				t.Fatalf("aborted %+v from %d to %d", got, r.from, r.to)
			}
		}
		if txns := l.Txns(); len(txns) != 1 || txns[0].Status != log.TxnAborted || txns[0].Producer.ID != got[0].Producer {
			t.Fatalf("transactions %+v", txns)
		}
	}
	check()
	effects(t, l, log.Position{}, "p0 p2")
	in.Stop()
	l = in.start(t)
	bounds(t, l, p, log.Bounds{End: 5, Stable: 5})
	check()
	effects(t, l, log.Position{}, "p0 p2")
}
