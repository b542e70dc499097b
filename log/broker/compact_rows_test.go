package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// spelt are the rows of a table whose keys may stand in braces, "1" or "{1}"; a record of the value "bad" is rejected.
type spelt struct {
	declared log.Position // of the table
	timeless bool
	fails    int64 // the offset of a batch whose names are not known; 0: none
}

var errNames = errors.New("no names now")

func (s *spelt) rows(context.Context, log.Topic) (log.Rows, bool) { return s, true }

func (s *spelt) Names(_ log.Partition, batch []byte, _ log.Position) ([][]byte, error) {
	b, _, err := record.Parse(batch)
	if err != nil {
		return nil, err
	}
	if s.fails != 0 && b.BaseOffset == s.fails {
		return nil, errNames
	}
	var it record.Iterator
	if err := it.Reset(b); err != nil {
		return nil, err
	}
	var names [][]byte
	for it.Next() {
		names = append(names, nameOf(it.Record()))
	}
	return names, it.Err()
}

func nameOf(r record.Record) []byte {
	if string(r.Value) == "bad" {
		return nil
	}
	return bytes.Clone(bytes.Trim(r.Key, "{}"))
}

func (s *spelt) Alike(a, b log.Position) bool { return s.timeless || a == b }

func (s *spelt) Forgets(at log.Position) bool { return !at.Less(s.declared) }

// A deletion from before the table was declared stays: compaction by keys does not know what it deletes.
func TestCompactionByKeysBeforeRows(t *testing.T) {
	for _, timeless := range []bool{true, false} {
		opts, now := cleaning(t, t.TempDir())
		opts.TailBytes = 1
		rows, known := &spelt{timeless: timeless}, false
		opts.Rows = func(context.Context, log.Topic) (log.Rows, bool) {
			if known {
				return rows, true
			}
			return nil, true
		}
		b, _ := start(t, opts)
		x := newTxnTopic(t, b, now, nil)
		x.put("", []byte("v"), "1") // 0
		x.put("", nil, "{1}")       // 1
		x.put("", []byte("v"), "x") // 2
		settle(t, b)
		known = true
		x.put("", []byte("v"), "2") // 3
		var err error
		if rows.declared, err = b.PositionOf(x.p, 3); err != nil {
			t.Fatal(err)
		}
		x.put("", nil, "{2}")       // 4
		x.put("", []byte("v"), "x") // 5
		now.Advance(2 * time.Minute)
		settle(t, b)
		x.have("[0:1 1:{1} 2:x 4:{2} 5:x]")
		now.Advance(2 * time.Minute)
		x.put("", []byte("v"), "x") // 6
		settle(t, b)
		x.have("[0:1 1:{1} 5:x 6:x]")
	}
}

// A transaction's deletion whose marker a later round meets goes with none that may still be to remove what it deletes.
func TestCompactionKeepsLateDeletions(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	rows := &spelt{timeless: true}
	opts.Rows = rows.rows
	b, _ := start(t, opts)
	x := newTxnTopic(t, b, now, map[string]string{"min.compaction.lag.ms": "60000"}, "a")
	x.put("a", nil, "1")        // 0
	x.put("", []byte("v"), "1") // 1: its marker comes later, so the transaction deletes it
	now.Advance(2 * time.Minute)
	x.end("a", true)            // 2
	x.put("", []byte("v"), "2") // 3
	settle(t, b)                // up to 1: what is younger waits for min.compaction.lag.ms
	x.have("[0:1 1:1 2:marker 3:2]")
	now.Advance(2 * time.Minute)
	x.put("", []byte("v"), "2") // 4
	for range 3 {
		rows.fails = 1
		settle(t, b) // is cut short after the first file
		x.have("[0:1 1:1 2:marker 3:2 4:2]")
		now.Advance(2 * time.Minute)
	}
	rows.fails = 0
	settle(t, b)
	x.have("[0:1 2:marker 3:2 4:2]")
	now.Advance(2 * time.Minute)
	x.put("", []byte("v"), "2") // 5
	settle(t, b)
	x.have("[2:marker 4:2 5:2]")
}

// A round by keys ends with nothing when its topic has become a table's meanwhile, which is compacted again.
func TestCompactionOfNewTable(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	rows, asked := &spelt{timeless: true}, 0
	opts.Rows = func(_ context.Context, topic log.Topic) (log.Rows, bool) {
		if topic.Name != "t" {
			return nil, true
		}
		if asked++; asked == 1 {
			return nil, true
		}
		return rows, true
	}
	b, _ := start(t, opts)
	x := newTxnTopic(t, b, now, nil)
	x.put("", []byte("v"), "1")   // 0
	x.put("", []byte("bad"), "1") // 1
	x.put("", []byte("v"), "1")   // 2
	x.put("", []byte("v"), "x")   // 3
	settle(t, b)
	x.have("[0:1 1:1 2:1 3:x]")
	settle(t, b)
	x.have("[1:1 2:1 3:x]")
}

// The key index keeps what compaction by rows keeps: several records of a key.
func TestKeyIndexTrimByRows(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	rows := &spelt{timeless: true}
	opts.Rows = rows.rows
	b, _ := start(t, opts)
	x := newTxnTopic(t, b, now, map[string]string{log.ConfigKeyIndex: "true"}, "a")
	x.put("", []byte("bad"), "1") // 0
	x.put("", []byte("v"), "1")   // 1
	x.put("a", []byte("v"), "1")  // 2
	x.end("a", false)             // 3
	x.put("", []byte("v"), "1")   // 4
	x.put("", []byte("bad"), "1") // 5
	x.put("", []byte("v"), "x")   // 6
	settle(t, b)
	x.have("[0:1 3:marker 4:1 5:1 6:x]")
	b.trimKeys(t.Context())
	offsets, err := b.KeyOffsets(t.Context(), x.p, []byte("1"), -1, 10)
	var there []int64
	for _, offset := range offsets {
		if offset != 1 { // that entry may stay
			there = append(there, offset)
		}
	}
	if err != nil || !slices.Equal(there, []int64{5, 4, 0}) {
		t.Fatalf("the records of the key: %v, %v", offsets, err)
	}
	index, _ := b.keys.get(x.p)
	marks, err := index.Built()
	if bounds, _ := b.Bounds(x.p); err != nil || marks[x.p].Clean != bounds.Clean || bounds.Clean == 0 {
		t.Fatalf("trimmed to %+v of %+v, %v", marks[x.p], bounds, err)
	}
}

// Compaction by rows goes on where the partition begins within a file, and after names were not known for once.
func TestCompactionByRowsGoesOn(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	rows := &spelt{}
	opts.Rows = rows.rows
	b, _ := start(t, opts)
	x := newTxnTopic(t, b, now, map[string]string{"segment.bytes": "1000"}, "a")
	x.put("", []byte("v"), "1")                     // 0
	x.put("a", []byte("v"), "1")                    // 1
	x.put("a", []byte("v"), "2", "2")               // 2, 3
	x.put("", []byte("v"), "2")                     // 4
	x.end("a", true)                                // 5
	x.put("", []byte("v"), "3", "3")                // 6, 7
	x.put("", bytes.Repeat([]byte("v"), 1000), "x") // 8
	if _, err := b.DeleteRecords(t.Context(), x.p, 3); err != nil {
		t.Fatal(err)
	}
	var told []string
	b.opts.Uncompacted = func(topic string, partition int32, err error) {
		told = append(told, fmt.Sprintf("%s-%d: %v", topic, partition, err))
	}
	rows.fails = 6
	settle(t, b)
	settle(t, b)
	if !slices.Equal(told, []string{"t-0: no names now"}) {
		t.Errorf("told: %q", told)
	}
	x.have("[2:2 3:2 4:2 5:marker 6:3 7:3 8:x]")
	rows.fails = 0
	settle(t, b)
	x.have("[3:2 5:marker 7:3 8:x]")
}

// The keys of a round are bounded though a transaction has more: it is met in part, and what it deletes stays deleted.
func TestCompactionOfLongTransaction(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes, opts.roundKeys = 1, 4
	rows := &spelt{timeless: true}
	opts.Rows = rows.rows
	b, _ := start(t, opts)
	x := newTxnTopic(t, b, now, nil, "a")
	x.put("", []byte("v"), "0", "1", "2") // 0 to 2
	x.put("", []byte("v"), "3", "4", "5") // 3 to 5
	x.put("a", nil, "0", "1", "2")        // 6 to 8
	x.put("a", nil, "3", "4", "5")        // 9 to 11
	x.end("a", true)                      // 12
	x.put("", []byte("v"), "x")           // 13
	for range 6 {
		settle(t, b)
		infos, _ := b.durable.store(x.p).Segments()
		r := round{topic: &x.topic, store: b.durable.store(x.p), partition: x.p, now: now.Now(), files: infos, upTo: 14, keys: map[[2]uint64]int64{}, room: 4,
			seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
		if err := newRowRound(b, &r, rows, 0).collect(t.Context()); err != nil || len(r.keys) > 4 {
			t.Fatalf("a round has %d keys, %v", len(r.keys), err)
		}
		x.same(map[string]string{"x": "v"})
		now.Advance(2 * time.Minute)
		x.put("", []byte("v"), "x")
	}
	if bounds, err := b.Bounds(x.p); err != nil || bounds.Clean <= 12 {
		t.Fatalf("compaction does not go on: %+v, %v", bounds, err)
	}
}

// What is left of random records, in transactions and out of them, gives the rows that all of them gave, after each round and
// each that was cut short.
func TestCompactionByRows(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		opts, now := cleaning(t, "data")
		opts.FS, opts.TailBytes, opts.roundKeys = vfs.NewMem(), 1, 1+rng.IntN(12)
		rows := &spelt{timeless: seed%2 == 0}
		opts.Rows = rows.rows
		b, stop := start(t, opts)
		x := newTxnTopic(t, b, now, map[string]string{"delete.retention.ms": "0", "segment.bytes": fmt.Sprint(100 + rng.IntN(400))}, "a", "b", "c")
		want, open := map[string]string{}, map[string][]func(){}
		for step := range 200 {
			id := []string{"", "a", "b", "c"}[rng.IntN(4)]
			if id != "" && len(open[id]) > 0 && rng.IntN(4) == 0 {
				committed := rng.IntN(4) > 0
				x.end(id, committed)
				for _, effect := range open[id] {
					if committed {
						effect()
					}
				}
				delete(open, id)
				continue
			}
			value := [][]byte{nil, nil, []byte("bad"), fmt.Append(nil, step), fmt.Append(nil, -step)}[rng.IntN(5)]
			var spellings []string
			for range 1 + rng.IntN(3) {
				name := fmt.Sprint(rng.IntN(10))
				spellings = append(spellings, []string{name, "{" + name + "}"}[rng.IntN(2)])
				effect := func() {
					if value == nil {
						delete(want, name)
					} else if string(value) != "bad" {
						want[name] = string(value)
					}
				}
				if id == "" {
					effect()
				} else {
					open[id] = append(open[id], effect)
				}
			}
			x.put(id, value, spellings...)
			now.Advance(time.Second)
			if rng.IntN(6) == 0 {
				if bounds, err := b.Bounds(x.p); err == nil && rng.IntN(2) == 0 {
					rows.fails = rng.Int64N(bounds.End)
				}
				settle(t, b)
				rows.fails = 0
				x.same(want)
			}
		}
		for id := range open {
			x.end(id, false)
		}
		for range 60 {
			x.put("", nil, "x")
			settle(t, b)
			x.same(want)
		}
		left := 0
		x.batches(func(b record.Batch, records []record.Record) {
			for _, r := range records {
				if !b.Control() && string(r.Value) != "bad" {
					left++
				}
			}
		})
		if bounds, err := b.Bounds(x.p); err != nil || left > 150 {
			t.Errorf("seed %d: %d records are left of %+v, %v", seed, left, bounds, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// same holds the rows that the records give that are left against what is wanted.
func (x *txnTopic) same(want map[string]string) {
	x.t.Helper()
	rows, open := map[string]string{}, map[int64][]record.Record{}
	apply := func(records []record.Record) {
		for _, r := range records {
			name := string(nameOf(r))
			switch {
			case name == "":
			case r.Value == nil:
				delete(rows, name)
			default:
				rows[name] = string(r.Value)
			}
		}
	}
	x.batches(func(b record.Batch, records []record.Record) {
		if _, committed, marker := record.Marker(b, x.p); marker && committed {
			apply(open[b.ProducerID])
		}
		switch {
		case b.Control():
			delete(open, b.ProducerID)
		case b.Transactional():
			open[b.ProducerID] = append(open[b.ProducerID], records...)
		default:
			apply(records)
		}
	})
	if !maps.Equal(rows, want) {
		x.t.Fatalf("the rows are %v, want %v", rows, want)
	}
}
