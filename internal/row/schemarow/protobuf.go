package schemarow

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// protoField is a field of the writer's message that has a column.
type protoField struct {
	protoreflect.FieldDescriptor
	column int
	// What the descriptor says, which is slow to ask.
	kind              protoreflect.Kind
	wire              protowire.Type
	isList, isMessage bool
	// Of the record being read: raw gathers the bytes of messages, each after its length, elems a list's scalars, last is one
	// that is no list's.
	seen  bool
	raw   []byte
	elems []row.Value
	last  row.Value
}

func (d *Decoder) compileProtobuf(m protoreflect.MessageDescriptor) {
	fields := map[protowire.Number]*protoField{}
	var order []*protoField
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		if c := d.byName(string(fd.Name())); c >= 0 {
			f := &protoField{FieldDescriptor: fd, column: c, kind: fd.Kind(), wire: wireOf(fd), isList: fd.IsList(), isMessage: fd.Message() != nil}
			fields[fd.Number()] = f
			order = append(order, f)
		}
	}
	d.read = func(payload []byte) error {
		for _, f := range order {
			f.seen, f.raw, f.elems = false, f.raw[:0], f.elems[:0]
		}
		for len(payload) > 0 {
			number, wire, n := protowire.ConsumeTag(payload)
			if n < 0 || number > protowire.MaxValidNumber {
				return malformed()
			}
			payload = payload[n:]
			f := fields[number]
			if f == nil || !f.fits(wire) {
				if n = protowire.ConsumeFieldValue(number, wire, payload); n < 0 {
					return malformed()
				}
			} else if n = f.gather(wire, payload); n < 0 {
				return malformed()
			}
			payload = payload[n:]
		}
		for _, f := range order {
			if err := d.protoColumn(f); err != nil {
				return inColumn(&d.columns[f.column], err)
			}
		}
		return nil
	}
}

func malformed() error { return errs.SQL("22P03", "the record is not well-formed Protobuf") }

// wireOf is how a field's values are written.
func wireOf(fd protoreflect.FieldDescriptor) protowire.Type {
	switch fd.Kind() {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// fits reports whether a value of a wire type can be the field's; others are passed over, as Protobuf asks.
func (f *protoField) fits(w protowire.Type) bool {
	return w == f.wire || f.isList && w == protowire.BytesType && f.wire != protowire.StartGroupType
}

// gather takes one occurrence of the field and gives the length of its value, negative when it is malformed.
func (f *protoField) gather(w protowire.Type, b []byte) int {
	f.seen = true
	switch {
	case f.wire == protowire.StartGroupType:
		v, n := protowire.ConsumeGroup(f.Number(), b)
		if n >= 0 {
			f.raw = protowire.AppendBytes(f.raw, v)
		}
		return n
	case f.isMessage:
		v, n := protowire.ConsumeBytes(b)
		if n >= 0 {
			f.raw = protowire.AppendBytes(f.raw, v)
		}
		return n
	case w == protowire.BytesType && f.wire != protowire.BytesType: // packed
		v, n := protowire.ConsumeBytes(b)
		for len(v) > 0 && n >= 0 {
			k := f.one(v)
			if k < 0 {
				return k
			}
			v = v[k:]
		}
		return n
	}
	return f.one(b)
}

// one takes one scalar.
func (f *protoField) one(b []byte) int {
	var v row.Value
	var n int
	switch f.wire {
	case protowire.VarintType:
		var x uint64
		if x, n = protowire.ConsumeVarint(b); n >= 0 {
			v = varint(f.kind, x)
		}
	case protowire.Fixed32Type:
		var x uint32
		if x, n = protowire.ConsumeFixed32(b); n >= 0 {
			switch f.kind {
			case protoreflect.FloatKind:
				v = row.NewFloat(float64(math.Float32frombits(x)))
			case protoreflect.Sfixed32Kind:
				v = row.NewInt(int64(int32(x)))
			default:
				v = row.NewInt(int64(x))
			}
		}
	case protowire.Fixed64Type:
		var x uint64
		if x, n = protowire.ConsumeFixed64(b); n >= 0 {
			if f.kind == protoreflect.DoubleKind {
				v = row.NewFloat(math.Float64frombits(x))
			} else {
				v = varint(f.kind, x)
			}
		}
	default:
		var x []byte
		if x, n = protowire.ConsumeBytes(b); n >= 0 {
			if v = row.NewText(view(x)); f.kind == protoreflect.BytesKind {
				v = row.NewBytes(x)
			}
		}
	}
	if n < 0 {
		return n
	}
	if f.isList {
		f.elems = append(f.elems, v)
	} else {
		f.last = v
	}
	return n
}

// varint gives 64 bits the meaning of a kind: an unsigned one that int64 cannot hold is a numeric.
func varint(k protoreflect.Kind, x uint64) row.Value {
	switch k {
	case protoreflect.BoolKind:
		return row.NewBool(x != 0)
	case protoreflect.Int32Kind, protoreflect.EnumKind:
		return row.NewInt(int64(int32(x)))
	case protoreflect.Uint32Kind:
		return row.NewInt(int64(uint32(x)))
	case protoreflect.Sint32Kind:
		return row.NewInt(int64(int32(protowire.DecodeZigZag(x & math.MaxUint32))))
	case protoreflect.Sint64Kind:
		return row.NewInt(protowire.DecodeZigZag(x))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return unsigned(x)
	}
	return row.NewInt(int64(x))
}

func unsigned(x uint64) row.Value {
	if x <= math.MaxInt64 {
		return row.NewInt(int64(x))
	}
	// 2^64-1 has twenty digits: two halves.
	high, err := row.NumericFromString(row.NewNumeric(int64(x/10), 0).Text(row.T(row.Numeric)) + string(rune('0'+x%10)))
	if err != nil {
		return row.Null // not reached: digits are a numeric
	}
	return high
}

// protoColumn gives the column of a field its value.
func (d *Decoder) protoColumn(f *protoField) error {
	c := &d.columns[f.column]
	if f.seen && !f.isMessage && !f.isList {
		return d.protoScalar(f, f.last)
	}
	if !f.seen && f.HasPresence() {
		if f.HasDefault() {
			return d.protoScalar(f, scalarOf(f, f.Default()))
		}
		return nil // missing
	}
	switch {
	case f.isMessage && (f.isList || f.IsMap()):
		return d.protoMessages(f)
	case f.isList:
		return d.protoList(f, c)
	case f.isMessage:
		return d.protoMessage(f, c)
	}
	return d.protoScalar(f, scalarOf(f, f.Default()))
}

// protoScalar sets a scalar.
func (d *Decoder) protoScalar(f *protoField, v row.Value) error {
	t, v, err := d.meaning(f, f.kind, v, d.columns[f.column].kind == row.KindInt)
	if err == nil {
		v, err = convert(&d.columns[f.column], t, v)
	}
	if err != nil {
		return err
	}
	d.values[f.column], d.seen[f.column] = v, true
	return nil
}

func (d *Decoder) protoList(f *protoField, c *column) error {
	if c.json {
		from := len(d.arena)
		d.arena = append(d.arena, '[')
		for i, e := range f.elems {
			if i > 0 {
				d.arena = append(d.arena, ',')
			}
			t, v, err := d.meaning(f, f.kind, e, false)
			if err == nil {
				err = d.appendValue(t, v)
			}
			if err != nil {
				return err
			}
		}
		d.arena = append(d.arena, ']')
		return d.setJSON(f.column, from)
	}
	if c.elem == nil {
		return errs.SQL("22P02", "a repeated field is no value of type %s", c.typ)
	}
	elems := make([]row.Value, 0, len(f.elems))
	for _, e := range f.elems {
		t, v, err := d.meaning(f, f.kind, e, c.elem.kind == row.KindInt)
		if err == nil {
			v, err = convert(c.elem, t, v)
		}
		if err != nil {
			return err
		}
		elems = append(elems, v)
	}
	d.values[f.column], d.seen[f.column] = row.NewList(elems), true
	return nil
}

// meaning gives the type and the value of a scalar: an enum's number becomes its name, unless the number is wanted.
func (d *Decoder) meaning(fd protoreflect.FieldDescriptor, kind protoreflect.Kind, v row.Value, number bool) (row.Type, row.Value, error) {
	switch kind {
	case protoreflect.EnumKind:
		if x := fd.Enum().Values().ByNumber(protoreflect.EnumNumber(v.Int())); x != nil && !number {
			return row.T(row.Text), row.NewText(string(x.Name())), nil
		}
	case protoreflect.BoolKind:
		return row.T(row.Bool), v, nil
	case protoreflect.FloatKind:
		return row.T(row.Float4), v, nil
	case protoreflect.DoubleKind:
		return row.T(row.Float8), v, nil
	case protoreflect.BytesKind:
		return row.T(row.Bytea), v, nil
	case protoreflect.StringKind:
		return row.T(row.Text), v, checkText(v.Str())
	}
	if v.Kind() == row.KindNumeric {
		return row.T(row.Numeric), v, nil
	}
	return row.T(row.Int8), v, nil
}

// scalarOf is a reflected scalar as gather takes it.
func scalarOf(fd protoreflect.FieldDescriptor, v protoreflect.Value) row.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return row.NewBool(v.Bool())
	case protoreflect.EnumKind:
		return row.NewInt(int64(v.Enum()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return row.NewFloat(v.Float())
	case protoreflect.StringKind:
		return row.NewText(v.String())
	case protoreflect.BytesKind:
		return row.NewBytes(v.Bytes())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return unsigned(v.Uint())
	}
	return row.NewInt(v.Int())
}
