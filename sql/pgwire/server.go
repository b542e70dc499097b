package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql"
)

// Options are a Server's parts.
type Options struct {
	Database sql.Database
	// MaxConnections bounds open connections, before any of them has said who it is; 0: 2000.
	MaxConnections int
	// StartupTimeout is how long a client may take until its session begins, TLS handshake and all; 0: 60 s
	// (authentication_timeout).
	StartupTimeout time.Duration
	// Authenticate decides whether a user may come in from an address; nil: everyone may.
	Authenticate func(user string, remote net.Addr) error
	// TLS serves clients that ask for TLS; nil: they are told that there is none.
	TLS *tls.Config
	// Report hears of faults that no client can be told of; nil: nobody does.
	Report func(error)
}

// Server serves PostgreSQL clients.
type Server struct {
	o  Options
	wg sync.WaitGroup
	mu struct {
		sync.Mutex
		conns  map[net.Conn]struct{}
		closed bool
	}
}

// New makes a server.
func New(o Options) *Server {
	if o.MaxConnections == 0 {
		o.MaxConnections = 2000
	}
	if o.StartupTimeout == 0 {
		o.StartupTimeout = 60 * time.Second
	}
	s := &Server{o: o}
	s.mu.conns = map[net.Conn]struct{}{}
	return s
}

// acceptPause is how long Serve waits after a connection that could not be taken.
const acceptPause = 50 * time.Millisecond

// Serve accepts connections until ctx ends; when it returns every connection has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		s.closeAll()
	})
	defer stop()
	defer s.wg.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				s.closeAll()
				return err
			}
			// Out of file descriptors, or a client that went away again: neither is the listener's end.
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		if !s.add(c) {
			refuse(c)
			continue
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer s.remove(c)
			s.serve(ctx, c)
		}()
	}
}

func (s *Server) serve(ctx context.Context, c net.Conn) {
	defer func() {
		if p := recover(); p != nil && s.o.Report != nil {
			s.o.Report(errs.New(errs.Internal, "a PostgreSQL connection ended by a panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
	cn := newConn(s, c)
	defer cn.close()
	if err := cn.startup(ctx); err != nil {
		return
	}
	cn.run(ctx)
}

func refuse(c net.Conn) {
	cn := &conn{net: c}
	cn.writeError(errs.SQL("53300", "sorry, too many clients already"), "FATAL")
	_ = cn.flush()
	_ = c.Close()
}

func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed || len(s.mu.conns) >= s.o.MaxConnections {
		return false
	}
	s.mu.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.conns, c)
	_ = c.Close()
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	for c := range s.mu.conns {
		_ = c.Close()
	}
}
