package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// indexBytes is what the commit index takes on disk.
func indexBytes(t *testing.T, opts Options) (size int64) {
	t.Helper()
	dir := opts.directories().commits
	names, err := opts.FS.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		stat, err := opts.FS.Stat(opts.FS.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += stat.Size()
	}
	return size
}

// thinAll cleans until a round of thinning that began after the last removal has ended.
func thinAll(t *testing.T, b *Broker) {
	t.Helper()
	eventually(t, "all has been thinned", func() bool {
		settle(t, b)
		return b.cleaner.thinner.next == 0 && b.cleaner.thinner.seen == b.applier.removals.Load()
	})
}

// told is what a reader in log order is told of an append.
type told struct {
	at      log.Position
	values  string
	thinned bool
}

func tell(t *testing.T, b *Broker) (all []told) {
	t.Helper()
	for i, e := range logtest.Entries(t, b, log.Position{}) {
		if e.Position.Sequence != uint64(i)+1 {
			t.Fatalf("append %v follows %d", e.Position, i)
		}
		one := told{e.Position, "", e.Thinned}
		for _, pb := range e.Batches {
			if pb.Partition.Topic != log.CatalogTopicID {
				values, _, _ := logtest.Values(t, pb.Batch)
				one.values += fmt.Sprint(values)
			}
		}
		all = append(all, one)
	}
	return all
}

// The commit index loses the appends whose records have gone, by DeleteRecords, retention or with their topic, and none
// that a pin holds. What is left is read as before, after a restart and by Check too.
func TestThinnedIndex(t *testing.T) {
	opts, _ := cleaning(t, t.TempDir())
	opts.TailBytes, opts.slotsPerFile = 1, 100
	b, stop := start(t, opts)
	cut := logtest.CreateTopic(t, b, "cut", 1, map[string]string{"segment.bytes": "2000", "retention.ms": "-1"})
	kept := logtest.CreateTopic(t, b, "kept", 1, map[string]string{"cleanup.policy": ""})
	dropped := logtest.CreateTopic(t, b, "dropped", 1, map[string]string{"retention.ms": "-1"})
	const appends = 3000
	places := map[string]log.Appended{}
	var order []string
	for i := range appends {
		topic, name := cut, fmt.Sprint("cut", i)
		switch {
		case i%300 == 17:
			topic, name = kept, fmt.Sprint("kept", i)
		case i%2 == 1:
			topic, name = dropped, fmt.Sprint("dropped", i)
		}
		places[name] = commit(t, b, oneBatch(topic, logtest.Batch(t, 1, name)))
		order = append(order, name)
	}
	settle(t, b)
	full := indexBytes(t, opts)
	t.Logf("%d bytes for %d appends", full, b.End().Sequence)
	hold := places["cut2400"]
	if err := b.Pin("reader", hold.Position); err != nil {
		t.Fatal(err)
	}
	drop(t, b, dropped)
	cutAt := places["cut2600"].Offsets[0]
	if _, err := b.DeleteRecords(context.Background(), log.Partition{Topic: cut.ID}, cutAt); err != nil {
		t.Fatal(err)
	}
	thinAll(t, b)
	verify := func(b *Broker, from int) {
		t.Helper()
		seen := map[string]bool{}
		for _, one := range tell(t, b) {
			seen[one.values] = true
			if one.thinned && one.at.Sequence > hold.Position.Sequence && from < 2600 {
				t.Fatalf("append %v is thinned, and a pin holds it", one.at)
			}
		}
		for i, name := range order {
			topic, place := cut, places[name]
			switch name[0] {
			case 'k':
				topic = kept
			case 'd':
				continue
			}
			p := log.Partition{Topic: topic.ID}
			if name[0] == 'c' && i < from {
				if _, err := b.PositionOf(p, place.Offsets[0]); !errors.Is(err, log.ErrOffsetOutOfRange) {
					t.Fatalf("position of %s: %v", name, err)
				}
				continue
			}
			if !seen["["+name+"]"] {
				t.Fatalf("append %s at %v is lost: %+v", name, place.Position, tell(t, b)[place.Position.Sequence-2:place.Position.Sequence+1])
			}
			if got, err := b.PositionOf(p, place.Offsets[0]); err != nil || got != place.Position {
				t.Fatalf("position of %s: %v, %v; want %v", name, got, err, place.Position)
			}
		}
		last := places[order[len(order)-1]]
		if got, err := b.PositionAt(last.Time); err != nil || got.Sequence < last.Position.Sequence {
			t.Fatalf("position at the end: %v, %v", got, err)
		}
	}
	verify(b, 2600)
	// What the pin holds is a fifth; the dropped topic's records before it are held too.
	if size := indexBytes(t, opts); size < full/10 || size > full {
		t.Errorf("the index has %d bytes of %d, and a pin holds its end", size, full)
	}
	b.Unpin("reader")
	thinAll(t, b)
	verify(b, 2600)
	if size := indexBytes(t, opts); size > full/4 {
		t.Errorf("the index has %d bytes, before it was thinned %d", size, full)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, opts); len(faults) > 0 {
		t.Fatal(faults)
	}
	b, stop = start(t, opts)
	verify(b, 2600)
	for i := range 500 {
		commit(t, b, oneBatch(cut, logtest.Batch(t, 1, fmt.Sprint("more", i))))
	}
	if _, err := b.DeleteRecords(context.Background(), log.Partition{Topic: cut.ID}, -1); err != nil {
		t.Fatal(err)
	}
	thinAll(t, b)
	if size := indexBytes(t, opts); size > full/8 {
		t.Errorf("with nothing left the index has %d bytes, before it was thinned %d", size, full)
	}
	// A log restored of what is left has the same Positions.
	want := tell(t, b)
	restored := opts
	restored.Dir = t.TempDir()
	if _, err := Restore(context.Background(), restored, sequenceOf(logtest.Entries(t, b, log.Position{}))); err != nil {
		t.Fatal(err)
	}
	r, stopRestored := start(t, restored)
	for i, got := range tell(t, r) {
		if got.at != want[i].at || got.values != want[i].values {
			t.Fatalf("restored: %+v, want %+v", got, want[i])
		}
	}
	if err := errors.Join(stop(), stopRestored()); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{opts, restored} {
		if faults := check(t, o); len(faults) > 0 {
			t.Fatal(faults)
		}
	}
}

// A power cut at any moment of thinning leaves a log with every append that has records, and no file that nobody names.
func TestThinnedIndexPowerCut(t *testing.T) {
	rounds := uint64(40)
	if testing.Short() {
		rounds = 8
	}
	thinned := 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 8))
		c := cutting{fs: vfs.NewMem(), rng: rand.New(rand.NewPCG(seed, 9))}
		now := clock.NewManual(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC))
		opts := Options{FS: c.wrap(), Dir: "data", JournalFileSize: 64 * limit.KiB, TailBytes: 1, CleanInterval: time.Millisecond, Clock: now, slotsPerFile: 20, Rows: ByKey}
		b, stop := start(t, opts)
		topic := logtest.CreateTopic(t, b, "t", 1, map[string]string{"segment.bytes": "1000", "retention.ms": "-1"})
		p := log.Partition{Topic: topic.ID}
		for range 3 {
			c.arm(1 + rng.IntN(200))
			for range 150 + rng.IntN(150) {
				got := commit(t, b, oneBatch(topic, logtest.Batch(t, 1, fmt.Sprint(b.End().Sequence))))
				c.acked.Store(got.Offsets[0] + 1)
				if rng.IntN(30) == 0 {
					if _, err := b.DeleteRecords(context.Background(), p, got.Offsets[0]-rng.Int64N(10)); err != nil && !errors.Is(err, log.ErrOffsetOutOfRange) {
						t.Fatal(err)
					}
				}
			}
			bounds, err := b.Bounds(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			acked := c.crash()
			opts.FS = c.wrap()
			b, stop = start(t, opts)
			found := map[int64]bool{}
			for _, e := range logtest.Entries(t, b, log.Position{}) {
				if e.Thinned {
					thinned++
				}
				for _, pb := range e.Batches {
					if pb.Partition == p {
						found[pb.BaseOffset] = true
					}
				}
			}
			for i := bounds.Start; i < acked; i++ {
				if !found[i] {
					t.Fatalf("seed %d: offset %d is in no append; kept are %d to %d", seed, i, bounds.Start, acked)
				}
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, opts); len(faults) > 0 {
			t.Fatalf("seed %d: %v", seed, faults)
		}
	}
	if thinned == 0 {
		t.Error("no append was ever thinned")
	}
}

// cutting is a disk whose power goes before some operation on a thinned file of the commit index, or on the snapshot that
// names it.
type cutting struct {
	fs    *pebblevfs.MemFS
	rng   *rand.Rand
	acked atomic.Int64 // offset after the last record that was acknowledged

	mu struct {
		sync.Mutex
		after int // operations until the power goes; 0: it stays
		clone *pebblevfs.MemFS
		acked int64
	}
}

func (c *cutting) wrap() vfs.FS {
	return vfs.WithErrors(c.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		thinning := strings.HasPrefix(op.Path, "data/commits/") && strings.Contains(op.Path, "-")
		if c.mu.after == 0 || !thinning && !strings.HasPrefix(op.Path, "data/state") && op.Kind != errorfs.OpRemove {
			return nil
		}
		if c.mu.after--; c.mu.after == 0 {
			c.cutLocked()
		}
		return nil
	}))
}

func (c *cutting) arm(after int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.after = after
}

func (c *cutting) cutLocked() {
	c.mu.acked = c.acked.Load()
	c.mu.clone = c.fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: c.rng.IntN(101), RNG: c.rng})
}

// crash goes on with the disk as the cut left it, and tells what had been acknowledged before.
func (c *cutting) crash() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.clone == nil {
		c.cutLocked()
	}
	c.fs, c.mu.clone, c.mu.after = c.mu.clone, nil, 0
	c.acked.Store(c.mu.acked)
	return c.mu.acked
}
