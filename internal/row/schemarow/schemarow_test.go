package schemarow

import (
	"encoding/binary"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/internal/schema"
)

func columns(t testing.TB, cols ...string) *row.Schema {
	t.Helper()
	s := &row.Schema{}
	for _, c := range cols {
		name, typ, _ := strings.Cut(c, " ")
		typ, notNull := strings.CutSuffix(typ, " not null")
		rt, ok := row.TypeByName(typ)
		if !ok {
			t.Fatal("no type " + typ)
		}
		s.Columns = append(s.Columns, row.Column{Name: name, Type: rt, NotNull: notNull})
	}
	return s
}

func parse(t testing.TB, typ schema.Type, text string) *schema.Schema {
	t.Helper()
	s, err := schema.Parse(typ, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// form is a row as PostgreSQL shows it, or the fault's text.
func form(s *row.Schema, r row.Row, err error) string {
	if err != nil {
		return err.Error()
	}
	var fields []string
	for i, v := range r {
		if v.IsNull() {
			fields = append(fields, "NULL")
		} else {
			fields = append(fields, v.Text(s.Columns[i].Type))
		}
	}
	return strings.Join(fields, "|")
}

// Values of Avro's types, in columns of many types.
func TestAvroValues(t *testing.T) {
	long := strings.Repeat("9", 40)
	huge, _ := new(big.Rat).SetString(long + ".99")
	for _, c := range []struct {
		typ, column string
		value       any
		want        string
	}{
		{`"int"`, "int", 5, "5"}, {`"int"`, "text", 5, "5"}, {`"int"`, "float8", 5, "5"}, {`"int"`, "numeric(5,2)", 5, "5.00"}, {`"int"`, "bool", 5, "no value of type boolean"},
		{`"long"`, "int", int64(1) << 40, "out of range"}, {`"long"`, "smallint", int64(-7), "-7"}, {`"long"`, "timestamp", int64(7), "no value of type timestamp"},
		{`"double"`, "int", 5.0, "5"}, {`"double"`, "int", 5.5, "invalid input syntax"}, {`"double"`, "real", 1e300, "out of range"}, {`"float"`, "float8", float32(0.5), "0.5"},
		{`"string"`, "text", "a", "a"}, {`"string"`, "int", "17", "17"}, {`"string"`, "int", "x", "invalid input syntax"}, {`"string"`, "varchar(2)", "abc", "too long"},
		{`"string"`, "text", "a\x00", "invalid byte sequence"}, {`"string"`, "text", "\xff", "not valid UTF-8"}, {`"string"`, "jsonb", `a"b`, `"a\"b"`}, {`"string"`, "timestamptz", "2001-02-03", "2001-02-03 00:00:00+00"},
		{`"bytes"`, "bytea", []byte{1, 255}, `\x01ff`}, {`"bytes"`, "text", []byte("é"), "é"}, {`"bytes"`, "int", []byte("1"), "no value of type integer"},
		{`"boolean"`, "bool", true, "t"}, {`"boolean"`, "text", true, "t"}, {`["null","int"]`, "int", nil, "NULL"}, {`["null","int"]`, "json", map[string]any{"int": 3}, "3"},
		{`{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`, "numeric", big.NewRat(-1234, 100), "-12.34"},
		{`{"type":"bytes","logicalType":"decimal","precision":60,"scale":2}`, "numeric", huge, long + ".99"},
		{`{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`, "int", big.NewRat(12, 1), "12"},
		{`{"type":"long","logicalType":"timestamp-micros"}`, "timestamptz", time.UnixMicro(981173106500000), "2001-02-03 04:05:06.5+00"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "date", time.UnixMicro(981173106500000), "2001-02-03"},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, "timestamp", time.UnixMicro(981173106500000).UTC(), "2001-02-03 04:05:06.5"},
		{`{"type":"int","logicalType":"date"}`, "date", time.Unix(981173106, 0).UTC(), "2001-02-03"},
		{`{"type":"int","logicalType":"time-millis"}`, "time", 90 * time.Minute, "01:30:00"},
		{`{"type":"string","logicalType":"uuid"}`, "uuid", "12345678-9abc-def0-1234-56789abcdef0", "12345678-9abc-def0-1234-56789abcdef0"},
		{`{"type":"fixed","name":"f","size":12,"logicalType":"duration"}`, "interval", avro.LogicalDuration{Months: 1, Days: 2, Milliseconds: 3500}, "1 mon 2 days 00:00:03.5"},
		{`{"type":"array","items":["null","int"]}`, "int[]", []any{1, nil}, "{1,NULL}"}, {`{"type":"array","items":"int"}`, "jsonb", []int{1, 2}, "[1, 2]"},
		{`{"type":"array","items":"int"}`, "int", []int{1, 2}, "an Avro array is no value"}, {`{"type":"map","values":"double"}`, "json", map[string]any{"a": 0.5}, `{"a":0.5}`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, "text", "B", "B"},
	} {
		w := parse(t, schema.Avro, `{"type":"record","name":"r","fields":[{"name":"before","type":"string"},{"name":"c","type":`+c.typ+`},{"name":"after","type":"int"}]}`)
		payload, err := avro.Marshal(w.Avro, map[string]any{"before": "skipped", "c": c.value, "after": 7})
		if err != nil {
			t.Fatalf("%s: %v", c.typ, err)
		}
		s := columns(t, "after int", "c "+c.column, "missing int")
		d, err := NewAvro(s, jsonrow.Options{}, w)
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Decode(payload)
		if got := form(s, r, err); err == nil && got != "7|"+c.want+"|NULL" || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%s %v as %s: %s, want %s", c.typ, c.value, c.column, got, c.want)
		}
		for i := range payload {
			if r, err := d.Decode(payload[:i]); err == nil {
				t.Errorf("%s cut at %d: %s", c.typ, i, form(s, r, nil))
			}
		}
	}
}

const protoText = `syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/wrappers.proto";
message M { int32 i = 1; uint64 u = 2; string s = 3; bytes b = 4; double d = 5; repeated sint32 l = 6; map<string, M> m = 7; M n = 8;
  google.protobuf.Timestamp t = 9; google.protobuf.Struct j = 10; google.protobuf.StringValue w = 11; optional int32 o = 12; E e = 13; bool y = 14; repeated M r = 15; }
enum E { ZERO = 0; ONE = 1; }`

func protoColumns(t testing.TB) *row.Schema {
	return columns(t, "i int", "u numeric", "s text", "b bytea", "d float8", "l int[]", "m jsonb", "n json", "t timestamptz", "j jsonb", "w text", "o int", "e text", "y bool", "r jsonb")
}

func TestProtobufValues(t *testing.T) {
	w := parse(t, schema.Protobuf, protoText)
	s := protoColumns(t)
	m, err := w.Message([]int32{0})
	if err != nil {
		t.Fatal(err)
	}
	d := NewProtobuf(s, jsonrow.Options{}, m)
	str := func(b []byte, n protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	num := func(b []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	}
	for _, c := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"empty", nil, `0|0||\x|0|{}|{}|NULL|NULL|NULL|NULL|NULL|ZERO|f|[]`},
		{"the last of several", num(num(nil, 1, 5), 1, 6), `6|0||\x|0|{}|{}|NULL|NULL|NULL|NULL|NULL|ZERO|f|[]`},
		{"unsigned", num(nil, 2, 1<<64-1), `0|18446744073709551615||\x|0|{}|{}|NULL|NULL|NULL|NULL|NULL|ZERO|f|[]`},
		{"packed and not", num(str(nil, 6, "\x01\x02"), 6, 3), `0|0||\x|0|{-1,1,-2}|{}|NULL|NULL|NULL|NULL|NULL|ZERO|f|[]`},
		{"joined messages", str(str(nil, 8, string(num(nil, 1, 5))), 8, string(num(nil, 12, 0))), `0|0||\x|0|{}|{}|{"i":5,"o":0}|NULL|NULL|NULL|NULL|ZERO|f|[]`},
		{"map", str(str(nil, 7, string(str(str(nil, 1, "b"), 2, ""))), 7, string(str(nil, 1, "a"))), `0|0||\x|0|{}|{"a": {}, "b": {}}|NULL|NULL|NULL|NULL|NULL|ZERO|f|[]`},
		{"struct", str(nil, 10, string(str(nil, 1, string(str(str(nil, 1, "k"), 2, string(num(nil, 4, 1))))))), `0|0||\x|0|{}|{}|NULL|NULL|{"k": true}|NULL|NULL|ZERO|f|[]`},
		{"wrapper, enum, unknown fields", num(str(num(nil, 13, 1), 11, string(str(nil, 1, "w"))), 99, 5), `0|0||\x|0|{}|{}|NULL|NULL|NULL|w|NULL|ONE|f|[]`},
		{"an unknown symbol", num(nil, 13, 77), `0|0||\x|0|{}|{}|NULL|NULL|NULL|NULL|NULL|77|f|[]`},
		{"list of messages", str(str(nil, 15, ""), 15, string(num(nil, 1, 1))), `0|0||\x|0|{}|{}|NULL|NULL|NULL|NULL|NULL|ZERO|f|[{}, {"i": 1}]`},
		{"not UTF-8", str(nil, 3, "\xff"), "not valid UTF-8"},
		{"a hostile length", []byte{0x1a, 0xff, 0xff, 0xff, 0xff, 0x7f}, "not well-formed"},
		{"out of range", str(nil, 9, string(num(nil, 1, 1<<62))), "out of range"},
	} {
		r, err := d.Decode(c.payload)
		if got := form(s, r, err); err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// What is nested, empty or named without end is refused in bounded time and memory.
func TestHostileRecords(t *testing.T) {
	w := parse(t, schema.Protobuf, protoText)
	m, err := w.Message([]int32{0})
	if err != nil {
		t.Fatal(err)
	}
	var deep []byte
	for range 10_000 {
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 8, protowire.BytesType), deep)
	}
	if _, err := NewProtobuf(protoColumns(t), jsonrow.Options{}, m).Decode(deep); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("a recursive message: %v", err)
	}
	name := strings.Repeat("n", 100_000)
	many := strings.Repeat(`{"name":"f%","type":"null"},`, 2000)
	for i := range 2000 {
		many = strings.Replace(many, "%", string(rune('a'+i%26))+strings.Repeat("x", i/26), 1)
	}
	doubling := `"null"`
	for i := range 28 {
		doubling = `{"type":"record","name":"d` + strings.Repeat("i", i) + `","fields":[{"name":"a","type":` + doubling + `},{"name":"b","type":"` +
			map[bool]string{true: "null", false: "d" + strings.Repeat("i", max(i-1, 0))}[i == 0] + `"}]}`
	}
	for what, c := range map[string]struct {
		typ     string
		payload []byte
	}{
		"endless nulls":   {`{"type":"array","items":"null"}`, binary.AppendVarint(nil, 1<<60)},
		"the least count": {`{"type":"array","items":"null"}`, binary.AppendVarint(binary.AppendVarint(nil, -1<<63), 1)},
		"names multiply":  {`{"type":"array","items":{"type":"record","name":"e","fields":[{"name":"` + name + `","type":"int"}]}}`, append(binary.AppendVarint(nil, 10_000), make([]byte, 10_001)...)},
		"empty fields":    {`{"type":"array","items":{"type":"record","name":"e","fields":[` + many[:len(many)-1] + `]}}`, binary.AppendVarint(nil, 60_000)},
		"doubling":        {doubling, nil},
		"recursion":       {`{"type":"record","name":"n","fields":[{"name":"n","type":["null","n"]}]}`, []byte(strings.Repeat("\x02", 1_000_000))},
		"a large fixed":   {`{"type":"fixed","name":"f","size":2000000000}`, []byte("x")},
	} {
		for _, column := range []string{"c jsonb", "other int"} {
			s := columns(t, column)
			d, err := NewAvro(s, jsonrow.Options{}, parse(t, schema.Avro, `{"type":"record","name":"top","fields":[{"name":"c","type":`+c.typ+`}]}`))
			if err != nil {
				t.Fatal(what, err)
			}
			start := time.Now()
			if _, err := d.Decode(c.payload); err == nil && what != "names multiply" {
				t.Errorf("%s as %s is taken", what, column)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("%s as %s took %v", what, column, took)
			}
		}
	}
}

// Any payload is a row or a fault; hamba/avro takes what is taken here.
func FuzzAvro(f *testing.F) {
	w := parse(f, schema.Avro, `{"type":"record","name":"r","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string","r"]},
		{"name":"c","type":{"type":"array","items":{"type":"map","values":"bytes"}}},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
		{"name":"e","type":{"type":"enum","name":"e","symbols":["A"]}},{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"x","type":"double"}]}`)
	seed, err := avro.Marshal(w.Avro, map[string]any{"a": int64(1), "b": map[string]any{"string": "s"}, "c": []any{map[string]any{"k": []byte("v")}},
		"d": big.NewRat(5, 4), "e": "A", "t": time.Unix(5, 0), "x": 1.5})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("\x02\x04\x02\x04"))
	s := columns(f, "a text", "b jsonb", "c jsonb", "d numeric", "e text", "t timestamptz", "x float8")
	d, err := NewAvro(s, jsonrow.Options{}, w)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := d.Decode(payload)
		if err != nil {
			return
		}
		var v struct {
			A int64   `avro:"a"`
			X float64 `avro:"x"`
		}
		if err := avro.Unmarshal(w.Avro, payload, &v); err != nil {
			t.Fatalf("%x is %s, but %v", payload, form(s, r, nil), err)
		}
		if row.NewInt(v.A).Text(row.T(row.Int8)) != r[0].Str() || row.NewFloat(v.X).Text(row.T(row.Float8)) != r[6].Text(row.T(row.Float8)) {
			t.Fatalf("%x is %s, want %+v", payload, form(s, r, nil), v)
		}
	})
}

// Any schema and any payload: a row or a fault, in bounded time.
func FuzzAvroSchema(f *testing.F) {
	f.Add(`{"type":"record","name":"r","fields":[{"name":"c","type":["null","r",{"type":"array","items":"r"}]}]}`, []byte("\x02\x04\x00"))
	f.Add(`{"type":"record","name":"r","fields":[{"name":"c","type":{"type":"map","values":{"type":"fixed","name":"f","size":3}}}]}`, []byte("\x02\x02aabc\x00"))
	s := columns(f, "c jsonb")
	f.Fuzz(func(_ *testing.T, text string, payload []byte) {
		w, err := schema.Parse(schema.Avro, text, nil)
		if err != nil {
			return
		}
		if d, err := NewAvro(s, jsonrow.Options{}, w); err == nil {
			_, _ = d.Decode(payload)
		}
	})
}

// Any payload is a row or a fault; what is taken Protobuf's own package reads the same.
func FuzzProtobuf(f *testing.F) {
	w := parse(f, schema.Protobuf, protoText)
	md, err := w.Message([]int32{0})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\x08\x05\x12\x01a\x32\x02\x01\x02"))
	f.Add([]byte("\x42\x02\x08\x01\x42\x02\x60\x00\x3a\x03\x0a\x01k\x52\x0a\x0a\x08\x0a\x01k\x12\x03\x1a\x01v"))
	s := protoColumns(f)
	d := NewProtobuf(s, jsonrow.Options{}, md)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := d.Decode(payload)
		if err != nil {
			return
		}
		m := dynamicpb.NewMessage(md)
		if err := proto.Unmarshal(payload, m); err != nil {
			t.Fatalf("%x is %s, but %v", payload, form(s, r, nil), err)
		}
		fields := md.Fields()
		if got := m.Get(fields.ByNumber(1)).Int(); got != r[0].Int() {
			t.Fatalf("%x: i is %d, want %d", payload, r[0].Int(), got)
		}
		if got := m.Get(fields.ByNumber(3)).String(); got != r[2].Str() {
			t.Fatalf("%x: s is %q, want %q", payload, r[2].Str(), got)
		}
		if got := m.Get(fields.ByNumber(6)).List().Len(); got != len(r[5].List()) {
			t.Fatalf("%x: l has %d items, want %d", payload, len(r[5].List()), got)
		}
	})
}

func BenchmarkAvro(b *testing.B) {
	w := parse(b, schema.Avro, `{"type":"record","name":"flight","fields":[{"name":"date","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"delay","type":"int"},
		{"name":"distance","type":"int"},{"name":"origin","type":"string"},{"name":"destination","type":"string"}]}`)
	payload, err := avro.Marshal(w.Avro, map[string]any{"date": time.Unix(978307260, 0), "delay": 14, "distance": 405, "origin": "MCI", "destination": "MDW"})
	if err != nil {
		b.Fatal(err)
	}
	s := columns(b, "date timestamp", "delay int", "distance int", "origin text", "destination text")
	d, err := NewAvro(s, jsonrow.Options{}, w)
	if err != nil {
		b.Fatal(err)
	}
	to := row.NewBuilder(nil, s)
	b.ReportAllocs()
	for range b.N {
		r, err := d.Decode(payload)
		if err != nil {
			b.Fatal(err)
		}
		if to.AppendRow(r); to.Len() == 8192 {
			to.NewRecord().Release()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkProtobuf(b *testing.B) {
	w := parse(b, schema.Protobuf, `syntax = "proto3"; message M { int32 delay = 1; int32 distance = 2; string origin = 3; string destination = 4; }`)
	m, err := w.Message([]int32{0})
	if err != nil {
		b.Fatal(err)
	}
	s := columns(b, "delay int", "distance int", "origin text", "destination text")
	d, to := NewProtobuf(s, jsonrow.Options{}, m), row.NewBuilder(nil, s)
	payload := []byte("\x08\x0e\x10\x95\x03\x1a\x03MCI\x22\x03MDW")
	b.ReportAllocs()
	for range b.N {
		r, err := d.Decode(payload)
		if err != nil {
			b.Fatal(err)
		}
		if to.AppendRow(r); to.Len() == 8192 {
			to.NewRecord().Release()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
