package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

func sequenceOf(entries []log.Entry) iter.Seq2[log.Entry, error] {
	return func(yield func(log.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestRestore(t *testing.T) {
	ctx := context.Background()
	source, stop := start(t, small(vfs.Default, t.TempDir()))
	a := logtest.CreateTopic(t, source, "a", 2, nil)
	gone := logtest.CreateTopic(t, source, "gone", 1, nil)
	for i := range 200 {
		if _, err := log.Commit(ctx, source, log.Append{Txn: uint64(i), Batches: []log.PartitionBatch{
			{Partition: log.Partition{Topic: a.ID, Index: int32(i % 2)}, Batch: logtest.Batch(t, int64(i), fmt.Sprint(i), string(make([]byte, 900)))},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := log.Commit(ctx, source, log.Append{Batches: []log.PartitionBatch{
		logtest.Catalog(t, log.TopicRecord{ID: gone.ID.String(), Name: "gone", Dropped: true}),
	}}); err != nil {
		t.Fatal(err)
	}
	all := logtest.Entries(t, source, log.Position{})
	for _, n := range []int{0, 3, 100, len(all)} {
		opts := small(vfs.Default, t.TempDir())
		end, err := Restore(ctx, opts, sequenceOf(all[:n]))
		if err != nil {
			t.Fatal(err)
		}
		b, stopRestored := start(t, opts)
		if n > 0 && end != all[n-1].Position || b.End() != end {
			t.Fatalf("restored to %v, end %v", end, b.End())
		}
		got := logtest.Entries(t, b, log.Position{})
		if n > 0 && !reflect.DeepEqual(got, all[:n]) {
			t.Fatalf("%d entries of %d, or other ones", len(got), n)
		}
		if n < len(all) {
			if _, err := b.ReadFrom(ctx, all[n].Position, 0); n > 0 && !errors.Is(err, log.ErrHistoryThinned) {
				t.Fatalf("a position that was restored away: %v", err)
			}
		}
		next := logtest.CreateTopic(t, b, "next", 1, nil)
		if b.End().Epoch != end.Epoch+1 && n > 0 || b.End().Sequence != end.Sequence+1 {
			t.Fatalf("the next append is at %v after %v", b.End(), end)
		}
		if b.LeaderEpoch() <= source.LeaderEpoch() {
			t.Fatalf("leader epoch %d, before %d", b.LeaderEpoch(), source.LeaderEpoch())
		}
		k, err := log.Commit(ctx, b, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: next.ID}, Batch: logtest.Batch(t, 1, "x")}}})
		if err != nil {
			t.Fatal(err)
		}
		got = logtest.Entries(t, b, end)
		if len(got) != 2 || got[1].Position != k.Position || n > 0 && got[0].Index <= all[n-1].Index {
			t.Fatalf("after the restore: %+v", got)
		}
		if err := stopRestored(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, opts); len(faults) > 0 {
			t.Fatal(faults)
		}
		if _, err := Restore(ctx, opts, sequenceOf(all)); !errs.Is(err, errs.Exists) {
			t.Fatalf("into a directory with a log: %v", err)
		}
	}
	// History may begin later; what lies before is refused as thinned.
	opts := small(vfs.Default, t.TempDir())
	thinned := append(all[:1:1], all[150:]...)
	if _, err := Restore(ctx, opts, sequenceOf(thinned)); !errs.Is(err, errs.Invalid) {
		t.Fatalf("with a gap: %v", err)
	}
	if _, err := Open(opts); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("open of an unfinished restore: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// The branch goes on from the same state: a retry of a producer is still found.
func TestRestoreKeepsProducers(t *testing.T) {
	ctx := context.Background()
	source, _ := start(t, small(vfs.Default, t.TempDir()))
	a := logtest.CreateTopic(t, source, "a", 1, nil)
	id, err := source.NextProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	app := func() log.Append {
		return log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: a.ID}, Batch: numberedBatch(t, id, 0)}}}
	}
	if _, err := log.Commit(ctx, source, app()); err != nil {
		t.Fatal(err)
	}
	opts := small(vfs.Default, t.TempDir())
	if _, err := Restore(ctx, opts, sequenceOf(logtest.Entries(t, source, log.Position{}))); err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, opts)
	again, err := log.Commit(ctx, b, app())
	if err != nil || !again.Duplicate {
		t.Fatalf("%+v, %v", again, err)
	}
	other, err := b.NextProducerID(ctx)
	if err != nil || other <= id {
		t.Fatalf("id %d after %d, %v", other, id, err)
	}
}
