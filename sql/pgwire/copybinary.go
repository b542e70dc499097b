package pgwire

import (
	"encoding/binary"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// binaryReader reads COPY's binary format.
type binaryReader struct {
	columns []sql.Column
	rest    []byte
	begun   bool
	ended   bool
}

func (r *binaryReader) feed(b []byte, end bool) (rows []row.Row, err error) {
	r.rest = append(r.rest, b...)
	data := r.rest
	if !r.begun {
		if len(data) < len(binarySignature) {
			if end {
				return nil, errs.SQL("22P04", "COPY file signature not recognized")
			}
			return nil, nil
		}
		if string(data[:11]) != binarySignature[:11] {
			return nil, errs.SQL("22P04", "COPY file signature not recognized")
		}
		extension := int64(binary.BigEndian.Uint32(data[15:]))
		if extension > int64(limit.MiB) {
			return nil, errs.SQL("22P04", "invalid COPY file header (wrong length)")
		}
		if int64(len(data)) < 19+extension {
			return nil, nil
		}
		data = data[19+extension:]
		r.begun = true
	}
	for !r.ended && len(data) >= 2 {
		n := int16(binary.BigEndian.Uint16(data))
		if n == -1 {
			r.ended = true
			data = nil
			break
		}
		row, used, err := r.tuple(data[2:], int(n))
		if err != nil {
			return nil, err
		}
		if used < 0 {
			break
		}
		rows = append(rows, row)
		data = data[2+used:]
	}
	if end && !r.ended && len(data) > 0 {
		return nil, errs.SQL("22P04", "unexpected EOF in COPY data")
	}
	r.rest = append(r.rest[:0], data...)
	return rows, nil
}

// tuple reads the fields of one row; used is -1 when more bytes are needed.
func (r *binaryReader) tuple(data []byte, n int) (out row.Row, used int, err error) {
	if n != len(r.columns) {
		return nil, 0, errs.SQL("22P04", "row field count is %d, expected %d", n, len(r.columns))
	}
	out = make(row.Row, n)
	for i := range out {
		if len(data) < used+4 {
			return nil, -1, nil
		}
		size := int64(int32(binary.BigEndian.Uint32(data[used:])))
		used += 4
		if size == -1 {
			continue
		}
		if size < 0 || size > int64(limit.PGMessage) {
			return nil, 0, errs.SQL("22P04", "invalid field size")
		}
		if int64(len(data)) < int64(used)+size {
			return nil, -1, nil
		}
		if out[i], err = row.ParseBinary(r.columns[i].Type, data[used:used+int(size)]); err != nil {
			return nil, 0, err
		}
		used += int(size)
	}
	return out, used, nil
}
