package schemarow

import (
	"encoding/binary"
	"math"
	"math/big"
	"strings"

	"github.com/hamba/avro/v2"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
)

// node is a writer's type, compiled.
type node struct {
	kind     avro.Type
	logical  avro.LogicalType
	scale    int32
	size     int      // of a fixed
	symbols  []string // of an enum
	items    *node    // of an array or map
	branches []*node  // of a union
	fields   []avroField
}

type avroField struct {
	name   string
	typ    *node
	column int // of the top record; -1: none
}

const (
	// maxScale is PostgreSQL's largest numeric scale.
	maxScale = 16383
	// maxDecimal bounds the bytes of a decimal: ten times the digits of the largest double.
	maxDecimal = 1280
)

func (d *Decoder) compileAvro(s avro.Schema) error {
	top, err := compileNode(s, map[avro.Schema]*node{})
	if err != nil {
		return err
	}
	if top.kind == avro.Record {
		for i := range top.fields {
			top.fields[i].column = d.byName(top.fields[i].name)
		}
	} else if len(d.columns) != 1 {
		return errs.SQL("22P03", "the record's schema is of Avro type %s, not a record", top.kind)
	}
	d.read = func(payload []byte) error {
		r := &avroReader{Decoder: d, b: payload, budget: len(payload)*limit.JSONDepth + maxEmpty}
		if err := r.top(top); err != nil {
			return err
		}
		if len(r.b) > 0 {
			return errs.SQL("22P03", "the record has %d bytes after its value", len(r.b))
		}
		return nil
	}
	return nil
}

func compileNode(s avro.Schema, named map[avro.Schema]*node) (n *node, err error) {
	if ref, ok := s.(*avro.RefSchema); ok {
		s = ref.Schema()
	}
	if n := named[s]; n != nil {
		return n, nil
	}
	n = &node{kind: s.Type()}
	if l, ok := s.(avro.LogicalTypeSchema); ok && l.Logical() != nil {
		n.logical = l.Logical().Type()
		if dec, ok := l.Logical().(*avro.DecimalLogicalSchema); ok {
			if dec.Scale() < 0 || dec.Scale() > maxScale {
				return nil, errs.SQL("22P03", "the scale %d of a decimal is out of range", dec.Scale())
			}
			n.scale = int32(dec.Scale())
		}
	}
	switch x := s.(type) {
	case *avro.RecordSchema:
		named[s] = n
		for _, f := range x.Fields() {
			typ, err := compileNode(f.Type(), named)
			if err != nil {
				return nil, err
			}
			n.fields = append(n.fields, avroField{name: f.Name(), typ: typ, column: -1})
		}
	case *avro.EnumSchema:
		n.symbols = x.Symbols()
	case *avro.FixedSchema:
		n.size = x.Size()
	case *avro.ArraySchema:
		n.items, err = compileNode(x.Items(), named)
	case *avro.MapSchema:
		n.items, err = compileNode(x.Values(), named)
	case *avro.UnionSchema:
		for _, b := range x.Types() {
			typ, err := compileNode(b, named)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, typ)
		}
	}
	return n, err
}

// avroReader reads one payload (Avro 1.12 specification, "Binary encoding").
type avroReader struct {
	*Decoder
	b []byte
	// budget is how many more values may come: nulls and empty records take no bytes, and a schema can multiply them.
	budget int
}

func (r *avroReader) top(n *node) error {
	if n.kind != avro.Record {
		return r.column(0, n)
	}
	for i := range n.fields {
		f := &n.fields[i]
		var err error
		if f.column < 0 {
			err = r.skip(f.typ)
		} else {
			err = r.column(f.column, f.typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// column reads a value for a column.
func (r *avroReader) column(i int, n *node) error {
	n, err := r.branch(n)
	if err != nil {
		return err
	}
	c := &r.columns[i]
	switch {
	case n.kind == avro.Null:
		r.values[i], r.seen[i] = row.Null, true
		return nil
	case c.json && (n.items != nil || n.kind == avro.Record):
		from := len(r.arena)
		if err := r.json(n); err != nil {
			return err
		}
		return r.setJSON(i, from)
	case n.kind == avro.Array && c.elem != nil:
		v, err := r.list(c, n)
		if err != nil {
			return inColumn(c, err)
		}
		r.values[i], r.seen[i] = v, true
		return nil
	case n.items != nil || n.kind == avro.Record:
		return inColumn(c, errs.SQL("22P02", "an Avro %s is no value of type %s", n.kind, c.typ))
	}
	t, v, err := r.scalar(n)
	if err != nil {
		return inColumn(c, err)
	}
	return r.set(i, t, v)
}

// branch begins a value: it reads which type of a union comes.
func (r *avroReader) branch(n *node) (*node, error) {
	if r.budget--; r.budget < 0 {
		return nil, errs.SQL("54000", "the record has too many values that take no bytes")
	}
	for n.kind == avro.Union {
		i, err := r.long()
		if err != nil {
			return nil, err
		}
		if i < 0 || i >= int64(len(n.branches)) {
			return nil, errs.SQL("22P03", "branch %d of a union of %d", i, len(n.branches))
		}
		n = n.branches[i]
	}
	return n, nil
}

func (r *avroReader) list(c *column, n *node) (row.Value, error) {
	elems := []row.Value{}
	err := r.blocks(func() error {
		item, err := r.branch(n.items)
		if err != nil {
			return err
		}
		if item.kind == avro.Null {
			elems = append(elems, row.Null)
			return nil
		}
		if item.items != nil || item.kind == avro.Record {
			if !c.elem.json {
				return errs.SQL("22P02", "an Avro %s is no value of type %s", item.kind, c.elem.typ)
			}
			from := len(r.arena)
			if err := r.json(item); err != nil {
				return err
			}
			v, err := row.ParseText(c.elem.typ, string(r.arena[from:]))
			elems = append(elems, v)
			return err
		}
		t, v, err := r.scalar(item)
		if err == nil {
			v, err = convert(c.elem, t, v)
		}
		elems = append(elems, v)
		return err
	})
	return row.NewList(elems), err
}

// blocks reads the blocks of an array or map.
func (r *avroReader) blocks(item func() error) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	for {
		count, err := r.long()
		if err != nil {
			return err
		}
		if count < 0 {
			if _, err := r.long(); err != nil { // the block's size in bytes
				return err
			}
			if count = -count; count < 0 {
				return cut()
			}
		}
		if count == 0 {
			return nil
		}
		for ; count > 0; count-- {
			if err := item(); err != nil {
				return err
			}
		}
	}
}

func (r *avroReader) long() (int64, error) {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		return 0, cut()
	}
	r.b = r.b[n:]
	return v, nil
}

func (r *avroReader) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(r.b)) {
		return nil, cut()
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b, nil
}

func (r *avroReader) bytes() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// scalar reads a value without structure, with the type that says what it means.
func (r *avroReader) scalar(n *node) (row.Type, row.Value, error) {
	switch n.kind {
	case avro.Boolean:
		b, err := r.take(1)
		return row.T(row.Bool), row.NewBool(err == nil && b[0] != 0), err
	case avro.Int, avro.Long:
		v, err := r.long()
		return integer(n, v, err)
	case avro.Float:
		b, err := r.take(4)
		if err != nil {
			return row.Type{}, row.Null, err
		}
		return row.T(row.Float4), row.NewFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))), nil
	case avro.Double:
		b, err := r.take(8)
		if err != nil {
			return row.Type{}, row.Null, err
		}
		return row.T(row.Float8), row.NewFloat(math.Float64frombits(binary.LittleEndian.Uint64(b))), nil
	case avro.String:
		b, err := r.bytes()
		if err != nil {
			return row.Type{}, row.Null, err
		}
		v, err := text(b)
		return row.T(row.Text), v, err
	case avro.Enum:
		i, err := r.long()
		if err == nil && (i < 0 || i >= int64(len(n.symbols))) {
			err = errs.SQL("22P03", "symbol %d of an enum of %d", i, len(n.symbols))
		}
		if err != nil {
			return row.Type{}, row.Null, err
		}
		return row.T(row.Text), row.NewText(n.symbols[i]), nil
	case avro.Bytes:
		b, err := r.bytes()
		if err != nil {
			return row.Type{}, row.Null, err
		}
		return binaryValue(n, b)
	case avro.Fixed:
		b, err := r.take(int64(n.size))
		if err != nil {
			return row.Type{}, row.Null, err
		}
		return binaryValue(n, b)
	case avro.Null:
		return row.T(row.Text), row.Null, nil
	}
	return row.Type{}, row.Null, errs.SQL("22P03", "Avro type %s", n.kind)
}

// integer gives an int or long its meaning.
func integer(n *node, v int64, err error) (row.Type, row.Value, error) {
	if err != nil {
		return row.Type{}, row.Null, err
	}
	if n.kind == avro.Int && v != int64(int32(v)) {
		return row.Type{}, row.Null, errs.SQL("22P03", "the Avro int %d has more than 32 bits", v)
	}
	scale := int64(1)
	switch n.logical {
	case avro.Date:
		return row.T(row.Date), row.NewDate(v), nil
	case avro.TimeMillis, avro.TimestampMillis, avro.LocalTimestampMillis:
		scale = 1000
	case avro.TimeMicros, avro.TimestampMicros, avro.LocalTimestampMicros:
	default:
		return row.T(row.Int8), row.NewInt(v), nil
	}
	if v > math.MaxInt64/2000 || v < math.MinInt64/2000 {
		return row.Type{}, row.Null, errs.SQL("22008", "the time %d is out of range", v)
	}
	v *= scale
	switch n.logical {
	case avro.TimeMillis, avro.TimeMicros:
		if v < 0 || v > 86_400_000_000 {
			return row.Type{}, row.Null, errs.SQL("22008", "the time of day %d µs is out of range", v)
		}
		return row.T(row.Time), row.NewTime(v), nil
	case avro.LocalTimestampMillis, avro.LocalTimestampMicros:
		return row.T(row.Timestamp), row.NewTimestamp(v), nil
	}
	return row.T(row.TimestampTZ), row.NewTimestamp(v), nil
}

// binaryValue gives bytes or a fixed its meaning.
func binaryValue(n *node, b []byte) (row.Type, row.Value, error) {
	switch {
	case n.logical == avro.Decimal:
		v, err := decimal(b, n.scale)
		return row.T(row.Numeric), v, err
	case n.logical == avro.Duration && len(b) == 12:
		months, days, millis := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
		if months > math.MaxInt32 || days > math.MaxInt32 {
			return row.Type{}, row.Null, errs.SQL("22008", "the duration is out of range")
		}
		return row.T(row.Interval), row.NewInterval(int32(months), int32(days), int64(millis)*1000), nil
	case n.logical == avro.UUID && len(b) == 16:
		return row.T(row.UUID), row.NewUUID([16]byte(b)), nil
	}
	return row.T(row.Bytea), row.NewBytes(b), nil
}

// decimal reads a two's complement big-endian integer and shifts it by a scale.
func decimal(b []byte, scale int32) (row.Value, error) {
	if len(b) > maxDecimal {
		return row.Null, errs.SQL("22003", "a decimal of %d bytes is out of range", len(b))
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	if n.IsInt64() {
		return row.NewNumeric(n.Int64(), scale), nil
	}
	digits := new(big.Int).Abs(n).String()
	if pad := int(scale) + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	s := digits[:len(digits)-int(scale)]
	if scale > 0 {
		s += "." + digits[len(digits)-int(scale):]
	}
	if n.Sign() < 0 {
		s = "-" + s
	}
	return row.NumericFromString(s)
}
