package exec

import (
	"context"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// Source gives rows of relations at one snapshot, those of the transaction's own writes among them.
type Source interface {
	// Get reads the row with this primary key (one value per key column, none NULL); found is false when there is none.
	// With a lock the row is locked first. want lists the columns that will be read, in rising order (others may be NULL);
	// nil: all.
	Get(ctx context.Context, rel *catalog.Relation, key []row.Value, want []int, lock plan.LockStrength) (r row.Row, found bool, err error)
	// Scan reads the rows of a relation that are within the request's bounds.
	Scan(ctx context.Context, s *ScanRequest) (Iterator, error)
}

// Iterator yields rows in batches.
type Iterator interface {
	// Next gives at least one row, or none at the end. The rows may be kept, the slice is the iterator's.
	Next() ([]row.Row, error)
	Close() error
}

// ScanRequest says which rows of a relation are wanted. Bounds are exact: what is outside is not returned. They are only
// asked for of tables and materialized views with a key; other relations are read whole.
type ScanRequest struct {
	Relation *catalog.Relation
	// Index is the secondary index to go by; nil: the primary key.
	Index *catalog.Index
	// Equal are the values of the first columns of the key or index.
	Equal []row.Value
	// Low and High bound the next column; nil: no bound. A bound excludes NULLs.
	Low, High *Bound
	// Ordered asks for rows in the order of the key or index (NULLs last), Reverse for the opposite order.
	Ordered, Reverse bool
	// Columns are the columns that will be read (others may be NULL in the rows); nil: all.
	Columns []int
	// Few says that reading may stop after few rows: prefetching is a loss.
	Few  bool
	Lock plan.LockStrength
}

// Bound is one end of a range.
type Bound struct {
	Value     row.Value
	Exclusive bool
}

// Key gives the columns of the request's key or index.
func (s *ScanRequest) Key() []int {
	if s.Index != nil {
		return s.Index.Columns
	}
	return s.Relation.Key
}

// Within reports whether a row lies in the request's bounds.
func (s *ScanRequest) Within(r row.Row) bool {
	lower, upper := s.keyBounds()
	var k []byte
	for _, i := range s.Key() {
		k = row.AppendKey(k, s.Relation.Columns[i].Type, r[i], false)
	}
	return string(k) >= string(lower) && (upper == nil || string(k) < string(upper))
}
