package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

func commit(t testing.TB, b *Broker, a log.Append) log.Appended {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	got, err := log.Commit(ctx, b, a)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func drop(t testing.TB, b *Broker, topic log.Topic) log.Appended {
	t.Helper()
	return commit(t, b, log.Append{Batches: []log.PartitionBatch{
		logtest.Catalog(t, log.TopicRecord{ID: topic.ID.String(), Name: topic.Name, Dropped: true}),
	}})
}

func filesOf(t testing.TB, dir string, topic log.Topic) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "partitions", topic.ID.String()+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// The files of a dropped topic go at the next checkpoint, unless somebody holds a pin before the drop.
func TestDroppedTopicFiles(t *testing.T) {
	dir := t.TempDir()
	opts := small(vfs.Default, dir)
	b, stop := start(t, opts)
	free, pinned := logtest.CreateTopic(t, b, "free", 1, nil), logtest.CreateTopic(t, b, "pinned", 1, nil)
	commit(t, b, oneBatch(free, logtest.Batch(t, 1, "x")))
	commit(t, b, oneBatch(pinned, logtest.Batch(t, 1, "x")))
	dropped := drop(t, b, free)
	if err := b.Pin("view", dropped.Position); err != nil {
		t.Fatal(err)
	}
	drop(t, b, pinned)
	restart := func() {
		t.Helper()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if faults := check(t, opts); len(faults) > 0 {
			t.Fatal(faults)
		}
		b, stop = start(t, opts)
	}
	restart()
	if filesOf(t, dir, free) != 0 || filesOf(t, dir, pinned) != 1 {
		t.Fatalf("files: %d of the free topic, %d of the pinned one", filesOf(t, dir, free), filesOf(t, dir, pinned))
	}
	// Whoever holds the pin still sees the records, whoever comes later sees the appends without them.
	records := 0
	for _, e := range logtest.Entries(t, b, log.Position{}) {
		for _, batch := range e.Batches {
			switch batch.Partition.Topic {
			case free.ID:
				t.Fatal("a batch of the dropped topic")
			case pinned.ID:
				records++
			}
		}
	}
	if records != 1 {
		t.Fatalf("%d batches of the pinned topic", records)
	}
	b.Unpin("view")
	restart()
	if filesOf(t, dir, pinned) != 0 {
		t.Fatal("the files stay after the pin has gone")
	}
	if err := b.Pin("x", log.Position{Epoch: 9, Sequence: 1}); !errs.Is(err, errs.NotFound) {
		t.Fatalf("pin of another history: %v", err)
	}
}

// Producer ids are never given twice, whatever happens between.
func TestProducerIDs(t *testing.T) {
	dir := t.TempDir()
	seen := map[int64]bool{}
	for range 3 {
		b, stop := start(t, small(vfs.Default, dir))
		for range producerBlock + 5 {
			id, err := b.NextProducerID(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if seen[id] || id < 0 {
				t.Fatalf("id %d again", id)
			}
			seen[id] = true
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Submit waits when the disk cannot follow, as long as its context lasts.
func TestBackPressure(t *testing.T) {
	b, err := Open(Options{Dir: t.TempDir(), TailBytes: 10 * limit.KiB})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is written: the broker does not run yet.
	id := logtest.NewTopicID()
	submit := func() (*log.Ticket, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		return b.Submit(ctx, oneBatch(log.Topic{ID: id}, logtest.Batch(t, 1, strings.Repeat("x", 1000))))
	}
	if _, err := b.Submit(context.Background(), log.Append{Batches: []log.PartitionBatch{
		logtest.Catalog(t, log.TopicRecord{ID: id.String(), Name: "a", Partitions: 1}),
	}}); err != nil {
		t.Fatal(err)
	}
	n := 0
	var last *log.Ticket
	for {
		k, err := submit()
		if err != nil {
			if !errs.Is(err, errs.Canceled) {
				t.Fatal(err)
			}
			break
		}
		last = k
		n++
	}
	if n < 5 || n > 10 {
		t.Fatalf("%d appends of 1 KB in 10 KiB", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	if err := last.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := log.Commit(context.Background(), b, oneBatch(log.Topic{ID: id}, logtest.Batch(t, 1, strings.Repeat("x", 1000)))); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := submit(); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("after the end: %v", err)
	}
	b.Close()
}

// What was submitted before the end of Run is durable; the journal does not grow without bound.
func TestJournalIsRecycled(t *testing.T) {
	dir := t.TempDir()
	b, stop := start(t, small(vfs.Default, dir))
	topic := logtest.CreateTopic(t, b, "a", 1, nil)
	var last *log.Ticket
	for i := range 600 {
		var err error
		if last, err = b.Submit(context.Background(), oneBatch(topic, logtest.Batch(t, 1, fmt.Sprint(i)+strings.Repeat("x", 3000)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := last.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	files, _ := os.ReadDir(filepath.Join(dir, "journal"))
	if len(files) > 8 {
		t.Errorf("%d journal files of 64 KiB for 1.8 MB", len(files))
	}
	b, _ = start(t, small(vfs.Default, dir))
	if got := logtest.ReadAll(t, b, log.Partition{Topic: topic.ID}); len(got) != 600 {
		t.Fatalf("%d records", len(got))
	}
}

func TestOptions(t *testing.T) {
	err := Options{JournalFileSize: 1, SegmentSize: -1, TailBytes: -1}.Validate()
	for _, want := range []string{"Dir", "JournalFileSize", "SegmentSize", "TailBytes"} {
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no word of %s", err, want)
		}
	}
}
