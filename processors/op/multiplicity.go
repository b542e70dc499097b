package op

import (
	"context"
	"io"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/state"
)

// MultiplicitySpec describes a Multiplicity.
type MultiplicitySpec struct {
	// Inputs is the number of inputs; all have the same columns.
	Inputs int
	// Keys are the columns that make rows equal, in normal form; Show are those put out, from the first such row seen.
	Keys, Show []int
	// F gives how often a row stands in the output from how often it stands in each input.
	F func(counts []int64) int64
}

// The multiplicities of SQL's set operations.
var (
	Distinct     = func(n []int64) int64 { return b2i(n[0] > 0) }
	UnionOnce    = func(n []int64) int64 { return b2i(n[0]+n[1] > 0) }
	IntersectAll = func(n []int64) int64 { return min(n[0], n[1]) }
	Intersect    = func(n []int64) int64 { return b2i(n[0] > 0 && n[1] > 0) }
	ExceptAll    = func(n []int64) int64 { return max(n[0]-n[1], 0) }
	Except       = func(n []int64) int64 { return b2i(n[0] > 0 && n[1] <= 0) }
)

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Multiplicity puts each row out as often as a function of its counts in the inputs says.
type Multiplicity struct {
	spec      MultiplicitySpec
	schema    *arrow.Schema
	keyCodec  *state.Codec
	showCodec *state.Codec

	rows   state.Table
	counts []int64 // by row: one per input, then the count that was put out
	shown  []place
	bytes  state.Arena

	touchedIn []uint32
	tick      uint32
	touched   []uint32

	keys, shows state.Rows
	ids         []uint32
}

// NewMultiplicity makes a Multiplicity over inputs of the given columns.
func NewMultiplicity(schema *arrow.Schema, spec MultiplicitySpec) (*Multiplicity, error) {
	m := &Multiplicity{spec: spec, schema: pick(schema, spec.Show)}
	var err error
	if m.keyCodec, err = state.NewKeyCodec(pick(schema, spec.Keys), 0); err != nil {
		return nil, err
	}
	m.showCodec, err = state.NewCodec(m.schema, 0)
	return m, err
}

// Schema is the output's columns.
func (m *Multiplicity) Schema() *arrow.Schema { return m.schema }

// Step implements processors.Operator.
func (m *Multiplicity) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	m.tick++
	m.touched = m.touched[:0]
	for i, b := range in {
		for from := 0; from < b.Len(); from += chunkRows {
			m.add(i, b, from, min(chunkRows, b.Len()-from))
		}
	}
	return m.emit(), nil
}

func (m *Multiplicity) add(input int, b processors.Batch, from, n int) {
	m.keyCodec.Encode(columns(b.Rows, m.spec.Keys), from, from+n, &m.keys)
	m.showCodec.Encode(columns(b.Rows, m.spec.Show), from, from+n, &m.shows)
	m.ids = extend(m.ids[:0], n)
	m.rows.Upsert(&m.keys, m.ids)
	ids, stride := m.rows.IDs(), m.spec.Inputs+1
	m.counts, m.shown, m.touchedIn = extend(m.counts, ids*stride), extend(m.shown, ids), extend(m.touchedIn, ids)
	for i, id := range m.ids {
		if m.shown[id].ref == 0 {
			row := m.shows.Row(i)
			m.shown[id] = place{m.bytes.Add(row), uint32(len(row))}
		}
		m.counts[int(id)*stride+input] += b.Weight(from + i)
		if m.touchedIn[id] != m.tick {
			m.touchedIn[id] = m.tick
			m.touched = append(m.touched, id)
		}
	}
}

func (m *Multiplicity) emit() processors.Batch {
	stride := m.spec.Inputs + 1
	var lost, won []uint32
	var weights, plus []int64
	for _, id := range m.touched {
		counts := m.counts[int(id)*stride:][:stride]
		now := m.spec.F(counts[:stride-1])
		if d := now - counts[stride-1]; d < 0 {
			lost, weights = append(lost, id), append(weights, d)
		} else if d > 0 {
			won, plus = append(won, id), append(plus, d)
		}
		counts[stride-1] = now
	}
	ids := append(lost, won...)
	var out processors.Batch
	if len(ids) > 0 {
		cols := m.showCodec.Decode(len(ids), func(i int) []byte { p := m.shown[ids[i]]; return m.bytes.At(p.ref, int(p.length)) })
		out = processors.Batch{Rows: newRecord(m.schema, cols, len(ids)), Weights: append(weights, plus...)}
	}
	for _, id := range m.touched {
		counts := m.counts[int(id)*stride:][:stride]
		any := int64(0)
		for _, c := range counts {
			any |= c
		}
		if any == 0 {
			m.bytes.Remove(m.shown[id].ref, int(m.shown[id].length))
			m.shown[id] = place{}
			m.rows.Delete(id)
		}
	}
	return out
}

// Size implements processors.Stateful.
func (m *Multiplicity) Size() (int, limit.Bytes) {
	return m.rows.Len(), limit.Bytes(m.rows.Memory() + m.bytes.Memory() + int64(cap(m.counts)+cap(m.shown))*8 + int64(cap(m.touchedIn))*4)
}

// Checkpoint implements processors.Stateful.
func (m *Multiplicity) Checkpoint(out io.Writer) error {
	w := state.NewWriter(out)
	m.rows.Checkpoint(w)
	state.WriteWords(w, m.counts)
	writePlaces(w, m.shown)
	m.bytes.Checkpoint(w)
	return w.Close()
}

// Restore implements processors.Stateful.
func (m *Multiplicity) Restore(in io.Reader) error {
	r := state.NewReader(in)
	m.rows.Restore(r)
	m.counts = state.ReadWords[int64](r, maxWords)
	m.shown = readPlaces(r)
	m.bytes.Restore(r)
	n := m.rows.IDs()
	if len(m.counts) != n*(m.spec.Inputs+1) || len(m.shown) != n {
		r.Fail("a set operation's parts have different lengths")
	}
	for _, p := range m.shown {
		if p.ref != 0 && !m.bytes.Valid(p.ref, int(p.length)) {
			r.Fail("a set operation's row is outside its arena")
		}
	}
	m.touchedIn, m.tick = make([]uint32, n), 0
	return r.Close()
}
