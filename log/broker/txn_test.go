package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// outcomes are what clients know of their transactions: by name, whether it was committed (true) or aborted.
type outcomes struct {
	mu    sync.Mutex
	known map[string]bool
}

func (o *outcomes) set(name string, committed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[name] = committed
}

func (o *outcomes) copy() map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]bool{}
	for k, v := range o.known {
		out[k] = v
	}
	return out
}

// writeTxns runs transactions of one id over the partitions of a topic until stop closes or the log ends. Every value of a
// transaction is its name, and the name ends with how many there are.
func writeTxns(t testing.TB, b *Broker, topic log.Topic, id string, seed uint64, stop <-chan struct{}, ok *outcomes) {
	rng := rand.New(rand.NewPCG(seed, 3))
	ctx := context.Background()
	p, err := b.InitTxn(ctx, id, time.Minute, log.NoProducer)
	for i := 0; err == nil; i++ {
		select {
		case <-stop:
			return
		default:
		}
		n := 1 + rng.IntN(6)
		name := fmt.Sprintf("%s-%d-%d-%d", id, p.Epoch, i, n)
		sequences := map[int32]int32{}
		for range n {
			part := rng.Int32N(topic.Partitions)
			_, err = log.Commit(ctx, b, log.Append{JoinTxn: true, Batches: []log.PartitionBatch{{
				Partition: log.Partition{Topic: topic.ID, Index: part}, Batch: logtest.TxnBatch(t, p, sequences[part], name)}}})
			sequences[part]++
			if err != nil {
				return
			}
		}
		committed := rng.IntN(4) > 0
		if p, _, err = b.EndTxn(ctx, id, p, committed, true); err == nil {
			ok.set(name, committed)
		}
	}
}

// checkTxns proves that every transaction takes effect whole or not at all, once, and as its client was told.
func checkTxns(t *testing.T, b *Broker, topic log.Topic, want map[string]bool) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(logtest.Effects(t, b, log.Position{})) {
		values := strings.Fields(line)
		name := values[0]
		n := 0
		for i := len(name) - 1; name[i] != '-'; i-- {
			n = int(name[i] - '0')
		}
		for _, v := range values {
			if v != name || len(values) != n || seen[name] {
				t.Fatalf("a transaction of %d takes effect with %v (again: %v)", n, values, seen[name])
			}
		}
		seen[name] = true
		if committed, known := want[name]; known && !committed {
			t.Fatalf("transaction %s takes effect, and was aborted", name)
		}
	}
	for name, committed := range want {
		if committed && !seen[name] {
			t.Fatalf("transaction %s was committed and is lost", name)
		}
	}
}

// A power cut at any moment, with transactions open.
func TestTxnPowerCut(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewMem()
		ok := &outcomes{known: map[string]bool{}}
		for cut := range 4 {
			b, stopLog := start(t, small(fs, "data"))
			if cut == 0 {
				logtest.CreateTopic(t, b, "t", 3, nil)
			}
			topic, _ := b.Topic("t")
			checkTxns(t, b, topic, ok.copy())
			stop := make(chan struct{})
			var writers sync.WaitGroup
			for w := range 3 {
				load := rng.Uint64()
				writers.Go(func() { writeTxns(t, b, topic, fmt.Sprint("w", w), load, stop, ok) })
			}
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
			want := ok.copy()
			clone := fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			close(stop)
			writers.Wait()
			if err := stopLog(); err != nil {
				t.Fatal(err)
			}
			fs, ok = clone, &outcomes{known: want}
		}
		b, stop := start(t, small(fs, "data"))
		topic, _ := b.Topic("t")
		checkTxns(t, b, topic, ok.copy())
		// Whoever comes back ends what was open: nothing holds readers back.
		for w := range 3 {
			if _, err := b.InitTxn(context.Background(), fmt.Sprint("w", w), time.Minute, log.NoProducer); err != nil {
				t.Fatal(err)
			}
		}
		for i := range topic.Partitions {
			if got, err := b.Bounds(log.Partition{Topic: topic.ID, Index: i}); err != nil || got.Stable != got.End {
				t.Fatalf("bounds %+v, %v", got, err)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, small(fs, "data")); len(faults) > 0 {
			t.Fatalf("seed %d: %v", seed, faults)
		}
	}
}

// Epochs run out: the producer gets a new id, and goes on.
func TestTxnEpochsRunOut(t *testing.T) {
	b, _ := start(t, small(vfs.NewMem(), "data"))
	topic := logtest.CreateTopic(t, b, "t", 1, nil)
	ctx := context.Background()
	p, err := b.InitTxn(ctx, "a", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	b.sequence.mu.Lock()
	b.sequence.mu.state.txns["a"].producer.Epoch = lastEpoch
	b.sequence.mu.Unlock()
	b.durable.mu.Lock()
	b.durable.mu.state.txns["a"].producer.Epoch = lastEpoch
	b.durable.mu.Unlock()
	old := log.TxnProducer{ID: p.ID, Epoch: lastEpoch}
	commit(t, b, log.Append{JoinTxn: true, Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: logtest.TxnBatch(t, old, 0, "x")}}})
	next, _, err := b.EndTxn(ctx, "a", old, true, true)
	if err != nil || next.ID == p.ID || next.Epoch != 0 {
		t.Fatalf("%v, %v", next, err)
	}
	if again, _, err := b.EndTxn(ctx, "a", old, true, true); err != nil || again != next {
		t.Fatalf("the retry: %v, %v", again, err)
	}
	late := log.Append{JoinTxn: true, Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: logtest.TxnBatch(t, old, 1, "late")}}}
	if _, err := b.Submit(ctx, late); !errors.Is(err, log.ErrTxnState) {
		t.Fatalf("a record of the old id: %v", err)
	}
	if got := logtest.Effects(t, b, log.Position{}); got != "x\n" {
		t.Fatalf("effects %q", got)
	}
}

// BenchmarkTransactions: ten records over three partitions each.
func BenchmarkTransactions(b *testing.B) {
	for _, producers := range []int{1, 16} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			l, _ := start(b, Options{Dir: b.TempDir()})
			topic := logtest.CreateTopic(b, l, "t", 3, nil)
			ctx := context.Background()
			var ps []log.TxnProducer
			for i := range producers {
				p, err := l.InitTxn(ctx, fmt.Sprint(i), time.Minute, log.NoProducer)
				if err != nil {
					b.Fatal(err)
				}
				ps = append(ps, p)
			}
			work := make(chan struct{})
			var running sync.WaitGroup
			for i, p := range ps {
				running.Go(func() {
					for range work {
						var tickets []*log.Ticket
						for part := range int32(3) {
							values := make([]string, 3+part/2)
							k, err := l.Submit(ctx, log.Append{JoinTxn: true, Batches: []log.PartitionBatch{{
								Partition: log.Partition{Topic: topic.ID, Index: part}, Batch: logtest.TxnBatch(b, p, 0, values...)}}})
							if err != nil {
								b.Error(err)
								return
							}
							tickets = append(tickets, k)
						}
						for _, k := range tickets {
							if err := k.Wait(ctx); err != nil {
								b.Error(err)
							}
						}
						var err error
						if p, _, err = l.EndTxn(ctx, fmt.Sprint(i), p, true, true); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			running.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "txn/s")
		})
	}
}

// A restore has the records of an open transaction and nobody who could end it: it counts as aborted, and holds nobody back.
func TestRestoreTxns(t *testing.T) {
	fs := vfs.NewMem()
	b, stop := start(t, small(fs, "first"))
	topic := logtest.CreateTopic(t, b, "t", 1, nil)
	p := log.Partition{Topic: topic.ID}
	ctx := context.Background()
	for i, id := range []string{"done", "open"} {
		producer, err := b.InitTxn(ctx, id, time.Minute, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, b, log.Append{JoinTxn: true, Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.TxnBatch(t, producer, 0, id)}}})
		if i == 0 {
			if _, _, err := b.EndTxn(ctx, id, producer, true, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries := logtest.Entries(t, b, log.Position{})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(ctx, small(fs, "second"), func(yield func(log.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b, stop = start(t, small(fs, "second"))
		bounds, err := b.Bounds(p)
		if err != nil || bounds.Stable != bounds.End {
			t.Fatalf("bounds %+v, %v", bounds, err)
		}
		if got, _, err := b.Aborted(p, 0, bounds.End); err != nil || len(got) != 1 || got[0].First != 2 || got[0].Last != 2 {
			t.Fatalf("aborted %+v", got)
		}
		if got := logtest.Effects(t, b, log.Position{}); got != "done\n" {
			t.Fatalf("effects %q", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// DeleteRecords and the end of a transaction have an order: what was deleted before the commit, be it within a batch, takes no
// effect with it, and what was deleted after it has taken effect, also for who applies the log later, and after a restart.
func TestDeletedWithinTransaction(t *testing.T) {
	for _, spread := range []bool{false, true} {
		dir := t.TempDir()
		b, stop := start(t, small(vfs.Default, dir))
		ctx := t.Context()
		topic := logtest.CreateTopic(t, b, "t", 1, nil)
		p := log.Partition{Topic: topic.ID}
		before := b.End()
		producer, err := b.InitTxn(ctx, "id", time.Minute, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.AddTxnPartitions(ctx, "id", producer, []log.Partition{p}); err != nil {
			t.Fatal(err)
		}
		batches := [][]string{{"0", "1", "2", "3", "4"}}
		if spread {
			batches = [][]string{{"0"}, {"1", "2"}, {"3"}, {"4"}}
		}
		sequence := int32(0)
		for _, values := range batches {
			commit(t, b, oneBatch(topic, logtest.TxnBatch(t, producer, sequence, values...)))
			sequence += int32(len(values))
		}
		cut := func(offset int64) {
			t.Helper()
			if _, err := b.DeleteRecords(ctx, p, offset); err != nil {
				t.Fatal(err)
			}
		}
		cut(2)
		if _, _, err := b.EndTxn(ctx, "id", producer, true, false); err != nil {
			t.Fatal(err)
		}
		cut(4)
		check := func() {
			t.Helper()
			got := strings.Join(strings.FieldsFunc(logtest.Effects(t, b, before), func(r rune) bool { return r < '0' || r > '9' }), " ")
			if !strings.HasSuffix(got, "2 3 4") || strings.Contains(got, "0 1") {
				t.Fatalf("spread %v: what takes effect is %q", spread, got)
			}
		}
		check()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		b, _ = start(t, small(vfs.Default, dir))
		check()
	}
}
