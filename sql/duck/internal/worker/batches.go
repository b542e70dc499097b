package worker

/*
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/cdata"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory/mallocator"

	"github.com/miracledb/miracledb/internal/errs"
)

// maxBatchRows is DuckDB's vector size.
const maxBatchRows = 2048

// batchList is an Arrow IPC stream converted to DuckDB chunks, as far as it was asked for.
type batchList struct {
	file *os.File // nil: the stream was whole in a blob
	size int64    // bytes converted, for the cache's budget

	mu struct {
		sync.Mutex
		source  *countingReader
		reader  *ipc.Reader
		schema  C.duckdb_arrow_converted_schema
		batches []*C.mdb_batch
		starts  []int64 // number of the first row of each batch
		rows    int64
		closed  bool
	}
}

// countingReader stops at limit, so that a reader never meets the end of what belongs to a snapshot.
type countingReader struct {
	r     io.Reader
	read  int64
	limit int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if left := c.limit - c.read; int64(len(p)) > left {
		if left <= 0 {
			return 0, io.EOF
		}
		p = p[:left]
	}
	n, err := c.r.Read(p)
	c.read += int64(n)
	return n, err
}

func openBatches(path string) (*batchList, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errs.New(errs.Internal, "tail: %w", err)
	}
	l := &batchList{file: f}
	l.mu.source = &countingReader{r: f}
	return l, nil
}

func decodeBatches(data []byte) *batchList {
	l := &batchList{}
	l.mu.source = &countingReader{r: bytes.NewReader(data)}
	return l
}

// extend converts what lies before byte limit.
func (l *batchList) extend(con *connection, limit int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.mu
	if m.source.limit < limit {
		m.source.limit = limit
	}
	if m.source.read >= limit {
		return nil
	}
	if m.reader == nil {
		r, err := ipc.NewReader(m.source, ipc.WithAllocator(mallocator.NewMallocator()))
		if err != nil {
			return errs.New(errs.Internal, "tail: %w", err)
		}
		m.reader = r
		if m.schema, err = convertSchema(con, r.Schema()); err != nil {
			return err
		}
	}
	for m.source.read < limit && m.reader.Next() {
		b, err := convert(con, m.schema, m.reader.Record())
		if err != nil {
			return err
		}
		m.batches = append(m.batches, b)
		m.starts = append(m.starts, m.rows)
		m.rows += int64(b.rows)
	}
	l.size = m.source.read
	if err := m.reader.Err(); err != nil && !errors.Is(err, io.EOF) {
		return errs.New(errs.Internal, "tail: %w", err)
	}
	return nil
}

func convertSchema(con *connection, s *arrow.Schema) (C.duckdb_arrow_converted_schema, error) {
	p := C.mdb_arrow_schema_new()
	defer C.free(unsafe.Pointer(p))
	out := cdata.SchemaFromPtr(uintptr(unsafe.Pointer(p)))
	cdata.ExportArrowSchema(s, out)
	defer cdata.ReleaseCArrowSchema(out)
	var problem *C.char
	conv := C.mdb_schema(con.handle, p, &problem)
	return conv, takeProblem(problem)
}

func convert(con *connection, schema C.duckdb_arrow_converted_schema, rec arrow.Record) (*C.mdb_batch, error) {
	if rec.NumRows() > maxBatchRows {
		return nil, errs.New(errs.Internal, "a batch of %d rows, over %d", rec.NumRows(), maxBatchRows)
	}
	p := C.mdb_arrow_array_new()
	defer C.free(unsafe.Pointer(p)) // the contents have moved to the chunk
	cdata.ExportArrowRecordBatch(rec, cdata.ArrayFromPtr(uintptr(unsafe.Pointer(p))), nil)
	var problem *C.char
	b := C.mdb_batch_make(con.handle, p, schema, &problem)
	return b, takeProblem(problem)
}

func takeProblem(p *C.char) error {
	if p == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(p))
	return errs.New(errs.Internal, "duckdb: %s", C.GoString(p))
}

// snapshot gives the first rows rows without the deleted ones; nil when there are none. The caller releases it.
func (l *batchList) snapshot(rows int64, deleted *roaring.Bitmap) (*C.mdb_snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.mu
	if m.closed || rows > m.rows {
		return nil, errs.New(errs.Internal, "snapshot of %d rows in a stream of %d", rows, m.rows)
	}
	s := C.mdb_snapshot_make(C.uint64_t(len(m.batches)))
	if s == nil {
		return nil, errOutOfMemory
	}
	var selected [maxBatchRows]uint32
	for i, b := range m.batches {
		n := min(int64(b.rows), rows-m.starts[i])
		if n <= 0 {
			break
		}
		var sel *C.uint32_t
		count := int(n)
		if deleted != nil {
			if count = survivors(deleted, uint64(m.starts[i]), int(n), &selected); count == 0 {
				continue
			}
			if count < int(n) {
				sel = (*C.uint32_t)(unsafe.Pointer(&selected))
			}
		}
		if !C.mdb_snapshot_add(s, b, C.uint64_t(n), sel, C.uint64_t(count)) {
			C.mdb_snapshot_unref(s)
			return nil, errOutOfMemory
		}
	}
	if s.count == 0 {
		C.mdb_snapshot_unref(s)
		return nil, nil
	}
	return s, nil
}

// survivors fills sel with the positions below n whose row number start+position is not deleted.
func survivors(deleted *roaring.Bitmap, start uint64, n int, sel *[maxBatchRows]uint32) int {
	dead := deleted.Iterator()
	dead.AdvanceIfNeeded(uint32(start))
	count := 0
	for i := range n {
		for dead.HasNext() && uint64(dead.PeekNext()) < start+uint64(i) {
			dead.Next()
		}
		if dead.HasNext() && uint64(dead.PeekNext()) == start+uint64(i) {
			continue
		}
		sel[count] = uint32(i)
		count++
	}
	return count
}

// close gives the batches up; those in running snapshots live on.
func (l *batchList) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.mu
	if m.closed {
		return
	}
	m.closed = true
	for _, b := range m.batches {
		C.mdb_batch_unref(b)
	}
	m.batches, m.starts, m.rows = nil, nil, 0
	if m.schema != nil {
		C.duckdb_destroy_arrow_converted_schema(&m.schema)
	}
	if m.reader != nil {
		m.reader.Release()
	}
	if l.file != nil {
		_ = l.file.Close() // read only
	}
}

var errOutOfMemory = &failure{C.DUCKDB_ERROR_OUT_OF_MEMORY, "Out of Memory Error: no memory for a snapshot"}
