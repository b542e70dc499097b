package pgwire

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// starved is a listener in a process that has no file descriptors left for its first connections.
type starved struct {
	net.Listener
	left atomic.Int32
}

func (l *starved) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// A process out of file descriptors goes on when there are some again: the door does not close.
func TestAcceptWithoutDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &starved{Listener: inner}
	l.left.Store(2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(Options{Database: deafDatabase{}}).Serve(ctx, l) }()
	c, err := net.DialTimeout("tcp", inner.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// An SSLRequest, which is answered without a session.
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		t.Fatal(err)
	}
	var answer [1]byte
	if _, err := c.Read(answer[:]); err != nil || answer[0] != 'N' {
		t.Errorf("%q, %v", answer, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
