package circuit

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/processors/state"
)

// consolidator adds up the weights of equal rows.
type consolidator struct {
	codec *state.Codec
	rows  state.Rows
}

func newConsolidator(schema *arrow.Schema) (*consolidator, error) {
	codec, err := state.NewCodec(schema, 0)
	return &consolidator{codec: codec}, err
}

func newRecord(schema *arrow.Schema, cols []arrow.Array, n int) arrow.Record {
	return array.NewRecord(schema, cols, int64(n))
}

// consolidate gives b without rows that cancel, retractions first. A batch without retractions is given as it is.
func (c *consolidator) consolidate(b processors.Batch) processors.Batch {
	negative := false
	for _, w := range b.Weights {
		negative = negative || w < 0
	}
	n := b.Len()
	if !negative || n == 0 {
		return b.Retain()
	}
	c.codec.Encode(b.Rows.Columns(), 0, n, &c.rows)
	var table state.Table
	ids := make([]uint32, n)
	table.Upsert(&c.rows, ids)
	weights := make([]int64, table.IDs())
	first := make([]int32, table.IDs())
	for i, id := range ids {
		if weights[id] == 0 {
			first[id] = int32(i)
		}
		weights[id] += b.Weights[i]
	}
	var rows []int32
	var out []int64
	for _, sign := range []int64{-1, 1} {
		for id, w := range weights {
			if w*sign > 0 {
				rows, out = append(rows, first[id]), append(out, w)
			}
		}
	}
	if len(rows) == 0 {
		return processors.Batch{}
	}
	return processors.Batch{Rows: op.TakeRecord(b.Rows, rows), Weights: out}
}
