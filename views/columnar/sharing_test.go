package columnar

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
)

// The rows that readers get are the buffers that were applied: from tick to tail to reader nothing is copied.
func TestZeroCopySharing(t *testing.T) {
	s := openStore(t, Options{})
	defer func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	keys, values := make([]string, 2048), make([]int64, 2048)
	for i := range keys {
		keys[i], values[i] = fmt.Sprint("k", i), int64(i)
	}
	applied := record(keys, values)
	if err := s.Apply(at(1), Change{Relation: stream, Rows: applied}); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	r, ok := snap.Relation(stream)
	if !ok {
		t.Fatal("no relation")
	}
	read := 0
	err = r.Read(context.Background(), nil, func(got arrow.Record) error {
		for i := range int(got.NumCols()) {
			for j, b := range got.Column(i).Data().Buffers() {
				want := applied.Column(i).Data().Buffers()[j]
				if b != nil && want != nil && len(b.Bytes()) > 0 && &b.Bytes()[0] != &want.Bytes()[0] {
					t.Errorf("buffer %d of column %d was copied", j, i)
				}
			}
		}
		read += int(got.NumRows())
		return nil
	})
	if err != nil || read != len(keys) {
		t.Fatal(read, err)
	}
}
