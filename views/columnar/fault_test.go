package columnar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// A power cut after operations on files, each rename, sync and removal among them, of a history with flushes: the store
// opens at its manifest, and a replay of the log from DurablePosition gives the right state at every Position.
func TestCrashAtEveryStep(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 6))
		h := history(r, 30)
		mem := vfs.NewMem()
		type crash struct {
			fs      vfs.FS
			durable delta.Position
		}
		var crashes []crash
		var steps atomic.Int64
		known := delta.Position{}
		fs := vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if steps.Add(1)%3 == 0 || op.Kind == errorfs.OpRename || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpRemove {
				percent := []int{0, 50, 100}[r.IntN(3)]
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r}), known})
			}
			return nil
		}))
		store := openStore(t, Options{FS: fs, SmallRows: 200})
		for seq := 1; seq < len(h); seq++ {
			mustApply(t, store, seq, h)
			if seq%7 == 0 {
				if err := store.Flush(); err != nil {
					t.Fatal(err)
				}
				known = store.DurablePosition()
			}
		}
		store.Close()
		for _, c := range crashes {
			recoverFrom(t, c.fs, c.durable, h, r)
		}
		t.Logf("%d crashes", len(crashes))
	}
}

func recoverFrom(t testing.TB, fs vfs.FS, durable delta.Position, h []tick, r *rand.Rand) {
	t.Helper()
	s, err := Open(Options{FS: fs, Dir: "columnar"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.DurablePosition().Less(durable) {
		t.Fatalf("opens at %v, %v was durable", s.DurablePosition(), durable)
	}
	for seq := max(1, int(s.DurablePosition().Sequence)-2); seq < len(h); seq++ {
		mustApply(t, s, seq, h)
		snap, err := s.Snapshot()
		if err != nil {
			t.Fatalf("tick %d: %v", seq, err)
		}
		if r.IntN(8) == 0 || seq == len(h)-1 {
			checkSnapshot(t, snap, h)
		}
		snap.Close()
	}
}

// Relations flushed at different Positions: each skips what it has, ticks across a Position are refused, and nothing can
// be read before all stand together.
func TestReplayOfMixedPositions(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, Options{FS: fs, RelationTail: 2000})
	apply := func(s *Store, seq int, rel delta.RelationID, n int) error {
		keys, values := make([]string, n), make([]int64, n)
		for i := range values {
			keys[i], values[i] = "x", int64(seq)
		}
		return s.Apply(at(uint64(seq)), Change{Relation: rel, Rows: record(keys, values)})
	}
	plan := []struct{ rel, n int }{{2, 1}, {3, 500}, {2, 1}, {3, 500}, {2, 2}}
	for i, p := range plan {
		if err := apply(s, i+1, delta.RelationID(p.rel), p.n); err != nil {
			t.Fatal(err)
		}
		if err := s.flush(false); err != nil { // only relation 3 is over its budget
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(s.Positions()); got != "[0/0 1/4]" {
		t.Fatal(got)
	}
	s, err := Open(Options{FS: fs.CrashClone(vfs.CrashCloneCfg{}), Dir: "columnar"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Snapshot(); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("read during replay: %v", err)
	}
	if err := apply(s, 5, 3, 1); !errs.Is(err, errs.Invalid) {
		t.Fatalf("tick across a position: %v", err)
	}
	for i, p := range plan {
		if err := apply(s, i+1, delta.RelationID(p.rel), p.n); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if _, v := rowsOf(t, snap, 2); fmt.Sprint(v) != "[1 3 5 5]" {
		t.Fatal(v)
	}
	if k, _ := rowsOf(t, snap, 3); len(k) != 1000 {
		t.Fatal(len(k))
	}
}

// Each write operation of a flush fails once: an error, readers undisturbed, and the next flush repairs all; a manifest
// whose fate is not known stops the store, and a restart is right.
func TestFailAtEveryStep(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 7))
	h := history(r, 40)
	stopped, repaired := 0, 0
	for n := int64(1); ; n++ {
		mem := vfs.NewMem()
		var armed atomic.Bool
		var steps atomic.Int64
		fs := vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if armed.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && steps.Add(1) == n {
				return errors.New("no space left on device")
			}
			return nil
		}))
		s := openStore(t, Options{FS: fs, SmallRows: 100})
		for seq := 1; seq < len(h); seq++ {
			mustApply(t, s, seq, h)
			if seq%9 == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		armed.Store(true)
		err := s.Flush()
		armed.Store(false)
		if err == nil && steps.Load() < n {
			t.Logf("%d operations: after %d the next flush repaired it, after %d the store stopped", n-1, repaired, stopped)
			if repaired == 0 || stopped == 0 {
				t.Fatal("a case did not occur")
			}
			s.Close()
			return
		}
		if err != nil && !errs.Is(err, errs.Unavailable) { // nil: a file that is no longer needed was not removed
			t.Fatalf("step %d: %v", n, err)
		}
		snap, serr := s.Snapshot()
		if serr != nil {
			t.Fatal(serr)
		}
		checkSnapshot(t, snap, h)
		snap.Close()
		switch {
		case s.Stopped() != nil:
			stopped++
		case err != nil:
			repaired++
			if err := s.Flush(); err != nil || s.Err() != nil {
				t.Fatalf("step %d: the next flush: %v", n, err)
			}
			checkFiles(t, fs, s)
		}
		s.Close()
		recoverFrom(t, mem, at(36), h, r)
	}
}

// A damaged or missing file is an error with its name, at Open or when it is read; never fewer rows.
func TestDamagedStore(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, Options{FS: fs})
	keys, values, raw := []string{}, []int64{}, [][]byte{}
	for i := range 100 {
		keys, values, raw = append(keys, fmt.Sprint(i)), append(values, int64(i)), append(raw, fmt.Append(nil, i))
	}
	if err := s.Apply(at(1), Change{Relation: 1, Rows: record(keys, values), Keys: raw}); err != nil {
		t.Fatal(err)
	}
	s.Flush()
	if err := s.Apply(at(2), Change{Relation: 1, Deletes: raw[:3]}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	names, _ := fs.List("columnar/segments")
	if len(names) != 3 {
		t.Fatalf("%v: want data, keys and deletion vectors", names)
	}
	for _, name := range append(names, "../manifest") {
		path := strings.Replace("columnar/segments/"+name, "segments/../", "", 1)
		for _, how := range []string{"flip", "cut", "remove"} {
			for _, budget := range []limit.Bytes{limit.GiB, 1} { // found by Open, or after it
				copied := fs.CrashClone(vfs.CrashCloneCfg{})
				harm(t, copied, path, how)
				s, err := Open(Options{FS: copied, Dir: "columnar", VerifyAtOpen: budget})
				if err == nil {
					err = s.Verify(context.Background())
					snap, _ := s.Snapshot()
					r, _ := snap.Relation(1)
					if r.Read(context.Background(), nil, func(arrow.Record) error { return nil }) == nil {
						t.Fatalf("%s of %s: read without an error", how, path)
					}
					snap.Close()
				}
				if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), path) {
					t.Fatalf("%s of %s: %v", how, path, err)
				}
			}
		}
	}
}

func harm(t *testing.T, fs vfs.FS, path, how string) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(f)
	f.Close()
	switch how {
	case "remove":
		fs.Remove(path)
		return
	case "flip":
		b[len(b)/2] ^= 4
	case "cut":
		b = b[:len(b)-1]
	}
	w, err := fs.Create(path, vfs.WriteCategory)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
}
