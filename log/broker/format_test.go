package broker

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/segment"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current format version anew")

// goldenDir holds for the present version of the formats, and the directories beside it for older ones, logs that every
// later program must read: one that was closed, and one whose process was killed, so
// that its journal has to be replayed.
const goldenDir = "testdata/v6"

func goldenOptions(fs vfs.FS, dir string) Options {
	return Options{
		FS: fs, Dir: dir, JournalFileSize: 32 * limit.KiB, SegmentSize: 8 * limit.KiB, TailBytes: 16 * limit.KiB, CleanInterval: time.Hour, slotsPerFile: 20,
		Clock: clock.NewManual(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)),
	}
}

func TestGolden(t *testing.T) {
	if *rewrite {
		writeGolden(t)
	}
	for _, name := range []string{"v1/closed", "v1/killed", "v3/closed", "v3/killed", "v4/closed", "v4/killed", "v5/closed", "v5/killed", "v6/closed", "v6/killed"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			// Git keeps no empty directories; prepare makes them again. The second time the present version is read.
			for range 2 {
				b, stop := start(t, goldenOptions(vfs.Default, dir))
				got := describe(t, b)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Fatalf("read from the golden files:\n%s\nwant:\n%s", got, want)
				}
			}
		})
	}
}

// describe tells everything that a log holds.
func describe(t *testing.T, b *Broker) string {
	var w strings.Builder
	for _, topic := range b.Topics() {
		fmt.Fprintf(&w, "topic %s %s partitions=%d config=%v\n", topic.Name, topic.ID, topic.Partitions, topic.Config)
	}
	for _, t := range b.Txns() {
		fmt.Fprintf(&w, "transaction %s %v %s %v %d partitions\n", t.ID, t.Producer, t.Status, t.Timeout, len(t.Partitions))
	}
	for _, name := range slices.Sorted(maps.Keys(b.Properties().Values)) {
		fmt.Fprintf(&w, "property %s=%s\n", name, b.Properties().Values[name])
	}
	for _, topic := range b.Topics() {
		for i := range topic.Partitions {
			p := log.Partition{Topic: topic.ID, Index: i}
			if got, err := b.Bounds(p); err != nil || got.Start > 0 || got.Stable < got.End {
				aborted, _, aerr := b.Aborted(p, 0, 1<<60)
				if aerr != nil {
					t.Fatal(aerr)
				}
				fmt.Fprintf(&w, "partition %s/%d %+v %v aborted=%v\n", topic.Name, i, got, err, aborted)
			}
		}
	}
	for _, key := range b.PendingOffsets("group") {
		fmt.Fprintf(&w, "pending %s\n", key)
	}
	for _, e := range logtest.Entries(t, b, log.Position{}) {
		fmt.Fprintf(&w, "entry %v term=%d index=%d time=%s txn=%d\n", e.Position, e.Term, e.Index, e.Time.Format(time.RFC3339Nano), e.Txn)
		for _, batch := range e.Batches {
			values, first, last := logtest.Values(t, batch.Batch)
			for i := range values {
				values[i] = values[i][:min(12, len(values[i]))]
			}
			fmt.Fprintf(&w, "  %s/%d [%d,%d] %q\n", batch.Partition.Topic, batch.Partition.Index, first, last, values)
		}
	}
	return w.String()
}

func writeGolden(t *testing.T) {
	fs := vfs.NewMem()
	b, stop := start(t, goldenOptions(fs, "closed"))
	id := log.TopicID{1, 2, 3}
	commit := func(a log.Append) {
		if _, err := log.Commit(context.Background(), b, a); err != nil {
			t.Fatal(err)
		}
	}
	put := func(i int, codec record.Codec) {
		builder := record.Builder{Codec: codec}
		builder.Producer(77, 0, int32(i))
		builder.Add(int64(1000+i), []byte("key"), []byte(fmt.Sprintf("%02d%s", i, strings.Repeat("value", 100))), record.Header{Key: []byte("h"), Value: nil})
		p, err := builder.Build()
		if err != nil {
			t.Fatal(err)
		}
		commit(log.Append{Txn: uint64(i), Batches: []log.PartitionBatch{
			{Partition: log.Partition{Topic: id}, Batch: p},
			{Partition: log.Partition{Topic: id, Index: 1}, Batch: logtest.Batch(t, 5, "a", "b")},
		}})
	}
	commit(log.Append{Batches: []log.PartitionBatch{logtest.Catalog(t, log.TopicRecord{ID: id.String(), Name: "golden", Partitions: 2, Config: map[string]string{"retention.ms": "1"}})}})
	goldenThinned(t, b)
	for i := range 40 {
		put(i, record.Codec(i%5))
	}
	var large []byte
	for i := range 30 {
		large = append(large, logtest.Batch(t, int64(i), fmt.Sprintf("large %d%s", i, strings.Repeat(".", 800)))...)
	}
	commit(log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: id}, Batch: large}}})
	goldenTxns(t, b, id, commit)
	goldenProperties(t, b)
	if err := b.Pin("view", log.Position{Epoch: 1, Sequence: 3}); err != nil {
		t.Fatal(err)
	}
	killed := fs.CrashClone(pebblevfs.CrashCloneCfg{})
	text := describe(t, b)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(goldenDir)
	for name, from := range map[string]pebblevfs.FS{"closed": fs, "killed": killed} {
		dir := filepath.Join(goldenDir, name)
		os.MkdirAll(goldenDir, 0o755)
		if _, err := pebblevfs.Clone(from, vfs.Default, "closed", dir); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, "LOCK"))
		if err := os.WriteFile(filepath.Join(goldenDir, name+".txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// goldenThinned adds what came with version 5: a commit index that has lost the appends of a topic that is gone.
func goldenThinned(t *testing.T, b *Broker) {
	topic := logtest.CreateTopic(t, b, "gone", 1, nil)
	for range 60 {
		commit(t, b, oneBatch(topic, logtest.Batch(t, 1, "gone")))
	}
	drop(t, b, topic)
	checkpoints := 0
	eventually(t, "the commit index is thinned", func() bool {
		if c, _, _ := b.applier.next(); c == nil && !b.wanted.Load() {
			b.requestCheckpoint()
			checkpoints++
		}
		return checkpoints > 2 && b.cleaner.thin(context.Background()) == nil && b.cleaner.thinner.seen > 0 && b.cleaner.thinner.next == 0
	})
}

func goldenProperties(t *testing.T, b *Broker) {
	for _, set := range []map[string][]byte{{"a/1": []byte("x"), "a/2": []byte("y")}, {"a/1": nil, "b": {}}} {
		if err := b.ChangeProperties(context.Background(), func(*log.Properties) (map[string][]byte, error) { return set, nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzBody: no payload makes the decoder panic, or give batches that are not in it.
func FuzzBody(f *testing.F) {
	e := log.Entry{Position: log.Position{Epoch: 1, Sequence: 2}, Time: time.Unix(3, 0), Batches: []log.PartitionBatch{
		{Partition: log.Partition{Topic: log.TopicID{1}}, Batch: []byte("batch"), Records: 1},
	}}
	f.Add(encodeAppend([]byte{bodyVersion}, kindAppend, &e, e.Batches))
	f.Add(encodeItem([]byte{bodyVersion}, newEvents(producerIDsGiven(1000), startMoved{log.Partition{Topic: log.TopicID{1}, Index: 2}, 7}, abortedForgotten{log.Partition{Topic: log.TopicID{1}}, 9}, propertiesChanged{{"a", []byte("x")}, {"b", nil}})))
	f.Fuzz(func(t *testing.T, p []byte) {
		size := 0
		err := decodeBody(p, func(kind byte, e log.Entry, _ event) error {
			for _, b := range e.Batches {
				size += len(b.Batch)
			}
			return nil
		})
		if size > len(p) {
			t.Fatal("more bytes than there are")
		}
		if k := errs.KindOf(err); err != nil && k != errs.Corrupt && k != errs.Unsupported {
			t.Fatal(err)
		}
	})
}

// FuzzSnapshot: no bytes make the decoder panic; what it takes it writes again.
func FuzzSnapshot(f *testing.F) {
	s := newState()
	p := log.Partition{Topic: log.CatalogTopicID}
	s.partitions[p].remember(producerBatch{9, 1, 0, 4}, rememberedWrite{0, 4, 7, log.Position{Epoch: 1, Sequence: 1}, 5})
	var e encoder
	s.encode(&e)
	snap := snapshot{
		journal: journal.Place{File: 1, Offset: 4096, Index: 3, Chain: 9}, pins: map[string]log.Position{"v": {Epoch: 1, Sequence: 1}},
		commits:  commits.State{Files: []commits.FileState{{First: 1, Slots: 2, Overflow: 3}}},
		segments: map[log.Partition]segment.State{p: {End: 5, Segments: []segment.SegmentState{{Base: 0, Size: 9}}}},
	}
	f.Add(snap.encode(e.p)[snapshotHeader:])
	f.Fuzz(func(t *testing.T, body []byte) {
		p := append(make([]byte, snapshotHeader), body...)
		sealSnapshot(p)
		got, err := decodeSnapshot(p)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		var e encoder
		got.state.encode(&e)
		if _, err := decodeSnapshot(got.encode(e.p)); err != nil {
			t.Fatal(err)
		}
	})
}

// goldenTxns adds what came with version 3: transactions that have committed, aborted, and go on with offsets, and a start
// that has moved.
func goldenTxns(t *testing.T, b *Broker, id log.TopicID, commit func(log.Append)) {
	ctx := context.Background()
	p := log.Partition{Topic: id, Index: 1}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"commits", "aborts", "goes-on"} {
		producer, err := b.InitTxn(ctx, name, time.Minute, log.NoProducer)
		check(err)
		check(b.AddTxnPartitions(ctx, name, producer, []log.Partition{p}))
		commit(log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.TxnBatch(t, producer, 0, name)}}})
		if i < 2 {
			_, _, err = b.EndTxn(ctx, name, producer, i == 0, i == 0)
		} else {
			err = b.AddTxnOffsets(ctx, name, producer, false, []log.TxnOffset{{Group: "group", Key: []byte("key"), Value: []byte("value")}})
		}
		check(err)
	}
	_, err := b.DeleteRecords(ctx, p, 11)
	check(err)
}
