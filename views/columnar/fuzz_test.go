package columnar

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/miracledb/miracledb/internal/delta"
)

func deltaID(n int) delta.RelationID { return delta.RelationID(n) }

// Properties: no panic; what is accepted is written again as the same bytes' meaning.
func FuzzManifest(f *testing.F) {
	schema, _ := encodeSchema(everyType)
	good, err := encodeManifest(&manifest{Seed: 1, Position: at(5), NextFile: 3, Relations: []manifestRelation{{
		ID: 1, Keyed: true, Position: at(4), Schemas: [][]manifestField{schema},
		Segments: []manifestSegment{{Number: 2, Rows: 3, Data: fileSum{4, 5}, Keys: &fileSum{6, 7}}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	f.Add([]byte(manifestMagic + "\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff12345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		again, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		m2, err := decodeManifest(again)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := json.Marshal(m)
		y, _ := json.Marshal(m2)
		if !bytes.Equal(x, y) {
			t.Fatalf("%s\n%s", x, y)
		}
	})
}

// Properties: no panic, find ends and finds only what is there.
func FuzzKeys(f *testing.F) {
	var b bytes.Buffer
	var entries []keyEntry
	for i := range 100 {
		entries = append(entries, keyEntry{hashKey(7, []byte{byte(i)}), uint32(i)})
	}
	writeKeys(&b, entries)
	f.Add(b.Bytes(), uint64(5), uint32(6))
	f.Add(b.Bytes()[:keyHeaderSize], uint64(0), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, hi uint64, lo uint32) {
		k, err := decodeKeys(b, int64(max(0, len(b)-keyHeaderSize)/keyEntrySize))
		if err != nil {
			return
		}
		h := keyHash{hi, lo}
		if row, found := k.find(h); found {
			for i := range k.len() {
				if k.at(i) == (keyEntry{h, row}) {
					return
				}
			}
			t.Fatal("found what is not there")
		}
	})
}

// Properties: no panic; what is accepted is written again the same.
func FuzzDeleted(f *testing.F) {
	var b bytes.Buffer
	writeDeleted(&b, []vector{{3, roaring.BitmapOf(1, 2, 70000)}, {9, roaring.BitmapOf(5)}})
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		vectors, err := decodeDeleted(b)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeDeleted(&out, vectors); err != nil {
			t.Fatal(err)
		}
		again, err := decodeDeleted(out.Bytes())
		if err != nil || len(again) != len(vectors) {
			t.Fatal(err)
		}
		for i := range again {
			if again[i].segment != vectors[i].segment || !again[i].dead.Equals(vectors[i].dead) {
				t.Fatal("differs")
			}
		}
	})
}

// Properties: no panic; a schema that is accepted is written again the same and makes a Parquet schema.
func FuzzSchema(f *testing.F) {
	fields, _ := encodeSchema(everyType)
	good, _ := json.Marshal(fields)
	f.Add(good)
	f.Add([]byte(`[{"name":"a","type":"list","element":{"type":"list","element":{"type":"bool"}}}]`))
	f.Add([]byte(`[{"name":"a","type":"fixed","width":-1}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fields []manifestField
		if json.Unmarshal(b, &fields) != nil {
			return
		}
		schema, err := decodeSchema(fields)
		if err != nil {
			return
		}
		again, err := encodeSchema(schema)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeSchema(again); err != nil || !back.Equal(schema) {
			t.Fatalf("%v\n%v\n%v", err, schema, back)
		}
	})
}

func TestKeyIndex(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000, 100_000} {
		var entries []keyEntry
		key := func(i int) []byte { return []byte{byte(i), byte(i >> 8), byte(i >> 16)} }
		for i := range n {
			entries = append(entries, keyEntry{hashKey(42, key(i)), uint32(i)})
		}
		var b bytes.Buffer
		if err := writeKeys(&b, entries); err != nil {
			t.Fatal(err)
		}
		k, err := decodeKeys(b.Bytes(), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if row, found := k.find(hashKey(42, key(i))); !found || row != uint32(i) {
				t.Fatalf("key %d of %d: %d %v", i, n, row, found)
			}
		}
		for i := n; i < n+1000; i++ {
			if _, found := k.find(hashKey(42, key(i))); found {
				t.Fatalf("key %d of %d is there", i, n)
			}
		}
	}
}
