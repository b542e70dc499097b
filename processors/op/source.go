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

// Constant puts its rows out in the first tick.
type Constant struct {
	Rows    arrow.Record
	started bool
}

// Step implements processors.Operator.
func (c *Constant) Step(context.Context, delta.Position, []processors.Batch) (processors.Batch, error) {
	if c.started {
		return processors.Batch{}, nil
	}
	c.started = true
	return processors.Batch{Rows: c.Rows}.Retain(), nil
}

// Size implements processors.Stateful.
func (c *Constant) Size() (int, limit.Bytes) { return 0, 0 }

// Checkpoint implements processors.Stateful.
func (c *Constant) Checkpoint(out io.Writer) error {
	w := state.NewWriter(out)
	w.Bool(c.started)
	return w.Close()
}

// Restore implements processors.Stateful.
func (c *Constant) Restore(in io.Reader) error {
	r := state.NewReader(in)
	c.started = r.Bool()
	return r.Close()
}

// Query computes a whole relation at a Position, calling yield with parts of it; yield borrows them.
type Query func(ctx context.Context, at delta.Position, yield func(arrow.Record) error) error

// Recompute runs a query again in each tick in which an input has changed, and puts out the difference to the last result,
// which it keeps. The inputs' deltas are not looked at.
type Recompute struct {
	query Query
	// always: the result may change without its inputs.
	always  bool
	schema  *arrow.Schema
	codec   *state.Codec
	rows    state.Table
	counts  []int64 // by row: in the last result, in the new one
	started bool
	encoded state.Rows
	ids     []uint32
}

// NewRecompute makes a Recompute of a query with the given columns.
func NewRecompute(schema *arrow.Schema, query Query, always bool) (*Recompute, error) {
	codec, err := state.NewCodec(schema, 0)
	return &Recompute{query: query, always: always, schema: schema, codec: codec}, err
}

// Schema is the output's columns.
func (q *Recompute) Schema() *arrow.Schema { return q.schema }

// Step implements processors.Operator.
func (q *Recompute) Step(ctx context.Context, to delta.Position, in []processors.Batch) (processors.Batch, error) {
	changed := q.always || !q.started
	for _, b := range in {
		changed = changed || b.Len() > 0
	}
	if !changed {
		return processors.Batch{}, nil
	}
	q.started = true
	err := q.query(ctx, to, func(rec arrow.Record) error {
		for from := 0; from < int(rec.NumRows()); from += chunkRows {
			n := min(chunkRows, int(rec.NumRows())-from)
			q.codec.Encode(rec.Columns(), from, from+n, &q.encoded)
			q.ids = extend(q.ids[:0], n)
			q.rows.Upsert(&q.encoded, q.ids)
			q.counts = extend(q.counts, 2*q.rows.IDs())
			for _, id := range q.ids {
				q.counts[2*id+1]++
			}
		}
		return nil
	})
	if err != nil {
		return processors.Batch{}, err
	}
	return q.difference(), nil
}

func (q *Recompute) difference() processors.Batch {
	var lost, won []uint32
	var weights, plus []int64
	for id := range uint32(q.rows.IDs()) {
		c := q.counts[2*id : 2*id+2]
		if d := c[1] - c[0]; d < 0 {
			lost, weights = append(lost, id), append(weights, d)
		} else if d > 0 {
			won, plus = append(won, id), append(plus, d)
		}
		c[0], c[1] = c[1], 0
	}
	ids := append(lost, won...)
	if len(ids) == 0 {
		return processors.Batch{}
	}
	cols := q.codec.Decode(len(ids), func(i int) []byte { return q.rows.Key(ids[i]) })
	for _, id := range lost {
		if q.counts[2*id] == 0 {
			q.rows.Delete(id)
		}
	}
	return processors.Batch{Rows: newRecord(q.schema, cols, len(ids)), Weights: append(weights, plus...)}
}

// Size implements processors.Stateful.
func (q *Recompute) Size() (int, limit.Bytes) {
	return q.rows.Len(), limit.Bytes(q.rows.Memory() + int64(cap(q.counts))*8)
}

// Checkpoint implements processors.Stateful.
func (q *Recompute) Checkpoint(out io.Writer) error {
	w := state.NewWriter(out)
	w.Bool(q.started)
	q.rows.Checkpoint(w)
	state.WriteWords(w, q.counts)
	return w.Close()
}

// Restore implements processors.Stateful.
func (q *Recompute) Restore(in io.Reader) error {
	r := state.NewReader(in)
	q.started = r.Bool()
	q.rows.Restore(r)
	q.counts = state.ReadWords[int64](r, maxWords)
	if len(q.counts) != 2*q.rows.IDs() {
		r.Fail("a result's rows have no counts")
	}
	return r.Close()
}
