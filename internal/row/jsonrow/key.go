package jsonrow

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// AppendCanonicalKey appends the key that SQL writes for a row of s: of one text or uuid column the raw text, of any other
// single column the shortest JSON scalar, of several an object in key order. Rows with equal primary keys have equal bytes:
// numeric loses its trailing zeros, character(n) its blanks. A raw text that starts with a quote or brace, which
// KeyDecoder would read as JSON, is written as a JSON string.
func AppendCanonicalKey(dst []byte, s *row.Schema, r row.Row) []byte {
	if len(s.Key) == 1 {
		c := s.Columns[s.Key[0]]
		v := canonical(c.Type, r[s.Key[0]])
		if isRaw(c.Type) && !(v.Kind() == row.KindText && looksJSON(v.Str())) {
			return row.AppendText(dst, c.Type, v)
		}
		return AppendValue(dst, c.Type, v)
	}
	for i, k := range s.Key {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		dst = append(row.AppendJSONString(append(dst, sep), s.Columns[k].Name), ':')
		dst = AppendValue(dst, s.Columns[k].Type, canonical(s.Columns[k].Type, r[k]))
	}
	return append(dst, '}')
}

// isRaw reports whether a single key column of type t is written as it is.
func isRaw(t row.Type) bool {
	k := row.KindOf(t.OID)
	return k == row.KindUUID || k == row.KindText && t.OID != row.JSON && t.OID != row.JSONB
}

// looksJSON is used for texts only: a uuid's 16 bytes may start with anything.
func looksJSON(s string) bool { return len(s) != 0 && (s[0] == '"' || s[0] == '{') }

// canonical gives the one form of all values equal to v.
func canonical(t row.Type, v row.Value) row.Value {
	switch v.Kind() {
	case row.KindNumeric:
		return row.TrimNumeric(v)
	case row.KindFloat:
		if v.Float() == 0 {
			return row.NewFloat(0)
		}
	case row.KindText:
		if t.OID == row.BPChar {
			return row.NewText(strings.TrimRight(v.Str(), " "))
		}
	}
	return v
}

// KeyDecoder reads a record's key in every spelling as the values of the primary key's columns. It is not for concurrent
// use.
type KeyDecoder struct {
	column  row.Column // of a key of one column
	single  bool
	decoder *Decoder
	one     row.Row
}

// NewKeyDecoder compiles a decoder for s.Key, which must not be empty.
func NewKeyDecoder(s *row.Schema) *KeyDecoder {
	key := &row.Schema{}
	for _, k := range s.Key {
		c := s.Columns[k]
		c.NotNull = true
		key.Columns = append(key.Columns, c)
	}
	return &KeyDecoder{column: key.Columns[0], single: len(key.Columns) == 1, decoder: NewDecoder(key, Options{}),
		one: make(row.Row, 1)}
}

// Schema is the schema of the key's values, in key order.
func (d *KeyDecoder) Schema() *row.Schema { return d.decoder.Schema() }

// Decode gives the key's values in key order; they are good until the next call and while key is unchanged.
//
// One column: a JSON object with the column's field, a JSON scalar, or else PostgreSQL's text as it stands. For a text column
// a scalar counts only when it is a JSON string, so 5 and true are the texts "5" and "true". Several columns: a JSON
// object. A fault is as Decoder's.
func (d *KeyDecoder) Decode(key []byte) (row.Row, error) {
	if !d.single {
		return d.decoder.Decode(key)
	}
	isJSON := d.column.Type.OID == row.JSON || d.column.Type.OID == row.JSONB
	if len(key) > 0 && key[0] == '{' && !isJSON {
		if r, err := d.decoder.Decode(key); err == nil {
			return r, nil
		} else if !isRaw(d.column.Type) {
			return nil, err
		}
	}
	v, err := d.scalar(key)
	if err == nil && v.IsNull() {
		err = d.decoder.notNull(0)
	}
	if err != nil {
		return nil, err
	}
	d.one[0] = v
	return d.one, nil
}

func (d *KeyDecoder) scalar(key []byte) (row.Value, error) {
	f := &d.decoder.fields[0]
	if !isRaw(d.column.Type) || len(key) > 0 && key[0] == '"' {
		if v, ok := d.json(key); ok {
			return v, nil
		}
	}
	v, err := d.decoder.format.ParseText(d.column.Type, string(key))
	if err != nil {
		if e, ok := err.(*errs.Error); ok {
			return v, d.decoder.inColumn(f, e)
		}
	}
	return v, err
}

// json reads the whole key as one JSON value.
func (d *KeyDecoder) json(key []byte) (row.Value, bool) {
	x := d.decoder
	x.b, x.i, x.depth, x.arena = key, 0, 0, x.arena[:0]
	x.space()
	v, err := x.value(&x.fields[0].column)
	return v, err == nil && x.end() == nil
}
