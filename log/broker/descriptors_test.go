package broker

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// needsDescriptor says of an operation that it fails when there are no file descriptors.
func needsDescriptor(op errorfs.OpKind) bool {
	switch op {
	case errorfs.OpCreate, errorfs.OpOpen, errorfs.OpOpenDir, errorfs.OpReuseForWrite, errorfs.OpList, errorfs.OpRemoveAll, errorfs.OpLock:
		return true
	}
	return false
}

// scarce is a file system that gives no descriptor twice in a row, from the at-th time on that it is asked for one
// while it is armed. The files that a key index makes for itself are Pebble's business.
type scarce struct {
	vfs.FS
	armed atomic.Bool
	asked atomic.Int64
	path  atomic.Pointer[string] // of the first one denied
}

func newScarce(base vfs.FS, at int64) *scarce {
	s := &scarce{}
	s.FS = vfs.WithErrors(base, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !s.armed.Load() || !needsDescriptor(op.Kind) || strings.Contains(op.Path, "keys/") {
			return nil
		}
		n := s.asked.Add(1)
		if n < at || n >= at+2 {
			return nil
		}
		s.path.CompareAndSwap(nil, &op.Path)
		return &fs.PathError{Op: "open", Path: op.Path, Err: []error{syscall.EMFILE, syscall.ENFILE}[n%2]}
	}))
	return s
}

// Wherever descriptors run out, the log waits or says so and goes on by itself: it loses nothing, and stops only when it is told.
// Nobody is told that a file is damaged.
func TestDescriptorsRunOutAtN(t *testing.T) {
	// Every seventh one, others each run: over a few runs all of them.
	step := int64(7)
	if testing.Short() {
		step = 41
	}
	for n := 1 + rand.Int64N(step); ; n += step {
		mem := vfs.NewMem()
		s := newScarce(mem, n)
		var want []string
		for round := range 3 {
			want = append(want, loadScarce(t, s, round)...)
		}
		if t.Failed() {
			t.Fatalf("descriptor %d was denied: %s", n, *s.path.Load())
		}
		if s.path.Load() == nil {
			t.Logf("%d descriptors are asked for", n)
			break
		}
		b, stop := start(t, small(mem, "data"))
		kept, _ := b.Topic("kept")
		if got := logtest.ReadAll(t, b, log.Partition{Topic: kept.ID}); !slices.Equal(got, want) {
			t.Fatalf("n=%d: %d records of %d", n, len(got), len(want))
		}
		logtest.Entries(t, b, log.Position{})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, small(mem, "data")); len(faults) > 0 {
			t.Fatalf("n=%d: %v", n, faults)
		}
	}
}

// loadScarce opens the log, rolls all of its files, gives segments and a topic up, and stops it, while descriptors may run out.
// It gives what it wrote to the topic kept.
func loadScarce(t *testing.T, s *scarce, round int) (written []string) {
	t.Helper()
	s.armed.Store(true)
	defer s.armed.Store(false)
	opts := small(s, "data")
	opts.slotsPerFile = 20
	b, err := Open(opts)
	for tries := 0; err != nil; tries++ {
		if !vfs.NoDescriptors(err) || errs.Is(err, errs.Corrupt) || tries == 5 {
			t.Fatalf("Open: %v", err)
		}
		b, err = Open(opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	wait, waited := context.WithTimeout(context.Background(), 3*time.Minute)
	defer waited()
	again := func(what string, f func() error) {
		t.Helper()
		for !t.Failed() && wait.Err() == nil {
			err := f()
			if err == nil {
				return
			}
			if !errs.Is(err, errs.Unavailable) || !vfs.NoDescriptors(err) {
				t.Errorf("%s: %v", what, err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !t.Failed() {
			t.Errorf("%s: does not go on", what)
		}
	}
	define := func(r log.TopicRecord) log.Topic {
		again("define "+r.Name, func() error {
			_, err := log.Commit(wait, b, log.Append{Batches: []log.PartitionBatch{logtest.Catalog(t, r)}})
			return err
		})
		got, _ := b.Topic(r.Name)
		return got
	}
	put := func(topic log.Topic, value string) {
		again("append", func() error {
			_, err := log.Commit(wait, b, oneBatch(topic, logtest.Batch(t, 1, value)))
			return err
		})
	}
	kept, ok := b.Topic("kept")
	if !ok {
		kept = define(log.TopicRecord{ID: logtest.NewTopicID().String(), Name: "kept", Partitions: 1, Config: map[string]string{log.ConfigKeyIndex: "true"}})
	}
	gone := log.TopicRecord{ID: logtest.NewTopicID().String(), Name: "gone", Partitions: 1}
	dropped := define(gone)
	for i := range 40 {
		value := fmt.Sprintf("%d-%d:%s", round, i, strings.Repeat("w", 4000))
		put(kept, value)
		written = append(written, value)
		switch {
		case i < 20:
			put(dropped, value)
		case i == 20:
			again("delete", func() error {
				_, err := b.DeleteRecords(wait, log.Partition{Topic: dropped.ID}, -1)
				return err
			})
		case i == 30:
			gone.Dropped = true
			define(gone)
		}
	}
	again("read", func() error {
		at, err := b.PositionOf(log.Partition{Topic: kept.ID}, 3)
		if err == nil {
			_, err = b.ReadFrom(wait, at, 0)
		}
		return err
	})
	again("read the first", func() error {
		_, err := b.Read(wait, log.Partition{Topic: kept.ID}, 0, log.ReadLimit{})
		return err
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return written
}
