package columnar

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/miracledb/miracledb/internal/vfs"
)

var rewriteGolden = flag.Bool("rewrite-golden", false, "write testdata/store-v1 again; only when format version 1 is not released yet")

// A store of format version 1, as written when that version was made, is read for ever.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "store-v1")
	r := rand.New(rand.NewPCG(1, 1))
	rec := randomRecord(r, everyType, 50)
	keys := make([][]byte, 50)
	for i := range keys {
		keys[i] = fmt.Append(nil, "key ", i)
	}
	if *rewriteGolden {
		if err := os.RemoveAll(golden); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, Options{Dir: golden, FS: vfs.Default})
		for i, c := range []Change{{Relation: 1, Rows: rec, Keys: keys}, {Relation: 1, Deletes: keys[10:13]}, {Relation: 2, Rows: rec}} {
			if err := s.Apply(at(uint64(i+1)), c); err != nil {
				t.Fatal(err)
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(golden, "tail"))
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, Options{Dir: dir, FS: vfs.Default})
	defer s.Close()
	if s.DurablePosition() != at(3) {
		t.Fatal(s.DurablePosition())
	}
	if err := s.Apply(at(4), Change{Relation: 1, Deletes: keys[49:]}); err != nil { // the key file is understood
		t.Fatal(err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	one, _ := concatenate(everyType, []arrow.Record{rec.NewSlice(0, 10), rec.NewSlice(13, 49)})
	for id, want := range map[int]arrow.Record{1: one, 2: rec} {
		rel, _ := snap.Relation(deltaID(id))
		n := 0
		err := rel.Read(t.Context(), nil, func(got arrow.Record) error {
			n++
			if !array.RecordEqual(got, want) {
				t.Fatalf("relation %d:\n%v\nwant\n%v", id, got, want)
			}
			return nil
		})
		if err != nil || n != 1 || !rel.Schema.Equal(everyType) {
			t.Fatal(err, n, rel.Schema)
		}
	}
}
