package node_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func open(c node.Config) error {
	n, err := node.Open(c, slog.New(slog.DiscardHandler))
	if err == nil {
		err = n.Close()
	}
	return err
}

func TestOpenFaults(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer")
	if err := os.MkdirAll(newer, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(newer, "miracledb.json"), []byte(`{"format":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	free := node.Address{HostPort: "127.0.0.1:0", Asked: true}
	s := nodetest.Start(t)
	for _, tc := range []struct {
		name string
		c    node.Config
		kind errs.Kind
		want string
	}{
		{"data is a file", node.Config{Data: file, Kafka: free, PG: free, HTTP: free}, errs.Invalid, "not a directory"},
		{"data of a newer format", node.Config{Data: newer, Kafka: free, PG: free, HTTP: free}, errs.Unsupported, "format 99"},
		{"data in use", node.Config{Data: s.Data, Kafka: free, PG: free, HTTP: free}, errs.Unavailable, "another miracledb"},
		{"port in use", node.Config{Data: filepath.Join(dir, "d"), Kafka: node.Address{HostPort: taken.Addr().String(), Asked: true},
			PG: free, HTTP: free}, errs.Unavailable, taken.Addr().String()},
		{"no address", node.Config{Data: filepath.Join(dir, "d"), Kafka: node.Address{HostPort: "nonsense", Asked: true},
			PG: free, HTTP: free}, errs.Invalid, "nonsense"},
	} {
		err := open(tc.c)
		if err == nil || !errs.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v (%v)", tc.name, err, errs.KindOf(err))
		}
	}
	if got := nodetest.Text(t, s.Connect(t), "SELECT 1"); got != "1" {
		t.Fatal(got)
	}
}

// A port that nobody asked for moves on when it is taken.
func TestPortMoves(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	free := node.Address{HostPort: "127.0.0.1:0", Asked: true}
	n, err := node.Open(node.Config{Data: filepath.Join(t.TempDir(), "d"), Kafka: node.Address{HostPort: taken.Addr().String()},
		PG: free, HTTP: free}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if k, _, _ := n.Addresses(); k == taken.Addr().String() {
		t.Fatal("the port did not move")
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// Damage below what is known durable is reported and not served over.
func TestDamagedLogIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := nodetest.StartProcess(t, dir)
	c := p.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	for i := range 20 {
		nodetest.Exec(t, c, fmt.Sprintf("INSERT INTO t VALUES (%d, repeat('x', 1000))", i))
	}
	p.Kill()
	files, err := filepath.Glob(filepath.Join(dir, "log", "journal", "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "xxxxxxxx")
	if at < 0 {
		t.Skip("the journal holds the rows compressed")
	}
	b[at+100] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	free := node.Address{HostPort: "127.0.0.1:0", Asked: true}
	err = open(node.Config{Data: dir, Kafka: free, PG: free, HTTP: free})
	if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), filepath.Base(files[0])) {
		t.Fatalf("a flipped bit in the journal: %v", err)
	}
}

// A full disk refuses writes with 53100; reads go on, nothing acknowledged is lost, and with room again writes go on.
func TestDiskFullGraceful(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=400m"); err != nil {
		t.Skipf("a small disk cannot be made here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	s := nodetest.StartOn(t, filepath.Join(dir, "data"))
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := 0
	var err error
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); rows++ {
		if _, err = c.Exec(t.Context(), fmt.Sprintf("INSERT INTO t SELECT %d, string_agg(md5(random()::text), '') FROM generate_series(1, 16000)", rows)); err != nil {
			break
		}
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "53100" {
		t.Fatalf("after %d rows of 512 KB on a disk of 200 MB: %v", rows, err)
	}
	if got := nodetest.Text(t, c, "SELECT count(*) FROM t"); got != fmt.Sprint(rows) {
		t.Fatalf("%s rows of %d", got, rows)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	again := time.Now().Add(2 * time.Minute)
	for {
		if _, err = c.Exec(t.Context(), "INSERT INTO t VALUES (-1, 'room')"); err == nil || time.Now().After(again) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if got := nodetest.Text(t, c, "SELECT count(*) FROM t"); got != fmt.Sprint(rows+1) {
		t.Fatalf("%s rows of %d", got, rows+1)
	}
}
