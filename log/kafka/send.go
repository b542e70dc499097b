package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

const (
	// patience is how long the records of an answer are kept for a client that does not read them. Then their memory is for
	// others, and what is left of them is read from the log again, piece by piece, when the client goes on.
	patience = 200 * time.Millisecond
	// pieceBytes is what is read again at once, or one batch.
	pieceBytes = 256 << 10
	// encryptedBytes is what a TLS connection is given at once: a write to it cannot be broken off, so that none begins which the
	// socket has no room for. A TLS record has at most as much.
	encryptedBytes = 16 << 10
	// unsentBytes is what the kernel takes of an answer before it is sent.
	unsentBytes = 1 << 20
)

// send writes one response: length, correlation id, tagged fields of the header in flexible versions, body.
func (c *conn) send(ctx context.Context, r *request, a answer) error {
	head := make([]byte, 8, 512)
	binary.BigEndian.PutUint32(head[4:], uint32(r.correlation))
	// The header of ApiVersions is never flexible: the client does not know our versions yet (KIP-511).
	if r.key != apiVersionsKey && r.version >= apis[r.key].flexible {
		head = append(head, 0)
	}
	if a.response != nil {
		head = a.response.AppendTo(head)
	}
	size := len(head) + a.bytes()
	binary.BigEndian.PutUint32(head, uint32(size-4))
	// A client may be slow (1 MiB/s), not asleep.
	end := clock.System{}.Now().Add(stalled + time.Duration(size>>20)*time.Second)
	if a.body == nil {
		c.net.SetWriteDeadline(end)
		_, err := c.net.Write(head)
		return err
	}
	a.body[0] = append(head, a.body[0]...)
	rest, err := c.push(append(net.Buffers{}, a.body...), end)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	left, err := a.left(rest)
	if err != nil {
		return err
	}
	a.body, rest = nil, nil
	r.giveBack()
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for i := range left {
		if err := c.sendLeft(ctx, r, &left[i], end); err != nil {
			return err
		}
	}
	return nil
}

// giveBack gives back the memory of what a fetch has read.
func (r *request) giveBack() {
	r.conn.server.fetches.give(r.reading)
	r.reading = 0
	r.borrowed.giveBack(0)
}

// left is what was not sent of one buffer of an answer's body: bytes, or records that are to be read again.
type left struct {
	own       []byte
	partition log.Partition
	bytes     int   // of records
	offset    int64 // of a record in the batch that they begin in
	end       int64 // behind the last of them: what was to be seen then ends here
	// skip bytes of that batch were sent, and this is its header: another batch cannot go on in its place.
	skip   int
	header [record.HeaderSize]byte
}

// left gives what is left to be sent when rest is what was not sent of the body's buffers.
func (a *answer) left(rest net.Buffers) ([]left, error) {
	out := make([]left, len(rest))
	for i, b := range rest {
		index := len(a.body) - len(rest) + i
		if index%2 == 0 {
			out[i].own = b
			continue
		}
		out[i] = left{partition: a.records[index/2], bytes: len(a.body[index])}
		for b, err := range record.Batches(a.body[index]) {
			if err != nil {
				return nil, err
			}
			out[i].end = b.LastOffset() + 1
		}
		if err := out[i].sent(a.body[index], len(a.body[index])-len(b)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sent has n bytes of the records in p sent, which are what is left, from the first byte of their batch on.
func (l *left) sent(p []byte, n int) error {
	l.bytes -= n - l.skip
	for l.skip = n; ; {
		b, err := record.ParseHeader(p)
		if err != nil {
			return err
		}
		l.offset = b.BaseOffset
		if l.skip < len(b.Bytes) {
			copy(l.header[:], p)
			return nil
		}
		l.offset = b.LastOffset() + 1
		l.skip -= len(b.Bytes)
		if p = p[len(b.Bytes):]; len(p) == 0 {
			return nil
		}
	}
}

// errChanged ends a connection whose answer cannot be completed: its beginning has been sent.
var errChanged = errs.New(errs.NotFound, "kafka: records are not as they were when their size was told")

// sendLeft sends what is left of a buffer, and holds memory only while the client reads.
func (c *conn) sendLeft(ctx context.Context, r *request, l *left, end time.Time) error {
	if l.own != nil {
		c.net.SetWriteDeadline(end)
		_, err := c.net.Write(l.own)
		return err
	}
	for l.bytes > 0 {
		if err := c.writable(end); err != nil {
			return err
		}
		if err := c.sendPiece(ctx, r, l, end); err != nil {
			return err
		}
	}
	return nil
}

// sendPiece reads a piece of records again and sends what the client takes of it.
func (c *conn) sendPiece(ctx context.Context, r *request, l *left, end time.Time) error {
	defer r.giveBack()
	f := fetching{server: c.server, frame: r}
	records, err := f.records(ctx, l.partition, l.offset, min(pieceBytes, l.skip+l.bytes))
	if err != nil {
		return err
	}
	if len(records) <= l.skip || len(records) > l.skip+l.bytes || l.skip > 0 && [record.HeaderSize]byte(records) != l.header {
		return errChanged
	}
	for b, err := range record.Batches(records) {
		if err != nil {
			return err
		}
		if b.LastOffset() >= l.end {
			return errChanged // a compaction has made room for what was not to be seen
		}
	}
	rest, err := c.push(net.Buffers{records[l.skip:]}, end)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	n := len(records)
	if len(rest) > 0 {
		n -= len(rest[0])
	}
	return l.sent(records, n)
}

// push writes what the client takes without making us wait for longer than our patience, and gives the rest with
// os.ErrDeadlineExceeded: the connection is as good as it was. end is when the client must have read all.
func (c *conn) push(b net.Buffers, end time.Time) (rest net.Buffers, err error) {
	until := clock.System{}.Now().Add(patience)
	encrypted, ok := c.net.(*tls.Conn)
	if !ok {
		c.net.SetWriteDeadline(until)
		_, err = b.WriteTo(c.net)
		return b, err
	}
	for len(b) > 0 {
		if err := c.writable(until); err != nil {
			return b, err
		}
		n := min(len(b[0]), encryptedBytes)
		encrypted.SetWriteDeadline(end)
		if _, err := encrypted.Write(b[0][:n]); err != nil {
			return nil, errs.New(errs.Unavailable, "kafka: writing to a client: %v", err) // not to be gone on with
		}
		if b[0] = b[0][n:]; len(b[0]) == 0 {
			b = b[1:]
		}
	}
	return nil, nil
}

// writable waits until the socket has room.
func (c *conn) writable(until time.Time) error {
	raw, err := c.socket()
	if raw == nil || err != nil {
		return err // no socket: a write waits
	}
	c.net.SetWriteDeadline(until)
	return raw.Write(func(fd uintptr) bool {
		// Anything but "not yet" ends the wait: a write tells what it is.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
		return n != 0 || err != nil
	})
}

// holdLittle has the kernel take no more of an answer than a part of what the client has not been sent: it would take megabytes
// of its memory for a client that does not read.
func (c *conn) holdLittle() error {
	raw, err := c.socket()
	if raw == nil || err != nil {
		return err
	}
	fault := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
	return errors.Join(fault, err)
}

// socket is the connection's socket, nil when it has none.
func (c *conn) socket() (syscall.RawConn, error) {
	below := c.net
	if encrypted, ok := below.(*tls.Conn); ok {
		below = encrypted.NetConn()
	}
	if s, ok := below.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, nil
}
