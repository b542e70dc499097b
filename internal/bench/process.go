package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/miracledb/miracledb/internal/errs"
)

// readyTimeout is how long a server may take to start.
const readyTimeout = 2 * time.Minute

// server is this program's serve in a process of its own.
type server struct {
	dir             string
	kafka, pg, http string
	pprof           string // "": off
	cmd             *exec.Cmd
	ended           chan struct{} // closed when the process is gone
	fault           error         // why, once ended
	output          tail
	memory          *memory
}

// startServer starts serve on dir and waits until it is ready; took is the time from the start of the process.
func startServer(ctx context.Context, dir, pprof string) (s *server, took time.Duration, err error) {
	s = &server{dir: dir, pprof: pprof}
	for _, address := range []*string{&s.kafka, &s.pg, &s.http} {
		if *address, err = freeAddress(); err != nil {
			return nil, 0, err
		}
	}
	took, err = s.start(ctx)
	return s, took, err
}

// start runs the process again on the same directory and addresses.
func (s *server) start(ctx context.Context) (time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	s.cmd = exec.Command(self, "serve", "--data", s.dir, "--kafka", s.kafka, "--pg", s.pg, "--http", s.http)
	if s.pprof != "" {
		s.cmd.Args = append(s.cmd.Args, "--pprof", s.pprof)
	}
	s.cmd.Stderr = &s.output
	s.ended = make(chan struct{})
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		s.fault = s.cmd.Wait()
		close(s.ended)
	}()
	s.memory = sampleMemory(s.cmd.Process.Pid, s.memory)
	return s.waitReady(ctx, began)
}

func (s *server) waitReady(ctx context.Context, began time.Time) (time.Duration, error) {
	for time.Since(began) < readyTimeout {
		if answer, err := http.Get("http://" + s.http + "/readyz"); err == nil {
			_ = answer.Body.Close() // only the status counts
			if answer.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		select {
		case <-s.ended:
			return 0, errs.New(errs.Unavailable, "the server ended while it started: %v: %s", s.fault, s.output.String())
		case <-ctx.Done():
			s.kill()
			return 0, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	s.kill()
	return 0, errs.New(errs.Unavailable, "the server did not become ready: %s", s.output.String())
}

// kill ends the process at once, as a crash does; its children go with it.
func (s *server) kill() {
	s.memory.stop()
	_ = s.cmd.Process.Kill() // an error means that it is gone
	<-s.ended
}

// stop ends the process as an operator does.
func (s *server) stop() error {
	s.memory.stop()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.ended
	if s.fault != nil {
		return errs.New(errs.Internal, "the server ended with %w: %s", s.fault, s.output.String())
	}
	return nil
}

// cpu is the processor time used so far.
func (s *server) cpu() time.Duration { return processorTime(s.cmd.Process.Pid) }

func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://miracledb@"+s.pg+"/miracledb?sslmode=disable")
}

// freeAddress is one of the loopback interface that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tail keeps the end of what a process wrote.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}

// memory samples the resident memory of a process with its children.
type memory struct {
	pid      int
	quit     chan struct{}
	finished sync.WaitGroup
	once     sync.Once
	mu       struct {
		sync.Mutex
		peak int64
	}
}

const samplePeriod = 20 * time.Millisecond

// sampleMemory begins; the peak of an earlier sampling, if not nil, is carried on.
func sampleMemory(pid int, before *memory) *memory {
	m := &memory{pid: pid, quit: make(chan struct{})}
	if before != nil {
		m.mu.peak = before.mu.peak
	}
	m.finished.Go(func() {
		ticker := time.NewTicker(samplePeriod)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				now := residentTree(m.pid)
				m.mu.Lock()
				m.mu.peak = max(m.mu.peak, now)
				m.mu.Unlock()
			case <-m.quit:
				return
			}
		}
	})
	return m
}

func (m *memory) stop() {
	m.once.Do(func() { close(m.quit) })
	m.finished.Wait()
}

// peakMiB is the highest sum seen.
func (m *memory) peakMiB() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return round(float64(m.mu.peak) / (1 << 20))
}

// residentTree is the resident memory of a process and all below it, in bytes; 0 when it is gone.
func residentTree(pid int) int64 {
	var total int64
	eachProcess(pid, func(dir string) {
		statm, err := os.ReadFile(filepath.Join(dir, "statm"))
		if f := strings.Fields(string(statm)); err == nil && len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64) // proc(5): a number
			total += pages * int64(os.Getpagesize())
		}
	})
	return total
}

// clockTick is the unit of /proc/PID/stat: USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// processorTime is what a process and all below it have used of the processors, ended children with them.
func processorTime(pid int) time.Duration {
	var ticks int64
	eachProcess(pid, func(dir string) {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		_, rest, ok := strings.Cut(string(stat), ") ") // the name before may hold blanks
		f := strings.Fields(rest)
		if err != nil || !ok || len(f) < 15 {
			return
		}
		for _, field := range f[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(field, 10, 64) // proc(5): a number
			ticks += n
		}
	})
	return time.Duration(ticks) * clockTick
}

// eachProcess calls f with the /proc directory of a process and of all below it.
func eachProcess(pid int, f func(dir string)) {
	dir := fmt.Sprintf("/proc/%d", pid)
	f(dir)
	threads, _ := filepath.Glob(filepath.Join(dir, "task", "*", "children")) // the pattern is well-formed
	for _, thread := range threads {
		children, err := os.ReadFile(thread)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				eachProcess(id, f)
			}
		}
	}
}
