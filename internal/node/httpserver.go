package node

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// httpLimits bound what HTTP clients may hold by doing nothing.
type httpLimits struct {
	// connections may be open at once, WebSockets among them.
	connections int
	// header is how long a client may take to send a request's header, the first one's from the connection on; idle how long it
	// may wait with the next request.
	header, idle time.Duration
	// stall is how long a client may send or take nothing in the midst of a body. A subscription to which nothing happens is
	// in the midst of none.
	stall time.Duration
	// parting is how long answers under way may take when the server stops.
	parting time.Duration
}

// maxHTTPHeader bounds a request's header: what a browser sends has a few KiB, and each connection may hold so much.
const maxHTTPHeader = 64 << 10

// serveHTTP serves until ctx ends, or the listener fails; when it returns no connection is left.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, l httpLimits) error {
	srv := &http.Server{Handler: stallingBodies(h, l.stall), ReadHeaderTimeout: l.header, IdleTimeout: l.idle, MaxHeaderBytes: maxHTTPHeader,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	limited := &limitedListener{Listener: ln, limits: l}
	limited.mu.open = map[*limitedConn]struct{}{}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		// Subscriptions end with ctx; answers under way get a moment.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.parting)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
		limited.part(end)
	})
	err := srv.Serve(limited)
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

// limitedListener answers connections over the limit with 503, and closes those that take nothing of what is written to them.
type limitedListener struct {
	net.Listener
	limits httpLimits

	mu struct {
		sync.Mutex
		open map[*limitedConn]struct{}
	}
}

const tooManyConnections = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nContent-Length: 22\r\n\r\ntoo many connections.\n"

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: nc, from: l}
		if l.add(c) {
			return c, nil
		}
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second)) // it fits into any socket's buffer
		_, _ = io.WriteString(nc, tooManyConnections)
		_ = nc.Close()
	}
}

func (l *limitedListener) add(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.open) >= l.limits.connections {
		return false
	}
	l.mu.open[c] = struct{}{}
	return true
}

// part waits until every connection has ended, those too that Shutdown does not know (WebSockets), and closes what is left when ctx ends.
func (l *limitedListener) part(ctx context.Context) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		l.mu.Lock()
		left := len(l.mu.open)
		if ctx.Err() != nil {
			for c := range l.mu.open {
				_ = c.Conn.Close()
			}
			left = 0
		}
		l.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

type limitedConn struct {
	net.Conn
	from *limitedListener
}

func (c *limitedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.from.limits.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *limitedConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.mu.open, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

// maxUnread is how much of a request's body is read for nothing. Most clients send all of it before they read, and a connection
// that is closed under their hands loses them the answer: 413, say. It is over what any endpoint takes.
const maxUnread = 64 << 20

// stallingBodies has reads of a request's body fail after a pause: an upload may be long, and slow, but not asleep. What the
// handler leaves unread is read and thrown away, up to maxUnread, unless the client waits to be told to send it (RFC 9110, 10.1.1).
func stallingBodies(h http.Handler, stall time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			h.ServeHTTP(w, r)
			return
		}
		b := &stallingBody{ReadCloser: r.Body, conn: http.NewResponseController(w), stall: stall}
		defer func() { _ = b.pace() }()   // what is left the server may read, by itself
		own := r.WithContext(r.Context()) // the server looks at its request's body in the end
		own.Body = b
		h.ServeHTTP(w, own)
		if (b.begun || r.Header.Get("Expect") == "") && r.ContentLength <= maxUnread {
			_, _ = io.CopyN(io.Discard, b, maxUnread)
		}
	})
}

type stallingBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration
	begun bool // something was read, or asked for
}

// pace gives the next reads so much time.
func (b *stallingBody) pace() error { return b.conn.SetReadDeadline(time.Now().Add(b.stall)) }

func (b *stallingBody) Read(p []byte) (int, error) {
	b.begun = true
	if err := b.pace(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		// Nobody waits for the client now: only its going away is looked out for.
		if derr := b.conn.SetReadDeadline(time.Time{}); err == nil {
			err = derr
		}
	}
	return n, err
}
