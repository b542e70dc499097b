package schema

import (
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
)

func parse(t testing.TB, typ Type, text string, imports ...Import) *Schema {
	t.Helper()
	s, err := Parse(typ, text, imports)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// What a new schema may change, by its reading what the old one wrote.
func TestReads(t *testing.T) {
	message := func(fields string) string { return `syntax = "proto3"; enum E { Z = 0; } message M { ` + fields + ` }` }
	for _, c := range []struct {
		typ      Type
		old, now string
		ok       bool
	}{
		{Avro, `"int"`, `"long"`, true}, {Avro, `"long"`, `"int"`, false}, {Avro, `"int"`, `["null","int"]`, true}, {Avro, `["null","int"]`, `"int"`, false},
		{Avro, `{"type":"enum","name":"e","symbols":["A","B"]}`, `{"type":"enum","name":"e","symbols":["A"]}`, false},
		{Avro, `{"type":"enum","name":"e","symbols":["A","B"]}`, `{"type":"enum","name":"e","symbols":["A"],"default":"A"}`, true},
		{Avro, `{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}`, `{"type":"record","name":"r","fields":[{"name":"b","aliases":["a"],"type":"int"}]}`, true},
		{Avro, `{"type":"record","name":"r","fields":[{"name":"n","type":["null","r"]}]}`, `{"type":"record","name":"r","fields":[{"name":"n","type":["null","r"]}]}`, true},
		{Avro, `{"type":"fixed","name":"f","size":4}`, `{"type":"fixed","name":"f","size":5}`, false},

		{Protobuf, message(`int32 a = 1;`), message(`bool a = 1;`), true}, {Protobuf, message(`int32 a = 1;`), message(`sint32 a = 1;`), false},
		{Protobuf, message(`int32 a = 1;`), message(``), true}, {Protobuf, message(``), message(`int32 a = 1;`), true},
		{Protobuf, message(`int32 a = 1;`), message(`repeated int32 a = 1;`), false}, {Protobuf, message(`string a = 1;`), message(`repeated bytes a = 1;`), true},
		{Protobuf, message(`oneof o { int32 a = 1; int32 b = 2; }`), message(`oneof o { int32 a = 1; }`), false},
		{Protobuf, message(`int32 a = 1;`), message(`oneof o { int32 a = 1; int32 b = 2; }`), true},
		{Protobuf, message(`int32 a = 1; int32 b = 2;`), message(`oneof o { int32 a = 1; int32 b = 2; }`), false},
		{Protobuf, message(`map<string, int32> a = 1;`), message(`map<string, int64> a = 1;`), true},
		{Protobuf, message(`E a = 1;`), message(`M a = 1;`), false}, {Protobuf, message(`int32 a = 1;`), `syntax = "proto3"; package p; message M {}`, false},
		{Protobuf, `syntax = "proto2"; message M {}`, `syntax = "proto2"; message M { required int32 a = 1; }`, false},

		{JSON, `{"type":"integer"}`, `{"type":"number"}`, true}, {JSON, `{"type":"number"}`, `{"type":"integer"}`, false},
		{JSON, `{"type":"string"}`, `{"type":["string","null"]}`, true}, {JSON, `true`, `{"type":"string"}`, false}, {JSON, `{"type":"string"}`, `{}`, true},
		{JSON, `{"enum":["a"]}`, `{"enum":["a","b"]}`, true}, {JSON, `{"enum":["a","b"]}`, `{"enum":["a"]}`, false}, {JSON, `{"const":1}`, `{"enum":[1,2]}`, true},
		{JSON, `{"minimum":5}`, `{"minimum":4.5}`, true}, {JSON, `{"minimum":5}`, `{"minimum":6}`, false}, {JSON, `{}`, `{"maximum":1e3}`, false},
		{JSON, `{"maxLength":5}`, `{"maxLength":6}`, true}, {JSON, `{"maxLength":5}`, `{"maxLength":4}`, false}, {JSON, `{}`, `{"minLength":0}`, true},
		{JSON, `{"multipleOf":4}`, `{"multipleOf":2}`, true}, {JSON, `{"multipleOf":2}`, `{"multipleOf":4}`, false},
		{JSON, `{"items":{"type":"integer"}}`, `{"items":{"type":"number"}}`, true}, {JSON, `{}`, `{"items":{"type":"number"}}`, false},
		{JSON, `{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"string"}}}`, false}, {JSON, `{"type":"object"}`, `{"type":"object","properties":{"a":{}}}`, true},
		{JSON, `{"type":"object","properties":{"a":{"type":"string"}}}`, `{"type":"object"}`, true},
		{JSON, `{"type":"object","properties":{"a":{"type":"string"}}}`, `{"type":"object","additionalProperties":false}`, false},
		{JSON, `{"type":"object","required":["a"]}`, `{"type":"object"}`, true},
		{JSON, `{"type":"object","additionalProperties":false}`, `{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"additionalProperties":false}`, true},
		{JSON, `{"type":"string"}`, `{"anyOf":[{"type":"string"},{"type":"null"}]}`, true}, {JSON, `{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"type":"string"}`, false},
		{JSON, `{"oneOf":[{"type":"string"},{"type":"null"}]}`, `{"type":["null","string","boolean"]}`, true},
		{JSON, `{"type":"string"}`, `{"allOf":[{"type":"string"},{"maxLength":3}]}`, false}, {JSON, `{"allOf":[{"type":"string"},{"maxLength":3}]}`, `{"type":"string"}`, true},
		{JSON, `{"$ref":"#/definitions/n","definitions":{"n":{"type":"object","properties":{"n":{"$ref":"#/definitions/n"}}}}}`,
			`{"$ref":"#/definitions/m","definitions":{"m":{"type":"object","properties":{"n":{"$ref":"#/definitions/m"}}}}}`, true},
		{JSON, `{"not":{"type":"string"}}`, `{"not":{"type":"string"}}`, true}, {JSON, `{}`, `{"not":{"type":"string"}}`, false},
	} {
		faults, err := Follow(t.Context(), MaxSteps, Backward, parse(t, c.typ, c.now), []*Schema{parse(t, c.typ, c.old)})
		if (len(faults) == 0) != c.ok || err != nil {
			t.Errorf("%s\n  reading what was written with\n%s: %v, want ok=%v", c.now, c.old, faults, c.ok)
		}
	}
}

func TestFollow(t *testing.T) {
	text := func(fields string) *Schema {
		return parse(t, Avro, `{"type":"record","name":"r","fields":[`+fields+`]}`)
	}
	one, two := text(`{"name":"a","type":"int"}`), text(`{"name":"b","type":"int","default":0}`)
	three := text(`{"name":"a","type":"int"},{"name":"b","type":"int"}`) // reads neither
	for _, c := range []struct {
		level Level
		next  *Schema
		ok    bool
	}{{None, three, true}, {Backward, two, true}, {BackwardTransitive, three, false}, {Backward, one, false}, {Forward, three, true},
		{ForwardTransitive, three, true}, {Full, three, false}, {FullTransitive, two, false}} {
		if faults, err := Follow(t.Context(), MaxSteps, c.level, c.next, []*Schema{one, two}); (len(faults) == 0) != c.ok || err != nil {
			t.Errorf("%s %s: %v %v", c.level, c.next.Text, faults, err)
		}
	}
}

func TestImports(t *testing.T) {
	base := parse(t, Protobuf, `syntax = "proto3"; package b; message Base { int32 id = 1; }`)
	user := parse(t, Protobuf, `syntax = "proto3"; import "b.proto"; message U { b.Base b = 1; }`, Import{"b.proto", base})
	serialized, err := user.Serialized()
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, Protobuf, serialized, Import{"b.proto", base})
	if !again.Same(user, false) || !strings.Contains(again.Text, "message U") {
		t.Errorf("a descriptor became %s", again.Text)
	}
	if _, err := Parse(Protobuf, user.Text, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("without its import: %v", err)
	}
	inner := parse(t, Avro, `{"type":"record","name":"n.i","fields":[]}`)
	parse(t, Avro, `{"type":"record","name":"o","fields":[{"name":"a","type":"n.i"},{"name":"b","type":"n.i"}]}`, Import{"n.i", inner})
	parse(t, JSON, `{"$ref":"other.json"}`, Import{"other.json", parse(t, JSON, `{"type":"string"}`)})
}

// Any text is a schema or an error, in bounded time; one that was taken reads itself, and its text says the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"type":"record","name":"r","fields":[{"name":"a","type":["null","int"],"default":null}]}`,
		`syntax = "proto3"; message M { repeated M m = 1; map<string, int32> x = 2; oneof o { bytes b = 3; } }`,
		`{"type":"object","properties":{"a":{"$ref":"#/definitions/x"}},"definitions":{"x":{"enum":[1,2]}},"allOf":[{"minimum":1e9}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range []Type{Avro, JSON, Protobuf} {
			s, err := Parse(typ, text, nil)
			if err != nil {
				continue
			}
			again, err := Parse(typ, s.Text, nil)
			if err != nil || !again.Same(s, false) {
				t.Fatalf("%s: the text %q of %q is another schema: %v", typ, s.Text, text, err)
			}
			if faults, err := Follow(t.Context(), MaxSteps, Full, s, []*Schema{again}); typ != JSON && len(faults) > 0 || err != nil {
				t.Fatalf("%s: %q does not read itself: %v %v", typ, text, faults, err)
			}
		}
	})
}

// Any bytes are a frame or none, and what is read is within them.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 5})
	f.Add([]byte{0, 0, 0, 0, 1, 4, 2, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, payload, ok := Frame(b)
		if !ok {
			return
		}
		if string(AppendFrame(nil, id))+string(payload) != string(b) {
			t.Fatal("another frame")
		}
		if indexes, rest, err := Indexes(payload); err == nil && (len(rest) >= len(payload) || len(indexes) == 0) {
			t.Fatal("indexes of nothing")
		}
	})
}
