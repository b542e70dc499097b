package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// cleaning opens a log whose cleaner only runs when the test says so.
func cleaning(t *testing.T, dir string) (Options, *clock.Manual) {
	c := clock.NewManual(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC))
	opts := Options{FS: vfs.Default, Dir: dir, JournalFileSize: 64 * limit.KiB, TailBytes: 48 * limit.KiB, CleanInterval: time.Hour, Clock: c, slotsPerFile: 20, Rows: ByKey}
	return opts, c
}

// settle waits until what was appended is in segments, runs one pass of the cleaner, and waits for its checkpoint.
func settle(t *testing.T, b *Broker) {
	t.Helper()
	eventually(t, "segments have everything", func() bool {
		b.durable.mu.RLock()
		defer b.durable.mu.RUnlock()
		return b.durable.mu.applied == b.durable.mu.state.sequence
	})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := b.cleaner.pass(ctx); err != nil {
		t.Fatal(err)
	}
	still := 0 // for a moment between the wish and the checkpoint there is neither
	eventually(t, "the checkpoint is made", func() bool {
		if c, _, _ := b.applier.next(); b.wanted.Load() || c != nil {
			still = 0
		}
		still++
		return still > 3
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("after a minute it is not so that %s", what)
}

func segmentsOf(t *testing.T, dir string, topic log.Topic) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "partitions", topic.ID.String()+"-0", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i] = strings.TrimLeft(strings.TrimSuffix(filepath.Base(found[i]), ".log"), "0")
	}
	return found
}

func startOf(t *testing.T, b *Broker, topic log.Topic) int64 {
	t.Helper()
	bounds, err := b.Bounds(log.Partition{Topic: topic.ID})
	if err != nil {
		t.Fatal(err)
	}
	return bounds.Start
}

// Segments go by size and by time, at the borders of segments; never from a topic that keeps everything, from the catalog,
// or past a pin. The starts are the same after a restart.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	opts, now := cleaning(t, dir)
	b, stop := start(t, opts)
	create := func(name string, config ...string) log.Topic {
		c := map[string]string{"segment.bytes": "1000"}
		for i := 0; i < len(config); i += 2 {
			c[config[i]] = config[i+1]
		}
		return logtest.CreateTopic(t, b, name, 1, c)
	}
	bySize, byTime := create("size", "retention.bytes", "3000"), create("time", "retention.ms", "60000")
	table, pinned := create("table", "cleanup.policy", "", "retention.ms", "1"), create("pinned", "retention.ms", "60000")
	var at log.Position
	for i := range 20 {
		for _, topic := range []log.Topic{bySize, byTime, table, pinned} {
			got := commit(t, b, oneBatch(topic, logtest.Batch(t, now.Now().UnixMilli(), strings.Repeat("x", 400))))
			if i == 9 {
				at = got.Position
			}
		}
		now.Advance(10 * time.Second)
	}
	if err := b.Pin("view", at); err != nil {
		t.Fatal(err)
	}
	settle(t, b)
	want := map[string]int64{"size": 10, "time": 10, "table": 0, "pinned": 10}
	verify := func() {
		t.Helper()
		for _, topic := range []log.Topic{bySize, byTime, table, pinned} {
			if got := startOf(t, b, topic); got != want[topic.Name] {
				t.Errorf("%s starts at %d, want %d", topic.Name, got, want[topic.Name])
			}
			eventually(t, fmt.Sprintf("the oldest segment of %s is %d", topic.Name, want[topic.Name]), func() bool {
				return segmentsOf(t, dir, topic)[0] == strings.TrimLeft(fmt.Sprint(want[topic.Name]), "0")
			})
		}
		if got := startOf(t, b, log.Topic{ID: log.CatalogTopicID}); got != 0 {
			t.Errorf("the catalog starts at %d", got)
		}
	}
	verify()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, opts); len(faults) > 0 {
		t.Fatal(faults)
	}
	b, stop = start(t, opts)
	verify()
	// An append whose records are gone says so, one whose records are there does not.
	for i, e := range logtest.Entries(t, b, log.Position{}) {
		gone := i >= 4 && func() bool {
			n := int64(i-4) / 4
			return n < []int64{10, 10, 0, 10}[(i-4)%4]
		}()
		if e.Thinned != gone || gone == (len(e.Batches) > 0) {
			t.Fatalf("entry %d: thinned %v, %d batches", i, e.Thinned, len(e.Batches))
		}
	}
	// Two batches of about 480 bytes each stand in a segment. By time those go whose newest record is older than a minute.
	b.Unpin("view")
	settle(t, b)
	want = map[string]int64{"size": 12, "time": 14, "table": 0, "pinned": 14}
	verify()
	// Time alone takes the last segment too; offsets go on behind it.
	now.Advance(time.Hour)
	settle(t, b)
	for _, topic := range []log.Topic{byTime, pinned} {
		if got := startOf(t, b, topic); got != 20 {
			t.Errorf("%s starts at %d", topic.Name, got)
		}
		eventually(t, topic.Name+" has no segment", func() bool { return len(segmentsOf(t, dir, topic)) == 0 })
	}
	if got := commit(t, b, oneBatch(byTime, logtest.Batch(t, 1, "x"))); got.Offsets[0] != 20 {
		t.Errorf("offset %d after all records have gone", got.Offsets[0])
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, opts); len(faults) > 0 {
		t.Fatal(faults)
	}
}

// A segment is left when it is old, whatever its size.
func TestSegmentAge(t *testing.T) {
	dir := t.TempDir()
	opts, now := cleaning(t, dir)
	b, _ := start(t, opts)
	topic := logtest.CreateTopic(t, b, "t", 1, map[string]string{"segment.ms": "60000"})
	for range 5 {
		commit(t, b, oneBatch(topic, logtest.Batch(t, now.Now().UnixMilli(), "x")))
		now.Advance(30 * time.Second)
	}
	settle(t, b)
	if got := fmt.Sprint(segmentsOf(t, dir, topic)); got != "[ 2 4]" {
		t.Errorf("segments %s, want 0, 2 and 4", got)
	}
}

// Readers never see an error, or a record out of its place, while segments go under their hands.
func TestRetentionBesideReaders(t *testing.T) {
	opts, _ := cleaning(t, t.TempDir())
	opts.CleanInterval = time.Millisecond
	b, _ := start(t, opts)
	topic := logtest.CreateTopic(t, b, "t", 1, map[string]string{"segment.bytes": "2000", "retention.bytes": "10000"})
	p := log.Partition{Topic: topic.ID}
	var stopped atomic.Bool
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for !stopped.Load() {
				bounds, err := b.Bounds(p)
				if err != nil {
					return err
				}
				for at := bounds.Start; at < bounds.End; {
					data, err := b.Read(context.Background(), p, at, log.ReadLimit{MaxBytes: 3000})
					if now, _ := b.Bounds(p); err != nil && at < now.Start {
						break // given up meanwhile
					}
					if err != nil {
						return err
					}
					values, first, last := logtest.Values(t, data)
					if first > at || last < at || values[0] != fmt.Sprint(first) {
						return fmt.Errorf("read at %d gives %d to %d", at, first, last)
					}
					at = last + 1
				}
			}
			return nil
		}()
	}()
	for i := range 3000 {
		commit(t, b, oneBatch(topic, logtest.Batch(t, 1, fmt.Sprint(i))))
	}
	eventually(t, "something is given up", func() bool { return startOf(t, b, topic) > 0 })
	stopped.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
