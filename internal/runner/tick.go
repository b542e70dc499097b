package runner

import (
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
)

// tick is what the appends in (from, to] did.
type tick struct {
	from, to log.Position
	// deltas has one entry per changed table, stream and rejected relation.
	deltas map[delta.RelationID]delta.Delta
	// keys holds the heap key of each row of a table's delta.
	keys map[delta.RelationID][][]byte
	// catalog is the catalog at to; changed lists what its records did, which only the last append of a tick has.
	catalog *catalog.Snapshot
	changed []definition
	// tables is the heap of tables at to; nil when the heap was ahead of the tick (replay).
	tables  *heap.Snapshot
	records int64
}

// definition is one change of the catalog.
type definition struct{ before, after *catalog.Relation }

func (t *tick) release() {
	for _, d := range t.deltas {
		d.Release()
	}
	if t.tables != nil {
		_ = t.tables.Close()
	}
}

// changes gathers the delta of one relation.
type changes struct {
	rel     *catalog.Relation
	rows    *row.Builder
	weights []int64
	keys    [][]byte // of a keyed relation
	// retracts is set once a row has weight -1: until then weights are all +1 and not kept.
	retracts bool
}

func newChanges(rel *catalog.Relation) *changes {
	return &changes{rel: rel, rows: row.NewBuilder(nil, rel.RowSchema())}
}

// add notes one row; key is its heap key, nil for an append-only relation.
func (c *changes) add(key []byte, r row.Row, weight int64) {
	if weight < 0 && !c.retracts {
		c.retracts = true
		for range c.rows.Len() {
			c.weights = append(c.weights, 1)
		}
	}
	c.rows.AppendRow(r)
	if key != nil {
		c.keys = append(c.keys, key)
	}
	if c.retracts {
		c.weights = append(c.weights, weight)
	}
}

func (c *changes) delta(from, to log.Position) delta.Delta {
	d := delta.Delta{Relation: c.rel.ID, From: from, To: to, Rows: c.rows.NewRecord(), Weights: c.weights}
	c.weights, c.retracts, c.keys = nil, false, nil
	return d
}
