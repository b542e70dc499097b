package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/aborted"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// abortMany appends n aborted transactions of one record each with one append, by producers of their own, and says which.
func abortMany(b *Broker, p log.Partition, n int, value string) (txns []log.AbortedTxn, err error) {
	_, err = b.transact(context.Background(), func(s *state, now int64) (batches []log.PartitionBatch, _ []event, err error) {
		next := s.next(p)
		for i := range n {
			producer := log.TxnProducer{ID: int64(1000 + i)}
			var data record.Builder
			data.Add(now/1e6, []byte("key"), []byte(value))
			data.Producer(producer.ID, 0, 0)
			data.MarkTransactional()
			written, rerr := data.Build()
			marker, merr := record.BuildMarker(producer, false, next, now/1e6)
			if err := errors.Join(rerr, merr); err != nil {
				return nil, nil, err
			}
			batches = append(batches, log.PartitionBatch{Partition: p, Batch: written}, log.PartitionBatch{Partition: p, Batch: marker})
			txns = append(txns, log.AbortedTxn{Producer: producer.ID, First: next, Last: next + 1})
			next += 2
		}
		return batches, nil, nil
	})
	return txns, err
}

// listed lists all that Aborted tells of a partition, piece by piece.
func listed(t testing.TB, b *Broker, p log.Partition, from int64) (all []log.AbortedTxn) {
	t.Helper()
	for from < math.MaxInt64 {
		txns, upTo, err := b.Aborted(p, from, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range txns {
			if !slices.Contains(all[max(0, len(all)-100):], one) {
				all = append(all, one)
			}
		}
		from = upTo
	}
	return all
}

// checkAborted compares what Aborted tells of a partition with the markers that its records have.
func checkAborted(t *testing.T, b *Broker, p log.Partition) []log.AbortedTxn {
	t.Helper()
	bounds, err := b.Bounds(p)
	if err != nil {
		t.Fatal(err)
	}
	var want []log.AbortedTxn
	r := record.NewReader(b, p, bounds.Start, bounds.End)
	for r.Next(t.Context()) {
		if m, commit, ok := record.Marker(r.Batch(), p); ok && !commit {
			want = append(want, log.AbortedTxn{Producer: m.Producer, First: m.First, Last: m.Marker})
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	got := listed(t, b, p, bounds.Start)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%d aborted transactions are told of, the records of %+v have %d:\n%v\n%v", len(got), bounds, len(want), got, want)
	}
	return got
}

// However many transactions were aborted, neither side's state holds more of them than what segments do not have yet, nor does a
// snapshot; and all of them are told of, before and after a restart.
func TestAbortedLeaveTheState(t *testing.T) {
	opts := manually(vfs.NewMem())
	opts.slotsPerFile = 5000
	b, stop := start(t, opts)
	p := log.Partition{Topic: logtest.CreateTopic(t, b, "t", 1, nil).ID}
	var want []log.AbortedTxn
	for range 30 {
		txns, err := abortMany(b, p, 1000, "aborted")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, txns...)
	}
	eventually(t, "all is applied", func() bool { return b.durable.appliedTo() == b.durable.end().Sequence })
	if _, err := abortMany(b, p, 1, "aborted"); err != nil {
		t.Fatal(err)
	}
	b.sequence.mu.Lock()
	ordered := len(b.sequence.mu.state.partitions[p].aborted)
	b.sequence.mu.Unlock()
	eventually(t, "all is applied", func() bool { return b.durable.appliedTo() == b.durable.end().Sequence })
	b.durable.mu.RLock()
	held := len(b.durable.mu.state.partitions[p].aborted)
	b.durable.mu.RUnlock()
	if ordered > 1 || held > 0 {
		t.Fatalf("the sequencer's state holds %d aborted transactions, the durable one %d", ordered, held)
	}
	if got := checkAborted(t, b, p); len(got) != len(want)+1 || !reflect.DeepEqual(got[:len(want)], want) {
		t.Fatalf("%d are told of, want %d", len(got), len(want)+1)
	}
	for _, from := range []int64{0, 12_345, 59_999} {
		txns, upTo, err := b.Aborted(p, from, 60_000)
		if err != nil || len(txns) > abortedRoom || upTo <= from || txns[0].Last < from {
			t.Fatalf("from %d: %d transactions up to %d, %v", from, len(txns), upTo, err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if size := snapshotSize(t, opts); size > 128<<10 { // most of it is of a thousand producers
		t.Fatalf("the snapshot has %d bytes", size)
	}
	report, err := Check(opts)
	if err != nil || len(report.Faults) > 0 || report.Aborted != len(want)+1 {
		t.Fatalf("%d aborted transactions, %v, %v", report.Aborted, report.Faults, err)
	}
	b, _ = start(t, opts)
	checkAborted(t, b, p)
	if _, err := b.DeleteRecords(t.Context(), p, 40_002); err != nil {
		t.Fatal(err)
	}
	if got := checkAborted(t, b, p); len(got) != 10_000 {
		t.Fatalf("%d are told of after DeleteRecords", len(got))
	}
	before := abortedFiles(t, b, p)
	b.requestCheckpoint()
	eventually(t, "files of what is forgotten go", func() bool { return abortedFiles(t, b, p) == before-4 })
	checkAborted(t, b, p)
}

func snapshotSize(t testing.TB, opts Options) int64 {
	t.Helper()
	dir := opts.FS.PathJoin(opts.Dir, "state")
	numbers, err := snapshotNumbers(opts.FS, dir)
	if err != nil || len(numbers) != 1 {
		t.Fatal(numbers, err)
	}
	stat, err := opts.FS.Stat(snapshotName(opts.FS, dir, numbers[0]))
	if err != nil {
		t.Fatal(err)
	}
	return stat.Size()
}

func abortedFiles(t testing.TB, b *Broker, p log.Partition) (n int) {
	t.Helper()
	names, err := b.opts.FS.List(b.opts.segments(b.dirs, p).Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".aborted") {
			n++
		}
	}
	return n
}

// abortLoad aborts transactions on a partition until stop closes or the log does not take more, and gives up records now and then;
// ok is called with what was acknowledged.
func abortLoad(b *Broker, p log.Partition, rng *rand.Rand, rounds int, stop <-chan struct{}, ok func([]log.AbortedTxn)) {
	for i := range rounds {
		select {
		case <-stop:
			return
		default:
		}
		txns, err := abortMany(b, p, 1+rng.IntN(6), strings.Repeat("a", 2000))
		if err != nil {
			return
		}
		ok(txns)
		if i%16 == 15 {
			if _, err := b.DeleteRecords(context.Background(), p, txns[0].Last-rng.Int64N(40)); err != nil {
				return
			}
		}
		if i%5 == 4 {
			b.requestCheckpoint()
		}
	}
}

// checkRemembered starts the log again and proves that it tells of just the transactions that its records abort, among them what
// was acknowledged; that nothing is damaged; and the same after one more start.
func checkRemembered(t *testing.T, opts Options, want []log.AbortedTxn) {
	t.Helper()
	for range 2 {
		b, stop := start(t, opts)
		if topic, ok := b.Topic("a"); ok {
			p := log.Partition{Topic: topic.ID}
			got := checkAborted(t, b, p)
			bounds, err := b.Bounds(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range want {
				if one.Last >= bounds.Start && !slices.Contains(got, one) {
					t.Fatalf("%+v, which was acknowledged, is not told of", one)
				}
			}
		} else if len(want) > 0 {
			t.Fatal("the topic is lost")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, opts); len(faults) > 0 {
			t.Fatal(faults)
		}
	}
}

// The n-th file operation fails, or the power is cut just before it with anything of what was not synced on the disk, for each n
// until the load passes: each time what is told of aborted transactions is what the records say.
func TestAbortedAtN(t *testing.T) {
	options := func(fs vfs.FS) Options {
		opts := small(fs, "data")
		opts.slotsPerFile = 16
		return opts
	}
	step := 2
	if testing.Short() {
		step = 29
	}
	for name, cut := range map[string]bool{"fault": false, "power cut": true} {
		t.Run(name, func(t *testing.T) {
			for n := rand.IntN(step); ; n += step {
				mem := vfs.NewMem()
				rng := rand.New(rand.NewPCG(uint64(n), 3))
				var mu sync.Mutex
				var acked, want []log.AbortedTxn
				var clone vfs.FS
				var count atomic.Int64
				faulty := vfs.WithErrors(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
					if count.Add(1)-1 != int64(n) {
						return nil
					}
					if !cut {
						return errorfs.ErrInjected
					}
					mu.Lock()
					defer mu.Unlock()
					want = slices.Clone(acked)
					clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rand.IntN(101), RNG: rand.New(rand.NewPCG(uint64(n), 4))})
					return nil
				}))
				if b, err := Open(options(faulty)); err == nil {
					ctx, cancel := context.WithCancel(context.Background())
					done := make(chan error, 1)
					go func() { done <- b.Run(ctx) }()
					id := logtest.NewTopicID()
					_, err = log.Commit(ctx, b, log.Append{Batches: []log.PartitionBatch{logtest.Catalog(t, log.TopicRecord{ID: id.String(), Name: "a", Partitions: 1})}})
					if err == nil {
						abortLoad(b, log.Partition{Topic: id}, rng, 40, nil, func(txns []log.AbortedTxn) {
							mu.Lock()
							defer mu.Unlock()
							acked = append(acked, txns...)
						})
					}
					cancel()
					<-done
					b.Close()
				}
				passed := count.Load() <= int64(n)
				if cut && clone != nil {
					checkRemembered(t, options(clone), want)
				} else {
					checkRemembered(t, options(mem), acked)
				}
				if passed {
					t.Logf("passed at n=%d", n)
					return
				}
			}
		})
	}
}

// A full disk that has no room for the files of aborted transactions makes them wait: they are told of all the time.
func TestAbortedOnFullDisk(t *testing.T) {
	var full atomic.Bool
	opts := small(vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && (op.Kind == errorfs.OpFileWriteAt || op.Kind == errorfs.OpCreate) && strings.HasSuffix(op.Path, ".aborted") {
			return syscall.ENOSPC
		}
		return nil
	})), "data")
	opts.slotsPerFile = 16
	b, stop := start(t, opts)
	p := log.Partition{Topic: logtest.CreateTopic(t, b, "a", 1, nil).ID}
	var want []log.AbortedTxn
	for i := range 9 {
		full.Store(i%3 == 1)
		txns, err := abortMany(b, p, 7, "aborted")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, txns...)
		if got := checkAborted(t, b, p); !reflect.DeepEqual(got, want) {
			t.Fatalf("%d are told of, want %d", len(got), len(want))
		}
		if !full.Load() {
			eventually(t, "all is applied", func() bool { return b.durable.appliedTo() == b.durable.end().Sequence })
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkRemembered(t, opts, want)
}

// A log of a program that wrote all of them with every snapshot is read, and has them in files from then on.
func TestAbortedOfOldSnapshot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS("testdata/v5/aborted")); err != nil {
		t.Fatal(err)
	}
	opts := goldenOptions(vfs.Default, dir)
	b, stop := start(t, opts)
	topic, _ := b.Topic("a")
	p := log.Partition{Topic: topic.ID}
	got := checkAborted(t, b, p)
	if len(got) < 200 || abortedFiles(t, b, p) < 10 {
		t.Fatalf("%d aborted transactions in %d files", len(got), abortedFiles(t, b, p))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkRemembered(t, opts, got)
}

// edit changes the bytes of a file.
func edit(t *testing.T, name string, change func([]byte)) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	change(data)
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Check misses a transaction that a marker in the segments aborts: a slot that tells of another one has a good checksum.
func TestAbortedMissing(t *testing.T) {
	opts := small(vfs.Default, t.TempDir())
	b, stop := start(t, opts)
	p := log.Partition{Topic: logtest.CreateTopic(t, b, "a", 1, nil).ID}
	if _, err := abortMany(b, p, 20, "aborted"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(b.opts.segments(b.dirs, p).Dir, fmt.Sprintf("%020d.aborted", 1))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	edit(t, name, func(data []byte) { copy(data[6*aborted.SlotSize:7*aborted.SlotSize], data[5*aborted.SlotSize:]) })
	faults := check(t, opts)
	if len(faults) != 1 || !errs.Is(faults[0], errs.Corrupt) || !strings.Contains(faults[0].Error(), "offset 11 ") {
		t.Fatal(faults)
	}
}

// Damage is told to who asks, with its place, and to nobody else: the log goes on.
func TestAbortedDamage(t *testing.T) {
	opts := small(vfs.Default, t.TempDir())
	b, stop := start(t, opts)
	p := log.Partition{Topic: logtest.CreateTopic(t, b, "a", 1, nil).ID}
	txns, err := abortMany(b, p, 20, "aborted")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(b.opts.segments(b.dirs, p).Dir, fmt.Sprintf("%020d.aborted", 1))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	edit(t, name, func(data []byte) { data[5*aborted.SlotSize+9] ^= 1 })
	b, stop = start(t, opts)
	if _, _, err := b.Aborted(p, 0, 40); !errs.Is(err, errs.Corrupt) || !locates([]error{err}, filepath.Base(name), 5*aborted.SlotSize+9) {
		t.Fatal(err)
	}
	r, err := record.ReadCommitted(b, p)
	if err != nil || r.Next(t.Context()) || !errs.Is(r.Err(), errs.Corrupt) {
		t.Fatal("a reader of committed records is told nothing", err, r.Err())
	}
	if data, err := b.Read(t.Context(), p, txns[3].First, log.ReadLimit{}); err != nil || len(data) == 0 {
		t.Fatal(err)
	}
	if _, err := abortMany(b, p, 3, "aborted"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A power cut at any moment of transactions that are aborted, forgotten and saved.
func TestAbortedPowerCut(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 6))
		fs := vfs.NewMem()
		var want []log.AbortedTxn
		for cut := range 4 {
			opts := small(fs, "data")
			opts.slotsPerFile = 40
			b, finish := start(t, opts)
			if cut == 0 {
				logtest.CreateTopic(t, b, "a", 1, nil)
			}
			topic, _ := b.Topic("a")
			var mu sync.Mutex
			stop := make(chan struct{})
			var writers sync.WaitGroup
			for range 2 {
				load := rand.New(rand.NewPCG(seed, rng.Uint64()))
				writers.Go(func() {
					abortLoad(b, log.Partition{Topic: topic.ID}, load, math.MaxInt, stop, func(txns []log.AbortedTxn) {
						mu.Lock()
						defer mu.Unlock()
						want = append(want, txns...)
					})
				})
			}
			time.Sleep(time.Duration(rng.IntN(80)) * time.Millisecond)
			mu.Lock()
			acked := slices.Clone(want)
			clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			mu.Unlock()
			close(stop)
			writers.Wait()
			if err := finish(); err != nil {
				t.Fatal(err)
			}
			checkRemembered(t, opts, want)
			fs, want = clone, acked
			opts.FS = fs
			checkRemembered(t, opts, want)
		}
	}
}

// BenchmarkAborted is what a million aborted transactions of one partition cost: memory, a snapshot, and what a Fetch of committed
// records asks in their midst.
func BenchmarkAborted(b *testing.B) {
	const n = 1_000_000
	opts := Options{FS: vfs.Default, Dir: b.TempDir(), TailBytes: 16 * limit.MiB, CleanInterval: time.Hour}
	before := heap()
	l, stop := start(b, opts)
	p := log.Partition{Topic: logtest.CreateTopic(b, l, "t", 1, nil).ID}
	for range n / 1000 {
		if _, err := abortMany(l, p, 1000, "aborted"); err != nil {
			b.Fatal(err)
		}
	}
	for l.durable.appliedTo() != l.durable.end().Sequence {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	l, stop = start(b, opts)
	opened := time.Since(began)
	began = time.Now()
	l.cut()
	cut := time.Since(began)
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		if txns, _, err := l.Aborted(p, rng.Int64N(2*n), 2*n); err != nil || len(txns) == 0 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MiB")
	b.ReportMetric(float64(cut.Microseconds())/1000, "cut-ms")
	b.ReportMetric(float64(opened.Microseconds())/1000, "open-ms")
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(snapshotSize(b, opts))/(1<<20), "snapshot-MiB")
}

// heap is the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
