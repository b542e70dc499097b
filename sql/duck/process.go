package duck

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// process is one child from its start to its death.
type process struct {
	control *net.UnixConn
	cmd     *exec.Cmd
	output  outputTail
	dead    chan struct{} // closed when the child is gone
	err     error         // why, once dead

	mu struct {
		sync.Mutex
		idle  []*slot
		slots uint32
		// known are the keys of blobs that the child was sent and may still have.
		known map[string]bool
	}
}

// slot is the parent's end of one conversation.
type slot struct {
	process *process
	number  uint32
	conn    *net.UnixConn
	query   uint32 // the last query's number
}

// maxKnown bounds the keys remembered; forgetting one costs a transfer.
const maxKnown = 1 << 14

// socketPair makes two connected ends, closed on exec: an inherited end would keep the child from seeing the parent's
// death.
func socketPair() (parent *net.UnixConn, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	child = os.NewFile(uintptr(fds[1]), "child")
	f := os.NewFile(uintptr(fds[0]), "parent")
	defer f.Close() // FileConn duplicates
	c, err := net.FileConn(f)
	if err != nil {
		_ = child.Close() // never used
		return nil, nil, err
	}
	return c.(*net.UnixConn), child, nil
}

// startProcess starts a child and waits for its greeting.
func startProcess(ctx context.Context, o Options) (*process, error) {
	control, end, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	p := &process{control: control, dead: make(chan struct{})}
	p.mu.known = map[string]bool{}
	started := make(chan error)
	go p.supervise(o, end, started)
	if err := <-started; err != nil {
		_ = control.Close() // the start's error is the one that matters
		return nil, errs.New(errs.Unavailable, "the analytical engine did not start: %w", err)
	}
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	if err := p.greet(o); err != nil {
		p.kill()
		<-p.dead
		return nil, errs.New(errs.Unavailable, "the analytical engine did not start: %v %s", err, p.output.String())
	}
	return p, nil
}

// supervise starts the child and waits for its end on one thread: Linux sends the parent-death signal when the thread
// that started the child ends, not the process.
func (p *process) supervise(o Options, end *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.cmd = exec.Command(o.Command[0], o.Command[1:]...)
	p.cmd.Args[0] = "miracledb-duckdb"
	p.cmd.Env = append(os.Environ(), childMark+"=3")
	p.cmd.ExtraFiles = []*os.File{end}
	p.cmd.Stderr = &p.output
	// A group of its own: the terminal's interrupt is for the parent.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	err := p.cmd.Wait()
	p.err = fmt.Errorf("the analytical engine ended: %v %s", err, p.output.String())
	_ = p.control.Close() // nobody is at the other end
	p.mu.Lock()
	for _, s := range p.mu.idle {
		_ = s.conn.Close() // likewise
	}
	p.mu.idle = nil
	p.mu.Unlock()
	close(p.dead)
}

func (p *process) greet(o Options) error {
	config, err := json.Marshal(wire.Config{
		Version: wire.Version, MemoryLimit: int64(o.MemoryLimit), DataLimit: max(int64(o.ChildLimit), 0), Threads: o.Threads,
		TempDir: o.TempDir, Directories: o.Directories,
		BlobCache: int64(o.MemoryLimit) / 8,
	})
	if err != nil {
		return err
	}
	if _, err := p.control.Write(wire.AppendFrame(nil, wire.Hello, 0, config)); err != nil {
		return err
	}
	h, err := wire.ReadHeader(p.control)
	if err != nil {
		return err
	}
	if _, err := wire.ReadPayload(p.control, h); err != nil {
		return err
	}
	if h.Kind != wire.Hello {
		return errs.New(errs.Internal, "greeting of kind %d", h.Kind)
	}
	return nil
}

// kill ends the child at once.
func (p *process) kill() { _ = p.cmd.Process.Kill() } // an error means that it is gone

// slot takes an idle conversation, or opens one.
func (p *process) slot() (*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.idle); n > 0 {
		s := p.mu.idle[n-1]
		p.mu.idle = p.mu.idle[:n-1]
		return s, nil
	}
	conn, end, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	p.mu.slots++
	s := &slot{process: p, number: p.mu.slots, conn: conn}
	payload := binary.LittleEndian.AppendUint32(nil, s.number)
	frame := wire.AppendFrame(nil, wire.OpenSlot, 0, payload)
	if _, _, err := p.control.WriteMsgUnix(frame, unix.UnixRights(int(end.Fd())), nil); err != nil {
		_ = conn.Close() // the child is gone
		return nil, err
	}
	return s, nil
}

// give takes a conversation back whose query has ended.
func (p *process) give(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.idle = append(p.mu.idle, s)
}

// interrupt asks the child to stop a query. The lock keeps frames whole.
func (p *process) interrupt(s *slot, query uint32) {
	payload := binary.LittleEndian.AppendUint32(nil, s.number)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.control.Write(wire.AppendFrame(nil, wire.Interrupt, query, payload)) // a dead child has stopped
}

// knows reports whether the child was sent the blob, and notes that it will have been.
func (p *process) knows(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.known[key] {
		return true
	}
	if len(p.mu.known) >= maxKnown {
		clear(p.mu.known)
	}
	p.mu.known[key] = true
	return false
}

// outputTail keeps the end of what the child wrote to its standard error: a panic's first lines name the fault.
type outputTail struct {
	mu  sync.Mutex
	buf []byte
}

// maxOutput is what is kept of the child's standard error.
const maxOutput = 2 << 10

func (t *outputTail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[:min(len(b), max(maxOutput-len(t.buf), 0))]...)
	return len(b), nil
}

func (t *outputTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
