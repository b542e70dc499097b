package jsonrow

import (
	"unicode/utf8"
	"unsafe"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/zeebo/xxh3"
)

// Options change how a Decoder fills a row. The zero Options is the default.
type Options struct {
	// Defaults holds constants for missing fields, one a column; nil: none.
	Defaults []row.Value
	// HasDefault says which of Defaults count: a default may be NULL. It is as long as Defaults.
	HasDefault []bool
	// Format is the zone of timestamptz texts that name none; zero: UTC.
	Format row.Format
}

// Decoder reads JSON objects as rows of one schema. It is not for concurrent use.
type Decoder struct {
	schema *row.Schema
	format row.Format
	fields []field
	// table finds a field by name: open addressing over its hash, entries are index+1; its size is a power of two.
	table []uint16
	// fill is what a record starts from: the defaults.
	fill row.Row
	// must are NOT NULL columns; checked when a record had fewer values than columns, or a null.
	values row.Row
	seen   []uint32
	record uint32

	b     []byte
	i     int
	depth int
	arena []byte
}

// field is one column as the decoder needs it.
type field struct {
	column
	name    string
	quoted  string // the name in quotes as JSON writes it
	notNull bool
	missing bool // has a default
}

// NewDecoder compiles a decoder.
func NewDecoder(s *row.Schema, o Options) *Decoder {
	d := &Decoder{schema: s, format: o.Format, fields: make([]field, len(s.Columns)), fill: make(row.Row, len(s.Columns)),
		values: make(row.Row, len(s.Columns)), seen: make([]uint32, len(s.Columns))}
	size := 4
	for size < 2*len(s.Columns) {
		size *= 2
	}
	d.table = make([]uint16, size)
	for i, c := range s.Columns {
		d.fields[i] = field{column: compile(c.Type), name: c.Name, notNull: c.NotNull,
			quoted: string(row.AppendJSONString(nil, c.Name))}
		if i < len(o.Defaults) && i < len(o.HasDefault) && o.HasDefault[i] {
			d.SetDefault(i, o.Defaults[i])
		}
		at := xxh3.HashString(c.Name) & uint64(size-1)
		for d.table[at] != 0 {
			at = (at + 1) & uint64(size-1)
		}
		d.table[at] = uint16(i + 1)
	}
	return d
}

// SetDefault sets what column i takes when its field is missing, from the next record on: now() as a default is the
// record's timestamp.
func (d *Decoder) SetDefault(i int, v row.Value) {
	d.fields[i].missing, d.fill[i] = true, v
}

// Schema is the schema of the rows.
func (d *Decoder) Schema() *row.Schema { return d.schema }

// Append decodes one record and appends it to a builder of the same schema. After a fault the builder is as it was.
func (d *Decoder) Append(record []byte, to *row.Builder) error {
	r, err := d.Decode(record)
	if err != nil {
		return err
	}
	to.AppendRow(r)
	return nil
}

// DecodeRow decodes one record into a row that the caller owns.
func (d *Decoder) DecodeRow(record []byte) (row.Row, error) {
	r, err := d.Decode(record)
	if err != nil {
		return nil, err
	}
	out := make(row.Row, len(r))
	for i, v := range r {
		out[i] = row.Own(v)
	}
	return out, nil
}

// Decode decodes one record without copying: the row and its values are good until the next call, and while record is
// unchanged.
func (d *Decoder) Decode(record []byte) (row.Row, error) {
	if d.record++; d.record == 0 { // wrapped: old marks would count again
		clear(d.seen)
		d.record = 1
	}
	d.b, d.i, d.depth, d.arena = record, 0, 0, d.arena[:0]
	if !utf8.Valid(record) {
		return nil, errs.SQL("22021", "the record is not valid UTF-8")
	}
	given, err := d.object()
	if err != nil {
		return nil, err
	}
	if given < len(d.fields) {
		for i := range d.fields {
			if d.seen[i] != d.record {
				d.values[i] = d.fill[i]
			}
		}
	}
	for i := range d.fields {
		if d.fields[i].notNull && d.values[i].IsNull() {
			return nil, d.notNull(i)
		}
	}
	return d.values, nil
}

func (d *Decoder) notNull(i int) error {
	e := errs.SQL("23502", "null value in column \"%s\" violates not-null constraint", d.fields[i].name)
	e.Column = d.fields[i].name
	return e
}

// object reads the record's object into values and gives the number of columns that it named.
func (d *Decoder) object() (given int, err error) {
	d.space()
	if d.i >= len(d.b) || d.b[d.i] != '{' {
		return 0, errs.SQL("22P02", "the record is not a JSON object")
	}
	d.i++
	d.depth = 1
	if d.space(); d.i < len(d.b) && d.b[d.i] == '}' {
		d.i++
		return 0, d.end()
	}
	expect := 0
	for {
		if d.space(); d.i >= len(d.b) || d.b[d.i] != '"' {
			return 0, d.unexpected("a field's name")
		}
		col := d.field(expect)
		if col == badName {
			return 0, d.unexpected("a field's name")
		}
		if d.space(); d.i >= len(d.b) || d.b[d.i] != ':' {
			return 0, d.unexpected("':'")
		}
		d.i++
		d.space()
		if col < 0 {
			if err := d.skip(); err != nil {
				return 0, err
			}
		} else {
			f := &d.fields[col]
			v, err := d.value(&f.column)
			if err != nil {
				return 0, d.inColumn(f, err)
			}
			d.values[col] = v
			if d.seen[col] != d.record {
				d.seen[col] = d.record
				given++
			}
			expect = col + 1
		}
		if d.space(); d.i >= len(d.b) {
			return 0, d.unexpected("',' or '}'")
		}
		switch d.b[d.i] {
		case ',':
			d.i++
			continue
		case '}':
			d.i++
			return given, d.end()
		}
		return 0, d.unexpected("',' or '}'")
	}
}

func (d *Decoder) end() error {
	if d.space(); d.i < len(d.b) {
		return errs.SQL("22P02", "the record has bytes after its JSON object, at byte %d", d.i)
	}
	return nil
}

const (
	noColumn = -1
	badName  = -2
)

// field reads a field's name and gives its column: the expected one at the cost of one comparison.
func (d *Decoder) field(expect int) int {
	if expect < len(d.fields) {
		q := d.fields[expect].quoted
		if len(d.b)-d.i >= len(q) && view(d.b[d.i:d.i+len(q)]) == q {
			d.i += len(q)
			return expect
		}
	}
	name, err := d.str()
	if err != nil {
		return badName
	}
	mask := uint64(len(d.table) - 1)
	for at := xxh3.HashString(name) & mask; d.table[at] != 0; at = (at + 1) & mask {
		if i := int(d.table[at]) - 1; d.fields[i].name == name {
			return i
		}
	}
	return noColumn
}

// inColumn names the column in a fault.
func (d *Decoder) inColumn(f *field, err error) error {
	e, ok := err.(*errs.Error)
	if !ok {
		return err
	}
	out := *e
	out.Column = f.name
	out.Message = "column \"" + f.name + "\": " + e.Message
	return &out
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
