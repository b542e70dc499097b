package broker

import (
	"context"
	"errors"
	"fmt"
	"github.com/miracledb/miracledb/internal/errs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/keys"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

var withKeys = map[string]string{log.ConfigKeyIndex: "true"}

// lastOfKeys reads a partition and gives the last offset of each key.
func lastOfKeys(t *testing.T, b *Broker, p log.Partition) map[string]int64 {
	t.Helper()
	bounds, err := b.Bounds(p)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	var it record.Iterator
	for at := bounds.Start; at < bounds.End; {
		data, err := b.Read(context.Background(), p, at, log.ReadLimit{})
		if err != nil {
			t.Fatal(err)
		}
		for len(data) > 0 {
			batch, rest, err := record.Parse(data)
			if err == nil {
				err = it.Reset(batch)
			}
			if err != nil {
				t.Fatal(err)
			}
			for it.Next() {
				if r := it.Record(); r.Offset >= bounds.Start {
					last[string(r.Key)] = r.Offset
				}
			}
			at, data = batch.LastOffset()+1, rest
		}
	}
	return last
}

func checkKeys(t *testing.T, b *Broker, p log.Partition) {
	t.Helper()
	for key, want := range lastOfKeys(t, b, p) {
		got, err := b.KeyOffsets(context.Background(), p, []byte(key), -1, 1)
		if err != nil || len(got) != 1 || got[0] != want {
			bounds, boundsErr := b.Bounds(p)
			t.Fatalf("%s: last at %v, %v; the records say %d; bounds %+v, %v", key, got, err, want, bounds, boundsErr)
		}
	}
}

func keysBatch(t *testing.T, rng *rand.Rand, n int) []byte {
	t.Helper()
	var b record.Builder
	for range n {
		b.Add(time.Now().UnixMilli(), fmt.Appendf(nil, "key%d", rng.IntN(200)), fmt.Appendf(nil, "%0200d", rng.Uint64()))
	}
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The key index says what the records say after a power cut at any moment, and when its files are lost or damaged.
func TestKeyIndexPowerCut(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 12 {
		opts := small(fs, "data")
		b, err := Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		if round == 0 {
			logtest.CreateTopic(t, b, "k", 1, withKeys)
		}
		topic, _ := b.Topic("k")
		p := log.Partition{Topic: topic.ID}
		checkKeys(t, b, p)
		for i, n := 0, 20+rng.IntN(200); i < n; i++ {
			ticket, err := b.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: keysBatch(t, rng, 1+rng.IntN(20))}}})
			if err == nil && (i%10 == 0 || i == n-1) {
				err = ticket.Wait(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		checkKeys(t, b, p)
		for range rng.IntN(20) { // on their way when the power goes
			if _, err := b.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: keysBatch(t, rng, 5)}}}); err != nil {
				t.Fatal(err)
			}
		}
		clone := fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		fs = clone
		switch round {
		case 6:
			if err := fs.RemoveAll("data/keys"); err != nil {
				t.Fatal(err)
			}
		case 9:
			names, err := fs.List("data/keys")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if f, err := fs.Create("data/keys/"+name, vfs.WriteCategory); err == nil {
					_, _ = f.Write([]byte("damage"))
					f.Close()
				}
			}
		}
	}
}

// Entries of records that retention and compaction have removed leave the index; the others stay.
func TestKeyIndexTrim(t *testing.T) {
	opts := small(vfs.NewMem(), "data")
	opts.JournalFileSize = 256 * limit.KiB
	b, _ := start(t, opts)
	topic := logtest.CreateTopic(t, b, "k", 1, map[string]string{log.ConfigKeyIndex: "true", "cleanup.policy": "compact", "segment.bytes": "20000"})
	p := log.Partition{Topic: topic.ID}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		commit(t, b, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: keysBatch(t, rng, 20)}}})
	}
	settle(t, b)
	settle(t, b)
	bounds, err := b.Bounds(p)
	if err != nil || bounds.Clean == 0 {
		t.Fatalf("nothing was compacted: %+v, %v", bounds, err)
	}
	b.trimKeys(context.Background())
	checkKeys(t, b, p)
	x, _ := b.keys.get(p)
	entries := func() (n int) {
		for i := range 200 {
			for _, err := range x.Newest(p, keys.NameOf(fmt.Appendf(nil, "key%d", i)), 1<<40) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		return n
	}
	if n := entries(); n > 200+int(bounds.End-bounds.Clean) {
		t.Fatalf("%d entries of 200 keys, %d offsets behind the clean one", n, bounds.End-bounds.Clean)
	}
	if _, err := b.DeleteRecords(context.Background(), p, bounds.End-5); err != nil {
		t.Fatal(err)
	}
	b.trimKeys(context.Background())
	if n := entries(); n != 5 {
		t.Fatalf("%d entries of 5 records", n)
	}
	checkKeys(t, b, p)
}

// A retry of a producer whose conditional append succeeded is no conflict: it is the same append.
func TestConditionalRetry(t *testing.T) {
	b, _ := start(t, small(vfs.NewMem(), "data"))
	topic := logtest.CreateTopic(t, b, "k", 1, withKeys)
	p := log.Partition{Topic: topic.ID}
	send := func() (log.Appended, error) {
		var rb record.Builder
		rb.Producer(9, 0, 0)
		rb.Add(1, []byte("a"), []byte("v"))
		data, err := rb.Build()
		if err != nil {
			t.Fatal(err)
		}
		return log.Commit(context.Background(), b, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: data}},
			Expect: []log.Expect{{Partition: p, NextOffset: 0, Key: []byte("a"), LastOffset: -1}}})
	}
	first, err := send()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := send(); err != nil || !again.Duplicate || again.Offsets[0] != first.Offsets[0] {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, err := log.Commit(context.Background(), b, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.Batch(t, 1, "v")}},
		Expect: []log.Expect{{Partition: p, NextOffset: -1, Key: []byte("a"), LastOffset: -1}}}); !errors.Is(err, log.ErrExpectation) {
		t.Fatal(err)
	}
}

// A bit flipped in a table of the key index is found by Check, with the file; without the index's files it is built anew.
func TestKeyIndexBitRot(t *testing.T) {
	opts := small(vfs.Default, t.TempDir())
	b, stop := start(t, opts)
	topic := logtest.CreateTopic(t, b, "k", 1, withKeys)
	p := log.Partition{Topic: topic.ID}
	rng := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		commit(t, b, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: keysBatch(t, rng, 20)}}})
	}
	checkKeys(t, b, p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, opts); len(faults) > 0 {
		t.Fatal(faults)
	}
	tables, err := filepath.Glob(filepath.Join(opts.Dir, "keys", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(tables[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	faults := check(t, opts)
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), strings.TrimSuffix(filepath.Base(tables[0]), ".sst")) {
		t.Fatal(faults)
	}
	b, stop = start(t, opts)
	told := false
	for i := range 200 {
		_, err := b.KeyOffsets(context.Background(), p, fmt.Appendf(nil, "key%d", i), -1, 1000)
		told = told || errs.Is(err, errs.Corrupt)
	}
	if !told {
		t.Fatal("no reader was told of a damaged block")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(opts.Dir, "keys")); err != nil {
		t.Fatal(err)
	}
	b, _ = start(t, opts)
	checkKeys(t, b, p)
}

// What is pending is not always newer than what the index has: a topic that had no index for a while brings both.
func TestNewestFirst(t *testing.T) {
	entries := func(offsets ...int64) (es []keys.Entry) {
		for _, o := range offsets {
			es = append(es, keys.Entry{Offset: o, Producer: -1})
		}
		return es
	}
	for _, c := range []struct{ pending, index, want []int64 }{
		{nil, nil, nil},
		{[]int64{1, 5}, nil, []int64{5, 1}},
		{nil, []int64{9, 3}, []int64{9, 3}},
		{[]int64{1, 5, 11}, []int64{9, 5, 3}, []int64{11, 9, 5, 5, 3, 1}},
	} {
		index := func(yield func(keys.Entry, error) bool) {
			for _, e := range entries(c.index...) {
				if !yield(e, nil) {
					return
				}
			}
		}
		for n := range len(c.want) + 1 { // who reads it may stop anywhere
			var got []int64
			for e, err := range newestFirst(entries(c.pending...), index) {
				if err != nil {
					t.Fatal(err)
				}
				if len(got) == n {
					break
				}
				got = append(got, e.Offset)
			}
			if !slices.Equal(got, c.want[:n]) {
				t.Errorf("%v and %v: %v", c.pending, c.index, got)
			}
		}
	}
}
