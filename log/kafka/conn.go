package kafka

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
)

// pipelined bounds the requests of one connection that wait for their answer. Clients keep 5 (Java) to 100 or so.
const pipelined = 256

// answer is what a request is answered with: a response, or its body already encoded (fetch: the log's own bytes), or
// neither (produce with acks=0).
type answer struct {
	response kmsg.Response
	body     net.Buffers
	records  []log.Partition // whose records every second buffer of body has
	oldest   bool            // goes out in version 0 whatever the request's (KIP-511)
	// token goes out as it is, without a header, when bare is set.
	token []byte
	bare  bool
	// last: the connection ends after it; delay: and it goes out only then.
	last  bool
	delay time.Duration
}

// bytes is the size of an encoded body.
func (a *answer) bytes() (size int) {
	for _, b := range a.body {
		size += len(b)
	}
	return size
}

// finisher gives the answer of a request when its turn comes. An error closes the connection.
type finisher func(ctx context.Context) (answer, error)

type pending struct {
	request *request
	finish  finisher
}

type conn struct {
	server   *Server
	net      net.Conn
	queue    chan pending
	identity identity
	muted    atomic.Int64  // Unix nanoseconds until which the client is not listened to
	held     atomic.Int64  // bytes of the server's budget that requests in the queue hold
	answered chan struct{} // capacity 1: held is less than it was
}

func newConn(s *Server, nc net.Conn) *conn {
	return &conn{server: s, net: nc, queue: make(chan pending, pipelined), identity: identity{principal: access.Anonymous},
		answered: make(chan struct{}, 1)}
}

// serve runs the connection until the client or ctx ends it, or the server stops and all that was begun is answered.
func (c *conn) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Closing the socket is what wakes both goroutines out of their reads and writes.
	stop := context.AfterFunc(ctx, func() { c.net.Close() })
	defer stop()
	var writer sync.WaitGroup
	writer.Go(func() {
		defer c.caught()
		defer cancel()
		c.write(ctx)
	})
	func() {
		defer c.caught()
		if c.handshake(ctx) == nil {
			c.read(ctx)
		}
	}()
	close(c.queue)
	if !c.stopping() {
		cancel() // the client has gone
	}
	writer.Wait()
	for p := range c.queue {
		c.server.frames.give(p.request.held)
	}
	c.net.Close()
}

func (c *conn) stopping() bool {
	select {
	case <-c.server.stopping:
		return true
	default:
		return false
	}
}

// lingering is how long a client may take to hang up after the last answer.
const lingering = 250 * time.Millisecond

// hangUp tells the client that nothing more comes, and waits for it to close: what it has sent and nobody has read would reset
// the connection, and the answers on their way with it.
func (c *conn) hangUp() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.net.SetReadDeadline(clock.System{}.Now().Add(lingering))
	io.Copy(io.Discard, c.net)
}

// caught turns a panic into the end of this connection: no client's bytes may end the others'.
func (c *conn) caught() {
	if p := recover(); p != nil {
		c.server.options.Report(errs.New(errs.Internal, "kafka: connection of %s: panic: %v\n%s", c.net.RemoteAddr(), p, debug.Stack()))
		c.net.Close()
	}
}

// handshake ends the TLS handshake of a connection that has one, before anything is read.
func (c *conn) handshake(ctx context.Context) error {
	encrypted, ok := c.net.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.options.StallTimeout)
	defer cancel()
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return err
	}
	c.identity.byCertificate(encrypted)
	return nil
}

// read takes requests in and begins each, until the connection ends.
func (c *conn) read(ctx context.Context) {
	in := frames{in: bufio.NewReaderSize(c.net, 32<<10), conn: c.net, budget: c.server.frames,
		idle: c.server.options.IdleTimeout, stall: c.server.options.StallTimeout, maximum: int64(limit.KafkaRequest), stopping: c.server.stopping}
	for !c.stopping() {
		in.maximum, in.until = int64(limit.KafkaRequest), c.strangerUntil()
		if !in.until.IsZero() {
			in.maximum = strangerRequest
		}
		next := in.next
		if c.identity.raw {
			next = in.token
		}
		c.unmuted(ctx)
		c.hasRoom(ctx)
		r, err := next(ctx)
		if err != nil {
			return
		}
		r.conn, r.principal = c, c.identity.principal
		if !c.enqueue(ctx, r) {
			return
		}
		if c.identity.closing {
			<-ctx.Done() // the writer ends the connection with the last answer
			return
		}
	}
}

// heldShare of the memory for requests is what one connection may hold before it sends another: a client that reads no answers
// would have all of it.
const heldShare = 8

// hasRoom waits until the connection's requests hold no more than its share.
func (c *conn) hasRoom(ctx context.Context) {
	for c.held.Load() > int64(c.server.options.InflightBytes)/heldShare {
		select {
		case <-c.answered:
		case <-ctx.Done():
			return
		}
	}
}

// let gives back what a request held.
func (c *conn) let(r *request) {
	c.server.frames.give(r.held)
	c.held.Add(-r.held)
	select {
	case c.answered <- struct{}{}:
	default:
	}
}

// enqueue begins a request and queues it for its answer.
func (c *conn) enqueue(ctx context.Context, r *request) (queued bool) {
	c.held.Add(r.held)
	defer func() {
		if !queued {
			c.let(r)
		}
	}()
	r.began = clock.System{}.Now()
	finish, err := c.begin(ctx, r)
	r.busy = clock.System{}.Now().Sub(r.began)
	if err != nil {
		return false
	}
	select {
	case c.queue <- pending{r, finish}:
		return true
	case <-ctx.Done():
		return false
	}
}

// begin decodes a request, and does what must be done in the order of arrival.
func (c *conn) begin(ctx context.Context, r *request) (finisher, error) {
	if r.bare {
		return c.server.beginToken(ctx, r), nil
	}
	a, ok := apis[r.key]
	if !ok {
		return nil, errs.New(errs.Unsupported, "kafka: unknown API key %d", r.key)
	}
	if r.version < a.min || r.version > a.max {
		if r.key == apiVersionsKey {
			return unsupportedApiVersions, nil
		}
		return nil, errs.New(errs.Unsupported, "kafka: version %d of API key %d", r.version, r.key)
	}
	if err := c.mayAsk(r.key); err != nil {
		return nil, err
	}
	return a.begin(c.server, ctx, r)
}

// write answers the requests in their order, until the connection ends.
func (c *conn) write(ctx context.Context) {
	for {
		select {
		case p, ok := <-c.queue:
			if !ok {
				if c.stopping() {
					c.hangUp()
				}
				return
			}
			c.unmuted(ctx)
			if err := c.answer(ctx, p); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *conn) answer(ctx context.Context, p pending) error {
	defer func() {
		c.let(p.request)
		p.request.giveBack()
	}()
	began := clock.System{}.Now()
	a, err := p.finish(ctx)
	if !waiting[p.request.key] {
		p.request.busy += clock.System{}.Now().Sub(began)
	}
	if err == nil {
		err = ctx.Err() // what was given up is not answered: its outcome is not known
	}
	if err != nil {
		return err
	}
	if a.delay > 0 {
		select {
		case <-time.After(a.delay):
		case <-ctx.Done():
		case <-c.server.stopping:
		}
	}
	wait := c.server.throttle(p.request, a.bytes())
	if wait > 0 {
		a.tell(wait)
		defer c.mute(wait)
	}
	err = c.sendAnswer(ctx, p, a)
	if err == nil && !p.request.bare {
		version := p.request.version
		if a.oldest {
			version = 0
		}
		c.server.meters.answered(p.request, version, clock.System{}.Now().Sub(p.request.began), wait)
	}
	if err != nil || a.last {
		return errors.Join(err, errLast)
	}
	return nil
}

// errLast ends a connection after its last answer.
var errLast = errs.New(errs.Denied, "kafka: that was the last answer")

func (c *conn) sendAnswer(ctx context.Context, p pending, a answer) error {
	if a.bare {
		return c.sendToken(a.token)
	}
	if a.response == nil && a.body == nil {
		return nil
	}
	if a.response != nil {
		a.response.SetVersion(p.request.version)
		if a.oldest {
			a.response.SetVersion(0)
		}
	}
	return c.send(ctx, p.request, a)
}

// sendToken writes a token of an authentication that has no headers.
func (c *conn) sendToken(token []byte) error {
	c.net.SetWriteDeadline(clock.System{}.Now().Add(stalled))
	_, err := c.net.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...))
	return err
}

// advertised is where the client of this connection reaches us.
func (c *conn) advertised() (host string, port int32) {
	o := &c.server.options
	host, port = o.AdvertisedHost, o.AdvertisedPort
	if host != "" && port != 0 {
		return host, port
	}
	localHost, localPort, err := net.SplitHostPort(c.net.LocalAddr().String())
	if err != nil {
		localHost, localPort = "localhost", "9092"
	}
	if host == "" {
		host = localHost
	}
	if port == 0 {
		n, _ := strconv.Atoi(localPort)
		port = int32(n)
	}
	return host, port
}

// clientHost is the client's address as Kafka shows it in group descriptions.
func (c *conn) clientHost() string {
	host, _, err := net.SplitHostPort(c.net.RemoteAddr().String())
	if err != nil {
		host = c.net.RemoteAddr().String()
	}
	return "/" + host
}
