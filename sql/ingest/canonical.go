package ingest

import (
	"bytes"
	"fmt"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
)

// misplaced says why a record of a table with CanonicalKeys is a fault: two spellings of a key, or two partitions, would be two keys.
// A row whose identity is its place has no key to spell.
func (c *Codec) misplaced(r row.Row, key []byte, at Place) string {
	n := c.Relation.CanonicalKeys
	if n == 0 || c.generated {
		return ""
	}
	c.canonical = jsonrow.AppendCanonicalKey(c.canonical[:0], c.schema, r)
	if key == nil || !bytes.Equal(key, c.canonical) {
		return fmt.Sprintf("the record's key is not the row's canonical key %.200q", c.canonical)
	}
	if p := PartitionOf(key, n); p != at.Partition {
		return fmt.Sprintf("the record stands in partition %d: of %d partitions its key belongs in %d", at.Partition, n, p)
	}
	return ""
}
