package segment

import (
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// A Store without file descriptors says so: it calls nothing damaged, and neither writes a batch twice nor forgets the index that
// it could not read.
func TestNoDescriptors(t *testing.T) {
	var none atomic.Bool
	mem := vfs.NewMem()
	fs := vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if none.Load() && (op.Kind == errorfs.OpOpen || op.Kind == errorfs.OpOpenDir) {
			return syscall.EMFILE
		}
		return nil
	}))
	opts := Options{FS: fs, Dir: "p", SegmentSize: 10 * limit.MiB}
	s, err := Open(opts, State{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	all := fill(t, s, rng, 0, 60)
	sync := func(s *Store) {
		t.Helper()
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	sync(s)
	st := s.State()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(opts, st); err != nil {
		t.Fatal(err)
	}
	none.Store(true)
	if _, err := s.Read(0, 1, nil); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("reading without descriptors: %v", err)
	}
	last := all[len(all)-1]
	if _, err := s.Append(Batch{Bytes: last.bytes, Base: s.End(), Records: last.records}); !vfs.NoDescriptors(err) {
		t.Fatalf("appending without descriptors: %v", err)
	}
	none.Store(false)
	all = append(all, fill(t, s, rng, s.End(), 60)...)
	sync(s)
	if st := s.State(); st.Segments[0].Indexed < 6 {
		t.Fatalf("%d index entries of %d bytes", st.Segments[0].Indexed, st.Segments[0].Size)
	}
	check(t, s, all)
}

// A directory whose sync fails is no full disk, whatever the error says.
func TestFailedDirectorySync(t *testing.T) {
	fs := vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && op.Path == "p" {
			return syscall.ENOSPC
		}
		return nil
	}))
	s, err := Open(Options{FS: fs, Dir: "p"}, State{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, rand.New(rand.NewPCG(3, 4)), 0, 1)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("Sync: %v (%v)", err, errs.KindOf(err))
	}
}
