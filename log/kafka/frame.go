package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log/access"
)

const (
	// headerSize is the fixed beginning of a request: key, version, correlation id.
	headerSize = 8
	// firstChunk is what a frame may take on the word of its length alone; the rest is taken as bytes arrive.
	firstChunk = 1 << 20
	// otherRequest bounds the frame of every key but Produce. The largest real ones are the assignments of big groups,
	// which Kafka keeps under 1 MiB.
	otherRequest = 4 << 20
	// decodeFactor bounds what decoding takes in memory for one byte of a frame: an array may claim as many elements as
	// bytes are left, two arrays may be nested, and the largest element of any request has about 80 bytes.
	decodeFactor = 160
	// stalled is how long a client may pause in the midst of a frame (Options.StallTimeout), how long it may take nothing of an
	// answer, and how long one that asks for memory may wait.
	stalled = 30 * time.Second
)

// budget is bytes that many share. What is asked for in one go and is larger than the whole is cut to it.
type budget struct {
	size int64
	free *semaphore.Weighted
}

func newBudget(size int64) *budget { return &budget{size, semaphore.NewWeighted(size)} }

// take waits for n bytes and gives how many it took; not for ever, since who waits may hold some already.
func (b *budget) take(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.size)
	if b.free.TryAcquire(n) {
		return n, nil
	}
	ctx, cancel := context.WithTimeout(ctx, stalled)
	defer cancel()
	return n, b.free.Acquire(ctx, n)
}

func (b *budget) give(n int64) { b.free.Release(n) }

// request is one frame with its header decoded.
type request struct {
	key, version int16
	correlation  int32
	clientID     string
	body         []byte
	held         int64    // bytes of the server's budget, until it is answered
	reading      int64    // bytes of the server's budget for what a fetch has read, until it is answered
	borrowed     borrowed // what a fetch has read, until it is answered
	conn         *conn
	principal    access.Principal // who the connection spoke for when it sent the request
	began        time.Time        // when it had been read
	busy         time.Duration    // that the server has worked on it, without waiting
	bare         bool             // a SASL token without a header: body is all of it
}

// frames reads requests from a connection, until stopping is closed.
type frames struct {
	in       *bufio.Reader
	conn     net.Conn
	budget   *budget
	idle     time.Duration // until a frame begins
	stall    time.Duration // in the midst of one
	maximum  int64
	until    time.Time // when no more is read, zero: never
	stopping <-chan struct{}
}

// longAgo is a deadline that ends reads at once.
var longAgo = time.Unix(1, 0)

// within gives the next reads so much time, none when the server stops.
func (f *frames) within(d time.Duration) {
	deadline := clock.System{}.Now().Add(d)
	if !f.until.IsZero() && f.until.Before(deadline) {
		deadline = f.until
	}
	f.conn.SetReadDeadline(deadline)
	select {
	case <-f.stopping: // perhaps just before: then nobody else ends the read
		f.conn.SetReadDeadline(longAgo)
	default:
	}
}

// next reads one request. Any error ends the connection: after it nobody knows where the next frame begins.
func (f *frames) next(ctx context.Context) (*request, error) {
	if f.in.Buffered() == 0 {
		f.within(f.idle)
		if _, err := f.in.Peek(1); err != nil {
			return nil, err
		}
	}
	if f.in.Buffered() < 4 {
		f.within(f.stall)
	}
	var head [4]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return nil, err
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:])))
	if size < headerSize {
		return nil, errs.New(errs.Invalid, "kafka: a request of %d bytes", size)
	}
	if err := limit.Check("kafka request", size, f.maximum); err != nil {
		return nil, err
	}
	f.within(f.stall)
	key, err := f.in.Peek(2)
	if err != nil {
		return nil, err
	}
	if int16(binary.BigEndian.Uint16(key)) != produceKey {
		if err := limit.Check("kafka request other than Produce", size, otherRequest); err != nil {
			return nil, err
		}
	}
	body, held, err := f.body(ctx, int(size))
	if err != nil {
		f.budget.give(held)
		return nil, err
	}
	r, err := parseHeader(body)
	if err != nil {
		f.budget.give(held)
		return nil, err
	}
	r.held = held
	return r, nil
}

// token reads one SASL token that has no request header (SaslHandshake version 0).
func (f *frames) token(ctx context.Context) (*request, error) {
	f.within(f.stall)
	var head [4]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	if err := limit.Check("SASL token", size, strangerRequest); err != nil {
		return nil, err
	}
	body, held, err := f.body(ctx, int(size))
	if err != nil {
		f.budget.give(held)
		return nil, err
	}
	return &request{body: body, held: held, bare: true}, nil
}

// body reads size bytes into memory that grows as they arrive, and gives what it holds of the budget.
func (f *frames) body(ctx context.Context, size int) (body []byte, held int64, err error) {
	grow := func(n int) error {
		got, err := f.budget.take(ctx, int64(n-cap(body)))
		if err != nil {
			return err
		}
		held += got
		grown := make([]byte, len(body), n)
		copy(grown, body)
		body = grown
		return nil
	}
	for len(body) < size {
		if len(body) == cap(body) {
			if err := grow(min(size, max(firstChunk, 2*cap(body)))); err != nil {
				return nil, held, err
			}
		}
		if f.in.Buffered() == 0 {
			f.within(f.stall)
		}
		n, err := f.in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err != nil {
			return nil, held, err
		}
	}
	return body, held, nil
}

// parseHeader decodes a request's header (version 1; version 2 when the body is flexible): the client id is never
// compact, so that one form reads both.
func parseHeader(frame []byte) (*request, error) {
	w := wire{b: frame}
	r := &request{key: w.int16(), version: w.int16(), correlation: w.int32()}
	r.clientID = w.string16()
	if a, ok := apis[r.key]; ok && r.version >= a.flexible {
		w.tags()
	}
	if w.bad {
		return nil, errs.New(errs.Invalid, "kafka: a request header is cut short")
	}
	r.body = w.b
	return r, nil
}

// wire reads the protocol's primitive types. After the first fault bad is set and everything read is zero.
type wire struct {
	b   []byte
	bad bool
}

func (w *wire) span(n int) []byte {
	if n < 0 || n > len(w.b) {
		w.bad, w.b = true, nil
		return nil
	}
	out := w.b[:n:n]
	w.b = w.b[n:]
	return out
}

func (w *wire) int16() int16 {
	if b := w.span(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *wire) int32() int32 {
	if b := w.span(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (w *wire) uvarint() int {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || v > 1<<31 {
		w.bad, w.b = true, nil
		return 0
	}
	w.b = w.b[n:]
	return int(v)
}

// string16 reads a string with an int16 length; null is empty.
func (w *wire) string16() string {
	n := int(w.int16())
	if n < 0 {
		return ""
	}
	return string(w.span(n))
}

// length reads the length of a string, bytes or array, -1 for null: compact in flexible versions, else an int32.
func (w *wire) length(flexible bool) int {
	if flexible {
		return w.uvarint() - 1
	}
	return int(w.int32())
}

// text reads a string of either form; null is empty.
func (w *wire) text(flexible bool) string {
	if !flexible {
		return w.string16()
	}
	if n := w.uvarint() - 1; n > 0 {
		return string(w.span(n))
	}
	return ""
}

// tags skips tagged fields (KIP-482).
func (w *wire) tags() {
	for n := w.uvarint(); n > 0 && !w.bad; n-- {
		w.uvarint()
		w.span(w.uvarint())
	}
}
