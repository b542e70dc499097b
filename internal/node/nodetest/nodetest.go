// Package nodetest runs whole servers in tests: on free ports, in directories of their own.
//
// A test package that uses it has a TestMain that calls Main, because the analytical engine's child process is the test
// binary itself.
package nodetest

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/sql/duck"
)

// Main runs a package's tests; in the engine's child process it is the engine.
func Main(m *testing.M) {
	if duck.ChildMain() {
		return
	}
	if dir := os.Getenv(processEnv); dir != "" {
		os.Exit(serve(dir))
	}
	os.Exit(m.Run())
}

// Server is a running node.
type Server struct {
	*node.Node
	Data            string
	Kafka, PG, HTTP string // addresses

	cancel context.CancelFunc
	done   chan error
	once   sync.Once
}

// Start runs a node on a new directory until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartOn(t, filepath.Join(t.TempDir(), "data"))
}

var free = node.Address{HostPort: "127.0.0.1:0", Asked: true}

// StartOn runs a node on a directory until the test ends or Stop is called.
func StartOn(t testing.TB, dir string) *Server {
	t.Helper()
	return StartWith(t, node.Config{Data: dir})
}

// StartWith runs a node with a configuration, on free ports (KafkaTLS too where there is a certificate; Kafka's where none is
// named), until the test ends or Stop is called. Data "": a new directory.
func StartWith(t testing.TB, c node.Config) *Server {
	t.Helper()
	if c.Data == "" {
		c.Data = filepath.Join(t.TempDir(), "data")
	}
	c.PG, c.HTTP = free, free
	if len(c.Brokers) == 0 && c.Kafka.HostPort == "" {
		c.Kafka = free
	}
	if c.TLS.Enabled() {
		c.KafkaTLS = free
	}
	var out io.Writer = io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	n, err := node.Open(c,
		slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{Node: n, Data: c.Data, cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- n.Run(ctx) }()
	t.Cleanup(func() { s.Stop(t) })
	select {
	case <-n.Ready():
	case err := <-s.done:
		s.done <- err
		t.Fatalf("the server ended while it started: %v", err)
	case <-time.After(3 * time.Minute):
		t.Fatal("the server is not ready after 3 minutes")
	}
	s.Kafka, s.PG, s.HTTP = n.Addresses()
	return s
}

// Stop ends the node as a signal does, and fails the test when it ends badly.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.once.Do(func() {
		s.cancel()
		if err := <-s.done; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		if err := s.Node.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
}

// DSN is what pgx connects with.
func (s *Server) DSN() string { return dsn(s.PG) }

func dsn(pg string) string { return "postgres://miracledb@" + pg + "/miracledb?sslmode=disable" }

// Connect opens a connection that is closed when the test ends.
func (s *Server) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return connect(t, s.PG)
}

func connect(t testing.TB, pg string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn(pg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// Exec runs statements that must succeed.
func Exec(t testing.TB, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, st := range statements {
		if _, err := c.Exec(t.Context(), st); err != nil {
			t.Fatalf("%s: %v", st, err)
		}
	}
}

// Text runs a query and gives its rows in psql's unaligned form: fields by |, rows by newline.
func Text(t testing.TB, c *pgx.Conn, query string) string {
	t.Helper()
	out, err := TextErr(t.Context(), c, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// Eventually waits until a query gives what is wanted: what Kafka has acknowledged is durable, and soon applied.
func Eventually(t testing.TB, c *pgx.Conn, query, want string) {
	t.Helper()
	var got string
	for range 2400 { // two minutes
		if got = Text(t, c, query); got == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s gives\n%s\nwant\n%s", query, got, want)
}

// TextErr is Text for queries that may fail.
func TextErr(ctx context.Context, c *pgx.Conn, query string) (string, error) {
	results, err := c.PgConn().Exec(ctx, query).ReadAll()
	if err != nil {
		return "", err
	}
	var lines []string
	for _, r := range results {
		if r.Err != nil {
			return "", r.Err
		}
		for _, row := range r.Rows {
			fields := make([]string, len(row))
			for i, f := range row {
				fields[i] = string(f)
			}
			lines = append(lines, strings.Join(fields, "|"))
		}
	}
	return strings.Join(lines, "\n"), nil
}

// processEnv makes the test binary a server, which a test can kill.
const processEnv = "MIRACLEDB_NODETEST_SERVER"

func serve(dir string) int {
	c := node.Config{Data: dir, Kafka: free, PG: free, HTTP: free,
		Log: broker.Options{JournalFileSize: 256 * limit.KiB, SegmentSize: limit.MiB}} // many checkpoints and files
	if ahead, err := time.ParseDuration(os.Getenv(AheadEnv)); err == nil {
		c.Log.Clock, c.Log.CleanInterval = Ahead(ahead), 20*time.Millisecond
	}
	if address := os.Getenv(KafkaEnv); address != "" {
		c.Kafka = node.Address{HostPort: address, Asked: true}
	}
	if b := os.Getenv(brokersEnv); b != "" {
		c.Brokers, c.Kafka = strings.Split(b, ","), node.Address{}
	}
	n, err := node.Open(c, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		slog.Error("opening", "error", err)
		return 1
	}
	go func() {
		<-n.Ready()
		k, p, h := n.Addresses()
		name := filepath.Join(dir, "addresses")
		if err := os.WriteFile(name+".new", []byte(k+"\n"+p+"\n"+h), 0o644); err == nil {
			_ = os.Rename(name+".new", name)
		}
	}()
	if os.Getenv(flushEnv) != "" {
		go flush(n)
	}
	if err := n.Run(context.Background()); err != nil {
		slog.Error("running", "error", err)
		return 1
	}
	return 0
}

// brokersEnv makes the server process run over a Kafka cluster.
const brokersEnv = "MIRACLEDB_NODETEST_BROKERS"

// KafkaEnv is the address that a server process serves Kafka at: clients find it there again after a kill.
const KafkaEnv = "MIRACLEDB_NODETEST_KAFKA"

// flushEnv makes the server process flush its stores one by one at random, so that a kill finds each at another Position.
const flushEnv = "MIRACLEDB_NODETEST_FLUSH"

func flush(n *node.Node) {
	<-n.Ready()
	for {
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		var err error
		switch rand.IntN(3) {
		case 0:
			err = n.Tables.Flush()
		case 1:
			err = n.Views.Flush()
		case 2:
			err = n.Columnar.Flush()
		}
		if err != nil {
			slog.Error("flushing", "error", err)
		}
	}
}

// AheadEnv is how far the clock of a server process's log is ahead of the machine's; with it the log is cleaned all the time.
const AheadEnv = "MIRACLEDB_NODETEST_AHEAD"

// Ahead is a clock that is ahead of the machine's.
type Ahead time.Duration

// Now: see clock.Clock.
func (a Ahead) Now() time.Time { return time.Now().Add(time.Duration(a)) }

// Process is a node in a process of its own.
type Process struct {
	Kafka, PG, HTTP string
	cmd             *exec.Cmd
	done            chan struct{} // closed when the process has ended
}

// StartProcess runs a node on a directory, over a Kafka cluster where brokers are named, in a process of its own, so that it
// can be killed. Its stores are flushed one by one at random.
func StartProcess(t testing.TB, dir string, brokers ...string) *Process {
	t.Helper()
	p := Launch(t, dir, brokers...)
	for range 3600 {
		if b, err := os.ReadFile(filepath.Join(dir, "addresses")); err == nil {
			f := strings.Split(string(b), "\n")
			p.Kafka, p.PG, p.HTTP = f[0], f[1], f[2]
			return p
		}
		select {
		case <-p.done:
			t.Fatal("the server process ended while it started")
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the server process is not ready after 3 minutes")
	return nil
}

// Launch is StartProcess that does not wait until the node is ready; its addresses are not known.
func Launch(t testing.TB, dir string, brokers ...string) *Process {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, "addresses"))
	p := &Process{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), processEnv+"="+dir, flushEnv+"=1", brokersEnv+"="+strings.Join(brokers, ","))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the process with SIGKILL, the engine's with it, and waits.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Pid is the server's process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// DSN is what pgx connects with.
func (p *Process) DSN() string { return dsn(p.PG) }

// Connect opens a connection that is closed when the test ends.
func (p *Process) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return connect(t, p.PG)
}
