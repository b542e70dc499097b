package broker

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

func numberedBatch(t testing.TB, id int64, sequence int32) []byte {
	var b record.Builder
	b.Producer(id, 0, sequence)
	b.Add(1, nil, []byte("x"))
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func oneBatch(topic log.Topic, p []byte) log.Append {
	return log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: p}}}
}

// A failed fsync ends the log: nothing is acknowledged after it, Run returns the error, and a new start has everything
// that was acknowledged.
func TestFailedSync(t *testing.T) {
	mem := vfs.NewMem()
	var broken atomic.Bool
	faulty := vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync) {
			return syscall.ENOSPC // as delayed allocation reports it: still no full disk
		}
		return nil
	}))
	b, err := Open(small(faulty, "data"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(context.Background()) }()
	topic := logtest.CreateTopic(t, b, "a", 1, nil)
	want := map[string]log.Appended{}
	for i := range 10 {
		name := fmt.Sprint(i)
		if want[name], err = log.Commit(context.Background(), b, oneBatch(topic, logtest.Batch(t, 1, name+":"))); err != nil {
			t.Fatal(err)
		}
	}
	end := b.End()
	broken.Store(true)
	if _, err := log.Commit(context.Background(), b, oneBatch(topic, logtest.Batch(t, 1, "lost:"))); !errs.Is(err, errs.Unknown) {
		t.Fatalf("the append in the failed group: %v", err)
	}
	if err := <-done; !errs.Is(err, errs.Unavailable) {
		t.Fatalf("Run: %v", err)
	}
	broken.Store(false)
	if _, err := b.Submit(context.Background(), oneBatch(topic, logtest.Batch(t, 1, "late:"))); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("an append after it: %v", err)
	}
	if _, err := b.ReadFrom(context.Background(), b.End(), 0); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("a reader at the end: %v", err)
	}
	if b.End() != end || len(logtest.ReadAll(t, b, log.Partition{Topic: topic.ID})) != 10 {
		t.Fatal("what was durable is not readable, or more is")
	}
	b.Close()
	again, _ := start(t, small(mem, "data"))
	checkAcked(t, again, want)
}

// checkKept stops a log in dir and starts it again: what was acknowledged is there before and after, and nothing is damaged.
func checkKept(t *testing.T, b *Broker, stop func() error, dir string, want map[string]log.Appended) {
	t.Helper()
	checkAcked(t, b, want)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again, stop := start(t, small(vfs.Default, dir))
	checkAcked(t, again, want)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, small(vfs.Default, dir)); len(faults) > 0 {
		t.Fatal(faults)
	}
}

// Without file descriptors the log refuses appends or waits, loses nothing, and goes on by itself when there are some.
func TestNoDescriptors(t *testing.T) {
	var none atomic.Bool
	var denied atomic.Int64
	dir := t.TempDir()
	faulty := vfs.WithErrors(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if none.Load() && op.Kind == errorfs.OpCreate {
			denied.Add(1)
			return &fs.PathError{Op: "open", Path: op.Path, Err: syscall.EMFILE}
		}
		return nil
	}))
	b, stop := start(t, small(faulty, dir))
	topic := logtest.CreateTopic(t, b, "a", 1, nil) // whose files come with its first record
	want := map[string]log.Appended{}
	n := 0
	put := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		n++
		got, err := log.Commit(ctx, b, oneBatch(topic, logtest.Batch(t, 1, fmt.Sprintf("%d:%s", n, strings.Repeat("z", 3000)))))
		if err == nil {
			want[fmt.Sprint(n)] = got
		}
		return err
	}
	none.Store(true)
	for deadline := time.Now().Add(time.Minute); n < 60 || denied.Load() == 0; {
		if err := put(); err != nil && (!errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "no file descriptors")) || time.Now().After(deadline) {
			t.Fatalf("append %d, %d descriptors denied: %v", n, denied.Load(), err)
		}
	}
	none.Store(false)
	for deadline := time.Now().Add(time.Minute); put() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("does not go on when there are descriptors")
		}
	}
	t.Logf("%d denied, %d of %d appends acknowledged", denied.Load(), len(want), n)
	checkKept(t, b, stop, dir, want)
}

// A full disk refuses appends with Unavailable and loses nothing; when there is room again the log goes on by itself.
func TestFullDisk(t *testing.T) {
	for name, where := range map[string]string{"journal": "/journal/", "segments": "/partitions/", "all": "/"} {
		t.Run(name, func(t *testing.T) {
			var full atomic.Bool
			dir := t.TempDir()
			faulty := vfs.WithErrors(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				write := op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileWriteAt || op.Kind == errorfs.OpCreate
				if full.Load() && write && strings.Contains(op.Path, where) {
					return &fs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
				}
				return nil
			}))
			b, stop := start(t, small(faulty, dir))
			topic := logtest.CreateTopic(t, b, "a", 1, nil)
			want := map[string]log.Appended{}
			n := 0
			put := func(timeout time.Duration) error {
				ctx, cancel := context.WithTimeout(context.Background(), timeout)
				defer cancel()
				n++
				got, err := log.Commit(ctx, b, oneBatch(topic, logtest.Batch(t, 1, fmt.Sprintf("%d:%s", n, strings.Repeat("z", 3000)))))
				if err == nil {
					want[fmt.Sprint(n)] = got
				}
				return err
			}
			for range 5 {
				if err := put(time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			for round := range 3 {
				full.Store(true)
				var err error
				for range 60 { // segments may fall behind as far as memory goes
					if err = put(time.Minute); err != nil {
						break
					}
				}
				if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "disk is full") {
					t.Fatalf("round %d: %v", round, err)
				}
				if got := logtest.ReadAll(t, b, log.Partition{Topic: topic.ID}); len(got) != len(want) {
					t.Fatalf("%d records can be read, %d were acknowledged", len(got), len(want))
				}
				full.Store(false)
				deadline := time.Now().Add(time.Minute)
				for put(time.Minute) != nil {
					if time.Now().After(deadline) {
						t.Fatal("does not go on when there is room")
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			checkKept(t, b, stop, dir, want)
		})
	}
}

// The n-th file operation fails, for each n until the load passes: no acknowledged append is lost, nothing hangs.
func TestFailAtN(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	// Every third operation, others each run: over a few runs all of them.
	step := 3
	if testing.Short() {
		step = 17
	}
	for n := rand.IntN(step); ; n += step {
		mem := vfs.NewMem()
		want, hit := loadFailingAt(t, mem, n)
		b, stop := start(t, small(mem, "data"))
		checkAcked(t, b, want)
		if err := stop(); err != nil {
			t.Fatalf("n=%d: %v", n, err)
		}
		if t.Failed() {
			t.Fatalf("operation %d had failed", n)
		}
		if !hit {
			t.Logf("passed without a fault at n=%d", n)
			return
		}
	}
}

func loadFailingAt(t *testing.T, mem vfs.FS, n int) (want map[string]log.Appended, hit bool) {
	var count atomic.Int64
	var happened atomic.Bool
	faulty := vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if count.Add(1)-1 == int64(n) {
			happened.Store(true)
			return errorfs.ErrInjected
		}
		return nil
	}))
	want = map[string]log.Appended{}
	b, err := Open(small(faulty, "data"))
	if err != nil {
		return want, true
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	id := logtest.NewTopicID()
	_, err = log.Commit(ctx, b, log.Append{Batches: []log.PartitionBatch{logtest.Catalog(t, log.TopicRecord{ID: id.String(), Name: "a", Partitions: 1})}})
	for i := 0; i < 50 && err == nil; i++ {
		name := fmt.Sprint(i)
		var got log.Appended
		got, err = log.Commit(ctx, b, oneBatch(log.Topic{ID: id}, logtest.Batch(t, 1, name+":"+strings.Repeat("w", 4000))))
		if err == nil {
			want[name] = got
		}
	}
	cancel()
	<-done
	b.Close()
	return want, happened.Load()
}

var damaged = regexp.MustCompile(`(\S+) is damaged in bytes (\d+) to (\d+)`)

// locates reports whether one of the faults names the file and a range of bytes around at, no longer than the largest batch.
func locates(faults []error, name string, at int64) bool {
	for _, fault := range faults {
		for _, m := range damaged.FindAllStringSubmatch(fault.Error(), -1) {
			from, _ := strconv.ParseInt(m[2], 10, 64)
			to, _ := strconv.ParseInt(m[3], 10, 64)
			if filepath.Base(m[1]) == name && from <= at && at < to {
				return true
			}
		}
	}
	return false
}

// One bit flipped in any file of a closed log is found by Check, with the file's name and the range of bytes.
func TestBitRot(t *testing.T) {
	dir := t.TempDir()
	b, stop := start(t, small(vfs.Default, dir))
	topic := logtest.CreateTopic(t, b, "a", 1, nil)
	for i := range 120 {
		if _, err := log.Commit(context.Background(), b, oneBatch(topic, logtest.Batch(t, 1, strings.Repeat(fmt.Sprint(i%10), 2500)))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := abortMany(b, log.Partition{Topic: topic.ID}, 10, "aborted"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if faults := check(t, small(vfs.Default, dir)); len(faults) > 0 {
		t.Fatal(faults)
	}
	kinds := map[string]int{}
	filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		ext := filepath.Ext(name)
		if info.IsDir() || info.Size() < 64 || ext == ".journal" {
			return nil // what the journal can tell is journal.TestDamageIsFound's business
		}
		for _, at := range []int64{20, 70, info.Size() / 2} {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if at >= int64(len(data)) {
				continue
			}
			good := data[at]
			data[at] ^= 0x10
			os.WriteFile(name, data, 0o644)
			report, err := Check(small(vfs.Default, dir))
			if err != nil || !locates(report.Faults, filepath.Base(name), at) {
				t.Errorf("bit flip at %d of %s: %v, %v", at, name, report.Faults, err)
			}
			data[at] = good
			os.WriteFile(name, data, 0o644)
			kinds[ext]++
		}
		return nil
	})
	for _, ext := range []string{".log", ".index", ".commits", ".state", ".aborted"} {
		if kinds[ext] == 0 {
			t.Errorf("no %s file was damaged", ext)
		}
	}
}

// A bit flipped in the journal below what was synced is damage: Open says where, and changes nothing.
func TestJournalDamage(t *testing.T) {
	dir := t.TempDir()
	b, _ := start(t, Options{Dir: dir})
	topic := logtest.CreateTopic(t, b, "a", 1, nil)
	for i := range 20 {
		commit(t, b, oneBatch(topic, logtest.Batch(t, 1, fmt.Sprint(i))))
	}
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(killed, "journal", "0000000000000001.journal")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[4096+1000] ^= 1
	os.WriteFile(name, data, 0o644)
	for range 2 {
		_, err := Open(Options{Dir: killed})
		if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "0000000000000001.journal is damaged in bytes ") {
			t.Fatalf("open of a damaged journal: %v", err)
		}
	}
	if again, _ := os.ReadFile(name); string(again) != string(data) {
		t.Fatal("the damaged file was changed")
	}
	if faults := check(t, Options{Dir: killed}); len(faults) != 1 {
		t.Fatal(faults)
	}
}

func TestLock(t *testing.T) {
	opts := small(vfs.Default, t.TempDir())
	start(t, opts)
	if _, err := Check(opts); err == nil {
		t.Skip("this process may lock a file twice")
	} else if !errs.Is(err, errs.Unavailable) {
		t.Fatal(err)
	}
}
