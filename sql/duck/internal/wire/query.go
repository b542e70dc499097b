package wire

import (
	"encoding/binary"

	"github.com/miracledb/miracledb/internal/errs"
)

// Config is what a child is told in Hello.
type Config struct {
	Version     int
	MemoryLimit int64 // DuckDB's memory_limit, bytes
	DataLimit   int64 // RLIMIT_DATA, bytes; 0: none
	Threads     int
	TempDir     string
	// Directories are all that the child may read.
	Directories []string
	// BlobCache is the budget for inline rows and deletion bitmaps, bytes.
	BlobCache int64
}

// Query is one query: SQL in fragments with the scan of a relation between each two.
type Query struct {
	Fragments []string
	Scans     []Scan
	Relations []Relation
	// Blobs are payloads by key; those not cached under a lasting key begin with '#' and are dropped after the query.
	Blobs []Blob
}

// Blob is the payload of a key: roaring's own format for a deletion bitmap, an Arrow IPC stream for inline rows.
type Blob struct {
	Key  string
	Data []byte
}

// Scan is a use of a relation with the columns that it needs, which are named c0, c1... by their index in the relation.
type Scan struct {
	Relation int
	Columns  []int
}

// Relation is the snapshot of one relation.
type Relation struct {
	Columns  []Column
	Segments []Segment
	Batches  []Batches
}

// Column is a column's stored name and its DuckDB type as SQL.
//
// Before is the SQL text of what rows have that are older than the column.
type Column struct{ Name, Type, Before string }

// Segment is a Parquet file; Deleted is a blob's key, "" for none. Columns are as in duck.Segment.
type Segment struct {
	Path    string
	Rows    int64
	Columns []string
	Deleted string
}

// Batches are record batches from a file (Path, Bytes) or a blob (Key).
type Batches struct {
	Path    string
	Bytes   int64
	Key     string
	Rows    int64
	Deleted string
}

// Failure is an error of the child.
type Failure struct {
	Type    uint32 // duckdb_error_type
	Message string
}

type encoder []byte

func (e *encoder) uint(n uint64)   { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) str(s string)    { e.uint(uint64(len(s))); *e = append(*e, s...) }
func (e *encoder) bytes(s []byte)  { e.uint(uint64(len(s))); *e = append(*e, s...) }
func (e *encoder) strs(s []string) { seq(e, s, (*encoder).str) }

func seq[T any](e *encoder, s []T, f func(*encoder, T)) {
	e.uint(uint64(len(s)))
	for _, v := range s {
		f(e, v)
	}
}

// Append appends the encoded query.
func (q *Query) Append(dst []byte) []byte {
	e := (*encoder)(&dst)
	e.strs(q.Fragments)
	seq(e, q.Scans, func(e *encoder, s Scan) {
		e.uint(uint64(s.Relation))
		seq(e, s.Columns, func(e *encoder, n int) { e.uint(uint64(n)) })
	})
	seq(e, q.Relations, func(e *encoder, r Relation) {
		seq(e, r.Columns, func(e *encoder, c Column) { e.str(c.Name); e.str(c.Type); e.str(c.Before) })
		seq(e, r.Segments, func(e *encoder, s Segment) {
			e.str(s.Path)
			e.uint(uint64(s.Rows))
			e.strs(s.Columns)
			e.str(s.Deleted)
		})
		seq(e, r.Batches, func(e *encoder, b Batches) {
			e.str(b.Path)
			e.uint(uint64(b.Bytes))
			e.str(b.Key)
			e.uint(uint64(b.Rows))
			e.str(b.Deleted)
		})
	})
	seq(e, q.Blobs, func(e *encoder, b Blob) { e.str(b.Key); e.bytes(b.Data) })
	return *e
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	n, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[w:]
	return n
}

func (d *decoder) int() int64 {
	n := int64(d.uint())
	if n < 0 {
		d.bad, n = true, 0
	}
	return n
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) str() string { return string(d.bytes()) }

// list reads a counted list. Every element takes at least one byte, so the count is bounded by what is left.
func list[T any](d *decoder, f func(*decoder) T) []T {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	if n == 0 {
		return nil
	}
	s := make([]T, 0, n)
	for range n {
		s = append(s, f(d))
		if d.bad {
			return nil
		}
	}
	return s
}

// DecodeQuery reads what Append wrote. Blob data share b.
func DecodeQuery(b []byte) (*Query, error) {
	d := &decoder{b: b}
	q := &Query{Fragments: list(d, (*decoder).str)}
	q.Scans = list(d, func(d *decoder) Scan {
		return Scan{int(d.int()), list(d, func(d *decoder) int { return int(d.int()) })}
	})
	q.Relations = list(d, func(d *decoder) Relation {
		return Relation{
			Columns: list(d, func(d *decoder) Column { return Column{d.str(), d.str(), d.str()} }),
			Segments: list(d, func(d *decoder) Segment {
				return Segment{d.str(), d.int(), list(d, (*decoder).str), d.str()}
			}),
			Batches: list(d, func(d *decoder) Batches { return Batches{d.str(), d.int(), d.str(), d.int(), d.str()} }),
		}
	})
	q.Blobs = list(d, func(d *decoder) Blob { return Blob{d.str(), d.bytes()} })
	if d.bad || len(d.b) != 0 {
		return nil, errs.New(errs.Internal, "analytical engine: malformed query message")
	}
	return q, q.check()
}

// check proves the indexes that the child will follow.
func (q *Query) check() error {
	ok := len(q.Fragments) == len(q.Scans)+1
	for _, s := range q.Scans {
		if s.Relation >= len(q.Relations) {
			return errs.New(errs.Internal, "analytical engine: scan of relation %d of %d", s.Relation, len(q.Relations))
		}
		for _, c := range s.Columns {
			ok = ok && c < len(q.Relations[s.Relation].Columns)
		}
	}
	for _, r := range q.Relations {
		for _, s := range r.Segments {
			ok = ok && (len(s.Columns) == 0 || len(s.Columns) == len(r.Columns))
		}
	}
	if !ok {
		return errs.New(errs.Internal, "analytical engine: inconsistent query message")
	}
	return nil
}

// AppendStrings and DecodeStrings carry the keys of Missing.
func AppendStrings(dst []byte, s []string) []byte {
	e := (*encoder)(&dst)
	e.strs(s)
	return *e
}

// DecodeStrings reads what AppendStrings wrote.
func DecodeStrings(b []byte) ([]string, error) {
	d := &decoder{b: b}
	s := list(d, (*decoder).str)
	if d.bad || len(d.b) != 0 {
		return nil, errs.New(errs.Internal, "analytical engine: malformed key list")
	}
	return s, nil
}

// Append appends the encoded failure.
func (f Failure) Append(dst []byte) []byte {
	e := (*encoder)(&dst)
	e.uint(uint64(f.Type))
	e.str(f.Message)
	return *e
}

// DecodeFailure reads what Append wrote.
func DecodeFailure(b []byte) Failure {
	d := &decoder{b: b}
	return Failure{uint32(d.uint()), d.str()}
}
