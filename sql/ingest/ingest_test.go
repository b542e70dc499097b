package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/schemas"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views/catalog"
)

// columns has one column of every type that a table may have.
func columns(t testing.TB) (cs []catalog.Column) {
	t.Helper()
	for i, name := range []string{"int", "smallint", "bigint", "oid", "float8", "real", "numeric", "numeric(10,2)", "bool", "text",
		"varchar(5)", "char(4)", "bytea", "uuid", "date", "time", "timestamp", "timestamptz", "interval", "json", "jsonb", "int[]",
		"text[]", "numeric[]"} {
		typ, ok := row.TypeByName(name)
		if !ok {
			t.Fatalf("no type %s", name)
		}
		cs = append(cs, catalog.Column{Name: fmt.Sprintf("c%d", i), Type: typ})
	}
	return cs
}

func relation(kind catalog.Kind, key []int, cs []catalog.Column) *catalog.Relation {
	return &catalog.Relation{ID: 20000, Version: 1, Schema: "public", Name: "r", Kind: kind, Columns: cs, Key: key,
		KeyName: "r_pkey", Topic: log.TopicID{1}, TopicName: "r"}
}

// texts are values of each type of columns that its forms might bend.
var texts = [][]string{
	{"0", "-2147483648", "2147483647"}, {"-32768", "7"}, {"9223372036854775807", "-9223372036854775808"}, {"4294967295"},
	{"NaN", "Infinity", "-Infinity", "-0", "0.1", "1e300", "5e-324"}, {"NaN", "0.1", "3.4028235e+38"},
	{"NaN", "Infinity", "1.50", "123456789012345678901234567890.000001", "-0.0000000000000000000001"}, {"NaN", "1.50", "-99999999.99"},
	{"t", "f"}, {"", "a", "quo\"te\\ \n\t\u0001 é 😀", "null"}, {"abcde", ""}, {"ab  ", "    "}, {`\x`, `\x00ff10`},
	{"12345678-9abc-def0-1234-56789abcdef0"}, {"2001-02-28", "0001-01-01", "9999-12-31", "infinity", "0044-03-15 BC"},
	{"00:00:00", "23:59:59.999999", "24:00:00"}, {"2001-01-01 00:00:00.000001", "infinity", "-infinity", "0044-03-15 12:00:00 BC"},
	{"2001-01-01 00:00:00+00", "infinity"}, {"1 mon 2 days -03:00:00.5", "-1 years", "00:00:00"}, {`{"b": 1,  "a":[ ]}`, "null", `"x"`, "1.0"},
	{`{"a": 1, "b": [null, 2.50]}`, "null"}, {"{}", "{1,NULL,-3}", "{{1,2},{3,4}}"}, {"{}", `{"a,b","\"",NULL,""}`}, {"{1.50,NaN}"},
}

// rows gives rows that hold each text of texts at least once, and a row of NULLs.
func rows(t testing.TB, cs []catalog.Column) (out []row.Row) {
	t.Helper()
	out = append(out, make(row.Row, len(cs)))
	for n := range 7 {
		r := make(row.Row, len(cs))
		for i, c := range cs {
			v, err := row.ParseText(c.Type, texts[i][n%len(texts[i])])
			if err == nil {
				v, err = row.ApplyTypmod(c.Type, v, false)
			}
			if err != nil {
				t.Fatalf("%s %q: %v", c.Type, texts[i][n%len(texts[i])], err)
			}
			r[i] = v
		}
		out = append(out, r)
	}
	return out
}

// What SQL writes comes back from the record's bytes as the same row: a replay gives the rows that were attached.
func TestTypedRowsEqualDecodedRecords(t *testing.T) {
	cs := columns(t)
	rel := relation(catalog.Stream, nil, cs)
	c, err := ingest.New(rel, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := rows(t, cs)
	e := ingest.NewEncoder(time.Unix(0, 0), func(log.TopicID) int32 { return 1 }, 0)
	for _, r := range want {
		if err := e.Row(rel, nil, nil, r); err != nil {
			t.Fatal(err)
		}
	}
	batches, typed, err := e.Finish()
	if err != nil || len(batches) != 1 {
		t.Fatal(len(batches), err)
	}
	got, err := c.Decode(batches[0].Batch, ingest.Place{Topic: rel.Topic})
	if err != nil || len(got.Faults) > 0 {
		t.Fatalf("%v %+v", err, got)
	}
	for i := range want {
		for j := range cs {
			w, g, a := want[i][j], got.Changes[i].Row[j], typed.Changes[i].Row[j]
			if !bytes.Equal(form(cs[j].Type, w), form(cs[j].Type, g)) || !bytes.Equal(form(cs[j].Type, w), form(cs[j].Type, a)) {
				t.Errorf("row %d, %s: wrote %s, decoded %s, attached %s", i, cs[j].Type, form(cs[j].Type, w), form(cs[j].Type, g), form(cs[j].Type, a))
			}
		}
	}
}

func form(t row.Type, v row.Value) []byte {
	if v.IsNull() {
		return []byte("NULL")
	}
	return row.AppendText(nil, t, v)
}

// Every type may be a key: what SQL writes as the record's key is read back as the same heap key, also for deletes.
func TestKeysComeBack(t *testing.T) {
	cs := columns(t)
	for i := range cs {
		if cs[i].Type.OID == row.JSON {
			continue // has no order
		}
		for _, key := range [][]int{{i}, {i, 0}} {
			if i == 0 && len(key) == 2 {
				continue
			}
			rel := relation(catalog.Table, key, cs)
			rel.CanonicalKeys = 3
			c, err := ingest.New(rel, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows(t, cs)[1:] {
				if cs[i].Type.OID == row.JSONB && r[i].Str() == "null" {
					continue // as a record's key it cannot be told from SQL's NULL
				}
				e := ingest.NewEncoder(time.Unix(0, 0), func(log.TopicID) int32 { return 3 }, 0)
				heapKey := ingest.HeapKey(nil, rel, r)
				if err := e.Row(rel, heapKey, nil, r); err != nil {
					t.Fatal(err)
				}
				if err := e.Row(rel, heapKey, r, nil); err != nil {
					t.Fatal(err)
				}
				batches, _, err := e.Finish()
				if err != nil {
					t.Fatal(err)
				}
				d, err := c.Decode(batches[0].Batch, ingest.Place{Topic: rel.Topic, Partition: batches[0].Partition.Index})
				if err != nil || len(d.Faults) > 0 || len(d.Changes) != 2 {
					t.Fatalf("key %s = %s: %v %+v", cs[i].Type, form(cs[i].Type, r[i]), err, d.Faults)
				}
				for _, ch := range d.Changes {
					if !bytes.Equal(ch.Key, heapKey) {
						t.Errorf("key %s = %s comes back as another one", cs[i].Type, form(cs[i].Type, r[i]))
					}
				}
				if d.Changes[0].Row == nil || d.Changes[1].Row != nil {
					t.Errorf("a row and a delete came back as %v", d.Changes)
				}
			}
		}
	}
}

// The values are those of Kafka's own test (UtilsTest.testMurmur2).
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107} {
		if got := int32(ingest.Murmur2([]byte(key))); got != want {
			t.Errorf("%q hashes to %d, want %d", key, got, want)
		}
	}
}

// A table that demands canonical keys takes a record only under the key that SQL would write, in the partition where Kafka's clients
// put that key; any other table takes all spellings, anywhere.
func TestCanonicalKeys(t *testing.T) {
	cs := []catalog.Column{{Name: "id", Type: row.T(row.Int4), NotNull: true}, {Name: "v", Type: row.T(row.Text)}}
	rel := relation(catalog.Table, []int{0}, cs)
	home := ingest.PartitionOf([]byte("7"), 3)
	for _, c := range []struct {
		name       string
		key, value []byte
		partition  int32
		canonical  int32 // CanonicalKeys
		reason     string
	}{
		{"canonical", []byte("7"), []byte(`{"id":7}`), home, 3, ""},
		{"a delete", []byte("7"), nil, home, 3, ""},
		{"another spelling", []byte("7.0"), []byte(`{"id":7}`), ingest.PartitionOf([]byte("7.0"), 3), 3, `the record's key is not the row's canonical key "7"`},
		{"another form", []byte(`{"id":7}`), []byte(`{"id":7}`), 0, 3, `the record's key is not the row's canonical key "7"`},
		{"a delete of another form", []byte(`{"id":7}`), nil, 0, 3, `the record's key is not the row's canonical key "7"`},
		{"no key", nil, []byte(`{"id":7}`), home, 3, `the record's key is not the row's canonical key "7"`},
		{"another partition", []byte("7"), []byte(`{"id":7}`), (home + 1) % 3, 3,
			fmt.Sprintf("the record stands in partition %d: of 3 partitions its key belongs in %d", (home+1)%3, home)},
		{"not demanded", []byte(`{"id":7}`), []byte(`{"id":7}`), (home + 1) % 3, 0, ""},
	} {
		rel.CanonicalKeys = c.canonical
		codec, err := ingest.New(rel, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b record.Builder
		b.Add(1, c.key, c.value)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		d, err := codec.Decode(batch, ingest.Place{Topic: rel.Topic, Partition: c.partition})
		if err != nil {
			t.Fatal(err)
		}
		reason := ""
		if f := d.FirstFault(); f != nil {
			reason = f.Reason
		}
		if reason != c.reason || len(d.Changes)+len(d.Faults) != 1 {
			t.Errorf("%s: %q, want %q (%d changes)", c.name, reason, c.reason, len(d.Changes))
		}
	}
}

// Whatever a record holds, decoding into rows and into columns agree on rows and faults, and nothing panics.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("1"), []byte(`{"c0":1,"c9":"x","c6":1.5,"c21":[1,null]}`))
	f.Add([]byte(nil), []byte(`{"c16":"2001-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"c0":1}`), []byte(nil))
	f.Add([]byte("x"), []byte(`{"c0":`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		cs := columns(t)
		rel := relation(catalog.Stream, nil, cs)
		c, err := ingest.New(rel, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		table, err := ingest.New(relation(catalog.Table, []int{0}, columns(t)), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b record.Builder
		b.Add(0, key, value)
		b.Add(1, nil, []byte(`{"c0":7}`))
		batch, err := b.Build()
		if err != nil {
			return
		}
		at := ingest.Place{Topic: rel.Topic}
		if _, err := table.Decode(slices.Clone(batch), at); err != nil {
			t.Fatal(err)
		}
		byRow, err := c.Decode(slices.Clone(batch), at)
		if err != nil {
			t.Fatal(err)
		}
		builder := row.NewBuilder(nil, rel.RowSchema())
		defer builder.Release()
		faults, err := c.DecodeColumns(builder, batch, at)
		if err != nil {
			t.Fatal(err)
		}
		rec := builder.NewRecord()
		defer rec.Release()
		if len(faults) != len(byRow.Faults) || int(rec.NumRows()) != len(byRow.Changes) {
			t.Fatalf("%q: %d rows and %d faults by row, %d and %d by column", value, len(byRow.Changes), len(byRow.Faults), rec.NumRows(), len(faults))
		}
		for i, ch := range byRow.Changes {
			got := row.RowAt(rec, i, rel.RowSchema(), nil)
			for j := range cs {
				if !bytes.Equal(form(cs[j].Type, ch.Row[j]), form(cs[j].Type, got[j])) {
					t.Fatalf("%q, %s: %s by row, %s by column", value, cs[j].Type, form(cs[j].Type, ch.Row[j]), form(cs[j].Type, got[j]))
				}
			}
		}
	})
}

// writers is a registry of two schemas: 1 in Avro, 2 in Protobuf, the latter from a Position on.
type writers struct{}

func (writers) Writer(_ context.Context, id int32, before log.Position) (*schemas.Content, bool, error) {
	c := &schemas.Content{ID: id, Type: schema.Avro, Text: `{"type":"record","name":"r","fields":[{"name":"c0","type":"int"},{"name":"c9","type":["null","string"]},{"name":"c20","type":{"type":"map","values":"r"}}]}`}
	if id == 2 {
		c.Type, c.Text = schema.Protobuf, `syntax = "proto3"; message M { int32 c0 = 1; string c9 = 2; repeated int32 c21 = 3; M c20 = 4; message N { bytes c12 = 1; } }`
		c.Since = log.Position{Sequence: 10}
	}
	return c, id == 1 || id == 2 && (before.IsZero() || c.Since.Less(before)), nil
}

// Whatever stands behind a schema's id, rows and columns agree, and nothing panics.
func FuzzDecodeFramed(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01\x0a\x02\x02a\x02\x02k\x02\x00\x00\x00"), []byte("\x00\x00\x00\x00\x01\x0a\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x02\x00\x08\x05\x12\x01a\x1a\x02\x01\x02\x22\x02\x08\x01"), []byte("5"))
	f.Add([]byte("\x00\x00\x00\x00\x02\x04\x00\x00\x0a\x01x"), []byte(nil))
	f.Fuzz(func(t *testing.T, value, key []byte) {
		var b record.Builder
		b.Add(0, key, value)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"avro", "protobuf", "json"} {
			for _, sequence := range []uint64{5, 20} {
				at := ingest.Place{Topic: log.TopicID{1}, Position: log.Position{Sequence: sequence}}
				stream, table := relation(catalog.Stream, nil, columns(t)), relation(catalog.Table, []int{0}, columns(t))
				stream.Options, table.Options = map[string]string{"format": format}, map[string]string{"format": format}
				c, err := ingest.New(table, nil, writers{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Decode(slices.Clone(batch), at); err != nil {
					t.Fatal(err)
				}
				if c, err = ingest.New(stream, nil, writers{}); err != nil {
					t.Fatal(err)
				}
				rows, err := c.Decode(slices.Clone(batch), at)
				if err != nil {
					t.Fatal(err)
				}
				to := row.NewBuilder(nil, stream.RowSchema())
				faults, err := c.DecodeColumns(to, slices.Clone(batch), at)
				if err != nil {
					t.Fatal(err)
				}
				rec := to.NewRecord()
				if len(faults) != len(rows.Faults) || int(rec.NumRows()) != len(rows.Changes) {
					t.Fatalf("%s %x: %d rows and %v by row, %d and %v by column", format, value, len(rows.Changes), rows.Faults, rec.NumRows(), faults)
				}
				for i, ch := range rows.Changes {
					got := row.RowAt(rec, i, stream.RowSchema(), nil)
					for j, col := range stream.Columns {
						if !bytes.Equal(form(col.Type, ch.Row[j]), form(col.Type, got[j])) {
							t.Fatalf("%s %x, %s: %s by row, %s by column", format, value, col.Type, form(col.Type, ch.Row[j]), form(col.Type, got[j]))
						}
					}
				}
				rec.Release()
				to.Release()
			}
		}
	})
}
