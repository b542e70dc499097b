package schemarow

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
)

// merge reads a message with structure into m, as one that comes twice is joined. Extensions do not matter to rows.
func merge(m proto.Message, b []byte) error {
	o := proto.UnmarshalOptions{Merge: true, AllowPartial: true, RecursionLimit: limit.JSONDepth, Resolver: &protoregistry.Types{}}
	if err := o.Unmarshal(b, m); err != nil {
		return errs.SQL("22P03", "message %s is malformed or nested more than %d deep", m.ProtoReflect().Descriptor().FullName(), limit.JSONDepth)
	}
	return nil
}

// each gives the messages of a field one by one.
func (f *protoField) each(fn func(b []byte) error) error {
	for rest := f.raw; len(rest) > 0; {
		b, n := protowire.ConsumeBytes(rest)
		if n < 0 {
			return malformed()
		}
		rest = rest[n:]
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// protoMessage sets the value of a field that is a message.
func (d *Decoder) protoMessage(f *protoField, c *column) error {
	m := dynamicpb.NewMessage(f.Message())
	if err := f.each(func(b []byte) error { return merge(m, b) }); err != nil {
		return err
	}
	if t, v, ok, err := d.wellKnown(m); ok || err != nil {
		if err == nil {
			v, err = convert(c, t, v)
		}
		if err == nil {
			d.values[f.column], d.seen[f.column] = v, true
		}
		return err
	}
	if !c.json {
		return errs.SQL("22P02", "a message is no value of type %s", c.typ)
	}
	from := len(d.arena)
	if err := d.messageJSON(m); err != nil {
		return err
	}
	return d.setJSON(f.column, from)
}

// protoMessages sets the value of a field that is a map or a list of messages.
func (d *Decoder) protoMessages(f *protoField) error {
	c := &d.columns[f.column]
	if c.json {
		// As a field of its own message: maps are merged there.
		m := dynamicpb.NewMessage(f.ContainingMessage())
		err := f.each(func(b []byte) error {
			if f.Kind() == protoreflect.GroupKind {
				return merge(m, protowire.AppendGroup(protowire.AppendTag(nil, f.Number(), protowire.StartGroupType), f.Number(), b))
			}
			return merge(m, protowire.AppendBytes(protowire.AppendTag(nil, f.Number(), protowire.BytesType), b))
		})
		if err != nil {
			return err
		}
		from := len(d.arena)
		if err := d.fieldJSON(f, m.Get(f.FieldDescriptor)); err != nil {
			return err
		}
		return d.setJSON(f.column, from)
	}
	if c.elem == nil || f.IsMap() {
		return errs.SQL("22P02", "a list of messages or a map is no value of type %s", c.typ)
	}
	elems := []row.Value{}
	err := f.each(func(b []byte) error {
		m := dynamicpb.NewMessage(f.Message())
		if err := merge(m, b); err != nil {
			return err
		}
		t, v, ok, err := d.wellKnown(m)
		if err == nil && !ok {
			if !c.elem.json {
				return errs.SQL("22P02", "a message is no value of type %s", c.elem.typ)
			}
			from := len(d.arena)
			if err = d.messageJSON(m); err == nil {
				t, v = row.T(row.JSON), row.NewText(string(d.arena[from:]))
			}
		}
		if err == nil {
			v, err = convert(c.elem, t, v)
		}
		elems = append(elems, v)
		return err
	})
	if err != nil {
		return err
	}
	d.values[f.column], d.seen[f.column] = row.NewList(elems), true
	return nil
}

// wellKnown gives the value of a message of Protobuf's own that is a scalar.
func (d *Decoder) wellKnown(m protoreflect.Message) (t row.Type, v row.Value, ok bool, err error) {
	fields := m.Descriptor().Fields()
	number := func(i protowire.Number) int64 {
		if fd := fields.ByNumber(i); fd != nil && fd.Cardinality() != protoreflect.Repeated {
			switch fd.Kind() {
			case protoreflect.Int64Kind, protoreflect.Int32Kind:
				return m.Get(fd).Int()
			}
		}
		return 0
	}
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		seconds, nanos := number(1), number(2)
		if seconds > math.MaxInt64/2_000_000 || seconds < math.MinInt64/2_000_000 || nanos > 999_999_999 || nanos < -999_999_999 {
			return t, v, false, errs.SQL("22008", "the time %d s %d ns is out of range", seconds, nanos)
		}
		micros := seconds*1_000_000 + nanos/1000
		if m.Descriptor().Name() == "Timestamp" {
			return row.T(row.TimestampTZ), row.NewTimestamp(micros), true, nil
		}
		return row.T(row.Interval), row.NewInterval(0, 0, micros), true, nil
	case "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int64Value", "google.protobuf.UInt64Value",
		"google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.BoolValue", "google.protobuf.StringValue",
		"google.protobuf.BytesValue":
		fd := fields.ByNumber(1)
		if fd == nil || fd.Cardinality() == protoreflect.Repeated || fd.Message() != nil {
			return t, v, false, nil // somebody's own
		}
		t, v, err = d.meaning(fd, fd.Kind(), scalarOf(fd, m.Get(fd)), false)
		return t, v, err == nil, err
	}
	return t, v, false, nil
}

// messageJSON appends a message as an object of the fields that are set, by number.
func (d *Decoder) messageJSON(m protoreflect.Message) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	if t, v, ok, err := d.wellKnown(m); ok || err != nil {
		if err != nil {
			return err
		}
		return d.appendValue(t, v)
	}
	var set []protoreflect.FieldDescriptor
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		set = append(set, fd)
		return true
	})
	slices.SortFunc(set, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	switch m.Descriptor().FullName() {
	case "google.protobuf.Struct", "google.protobuf.ListValue": // their one field is what they are
		if len(set) == 1 {
			return d.fieldJSON(set[0], m.Get(set[0]))
		}
		if m.Descriptor().Name() == "ListValue" {
			d.arena = append(d.arena, "[]"...)
			return d.room()
		}
	case "google.protobuf.Value":
		if len(set) == 0 || set[0].Kind() == protoreflect.EnumKind {
			d.arena = append(d.arena, "null"...)
			return d.room()
		}
		return d.fieldJSON(set[0], m.Get(set[0]))
	}
	d.arena = append(d.arena, '{')
	for i, fd := range set {
		d.appendName(string(fd.Name()), i == 0)
		if err := d.fieldJSON(fd, m.Get(fd)); err != nil {
			return err
		}
	}
	d.arena = append(d.arena, '}')
	return d.room()
}

// fieldJSON appends a field's value.
func (d *Decoder) fieldJSON(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch {
	case fd.IsMap():
		return d.mapJSON(fd, v.Map())
	case fd.IsList():
		d.arena = append(d.arena, '[')
		for i := range v.List().Len() {
			if i > 0 {
				d.arena = append(d.arena, ',')
			}
			if err := d.oneJSON(fd, v.List().Get(i)); err != nil {
				return err
			}
		}
		d.arena = append(d.arena, ']')
		return d.room()
	}
	return d.oneJSON(fd, v)
}

func (d *Decoder) oneJSON(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	if fd.Message() != nil {
		return d.messageJSON(v.Message())
	}
	t, x, err := d.meaning(fd, fd.Kind(), scalarOf(fd, v), false)
	if err != nil {
		return err
	}
	return d.appendValue(t, x)
}

// mapJSON appends a map with its keys in the order of their texts.
func (d *Decoder) mapJSON(fd protoreflect.FieldDescriptor, m protoreflect.Map) error {
	type entry struct {
		key   string
		value protoreflect.Value
	}
	entries := make([]entry, 0, m.Len())
	var err error
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		t, x, kerr := d.meaning(fd.MapKey(), fd.MapKey().Kind(), scalarOf(fd.MapKey(), k.Value()), false)
		if err = kerr; err == nil {
			entries = append(entries, entry{string(row.AppendText(nil, t, x)), v})
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	d.arena = append(d.arena, '{')
	for i, e := range entries {
		d.appendName(e.key, i == 0)
		if err := d.oneJSON(fd.MapValue(), e.value); err != nil {
			return err
		}
	}
	d.arena = append(d.arena, '}')
	return d.room()
}
