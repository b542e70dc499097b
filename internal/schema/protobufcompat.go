package schema

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// protobufReads compares files as Confluent does: messages by name, fields by number. A field that is gone is skipped and a
// new one has its default, so what can go wrong is a number that means something else, a message that is gone, a member of
// a oneof that is gone, and required fields.
func protobufReads(reader, writer protoreflect.FileDescriptor) (faults []string) {
	if reader.Package() != writer.Package() {
		return []string{fmt.Sprintf("the packages are %q and %q", reader.Package(), writer.Package())}
	}
	return messagesRead(reader.Messages(), writer.Messages())
}

func messagesRead(reader, writer protoreflect.MessageDescriptors) (faults []string) {
	for i := range writer.Len() {
		w := writer.Get(i)
		r := reader.ByName(w.Name())
		if r == nil {
			faults = append(faults, fmt.Sprintf("message %s was removed", w.FullName()))
			continue
		}
		faults = append(faults, fieldsRead(r, w)...)
		faults = append(faults, messagesRead(r.Messages(), w.Messages())...)
	}
	return faults
}

func fieldsRead(reader, writer protoreflect.MessageDescriptor) (faults []string) {
	moved := map[protoreflect.OneofDescriptor]int{}
	for i := range writer.Fields().Len() {
		w := writer.Fields().Get(i)
		r := reader.Fields().ByNumber(w.Number())
		if r == nil {
			if realOneof(w) != nil {
				faults = append(faults, fmt.Sprintf("field %s was removed from a oneof", w.FullName()))
			}
			continue
		}
		if class(r) != class(w) {
			faults = append(faults, fmt.Sprintf("field %s (%d) changed from %s to %s", w.FullName(), w.Number(), class(w), class(r)))
		}
		if o := realOneof(r); o != nil && realOneof(w) == nil {
			if moved[o]++; moved[o] == 2 || oldMember(o, writer) {
				faults = append(faults, fmt.Sprintf("several fields were moved into oneof %s", o.FullName()))
			}
		}
	}
	for i := range reader.Fields().Len() {
		r := reader.Fields().Get(i)
		if r.Cardinality() != protoreflect.Required {
			continue
		}
		if w := writer.Fields().ByNumber(r.Number()); w == nil || w.Cardinality() != protoreflect.Required {
			faults = append(faults, fmt.Sprintf("field %s is required, and was not", r.FullName()))
		}
	}
	return faults
}

// realOneof is the oneof of a field, but for the one that "optional" makes.
func realOneof(f protoreflect.FieldDescriptor) protoreflect.OneofDescriptor {
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return o
	}
	return nil
}

// oldMember reports whether a oneof of the reader has a member that was in a oneof of the writer already.
func oldMember(o protoreflect.OneofDescriptor, writer protoreflect.MessageDescriptor) bool {
	for i := range o.Fields().Len() {
		if w := writer.Fields().ByNumber(o.Fields().Get(i).Number()); w != nil && realOneof(w) != nil {
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
