package heap

import (
	"bytes"
	"testing"

	"github.com/miracledb/miracledb/internal/delta"
)

// Properties: no panic; what is accepted is what appendUndoKey and its value say.
func FuzzUndo(f *testing.F) {
	f.Add(appendUndoKey(nil, 7, delta.Position{Epoch: 1, Sequence: 2}, []byte("key")), []byte("\x01row"))
	f.Add(appendUndoKey(nil, 7, delta.Position{}, nil), []byte{0})
	f.Add([]byte("u"), []byte{2})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		pos, key, old, err := splitUndo(k, v)
		if err != nil {
			return
		}
		rel, err := relationOf(k)
		if err != nil {
			t.Fatal(err)
		}
		if again := appendUndoKey(nil, rel, pos, key); !bytes.Equal(again[1:], k[1:]) {
			t.Fatalf("%x %x", again, k)
		}
		if (old != nil) != (v[0] == 1) {
			t.Fatalf("%x gives %x", v, old)
		}
	})
}

// Properties: no panic; an accepted value is a count and the rest.
func FuzzCounted(f *testing.F) {
	f.Add([]byte("\x04row"))
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, row, err := SplitWeight(b); err == nil && !bytes.HasSuffix(b, row) {
			t.Fatalf("%x", row)
		}
		if st, err := decodeStats(b); err == nil {
			if again, err := decodeStats(st.append(nil)); err != nil || again != st {
				t.Fatal(st, again, err)
			}
		}
	})
}
