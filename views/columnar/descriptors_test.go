package columnar

import (
	"context"
	stdfs "io/fs"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// scarce is a file system that gives no descriptor three times in a row, from the at-th time on that it is asked for one.
type scarce struct {
	vfs.FS
	armed atomic.Bool
	asked atomic.Int64
}

func newScarce(fs vfs.FS, at int64) *scarce {
	s := &scarce{}
	s.FS = vfs.WithErrors(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpOpen, errorfs.OpOpenDir, errorfs.OpReuseForWrite:
			if n := s.asked.Load(); s.armed.Load() && s.asked.Add(1) > 0 && n+1 >= at && n+1 < at+3 {
				return &stdfs.PathError{Op: "open", Path: op.Path, Err: []error{syscall.EMFILE, syscall.ENFILE}[n%2]}
			}
		}
		return nil
	}))
	return s
}

// Wherever descriptors run out, the store says that it is for now, takes the same again, and has lost nothing; readers are
// not told that a file is damaged.
func TestOutOfDescriptors(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 15))
	h := history(r, 40)
	failed := 0
	for n := int64(1); ; n++ {
		mem := vfs.NewMem()
		fs := newScarce(mem, n)
		s := openStore(t, Options{FS: fs, SmallRows: 100})
		again := func(what string, f func() error) {
			t.Helper()
			for {
				err := f()
				if err == nil {
					return
				}
				failed++
				if !errs.Is(err, errs.Unavailable) || s.Stopped() != nil {
					t.Fatalf("descriptor %d, %s: %v (%v), stopped: %v", n, what, err, errs.KindOf(err), s.Stopped())
				}
			}
		}
		fs.armed.Store(true)
		for seq := 1; seq < len(h); seq++ {
			again("Apply", func() error { return s.Apply(at(uint64(seq)), h[seq].changes...) })
			if seq%9 != 0 {
				continue
			}
			again("Flush", s.Flush)
			again("Read", func() error {
				snap, err := s.Snapshot()
				if err != nil {
					return err
				}
				defer snap.Close()
				for _, id := range snap.Relations() {
					rel, _ := snap.Relation(id)
					if err := rel.Read(context.Background(), nil, func(arrow.Record) error { return nil }); err != nil {
						return err
					}
				}
				return nil
			})
		}
		fs.armed.Store(false)
		snap, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		checkSnapshot(t, snap, h)
		snap.Close()
		again("Flush", s.Flush)
		checkFiles(t, fs, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		recoverFrom(t, mem, at(36), h, r)
		if fs.asked.Load() < n {
			t.Logf("%d descriptors, %d failures", n-1, failed)
			if failed < int(n) {
				t.Fatal("too few")
			}
			return
		}
	}
}

// A store that cannot be opened for want of descriptors is not called damaged, and opens afterwards.
func TestOpenOutOfDescriptors(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 16))
	h := history(r, 20)
	mem := vfs.NewMem()
	s := openStore(t, Options{FS: mem})
	for seq := 1; seq < len(h); seq++ {
		mustApply(t, s, seq, h)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for n := int64(1); ; n++ {
		fs := newScarce(mem, n)
		fs.armed.Store(true)
		s, err := Open(Options{FS: fs, Dir: "columnar", VerifyAtOpen: []limit.Bytes{0, 1}[n%2]})
		if fs.asked.Load() < n {
			if n < 4 {
				t.Fatalf("%d descriptors", n)
			}
			s.Close()
			break
		}
		if !errs.Is(err, errs.Unavailable) {
			t.Fatalf("descriptor %d: %v (%v)", n, err, errs.KindOf(err))
		}
	}
	recoverFrom(t, mem, at(uint64(len(h)-1)), h, r)
}

// A flush that fails while the tails are at twice their budget holds Apply up; it does not lose the tick.
func TestFullTailsWithoutDescriptors(t *testing.T) {
	h := history(rand.New(rand.NewPCG(8, 17)), 10)
	fs := newScarce(vfs.NewMem(), 2) // the first is the tail's
	s := openStore(t, Options{FS: fs, RelationTail: 1, AllTails: 1})
	defer s.Close()
	fs.armed.Store(true)
	change := h[1].changes[0]
	for i := range 4 {
		err := s.Apply(at(1), change)
		if got := err == nil; got != (i == 3) || s.Stopped() != nil || s.Position() != at(1) {
			t.Fatalf("try %d: %v, stopped %v, at %v", i, err, s.Stopped(), s.Position())
		}
	}
	if s.DurablePosition() != at(1) {
		t.Fatalf("durable at %v", s.DurablePosition())
	}
}
