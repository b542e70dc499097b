package pgwire

import (
	"bytes"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// lineReader is what the line-based formats share: lines cut from pieces, a header, values parsed by column.
type lineReader struct {
	format row.Format
	cp     *sql.Copy
	rest   []byte
	line   int
	header bool // still to come
	ended  bool // after \.
}

func newLineReader(f row.Format, cp *sql.Copy) *lineReader {
	return &lineReader{format: f, cp: cp, header: cp.Format.Header}
}

// field is one value of a line before it is parsed.
type field struct {
	text []byte
	null bool
}

// values parses the fields of one line.
func (l *lineReader) values(fields []field) (row.Row, error) {
	cols := l.cp.Columns
	if len(fields) > len(cols) {
		return nil, l.at(errs.SQL("22P04", "extra data after last expected column"))
	}
	if len(fields) < len(cols) {
		return nil, l.at(errs.SQL("22P04", "missing data for column %q", cols[len(fields)].Name))
	}
	r := make(row.Row, len(cols))
	for i, f := range fields {
		if f.null {
			continue
		}
		if !utf8.Valid(f.text) || bytes.IndexByte(f.text, 0) >= 0 {
			return nil, l.at(errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\" in column %q", cols[i].Name))
		}
		v, err := l.format.ParseText(cols[i].Type, string(f.text))
		if err != nil {
			return nil, l.at(err)
		}
		r[i] = v
	}
	return r, nil
}

// at adds the line to an error, keeping its SQLSTATE.
func (l *lineReader) at(err error) error {
	e, ok := err.(*errs.Error)
	if !ok {
		return err
	}
	c := *e
	c.Message = e.Message
	c.Detail = appendDetail(e.Detail, l.line)
	return &c
}

func appendDetail(detail string, line int) string {
	place := errs.SQL("", "COPY, line %d", line).Message
	if detail == "" {
		return place
	}
	return detail + " (" + place + ")"
}

// checkHeader takes the header line; with MATCH its names must be those of the columns.
func (l *lineReader) checkHeader(fields []field) error {
	l.header = false
	if !l.cp.Format.HeaderTest {
		return nil
	}
	if len(fields) != len(l.cp.Columns) {
		return l.at(errs.SQL("22P04", "wrong number of fields in header line: got %d, expected %d", len(fields), len(l.cp.Columns)))
	}
	for i, f := range fields {
		if string(f.text) != l.cp.Columns[i].Name {
			return l.at(errs.SQL("22P04", "column name mismatch in header line field %d: got %q, expected %q", i+1, f.text, l.cp.Columns[i].Name))
		}
	}
	return nil
}

// tooLong bounds a line that never ends.
func (l *lineReader) tooLong() error {
	if len(l.rest) > int(limit.PGMessage) {
		return l.at(errs.SQL("54000", "a COPY line is over %s", limit.PGMessage))
	}
	return nil
}

// take accepts one line's fields.
func (l *lineReader) take(rows []row.Row, fields []field) ([]row.Row, error) {
	l.line++
	if l.header {
		return rows, l.checkHeader(fields)
	}
	r, err := l.values(fields)
	if err != nil {
		return nil, err
	}
	return append(rows, r), nil
}

// textReader reads COPY's text format: one line a row, backslash escapes.
type textReader struct {
	*lineReader
	fields []field
}

func (t *textReader) feed(b []byte, end bool) (rows []row.Row, err error) {
	t.rest = append(t.rest, b...)
	data := t.rest
	for !t.ended {
		i := bytes.IndexByte(data, '\n')
		if i < 0 && (!end || len(data) == 0) {
			break
		}
		line := data
		if i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			data = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if string(line) == `\.` {
			t.ended = true
			break
		}
		if err := t.split(line); err != nil {
			return nil, err
		}
		if rows, err = t.take(rows, t.fields); err != nil {
			return nil, err
		}
	}
	t.rest = append(t.rest[:0], data...)
	return rows, t.tooLong()
}

// split cuts a line at its delimiters and takes the escapes back.
func (t *textReader) split(line []byte) error {
	t.fields = t.fields[:0]
	delim := t.cp.Format.Delimiter
	for {
		raw := line
		n := 0
		for n < len(line) && line[n] != delim {
			if line[n] == '\\' {
				n++
			}
			n++
		}
		n = min(n, len(line))
		raw = line[:n]
		if string(raw) == t.cp.Format.Null {
			t.fields = append(t.fields, field{null: true})
		} else {
			t.fields = append(t.fields, field{text: unescape(raw)})
		}
		if n == len(line) {
			return nil
		}
		line = line[n+1:]
	}
}

// unescape takes the backslash sequences of COPY's text format back; b is not changed.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch c := b[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'v':
			out = append(out, '\v')
		case 'x':
			v, n := digits(b[i+1:], 16, 2)
			if n == 0 {
				out = append(out, 'x')
			} else {
				out = append(out, v)
				i += n
			}
		default:
			if c >= '0' && c <= '7' {
				v, n := digits(b[i:], 8, 3)
				out = append(out, v)
				i += n - 1
			} else {
				out = append(out, c)
			}
		}
	}
	return out
}

// digits reads at most n digits of a base.
func digits(b []byte, base, n int) (v byte, used int) {
	for used < n && used < len(b) {
		d := 99
		switch c := b[used]; {
		case c >= '0' && c <= '9':
			d = int(c - '0')
		case c >= 'a' && c <= 'f':
			d = int(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = int(c-'A') + 10
		}
		if d >= base {
			break
		}
		v = v*byte(base) + byte(d)
		used++
	}
	return v, used
}

// appendCopyText writes a value with the text format's escapes.
func appendCopyText(dst, b []byte, delim byte) []byte {
	for _, c := range b {
		switch c {
		case '\\':
			dst = append(dst, '\\', '\\')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\v':
			dst = append(dst, '\\', 'v')
		case delim:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
