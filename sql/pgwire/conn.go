package pgwire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// Limits of what one client may keep on the server.
const (
	maxPrepared = 10000 // prepared statements; drivers make up to a few hundred
	maxPortals  = 1000
	readBuffer  = 16 << 10
)

// conn is one client's connection. It belongs to one goroutine.
type conn struct {
	server  *Server
	net     net.Conn
	in      *bufio.Reader
	out     []byte
	start   int // of the message being written: its length's place in out
	session sql.Session
	format  row.Format

	statements map[string]*statement
	portals    map[string]*portal
	// skipping is set after an error in the extended protocol: messages are ignored until Sync.
	skipping bool
	body     []byte // of the last message; reused
	messages messages
}

// messages are the decoders, reused.
type messages struct {
	parse    pgproto3.Parse
	bind     pgproto3.Bind
	describe pgproto3.Describe
	execute  pgproto3.Execute
	close    pgproto3.Close
}

type statement struct {
	prepared sql.Prepared // nil: the empty statement
}

type portal struct {
	st      *statement
	args    []row.Value
	formats []int16
	result  sql.Result // nil until Execute
	batch   []row.Row  // rows in hand
	done    bool
	resumed bool // it was suspended before
}

func newConn(s *Server, c net.Conn) *conn {
	return &conn{server: s, net: c, in: bufio.NewReaderSize(c, readBuffer),
		statements: map[string]*statement{}, portals: map[string]*portal{}}
}

func (c *conn) close() {
	c.closePortals()
	if c.session != nil {
		_ = c.session.Close()
	}
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > 1<<20 {
		c.out = nil
	}
	return err
}

// fatal tells the client why the connection ends, and ends it.
func (c *conn) fatal(err error) error {
	c.writeError(err, "FATAL")
	_ = c.flush()
	return err
}

// read reads one message, flushing the answers first when the client may be waiting for them.
func (c *conn) read() (tag byte, body []byte, err error) {
	if c.in.Buffered() < 5 {
		if err := c.flush(); err != nil {
			return 0, nil, err
		}
	}
	var head [5]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[1:])) - 4
	if n < 0 || n > int64(limit.PGMessage) {
		return 0, nil, c.fatal(errs.SQL("08P01", "invalid message length: %d bytes, the limit is %s", n+4, limit.PGMessage))
	}
	if int64(c.in.Buffered()) < n {
		if err := c.flush(); err != nil {
			return 0, nil, err
		}
	}
	if int64(cap(c.body)) < n || cap(c.body) > 1<<20 && n < 1<<16 {
		c.body = make([]byte, max(n, 512))
	}
	c.body = c.body[:n]
	_, err = io.ReadFull(c.in, c.body)
	return head[0], c.body, err
}

// run answers messages until the client goes or breaks the protocol.
func (c *conn) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := newWatch(c.net, cancel)
	defer watch.rest()
	for {
		tag, body, err := c.read()
		if err != nil {
			return
		}
		c.format.Location = c.session.Location()
		watch.begin()
		err = c.message(ctx, tag, body)
		watch.rest()
		if err != nil {
			return
		}
		if len(c.out) > flushAt {
			if err := c.flush(); err != nil {
				return
			}
		}
	}
}

// message handles one message; an error ends the connection.
func (c *conn) message(ctx context.Context, tag byte, body []byte) error {
	switch tag {
	case 'X':
		_ = c.flush()
		return io.EOF
	case 'S':
		c.sync(ctx)
		return nil
	case 'H':
		if c.skipping {
			return nil
		}
		return c.flush()
	case 'Q':
		if c.skipping {
			return nil
		}
		return c.query(ctx, body)
	case 'd', 'c', 'f': // the rest of a COPY that has failed
		return nil
	case 'p', 'F':
		return c.fatal(errs.SQL("08P01", "unexpected message %q", tag))
	}
	var handle func(context.Context) error
	var err error
	m := &c.messages
	switch tag {
	case 'P':
		handle, err = c.parse, m.parse.Decode(body)
	case 'B':
		handle, err = c.bind, m.bind.Decode(body)
	case 'D':
		handle, err = c.describe, m.describe.Decode(body)
	case 'E':
		handle, err = c.execute, m.execute.Decode(body)
	case 'C':
		handle, err = c.closeNamed, m.close.Decode(body)
	default:
		return c.fatal(errs.SQL("08P01", "invalid frontend message type %d", tag))
	}
	if err != nil {
		return c.fatal(errs.SQL("08P01", "malformed message %q: %v", tag, err))
	}
	if c.skipping {
		return nil
	}
	if err := handle(ctx); err != nil {
		if isBroken(err) {
			return err
		}
		c.failed(err)
		c.skipping = true
	}
	return nil
}

// broken is an error of the connection itself.
type broken struct{ error }

func isBroken(err error) bool {
	var b broken
	return errors.As(err, &b)
}

func (c *conn) failed(err error) {
	c.notices()
	c.writeError(err, "ERROR")
}

// sync ends an extended batch.
func (c *conn) sync(ctx context.Context) {
	failed := c.skipping
	c.skipping = false
	if c.session.Status() == sql.Idle {
		c.closePortals()
	}
	if err := c.session.Sync(ctx); err != nil && !failed {
		c.failed(err)
	}
	c.ready()
}

func (c *conn) closePortals() {
	for name, p := range c.portals {
		c.dropPortal(name, p)
	}
}

func (c *conn) dropPortal(name string, p *portal) {
	if p.result != nil {
		_ = p.result.Close()
	}
	delete(c.portals, name)
}

// query is the simple protocol: every statement of the text, up to the first error.
func (c *conn) query(ctx context.Context, body []byte) error {
	text, ok := cString(body)
	if !ok {
		return c.fatal(errs.SQL("08P01", "malformed query message"))
	}
	c.closePortals()
	err := c.statementsOf(ctx, text)
	if isBroken(err) {
		return err
	}
	if serr := c.session.Sync(ctx); err == nil {
		err = serr
	}
	if err != nil {
		c.failed(err)
	}
	c.ready()
	return nil
}

func cString(b []byte) (string, bool) {
	if len(b) == 0 || b[len(b)-1] != 0 {
		return "", false
	}
	return string(b[:len(b)-1]), true
}

func (c *conn) statementsOf(ctx context.Context, text string) error {
	list, err := c.session.Parse(text)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		c.empty('I')
		return nil
	}
	for i, st := range list {
		p, err := c.session.Prepare(ctx, st, nil)
		if err != nil {
			return err
		}
		if len(p.Params()) > 0 {
			return errs.SQL("42P02", "there is no parameter $1")
		}
		r, err := c.session.Execute(ctx, p, nil)
		if err != nil {
			return err
		}
		if err := c.answer(ctx, r); err != nil {
			_ = r.Close()
			return err
		}
		// The last statement's commit is part of its answer: a client that has read CommandComplete of an INSERT may
		// rely on it. Statements before it share one implicit transaction, as in PostgreSQL.
		if i == len(list)-1 {
			if err := c.session.Sync(ctx); err != nil {
				return err
			}
		}
		c.notices()
		c.complete(r.Tag())
	}
	return nil
}

// answer writes a statement's rows, or runs its COPY.
func (c *conn) answer(ctx context.Context, r sql.Result) error {
	if cp := r.Copy(); cp != nil {
		if cp.In {
			return c.copyIn(ctx, cp)
		}
		return c.copyOut(ctx, r, cp)
	}
	if r.Columns() != nil {
		c.rowDescription(r.Columns(), nil)
	}
	for {
		batch, err := r.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, row := range batch {
			c.dataRow(row, r.Columns(), nil)
			if len(c.out) > flushAt {
				if err := c.flush(); err != nil {
					return broken{err}
				}
			}
		}
	}
}

func (c *conn) parse(ctx context.Context) error {
	m := &c.messages.parse
	if m.Name != "" && c.statements[m.Name] != nil {
		return errs.SQL("42P05", "prepared statement %q already exists", m.Name)
	}
	if len(c.statements) >= maxPrepared {
		return errs.SQL("53000", "more than %d prepared statements", maxPrepared).WithHint("Close those that are no longer used.")
	}
	if m.Name == "" {
		delete(c.statements, "")
	}
	list, err := c.session.Parse(m.Query)
	if err != nil {
		return err
	}
	st := &statement{}
	switch len(list) {
	case 0:
	case 1:
		types := make([]row.Type, len(m.ParameterOIDs))
		for i, oid := range m.ParameterOIDs {
			types[i] = row.T(row.OID(oid))
		}
		if st.prepared, err = c.session.Prepare(ctx, list[0], types); err != nil {
			return err
		}
	default:
		return errs.SQL("42601", "cannot insert multiple commands into a prepared statement")
	}
	c.statements[m.Name] = st
	c.empty('1')
	return nil
}

func (c *conn) bind(context.Context) error {
	m := &c.messages.bind
	st := c.statements[m.PreparedStatement]
	if st == nil {
		if m.PreparedStatement == "" {
			return errs.SQL("26000", "unnamed prepared statement does not exist")
		}
		return errs.SQL("26000", "prepared statement %q does not exist", m.PreparedStatement)
	}
	if m.DestinationPortal != "" && c.portals[m.DestinationPortal] != nil {
		return errs.SQL("42P03", "cursor %q already exists", m.DestinationPortal)
	}
	if len(c.portals) >= maxPortals {
		return errs.SQL("53000", "more than %d open portals", maxPortals)
	}
	if old := c.portals[m.DestinationPortal]; old != nil {
		c.dropPortal(m.DestinationPortal, old)
	}
	p := &portal{st: st, formats: append([]int16(nil), m.ResultFormatCodes...)}
	if st.prepared != nil {
		if err := c.arguments(p, m); err != nil {
			return err
		}
	}
	c.portals[m.DestinationPortal] = p
	c.empty('2')
	return nil
}

func (c *conn) arguments(p *portal, m *pgproto3.Bind) error {
	types := p.st.prepared.Params()
	if len(m.Parameters) != len(types) {
		return errs.SQL("08P01", "bind message supplies %d parameters, but prepared statement %q requires %d",
			len(m.Parameters), m.PreparedStatement, len(types))
	}
	if n := len(m.ParameterFormatCodes); n > 1 && n != len(types) {
		return errs.SQL("08P01", "bind message has %d parameter formats but %d parameters", n, len(types))
	}
	if n := len(p.formats); n > 1 && n != len(p.st.prepared.Columns()) {
		return errs.SQL("08P01", "bind message has %d result formats but query has %d columns", n, len(p.st.prepared.Columns()))
	}
	for _, f := range append(append([]int16(nil), m.ParameterFormatCodes...), p.formats...) {
		if f != 0 && f != 1 {
			return errs.SQL("22023", "unsupported format code: %d", f)
		}
	}
	p.args = make([]row.Value, len(types))
	for i, b := range m.Parameters {
		if b == nil {
			continue
		}
		var err error
		if formatOf(m.ParameterFormatCodes, i) == 1 {
			p.args[i], err = row.ParseBinary(types[i], b)
		} else {
			p.args[i], err = c.format.ParseText(types[i], string(b))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) describe(context.Context) error {
	m := &c.messages.describe
	var st *statement
	var formats []int16
	if m.ObjectType == 'S' {
		if st = c.statements[m.Name]; st == nil {
			return errs.SQL("26000", "prepared statement %q does not exist", m.Name)
		}
		var params []row.Type
		if st.prepared != nil {
			params = st.prepared.Params()
		}
		c.begin('t')
		c.int16(int16(len(params)))
		for _, t := range params {
			c.int32(int32(t.OID))
		}
		c.end()
	} else {
		p := c.portals[m.Name]
		if p == nil {
			if cols, ok := c.session.Cursor(m.Name); ok {
				c.rowDescription(cols, nil)
				return nil
			}
			return errs.SQL("34000", "portal %q does not exist", m.Name)
		}
		st, formats = p.st, p.formats
	}
	if st.prepared == nil || st.prepared.Columns() == nil {
		c.empty('n')
		return nil
	}
	c.rowDescription(st.prepared.Columns(), formats)
	return nil
}

func (c *conn) execute(ctx context.Context) error {
	m := &c.messages.execute
	p := c.portals[m.Portal]
	if p == nil {
		return errs.SQL("34000", "portal %q does not exist", m.Portal)
	}
	if p.st.prepared == nil {
		c.empty('I')
		return nil
	}
	if p.result == nil {
		r, err := c.session.Execute(ctx, p.st.prepared, p.args)
		if err != nil {
			return err
		}
		p.result = r
		if cp := r.Copy(); cp != nil {
			if err := c.answer(ctx, r); err != nil {
				return err
			}
			p.done = true
			c.complete(r.Tag())
			return nil
		}
	}
	return c.portalRows(ctx, p, int64(m.MaxRows))
}

// portalRows writes the next rows of a portal, at most max of them (0: all).
func (c *conn) portalRows(ctx context.Context, p *portal, most int64) error {
	cols := p.result.Columns()
	n := int64(0)
	for {
		if most > 0 && n == most {
			c.empty('s') // PortalSuspended, be there more rows or not: as PostgreSQL does
			p.resumed = true
			return nil
		}
		if len(p.batch) == 0 && !p.done {
			batch, err := p.result.Next(ctx)
			switch {
			case err == io.EOF:
				p.done = true
			case err != nil:
				return err
			}
			p.batch = batch
		}
		if len(p.batch) == 0 {
			break
		}
		c.dataRow(p.batch[0], cols, p.formats)
		p.batch = p.batch[1:]
		n++
		if len(c.out) > flushAt {
			if err := c.flush(); err != nil {
				return broken{err}
			}
		}
	}
	c.notices()
	tag := p.result.Tag()
	if p.resumed && strings.HasPrefix(tag, "SELECT ") {
		tag = "SELECT " + strconv.FormatInt(n, 10) // the rows of this Execute
	}
	c.complete(tag)
	return nil
}

func (c *conn) closeNamed(context.Context) error {
	m := &c.messages.close
	if m.ObjectType == 'S' {
		delete(c.statements, m.Name)
	} else if p := c.portals[m.Name]; p != nil {
		c.dropPortal(m.Name, p)
	}
	c.empty('3')
	return nil
}
