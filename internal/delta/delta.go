// Package delta is where processors and views meet: a change of one relation as Arrow columns with a weight per row,
// over a range of log Positions.
//
// A delta is a Z-set (DBSP, section 2): weight +1 inserts a row, -1 deletes one, an update is both. The same row may
// stand in it several times; its weights add up. Rows whose weights add up to zero may be left in or out.
//
// It deliberately knows neither SQL nor storage: who makes a delta and who keeps it is the business of its callers.
package delta

import (
	"github.com/apache/arrow/go/v17/arrow"
)

// RelationID is the catalog's object id of a table, stream, view or raw topic; it is also the relation's PostgreSQL OID.
// Ids are never reused. 0 is no relation.
type RelationID uint32

// Delta is a change of one relation by the appends in (From, To].
type Delta struct {
	Relation RelationID
	From, To Position

	// Rows has one row per change, in the relation's column order. The holder of a Delta owns one reference to it.
	Rows arrow.Record
	// Weights has one entry per row of Rows; nil means every weight is +1 (an append-only change).
	Weights []int64
}

// Len is the number of rows.
func (d Delta) Len() int {
	if d.Rows == nil {
		return 0
	}
	return int(d.Rows.NumRows())
}

// Weight is the weight of row i.
func (d Delta) Weight(i int) int64 {
	if d.Weights == nil {
		return 1
	}
	return d.Weights[i]
}

// AppendOnly reports whether no row has a negative weight.
func (d Delta) AppendOnly() bool {
	for _, w := range d.Weights {
		if w < 0 {
			return false
		}
	}
	return true
}

// Release gives back the reference to Rows.
func (d Delta) Release() {
	if d.Rows != nil {
		d.Rows.Release()
	}
}
