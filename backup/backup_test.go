package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

var ctx = context.Background()

// source is a running broker whose commit times are a manual clock's: one second apart.
type source struct {
	*broker.Broker
	t     testing.TB
	dir   string
	clock *clock.Manual
	stop  func()
}

var epochStart = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func startSource(t testing.TB) *source { return openSource(t, t.TempDir(), epochStart) }

// openSource opens the log of a data directory.
func openSource(t testing.TB, data string, now time.Time) *source {
	t.Helper()
	s := &source{t: t, dir: filepath.Join(data, LogFolder), clock: clock.NewManual(now)}
	l, err := broker.Open(broker.Options{Dir: s.dir, Clock: s.clock, JournalFileSize: 256 * limit.KiB, TailBytes: 256 * limit.KiB, SegmentSize: limit.MiB})
	if err != nil {
		t.Fatal(err)
	}
	s.Broker = l
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, l.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// append commits one record per value to a partition.
func (s *source) append(topic log.Topic, partition int32, values ...string) log.Appended {
	s.t.Helper()
	s.clock.Advance(time.Second)
	got, err := log.Commit(ctx, s.Broker, log.Append{Txn: 7, Batches: []log.PartitionBatch{
		{Partition: log.Partition{Topic: topic.ID, Index: partition}, Batch: logtest.Batch(s.t, 1, values...)}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// fill makes two topics and appends n times, in all about n kB.
func (s *source) fill(n int) (a, b log.Topic) {
	a, b = logtest.CreateTopic(s.t, s.Broker, "a", 2, nil), logtest.CreateTopic(s.t, s.Broker, "b", 1, nil)
	s.more(a, b, n)
	return a, b
}

func (s *source) more(a, b log.Topic, n int) {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range n {
		text := fmt.Sprintf(`{"flight":%d,"origin":"JFK","dest":"SFO","delay":%d,"note":"%x"}`, i, rng.IntN(90), rng.Uint64())
		switch i % 3 {
		case 0:
			s.append(a, int32(i%2), text, strings.Repeat(text, 15))
		case 1:
			s.append(b, 0, text)
		default:
			s.clock.Advance(time.Second)
			if _, err := log.Commit(ctx, s.Broker, log.Append{Txn: uint64(i), Batches: []log.PartitionBatch{
				{Partition: log.Partition{Topic: a.ID, Index: 1}, Batch: logtest.Batch(s.t, 1, text)},
				{Partition: log.Partition{Topic: b.ID}, Batch: logtest.Batch(s.t, 1, text)}}}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s *source) backup(store Store, full ...bool) *Manifest {
	s.t.Helper()
	s.clock.Advance(time.Millisecond)
	m, err := Create(ctx, s.options(store, len(full) > 0))
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// options makes small blocks and lists, so that a little data has many.
func (s *source) options(store Store, full bool) CreateOptions {
	return CreateOptions{Log: s, Store: store, ClusterID: "c", Tool: "test", Clock: s.clock, Full: full, blockSize: 64 << 10, perList: 4}
}

func blocksOf(t testing.TB, store Store, m *Manifest) []Block {
	t.Helper()
	blocks, err := newBlockLists(store).all(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

func repository(t testing.TB) (*Directory, string) {
	dir := filepath.Join(t.TempDir(), "repo")
	return NewDirectory(vfs.Default, dir), dir
}

func restore(t testing.TB, store Store, target Target) (*Result, string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "new", "data")
	r, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	return r, data
}

// same holds the log of a data directory against the first entries of another one.
func same(t testing.TB, data string, want []log.Entry) {
	t.Helper()
	opts := broker.Options{Dir: filepath.Join(data, LogFolder)}
	if r, err := broker.Check(opts); err != nil || len(r.Faults) > 0 {
		t.Fatal(err, r.Faults)
	}
	s := openSource(t, data, epochStart.Add(time.Hour*1000))
	defer s.stop()
	if got := logtest.Entries(t, s, log.Position{}); !reflect.DeepEqual(got, want) {
		t.Fatalf("%d entries restored, want %d, or other ones", len(got), len(want))
	}
}

func upTo(all []log.Entry, p log.Position) []log.Entry {
	return all[:slices.IndexFunc(all, func(e log.Entry) bool { return e.Position == p })+1]
}

func sizeOf(t testing.TB, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		size += st.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func verify(t testing.TB, store Store, level Level) Report {
	t.Helper()
	r, err := Verify(ctx, store, level, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCreateSnapshot(t *testing.T) {
	s := startSource(t)
	a, _ := s.fill(2000)
	store, dir := repository(t)
	var told []int64
	o := s.options(store, false)
	o.Progress = func(done, total int64) { told = append(told, done, total) }
	m, err := Create(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	end := s.End()
	if m.To.Position != end || m.From.Sequence != 1 || m.Appends != end.Sequence || m.Previous != "" {
		t.Fatalf("%+v", m)
	}
	if n := len(told); n == 0 || told[n-2] != told[n-1] || told[n-1] != int64(end.Sequence) || !slices.IsSorted(told[:1]) {
		t.Fatalf("progress %v", told)
	}
	for _, topic := range m.Topics {
		id, _ := parseTopicID(topic.ID)
		for p, r := range topic.Partitions {
			bounds, err := s.Bounds(log.Partition{Topic: id, Index: int32(p)})
			if err != nil || bounds.Start != r.Start || bounds.End != r.End {
				t.Fatalf("%s/%d: %+v, %+v, %v", topic.Name, p, bounds, r, err)
			}
		}
	}
	listed, err := List(ctx, store)
	if err != nil || len(listed) != 1 || !reflect.DeepEqual(listed[0], m) {
		t.Fatalf("%v, %v\n%+v\n%+v", listed, err, listed[0], m)
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "blocks", "*", "*"))
	if err != nil || len(blocks) != len(blocksOf(t, store, m)) || len(blocks) < 20 || len(m.Lists) < 4 {
		t.Fatalf("%d block files of %d, %v", len(blocks), len(blocksOf(t, store, m)), err)
	}
	// What comes after the backup is not in it; a restore gives what was there, and goes on in a new epoch.
	all := logtest.Entries(t, s, log.Position{})
	s.append(a, 0, "later")
	r, data := restore(t, store, Target{Latest: true})
	if r.Position.Position != end || r.Appends != end.Sequence {
		t.Fatalf("%+v", r)
	}
	same(t, data, all)
	restored := openSource(t, data, epochStart.Add(48*time.Hour))
	if got := restored.append(a, 0, "x"); got.Position.Epoch != end.Epoch+1 || got.Position.Sequence != end.Sequence+1 {
		t.Fatalf("the next append is at %v", got.Position)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Blocks != len(blocks) || r.Position.Position != end {
		t.Fatalf("%+v", r)
	}
}

func TestRestoreToTimestamp(t *testing.T) {
	s := startSource(t)
	s.fill(400)
	store, _ := repository(t)
	s.backup(store)
	a, _ := s.Topic("a")
	b, _ := s.Topic("b")
	s.more(a, b, 100)
	s.backup(store)
	all := logtest.Entries(t, s, log.Position{})
	at := func(when time.Time) log.Position {
		var p log.Position
		for _, e := range all {
			if !e.Time.After(when) {
				p = e.Position
			}
		}
		return p
	}
	last := all[len(all)-1].Time
	for _, when := range []time.Time{all[0].Time, all[3].Time.Add(-time.Nanosecond), all[3].Time, epochStart.Add(77500 * time.Millisecond),
		all[401].Time.Add(300 * time.Millisecond), last.Add(-time.Nanosecond), last} {
		r, data := restore(t, store, Target{Time: when})
		if want := at(when); r.Position.Position != want {
			t.Fatalf("%v: %v, want %v", when, r.Position, want)
		}
		same(t, data, upTo(all, r.Position.Position))
	}
	for _, when := range []time.Time{last.Add(time.Hour), epochStart.Add(-time.Hour)} {
		if _, err := Restore(ctx, RestoreOptions{Store: store, Data: filepath.Join(t.TempDir(), "d"), Target: Target{Time: when}}); !errs.Is(err, errs.NotFound) {
			t.Fatalf("%v: %v", when, err)
		}
	}
}

func TestRestoreToOffset(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(200)
	store, _ := repository(t)
	s.backup(store)
	all := logtest.Entries(t, s, log.Position{})
	for _, c := range []struct {
		target string
		a1, b0 int64 // -1: not named
	}{{"a/1=0", 0, -1}, {"a/1=57", 57, -1}, {"b/0=20", -1, 20}, {"a/1=57,b/0=20", 57, 20}, {"b/0=100, a/1=5", 5, 100}} {
		target, err := ParseTarget(c.target, "", false)
		if err != nil {
			t.Fatal(err)
		}
		var want log.Position
	search:
		for _, e := range all {
			named := false
			for _, pb := range e.Batches {
				var most int64 = -1
				switch pb.Partition {
				case log.Partition{Topic: a.ID, Index: 1}:
					most = c.a1
				case log.Partition{Topic: b.ID}:
					most = c.b0
				}
				if most >= 0 {
					if named = true; pb.BaseOffset > most {
						break search
					}
				}
			}
			if named {
				want = e.Position
			}
		}
		r, data := restore(t, store, target)
		if r.Position.Position != want {
			t.Fatalf("%s: %v, want %v", c.target, r.Position, want)
		}
		same(t, data, upTo(all, want))
	}
	p, err := s.PositionOf(log.Partition{Topic: a.ID, Index: 1}, 57)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := restore(t, store, Target{Offsets: []TargetOffset{{"a", 1, 57}}}); r.Position.Position != p {
		t.Fatalf("%v, the log says %v", r.Position, p)
	}
	for _, none := range []TargetOffset{{"a", 1, 10_000}, {"a", 2, 0}, {"c", 0, 0}} {
		if _, err := Restore(ctx, RestoreOptions{Store: store, Data: filepath.Join(t.TempDir(), "d"), Target: Target{Offsets: []TargetOffset{none}}}); !errs.Is(err, errs.NotFound) {
			t.Fatalf("%v: %v", none, err)
		}
	}
}

func TestIncrementalBackup(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(3000)
	store, dir := repository(t)
	first := s.backup(store)
	size := sizeOf(t, filepath.Join(dir, "blocks"))
	s.more(a, b, 30)
	second := s.backup(store)
	grown := sizeOf(t, filepath.Join(dir, "blocks")) - size
	if second.Previous != first.ID || second.NewBlocks != 1 || second.NewBytes != grown || grown > size/20 {
		t.Fatalf("%+v grew by %d from %d", second, grown, size)
	}
	before := blocksOf(t, store, first)
	if !reflect.DeepEqual(blocksOf(t, store, second)[:len(before)], before) || !slices.Equal(second.Lists[:len(first.Lists)], first.Lists) {
		t.Fatal("the blocks of the first backup are not taken over")
	}
	third := s.backup(store)
	if third.NewBlocks != 0 || third.To != second.To || third.Prior != second.Prior {
		t.Fatalf("nothing was appended, and still %+v", third)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Backups != 3 {
		t.Fatalf("%+v", r)
	}
	all := logtest.Entries(t, s, log.Position{})
	_, data := restore(t, store, Target{Latest: true})
	same(t, data, all)
	// Without the backups before it, it is still whole.
	if _, err := Prune(ctx, PruneOptions{Store: store, Keep: 1, Clock: s.clock}); err != nil {
		t.Fatal(err)
	}
	_, data = restore(t, store, Target{Latest: true})
	same(t, data, all)
}

// A log that was restored to an earlier place does not go on from a backup that it is no longer the history of.
func TestIncrementalAfterRestore(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(60)
	store, _ := repository(t)
	first := s.backup(store)
	s.more(a, b, 30)
	middle := s.End()
	s.append(a, 0, "lost")
	s.backup(store)
	all := logtest.Entries(t, s, log.Position{})
	_, data := restore(t, store, Target{Time: all[middle.Sequence-1].Time})
	s.stop()
	branch := openSource(t, data, s.clock.Now().Add(time.Hour))
	branch.append(a, 0, "other")
	m := branch.backup(store)
	if m.Previous != first.ID || m.To.Epoch != first.To.Epoch+1 {
		t.Fatalf("it goes on from %q at %v", m.Previous, m.To)
	}
	_, data = restore(t, store, Target{Latest: true})
	same(t, data, logtest.Entries(t, branch, log.Position{}))
}

func TestOtherCluster(t *testing.T) {
	s := startSource(t)
	s.fill(3)
	store, _ := repository(t)
	s.backup(store)
	if _, err := Create(ctx, CreateOptions{Log: s, Store: store, ClusterID: "other"}); !errs.Is(err, errs.Conflict) {
		t.Fatal(err)
	}
}

func TestZstdCompression(t *testing.T) {
	s := startSource(t)
	s.fill(3000)
	store, dir := repository(t)
	m := s.backup(store)
	repo, raw := sizeOf(t, dir), sizeOf(t, filepath.Join(s.dir, "partitions"))
	if repo*2 > raw || m.Stored*2 > m.Raw {
		t.Fatalf("the repository has %d bytes, the log's files %d; blocks %d of %d", repo, raw, m.Stored, m.Raw)
	}
	t.Logf("%d bytes of log in %d", raw, repo)
}

func TestEmptyLog(t *testing.T) {
	s := startSource(t)
	store, _ := repository(t)
	if m := s.backup(store); !m.To.IsZero() {
		t.Fatalf("%+v", m)
	}
	_, data := restore(t, store, Target{Latest: true})
	same(t, data, nil)
	s.fill(10)
	if m := s.backup(store); m.Appends != 12 {
		t.Fatalf("%+v", m)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
}

// An append over the size of a block is cut into pieces and put together again.
func TestLargeAppend(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(5)
	app := log.Append{}
	for i := range 150 {
		app.Batches = append(app.Batches, log.PartitionBatch{Partition: log.Partition{Topic: a.ID, Index: int32(i % 2)},
			Batch: logtest.Batch(t, 1, fmt.Sprint(i), strings.Repeat("y", 100_000))})
	}
	if _, err := log.Commit(ctx, s.Broker, app); err != nil {
		t.Fatal(err)
	}
	at := s.End()
	store, _ := repository(t)
	if m := s.backup(store); len(blocksOf(t, store, m)) < 100 {
		t.Fatalf("%d blocks", len(blocksOf(t, store, m)))
	}
	s.more(a, b, 5)
	if m := s.backup(store); m.Previous == "" {
		t.Fatal("not incremental")
	}
	all := logtest.Entries(t, s, log.Position{})
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
	_, data := restore(t, store, Target{Latest: true})
	same(t, data, all)
	r, data := restore(t, store, Target{Time: all[at.Sequence-1].Time})
	if r.Position.Position != at {
		t.Fatal(r.Position)
	}
	same(t, data, upTo(all, at))
}

// Offsets that a group committed beyond what was restored are set to the end.
func TestClampedOffsets(t *testing.T) {
	s := startSource(t)
	a, _ := s.fill(9)
	offsets := logtest.CreateTopic(t, s.Broker, log.OffsetsTopic, 1, nil)
	commit := func(group string, partition int32, offset int64) {
		var b record.Builder
		key := kmsg.OffsetCommitKey{Version: 1, Group: group, Topic: "a", Partition: partition}
		value := kmsg.NewOffsetCommitValue()
		value.Version, value.Offset, value.TopicID = 4, offset, a.ID
		b.Add(1, key.AppendTo(nil), value.AppendTo(nil))
		p, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Commit(ctx, s.Broker, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: offsets.ID}, Batch: p}}}); err != nil {
			t.Fatal(err)
		}
	}
	bounds, err := s.Bounds(log.Partition{Topic: a.ID, Index: 1})
	if err != nil {
		t.Fatal(err)
	}
	commit("fine", 0, 1)
	commit("ahead", 1, 1)
	commit("ahead", 1, 1000)
	store, _ := repository(t)
	s.backup(store)
	r, data := restore(t, store, Target{Latest: true})
	want := []Clamp{{"ahead", "a", 1, 1000, bounds.End}}
	if !reflect.DeepEqual(r.Clamped, want) {
		t.Fatalf("%+v", r.Clamped)
	}
	b := openSource(t, data, s.clock.Now())
	all := logtest.Entries(t, b, log.Position{})
	last := all[len(all)-1]
	if last.Position.Epoch != r.Position.Epoch+1 {
		t.Fatalf("clamped at %v", last.Position)
	}
	value := kmsg.NewOffsetCommitValue()
	if err := eachRecord(last.Batches[0].Batch, func(r record.Record) error { return value.ReadFrom(r.Value) }); err != nil || value.Offset != bounds.End {
		t.Fatalf("%+v, %v", value, err)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
}

// A topic that is dropped between two backups is in the history of both.
func TestDroppedTopic(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(9)
	store, _ := repository(t)
	s.backup(store)
	s.append(a, 0, "before the drop")
	whole := logtest.Entries(t, s, log.Position{})
	when := s.clock.Now()
	s.clock.Advance(time.Second)
	if _, err := log.Commit(ctx, s.Broker, log.Append{Batches: []log.PartitionBatch{
		logtest.Catalog(t, log.TopicRecord{ID: a.ID.String(), Name: "a", Dropped: true})}}); err != nil {
		t.Fatal(err)
	}
	logtest.CreateTopic(t, s.Broker, "a", 1, nil)
	s.append(b, 0, "x")
	m := s.backup(store)
	if n := len(m.Topics); n != 4 || m.Topics[1].Dropped == nil || m.Topics[3].Dropped != nil {
		t.Fatalf("%+v", m.Topics)
	}
	_, data := restore(t, store, Target{Time: when})
	same(t, data, whole)
	// The offset is one of the dropped topic, which alone has it.
	r, _ := restore(t, store, Target{Offsets: []TargetOffset{{"a", 0, m.Topics[1].Partitions[0].End - 1}}})
	if r.Position.Position != whole[len(whole)-1].Position {
		t.Fatal(r.Position)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
}

func TestDryRun(t *testing.T) {
	s := startSource(t)
	s.fill(20)
	store, _ := repository(t)
	m := s.backup(store)
	data := filepath.Join(t.TempDir(), "data")
	r, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}, DryRun: true})
	if err != nil || r.Position != m.To || r.Appends != m.Appends || r.Bytes != m.Raw || r.Blocks != len(blocksOf(t, store, m)) {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the data directory is there")
	}
}

func TestRestoreRefusesData(t *testing.T) {
	s := startSource(t)
	s.fill(3)
	store, _ := repository(t)
	s.backup(store)
	data := t.TempDir() // empty: allowed
	r, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}, Finish: func(folder string, r *Result) error {
		return os.WriteFile(filepath.Join(folder, "miracledb.json"), []byte(r.ClusterID), 0o600)
	}})
	if err != nil || r.ClusterID != "c" {
		t.Fatal(err)
	}
	names, err := vfs.Default.List(data)
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"log", "miracledb.json"}) {
		t.Fatal(names, err)
	}
	for _, dry := range []bool{false, true} {
		if _, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}, DryRun: dry}); !errs.Is(err, errs.Exists) {
			t.Fatal(err)
		}
	}
}

func TestParseTarget(t *testing.T) {
	got, err := ParseTarget("sales.orders/3=12,b/0=0", "", false)
	if err != nil || !reflect.DeepEqual(got.Offsets, []TargetOffset{{"sales.orders", 3, 12}, {"b", 0, 0}}) || got.String() != "sales.orders/3=12,b/0=0" {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := ParseTarget("", "2026-11-22T11:00:00.5+01:00", false); err != nil || !got.Time.Equal(epochStart.Add(time.Second/2)) {
		t.Fatal(got, err)
	}
	for _, bad := range []struct {
		offset, timestamp string
		latest            bool
	}{{"", "", false}, {"a/0=1", "", true}, {"a=1", "", false}, {"a/0", "", false}, {"a/-1=2", "", false}, {"a/0=-2", "", false},
		{"/0=1", "", false}, {"a/0=1,", "", false}, {"", "yesterday", false}, {"a/9999999999=1", "", false}} {
		if _, err := ParseTarget(bad.offset, bad.timestamp, bad.latest); !errs.Is(err, errs.Invalid) {
			t.Fatalf("%+v: %v", bad, err)
		}
	}
}

func TestOpen(t *testing.T) {
	for in, want := range map[string]string{"file:///var/b": "file:///var/b", "/var/b": "file:///var/b", "file://localhost/x": "file:///x"} {
		if s, err := Open(in); err != nil || s.URL() != want {
			t.Fatal(in, err)
		}
	}
	for in, kind := range map[string]errs.Kind{"": errs.Invalid, "s3://bucket/x": errs.Unsupported, "file://var/b": errs.Invalid, "gs://b": errs.Unsupported} {
		if _, err := Open(in); !errs.Is(err, kind) {
			t.Fatal(in, err)
		}
	}
}

func TestPrune(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(30)
	store, _ := repository(t)
	var all []*Manifest
	for range 3 {
		all = append(all, s.backup(store))
		s.more(a, b, 10)
	}
	s.clock.Advance(time.Millisecond)
	o := s.options(store, true)
	o.blockSize = 2 << 10
	full, err := Create(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, full)
	dry, err := Prune(ctx, PruneOptions{Store: store, Keep: 2, DryRun: true, Clock: s.clock})
	if err != nil || len(dry.Backups) != 2 || dry.Blocks != 0 {
		t.Fatalf("%+v, %v", dry, err)
	}
	if listed, err := List(ctx, store); err != nil || len(listed) != 4 {
		t.Fatal(listed, err)
	}
	if p, err := Prune(ctx, PruneOptions{Store: store, OlderThan: time.Hour, Clock: s.clock}); err != nil || len(p.Backups) != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	blocks := blocksOf(t, store, all[2])
	p, err := Prune(ctx, PruneOptions{Store: store, Keep: 1, Clock: s.clock})
	if err != nil || len(p.Backups) != 3 || p.Blocks != len(blocks) {
		t.Fatalf("%+v, %v", p, err)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Backups != 1 || r.Unused != 0 || r.Restored != all[3].ID {
		t.Fatalf("%+v", r)
	}
}

// Two logs that were restored from one backup have the same epoch and the same sequences: a backup of the one is not gone
// on from by the other.
func TestTwoBranches(t *testing.T) {
	s := startSource(t)
	a, _ := s.fill(30)
	store, _ := repository(t)
	first := s.backup(store)
	var branches []*source
	for _, text := range []string{"one", "other"} {
		_, data := restore(t, store, Target{Latest: true})
		b := openSource(t, data, s.clock.Now())
		b.append(a, 0, text)
		branches = append(branches, b)
	}
	if m := branches[0].backup(store); m.Previous != first.ID {
		t.Fatalf("%+v", m.Summary)
	}
	m := branches[1].backup(store)
	if m.Previous != first.ID || m.To.Epoch != first.To.Epoch+1 {
		t.Fatalf("the other branch goes on from %q", m.Previous)
	}
	data := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(ctx, RestoreOptions{Store: store, Backup: m.ID, Data: data, Target: Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
	same(t, data, logtest.Entries(t, branches[1], log.Position{}))
}

// Backups that are made while others write are whole prefixes of the log.
func TestCreateWhileWriting(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(20)
	store, _ := repository(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				s.more(a, b, 3)
			}
		}
	}()
	var last *Manifest
	for i := range 8 {
		m, err := Create(ctx, s.options(store, i == 5))
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && (m.To.Less(last.To.Position) || i != 5 && m.Previous != last.ID) {
			t.Fatalf("backup %d: %+v after %+v", i, m.Summary, last.Summary)
		}
		last = m
	}
	close(stop)
	<-done
	all := logtest.Entries(t, s, log.Position{})
	r, data := restore(t, store, Target{Latest: true})
	if r.Position != last.To {
		t.Fatal(r.Position, last.To)
	}
	same(t, data, upTo(all, last.To.Position))
	if r := verify(t, store, Full); len(r.Faults) > 0 || r.Backups != 8 {
		t.Fatalf("%+v", r)
	}
}

// Every append of a random history can be restored to, by its time and by its offsets, from backups made anywhere in it.
func TestRestoreEverywhere(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(0)
	store, _ := repository(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		s.more(a, b, 1+rng.IntN(3))
		if rng.IntN(8) == 0 {
			s.backup(store)
		}
	}
	s.backup(store)
	all := logtest.Entries(t, s, log.Position{})
	names := map[log.TopicID]string{a.ID: "a", b.ID: "b", log.CatalogTopicID: log.CatalogTopic}
	for i, e := range all {
		_, data := restore(t, store, Target{Time: e.Time})
		if i+1 < len(all) && !all[i+1].Time.After(e.Time) {
			continue // made at the same instant as the next one
		}
		same(t, data, all[:i+1])
		var target Target
		for _, pb := range e.Batches {
			target.Offsets = append(target.Offsets, TargetOffset{names[pb.Partition.Topic], pb.Partition.Index, pb.BaseOffset + int64(pb.Records) - 1})
		}
		if r, err := Restore(ctx, RestoreOptions{Store: store, Data: filepath.Join(t.TempDir(), "d"), Target: target, DryRun: true}); err != nil || r.Position.Position != e.Position {
			t.Fatalf("%v: %+v, %v", target, r, err)
		}
	}
}

// The cluster's properties are those of the backup, even when it is restored to a place before they were set.
func TestProperties(t *testing.T) {
	s := startSource(t)
	first, _ := s.fill(3)
	if err := s.ChangeProperties(ctx, func(*log.Properties) (map[string][]byte, error) {
		return map[string][]byte{"user": []byte("keys"), "empty": {}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	store, _ := repository(t)
	s.backup(store)
	for _, target := range []Target{{Latest: true}, {Offsets: []TargetOffset{{first.Name, 0, 0}}}} {
		_, data := restore(t, store, target)
		restored := openSource(t, data, epochStart)
		got := restored.Properties().Values
		if len(got) != 2 || string(got["user"]) != "keys" || got["empty"] == nil {
			t.Errorf("%+v: properties %q", target, got)
		}
		restored.stop()
	}
}
