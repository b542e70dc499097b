package heap_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views/heap"
)

var rewriteGolden = flag.Bool("rewrite-golden", false, "write testdata/store-v1 again; only when format version 1 is not released yet")

// A store of format version 1, as written when that version was made, is read for ever.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "store-v1")
	if *rewriteGolden {
		os.RemoveAll(golden)
		s, err := heap.Open(heap.Options{FS: vfs.Default, Dir: golden})
		if err != nil {
			t.Fatal(err)
		}
		for seq, row := range []string{"one", "two", "three"} {
			b, _ := s.Begin(at(uint64(seq + 1)))
			b.Set(7, []byte("key"), []byte(row))
			b.SetIndex(9, []byte("entry "+row), []byte("key"))
			b.AddWeight(8, []byte("counted"), []byte("counted"), 2)
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	s, err := heap.Open(heap.Options{FS: vfs.Default, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Position() != at(3) || s.Stats(8).Rows != 6 {
		t.Fatal(s.Position(), s.Stats(8))
	}
	if row, _, err := s.Get(7, []byte("key")); string(row) != "three" {
		t.Fatalf("%q %v", row, err)
	}
	if key, _, err := s.GetIndex(9, []byte("entry two")); string(key) != "key" {
		t.Fatalf("%q %v", key, err)
	}
	var got []heap.Change
	err = s.Changes(7, at(1), at(3), func(c heap.Change) error { got = append(got, c); return nil })
	if err != nil || len(got) != 1 || string(got[0].Old) != "one" || string(got[0].New) != "three" {
		t.Fatalf("%q %v", got, err)
	}
}
