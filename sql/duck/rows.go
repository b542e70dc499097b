package duck

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// Rows is a running query's stream of batches. It is used by one goroutine and must be closed.
type Rows struct {
	slot   *slot
	fields []Field
	types  []wire.Type
	grace  time.Duration
	ctx    context.Context
	done   func() // gives back the query's token

	frame    []byte // batches of the frame in hand not yet given
	given    bool   // a batch was given
	ended    bool   // the slot is back, or dead
	err      error  // what Next answers from now on
	stop     func() bool
	watchdog *time.Timer
}

// watch interrupts the query when its context ends, and kills the child when that does not help.
func (r *Rows) watch() {
	p, s, n := r.slot.process, r.slot, r.slot.query
	fired := make(chan struct{})
	timer := time.AfterFunc(time.Hour, p.kill)
	timer.Stop()
	r.watchdog = timer
	cancel := context.AfterFunc(r.ctx, func() {
		defer close(fired)
		p.interrupt(s, n)
		timer.Reset(r.grace)
	})
	r.stop = func() bool {
		stopped := cancel()
		if !stopped {
			<-fired // else the interrupt could meet the next query
		}
		timer.Stop()
		return stopped
	}
}

// begin sends the query and reads up to the first rows.
func (r *Rows) begin(m *message) error {
	payload, err := m.encode(r.slot.process, nil)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := r.slot.conn.Write(wire.AppendFrame(nil, wire.Run, r.slot.query, payload)); err != nil {
			return r.lost()
		}
		asked, err := r.first()
		if err != nil || asked == nil {
			return err
		}
		if payload, err = m.encode(r.slot.process, asked); err != nil {
			return err
		}
	}
	return errs.New(errs.Internal, "the analytical engine asks twice for the same rows")
}

// first reads the types, and the first batch or the end; or the keys that the child misses.
func (r *Rows) first() (asked []string, err error) {
	h, payload, err := r.read()
	if err != nil {
		return nil, err
	}
	switch h.Kind {
	case wire.Missing:
		return wire.DecodeStrings(payload)
	case wire.Columns:
	default:
		return nil, r.unexpected(h)
	}
	if r.types, err = wire.DecodeTypes(payload); err != nil {
		return nil, err
	}
	width := 0
	for i := range r.fields {
		width = max(width, r.fields[i].Column+1, r.fields[i].Scale+1)
	}
	if width > len(r.types) {
		return nil, errs.New(errs.Internal, "the analytical engine gave %d columns, want %d", len(r.types), width)
	}
	r.frame, err = r.more()
	if err == io.EOF {
		r.finish(io.EOF)
		err = nil
	}
	return nil, err
}

// more reads the next frame of batches; io.EOF at the end.
func (r *Rows) more() ([]byte, error) {
	h, payload, err := r.read()
	if err != nil {
		return nil, err
	}
	switch h.Kind {
	case wire.Batch:
		return payload, nil
	case wire.End:
		return nil, io.EOF
	}
	return nil, r.unexpected(h)
}

// read reads one frame; a Failed one becomes its error.
func (r *Rows) read() (wire.Header, []byte, error) {
	h, err := wire.ReadHeader(r.slot.conn)
	if err != nil {
		return h, nil, r.lost()
	}
	payload, err := wire.ReadPayload(r.slot.conn, h)
	if err != nil {
		return h, nil, r.lost()
	}
	if h.Query != r.slot.query {
		return h, nil, r.unexpected(h)
	}
	if h.Kind == wire.Failed {
		return h, nil, r.failure(wire.DecodeFailure(payload))
	}
	return h, payload, nil
}

// failure takes an error of the child: the conversation has ended well, unless the instance is of no more use.
func (r *Rows) failure(f wire.Failure) error {
	if fatal(f) {
		r.slot.process.kill()
	} else {
		r.release(true)
	}
	if f.Type == typeInterrupt && r.ctx.Err() != nil {
		return canceled(r.ctx)
	}
	err := translateError(f)
	var u *Unsupported
	if errors.As(err, &u) && r.given {
		return errs.SQL("0A000", "%s", u.Error())
	}
	return err
}

// lost says what a broken socket means.
func (r *Rows) lost() error {
	p := r.slot.process
	if r.ctx.Err() != nil {
		return canceled(r.ctx)
	}
	err := died(p)
	if r.given {
		return errors.Unwrap(err)
	}
	return err
}

func (r *Rows) unexpected(h wire.Header) error {
	r.slot.process.kill()
	return errs.New(errs.Internal, "the analytical engine sent a frame of kind %d for query %d", h.Kind, h.Query)
}

// release ends the conversation; whole says that the slot can take another query.
func (r *Rows) release(whole bool) {
	if r.ended {
		return
	}
	r.ended = true
	r.stop()
	if whole {
		r.slot.process.give(r.slot)
	} else {
		_ = r.slot.conn.Close() // ends the child's side
	}
	if r.done != nil {
		r.done()
	}
}

// fail ends a query that did not begin.
func (r *Rows) fail() { r.release(false) }

// finish notes the end of the stream.
func (r *Rows) finish(err error) {
	r.err = err
	r.release(err == io.EOF)
}

// NextBatch gives the next batch of at most 2048 rows, or io.EOF. A batch stays valid.
func (r *Rows) NextBatch() (*Batch, error) {
	if len(r.frame) == 0 {
		if r.err != nil {
			return nil, r.err
		}
		var err error
		if r.frame, err = r.more(); err != nil {
			r.finish(err)
			return nil, err
		}
	}
	n, vectors, rest, err := wire.DecodeBatch(r.frame, r.types)
	if err != nil {
		r.frame = nil
		r.slot.process.kill()
		r.finish(err)
		return nil, err
	}
	r.frame, r.given = rest, true
	return &Batch{rows: n, fields: r.fields, vectors: vectors}, nil
}

// Next gives the next rows, at least one, or io.EOF. The rows stay valid.
func (r *Rows) Next() ([]row.Row, error) {
	b, err := r.NextBatch()
	if err != nil {
		return nil, err
	}
	return b.AppendRows(nil)
}

// Close ends the query, interrupting it when rows are left.
func (r *Rows) Close() error {
	if r.ended {
		return nil
	}
	r.slot.process.interrupt(r.slot, r.slot.query)
	r.watchdog.Reset(r.grace)
	r.frame = nil
	for !r.ended {
		if _, err := r.more(); err != nil {
			r.finish(io.EOF)
		}
	}
	return nil
}
