package broker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// written is one record as it was produced.
type written struct {
	key       string
	value     []byte // nil: a tombstone
	timestamp int64
}

// compacted is a topic under compaction and what was written to it: the place in all is the offset.
type compacted struct {
	t     *testing.T
	topic log.Topic
	rng   *rand.Rand
	all   []written
	next  map[int64]int32 // sequence of each producer
}

func (c *compacted) p() log.Partition { return log.Partition{Topic: c.topic.ID} }

// write appends a batch of random records of few keys.
func (c *compacted) write(b *Broker, ms int64) {
	builder := record.Builder{Codec: record.Codec(c.rng.IntN(5))}
	n := 1 + c.rng.IntN(6)
	if id := int64(c.rng.IntN(4)); id > 0 {
		builder.Producer(id, 0, c.next[id])
		c.next[id] += int32(n)
	}
	for range n {
		w := written{fmt.Sprint("key", c.rng.IntN(12)), fmt.Appendf(nil, "%d-%s", len(c.all), bytes.Repeat([]byte("x"), c.rng.IntN(60))), ms + c.rng.Int64N(50)}
		if c.rng.IntN(5) == 0 {
			w.value = nil
		}
		c.all = append(c.all, w)
		builder.Add(w.timestamp, []byte(w.key), w.value, record.Header{Key: []byte("h"), Value: []byte(w.key)})
	}
	p, err := builder.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	commit(c.t, b, oneBatch(c.topic, p))
}

// read gives all records of the partition by their offsets, and checks each against what was written.
func (c *compacted) read(l log.Log, upTo int64) map[int64]bool {
	c.t.Helper()
	there := map[int64]bool{}
	var it record.Iterator
	bounds, err := l.Bounds(c.p())
	if err != nil {
		c.t.Fatal(err)
	}
	for at := bounds.Start; at < upTo; {
		data, err := l.Read(context.Background(), c.p(), at, log.ReadLimit{MaxBytes: 700})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(data) == 0 {
			c.t.Fatalf("nothing at offset %d of %d", at, upTo)
		}
		for len(data) > 0 {
			var b record.Batch
			if b, data, err = record.Parse(data); err != nil {
				c.t.Fatal(err)
			}
			c.check(b, &it, there)
			at = b.LastOffset() + 1
		}
	}
	return there
}

func (c *compacted) check(b record.Batch, it *record.Iterator, there map[int64]bool) {
	c.t.Helper()
	if err := it.Reset(b); err != nil {
		c.t.Fatal(err)
	}
	for it.Next() {
		r := it.Record()
		w := c.all[r.Offset]
		if string(r.Key) != w.key || !bytes.Equal(r.Value, w.value) || (r.Value == nil) != (w.value == nil) || r.Timestamp != w.timestamp ||
			len(r.Headers) != 1 || string(r.Headers[0].Value) != w.key {
			c.t.Fatalf("offset %d: %+v, want %+v", r.Offset, r, w)
		}
		if there[r.Offset] {
			c.t.Fatalf("offset %d is there twice", r.Offset)
		}
		there[r.Offset] = true
	}
	if it.Err() != nil {
		c.t.Fatal(it.Err())
	}
}

// verify holds the partition against Kafka's rules; tombstones says whether the newest tombstones must still be there.
func (c *compacted) verify(b *Broker, tombstones bool) {
	c.t.Helper()
	bounds, err := b.Bounds(c.p())
	if err != nil {
		c.t.Fatal(err)
	}
	there := c.read(b, bounds.End)
	newest, newestClean := map[string]int64{}, map[string]int64{}
	for offset, w := range c.all[:bounds.End] {
		newest[w.key] = int64(offset)
		if int64(offset) < bounds.Clean {
			newestClean[w.key] = int64(offset)
		}
	}
	for key, offset := range newest {
		if !there[offset] && (c.all[offset].value != nil || tombstones || offset >= bounds.Clean) {
			c.t.Errorf("the newest record of %s at offset %d is not there", key, offset)
		}
	}
	for offset := range there {
		if offset < bounds.Clean && newestClean[c.all[offset].key] != offset {
			c.t.Errorf("offset %d of %s is there, below %d, and %d is newer", offset, c.all[offset].key, bounds.Clean, newestClean[c.all[offset].key])
		}
	}
	for offset := bounds.Clean; offset < bounds.End; offset++ {
		if !there[offset] {
			c.t.Errorf("offset %d is not there, and history is whole from %d on", offset, bounds.Clean)
		}
	}
	c.entries(b, there)
}

// entries checks that the log order tells the same as the partition, and every offset finds its append.
func (c *compacted) entries(b *Broker, there map[int64]bool) {
	c.t.Helper()
	var it record.Iterator
	seen := map[int64]bool{}
	for _, e := range logtest.Entries(c.t, b, log.Position{}) {
		for _, pb := range e.Batches {
			if pb.Partition != c.p() {
				continue
			}
			before := len(seen)
			for rest := pb.Batch; len(rest) > 0; {
				batch, next, err := record.Parse(rest)
				if err != nil {
					c.t.Fatal(err)
				}
				c.check(batch, &it, seen)
				rest = next
			}
			if whole := len(seen)-before == int(pb.Records); whole == e.Thinned {
				c.t.Fatalf("entry %v with %d of %d records: thinned %v", e.Position, len(seen)-before, pb.Records, e.Thinned)
			}
			for offset := pb.BaseOffset; offset < pb.BaseOffset+int64(pb.Records); offset++ {
				if got, err := b.PositionOf(c.p(), offset); err != nil || got != e.Position {
					c.t.Fatalf("position of offset %d: %v, %v; want %v", offset, got, err, e.Position)
				}
			}
		}
	}
	for offset := range there {
		if !seen[offset] {
			c.t.Fatalf("offset %d is in no entry", offset)
		}
	}
}

func newCompacted(t *testing.T, b *Broker, seed uint64, config map[string]string) *compacted {
	c := map[string]string{"cleanup.policy": "compact", "segment.bytes": "1500", "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "60000"}
	for k, v := range config {
		c[k] = v
	}
	return &compacted{t: t, topic: logtest.CreateTopic(t, b, "compacted", 1, c), rng: rand.New(rand.NewPCG(seed, 1)), next: map[int64]int32{}}
}

// Rounds of writing and compacting keep exactly what Kafka keeps, over restarts, at the same offsets.
func TestCompaction(t *testing.T) {
	for seed := range uint64(4) {
		dir := t.TempDir()
		opts, now := cleaning(t, dir)
		opts.TailBytes = 1 // readers go to the segments
		b, stop := start(t, opts)
		c := newCompacted(t, b, seed, nil)
		for round := range 6 {
			for range 40 {
				c.write(b, now.Now().UnixMilli())
			}
			settle(t, b)
			if got, err := b.Bounds(c.p()); err != nil || got.Clean == 0 || got.Start != 0 {
				t.Fatalf("round %d: bounds %+v, %v", round, got, err)
			}
			c.verify(b, true)
			now.Advance(time.Second)
			if round%2 == 1 {
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if faults := check(t, opts); len(faults) > 0 {
					t.Fatal(faults)
				}
				b, stop = start(t, opts)
				c.verify(b, true)
			}
		}
		// The horizon passes: the tombstones that were met go with the next round.
		now.Advance(2 * time.Minute)
		before := len(c.read(b, int64(len(c.all))))
		for range 40 {
			c.write(b, now.Now().UnixMilli())
		}
		settle(t, b)
		c.verify(b, false)
		for offset := range c.read(b, int64(len(c.all))) {
			if bounds, _ := b.Bounds(c.p()); c.all[offset].value == nil && offset < bounds.Clean && offset < int64(before) && c.superseded(offset, bounds.Clean) {
				t.Errorf("the old tombstone at %d is still there", offset)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *compacted) superseded(offset, clean int64) bool {
	for o := offset + 1; o < clean; o++ {
		if c.all[o].key == c.all[offset].key {
			return true
		}
	}
	return false
}

// Tombstones go only delete.retention.ms after the round that met them, not after they were written; records younger than
// min.compaction.lag.ms, the last segment and what a pin holds are not touched.
func TestCompactionLimits(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	b, _ := start(t, opts)
	topic := logtest.CreateTopic(t, b, "t", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "100",
		"min.cleanable.dirty.ratio": "0", "delete.retention.ms": "60000", "min.compaction.lag.ms": "10000"})
	p := log.Partition{Topic: topic.ID}
	put := func(key string, value []byte) log.Appended {
		var builder record.Builder
		builder.Add(now.Now().UnixMilli(), []byte(key), value)
		data, err := builder.Build()
		if err != nil {
			t.Fatal(err)
		}
		return commit(t, b, oneBatch(topic, data))
	}
	have := func(want string) {
		t.Helper()
		var got []int64
		var it record.Iterator
		bounds, _ := b.Bounds(p)
		for at := bounds.Start; at < bounds.End; {
			data, err := b.Read(context.Background(), p, at, log.ReadLimit{})
			if err != nil {
				t.Fatal(err)
			}
			for len(data) > 0 {
				batch, rest, err := record.Parse(data)
				if err != nil {
					t.Fatal(err)
				}
				_ = it.Reset(batch)
				for it.Next() {
					got = append(got, it.Record().Offset)
				}
				at, data = batch.LastOffset()+1, rest
			}
		}
		if fmt.Sprint(got) != want {
			t.Fatalf("offsets %v, want %s", got, want)
		}
	}
	put("a", []byte("1"))       // 0
	at := put("a", []byte("2")) // 1
	put("a", nil)               // 2
	put("b", []byte("1"))       // 3
	put("b", []byte("2"))       // 4
	put("last", []byte("1"))    // 5: the segment that is written to
	settle(t, b)                // nothing is old enough
	have("[0 1 2 3 4 5]")       //
	now.Advance(time.Minute)    //
	_ = b.Pin("p", at.Position) //
	settle(t, b)                //
	have("[1 2 3 4 5]")         // the pin holds what is after offset 1
	b.Unpin("p")                //
	settle(t, b)                //
	have("[2 4 5]")             // the tombstone is met now
	now.Advance(59 * time.Second)
	put("c", []byte("1")) // 6
	put("c", []byte("2")) // 7
	now.Advance(time.Second - time.Millisecond)
	settle(t, b)
	have("[2 4 5 6 7]") // 5 was closed; 6 is too young
	now.Advance(11 * time.Second)
	settle(t, b)
	have("[4 5 6 7]")
	// Nobody writes, and the last segment grows old: it is closed and compacted too.
	put("c", nil) // 8
	now.Advance(8 * 24 * time.Hour)
	settle(t, b)
	have("[4 5 8]")
}

// A power cut at any moment of compaction leaves a log that holds what Kafka's rules say.
func TestCompactionPowerCut(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 7))
		fs := vfs.NewMem()
		now := clock.NewManual(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC))
		opts := Options{FS: fs, Dir: "data", JournalFileSize: 64 * limit.KiB, TailBytes: 1, CleanInterval: time.Millisecond, Clock: now, slotsPerFile: 20, Rows: ByKey}
		b, stop := start(t, opts)
		c := newCompacted(t, b, seed, nil)
		for cut := range 3 {
			for range 60 + rng.IntN(100) {
				c.write(b, now.Now().UnixMilli())
			}
			clone := fs.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			fs, opts.FS = clone, clone
			if faults := check(t, opts); len(faults) > 0 {
				t.Fatalf("seed %d, cut %d: %v", seed, cut, faults)
			}
			b, stop = start(t, opts)
			// The cleaner goes on meanwhile: what is read is checked against what was written only.
			if n := len(c.read(b, int64(len(c.all)))); n == 0 {
				t.Fatal("nothing is there")
			}
		}
		opts.CleanInterval = time.Hour
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		b, stop = start(t, opts)
		settle(t, b)
		c.verify(b, true)
		if got, _ := b.Bounds(c.p()); got.Clean == 0 {
			t.Error("nothing was compacted")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A log restored from thinned entries holds what the first one did.
func TestRestoreCompacted(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	b, stop := start(t, opts)
	c := newCompacted(t, b, 3, nil)
	for range 200 {
		c.write(b, now.Now().UnixMilli())
	}
	settle(t, b)
	entries := logtest.Entries(t, b, log.Position{})
	want := c.read(b, int64(len(c.all)))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	opts.Dir = t.TempDir()
	_, err := Restore(context.Background(), opts, func(yield func(log.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b, _ = start(t, opts)
	if got := c.read(b, int64(len(c.all))); len(got) != len(want) {
		t.Errorf("%d records restored, want %d", len(got), len(want))
	}
}

// txnTopic is a topic of one partition, each batch in a file of its own, with transactions of producers by name.
type txnTopic struct {
	t         *testing.T
	b         *Broker
	now       *clock.Manual
	topic     log.Topic
	p         log.Partition
	producers map[string]log.TxnProducer
	sequence  map[string]int32
}

func newTxnTopic(t *testing.T, b *Broker, now *clock.Manual, config map[string]string, producers ...string) *txnTopic {
	t.Helper()
	all := map[string]string{"cleanup.policy": "compact", "segment.bytes": "100", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "60000"}
	maps.Copy(all, config)
	x := &txnTopic{t: t, b: b, now: now, topic: logtest.CreateTopic(t, b, "t", 1, all), producers: map[string]log.TxnProducer{}, sequence: map[string]int32{}}
	x.p = log.Partition{Topic: x.topic.ID}
	for _, id := range producers {
		var err error
		if x.producers[id], err = b.InitTxn(t.Context(), id, 15*time.Minute, log.NoProducer); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// put appends a batch of records of one value (nil: tombstones), in the transaction of a producer ("": in none).
func (x *txnTopic) put(id string, value []byte, keys ...string) {
	x.t.Helper()
	var builder record.Builder
	for _, key := range keys {
		builder.Add(x.now.Now().UnixMilli(), []byte(key), value)
	}
	if id != "" {
		if err := x.b.AddTxnPartitions(x.t.Context(), id, x.producers[id], []log.Partition{x.p}); err != nil {
			x.t.Fatal(err)
		}
		builder.Producer(x.producers[id].ID, x.producers[id].Epoch, x.sequence[id])
		builder.MarkTransactional()
		x.sequence[id] += int32(len(keys))
	}
	data, err := builder.Build()
	if err != nil {
		x.t.Fatal(err)
	}
	commit(x.t, x.b, oneBatch(x.topic, data))
}

func (x *txnTopic) end(id string, committed bool) {
	x.t.Helper()
	if _, _, err := x.b.EndTxn(x.t.Context(), id, x.producers[id], committed, false); err != nil {
		x.t.Fatal(err)
	}
}

// batches visits what is left, each batch with its records.
func (x *txnTopic) batches(visit func(record.Batch, []record.Record)) {
	x.t.Helper()
	bounds, err := x.b.Bounds(x.p)
	if err != nil {
		x.t.Fatal(err)
	}
	var it record.Iterator
	r := record.NewReader(x.b, x.p, bounds.Start, bounds.End)
	for r.Next(x.t.Context()) {
		if err := it.Reset(r.Batch()); err != nil {
			x.t.Fatal(err)
		}
		var records []record.Record
		for it.Next() {
			one := it.Record()
			one.Key, one.Value = bytes.Clone(one.Key), bytes.Clone(one.Value)
			records = append(records, one)
		}
		visit(r.Batch(), records)
	}
	if r.Err() != nil {
		x.t.Fatal(r.Err())
	}
}

// have holds the records that are left, "offset:key" each, against what is wanted.
func (x *txnTopic) have(want string) {
	x.t.Helper()
	var got []string
	x.batches(func(b record.Batch, records []record.Record) {
		for _, r := range records {
			what := string(r.Key)
			if b.Control() {
				what = "marker"
			}
			got = append(got, fmt.Sprintf("%d:%s", r.Offset, what))
		}
	})
	if fmt.Sprint(got) != want {
		x.t.Fatalf("%v, want %s", got, want)
	}
}

// Compaction takes out what was aborted, keeps what is open, and markers as long as anything of their transaction is left.
func TestCompactionOfTransactions(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	b, stop := start(t, opts)
	x := newTxnTopic(t, b, now, nil, "a", "b", "open")
	put := func(id, key string) { t.Helper(); x.put(id, []byte(id), key) }
	end, have := x.end, x.have
	put("a", "x")    // 0
	put("a", "y")    // 1
	end("a", true)   // 2
	put("b", "x")    // 3
	end("b", false)  // 4
	put("a", "y")    // 5
	end("a", true)   // 6
	put("open", "x") // 7
	put("a", "x")    // 8
	end("a", true)   // 9
	settle(t, b)     // up to 7, not included
	have("[0:x 2:marker 4:marker 5:y 6:marker 7:x 8:x 9:marker]")
	end("open", false) // 10
	put("a", "z")      // 11
	end("a", true)     // 12
	put("a", "last")   // 13
	end("a", true)     // 14
	settle(t, b)       // the aborted transaction's marker is met with nothing left of it
	have("[2:marker 4:marker 5:y 6:marker 8:x 9:marker 10:marker 11:z 12:marker 13:last 14:marker]")
	now.Advance(2 * time.Minute)
	put("a", "y")    // 15
	end("a", true)   // 16
	put("a", "last") // 17
	end("a", true)   // 18
	settle(t, b)
	// Nothing is left of the first transaction; the last batches of b, open and a stand there without records, and hold
	// the markers of theirs.
	have("[2:marker 4:marker 6:marker 8:x 9:marker 10:marker 11:z 12:marker 14:marker 15:y 16:marker 17:last 18:marker]")
	now.Advance(2 * time.Minute)
	put("a", "y")  // 19
	end("a", true) // 20
	put("a", "q")  // 21
	end("a", true) // 22
	settle(t, b)
	have("[4:marker 6:marker 8:x 9:marker 10:marker 11:z 12:marker 14:marker 16:marker 17:last 18:marker 19:y 20:marker 21:q 22:marker]")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, opts); len(faults) > 0 {
		t.Fatal(faults)
	}
}

// A transaction whose end gives its producer another epoch (KIP-890) leaves that epoch's marker for good, without its record in the
// end, and none of its batches: so Kafka keeps what tells the producer's state.
func TestCompactionKeepsTheMarkerOfAnEpoch(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	b, _ := start(t, opts)
	x := newTxnTopic(t, b, now, nil, "a", "b")
	for i, id := range []string{"a", "b"} {
		x.put(id, []byte("1"), "x") // 0, 2
		next, _, err := b.EndTxn(t.Context(), id, x.producers[id], i == 0, true)
		if err != nil {
			t.Fatal(err)
		}
		x.producers[id], x.sequence[id] = next, 0
	}
	for i := range 5 {
		x.put("", []byte("2"), []string{"z", "x"}[min(i, 1)]) // the marker is in the clean part when the record before it goes
		x.put("", []byte("2"), fmt.Sprint("end ", i))
		settle(t, b)
		now.Advance(2 * time.Minute)
	}
	want := []string{"1:0 control", "3:0 control"} // offset and records
	var got []string
	x.batches(func(b record.Batch, records []record.Record) {
		if b.ProducerID >= 0 {
			got = append(got, fmt.Sprintf("%d:%d %s", b.BaseOffset, len(records), map[bool]string{true: "control", false: "records"}[b.Control()]))
		}
	})
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	x.put("a", []byte("3"), "x")
	x.end("a", true)
}

// BenchmarkCompaction: one round over 64 MiB of records of 100 bytes, of which a tenth is left.
func BenchmarkCompaction(b *testing.B) {
	const size, batch = 64 << 20, 500
	for b.Loop() {
		b.StopTimer()
		opts := Options{Dir: b.TempDir(), CleanInterval: time.Hour, Rows: ByKey}
		l, stop := start(b, opts)
		topic := logtest.CreateTopic(b, l, "t", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "8388608", "min.cleanable.dirty.ratio": "0"})
		rng := rand.New(rand.NewPCG(1, 1))
		value := bytes.Repeat([]byte("x"), 80)
		for written := 0; written < size; {
			var builder record.Builder
			for range batch {
				builder.Add(time.Now().UnixMilli(), fmt.Appendf(nil, "%08d", rng.IntN(size/1000)), value)
			}
			p, err := builder.Build()
			if err != nil {
				b.Fatal(err)
			}
			written += len(p)
			if _, err := l.Submit(context.Background(), oneBatch(topic, p)); err != nil {
				b.Fatal(err)
			}
		}
		commit(b, l, oneBatch(topic, logtest.Batch(b, 1, "end")))
		for l.Size(log.Partition{Topic: topic.ID}) < size {
			time.Sleep(10 * time.Millisecond)
		}
		b.StartTimer()
		if err := l.cleaner.pass(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.SetBytes(size)
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// cleanup.policy=compact,delete does both: segments whose newest record is past retention.ms go whole, the newest of their keys
// too, and what is left is compacted (KIP-71).
func TestCompactAndDelete(t *testing.T) {
	opts, now := cleaning(t, t.TempDir())
	opts.TailBytes = 1
	b, stop := start(t, opts)
	c := newCompacted(t, b, 11, map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000", "segment.ms": "20000"})
	only := logtest.CreateTopic(t, b, "only", 1, map[string]string{"cleanup.policy": "compact", "retention.ms": "60000", "segment.bytes": "1500"})
	// A key that is never written again goes with its segment.
	rare := written{"rare", []byte("0-rare"), now.Now().UnixMilli()}
	c.all = append(c.all, rare)
	var builder record.Builder
	builder.Add(rare.timestamp, []byte(rare.key), rare.value, record.Header{Key: []byte("h"), Value: []byte(rare.key)})
	data, err := builder.Build()
	if err != nil {
		t.Fatal(err)
	}
	commit(t, b, oneBatch(c.topic, data))
	for round := range 8 {
		for range 30 {
			c.write(b, now.Now().UnixMilli())
		}
		commit(t, b, oneBatch(only, logtest.Batch(t, now.Now().UnixMilli(), strings.Repeat("x", 2000))))
		settle(t, b)
		settle(t, b) // cuts what the first one's compaction has closed
		bounds, err := b.Bounds(c.p())
		if err != nil {
			t.Fatal(err)
		}
		there := c.read(b, bounds.End)
		newest, newestClean := map[string]int64{}, map[string]int64{}
		for offset := bounds.Start; offset < bounds.End; offset++ {
			newest[c.all[offset].key] = offset
			if offset < bounds.Clean {
				newestClean[c.all[offset].key] = offset
			}
		}
		last := map[string]int{}
		for offset, w := range c.all {
			last[w.key] = offset
		}
		for key, offset := range last { // the others compaction may have taken before
			if age := now.Now().UnixMilli() - c.all[offset].timestamp; int64(offset) < bounds.Start && age <= 60_000 {
				t.Errorf("round %d: the newest of %s, offset %d, was cut at an age of %d ms", round, key, offset, age)
			}
		}
		for key, offset := range newest {
			if !there[offset] {
				t.Errorf("round %d: the newest record of %s at offset %d is not there", round, key, offset)
			}
		}
		for offset := range there {
			if offset < bounds.Start || offset < bounds.Clean && newestClean[c.all[offset].key] != offset {
				t.Errorf("round %d: offset %d is there, bounds are %+v", round, offset, bounds)
			}
		}
		infos, _ := b.durable.store(c.p()).Segments()
		if first := infos[0]; first.Closed && first.MaxTimestamp > 0 && first.MaxTimestamp < now.Now().UnixMilli()-60_000 {
			t.Errorf("round %d: a segment whose newest record is of %v is there", round, time.UnixMilli(first.MaxTimestamp))
		}
		now.Advance(25 * time.Second)
		if round%3 == 2 {
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if faults := check(t, opts); len(faults) > 0 {
				t.Fatal(faults)
			}
			b, stop = start(t, opts)
		}
	}
	if startOf(t, b, c.topic) == 0 {
		t.Error("the key that was written once is there for ever")
	}
	if start := startOf(t, b, only); start != 0 {
		t.Errorf("a topic that is only compacted was cut at %d", start)
	}
}
