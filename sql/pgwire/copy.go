package pgwire

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// copyBatch is how many rows of a COPY FROM are given to the session at once.
const copyBatch = 1024

// rowReader turns a COPY's bytes, which come in pieces of any size, into rows.
type rowReader interface {
	// feed takes bytes and gives the rows that are whole; end says that no more come.
	feed(b []byte, end bool) ([]row.Row, error)
}

func (c *conn) copyReader(cp *sql.Copy) rowReader {
	switch cp.Format.Format {
	case "csv":
		return &csvReader{lineReader: newLineReader(c.format, cp)}
	case "binary":
		return &binaryReader{columns: cp.Columns}
	}
	return &textReader{lineReader: newLineReader(c.format, cp)}
}

func copyFormatCode(cp *sql.Copy) int16 {
	if cp.Format.Format == "binary" {
		return 1
	}
	return 0
}

// copyResponse writes CopyInResponse or CopyOutResponse.
func (c *conn) copyResponse(tag byte, cp *sql.Copy) {
	code := copyFormatCode(cp)
	c.begin(tag)
	c.out = append(c.out, byte(code))
	c.int16(int16(len(cp.Columns)))
	for range cp.Columns {
		c.int16(code)
	}
	c.end()
}

// copyIn runs COPY FROM STDIN. After an error the client's remaining data is read and dropped by the message loop.
func (c *conn) copyIn(ctx context.Context, cp *sql.Copy) error {
	c.copyResponse('G', cp)
	r := c.copyReader(cp)
	fail := func(err error) error {
		cp.Fail(err)
		return err
	}
	var pending []row.Row
	put := func(rows []row.Row, all bool) error {
		pending = append(pending, rows...)
		if len(pending) < copyBatch && !all || len(pending) == 0 {
			return nil
		}
		err := cp.Write(ctx, pending)
		pending = pending[:0]
		return err
	}
	for {
		tag, body, err := c.read()
		if err != nil {
			return broken{fail(err)}
		}
		switch tag {
		case 'd', 'c':
			if tag == 'c' {
				body = nil
			}
			rows, err := r.feed(body, tag == 'c')
			if err == nil {
				err = put(rows, tag == 'c')
			}
			if err != nil {
				return fail(err)
			}
			if tag == 'c' {
				return cp.Done(ctx)
			}
		case 'f':
			reason, _ := cString(body)
			return fail(errs.SQL("57014", "COPY from stdin failed: %s", reason))
		case 'H', 'S': // legal and meaningless during COPY
		default:
			return broken{fail(c.fatal(errs.SQL("08P01", "unexpected message type 0x%02X during COPY from stdin", tag)))}
		}
	}
}

// copyOut runs COPY TO STDOUT: one CopyData per row, as PostgreSQL does and some clients expect.
func (c *conn) copyOut(ctx context.Context, r sql.Result, cp *sql.Copy) error {
	c.copyResponse('H', cp)
	w := rowWriter{conn: c, cp: cp}
	w.header()
	for {
		batch, err := r.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for _, row := range batch {
			c.begin('d')
			start := c.start
			w.row(row)
			c.start = start
			c.end()
			if len(c.out) > flushAt {
				if err := c.flush(); err != nil {
					return broken{err}
				}
			}
		}
	}
	w.trailer()
	c.empty('c')
	return nil
}

// rowWriter writes the rows of COPY TO.
type rowWriter struct {
	conn    *conn
	cp      *sql.Copy
	scratch []byte
}

// binarySignature begins a binary COPY (PostgreSQL, COPY, Binary Format): signature, flags, extension length.
const binarySignature = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func (w *rowWriter) header() {
	c, f := w.conn, &w.cp.Format
	switch {
	case f.Format == "binary":
		c.begin('d')
		c.out = append(c.out, binarySignature...)
		c.end()
	case f.Header:
		c.begin('d')
		for i, col := range w.cp.Columns {
			if i > 0 {
				c.out = append(c.out, f.Delimiter)
			}
			if f.Format == "csv" {
				c.out = appendCSV(c.out, []byte(col.Name), f, false)
			} else {
				c.out = appendCopyText(c.out, []byte(col.Name), f.Delimiter)
			}
		}
		c.out = append(c.out, '\n')
		c.end()
	}
}

func (w *rowWriter) trailer() {
	if w.cp.Format.Format == "binary" {
		w.conn.begin('d')
		w.conn.int16(-1)
		w.conn.end()
	}
}

func (w *rowWriter) row(r row.Row) {
	c, f := w.conn, &w.cp.Format
	if f.Format == "binary" {
		c.int16(int16(len(r)))
		for i, v := range r {
			if v.IsNull() {
				c.int32(-1)
				continue
			}
			c.int32(0)
			at := len(c.out)
			c.out = row.AppendBinary(c.out, w.cp.Columns[i].Type, v)
			binary.BigEndian.PutUint32(c.out[at-4:], uint32(len(c.out)-at))
		}
		return
	}
	for i, v := range r {
		if i > 0 {
			c.out = append(c.out, f.Delimiter)
		}
		if v.IsNull() {
			c.out = append(c.out, f.Null...)
			continue
		}
		w.scratch = c.format.AppendText(w.scratch[:0], w.cp.Columns[i].Type, v)
		if f.Format == "csv" {
			name := w.cp.Columns[i].Name
			c.out = appendCSV(c.out, w.scratch, f, f.ForceQuote["*"] || f.ForceQuote[name])
		} else {
			c.out = appendCopyText(c.out, w.scratch, f.Delimiter)
		}
	}
	c.out = append(c.out, '\n')
}
