package columnar

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

func at(seq uint64) delta.Position { return delta.Position{Epoch: 1, Sequence: seq} }

func openStore(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.FS == nil {
		opts.FS = vfs.NewMem()
	}
	if opts.Dir == "" {
		opts.Dir = "columnar"
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	keyed  = delta.RelationID(1)
	stream = delta.RelationID(2)
)

// tick is one tick of a made-up history: what a log would give again at a replay.
type tick struct {
	changes []Change
	// state afterwards: value by key, and the stream's values in order
	table  map[string]int64
	stream []int64
}

var narrow = arrow.NewSchema([]arrow.Field{
	{Name: "k", Type: arrow.BinaryTypes.String}, {Name: "v", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)

func record(keys []string, values []int64) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, narrow)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues(keys, nil)
	b.Field(1).(*array.Int64Builder).AppendValues(values, nil)
	return b.NewRecord()
}

// history makes n ticks with updates, deletes, keys twice in a tick, empty ticks, and big ones.
func history(r *rand.Rand, n int) []tick {
	table, log := map[string]int64{}, []int64{}
	h := []tick{{table: map[string]int64{}}}
	next := int64(0)
	for range n {
		var keys []string
		var values []int64
		var deletes, raw [][]byte
		for range r.IntN(6) {
			deletes = append(deletes, fmt.Appendf(nil, "k%03d", r.IntN(500)))
		}
		rows := r.IntN(12)
		if r.IntN(8) == 0 {
			rows = r.IntN(5000)
		}
		for range rows {
			next++
			keys, values = append(keys, fmt.Sprintf("k%03d", r.IntN(500))), append(values, next)
		}
		for _, d := range deletes {
			delete(table, string(d))
		}
		for i, k := range keys {
			table[k] = values[i]
			raw = append(raw, []byte(k))
		}
		log = append(log, values...)
		tk := tick{table: map[string]int64{}, stream: slices.Clone(log)}
		for k, v := range table {
			tk.table[k] = v
		}
		if len(keys) > 0 {
			tk.changes = append(tk.changes, Change{Relation: stream, Rows: record(keys, values)})
			tk.changes = append(tk.changes, Change{Relation: keyed, Rows: record(keys, values), Keys: raw, Deletes: deletes})
		} else if len(deletes) > 0 {
			tk.changes = append(tk.changes, Change{Relation: keyed, Deletes: deletes})
		}
		h = append(h, tk)
	}
	return h
}

// rowsOf reads a relation through Read: keys and values, in order.
func rowsOf(t testing.TB, s *Snapshot, rel delta.RelationID) (keys []string, values []int64) {
	t.Helper()
	r, ok := s.Relation(rel)
	if !ok {
		return nil, nil
	}
	err := r.Read(context.Background(), nil, func(rec arrow.Record) error {
		for i := range int(rec.NumRows()) {
			keys = append(keys, strings.Clone(rec.Column(0).(*array.String).Value(i)))
			values = append(values, rec.Column(1).(*array.Int64).Value(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(keys)) != r.Rows {
		t.Fatalf("relation %d says %d rows, has %d", rel, r.Rows, len(keys))
	}
	return keys, values
}

func checkSnapshot(t testing.TB, s *Snapshot, h []tick) {
	t.Helper()
	want := h[s.Position().Sequence]
	keys, values := rowsOf(t, s, keyed)
	got := map[string]int64{}
	for i, k := range keys {
		if _, twice := got[k]; twice {
			t.Fatalf("at %v: key %s twice", s.Position(), k)
		}
		got[k] = values[i]
	}
	if len(got) != len(want.table) {
		t.Fatalf("at %v: %d keys, want %d", s.Position(), len(got), len(want.table))
	}
	for k, v := range want.table {
		if got[k] != v {
			t.Fatalf("at %v: %s = %d, want %d", s.Position(), k, got[k], v)
		}
	}
	if _, values = rowsOf(t, s, stream); !slices.Equal(values, want.stream) {
		t.Fatalf("at %v: the stream has %d rows, want %d", s.Position(), len(values), len(want.stream))
	}
}

// checkTailFiles reads what a snapshot names of the tail files, as the analytical engine does.
func checkTailFiles(t testing.TB, fs vfs.FS, s *Snapshot) {
	t.Helper()
	for _, id := range s.Relations() {
		r, _ := s.Relation(id)
		for _, tail := range r.Tails {
			f, err := fs.Open(tail.Path)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, tail.Bytes)
			if _, err := io.ReadFull(f, b); err != nil {
				t.Fatal(err)
			}
			f.Close()
			rd, err := ipc.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			n, i := int64(0), 0
			for rd.Next() {
				rec := rd.Record()
				if rec.NumRows() > sealRows || !array.RecordEqual(rec, tail.Batches[i]) {
					t.Fatalf("batch %d of %s is not that in memory", i, tail.Path)
				}
				n += rec.NumRows()
				i++
			}
			if n != tail.Rows || i != len(tail.Batches) {
				t.Fatalf("%s has %d rows, the snapshot says %d", tail.Path, n, tail.Rows)
			}
		}
	}
}

func mustApply(t testing.TB, s *Store, seq int, h []tick) {
	t.Helper()
	if err := s.Apply(at(uint64(seq)), h[seq].changes...); err != nil {
		t.Fatalf("tick %d: %v", seq, err)
	}
}

// The store equals its model at every tick; older snapshots stay what they were across flushes; files go when they may.
func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 5))
		h := history(r, 120)
		fs := vfs.NewMem()
		s := openStore(t, Options{FS: fs, SmallRows: []int64{1, 300, 1 << 20}[r.IntN(3)]})
		var held []*Snapshot
		for seq := 1; seq < len(h); seq++ {
			mustApply(t, s, seq, h)
			switch r.IntN(10) {
			case 0:
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				if s.DurablePosition() != at(uint64(seq)) {
					t.Fatalf("durable at %v after a flush at %d", s.DurablePosition(), seq)
				}
			case 1, 2:
				snap, err := s.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				checkSnapshot(t, snap, h)
				checkTailFiles(t, fs, snap)
				held = append(held, snap)
			case 3:
				if len(held) > 0 {
					i := r.IntN(len(held))
					checkSnapshot(t, held[i], h)
					checkTailFiles(t, fs, held[i])
					held[i].Close()
					held = slices.Delete(held, i, i+1)
				}
			}
		}
		for _, snap := range held {
			checkSnapshot(t, snap, h)
			snap.Close()
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		checkFiles(t, fs, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, Options{FS: fs})
		snap, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		checkSnapshot(t, snap, h)
		snap.Close()
		checkFiles(t, fs, s)
		s.Close()
	}
}

// checkFiles holds that nothing lies about that the newest version does not name.
func checkFiles(t testing.TB, fs vfs.FS, s *Store) {
	t.Helper()
	s.apply.Lock()
	defer s.apply.Unlock()
	want := map[string]bool{}
	tails := 0
	for _, r := range s.apply.relations {
		for _, g := range r.segments {
			want[fs.PathBase(g.path)] = true
			if r.keyed {
				want[fs.PathBase(g.keyPath)] = true
			}
		}
		if d := r.saved.Deleted; d != nil {
			want[fs.PathBase(s.deletedPath(r.id, d.Number))] = true
		}
		tails += len(r.tails())
	}
	names, _ := fs.List(s.dir)
	for _, n := range names {
		if !want[n] {
			t.Fatalf("%s is left over", n)
		}
		delete(want, n)
	}
	if len(want) > 0 {
		t.Fatalf("missing: %v", want)
	}
	if names, _ = fs.List(s.opts.TailDir); len(names) != tails {
		t.Fatalf("tail files %v for %d tails", names, tails)
	}
}

func TestDropAndSchema(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, Options{FS: fs})
	wide := arrow.NewSchema(append(slices.Clone(narrow.Fields()), arrow.Field{Name: "w", Type: arrow.PrimitiveTypes.Float64, Nullable: true}), nil)
	row := func(k string, v int64, w float64) arrow.Record {
		b := array.NewRecordBuilder(memory.DefaultAllocator, wide)
		defer b.Release()
		b.Field(0).(*array.StringBuilder).Append(k)
		b.Field(1).(*array.Int64Builder).Append(v)
		b.Field(2).(*array.Float64Builder).Append(w)
		return b.NewRecord()
	}
	step := func(seq uint64, c Change) {
		t.Helper()
		if err := s.Apply(at(seq), c); err != nil {
			t.Fatal(err)
		}
	}
	key := func(k string) [][]byte { return [][]byte{[]byte(k)} }
	step(1, Change{Relation: 1, Rows: record([]string{"in segment"}, []int64{1}), Keys: key("a")})
	s.Flush()
	step(2, Change{Relation: 1, Rows: record([]string{"in tail"}, []int64{2}), Keys: key("b")})
	step(3, Change{Relation: 1, Rows: row("wide", 3, 3.5), Keys: key("c")})
	check := func(want string) {
		t.Helper()
		snap, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		r, _ := snap.Relation(1)
		var got []string
		err = r.Read(context.Background(), []int{2, 0}, func(rec arrow.Record) error {
			for i := range int(rec.NumRows()) {
				got = append(got, rec.Column(1).ValueStr(i)+"="+rec.Column(0).ValueStr(i))
			}
			return nil
		})
		if err != nil || strings.Join(got, ", ") != want {
			t.Fatalf("%v %v, want %s", got, err, want)
		}
	}
	check("in segment=(null), in tail=(null), wide=3.5")
	s.Flush()
	check("in segment=(null), in tail=(null), wide=3.5")
	if err := s.Apply(at(4), Change{Relation: 1, Rows: record([]string{"x"}, []int64{1}), Keys: key("d")}); !errs.Is(err, errs.Unsupported) {
		t.Fatalf("fewer columns: %v", err)
	}
	step(5, Change{Relation: 1, Deletes: key("b")})
	check("in segment=(null), wide=3.5")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{FS: fs})
	check("in segment=(null), wide=3.5")
	snap, _ := s.Snapshot()
	step(6, Change{Relation: 1, Drop: true})
	if r, ok := snap.Relation(1); !ok || r.Rows != 2 {
		t.Fatal("a dropped relation is gone from an older snapshot")
	}
	snap.Close()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	checkFiles(t, fs, s)
	if names, _ := fs.List(s.dir); len(names) > 0 {
		t.Fatal(names)
	}
	s.Close()
}

// Readers, the applier and flushes at once (run with -race).
func TestConcurrent(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	h := history(r, 150)
	s := openStore(t, Options{SmallRows: 100, RelationTail: 20_000})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 3)
	go func() { done <- s.Run(ctx) }()
	for range 2 {
		go func() {
			for ctx.Err() == nil {
				snap, err := s.Snapshot()
				if err != nil {
					done <- err
					return
				}
				checkSnapshot(t, snap, h)
				snap.Close()
			}
			done <- nil
		}()
	}
	for seq := 1; seq < len(h); seq++ {
		mustApply(t, s, seq, h)
	}
	cancel()
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
