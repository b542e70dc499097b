package duck

import (
	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/row"
)

// Source is one snapshot of a relation: the rows of its segments, its tail and its inline batches that are not deleted.
// It is not changed after it was given to a query.
type Source struct {
	// Name is the relation's name, for messages.
	Name string
	// Columns are the relation's columns in their order, stored as row.ArrowType says.
	Columns []row.Column
	// Segments are immutable Parquet files.
	Segments []Segment
	// Tails are the growing Arrow files of rows not yet in a segment: mostly one, two while a flush runs.
	Tails []Tail
	// Inline are rows sent with the query, such as a transaction's own; their columns are those of Columns, in order.
	Inline []Inline
}

// Segment is one immutable Parquet file. Its path is never used again for other contents.
type Segment struct {
	Path string
	Rows int64
	// Columns are the file's names of the Source's columns; "": the file has no such column (its values are NULL). nil:
	// the Source's own names.
	Columns []string
	// Deleted are the deleted rows by their number in the file.
	Deleted Deleted
}

// Deleted is a set of deleted row numbers in one version.
type Deleted struct {
	// Rows is nil when none is deleted. It must not be changed once given.
	Rows *roaring.Bitmap
	// Version changes whenever Rows does: (path, version) names the bitmap in the child's cache. 0: not cached.
	Version uint64
}

// Tail is an Arrow IPC stream file that grows by whole messages of at most 2048 rows. Only its first Bytes bytes and
// first Rows rows belong to the snapshot; both end at a message, except that Rows may end inside the last one.
type Tail struct {
	Path  string
	Bytes int64
	Rows  int64
	// Deleted are the deleted rows by their number in the file.
	Deleted Deleted
}

// Inline are rows that travel with the query.
type Inline struct {
	Records []arrow.Record
	// CacheKey names the contents: a later query with the same key need not send them again. "": sent every time.
	CacheKey string
	Deleted  Deleted
}
