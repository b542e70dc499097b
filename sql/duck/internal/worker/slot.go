package worker

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// frameBytes is about the size of a frame of results: large enough that a system call costs nothing beside it, small
// enough to flow.
const frameBytes = 256 << 10

// interruptAgain is the pause between two interrupts of one query: DuckDB forgets an interrupt that comes before it has
// begun to execute.
const interruptAgain = 3 * time.Millisecond

// slot is one conversation: a socket and a DuckDB connection, one query at a time.
type slot struct {
	process *process
	conn    net.Conn
	con     *connection
	// cancelled is the last query that was interrupted.
	cancelled atomic.Uint32

	mu struct {
		sync.Mutex
		running uint32 // the number of the query in hand, 0: none
	}
}

// serve answers queries until the socket ends.
func (s *slot) serve() {
	defer s.con.close()
	defer s.conn.Close()
	for {
		h, err := wire.ReadHeader(s.conn)
		if err != nil {
			return
		}
		payload, err := wire.ReadPayload(s.conn, h)
		if err != nil || h.Kind != wire.Run {
			return
		}
		s.take(h.Query)
		err = s.run(h.Query, payload)
		s.take(0)
		if err != nil {
			return
		}
	}
}

// interrupt stops query number n, if it is the one in hand.
func (s *slot) interrupt(n uint32) {
	s.cancelled.Store(n)
	for s.interruptOnce(n) {
		time.Sleep(interruptAgain)
	}
}

// interruptOnce holds the lock, so that the interrupt cannot meet the next query.
func (s *slot) interruptOnce(n uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.running != n {
		return false
	}
	s.con.interrupt()
	return true
}

func (s *slot) take(n uint32) {
	s.mu.Lock()
	s.mu.running = n
	s.mu.Unlock()
}

var errInterrupted = &failure{29, "INTERRUPT Error: Interrupted!"} // DUCKDB_ERROR_INTERRUPT

// run answers one Run frame; an error means that the socket is gone.
func (s *slot) run(number uint32, payload []byte) error {
	q, err := wire.DecodeQuery(payload)
	if err != nil {
		return s.fail(number, err)
	}
	c := &composer{cache: s.process.cache, con: s.con, query: q, blobs: map[string]wire.Blob{}}
	defer c.close()
	for _, b := range q.Blobs {
		c.blobs[b.Key] = b
	}
	keys, err := c.missing()
	if err != nil {
		return s.fail(number, err)
	}
	if len(keys) > 0 {
		return s.send(wire.AppendFrame(nil, wire.Missing, number, wire.AppendStrings(nil, keys)))
	}
	sql, err := c.text()
	if err != nil {
		return s.fail(number, err)
	}
	if s.cancelled.Load() == number {
		return s.fail(number, errInterrupted)
	}
	rows, types, err := s.con.start(sql)
	if err != nil {
		return s.fail(number, err)
	}
	return s.stream(number, rows, types)
}

// stream sends the rows. The first frame is cut early, so that the first rows travel while the rest is computed, and the
// types, the only batch of a small result and the end go in one write.
func (s *slot) stream(number uint32, rows *query, types []byte) error {
	head := wire.AppendFrame(nil, wire.Columns, number, types)
	for first := true; ; first = false {
		target := frameBytes
		if first {
			target = 1
		}
		frame, err := rows.next(target)
		if err != nil {
			if err := s.send(head); err != nil {
				return err
			}
			return s.fail(number, err)
		}
		if frame == nil {
			head = wire.AppendFrame(head, wire.End, number, nil)
			// The end is sent after the query is closed: what it pinned is free when the parent hears of it.
			rows.close()
			return s.send(head)
		}
		wire.PutHeader(frame, wire.Header{Length: uint32(len(frame) - wire.HeaderSize), Kind: wire.Batch, Query: number})
		if first && len(frame) < 16<<10 {
			head = append(head, frame...)
			continue
		}
		if len(head) > 0 {
			if err := s.send(head); err != nil {
				rows.close()
				return err
			}
			head = nil
		}
		if err := s.send(frame); err != nil {
			rows.close()
			return err
		}
		if s.cancelled.Load() == number {
			rows.close()
			return s.fail(number, errInterrupted)
		}
	}
}

func (s *slot) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := s.conn.Write(b)
	return err
}

func (s *slot) fail(number uint32, err error) error {
	f := wire.Failure{Message: err.Error()}
	var known *failure
	if errors.As(err, &known) {
		f.Type = known.Type
	}
	return s.send(wire.AppendFrame(nil, wire.Failed, number, f.Append(nil)))
}
