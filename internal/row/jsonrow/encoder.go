package jsonrow

import (
	"github.com/miracledb/miracledb/internal/row"
)

// Encoder writes rows of one schema as JSON objects. It may be used concurrently.
type Encoder struct {
	schema *row.Schema
	// names holds `{"a":` for the first column and `,"b":` for the others.
	names []string
}

// NewEncoder compiles an encoder.
func NewEncoder(s *row.Schema) *Encoder {
	e := &Encoder{schema: s}
	for i, c := range s.Columns {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		e.names = append(e.names, sep+string(row.AppendJSONString(nil, c.Name))+":")
	}
	return e
}

// AppendJSON appends r as a JSON object in column order, as a record's value holds it.
func (e *Encoder) AppendJSON(dst []byte, r row.Row) []byte { return e.append(dst, r, false) }

// AppendJSONStrings is AppendJSON with int8 and numeric as strings: JavaScript's numbers end at 2^53.
func (e *Encoder) AppendJSONStrings(dst []byte, r row.Row) []byte { return e.append(dst, r, true) }

func (e *Encoder) append(dst []byte, r row.Row, strings bool) []byte {
	if len(e.names) == 0 {
		return append(dst, "{}"...)
	}
	for i, name := range e.names {
		dst = appendValue(append(dst, name...), e.schema.Columns[i].Type, r[i], strings)
	}
	return append(dst, '}')
}

// AppendJSON appends r as a JSON object; an Encoder does the same faster.
func AppendJSON(dst []byte, s *row.Schema, r row.Row) []byte { return NewEncoder(s).AppendJSON(dst, r) }

// AppendJSONStrings is AppendJSON with int8 and numeric as strings.
func AppendJSONStrings(dst []byte, s *row.Schema, r row.Row) []byte {
	return NewEncoder(s).AppendJSONStrings(dst, r)
}

// AppendValue appends one value of type t as JSON.
func AppendValue(dst []byte, t row.Type, v row.Value) []byte { return appendValue(dst, t, v, false) }

func appendValue(dst []byte, t row.Type, v row.Value, strings bool) []byte {
	switch v.Kind() {
	case row.KindNull:
		return append(dst, "null"...)
	case row.KindBool:
		if v.Bool() {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case row.KindInt:
		if strings && t.OID == row.Int8 {
			return quoteText(dst, t, v)
		}
		return row.AppendText(dst, t, v)
	case row.KindFloat:
		if v.IsNaN() || v.IsInf() != 0 {
			return quoteText(dst, t, v)
		}
		return row.AppendText(dst, t, v)
	case row.KindNumeric:
		if strings || v.IsNaN() || v.IsInf() != 0 {
			return quoteText(dst, t, v)
		}
		return v.AppendNumeric(dst)
	case row.KindText:
		if t.OID == row.JSON || t.OID == row.JSONB {
			return append(dst, v.Str()...)
		}
		if t.OID == row.Char {
			return row.AppendJSONString(dst, v.Text(t))
		}
		return row.AppendJSONString(dst, v.Str())
	case row.KindBytes:
		dst = append(dst, '"', '\\')
		return append(row.AppendText(dst, t, v), '"')
	case row.KindTimestamp:
		return appendTimestamp(dst, t, v)
	case row.KindList, row.KindRecord:
		return appendList(dst, t, v, strings)
	}
	return quoteText(dst, t, v)
}

// quoteText quotes a text that needs no escapes.
func quoteText(dst []byte, t row.Type, v row.Value) []byte {
	return append(row.AppendText(append(dst, '"'), t, v), '"')
}

// appendTimestamp writes ISO 8601 as PostgreSQL's to_json does: a T, and +00:00 for timestamptz.
func appendTimestamp(dst []byte, t row.Type, v row.Value) []byte {
	from := len(dst)
	dst = quoteText(dst, t, v)
	if v.IsInf() != 0 {
		return dst
	}
	for i := from; i < len(dst); i++ {
		if dst[i] == ' ' {
			dst[i] = 'T'
			break
		}
	}
	if t.OID != row.TimestampTZ {
		return dst
	}
	// The zone is +00 at the end or before " BC".
	at := len(dst) - 1
	if dst[at-1] == 'C' {
		at -= len(" BC")
	}
	dst = append(dst, ":00"...)
	copy(dst[at+3:], dst[at:])
	copy(dst[at:], ":00")
	return dst
}

func appendList(dst []byte, t row.Type, v row.Value, strings bool) []byte {
	e := t.Element()
	dst = append(dst, '[')
	for i, x := range v.List() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if x.Kind() == row.KindList {
			dst = appendList(dst, t, x, strings)
			continue
		}
		et := e
		if et.OID == 0 {
			et = row.TypeOfKind(x.Kind())
		}
		dst = appendValue(dst, et, x, strings)
	}
	return append(dst, ']')
}
