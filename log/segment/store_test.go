package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log/record"
)

type written struct {
	bytes   []byte
	base    int64
	records int32
	maxTime int64
	place   Place
}

func fill(t testing.TB, s *Store, rng *rand.Rand, from int64, n int) []written {
	t.Helper()
	var out []written
	for i := range n {
		var b record.Builder
		w := written{base: from, maxTime: noTimestamp}
		for range 1 + rng.IntN(5) {
			ts := 1000 + rng.Int64N(1000) + from
			w.maxTime = max(w.maxTime, ts)
			b.Add(ts, nil, bytes.Repeat([]byte{byte(i)}, rng.IntN(3000)))
		}
		w.records = int32(b.Count())
		w.bytes, _ = b.Build()
		record.SetBaseOffset(w.bytes, from)
		var err error
		w.place, err = s.Append(Batch{Bytes: w.bytes, Base: from, Records: w.records, MaxTimestamp: w.maxTime, Sequence: uint64(from) * 10})
		if err != nil {
			t.Fatal(err)
		}
		from += int64(w.records)
		out = append(out, w)
	}
	return out
}

func check(t *testing.T, s *Store, all []written) {
	t.Helper()
	for _, w := range all {
		for off := w.base; off < w.base+int64(w.records); off++ {
			p, err := s.Read(off, 1, nil)
			if err != nil || !bytes.Equal(p, w.bytes) {
				t.Fatalf("offset %d: %v, %d bytes of %d", off, err, len(p), len(w.bytes))
			}
			seq, ok := s.Sequence(off)
			if !ok || seq > uint64(w.base)*10 || uint64(w.base)*10-seq >= SequenceStride {
				t.Fatalf("offset %d: sequence %d, %v", off, seq, ok)
			}
		}
		p, err := s.ReadPlace(w.base, w.place.Position, int64(len(w.bytes)))
		if err != nil || !bytes.Equal(p, w.bytes) {
			t.Fatalf("place of %d: %v", w.base, err)
		}
	}
	for ms := int64(900); ms < 2100+s.End(); ms += 37 {
		want := int64(-1)
	scan:
		for _, w := range all {
			b, _, _ := record.Parse(w.bytes)
			var it record.Iterator
			it.Reset(b)
			for it.Next() {
				if it.Record().Timestamp >= ms {
					want = it.Record().Offset
					break scan
				}
			}
		}
		got, _, ok, err := s.OffsetForTime(ms, 0)
		if err != nil || ok != (want >= 0) || ok && got != want {
			t.Fatalf("time %d: offset %d, %v, %v; want %d", ms, got, ok, err, want)
		}
	}
	s.Check(func(err error) { t.Error(err) }, func(record.Batch) {})
}

func TestStore(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fs := vfs.NewMem()
	opts := Options{FS: fs, Dir: "p/0", SegmentSize: 200 * limit.KiB}
	s, err := Open(opts, State{})
	if err != nil {
		t.Fatal(err)
	}
	all := fill(t, s, rng, 0, 150)
	s.Flush()
	check(t, s, all)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	synced, kept := s.State(), len(all)
	if len(synced.Segments) < 3 {
		t.Fatalf("%d segments", len(synced.Segments))
	}
	all = append(all, fill(t, s, rng, s.end, 50)...)
	s.Flush()
	check(t, s, all)
	s.Close()

	// Recovery: the state that was synced, then other batches than the first time.
	if s, err = Open(opts, synced); err != nil {
		t.Fatal(err)
	}
	check(t, s, all[:kept])
	all = append(all[:kept:kept], fill(t, s, rng, synced.End, 70)...)
	s.Flush()
	check(t, s, all)
	s.Sync()
	synced = s.State()
	s.Close()

	// A lost index is made again.
	names, _ := fs.List("p/0")
	for _, name := range names {
		if name[len(name)-6:] == ".index" {
			fs.Remove("p/0/" + name)
		}
	}
	if s, err = Open(opts, synced); err != nil {
		t.Fatal(err)
	}
	p, err := s.Read(all[100].base, 1, nil)
	if err != nil || !bytes.Equal(p, all[100].bytes) {
		t.Fatalf("after the index was lost: %v", err)
	}
	s.Close()
}

func TestReadLimit(t *testing.T) {
	s, _ := Open(Options{FS: vfs.NewMem(), Dir: "p"}, State{})
	all := fill(t, s, rand.New(rand.NewPCG(3, 3)), 0, 300)
	s.Flush()
	for _, limit := range []int{1, 5000, 100_000} {
		var got []byte
		next := int64(0)
		for next < s.End() {
			p, err := s.Read(next, limit, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(p) > limit && limit > 5000 {
				t.Fatalf("%d bytes over the limit %d", len(p), limit)
			}
			for rest := p; len(rest) > 0; {
				var b record.Batch
				if b, rest, err = record.Parse(rest); err != nil {
					t.Fatal(err)
				}
				next = b.LastOffset() + 1
			}
			got = append(got, p...)
		}
		var want []byte
		for _, w := range all {
			want = append(want, w.bytes...)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("other bytes")
		}
	}
}

func TestDamage(t *testing.T) {
	fs := vfs.NewMem()
	opts := Options{FS: fs, Dir: "p"}
	s, _ := Open(opts, State{})
	all := fill(t, s, rand.New(rand.NewPCG(5, 5)), 0, 50)
	s.Flush()
	s.Sync()
	state := s.State()
	name := s.current().name()
	s.Close()
	f, _ := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	w := all[25]
	f.WriteAt([]byte{w.bytes[70] ^ 1}, int64(w.place.Position)+70)
	s, err := Open(opts, state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(w.base, 1, nil); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("read of a damaged batch: %v", err)
	}
	if _, err := s.ReadPlace(w.base, w.place.Position, int64(len(w.bytes))); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("read of a damaged place: %v", err)
	}
	if _, err := s.Read(all[24].base, 1, nil); err != nil {
		t.Fatalf("the batch before: %v", err)
	}
	found := ""
	s.Check(func(err error) { found += err.Error() }, func(record.Batch) {})
	if want := fmt.Sprintf("bytes %d", w.place.Position); !bytes.Contains([]byte(found), []byte(want)) {
		t.Fatalf("found %q, want %q", found, want)
	}
	state.Segments[0].Size += 1 << 20
	if _, err := Open(opts, state); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("short file: %v", err)
	}
}

func FuzzIndex(f *testing.F) {
	p := encodeIndexHeader(5)
	p = indexEntry{1, 2, 3, 4}.append(p)
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		entries, err := decodeIndex(p, 5)
		if err == nil && len(entries) != (len(p)-indexHeaderSize)/indexEntrySize {
			t.Fatal("entries lost")
		}
	})
}
