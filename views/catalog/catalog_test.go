package catalog

import (
	"testing"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/log"
)

func apply(t *testing.T, c *Catalog, r *Record, seq uint64) {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = DecodeRecord(b); err != nil {
		t.Fatal(err)
	}
	if _, _, err = c.Apply(r, log.Position{Sequence: seq}); err != nil {
		t.Fatal(err)
	}
}

func table(id delta.RelationID, version uint64, schema, name string) *Record {
	return &Record{ID: id, Version: version,
		Topic:    &log.TopicRecord{ID: "000102030405060708090a0b0c0d0e0f", Name: name, Partitions: 1},
		Relation: &Relation{Schema: schema, Name: name, Kind: Table, KeyID: id + 1}}
}

func TestVersionsOfAnObject(t *testing.T) {
	c := New()
	apply(t, c, table(16384, 1, "public", "t"), 1)
	first := c.Current()
	apply(t, c, table(16384, 2, "public", "renamed"), 2)

	if _, ok := c.Current().Lookup("public", "t"); ok {
		t.Error("the old name is still found after a rename")
	}
	r, ok := c.Current().Lookup("public", "renamed")
	if !ok || r.Version != 2 {
		t.Fatalf("renamed: %+v", r)
	}
	if got, ok := c.Current().ByTopic(r.Topic); !ok || got != r {
		t.Error("the topic does not lead to the relation")
	}
	if _, ok := first.Lookup("public", "t"); !ok {
		t.Error("an older snapshot changed")
	}
	// A replay of what was applied changes nothing.
	apply(t, c, table(16384, 1, "public", "t"), 1)
	if _, ok := c.Current().Lookup("public", "t"); ok {
		t.Error("a replayed record took effect")
	}
}

func TestIdsAreNeverReused(t *testing.T) {
	c := New()
	apply(t, c, table(16384, 1, "public", "t"), 1)
	if got := c.Current().NextID(); got != 16386 {
		t.Errorf("next id %d, want 16386: the key's index has 16385", got)
	}
	apply(t, c, &Record{ID: 16384, Version: 2, Dropped: true}, 2)
	if _, ok := c.Current().ByID(16384); ok {
		t.Error("the dropped table is still there")
	}
	if got := c.Current().NextID(); got != 16386 {
		t.Errorf("next id %d after a drop, want 16386", got)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	b, _ := table(16384, 1, "public", "t").Encode()
	f.Add(b)
	f.Add([]byte(`{"id":1,"relation":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Property: any bytes give a record with an id or an error, and what was decoded can be applied or refused.
		r, err := DecodeRecord(b)
		if err != nil {
			return
		}
		if r.ID == 0 {
			t.Fatal("a record without an id was accepted")
		}
		_, _, _ = New().Apply(r, log.Position{Sequence: 1})
	})
}
