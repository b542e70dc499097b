package node_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// A server that gets no file descriptor for some seconds, while it writes and all its stores are flushed without pause, goes
// on afterwards with every row that it acknowledged.
func TestOutOfDescriptors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := nodetest.StartProcess(t, dir)
	c := p.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (0)")
	var usual unix.Rlimit
	if err := unix.Prlimit(p.Pid(), unix.RLIMIT_NOFILE, nil, &usual); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 3, Max: usual.Max}
	if err := unix.Prlimit(p.Pid(), unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	acknowledged := 1
	insert := func(id int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		_, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO a VALUES (%d)", id))
		return err
	}
	// They come back while a statement may be waiting for them: one that is acknowledged is visible, and a store without
	// descriptors shows nothing new.
	restored := make(chan error, 1)
	time.AfterFunc(3*time.Second, func() { restored <- unix.Prlimit(p.Pid(), unix.RLIMIT_NOFILE, &usual, nil) })
	for id, starved := 1, true; starved; id++ {
		if err := insert(id); err == nil {
			acknowledged++
		} else {
			t.Logf("without descriptors: %v", err)
		}
		if c.IsClosed() {
			t.Fatal("the server is gone")
		}
		select {
		case err := <-restored:
			if err != nil {
				t.Fatal(err)
			}
			starved = false
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := insert(-1); err != nil {
		t.Fatalf("with descriptors again: %v", err)
	}
	acknowledged++
	t.Logf("%d rows", acknowledged)
	check := func() {
		t.Helper()
		if got, want := nodetest.Text(t, c, "SELECT count(*), count(DISTINCT id) FROM a"), acknowledged; got != fmt.Sprintf("%d|%d", want, want) {
			t.Fatalf("%s rows of %d", got, want)
		}
	}
	check()
	p.Kill()
	p = nodetest.StartProcess(t, dir)
	c = p.Connect(t)
	check()
}
