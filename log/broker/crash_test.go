package broker

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// acked is what a client knows: the append with this name was acknowledged at this place.
type acked struct {
	mu    sync.Mutex
	names map[string]log.Appended
}

func (a *acked) add(name string, at log.Appended) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names[name] = at
}

func (a *acked) copy() map[string]log.Appended {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]log.Appended, len(a.names))
	for k, v := range a.names {
		out[k] = v
	}
	return out
}

// writeLoad appends to two topics at once until stop closes: one entry each, whose two values are its name.
func writeLoad(t testing.TB, l log.Log, a, b log.Topic, tag string, seed uint64, stop <-chan struct{}, ok *acked) {
	rng := rand.New(rand.NewPCG(seed, 99))
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		name := fmt.Sprintf("%s-%d", tag, i)
		value := name + ":" + strings.Repeat("x", rng.IntN(2000))
		var batch []byte
		for range 1 + rng.IntN(3) {
			batch = append(batch, logtest.Batch(t, 1, value)...)
		}
		if rng.IntN(40) == 0 { // larger than a journal entry of the small options
			for range 30 {
				batch = append(batch, logtest.Batch(t, 1, value+strings.Repeat("y", 2000))...)
			}
		}
		got, err := log.Commit(context.Background(), l, log.Append{Batches: []log.PartitionBatch{
			{Partition: log.Partition{Topic: a.ID, Index: int32(i % 2)}, Batch: batch},
			{Partition: log.Partition{Topic: b.ID}, Batch: logtest.Batch(t, 1, value)},
		}})
		if err != nil {
			return
		}
		ok.add(name, got)
	}
}

// checkAcked proves that every acknowledged append is there once, whole, at its place, and that entries and partitions
// tell the same story.
func checkAcked(t *testing.T, l log.Log, want map[string]log.Appended) {
	t.Helper()
	found := map[string]bool{}
	next := map[log.Partition]int64{}
	last := log.Position{}
	for _, e := range logtest.Entries(t, l, log.Position{}) {
		if e.Position.Sequence != last.Sequence+1 {
			t.Fatalf("entry %v after %v", e.Position, last)
		}
		last = e.Position
		names := map[string]bool{}
		for _, b := range e.Batches {
			values, first, end := logtest.Values(t, b.Batch)
			if first != next[b.Partition] || first != b.BaseOffset {
				t.Fatalf("entry %v: offset %d of a partition that ends at %d", e.Position, first, next[b.Partition])
			}
			next[b.Partition] = end + 1
			if b.Partition.Topic == log.CatalogTopicID {
				continue
			}
			for _, v := range values {
				name, _, _ := strings.Cut(v, ":")
				names[name] = true
			}
		}
		if len(names) == 0 {
			continue
		}
		if len(names) != 1 {
			t.Fatalf("entry %v is of %d appends", e.Position, len(names))
		}
		for name := range names {
			if found[name] {
				t.Fatalf("append %s is there twice", name)
			}
			found[name] = true
			if w, ok := want[name]; ok && (w.Position != e.Position || !w.Time.Equal(e.Time)) {
				t.Fatalf("append %s was acknowledged at %v and is at %v", name, w.Position, e.Position)
			}
		}
	}
	for name, at := range want {
		if !found[name] {
			t.Fatalf("append %s, acknowledged at %v, is lost; the end is %v", name, at.Position, l.End())
		}
	}
	for p, end := range next {
		if b, err := l.Bounds(p); err != nil || b.End != end {
			t.Fatalf("bounds of %v: %+v, %v; entries end at %d", p, b, err, end)
		}
		if n := len(logtest.ReadAll(t, l, p)); int64(n) != end {
			t.Fatalf("partition %v has %d records, want %d", p, n, end)
		}
	}
}

// A power cut at any moment, with any part of what was not synced on the disk.
func TestPowerCut(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 5))
		fs := vfs.NewMem()
		ok := &acked{names: map[string]log.Appended{}}
		for cut := range 4 {
			b, err := Open(small(fs, "data"))
			if err != nil {
				t.Fatalf("seed %d, cut %d: %v", seed, cut, err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- b.Run(ctx) }()
			checkAcked(t, b, ok.copy())
			if cut == 0 {
				logtest.CreateTopic(t, b, "a", 2, nil)
				logtest.CreateTopic(t, b, "b", 1, nil)
			}
			ta, _ := b.Topic("a")
			tb, _ := b.Topic("b")
			stop := make(chan struct{})
			var writers sync.WaitGroup
			for w := range 3 {
				load := rng.Uint64()
				writers.Go(func() { writeLoad(t, b, ta, tb, fmt.Sprintf("%d.%d", cut, w), load, stop, ok) })
			}
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
			want := ok.copy()
			clone := fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			close(stop)
			writers.Wait()
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			fs, ok = clone, &acked{names: want}
		}
		b, stop := start(t, small(fs, "data"))
		checkAcked(t, b, ok.copy())
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, small(fs, "data")); len(faults) > 0 {
			t.Fatalf("seed %d: %v", seed, faults)
		}
	}
}

func check(t *testing.T, opts Options) []error {
	t.Helper()
	r, err := Check(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r.Faults
}

// TestKill kills a process of this test binary at random moments: what it acknowledged on its output is there.
func TestKill(t *testing.T) {
	if dir := os.Getenv("MIRACLEDB_TEST_KILL_DIR"); dir != "" {
		killedWriter(t, dir)
		return
	}
	dir := t.TempDir()
	want := map[string]log.Appended{}
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "MIRACLEDB_TEST_KILL_DIR="+dir, "MIRACLEDB_TEST_KILL_TAG="+strconv.Itoa(round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acks := 0
		kill := 20 + rand.IntN(400)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var name, nanos string
			var at log.Appended
			if n, _ := fmt.Sscanf(lines.Text(), "ack %s %d %d %s", &name, &at.Position.Epoch, &at.Position.Sequence, &nanos); n != 4 {
				continue
			}
			ns, _ := strconv.ParseInt(nanos, 10, 64)
			at.Time = unixNano(ns)
			want[name] = at
			if acks++; acks == kill {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if acks < kill {
			t.Fatalf("round %d: the writer ended by itself after %d acknowledgements", round, acks)
		}
		b, stop := start(t, small(vfs.Default, dir))
		checkAcked(t, b, want)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	if faults := check(t, small(vfs.Default, dir)); len(faults) > 0 {
		t.Fatal(faults)
	}
}

func killedWriter(t *testing.T, dir string) {
	b, err := Open(small(vfs.Default, dir))
	if err != nil {
		t.Fatal(err)
	}
	go b.Run(context.Background())
	if _, ok := b.Topic("a"); !ok {
		logtest.CreateTopic(t, b, "a", 2, nil)
		logtest.CreateTopic(t, b, "b", 1, nil)
	}
	ta, _ := b.Topic("a")
	tb, _ := b.Topic("b")
	ok := &acked{names: map[string]log.Appended{}}
	for w := range 3 {
		go writeLoad(t, b, ta, tb, fmt.Sprintf("%s.%d", os.Getenv("MIRACLEDB_TEST_KILL_TAG"), w), uint64(w), nil, ok)
	}
	printed := map[string]bool{}
	for {
		for name, at := range ok.copy() {
			if !printed[name] {
				printed[name] = true
				fmt.Printf("ack %s %d %d %d\n", name, at.Position.Epoch, at.Position.Sequence, at.Time.UnixNano())
			}
		}
		time.Sleep(time.Millisecond)
	}
}
