package jsonrow

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

func schema(t testing.TB, cols ...string) *row.Schema {
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

func TestValues(t *testing.T) {
	for _, c := range []struct{ typ, in, want string }{
		{"int", `5`, "5"}, {"int", `"5"`, "5"}, {"int", `5.0`, "5"}, {"int", `5e0`, "5"}, {"int", `50e-1`, "5"}, {"int", `-0`, "0"},
		{"int", `5.5`, "!22P02"}, {"int", `"5.0"`, "!22P02"}, {"int", `true`, "!22P02"}, {"int", `2147483648`, "!22003"},
		{"int", `2147483648.0`, "!22003"}, {"int", `[1]`, "!22P02"}, {"int", `05`, "!22P02"}, {"int", `-`, "!22P02"}, {"int", `null`, ""},
		{"smallint", `-32768`, "-32768"}, {"bigint", `9223372036854775807`, "9223372036854775807"},
		{"bigint", `-9223372036854775808`, "-9223372036854775808"}, {"bigint", `9223372036854775808`, "!22003"}, {"oid", `-1`, "4294967295"},
		{"float8", `1.5`, "1.5"}, {"float8", `"NaN"`, "NaN"}, {"float8", `1e400`, "!22003"}, {"float8", `-0.0`, "-0"}, {"real", `0.1`, "0.1"},
		{"numeric", `1.50`, "1.50"}, {"numeric(10,2)", `1.005`, "1.01"}, {"numeric(10,2)", `"1.005"`, "1.01"}, {"numeric(3,1)", `100`, "!22003"},
		{"numeric", `"Infinity"`, "Infinity"}, {"numeric", `123456789012345678901234567890.5`, "123456789012345678901234567890.5"},
		{"bool", `true`, "t"}, {"bool", `"no"`, "f"}, {"bool", `1`, "!22P02"},
		{"text", `"a\u00e4\n"`, "aä\n"}, {"text", `5.10`, "5.10"}, {"text", `true`, "true"}, {"text", `{}`, "!22P02"}, {"text", `[1]`, "!22P02"},
		{"text", `"\ud834\udd1e"`, "𝄞"}, {"text", `"\ud834"`, "!22P02"}, {"text", `"\u0000"`, "!22P05"}, {"text", "\"\x01\"", "!22P02"},
		{"text", "\"\xff\"", "!22021"}, {"text", `"0123456789\"abcdef"`, `0123456789"abcdef`},
		{"varchar(3)", `"abcd"`, "!22001"}, {"varchar(3)", `1234`, "!22001"}, {"char(3)", `"a"`, "a  "},
		{"timestamp", `"2001-01-01 00:01:00"`, "2001-01-01 00:01:00"}, {"timestamp", `"2001-01-01T00:01:00.5Z"`, "2001-01-01 00:01:00.5"},
		{"timestamptz", `"2001-01-01T00:01:00+02:00"`, "2000-12-31 22:01:00+00"}, {"timestamp", `978307260`, "!22P02"},
		{"date", `"2001-02-30"`, "!22008"}, {"date", `"2001-02-28"`, "2001-02-28"}, {"bytea", `"\\x00ff"`, `\x00ff`},
		{"uuid", `"12345678-9abc-def0-1234-56789abcdef0"`, "12345678-9abc-def0-1234-56789abcdef0"},
		{"json", `{"b": 1,"a":[ ]}`, `{"b": 1,"a":[ ]}`}, {"jsonb", `{"bb": 1,"a":[ ],"a":2.0}`, `{"a": 2.0, "bb": 1}`}, {"json", `"x"`, `"x"`},
		{"json", `null`, ""}, {"int[]", `[1, "2",null]`, "{1,2,NULL}"}, {"int[]", `[[1,2],[3,4]]`, "{{1,2},{3,4}}"}, {"int[]", `[[1],[3,4]]`, "!22P02"},
		{"int[]", `[1,[2]]`, "!22P02"}, {"int[]", `"{1,2}"`, "{1,2}"}, {"int[]", `[]`, "{}"}, {"text[]", `["a,b","\n"]`, "{\"a,b\",\"\n\"}"},
		{"int", strings.Repeat("[", 100), "!54001"}, {"jsonb", strings.Repeat("[", 100) + strings.Repeat("]", 100), "!54001"},
		{"interval", `"1 day 02:00:00"`, "1 day 02:00:00"}, {"int", ``, "!22P02"}, {"int", `nul`, "!22P02"},
	} {
		s := schema(t, "c "+c.typ)
		r, err := NewDecoder(s, Options{}).DecodeRow([]byte(`{"c":` + c.in + `}`))
		var got string
		var e *errs.Error
		if errors.As(err, &e) {
			got = "!" + e.State
			if e.State != "22021" && !strings.Contains(e.Message, `"c"`) {
				t.Errorf("%s %s: fault does not name the column: %s", c.typ, c.in, e.Message)
			}
		} else {
			got = r[0].Text(s.Columns[0].Type)
		}
		if got != c.want {
			t.Errorf("%s %s: got %q (%v), want %q", c.typ, c.in, got, err, c.want)
		}
	}
}

func TestRecords(t *testing.T) {
	s := schema(t, "a int not null", "b text", `q"x int`)
	d := NewDecoder(s, Options{Defaults: []row.Value{{}, row.NewText("dflt"), {}}, HasDefault: []bool{false, true, false}})
	for _, c := range []struct{ in, want string }{
		{`{"a":1,"b":"x","q\"x":2}`, "1|x|2"}, {`{"b":"x","a":1}`, "1|x|"}, {`{"a":1}`, "1|dflt|"}, {`{"a":1,"b":null}`, "1||"},
		{`{"a":1,"a":2,"zz":[{"x":[1,true]},"\ud834\udd1e"]}`, "2|dflt|"}, {` { "q\"x" : 3 , "\u0061" : 1 } `, "1|dflt|3"},
		{`{}`, "!23502"}, {`{"a":null}`, "!23502"}, {`{"a":1} x`, "!22P02"}, {`{"a":1,}`, "!22P02"}, {`[]`, "!22P02"}, {``, "!22P02"},
		{`{"a":1,"z":01}`, "!22P02"}, {`{"a":1,"z":tru}`, "!22P02"}, {`{"a":"x","a":1}`, "!22P02"}, {`{a:1}`, "!22P02"}, {`{"a" 1}`, "!22P02"},
	} {
		r, err := d.Decode([]byte(c.in))
		var got string
		var e *errs.Error
		if errors.As(err, &e) {
			got = "!" + e.State
		} else {
			for i, v := range r {
				if i > 0 {
					got += "|"
				}
				got += v.Text(s.Columns[i].Type)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q (%v), want %q", c.in, got, err, c.want)
		}
	}
	b := row.NewBuilder(nil, s)
	defer b.Release()
	if d.Append([]byte(`{"a":1}`), b) != nil || d.Append([]byte(`{"b":"y","a":"z"}`), b) == nil || d.Append([]byte(`{"a":2}`), b) != nil {
		t.Fatal("append")
	}
	rec := b.NewRecord()
	defer rec.Release()
	if rows := row.AppendRecord(nil, rec, s); len(rows) != 2 || rows[0][0].Int() != 1 || rows[1][0].Int() != 2 {
		t.Errorf("a faulty record left something: %v", rows)
	}
}

// roundTrips are values of every type whose JSON must read back equal.
var roundTrips = map[string][]string{
	"bool": {"t", "f"}, "int2": {"-32768"}, "int4": {"2147483647"}, "int8": {"-9223372036854775808", "9223372036854775807"},
	"oid": {"4294967295"}, "real": {"0.1", "NaN", "-Infinity", "3.4028235e+38"}, "float8": {"1e+23", "1e-07", "NaN", "Infinity", "-0"},
	"numeric": {"1.500", "NaN", "-Infinity", "0.00", "123456789012345678901234567890.10"}, "numeric(10,3)": {"1.500", "NaN"},
	"text": {"", "\"\\\n\x01\u2028𝄞", "5", `"x"`, `{"id":"x"}`, `{`, "null"}, "varchar(4)": {"äöü"}, "char(4)": {"a   "}, "bytea": {`\x`, `\x00ff22`},
	"json": {`{"b":1, "a":[]}`, "5", `"x"`}, "jsonb": {`{"a": 1.50}`, "[]", `"x"`}, "uuid": {"22345678-9abc-def0-1234-56789abcdef0", "7b345678-9abc-def0-1234-56789abcdef0"},
	"date": {"infinity", "0044-03-15 BC", "2001-01-01", "12001-01-01"}, "time": {"24:00:00", "01:02:03.5"}, "timetz": {"01:02:03-05:30"},
	"timestamp": {"infinity", "0044-03-15 01:02:03 BC", "2001-01-01 00:00:00.000001"}, "timestamptz": {"-infinity", "2001-01-01 00:00:00+00", "0044-03-15 01:02:03.5+00 BC"},
	"interval": {"1 year 2 mons -3 days +04:05:06.7"}, "int4[]": {"{}", "{1,NULL}", "{{1,2},{3,4}}"}, "text[]": {`{"a,b",NULL,"",null,"NULL"}`}, "jsonb[]": {`{"{\"a\": [1]}","[1]"}`},
	"timestamptz[]": {`{"2001-01-01 00:00:00+00"}`}, "bytea[]": {`{"\\x00"}`},
}

func TestJSONReadsBack(t *testing.T) {
	for name, texts := range roundTrips {
		s := schema(t, "id "+name, "b int")
		s.Key = []int{0}
		d, k := NewDecoder(s, Options{}), NewKeyDecoder(s)
		typ := s.Columns[0].Type
		for _, text := range texts {
			v, err := row.ParseText(typ, text)
			if err != nil {
				t.Fatal(err)
			}
			want := v.Text(typ)
			for _, out := range [][]byte{AppendJSON(nil, s, row.Row{v, row.Null}), AppendJSONStrings(nil, s, row.Row{v, row.Null})} {
				if !json.Valid(out) {
					t.Errorf("%s: not JSON: %s", name, out)
				}
				r, err := d.DecodeRow(out)
				if err != nil || r[0].Text(typ) != want || r[0].Kind() != v.Kind() {
					t.Errorf("%s: %s came back as %v %v, want %q", name, out, r, err, want)
				}
			}
			key := AppendCanonicalKey(nil, s, row.Row{v, row.Null})
			for _, spelling := range [][]byte{key, append(AppendValue([]byte(`{"id":`), typ, v), '}'), AppendValue(nil, typ, v)} {
				if (typ.OID == row.JSON || typ.OID == row.JSONB) && bytes.HasPrefix(spelling, []byte(`{"id"`)) {
					continue // the object is the value
				}
				r, err := k.Decode(spelling)
				if err != nil || row.CompareTyped(typ, r[0], v) != 0 {
					t.Errorf("%s: key %s came back as %v %v, want %s", name, spelling, r, err, want)
				}
			}
		}
	}
}

func TestCanonicalKey(t *testing.T) {
	for _, c := range []struct{ typ, value, want string }{
		{"text", "MCI", "MCI"}, {"int", "5", "5"}, {"numeric", "1.50", "1.5"}, {"numeric", "100.00", "100"}, {"bool", "t", "true"},
		{"date", "2001-01-01", `"2001-01-01"`}, {"uuid", "12345678-9abc-def0-1234-56789abcdef0", "12345678-9abc-def0-1234-56789abcdef0"},
		{"char(3)", "a", "a"}, {"float8", "-0", "0"}, {"text", `{x`, `"{x"`},
	} {
		s := schema(t, "id "+c.typ)
		s.Key = []int{0}
		v, _ := row.ParseText(s.Columns[0].Type, c.value)
		if got := string(AppendCanonicalKey(nil, s, row.Row{v})); got != c.want {
			t.Errorf("%s %s: key %s, want %s", c.typ, c.value, got, c.want)
		}
	}
	s := schema(t, "a int", "b text", "c text")
	s.Key = []int{2, 0}
	r := row.Row{row.NewInt(1), row.Null, row.NewText("x")}
	if got := string(AppendCanonicalKey(nil, s, r)); got != `{"c":"x","a":1}` {
		t.Error(got)
	}
	k := NewKeyDecoder(s)
	if got, err := k.Decode([]byte(`{"a":"1","z":0,"c":"x"}`)); err != nil || got[0].Str() != "x" || got[1].Int() != 1 {
		t.Error(got, err)
	}
	for _, bad := range []string{`{"c":"x"}`, `x`, ``, `null`} {
		if _, err := k.Decode([]byte(bad)); err == nil {
			t.Errorf("%q is no key", bad)
		}
	}
}

// FuzzDecode: a record is taken only if encoding/json takes it (for a text of valid UTF-8); a json column then holds its
// field's value, and a decoded row written and read again is the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"i":1,"t":"x","j":{"a":[1,2]},"f":1.5,"n":"2.5","l":[1,null]}`, `{"t":"\ud834\udd1e\n","zz":{"a":[]}}`, `{"i":1e400}`,
		`{"t":"2001-01-01"}`, `{`, `{"j":"\u0000"}`, `{"l":[[1],[2]]}`, `{"d":"2001-01-01T00:00:00Z","iv":"1 day"}`} {
		f.Add([]byte(seed))
	}
	s := schema(f, "i int", "t text", "j json", "f float8", "n numeric(10,2)", "l int[]", "d timestamptz", "iv interval", "u uuid", "x bytea", "b jsonb")
	d := NewDecoder(s, Options{})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := d.DecodeRow(in)
		var m map[string]json.RawMessage
		std := json.Unmarshal(in, &m)
		if err != nil {
			return
		}
		if std != nil {
			t.Fatalf("taken, but %v", std)
		}
		if raw, ok := m["t"]; ok && len(raw) > 0 && raw[0] == '"' {
			var want string
			if json.Unmarshal(raw, &want) != nil || want != r[1].Str() {
				t.Fatalf("text %q, want %q", r[1].Str(), want)
			}
		}
		if raw, ok := m["i"]; ok && string(raw) != "null" && raw[0] != '"' {
			var want float64
			if json.Unmarshal(raw, &want) != nil || int64(want) != r[0].Int() {
				t.Fatalf("int %d, want %v", r[0].Int(), want)
			}
		}
		again, err := NewDecoder(s, Options{}).DecodeRow(AppendJSON(nil, s, r))
		if err != nil {
			t.Fatalf("%s: %v", AppendJSON(nil, s, r), err)
		}
		for i, c := range s.Columns {
			if again[i].Text(c.Type) != r[i].Text(c.Type) {
				t.Fatalf("%s: %q became %q", c.Name, r[i].Text(c.Type), again[i].Text(c.Type))
			}
		}
	})
}

// FuzzKey: any bytes are a key or a fault; a key's canonical form reads back equal.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{`MCI`, `"MCI"`, `{"id":"MCI"}`, `{`, `5`} {
		f.Add([]byte(seed))
	}
	s := schema(f, "id text")
	s.Key = []int{0}
	f.Fuzz(func(t *testing.T, in []byte) {
		k := NewKeyDecoder(s)
		r, err := k.Decode(in)
		if err != nil {
			return
		}
		want := strings.Clone(r[0].Str())
		r, err = k.Decode(AppendCanonicalKey(nil, s, row.Row{row.NewText(want)}))
		if err != nil || r[0].Str() != want {
			t.Fatalf("%q came back as %v %v", want, r, err)
		}
	})
}

const flight = `{"date":"2001-01-01 00:01:00","delay":14,"distance":405,"origin":"MCI","destination":"MDW"}`

func flights(t testing.TB) *row.Schema {
	return schema(t, "date timestamp", "delay int", "distance int", "origin text", "destination text")
}

func BenchmarkFlights(b *testing.B) {
	for _, in := range []struct{ name, record string }{{"in_order", flight},
		{"other_order", `{"origin":"MCI","delay":14,"destination":"MDW","date":"2001-01-01 00:01:00","distance":405}`}} {
		b.Run(in.name, func(b *testing.B) {
			s := flights(b)
			d, to := NewDecoder(s, Options{}), row.NewBuilder(nil, s)
			record := []byte(in.record)
			b.SetBytes(int64(len(record)))
			b.ReportAllocs()
			for range b.N {
				if err := d.Append(record, to); err != nil {
					b.Fatal(err)
				}
				if to.Len() == 8192 {
					to.NewRecord().Release()
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
	b.Run("encode", func(b *testing.B) {
		s := flights(b)
		r, err := NewDecoder(s, Options{}).DecodeRow([]byte(flight))
		if err != nil {
			b.Fatal(err)
		}
		e := NewEncoder(s)
		var buf []byte
		b.ReportAllocs()
		for range b.N {
			buf = e.AppendJSON(buf[:0], r)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}
