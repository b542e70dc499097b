package schema

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/hamba/avro/v2"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
)

// Type is the language of a schema.
type Type string

// The types, by the names of Confluent's API.
const (
	Avro     Type = "AVRO"
	JSON     Type = "JSON"
	Protobuf Type = "PROTOBUF"
)

// Known reports whether t is one of the types.
func (t Type) Known() bool { return t == Avro || t == JSON || t == Protobuf }

// Import is a schema that another one refers to, by the name that it uses: a type's full name in Avro, a path in Protobuf, a
// URL in JSON Schema.
type Import struct {
	Name   string
	Schema *Schema
}

// Schema is a schema that was read. It is immutable.
type Schema struct {
	Type Type
	// Text is what was given, but for whitespace at its ends and between JSON's tokens; of a FileDescriptorProto it is the
	// Protobuf source that says the same.
	Text    string
	Imports []Import

	// Avro is set of an Avro schema, File of a Protobuf one.
	Avro avro.Schema
	File protoreflect.FileDescriptor
	json any // of a JSON schema, as encoding/json gives it with UseNumber
	// identity is equal for equal schemas (imports aside), normal for those that differ only in how they are written.
	identity, normal string
}

// Parse reads a schema. Errors: Invalid, with the library's reason; Limit.
func Parse(t Type, text string, imports []Import) (s *Schema, err error) {
	if err := check(text); err != nil {
		return nil, err
	}
	// The libraries are not ours, and a text that makes one panic stands in the log for ever.
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, errs.New(errs.Invalid, "the %s schema cannot be read: %v", t, p)
		}
	}()
	s = &Schema{Type: t, Text: strings.TrimSpace(text), Imports: imports}
	switch t {
	case Avro:
		err = s.parseAvro()
	case JSON:
		err = s.parseJSON()
	case Protobuf:
		err = s.parseProtobuf()
	default:
		err = errs.New(errs.Invalid, "unknown schema type %q: there are AVRO, JSON and PROTOBUF", string(t))
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// check bounds bytes and nesting: the parsers recurse on brackets.
func check(text string) error {
	if err := limit.Check("a schema's length in bytes", int64(len(text)), int64(limit.SchemaText)); err != nil {
		return err
	}
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote || c == '\n' {
				quote = 0
			}
		case c == '"':
			quote = c
		case c == '{' || c == '[' || c == '<' || c == '(':
			if depth++; depth > limit.SchemaDepth {
				return errs.New(errs.Limit, "the schema is nested more than %d deep", limit.SchemaDepth)
			}
		case c == '}' || c == ']' || c == '>' || c == ')':
			depth--
		}
	}
	return nil
}

// Same reports whether two schemas are one: with normalize also when they only differ in how they are written.
func (s *Schema) Same(o *Schema, normalize bool) bool {
	if s.Type != o.Type {
		return false
	}
	if normalize {
		return s.normal == o.normal
	}
	return s.identity == o.identity
}

// Normal is the schema in its normal form.
func (s *Schema) Normal() string { return s.normal }

// generic reads JSON, keeping numbers as they are written, and gives it without whitespace too.
func generic(text string) (value any, compact string, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, "", errs.New(errs.Invalid, "the schema is not JSON: %w", err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return nil, "", errs.New(errs.Invalid, "the schema is not JSON: %w", err)
	}
	return value, b.String(), nil
}

// sorted is a generic value as JSON with the keys of objects in order.
func sorted(value any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return strings.TrimSuffix(b.String(), "\n"), err
}
