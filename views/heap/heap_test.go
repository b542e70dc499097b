package heap_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views/heap"
)

func at(seq uint64) delta.Position { return delta.Position{Epoch: 1, Sequence: seq} }

func open(t testing.TB, opts heap.Options) *heap.Store {
	t.Helper()
	if opts.FS == nil {
		opts.FS = vfs.NewMem()
	}
	opts.Dir = "heap"
	s, err := heap.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// model is the naive heap: every state it ever had.
type model struct {
	now    map[string]string
	states map[uint64]map[string]string
}

func newModel() *model {
	return &model{now: map[string]string{}, states: map[uint64]map[string]string{0: {}}}
}

func (m *model) keep(seq uint64) {
	c := map[string]string{}
	for k, v := range m.now {
		c[k] = v
	}
	m.states[seq] = c
}

func contents(t testing.TB, r heap.Reader, rel delta.RelationID, reverse bool) map[string]string {
	t.Helper()
	got := map[string]string{}
	it := r.Scan(rel, nil, nil, reverse)
	defer it.Close()
	last := ""
	for first := true; it.Next(); first = false {
		k := string(it.Key())
		if !first && (k <= last) != reverse {
			t.Fatalf("key %q after %q, reverse %v", k, last, reverse)
		}
		last = k
		got[k] = string(it.Value())
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// step applies one random append to the batch and the model.
func step(t testing.TB, r *rand.Rand, b *heap.Batch, m *model, rel delta.RelationID) {
	t.Helper()
	for range 1 + r.IntN(6) {
		key := fmt.Sprintf("k%02d", r.IntN(40))
		want, had := m.now[key]
		if r.IntN(3) == 0 {
			old, existed, err := b.Delete(rel, []byte(key))
			if err != nil || existed != had || string(old) != want {
				t.Fatalf("delete %s: old %q %v %v, want %q %v", key, old, existed, err, want, had)
			}
			delete(m.now, key)
			continue
		}
		row := fmt.Sprintf("v%d", r.IntN(1000))
		if r.IntN(10) == 0 {
			row = ""
		}
		old, existed, err := b.Set(rel, []byte(key), []byte(row))
		if err != nil || existed != had || string(old) != want {
			t.Fatalf("set %s: old %q %v %v, want %q %v", key, old, existed, err, want, had)
		}
		m.now[key] = row
	}
	if got := contents(t, b, rel, r.IntN(2) == 0); !equal(got, m.now) {
		t.Fatalf("scan inside the batch: %v, want %v", got, m.now)
	}
}

// The store equals its model: newest rows, snapshots, the past, and changes between any two positions.
func TestModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := open(t, heap.Options{})
		m := newModel()
		seq := uint64(0)
		for seq < 40 {
			seq++
			b, err := s.Begin(at(seq))
			if err != nil {
				t.Fatal(err)
			}
			step(t, r, b, m, 7)
			m.keep(seq)
			for r.IntN(2) == 0 { // several appends in one batch
				seq++
				if err := b.Advance(at(seq)); err != nil {
					t.Fatal(err)
				}
				step(t, r, b, m, 7)
				m.keep(seq)
			}
			if _, _, err := b.Set(8, []byte("other relation"), fmt.Append(nil, seq)); err != nil {
				t.Fatal(err)
			}
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			if r.IntN(5) == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.Stats(7).Rows; got != int64(len(m.now)) {
				t.Fatalf("%d rows counted, want %d", got, len(m.now))
			}
		}
		if got := contents(t, s, 7, false); !equal(got, m.now) {
			t.Fatalf("got %v, want %v", got, m.now)
		}
		checkPast(t, r, s, m, seq)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkPast(t *testing.T, r *rand.Rand, s *heap.Store, m *model, last uint64) {
	t.Helper()
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for seq := uint64(0); seq <= last; seq++ {
		pos := at(seq)
		if seq == 0 {
			pos = delta.Position{}
		}
		past, err := snap.AsOf(pos)
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, past, 7, seq%2 == 0); !equal(got, m.states[seq]) {
			t.Fatalf("as of %d: %v, want %v", seq, got, m.states[seq])
		}
		for k, v := range m.states[seq] {
			if row, found, err := past.Get(7, []byte(k)); err != nil || !found || string(row) != v {
				t.Fatalf("as of %d: %s = %q %v %v, want %q", seq, k, row, found, err, v)
			}
		}
		to := seq + uint64(r.IntN(int(last-seq)+1))
		got := map[string]string{}
		for k, v := range m.states[seq] {
			got[k] = v
		}
		err = s.Changes(7, pos, at(max(to, 1)), func(c heap.Change) error {
			old, had := got[string(c.Key)]
			if had != (c.Old != nil) || old != string(c.Old) {
				t.Fatalf("changes %d to %d: %s was %q, want %q", seq, to, c.Key, c.Old, old)
			}
			if c.New == nil {
				delete(got, string(c.Key))
			} else {
				got[string(c.Key)] = string(c.New)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := m.states[max(to, 1)]; !equal(got, want) {
			t.Fatalf("changes %d to %d lead to %v, want %v", seq, to, got, want)
		}
	}
}

// After a power cut at any moment the store opens at a Position between the one that was durable before and the newest,
// with exactly the rows of that Position (and statistics, indexes and undo that fit them).
func TestCrash(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		fs := vfs.NewMem()
		s := open(t, heap.Options{FS: fs, MemTable: 64 << 10})
		m := newModel()
		m.states[0] = map[string]string{}
		pad := bytes.Repeat([]byte("x"), 8<<10)
		var clones []*crashed
		for seq := uint64(1); seq <= 60; seq++ {
			b, err := s.Begin(at(seq))
			if err != nil {
				t.Fatal(err)
			}
			step(t, r, b, m, 7)
			for k := range m.now {
				if err := b.SetIndex(9, []byte("i"+k), []byte(k)); err != nil {
					t.Fatal(err)
				}
			}
			// Memtables of 64 KiB fill and go to disk by themselves at moments nobody chose.
			if _, _, err := b.Set(8, fmt.Append(nil, seq), pad[:r.IntN(len(pad))]); err != nil {
				t.Fatal(err)
			}
			m.keep(seq)
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			if r.IntN(20) == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				if s.DurablePosition() != at(seq) {
					t.Fatalf("durable at %v after a flush at %d", s.DurablePosition(), seq)
				}
			}
			if r.IntN(6) == 0 {
				low := s.DurablePosition()
				clones = append(clones, &crashed{fs.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: r.IntN(101), RNG: r,
				}), low, seq})
			}
		}
		s.Close()
		for _, c := range clones {
			checkCrashed(t, c, m)
		}
	}
}

type crashed struct {
	fs  vfs.FS
	low delta.Position // was durable
	top uint64         // was applied
}

func checkCrashed(t *testing.T, c *crashed, m *model) {
	t.Helper()
	s := open(t, heap.Options{FS: c.fs})
	defer s.Close()
	pos := s.Position()
	if pos.Less(c.low) || at(c.top).Less(pos) {
		t.Fatalf("opens at %v, not in [%v, %d]", pos, c.low, c.top)
	}
	want := m.states[pos.Sequence]
	if got := contents(t, s, 7, false); !equal(got, want) {
		t.Fatalf("at %v: %v, want %v", pos, got, want)
	}
	if n := s.Stats(7).Rows; n != int64(len(want)) {
		t.Fatalf("at %v: %d rows counted, want %d", pos, n, len(want))
	}
	for k := range want {
		if key, found, err := s.GetIndex(9, []byte("i"+k)); err != nil || !found || string(key) != k {
			t.Fatalf("at %v: index names %q %v %v, want %q", pos, key, found, err, k)
		}
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for seq := uint64(1); seq <= pos.Sequence; seq += 7 {
		past, err := snap.AsOf(at(seq))
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, past, 7, false); !equal(got, m.states[seq]) {
			t.Fatalf("at %v, as of %d: %v, want %v", pos, seq, got, m.states[seq])
		}
	}
}

func TestWeights(t *testing.T) {
	s := open(t, heap.Options{})
	defer s.Close()
	b, _ := s.Begin(at(1))
	for i, c := range []struct{ weight, before, now, rows int64 }{{2, 0, 2, 2}, {-1, 2, 1, 1}, {0, 1, 1, 1}, {-1, 1, 0, 0}, {5, 0, 5, 5}} {
		before, now, err := b.AddWeight(3, []byte("row"), []byte("row"), c.weight)
		if err != nil || before != c.before || now != c.now {
			t.Fatalf("step %d: %d to %d, %v; want %d to %d", i, before, now, err, c.before, c.now)
		}
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	v, found, err := s.Get(3, []byte("row"))
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if w, row, err := heap.SplitWeight(v); err != nil || w != 5 || string(row) != "row" {
		t.Fatalf("%d %q %v", w, row, err)
	}
	if got, want := s.Stats(3), (heap.Stats{Rows: 5, Bytes: int64(len("row") + len(v))}); got != want {
		t.Fatalf("statistics %v, want %v", got, want)
	}
}

func TestUndoFloor(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, heap.Options{FS: fs, UndoBatch: 10})
	for seq := uint64(1); seq <= 50; seq++ {
		b, _ := s.Begin(at(seq))
		b.Set(7, []byte("k"), fmt.Append(nil, seq))
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		if seq == 30 {
			s.SetUndoFloor(at(25))
			s.SetUndoFloor(at(20)) // never back
		}
	}
	check := func(s *heap.Store) {
		t.Helper()
		nothing := func(heap.Change) error { return nil }
		if err := s.Changes(7, at(24), at(50), nothing); !errs.Is(err, errs.NotFound) {
			t.Fatalf("changes below the floor: %v", err)
		}
		n := 0
		err := s.Changes(7, at(25), at(50), func(c heap.Change) error {
			n++
			if string(c.Old) != "25" || string(c.New) != "50" {
				t.Fatalf("%q to %q", c.Old, c.New)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, heap.Options{FS: fs})
	defer s.Close()
	check(s)
}

func TestDrop(t *testing.T) {
	s := open(t, heap.Options{})
	defer s.Close()
	b, _ := s.Begin(at(1))
	for _, rel := range []delta.RelationID{6, 7, 8} {
		b.Set(rel, []byte("k"), []byte("v"))
		b.SetIndex(rel+100, []byte("e"), []byte("k"))
	}
	b.Commit()
	b, _ = s.Begin(at(2))
	b.Drop(7)
	b.DropIndex(107)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, rel := range []delta.RelationID{6, 7, 8} {
		_, row, _ := s.Get(rel, []byte("k"))
		_, entry, _ := s.GetIndex(rel+100, []byte("e"))
		if want := rel != 7; row != want || entry != want || (s.Stats(rel).Rows == 1) != want {
			t.Fatalf("relation %d: row %v, entry %v, %v", rel, row, entry, s.Stats(rel))
		}
	}
}

func TestBatchRules(t *testing.T) {
	s := open(t, heap.Options{})
	defer s.Close()
	b, err := s.Begin(at(5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(at(6)); err == nil {
		t.Fatal("two batches at once")
	}
	if err := b.Advance(at(5)); !errs.Is(err, errs.Invalid) {
		t.Fatalf("advance to where it is: %v", err)
	}
	b.Set(1, []byte("k"), []byte("v"))
	b.Discard()
	if !s.Position().IsZero() {
		t.Fatal("a discarded batch moved the store")
	}
	b, _ = s.Begin(at(5))
	if err := b.Commit(); err != nil { // an append that touches no row still moves the Position
		t.Fatal(err)
	}
	for _, seq := range []uint64{4, 5} {
		if _, err := s.Begin(at(seq)); !errs.Is(err, errs.Invalid) {
			t.Fatalf("batch at %d: %v", seq, err)
		}
	}
	if _, found, _ := s.Get(1, []byte("k")); found {
		t.Fatal("a discarded row is there")
	}
}

func TestIndexScan(t *testing.T) {
	s := open(t, heap.Options{})
	defer s.Close()
	b, _ := s.Begin(at(1))
	for _, e := range []string{"a1", "a2", "b1"} {
		b.SetIndex(4, []byte(e), []byte("p"+e))
	}
	b.Commit()
	b, _ = s.Begin(at(2))
	defer b.Discard()
	b.DeleteIndex(4, []byte("a2"))
	b.SetIndex(4, []byte("a3"), []byte("pa3"))
	list := func(r heap.Reader, reverse bool) (got []string) {
		it := r.IndexScan(4, []byte("a"), []byte("b"), reverse)
		defer it.Close()
		for it.Next() {
			got = append(got, string(it.Key())+"="+string(it.Value()))
		}
		return got
	}
	if got := list(s, true); !slices.Equal(got, []string{"a2=pa2", "a1=pa1"}) {
		t.Fatal(got)
	}
	if got := list(b, false); !slices.Equal(got, []string{"a1=pa1", "a3=pa3"}) {
		t.Fatal(got)
	}
}

// A disk that fails a flush: the error is seen, reads go on, nothing is called durable; when it works again all is well.
func TestFlushError(t *testing.T) {
	var broken atomic.Bool
	fs := vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpCreate {
			return errors.New("no space left on device")
		}
		return nil
	}))
	s := open(t, heap.Options{FS: fs})
	defer s.Close()
	b, _ := s.Begin(at(1))
	b.Set(1, []byte("k"), []byte("v"))
	b.Commit()
	broken.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.Flush() }()
	for s.Err() == nil {
		select {
		case err := <-done:
			if err == nil {
				t.Fatal("flush to a full disk succeeded")
			}
		default:
		}
	}
	if !s.DurablePosition().IsZero() {
		t.Fatal("called durable what is not")
	}
	if _, found, err := s.Get(1, []byte("k")); !found || err != nil {
		t.Fatal(found, err)
	}
	broken.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s.DurablePosition() != at(1) || s.Err() != nil {
		t.Fatal(s.DurablePosition(), s.Err())
	}
}

// A disk that is gone for good does not keep a server from ending: Close gives the fault, and the log has what was not flushed.
func TestCloseOnBrokenDisk(t *testing.T) {
	var broken atomic.Bool
	s := open(t, heap.Options{FS: vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpCreate {
			return errors.New("no such file or directory")
		}
		return nil
	}))})
	b, err := s.Begin(at(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Set(1, []byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Error(err)
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("Close waits for a disk that does not come back")
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, heap.Options{FS: vfs.NewMem()})
	defer s.Close()
	fill(b, s, 200_000)
	s.Flush()
	var dst []byte
	r := rand.New(rand.NewPCG(1, 1))
	key := make([]byte, 0, 16)
	for b.Loop() {
		key = fmt.Appendf(key[:0], "key%08d", r.IntN(200_000))
		row, found, err := s.AppendGet(dst[:0], 1, key)
		if err != nil || !found {
			b.Fatal(found, err)
		}
		dst = row
	}
}

func fill(b *testing.B, s *heap.Store, n int) {
	row := bytes.Repeat([]byte("r"), 80)
	seq := s.Position().Sequence
	for i := 0; i < n; {
		seq++
		batch, err := s.Begin(at(seq))
		if err != nil {
			b.Fatal(err)
		}
		for end := min(i+2000, n); i < end; i++ {
			batch.Set(1, fmt.Appendf(nil, "key%08d", i), row)
		}
		if err := batch.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// One iteration is one row of a 2,000-row batch, overwriting rows that are there.
func BenchmarkApply(b *testing.B) {
	s := open(b, heap.Options{FS: vfs.NewMem()})
	defer s.Close()
	fill(b, s, 200_000)
	s.Flush()
	b.ResetTimer()
	for done := 0; done < b.N; done += 200_000 {
		fill(b, s, min(200_000, b.N-done))
	}
}

// A read that finds no descriptor for the file it needs waits for one: the views would stop for good at its error.
func TestReadsWaitForDescriptors(t *testing.T) {
	var refused atomic.Int32
	fs := vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, ".sst") && refused.Add(-1) >= 0 {
			return syscall.EMFILE
		}
		return nil
	}))
	s := open(t, heap.Options{FS: fs})
	m, r := newModel(), rand.New(rand.NewPCG(1, 1))
	b, err := s.Begin(at(1))
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		step(t, r, b, m, 7)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused.Store(3)
	s = open(t, heap.Options{FS: fs}) // no file of rows is open, and it reads what it knows of itself
	defer s.Close()
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if got := contents(t, snap, 7, false); !equal(got, m.now) {
		t.Fatalf("%v, want %v", got, m.now)
	}
	if refused.Load() >= 0 {
		t.Error("nothing was refused")
	}
}
