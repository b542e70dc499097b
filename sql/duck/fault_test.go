package duck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
)

// kill ends the child and waits for the next.
func kill(t *testing.T, e *Engine) {
	t.Helper()
	if _, err := e.current(context.Background()); err != nil {
		t.Fatal(err)
	}
	n := e.Starts()
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); e.Starts() == n; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("no new child")
		}
	}
}

const endless = "select count(*) from range(1000000000000) a(i), range(1000) b(j) where i + j = -1"

func TestKilledChildInFlight(t *testing.T) {
	e := start(t, Options{})
	// A query that has given rows fails; one that has not is run again and never notices.
	r, err := e.Query(context.Background(), sqlText("select i from range(1000000000) t(i)", nil, row.Int8), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		// About a second of work before the first row.
		got, err := all(context.Background(), e, sqlText("select count(*) from range(30000000) a(i), range(4) b(j) where i + j = -1", nil, row.Int8))
		if err != nil || got[0] != "0" {
			t.Errorf("without rows: %q, %v", got, err)
		}
	}()
	time.Sleep(100 * time.Millisecond)
	kill(t, e)
	for err == nil {
		_, err = r.Next()
	}
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("with rows: %v", err)
	}
	wg.Wait()
	if e.Starts() != 2 {
		t.Errorf("%d children", e.Starts())
	}
}

func TestCancel(t *testing.T) {
	e := start(t, Options{Grace: 10 * time.Minute}) // no child is killed
	if _, err := all(context.Background(), e, sqlText("select 1", nil, row.Int4)); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{endless, "select i from range(1000000000000) t(i)", "select count(distinct i * 7 % 1000003) from range(100000000000) t(i)"} {
		ctx, cancel := context.WithCancel(context.Background())
		var at time.Time
		time.AfterFunc(150*time.Millisecond, func() { at = time.Now(); cancel() })
		_, err := all(ctx, e, sqlText(sql, nil, row.Int8))
		took := time.Since(at)
		var ee *errs.Error
		if !errors.As(err, &ee) || ee.State != "57014" || ee.Kind != errs.Canceled {
			t.Errorf("%s: %v", sql, err)
		}
		t.Logf("%.40s: %v after the cancel", sql, took)
		if took > time.Minute {
			t.Errorf("%s: cancelled after %v", sql, took)
		}
	}
	// Cancelled before anything began, and in the moment of beginning.
	for i := range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i*5)*time.Microsecond)
		_, err := all(ctx, e, sqlText(endless, nil, row.Int8))
		cancel()
		if !errs.Is(err, errs.Canceled) {
			t.Fatal(err)
		}
	}
	got, err := all(context.Background(), e, sqlText("select 7", nil, row.Int4))
	if err != nil || got[0] != "7" || e.Starts() != 1 {
		t.Errorf("afterwards: %q, %v, %d children", got, err, e.Starts())
	}
}

// TestStubbornQuery: one vector call that does not look at the interrupt; the child is killed after the grace.
func TestStubbornQuery(t *testing.T) {
	e := start(t, Options{Grace: 100 * time.Millisecond, MemoryLimit: 512 * limit.MiB, ChildLimit: 4 * limit.GiB})
	for range 10 { // on a slow machine the call may not have begun when the time is over
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		_, err := all(ctx, e, sqlText("select len(list_sort(list_transform(range(20000000), lambda x: hash(x))))", nil, row.Int8))
		cancel()
		if !errs.Is(err, errs.Canceled) {
			t.Errorf("got %v", err)
		}
		if got, err := all(context.Background(), e, sqlText("select 7", nil, row.Int4)); err != nil || got[0] != "7" {
			t.Errorf("afterwards: %q, %v", got, err)
		}
		if e.Starts() > 1 {
			return
		}
	}
	t.Error("the child lives on")
}

// TestMemoryBomb: values that DuckDB's memory_limit does not see meet the operating system's limit; the engine answers on.
func TestMemoryBomb(t *testing.T) {
	e := start(t, Options{MemoryLimit: 256 * limit.MiB, ChildLimit: 768 * limit.MiB})
	for _, sql := range []string{
		"select len(range(400000000))",
		"select count(*) from unnest(range(3000000000)) t(i)",
		"select sum(len(repeat('x', 100000000) || i)) from range(100) t(i)",
		"select list(i::varchar || 'some longer text') from range(20000000) t(i)",
	} {
		got, err := all(context.Background(), e, sqlText(sql, nil, row.Int8))
		if err == nil && !strings.Contains(sql, "sum(") {
			t.Errorf("%s: %q", sql, got)
		}
		t.Logf("%.50s: %v", sql, err)
	}
	if got, err := all(context.Background(), e, sqlText("select 7", nil, row.Int4)); err != nil || got[0] != "7" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	t.Logf("%d children", e.Starts())
}

// TestSpill: what is larger than memory goes to the temporary directory.
func TestSpill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := start(t, Options{MemoryLimit: 100 * limit.MiB, ChildLimit: 1 * limit.GiB})
	got, err := all(context.Background(), e, sqlText("select count(*), sum(n)::bigint from (select i * 7 as k, count(*) as n from range(5000000) t(i) group by 1)", nil, row.Int8, row.Int8))
	if err != nil || got[0] != "5000000|5000000" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSlowReader: a reader that stops holds the child back, whatever the result's size, and nobody else.
func TestSlowReader(t *testing.T) {
	e := start(t, Options{})
	var open []*Rows
	for range 8 {
		r, err := e.Query(context.Background(), sqlText("select i, i::varchar || repeat('x', 100) from range(100000000) t(i)", nil, row.Int8, row.Text), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		open = append(open, r)
	}
	time.Sleep(300 * time.Millisecond)
	if rss := residentMiB(t, e.PID()); rss > 300 {
		t.Errorf("child has %d MiB resident", rss)
	} else {
		t.Logf("child has %d MiB resident with 8 stopped readers", rss)
	}
	if got, err := all(context.Background(), e, sqlText("select 7", nil, row.Int4)); err != nil || got[0] != "7" {
		t.Errorf("beside them: %q, %v", got, err)
	}
	for range 500 {
		if _, err := open[3].Next(); err != nil {
			t.Fatal(err)
		}
	}
}

func residentMiB(t *testing.T, pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1024
		}
	}
	return 0
}

func TestErrors(t *testing.T) {
	e := start(t, Options{})
	for _, c := range []struct{ sql, state string }{
		{"select error('mdb:22012:division by zero')", "22012"},
		{"select 9223372036854775807::bigint + i from range(1, 3) t(i)", "22003"},
		{"select (i + 40000)::smallint from range(1, 3) t(i)", "22003"},
		{"select ('mdb:22012:' || i)::int from range(1, 3) t(i)", "unsupported"},
		{"select (99999999999999999999::decimal(38,0) * 1e18::decimal(38,0)) * i from range(2,3) t(i)", "unsupported"},
		{"select no_such_function(1)", "unsupported"},
		{"selec", "unsupported"},
	} {
		_, err := all(context.Background(), e, sqlText(c.sql, nil, row.Int8))
		var u *Unsupported
		var ee *errs.Error
		switch {
		case errors.As(err, &u) && c.state == "unsupported":
		case errors.As(err, &ee) && ee.State == c.state:
		default:
			t.Errorf("%s: %v, want %s", c.sql, err, c.state)
		}
	}
}

func TestStopped(t *testing.T) {
	e, err := Open(Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	r, err := e.Query(context.Background(), sqlText("select i from range(1000000000) t(i)", nil, row.Int8), nil)
	if err != nil {
		t.Fatal(err)
	}
	pid := e.PID()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the child lives on")
	}
	for err == nil {
		_, err = r.Next()
	}
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("running query: %v", err)
	}
	r.Close()
	if _, err := e.Query(context.Background(), sqlText("select 1", nil, row.Int8), nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("new query: %v", err)
	}
}

// Who was told that the child has died does not get it once more, though Run has not noticed yet.
func TestCurrentPassesOverTheDead(t *testing.T) {
	e, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	dead := &process{dead: make(chan struct{})}
	e.set(dead, false)
	if p, err := e.current(context.Background()); p != dead || err != nil {
		t.Fatalf("%v, %v", p, err)
	}
	close(dead.dead)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if p, err := e.current(ctx); err == nil {
		t.Fatalf("a dead child: %v", p)
	}
	next := &process{dead: make(chan struct{})}
	go e.set(next, false)
	if p, err := e.current(context.Background()); p != next || err != nil {
		t.Fatalf("%v, %v", p, err)
	}
}
