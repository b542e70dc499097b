package schema

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// protobufReads compares files as Confluent does: messages by name, fields by number. A field that is gone is skipped and a
// new one has its default, so what can go wrong is a number that means something else, a message that is gone, a member of
// a oneof that is gone, and required fields.
func protobufReads(w *work, reader, writer protoreflect.FileDescriptor) (faults []fault) {
	if reader.Package() != writer.Package() {
		return []fault{here(fmt.Sprintf("the packages are %q and %q", reader.Package(), writer.Package()))}
	}
	return messagesRead(w, reader.Messages(), writer.Messages())
}

func messagesRead(work *work, reader, writer protoreflect.MessageDescriptors) (faults []fault) {
	if !work.spend(reader.Len() + writer.Len()) {
		return nil
	}
	// protocompile's ByName and ByNumber go through a list.
	byName := make(map[protoreflect.Name]protoreflect.MessageDescriptor, reader.Len())
	for i := range reader.Len() {
		byName[reader.Get(i).Name()] = reader.Get(i)
	}
	for i := range writer.Len() {
		w := writer.Get(i)
		r := byName[w.Name()]
		if r == nil {
			faults = add(faults, here(fmt.Sprintf("message %s was removed", w.FullName())))
			continue
		}
		faults = add(faults, fieldsRead(work, r, w)...)
		faults = add(faults, messagesRead(work, r.Messages(), w.Messages())...)
	}
	return faults
}

type fieldsByNumber map[protoreflect.FieldNumber]protoreflect.FieldDescriptor

func byNumber(m protoreflect.MessageDescriptor) fieldsByNumber {
	fields := make(fieldsByNumber, m.Fields().Len())
	for i := range m.Fields().Len() {
		fields[m.Fields().Get(i).Number()] = m.Fields().Get(i)
	}
	return fields
}

func fieldsRead(work *work, reader, writer protoreflect.MessageDescriptor) (faults []fault) {
	if !work.spend(2 * (reader.Fields().Len() + writer.Fields().Len())) {
		return nil
	}
	read, written := byNumber(reader), byNumber(writer)
	moved := map[protoreflect.OneofDescriptor]int{}
	for i := range reader.Oneofs().Len() {
		if o := reader.Oneofs().Get(i); oldMember(o, written) {
			moved[o] = 1
		}
	}
	for i := range writer.Fields().Len() {
		w := writer.Fields().Get(i)
		r := read[w.Number()]
		if r == nil {
			if realOneof(w) != nil {
				faults = add(faults, here(fmt.Sprintf("field %s was removed from a oneof", w.FullName())))
			}
			continue
		}
		if class(r) != class(w) {
			faults = add(faults, here(fmt.Sprintf("field %s (%d) changed from %s to %s", w.FullName(), w.Number(), class(w), class(r))))
		}
		if o := realOneof(r); o != nil && realOneof(w) == nil {
			if moved[o]++; moved[o] == 2 {
				faults = add(faults, here(fmt.Sprintf("several fields were moved into oneof %s", o.FullName())))
			}
		}
	}
	for i := range reader.Fields().Len() {
		r := reader.Fields().Get(i)
		if r.Cardinality() != protoreflect.Required {
			continue
		}
		if w := written[r.Number()]; w == nil || w.Cardinality() != protoreflect.Required {
			faults = add(faults, here(fmt.Sprintf("field %s is required, and was not", r.FullName())))
		}
	}
	return faults
}

// realOneof is the oneof of a field, but for the one that "optional" makes. (protocompile's IsSynthetic goes through all fields.)
func realOneof(f protoreflect.FieldDescriptor) protoreflect.OneofDescriptor {
	if o := f.ContainingOneof(); o != nil && !f.HasOptionalKeyword() {
		return o
	}
	return nil
}

// oldMember reports whether a oneof of the reader has a member that was in a oneof of the writer already.
func oldMember(o protoreflect.OneofDescriptor, written fieldsByNumber) bool {
	for i := range o.Fields().Len() {
		if w := written[o.Fields().Get(i).Number()]; w != nil && realOneof(w) != nil {
			return true
		}
	}
	return false
}

// class is what two kinds must share to be read as each other (protobuf.dev, "Updating A Message Type").
func class(f protoreflect.FieldDescriptor) string {
	kind := ""
	switch f.Kind() {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.BoolKind:
		kind = "varint"
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		kind = "zigzag varint"
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		kind = "fixed32"
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		kind = "fixed64"
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "string" // repeated or not: the last one counts
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if f.IsMap() {
			return "map of " + class(f.MapKey()) + " to " + class(f.MapValue())
		}
		return "message " + string(f.Message().FullName())
	case protoreflect.EnumKind:
		kind = "enum " + string(f.Enum().FullName())
	default:
		kind = f.Kind().String()
	}
	if f.IsList() {
		return "repeated " + kind
	}
	return kind
}
