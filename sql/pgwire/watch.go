package pgwire

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// watchEvery is how often it is looked whether the client of a running statement is still there.
const watchEvery = time.Second

// watch breaks off the statement of a client that has gone: what it computes, nobody takes. PostgreSQL does the same when
// client_connection_check_interval is set. A statement shorter than watchEvery is never looked at.
type watch struct {
	conn   syscall.RawConn
	cancel context.CancelFunc
	timer  *time.Timer
	busy   atomic.Bool
}

// newWatch watches c; cancel is called when it is found closed.
func newWatch(c net.Conn, cancel context.CancelFunc) *watch {
	w := &watch{cancel: cancel}
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if s, ok := c.(syscall.Conn); ok {
		w.conn, _ = s.SyscallConn()
	}
	w.timer = time.AfterFunc(watchEvery, w.look)
	w.rest()
	return w
}

// begin is the begin of a message's work, rest its end.
func (w *watch) begin() {
	if w.conn != nil {
		w.busy.Store(true)
		w.timer.Reset(watchEvery)
	}
}

func (w *watch) rest() {
	w.busy.Store(false)
	w.timer.Stop()
}

func (w *watch) look() {
	if !w.busy.Load() {
		return
	}
	gone := false
	if err := w.conn.Control(func(fd uintptr) { gone = hungUp(fd) }); err != nil || gone {
		w.cancel()
		return
	}
	w.timer.Reset(watchEvery)
}
