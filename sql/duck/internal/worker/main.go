package worker

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// process is the child.
type process struct {
	control *net.UnixConn
	db      *database
	cache   *cache

	mu struct {
		sync.Mutex
		slots map[uint32]*slot
	}
}

// Main is the life of the child: it serves the control socket fd until the parent is gone, and exits.
func Main(fd int) {
	if err := serve(fd); err != nil && err != io.EOF {
		fmt.Fprintln(os.Stderr, "analytical engine:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(fd int) error {
	control, err := socket(fd)
	if err != nil {
		return err
	}
	h, err := wire.ReadHeader(control)
	if err != nil {
		return err
	}
	payload, err := wire.ReadPayload(control, h)
	if err != nil {
		return err
	}
	var config wire.Config
	if err := json.Unmarshal(payload, &config); err != nil || h.Kind != wire.Hello || config.Version != wire.Version {
		return errs.New(errs.Internal, "the parent speaks version %d, want %d: %v", config.Version, wire.Version, err)
	}
	if config.DataLimit > 0 {
		limit := unix.Rlimit{Cur: uint64(config.DataLimit), Max: uint64(config.DataLimit)}
		if err := unix.Setrlimit(unix.RLIMIT_DATA, &limit); err != nil {
			return fmt.Errorf("setrlimit: %w", err)
		}
	}
	if err := tempDir(config); err != nil {
		return err
	}
	p := &process{control: control, cache: newCache(config.BlobCache)}
	p.mu.slots = map[uint32]*slot{}
	if p.db, err = openDatabase(config); err != nil {
		return err
	}
	if _, err := control.Write(wire.AppendFrame(nil, wire.Hello, 0, payload)); err != nil {
		return err
	}
	return p.listen()
}

// socket wraps an inherited or received descriptor.
func socket(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn duplicates
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errs.New(errs.Internal, "descriptor %d is no unix socket", fd)
	}
	return u, nil
}

// listen serves the control socket.
func (p *process) listen() error {
	for {
		h, fds, err := p.readControl()
		if err != nil {
			return err
		}
		payload, err := wire.ReadPayload(p.control, h)
		if err != nil {
			return err
		}
		switch h.Kind {
		case wire.Ping:
			if _, err := p.control.Write(wire.AppendFrame(nil, wire.Ping, h.Query, nil)); err != nil {
				return err
			}
		case wire.OpenSlot:
			if len(fds) != 1 || len(payload) != 4 {
				return errs.New(errs.Internal, "a slot with %d sockets", len(fds))
			}
			if err := p.open(binary.LittleEndian.Uint32(payload), fds[0]); err != nil {
				return err
			}
		case wire.Interrupt:
			if len(payload) != 4 {
				return errs.New(errs.Internal, "interrupt of %d bytes", len(payload))
			}
			p.mu.Lock()
			s := p.mu.slots[binary.LittleEndian.Uint32(payload)]
			p.mu.Unlock()
			if s != nil {
				go s.interrupt(h.Query)
			}
		default:
			return errs.New(errs.Internal, "frame of kind %d on the control socket", h.Kind)
		}
	}
}

// readControl reads one header and the descriptors that came with it.
func (p *process) readControl() (wire.Header, []int, error) {
	var b [wire.HeaderSize]byte
	var fds []int
	oob := make([]byte, unix.CmsgSpace(4))
	for got := 0; got < len(b); {
		n, on, _, _, err := p.control.ReadMsgUnix(b[got:], oob)
		if err != nil {
			return wire.Header{}, nil, err
		}
		if n == 0 {
			return wire.Header{}, nil, io.EOF
		}
		got += n
		messages, err := unix.ParseSocketControlMessage(oob[:on])
		if err != nil {
			return wire.Header{}, nil, err
		}
		for i := range messages {
			rights, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return wire.Header{}, nil, err
			}
			fds = append(fds, rights...)
		}
	}
	h, err := wire.ParseHeader(b)
	return h, fds, err
}

func (p *process) open(number uint32, fd int) error {
	unix.CloseOnExec(fd)
	conn, err := socket(fd)
	if err != nil {
		return err
	}
	con, err := p.db.connect()
	if err != nil {
		return err
	}
	s := &slot{process: p, conn: conn, con: con}
	p.mu.Lock()
	p.mu.slots[number] = s
	p.mu.Unlock()
	go func() {
		s.serve()
		p.mu.Lock()
		delete(p.mu.slots, number)
		p.mu.Unlock()
	}()
	return nil
}
