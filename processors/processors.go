package processors

import (
	"context"
	"io"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/limit"
)

// Batch is a Z-set on a wire of a circuit: the change of one operator's output in one tick.
type Batch struct {
	// Rows has one row per change; nil is an empty Batch. Whoever gets a Batch as a result owns one reference to it.
	Rows arrow.Record
	// Weights has one entry per row; nil means that every weight is +1.
	Weights []int64
}

// Len is the number of rows.
func (b Batch) Len() int {
	if b.Rows == nil {
		return 0
	}
	return int(b.Rows.NumRows())
}

// Weight is the weight of row i.
func (b Batch) Weight(i int) int64 {
	if b.Weights == nil {
		return 1
	}
	return b.Weights[i]
}

// Retain takes one more reference to Rows.
func (b Batch) Retain() Batch {
	if b.Rows != nil {
		b.Rows.Retain()
	}
	return b
}

// Release gives one reference to Rows back.
func (b Batch) Release() {
	if b.Rows != nil {
		b.Rows.Release()
	}
}

// Operator is one node of a circuit.
type Operator interface {
	// Step maps the input deltas of the tick that ends at Position to to the output delta; one entry of in per input, in
	// a fixed order. It borrows in and gives a Batch of its own. An error leaves the operator's state undefined: the
	// circuit must be restored.
	Step(ctx context.Context, to delta.Position, in []Batch) (Batch, error)
}

// Stateful is an Operator that remembers something between ticks.
type Stateful interface {
	Operator
	// Checkpoint writes the state; it is called between ticks only.
	Checkpoint(w io.Writer) error
	// Restore reads what Checkpoint wrote, into an operator that has not stepped; bytes that Checkpoint cannot have written
	// are errs.Corrupt.
	Restore(r io.Reader) error
	// Size is the number of entries in the state and the memory that it takes.
	Size() (entries int, memory limit.Bytes)
}

// Circuit is a materialized view's computation. It is opened by its package's New, at Position zero (before the first
// append) and with empty state, or continued by Restore. A Circuit is used by one goroutine at a time.
//
// A failed Step leaves it broken: it gives the same error until Restore. A Circuit at Position p answers for the log's
// prefix up to and including p.
type Circuit interface {
	// Inputs are the relations whose deltas Step wants, without duplicates.
	Inputs() []delta.RelationID
	// Position is the end of the last tick.
	Position() delta.Position
	// Step runs the tick (Position, to]. inputs holds the deltas of the input relations in that range, one per relation and
	// none for a relation without changes; deltas of other relations are ignored. Step borrows them. They may be cut
	// differently from run to run, as long as each is the whole change of its relation in the range; the first may be a
	// snapshot: all rows at to, with weight 1.
	//
	// The result is the change of the view, owned by the caller. It is consolidated: no row stands in it with opposite
	// weights, and retractions come before insertions. Equal rows may stand in it more than once.
	Step(ctx context.Context, inputs map[delta.RelationID]delta.Delta, to delta.Position) (delta.Delta, error)
	// Checkpoint writes the state and the Position, between ticks.
	Checkpoint(w io.Writer) error
	// Restore continues from a checkpoint, in a new or broken circuit. The checkpoint of another plan is errs.Conflict
	// (the caller starts from a snapshot instead); damage is errs.Corrupt.
	Restore(r io.Reader) error
}
