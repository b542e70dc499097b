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
	acknowledged := map[string]int{"a": 1}
	insert := func(table string, id int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO %s VALUES (%d)", table, id))
		return err
	}
	for began, id := time.Now(), 1; time.Since(began) < 3*time.Second; id++ {
		if err := insert("a", id); err == nil {
			acknowledged["a"]++
		} else {
			t.Logf("without descriptors: %v", err)
		}
		if c.IsClosed() {
			t.Fatal("the server is gone")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := unix.Prlimit(p.Pid(), unix.RLIMIT_NOFILE, &usual, nil); err != nil {
		t.Fatal(err)
	}
	if err := insert("a", -1); err != nil {
		t.Fatalf("with descriptors again: %v", err)
	}
	acknowledged["a"]++
	t.Logf("%v", acknowledged)
	check := func() {
		t.Helper()
		if got, want := nodetest.Text(t, c, "SELECT count(*), count(DISTINCT id) FROM a"), acknowledged["a"]; got != fmt.Sprintf("%d|%d", want, want) {
			t.Fatalf("%s rows of %d", got, want)
		}
	}
	check()
	p.Kill()
	p = nodetest.StartProcess(t, dir)
	c = p.Connect(t)
	check()
}
