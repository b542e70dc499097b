package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// PostgresBin finds PostgreSQL's server programs (initdb, postgres, pgbench, psql): version 15 is the one that the
// project compares itself with.
func PostgresBin() (string, error) {
	dir := "/usr/lib/postgresql/15/bin"
	if _, err := os.Stat(filepath.Join(dir, "postgres")); err != nil {
		return "", fmt.Errorf("PostgreSQL 15 %w: apt-get install postgresql-15 (looked in %s)", errAbsent, dir)
	}
	return dir, nil
}

// Postgres starts a PostgreSQL 15 server for the test, stops it at its end, and gives the DSN of its superuser
// ("postgres://postgres@127.0.0.1:PORT/postgres?sslmode=disable"). Settings are postgresql.conf lines
// ("wal_level=logical") after the test's own: fsync off, no TLS, trust, C.UTF-8.
func Postgres(t testing.TB, settings ...string) (dsn string) {
	t.Helper()
	server, err := StartPostgres(append([]string{"fsync=off"}, settings...)...)
	Need(t, "PostgreSQL 15", err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stopping PostgreSQL: %v", err)
		}
	})
	return server.DSN()
}

// PostgresServer is a running PostgreSQL server in a directory of its own.
type PostgresServer struct {
	Port int
	Dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	out  lockedBuffer
}

// lockedBuffer is written by the server's output while a failed start reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) tail(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(tail(b.buf.Bytes(), n))
}

// StartPostgres starts a server with PostgreSQL's default durability: what a benchmark compares with. Close it.
func StartPostgres(settings ...string) (*PostgresServer, error) {
	bin, err := PostgresBin()
	if err != nil {
		return nil, err
	}
	credential, err := postgresUser()
	if err != nil {
		return nil, err
	}
	// Not t.TempDir: a Unix socket's path must stay under 108 bytes.
	dir, err := os.MkdirTemp("", "mdbpg-")
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{Dir: dir}
	if err := s.init(bin, credential); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	// A port that was free may be taken by the time that PostgreSQL binds it.
	for try := 0; ; try++ {
		err = s.start(bin, credential, settings)
		if err == nil {
			return s, nil
		}
		if try == 2 {
			os.RemoveAll(dir)
			return nil, err
		}
	}
}

// postgresUser is who runs the server: PostgreSQL refuses root.
func postgresUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *PostgresServer) init(bin string, credential *syscall.Credential) error {
	if credential != nil {
		if err := os.Chown(s.Dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.Command(filepath.Join(bin, "initdb"), "-A", "trust", "-U", "postgres", "-N", "--locale=C.UTF-8", "-E", "UTF8",
		"-D", filepath.Join(s.Dir, "data"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	cmd.Dir = s.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, tail(out, 2000))
	}
	return nil
}

func (s *PostgresServer) start(bin string, credential *syscall.Credential, settings []string) error {
	port, err := FreePort()
	if err != nil {
		return err
	}
	s.Port = port
	args := []string{"-D", filepath.Join(s.Dir, "data"), "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=" + s.Dir}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), args...)
	// SIGQUIT at our death: no server outlives a test that was killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
	s.cmd.Dir = s.Dir
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	for {
		ready := exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port))
		if ready.Run() == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("postgres ended at once:\n%s", s.out.tail(2000))
		case <-ctx.Done():
			s.Close()
			return errors.New("postgres was not ready within 4 minutes")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// DSN is the superuser's connection string.
func (s *PostgresServer) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
}

// PID is the server's main process.
func (s *PostgresServer) PID() int { return s.cmd.Process.Pid }

// Close stops the server and removes its directory.
func (s *PostgresServer) Close() error {
	s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.cmd.Process.Signal(syscall.SIGQUIT) // immediate shutdown: ends the children too
		<-s.done
	}
	return os.RemoveAll(s.Dir)
}
