package pgwire

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// flushAt is the size of the answer buffer at which it is written even though the client is not waited for.
const flushAt = 64 << 10

// begin starts a message; end fills in its length.
func (c *conn) begin(tag byte) {
	c.out = append(c.out, tag, 0, 0, 0, 0)
	c.start = len(c.out) - 4
}

func (c *conn) end() {
	binary.BigEndian.PutUint32(c.out[c.start:], uint32(len(c.out)-c.start))
}

func (c *conn) int16(n int16)   { c.out = binary.BigEndian.AppendUint16(c.out, uint16(n)) }
func (c *conn) int32(n int32)   { c.out = binary.BigEndian.AppendUint32(c.out, uint32(n)) }
func (c *conn) string(s string) { c.out = append(append(c.out, s...), 0) }

// empty writes a message without a body.
func (c *conn) empty(tag byte) { c.out = append(c.out, tag, 0, 0, 0, 4) }

func (c *conn) complete(tag string) {
	c.begin('C')
	c.string(tag)
	c.end()
}

// ready writes the settings that changed, notices and ReadyForQuery.
func (c *conn) ready() {
	c.notices()
	c.reports()
	c.out = append(c.out, 'Z', 0, 0, 0, 5, byte(c.session.Status()))
}

func (c *conn) reports() {
	for _, r := range c.session.Reports() {
		c.begin('S')
		c.string(r.Name)
		c.string(r.Value)
		c.end()
	}
}

func (c *conn) notices() {
	if c.session == nil {
		return
	}
	for _, n := range c.session.Notices() {
		c.begin('N')
		c.fields('S', n.Severity, 'V', n.Severity, 'C', n.State, 'M', n.Message, 'D', n.Detail, 'H', n.Hint)
		c.out = append(c.out, 0)
		c.end()
	}
}

// fields writes pairs of a field's letter and text; empty texts are left out.
func (c *conn) fields(pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		if s := pairs[i+1].(string); s != "" {
			c.out = append(c.out, byte(pairs[i].(rune)))
			c.string(s)
		}
	}
}

// writeError writes an ErrorResponse (PostgreSQL 55.8).
func (c *conn) writeError(err error, severity string) {
	var e *errs.Error
	if !errors.As(err, &e) {
		e = &errs.Error{Kind: errs.Internal, Message: err.Error()}
	}
	message := e.Message
	if e.Err != nil || message == "" {
		message = err.Error()
	}
	position := ""
	if e.Position > 0 {
		position = strconv.Itoa(e.Position)
	}
	c.begin('E')
	c.fields('S', severity, 'V', severity, 'C', State(e), 'M', message, 'D', e.Detail, 'H', e.Hint, 'P', position,
		's', e.Schema, 't', e.Table, 'c', e.Column, 'd', e.DataType, 'n', e.Constraint)
	c.out = append(c.out, 0)
	c.end()
}

// State is the SQLSTATE of an error: its own, or that of its kind.
func State(e *errs.Error) string {
	if e.State != "" {
		return e.State
	}
	switch e.Kind {
	case errs.Invalid:
		return "22023"
	case errs.NotFound:
		return "42704"
	case errs.Exists:
		return "42710"
	case errs.Conflict:
		return "40001"
	case errs.Constraint:
		return "23000"
	case errs.Limit:
		return "54000"
	case errs.Unsupported:
		return "0A000"
	case errs.Denied:
		return "42501"
	case errs.Unavailable:
		return "57P03"
	case errs.Canceled:
		return "57014"
	case errs.Corrupt:
		return "XX001"
	case errs.Unknown:
		return "08007"
	}
	return "XX000"
}

// rowDescription describes columns; formats are as in Bind: none, one for all, or one each.
func (c *conn) rowDescription(cols []sql.Column, formats []int16) {
	c.begin('T')
	c.int16(int16(len(cols)))
	for i, col := range cols {
		c.string(col.Name)
		c.int32(int32(col.Table))
		c.int16(col.Attribute)
		c.int32(int32(col.Type.OID))
		size := int16(-1)
		if info, ok := row.Info(col.Type.OID); ok {
			size = int16(info.Len)
		}
		c.int16(size)
		c.int32(col.Type.TypMod())
		c.int16(formatOf(formats, i))
	}
	c.end()
}

func formatOf(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	return formats[i]
}

// dataRow writes one row.
func (c *conn) dataRow(r row.Row, cols []sql.Column, formats []int16) {
	c.begin('D')
	c.int16(int16(len(r)))
	start := c.start
	for i, v := range r {
		if v.IsNull() {
			c.int32(-1)
			continue
		}
		c.int32(0)
		at := len(c.out)
		if formatOf(formats, i) == 1 {
			c.out = row.AppendBinary(c.out, cols[i].Type, v)
		} else {
			c.out = c.format.AppendText(c.out, cols[i].Type, v)
		}
		binary.BigEndian.PutUint32(c.out[at-4:], uint32(len(c.out)-at))
	}
	c.start = start
	c.end()
}
