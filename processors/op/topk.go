package op

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/state"
)

// TopKSpec describes a TopK.
type TopKSpec struct {
	// Keys name the group, in normal form; none: one group.
	Keys []int
	// Order is a binary column whose bytes order the rows; each value must be no prefix of another (row.AppendKey).
	Order int
	// Show are the columns put out.
	Show []int
	// Offset rows of each group are skipped, then Limit are put out.
	Offset, Limit int64
}

// TopK puts out the first rows of each group. Rows of equal order stand in the order of their bytes, so the answer does not
// depend on history. All rows are kept; a tick costs offset + limit rows per touched group.
type TopK struct {
	spec     TopKSpec
	schema   *arrow.Schema
	keyCodec *state.Codec
	rowCodec *state.Codec

	groups  state.Table
	roots   []uint32 // by group
	emitted []place  // by group: what was put out, as appendEntry writes it
	rows    state.Ordered
	bytes   state.Arena

	touchedIn []uint32
	tick      uint32
	touched   []uint32

	keys, encoded state.Rows
	ids           []uint32
	scratch       []byte
}

// NewTopK makes a TopK over input columns of schema.
func NewTopK(schema *arrow.Schema, spec TopKSpec) (*TopK, error) {
	t := &TopK{spec: spec, schema: pick(schema, spec.Show)}
	var err error
	if t.keyCodec, err = state.NewKeyCodec(pick(schema, spec.Keys), 0); err == nil {
		t.rowCodec, err = state.NewCodec(t.schema, 0)
	}
	return t, err
}

// Schema is the output's columns.
func (t *TopK) Schema() *arrow.Schema { return t.schema }

// Step implements processors.Operator.
func (t *TopK) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	t.tick++
	t.touched = t.touched[:0]
	b := in[0]
	for from := 0; from < b.Len(); from += chunkRows {
		t.add(b, from, min(chunkRows, b.Len()-from))
	}
	var out changeList
	for _, g := range t.touched {
		t.diff(g, &out)
		if t.roots[g] == 0 && t.emitted[g].ref == 0 {
			t.groups.Delete(g)
		}
	}
	return out.batch(t.schema, t.rowCodec), nil
}

// add puts rows into their groups. A row's key is its order, its bytes, and the length of its order.
func (t *TopK) add(b processors.Batch, from, n int) {
	t.keyCodec.Encode(columns(b.Rows, t.spec.Keys), from, from+n, &t.keys)
	t.rowCodec.Encode(columns(b.Rows, t.spec.Show), from, from+n, &t.encoded)
	t.ids = extend(t.ids[:0], n)
	t.groups.Upsert(&t.keys, t.ids)
	m := t.groups.IDs()
	t.roots, t.emitted, t.touchedIn = extend(t.roots, m), extend(t.emitted, m), extend(t.touchedIn, m)
	order := b.Rows.Column(t.spec.Order)
	for i, g := range t.ids {
		o := stringAt(order, from+i)
		t.scratch = append(append(t.scratch[:0], o...), t.encoded.Row(i)...)
		t.scratch = binary.BigEndian.AppendUint32(t.scratch, uint32(len(o)))
		t.roots[g] = t.rows.Add(t.roots[g], t.scratch, b.Weight(from+i))
		if t.touchedIn[g] != t.tick {
			t.touchedIn[g] = t.tick
			t.touched = append(t.touched, g)
		}
	}
}

// changeList collects encoded rows with weights: retractions and insertions.
type changeList struct {
	lost, won   [][]byte
	minus, plus []int64
}

func (c *changeList) add(row []byte, w int64) {
	switch {
	case w < 0:
		c.lost, c.minus = append(c.lost, row), append(c.minus, w)
	case w > 0:
		c.won, c.plus = append(c.won, row), append(c.plus, w)
	}
}

func (c *changeList) batch(schema *arrow.Schema, codec *state.Codec) processors.Batch {
	rows := append(c.lost, c.won...)
	if len(rows) == 0 {
		return processors.Batch{}
	}
	cols := codec.Decode(len(rows), func(i int) []byte { return rows[i] })
	return processors.Batch{Rows: newRecord(schema, cols, len(rows)), Weights: append(c.minus, c.plus...)}
}

// appendEntry and readEntry hold one emitted row: uvarint length, row key, uvarint count.
func appendEntry(dst, key []byte, count int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	return binary.AppendUvarint(append(dst, key...), uint64(count))
}

func readEntry(b []byte) (key []byte, count int64, rest []byte) {
	l, n := binary.Uvarint(b)
	key = b[n : n+int(l)]
	c, m := binary.Uvarint(b[n+int(l):])
	return key, int64(c), b[n+int(l)+m:]
}

// rowOf cuts the row's bytes out of a key.
func rowOf(key []byte) []byte {
	n := len(key) - 4
	return key[binary.BigEndian.Uint32(key[n:]):n]
}

// diff compares the group's first rows with those put out before: both are in order, so it is a merge.
func (t *TopK) diff(g uint32, out *changeList) {
	now := t.first(t.roots[g])
	var old []byte
	if e := t.emitted[g]; e.ref != 0 {
		old = append(old, t.bytes.At(e.ref, int(e.length))...)
		t.bytes.Remove(e.ref, int(e.length))
		t.emitted[g] = place{}
	}
	if len(now) > 0 {
		t.emitted[g] = place{t.bytes.Add(now), uint32(len(now))}
	}
	for len(old) > 0 || len(now) > 0 {
		var oldKey, newKey, oldRest, newRest []byte
		var oldCount, newCount int64
		c := 0
		if len(old) > 0 {
			oldKey, oldCount, oldRest = readEntry(old)
		} else {
			c = 1
		}
		if len(now) > 0 {
			newKey, newCount, newRest = readEntry(now)
		} else {
			c = -1
		}
		if c == 0 {
			c = bytes.Compare(oldKey, newKey)
		}
		switch {
		case c < 0:
			out.add(rowOf(oldKey), -oldCount)
			old = oldRest
		case c > 0:
			out.add(rowOf(newKey), newCount)
			now = newRest
		default:
			out.add(rowOf(newKey), newCount-oldCount)
			old, now = oldRest, newRest
		}
	}
}

// first is the rows at root within offset and limit.
func (t *TopK) first(root uint32) []byte {
	var list []byte
	skip, left := t.spec.Offset, t.spec.Limit
	if left <= 0 {
		return nil
	}
	t.rows.Ascend(root, func(n uint32, count int64) bool {
		s := min(skip, count)
		skip -= s
		if c := min(count-s, left); c > 0 {
			t.scratch = t.rows.AppendKey(t.scratch[:0], n)
			list = appendEntry(list, t.scratch, c)
			left -= c
		}
		return left > 0
	})
	return list
}

// Size implements processors.Stateful.
func (t *TopK) Size() (int, limit.Bytes) {
	return t.rows.Len(), limit.Bytes(t.groups.Memory() + t.rows.Memory() + t.bytes.Memory() + int64(cap(t.roots))*4 + int64(cap(t.emitted))*8)
}

// Checkpoint implements processors.Stateful.
func (t *TopK) Checkpoint(out io.Writer) error {
	w := state.NewWriter(out)
	t.groups.Checkpoint(w)
	state.WriteWords(w, t.roots)
	writePlaces(w, t.emitted)
	t.rows.Checkpoint(w)
	t.bytes.Checkpoint(w)
	return w.Close()
}

// Restore implements processors.Stateful.
func (t *TopK) Restore(in io.Reader) error {
	r := state.NewReader(in)
	t.groups.Restore(r)
	t.roots = state.ReadWords[uint32](r, maxWords)
	t.emitted = readPlaces(r)
	t.rows.Restore(r)
	t.bytes.Restore(r)
	n := t.groups.IDs()
	if len(t.roots) != n || len(t.emitted) != n {
		r.Fail("a top-k's parts have different lengths")
	}
	for _, root := range t.roots {
		if !t.rows.Valid(root) {
			r.Fail("a top-k's rows are outside their set")
		}
	}
	for _, p := range t.emitted {
		if p.ref != 0 && !t.bytes.Valid(p.ref, int(p.length)) {
			r.Fail("a top-k's row is outside its arena")
		}
	}
	t.touchedIn, t.tick = make([]uint32, n), 0
	return r.Close()
}
