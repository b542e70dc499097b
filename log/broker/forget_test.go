package broker

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// readCommitted reads a partition from its start as Fetch does for a reader of committed records, and gives an error when
// it meets a record of an aborted transaction, by its value; pause stands between what Fetch asks.
func readCommitted(b *Broker, p log.Partition, pause func()) (records int, err error) {
	bounds, err := b.Bounds(p)
	if err != nil {
		return 0, err
	}
	var it record.Iterator
	for at := bounds.Start; at < bounds.Stable; {
		pause()
		aborted, upTo, err := b.Aborted(p, at, bounds.Stable)
		if err != nil {
			return 0, err
		}
		pause()
		data, err := b.Read(context.Background(), p, at, log.ReadLimit{MaxBytes: 64 << 10})
		if err != nil {
			return 0, err
		}
		pause()
		for len(data) > 0 && at < bounds.Stable {
			batch, rest, err := record.Parse(data)
			if err != nil {
				return 0, err
			}
			if batch.BaseOffset >= upTo {
				at = batch.BaseOffset
				break
			}
			at, data = batch.LastOffset()+1, rest
			if batch.Control() {
				continue
			}
			left := false
			for _, a := range aborted {
				left = left || a.Producer == batch.ProducerID && a.First <= batch.BaseOffset && batch.BaseOffset < a.Last
			}
			if left && batch.Transactional() {
				continue
			}
			if err := it.Reset(batch); err != nil {
				return 0, err
			}
			for it.Next() {
				if records++; string(it.Record().Value) == "aborted" {
					return 0, fmt.Errorf("the record at offset %d is of an aborted transaction; it was told of %d", it.Record().Offset, len(aborted))
				}
			}
		}
	}
	return records, it.Err()
}

// lookUp looks the newest records of the key of all records up, and gives an error when one is of an aborted transaction.
func lookUp(b *Broker, p log.Partition, pause func()) error {
	ctx := context.Background()
	found, err := b.KeyOffsets(ctx, p, []byte("k0"), -1, 3)
	if err != nil {
		return err
	}
	pause()
	for _, offset := range found {
		r, ok, err := record.At(ctx, b, p, offset)
		if err != nil || ok && string(r.Value) == "aborted" {
			return fmt.Errorf("the key stands at offset %d: %q, %v", offset, r.Value, err)
		}
	}
	return nil
}

// forgetting is a compacted topic whose aborted transactions fill some segments, and a cleaner that only runs when the test says so.
type forgetting struct {
	*testing.T
	b     *Broker
	stop  func() error
	p     log.Partition
	keyed bool
}

func newForgetting(t *testing.T, opts Options, keyed bool, transactions int) *forgetting {
	f := &forgetting{T: t, keyed: keyed}
	f.b, f.stop = start(t, opts)
	topic := logtest.CreateTopic(t, f.b, "t", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "20000",
		"min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "0", log.ConfigKeyIndex: fmt.Sprint(keyed)})
	f.p = log.Partition{Topic: topic.ID}
	abortAll(t, f.b, f.p, "id", transactions)
	return f
}

func (f *forgetting) remembered() int {
	f.Helper()
	aborted, err := record.AllAborted(f.b, f.p, 0, math.MaxInt64)
	if err != nil {
		f.Fatal(err)
	}
	n := 0
	for _, of := range aborted {
		n += len(of)
	}
	return n
}

// meets fails when a reader of committed records, or who asks the key index, meets a record of an aborted transaction.
func (f *forgetting) meets(b *Broker, pause func()) {
	f.Helper()
	_, err := readCommitted(b, f.p, pause)
	if err == nil && f.keyed {
		err = lookUp(b, f.p, pause)
	}
	if err != nil {
		f.Error(err)
	}
}

// manually is a log in memory whose cleaner only runs when the test says so.
func manually(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "data", SegmentSize: 64 * limit.KiB, JournalFileSize: 256 * limit.KiB, TailBytes: 64 * limit.KiB, CleanInterval: time.Hour, Rows: ByKey}
}

// What a compacted partition remembers of aborted transactions goes with their records: those that the last segment still has
// are left, and the same after a restart.
func TestAbortedForgotten(t *testing.T) {
	opts := manually(vfs.NewMem())
	f := newForgetting(t, opts, false, 1000)
	before := f.remembered()
	settle(t, f.b)
	settle(t, f.b)
	left := f.remembered()
	if before != 990 || left > 200 {
		t.Fatalf("%d aborted transactions are remembered, %d after cleaning", before, left)
	}
	f.meets(f.b, func() {})
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	f.b, _ = start(t, opts)
	if n := f.remembered(); n != left {
		t.Fatalf("%d are remembered after a restart, want %d", n, left)
	}
	f.meets(f.b, func() {})
}

// As long as readers get records from memory that the segments have no more, their transactions are remembered.
func TestAbortedInTail(t *testing.T) {
	opts := manually(vfs.NewMem())
	opts.TailBytes = 64 * limit.MiB
	f := newForgetting(t, opts, false, 1000)
	settle(t, f.b)
	settle(t, f.b)
	if infos, cleaned := f.b.durable.store(f.p).Segments(); cleaned == 0 || infos[0].Generation == 0 {
		t.Fatal("nothing was compacted")
	}
	f.meets(f.b, func() {})
}

// An aborted transaction is forgotten only when no restart meets its records again: a power cut before the snapshot that names
// the compacted segments goes back to those that have them.
func TestAbortedWithoutSnapshot(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	f := newForgetting(t, manually(vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "/state/") {
			return syscall.ENOSPC
		}
		return nil
	}))), false, 1000)
	eventually(t, "all is applied", func() bool { return f.b.durable.appliedTo() == f.b.durable.end().Sequence })
	full.Store(true)
	for range 3 {
		if err := f.b.cleaner.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cut := mem.CrashClone(pebblevfs.CrashCloneCfg{})
	full.Store(false)
	again, _ := start(t, manually(cut))
	f.meets(again, func() {})
}

// The key index has entries of aborted records until it is trimmed, and that is durable.
func TestAbortedInKeyIndex(t *testing.T) {
	mem := vfs.NewMem()
	f := newForgetting(t, manually(mem), true, 1000)
	for _, trimmed := range []bool{false, true} {
		if trimmed {
			f.b.trimKeys(t.Context())
			if err := f.b.cleaner.forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			again, _ := start(t, manually(mem.CrashClone(pebblevfs.CrashCloneCfg{})))
			f.meets(again, func() {})
			f.b.requestCheckpoint()
		}
		settle(t, f.b)
		settle(t, f.b)
		f.meets(f.b, func() {})
		if n := f.remembered(); n < 800 != trimmed {
			t.Fatalf("trimmed: %v, %d are remembered", trimmed, n)
		}
	}
	again, _ := start(t, manually(mem.CrashClone(pebblevfs.CrashCloneCfg{})))
	f.meets(again, func() {})
}

// At any moment of the cleaning, and after a power cut at any moment of it, nobody meets a record of an aborted transaction.
func TestForgetUnderLoad(t *testing.T) {
	for name, keyed := range map[string]bool{"plain": false, "key index": true} {
		t.Run(name, func(t *testing.T) { forgetUnderLoad(t, keyed) })
	}
}

func forgetUnderLoad(t *testing.T, keyed bool) {
	transactions := 10_000
	if testing.Short() {
		transactions = 4_000
	}
	const producers = 8
	fs := vfs.NewMem()
	opts := manually(fs)
	opts.CleanInterval = 5 * time.Millisecond
	f := newForgetting(t, opts, keyed, 0)
	var writers, others sync.WaitGroup
	for w := range producers {
		writers.Go(func() { abortAll(t, f.b, f.p, fmt.Sprint("id", w), transactions/producers) })
	}
	done := make(chan struct{})
	others.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for !t.Failed() {
			select {
			case <-done:
				return
			default:
			}
			f.meets(f.b, func() { time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond) })
		}
	})
	var clones []*pebblevfs.MemFS
	others.Go(func() {
		rng := rand.New(rand.NewPCG(3, 4))
		for len(clones) < 12 {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(rng.IntN(400)) * time.Millisecond):
			}
			clones = append(clones, fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
		}
	})
	writers.Wait()
	close(done)
	others.Wait()
	eventually(t, "almost all are forgotten", func() bool { return f.remembered() < transactions/25 })
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	for _, clone := range clones {
		b, stop := start(t, manually(clone))
		if _, err := b.Bounds(f.p); err == nil {
			f.meets(b, func() {})
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// abortAll runs transactions of one record and aborts them, but a few.
func abortAll(t *testing.T, b *Broker, p log.Partition, id string, n int) {
	ctx := context.Background()
	producer, err := b.InitTxn(ctx, id, time.Minute, log.NoProducer)
	for i := range n {
		value := "aborted"
		if i%100 == 0 {
			value = "committed"
		}
		if err == nil {
			err = b.AddTxnPartitions(ctx, id, producer, []log.Partition{p})
		}
		if err == nil {
			_, err = log.Commit(ctx, b, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.TxnBatch(t, producer, int32(i), value)}}})
		}
		if err == nil {
			_, _, err = b.EndTxn(ctx, id, producer, value == "committed", false)
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}
