package schemarow

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/internal/schema"
)

const (
	// maxJSON bounds the JSON that is made of one record: names are in the schema, not in the record, and multiply.
	maxJSON = 16 << 20
	// maxEmpty is how many values without bytes any record may have.
	maxEmpty = 1 << 16
)

// Decoder reads records of one writer's schema as rows of one relation's schema. It is not for concurrent use.
type Decoder struct {
	columns []column
	fill    row.Row // the defaults
	values  row.Row
	seen    []bool
	// read decodes a payload into values and marks what it has seen.
	read func(payload []byte) error

	depth int
	arena []byte // JSON of this record
}

// column is one column as values are converted to it.
type column struct {
	name       string
	typ        row.Type
	kind       row.Kind
	min, max   int64
	json       bool
	notNull    bool
	hasDefault bool
	elem       *column
}

func newDecoder(s *row.Schema, o jsonrow.Options) *Decoder {
	d := &Decoder{columns: make([]column, len(s.Columns)), fill: make(row.Row, len(s.Columns)), values: make(row.Row, len(s.Columns)),
		seen: make([]bool, len(s.Columns))}
	for i, c := range s.Columns {
		d.columns[i] = compile(c.Type)
		d.columns[i].name, d.columns[i].notNull = c.Name, c.NotNull
		if i < len(o.Defaults) && i < len(o.HasDefault) && o.HasDefault[i] {
			d.SetDefault(i, o.Defaults[i])
		}
	}
	return d
}

func compile(t row.Type) column {
	c := column{typ: t, kind: row.KindOf(t.OID), json: t.OID == row.JSON || t.OID == row.JSONB}
	c.min, c.max = row.IntegerRange(t.OID)
	if e := t.Element(); e.OID != 0 {
		elem := compile(e)
		c.elem = &elem
	}
	return c
}

// NewAvro compiles a decoder. A writer's schema that is no record is the value of the relation's only column, as a key is.
func NewAvro(s *row.Schema, o jsonrow.Options, writer *schema.Schema) (*Decoder, error) {
	if writer.Avro == nil {
		return nil, errs.SQL("22P03", "the record's schema is of type %s, not AVRO", writer.Type)
	}
	d := newDecoder(s, o)
	return d, d.compileAvro(writer.Avro)
}

// NewProtobuf compiles a decoder of one message.
func NewProtobuf(s *row.Schema, o jsonrow.Options, writer protoreflect.MessageDescriptor) *Decoder {
	d := newDecoder(s, o)
	d.compileProtobuf(writer)
	return d
}

// SetDefault sets what column i takes when its field is missing, from the next record on.
func (d *Decoder) SetDefault(i int, v row.Value) { d.columns[i].hasDefault, d.fill[i] = true, v }

// Decode decodes one payload: the row and its values are good until the next call, and while payload is unchanged.
func (d *Decoder) Decode(payload []byte) (row.Row, error) {
	clear(d.seen)
	copy(d.values, d.fill)
	d.depth, d.arena = 0, d.arena[:0]
	if err := d.read(payload); err != nil {
		return nil, err
	}
	for i := range d.columns {
		if c := &d.columns[i]; c.notNull && d.values[i].IsNull() {
			e := errs.SQL("23502", "null value in column \"%s\" violates not-null constraint", c.name)
			e.Column = c.name
			return nil, e
		}
	}
	return d.values, nil
}

// set converts a scalar of type t for column i.
func (d *Decoder) set(i int, t row.Type, v row.Value) error {
	c := &d.columns[i]
	out, err := convert(c, t, v)
	if err != nil {
		return inColumn(c, err)
	}
	d.values[i], d.seen[i] = out, true
	return nil
}

// setJSON takes the JSON from a place of the arena on for column i.
func (d *Decoder) setJSON(i, from int) error {
	v, err := row.ParseText(d.columns[i].typ, view(d.arena[from:]))
	if err != nil {
		return inColumn(&d.columns[i], err)
	}
	d.values[i], d.seen[i] = v, true
	return nil
}

// inColumn names the column in a fault.
func inColumn(c *column, err error) error {
	e, ok := err.(*errs.Error)
	if !ok {
		return err
	}
	out := *e
	out.Column, out.Message = c.name, "column \""+c.name+"\": "+e.Message
	return &out
}

// byName finds a column, -1: none.
func (d *Decoder) byName(name string) int {
	for i := range d.columns {
		if d.columns[i].name == name {
			return i
		}
	}
	return -1
}

// enter counts one more nesting.
func (d *Decoder) enter() error {
	if d.depth++; d.depth > limit.JSONDepth {
		return errs.SQL("54001", "the record is nested more than %d deep", limit.JSONDepth)
	}
	return nil
}

// room bounds the JSON made so far.
func (d *Decoder) room() error {
	if len(d.arena) > maxJSON {
		return errs.SQL("54000", "the record becomes more than %v of JSON", limit.Bytes(maxJSON))
	}
	return nil
}

func (d *Decoder) appendValue(t row.Type, v row.Value) error {
	d.arena = jsonrow.AppendValue(d.arena, t, v)
	return d.room()
}

func (d *Decoder) appendName(name string, first bool) {
	if !first {
		d.arena = append(d.arena, ',')
	}
	d.arena = append(row.AppendJSONString(d.arena, name), ':')
}

// text is a string of a record as a value.
func text(b []byte) (row.Value, error) {
	s := view(b)
	return row.NewText(s), checkText(s)
}

// checkText refuses what no text can be.
func checkText(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errs.SQL("22021", "a string of the record is not valid UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		return errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")
	}
	return nil
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func cut() error { return errs.SQL("22P03", "the record ends before its value does") }
