package columnar

import (
	"bytes"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/vfs"
)

// sealRows is the size of a sealed batch: DuckDB's vector size; a chunk of more rows than that crashes its joins.
const sealRows = 2048

// openChunks bounds how many small records the open remainder of a tail is made of.
const openChunks = 16

// tail holds the rows of a relation that are in no segment yet. Rows are numbered from 0 as they come.
//
// Its file is an Arrow IPC stream without end marker: the schema, then whole messages. It is for the analytical engine
// only, never synced, and gone after a restart. Records are in Go's memory, never released by hand: views share them.
type tail struct {
	counted
	schema *arrow.Schema

	path  string
	file  vfs.File
	ipc   *ipc.Writer
	buf   bytes.Buffer // what ipc writes goes out in one piece
	bytes int64        // in file

	sealed     []arrow.Record // each of at most sealRows, all in file
	sealedRows int64
	open       []arrow.Record // rows after the sealed ones, fewer than sealRows
	openRows   int64

	dead   deadRows
	keys   map[keyHash]uint32 // live rows by key
	hashes []keyHash          // of every row, when keyed
	memory int64
}

func newTail(fs vfs.FS, path string, schema *arrow.Schema, keyed bool) (*tail, error) {
	f, err := fs.Create(path, vfs.WriteCategory)
	if err != nil {
		return nil, fileError("create", path, err)
	}
	t := &tail{schema: schema, path: path, file: f}
	t.counted.free = func(bool) {
		f.Close()
		fs.Remove(path)
	}
	t.counted.refs.Store(1)
	if keyed {
		t.keys = map[keyHash]uint32{}
	}
	t.ipc = ipc.NewWriter(&t.buf, ipc.WithSchema(schema), ipc.WithAllocator(memory.DefaultAllocator))
	return t, nil
}

func (t *tail) rows() int64 { return t.sealedRows + t.openRows }

// append adds the rows of rec, sealing full batches on the way.
func (t *tail) append(rec arrow.Record) error {
	rec.Retain()
	t.memory += recordBytes(rec)
	n := rec.NumRows()
	for from := int64(0); from < n; {
		take := min(sealRows-t.openRows, n-from)
		part := rec
		if take < n {
			part = rec.NewSlice(from, from+take)
		}
		t.open = append(t.open, part)
		t.openRows += take
		from += take
		if t.openRows == sealRows {
			if err := t.seal(); err != nil {
				return err
			}
		}
	}
	if len(t.open) > openChunks {
		merged, err := concatenate(t.schema, t.open)
		if err != nil {
			return err
		}
		t.open = []arrow.Record{merged} // a new slice: views hold the old one
	}
	return nil
}

// seal writes the open remainder as one batch.
func (t *tail) seal() error {
	if t.openRows == 0 {
		return nil
	}
	rec, err := concatenate(t.schema, t.open)
	if err != nil {
		return err
	}
	if err := t.ipc.Write(rec); err != nil {
		return errs.New(errs.Internal, "columnar: tail batch: %w", err)
	}
	if _, err := t.file.Write(t.buf.Bytes()); err != nil {
		return fileError("write", t.path, err)
	}
	t.bytes += int64(t.buf.Len())
	t.buf.Reset()
	t.sealed = append(t.sealed, rec)
	t.sealedRows += rec.NumRows()
	t.open, t.openRows = nil, 0
	return nil
}

// widenInto puts the tail's rows into w, whose schema begins with the tail's own: older rows have what row.Absent gives in the
// new columns.
func (t *tail) widenInto(w *tail) error {
	for _, rec := range append(append([]arrow.Record(nil), t.sealed...), t.open...) {
		wide, err := padded(rec, w.schema)
		if err != nil {
			return err
		}
		if err := w.append(wide); err != nil {
			return err
		}
	}
	w.dead = deadRows{rows: t.dead.rows, shared: t.dead.shared}
	w.keys, w.hashes = t.keys, t.hashes
	return nil
}

// padded gives rec with the columns of schema.
func padded(rec arrow.Record, schema *arrow.Schema) (arrow.Record, error) {
	columns := append([]arrow.Array(nil), rec.Columns()...)
	for i := len(columns); i < schema.NumFields(); i++ {
		absent, err := row.Absent(schema.Field(i), int(rec.NumRows()))
		if err != nil {
			return nil, err
		}
		columns = append(columns, absent)
	}
	return array.NewRecord(schema, columns, rec.NumRows()), nil
}

// concatenate makes one record of several.
func concatenate(schema *arrow.Schema, recs []arrow.Record) (arrow.Record, error) {
	if len(recs) == 1 {
		return recs[0], nil
	}
	rows := int64(0)
	for _, rec := range recs {
		rows += rec.NumRows()
	}
	columns := make([]arrow.Array, schema.NumFields())
	parts := make([]arrow.Array, len(recs))
	for c := range columns {
		for i, rec := range recs {
			parts[i] = rec.Column(c)
		}
		a, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return nil, errs.New(errs.Internal, "columnar: %w", err)
		}
		columns[c] = a
	}
	return array.NewRecord(schema, columns, rows), nil
}

// living gives rec, whose first row has the number first, without the dead rows; rec itself when none is dead.
func living(rec arrow.Record, first int64, dead *roaring.Bitmap) (arrow.Record, error) {
	if dead == nil || dead.IsEmpty() || rec.NumRows() == 0 {
		return rec, nil
	}
	it := dead.Iterator()
	it.AdvanceIfNeeded(uint32(first))
	end := first + rec.NumRows()
	var runs []arrow.Record
	from := first
	for it.HasNext() && int64(it.PeekNext()) < end {
		row := int64(it.Next())
		if row > from {
			runs = append(runs, rec.NewSlice(from-first, row-first))
		}
		from = row + 1
	}
	if from == first {
		return rec, nil
	}
	if from < end {
		runs = append(runs, rec.NewSlice(from-first, end-first))
	}
	if len(runs) == 0 {
		return rec.NewSlice(0, 0), nil
	}
	return concatenate(rec.Schema(), runs)
}

// recordBytes is about what the rows of rec take, whatever larger buffers they are slices of.
func recordBytes(rec arrow.Record) (n int64) {
	for _, a := range rec.Columns() {
		n += arrayBytes(a)
	}
	return n
}

func arrayBytes(a arrow.Array) int64 {
	n := int64(a.Len()) / 8
	switch a := a.(type) {
	case *array.String:
		return n + int64(a.Len())*4 + int64(len(a.ValueBytes()))
	case *array.Binary:
		return n + int64(a.Len())*4 + int64(len(a.ValueBytes()))
	case *array.List:
		if a.Len() == 0 {
			return n
		}
		first, _ := a.ValueOffsets(0)
		_, last := a.ValueOffsets(a.Len() - 1)
		elems := array.NewSlice(a.ListValues(), first, last)
		defer elems.Release()
		return n + int64(a.Len())*4 + arrayBytes(elems)
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return n + int64(a.Len())*int64(t.BitWidth())/8
	}
	return n
}
