package pgwire

import (
	"bytes"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// csvReader reads COPY's CSV format: quoted values may hold delimiters and line ends.
type csvReader struct {
	*lineReader
}

func (r *csvReader) feed(b []byte, end bool) (rows []row.Row, err error) {
	r.rest = append(r.rest, b...)
	data := r.rest
	for len(data) > 0 && !r.ended {
		fields, n, whole, err := r.record(data, end)
		if err != nil {
			return nil, err
		}
		if !whole {
			break
		}
		line := data[:n]
		data = data[n:]
		if string(bytes.TrimRight(line, "\r\n")) == `\.` {
			r.ended = true
			break
		}
		if rows, err = r.take(rows, fields); err != nil {
			return nil, err
		}
	}
	r.rest = append(r.rest[:0], data...)
	return rows, r.tooLong()
}

// record reads one record from data: its fields and length, line end included; whole is false when more bytes are needed.
func (r *csvReader) record(data []byte, end bool) (fields []field, n int, whole bool, err error) {
	f := &r.cp.Format
	var text []byte
	quoted, wasQuoted := false, false
	add := func() {
		name := ""
		if len(fields) < len(r.cp.Columns) {
			name = r.cp.Columns[len(fields)].Name
		}
		null := string(text) == f.Null && (!wasQuoted || f.ForceNull["*"] || f.ForceNull[name]) &&
			!(!wasQuoted && (f.ForceNotNull["*"] || f.ForceNotNull[name]))
		if text == nil {
			text = []byte{}
		}
		fields = append(fields, field{text: text, null: null})
		text, wasQuoted = nil, false
	}
	for i := 0; i < len(data); i++ {
		c := data[i]
		if quoted {
			switch {
			case c == f.Escape && i+1 < len(data) && (data[i+1] == f.Quote || data[i+1] == f.Escape):
				i++
				text = append(text, data[i])
			case c == f.Escape && i+1 == len(data) && !end && f.Escape == f.Quote:
				return nil, 0, false, nil // the next byte says whether the quote ends here
			case c == f.Quote:
				quoted = false
			default:
				text = append(text, c)
			}
			continue
		}
		switch c {
		case f.Quote:
			quoted, wasQuoted = true, true
		case f.Delimiter:
			add()
		case '\n':
			add()
			return fields, i + 1, true, nil
		case '\r':
			if i+1 == len(data) && !end {
				return nil, 0, false, nil
			}
			if i+1 < len(data) && data[i+1] == '\n' {
				i++
			}
			add()
			return fields, i + 1, true, nil
		default:
			text = append(text, c)
		}
	}
	if !end {
		return nil, 0, false, nil
	}
	if quoted {
		return nil, 0, false, r.at(errs.SQL("22P04", "unterminated CSV quoted field"))
	}
	add()
	return fields, len(data), true, nil
}

// appendCSV writes a value, quoted where it must be.
func appendCSV(dst, b []byte, f *sql.CopyFormat, force bool) []byte {
	quote := force || string(b) == f.Null || string(b) == `\.`
	for _, c := range b {
		if c == f.Delimiter || c == f.Quote || c == '\n' || c == '\r' {
			quote = true
			break
		}
	}
	if !quote {
		return append(dst, b...)
	}
	dst = append(dst, f.Quote)
	for _, c := range b {
		if c == f.Quote || c == f.Escape {
			dst = append(dst, f.Escape)
		}
		dst = append(dst, c)
	}
	return append(dst, f.Quote)
}
