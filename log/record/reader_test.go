package record_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/broker/brokertest"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// partition starts a log in memory with a topic of one partition.
func partition(t *testing.T) (*broker.Broker, log.Partition) {
	t.Helper()
	b := brokertest.Start(t, brokertest.InMemory())
	return b, log.Partition{Topic: logtest.CreateTopic(t, b, "t", 1, nil).ID}
}

func put(t *testing.T, l log.Log, p log.Partition, batch []byte) {
	t.Helper()
	if _, err := log.Commit(context.Background(), l, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: batch}}}); err != nil {
		t.Fatal(err)
	}
}

// next gives the values of the batch that a reader reads next, as far as they are within; "-" when it has read all.
func next(t *testing.T, r *record.Reader) string {
	t.Helper()
	if !r.Next(context.Background()) {
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		return "-"
	}
	var it record.Iterator
	if err := it.Reset(r.Batch()); err != nil {
		t.Fatal(err)
	}
	var values []string
	for it.Next() {
		if rec := it.Record(); r.Within(rec.Offset) {
			values = append(values, string(rec.Value))
		}
	}
	return strings.Join(values, " ")
}

func rest(t *testing.T, r *record.Reader) (all []string) {
	t.Helper()
	for {
		v := next(t, r)
		if v == "-" {
			return all
		}
		all = append(all, v)
	}
}

// A reader gives every batch of its range once and in order, however much one reading gives, and nothing that came later.
func TestReader(t *testing.T) {
	l, p := partition(t)
	var want []string
	for i := range 300 {
		v := fmt.Sprint(i, strings.Repeat("x", i*100%5000))
		want = append(want, v)
		put(t, l, p, logtest.Batch(t, 1, v))
	}
	r := record.NewReader(l, p, 0, 300)
	first := next(t, r)
	put(t, l, p, logtest.Batch(t, 1, "later"))
	if got := append([]string{first}, rest(t, r)...); !slices.Equal(got, want) {
		t.Fatalf("%d batches, want %d", len(got), len(want))
	}
	if r.Offset() != 300 {
		t.Errorf("it stands at %d", r.Offset())
	}
	if got := rest(t, record.NewReader(l, p, 299, math.MaxInt64)); len(got) != 2 || got[1] != "later" {
		t.Errorf("from 299: %q", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := record.NewReader(l, p, 0, 300); r.Next(ctx) || !errors.Is(r.Err(), context.Canceled) {
		t.Errorf("after cancel: %v", r.Err())
	}
}

// Records that are given up while a reader is on its way are passed over, also those of the batch in which the new start is.
func TestReaderWhileRecordsGo(t *testing.T) {
	l, p := partition(t)
	for i := range 5 {
		put(t, l, p, logtest.Batch(t, 1, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), strings.Repeat("x", 5000)))
	}
	r := record.NewReader(l, p, 0, 15)
	if got := next(t, r); !strings.HasPrefix(got, "0a 0b ") {
		t.Fatal(got)
	}
	if _, err := l.DeleteRecords(context.Background(), p, 10); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range rest(t, r) {
		if got = append(got, strings.Fields(v)...); len(got) > 5 {
			t.Fatal("too many")
		}
	}
	if len(got) != 5 || got[0] != "3b" || got[2] != "4a" {
		t.Fatalf("%.20q", got)
	}
	if _, err := l.DeleteRecords(context.Background(), p, -1); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, record.NewReader(l, p, 0, 15)); len(got) != 0 {
		t.Fatalf("%.20q", got)
	}
}

// A committed reader shows neither markers nor records of aborted transactions, and ends where the first open one begins; also
// when what tells that a transaction was aborted is given up meanwhile.
func TestReadCommitted(t *testing.T) {
	ctx := context.Background()
	l, p := partition(t)
	begin := func(id string) log.TxnProducer {
		producer, err := l.InitTxn(ctx, id, time.Minute, log.NoProducer)
		if err == nil {
			err = l.AddTxnPartitions(ctx, id, producer, []log.Partition{p})
		}
		if err != nil {
			t.Fatal(err)
		}
		return producer
	}
	end := func(id string, producer log.TxnProducer, commit bool) {
		if _, _, err := l.EndTxn(ctx, id, producer, commit, false); err != nil {
			t.Fatal(err)
		}
	}
	aborted, committed := begin("aborted"), begin("committed")
	put(t, l, p, logtest.TxnBatch(t, aborted, 0, "a1"))     // 0
	put(t, l, p, logtest.Batch(t, 1, "plain"))              // 1
	put(t, l, p, logtest.TxnBatch(t, committed, 0, "c1"))   // 2
	put(t, l, p, logtest.TxnBatch(t, aborted, 1, "a2"))     // 3
	end("committed", committed, true)                       // 4
	end("aborted", aborted, false)                          // 5
	again := begin("aborted")                               // of a new epoch
	put(t, l, p, logtest.TxnBatch(t, again, 0, "a3"))       // 6
	end("aborted", again, true)                             // 7
	open := begin("open")                                   //
	put(t, l, p, logtest.Batch(t, 1, "last"))               // 8
	put(t, l, p, logtest.TxnBatch(t, open, 0, "undecided")) // 9
	put(t, l, p, logtest.Batch(t, 1, "behind"))             // 10

	r, err := record.ReadCommitted(l, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := rest(t, r); !slices.Equal(got, []string{"plain", "c1", "a3", "last"}) {
		t.Fatalf("%q", got)
	}
	if r, err = record.ReadCommitted(l, p); err != nil {
		t.Fatal(err)
	}
	if got := next(t, r); got != "plain" {
		t.Fatal(got)
	}
	if _, err := l.DeleteRecords(ctx, p, 6); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, r); !slices.Equal(got, []string{"c1", "a3", "last"}) {
		t.Fatalf("%q", got)
	}
}

// cut is a log whose reads end within a batch.
type cut struct{ log.Log }

func (l cut) Read(ctx context.Context, p log.Partition, offset int64, limit log.ReadLimit) ([]byte, error) {
	data, err := l.Log.Read(ctx, p, offset, limit)
	return data[:max(0, len(data)-1)], err
}

func TestReaderOfBytesCutShort(t *testing.T) {
	l, p := partition(t)
	put(t, l, p, logtest.Batch(t, 1, "x"))
	if r := record.NewReader(cut{l}, p, 0, 1); r.Next(context.Background()) || !errors.Is(r.Err(), log.ErrCorruptBatch) {
		t.Fatal(r.Err())
	}
}

// hollow is a log where compaction has left nothing from an offset on.
type hollow struct {
	log.Log
	from int64
}

func (l hollow) Read(ctx context.Context, p log.Partition, offset int64, limit log.ReadLimit) ([]byte, error) {
	if offset >= l.from {
		return nil, nil
	}
	return l.Log.Read(ctx, p, offset, log.ReadLimit{MaxBytes: 1})
}

func TestReaderWhereNothingIsLeft(t *testing.T) {
	l, p := partition(t)
	for _, v := range []string{"a", "b", "c"} {
		put(t, l, p, logtest.Batch(t, 1, v))
	}
	r := record.NewReader(hollow{l, 2}, p, 0, 3)
	if got := rest(t, r); !slices.Equal(got, []string{"a", "b"}) || r.Offset() != 2 {
		t.Fatalf("%q, it stands at %d", got, r.Offset())
	}
}

func TestBatches(t *testing.T) {
	p := append(logtest.Batch(t, 1, "a", "b"), logtest.Batch(t, 1, "c")...)
	n := int32(0)
	for b, err := range record.Batches(p) {
		if err != nil {
			t.Fatal(err)
		}
		n += b.Count
	}
	if n != 3 {
		t.Errorf("%d records", n)
	}
	faults := 0
	for b, err := range record.Batches(p[:len(p)-1]) {
		if errors.Is(err, log.ErrCorruptBatch) {
			faults++
		} else if b.Count != 2 {
			t.Errorf("%+v", b)
		}
	}
	if faults != 1 {
		t.Errorf("%d faults", faults)
	}
}
