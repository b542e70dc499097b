package columnar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// segmentReader reads columns of a segment as Arrow, a row group at a time.
type segmentReader struct {
	path string
	file vfs.File
	pq   *parquet.File
	// schema is that the segment was written with.
	schema *arrow.Schema
}

// openSegment opens a segment whose fileSum was verified. Errors: Corrupt with the path when the file is missing or does
// not fit schema, Unavailable while there are no descriptors.
func openSegment(fs vfs.FS, path string, size int64, schema *arrow.Schema) (_ *segmentReader, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, damaged(path, err)
	}
	r := &segmentReader{path: path, file: f, schema: schema}
	defer func() {
		if p := recover(); p != nil { // the library meets damaged footers with panics at places
			err = damaged(path, fmt.Errorf("%v", p))
		}
		if err != nil {
			f.Close()
		}
	}()
	r.pq, err = parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(256<<10))
	if err != nil {
		return nil, damaged(path, err)
	}
	if got, want := len(r.pq.Root().Columns()), schema.NumFields(); got != want {
		return nil, damaged(path, fmt.Errorf("it has %d columns, %d were written", got, want))
	}
	return r, nil
}

// damaged is the error for a file that is not what was made durable; Unavailable when it could not be looked at.
func damaged(path string, err error) error {
	if vfs.Scarce(err) {
		return fileError("read", path, err)
	}
	var e *errs.Error
	if errors.As(err, &e) && e.Kind == errs.Corrupt {
		return err
	}
	return errs.New(errs.Corrupt, "columnar: %s is damaged: %w", path, err).
		WithHint("Restore the file from a backup, or remove the columnar directory: it is computed again from the log.")
}

func (r *segmentReader) close() error { return r.file.Close() }

// read calls fn with each row group's record of the wanted columns, in order, and the first row's number. fn keeps rec
// by retaining it.
func (r *segmentReader) read(columns []int, fn func(first int64, rec arrow.Record) error) (err error) {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = r.schema.Field(c)
	}
	schema := arrow.NewSchema(fields, nil)
	first := int64(0)
	for _, group := range r.pq.RowGroups() {
		arrays := make([]arrow.Array, 0, len(columns))
		release := func() {
			for _, a := range arrays {
				a.Release()
			}
		}
		for i, c := range columns {
			a, err := r.readColumn(group, c, fields[i])
			if err != nil {
				release()
				return damaged(r.path, err)
			}
			arrays = append(arrays, a)
		}
		rec := array.NewRecord(schema, arrays, group.NumRows())
		release()
		err := fn(first, rec)
		rec.Release()
		if err != nil {
			return err
		}
		first += group.NumRows()
	}
	return nil
}

func (r *segmentReader) readColumn(group parquet.RowGroup, column int, f arrow.Field) (_ arrow.Array, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("column %q: %v", f.Name, p)
		}
	}()
	rows := int(group.NumRows())
	b := array.NewBuilder(memory.DefaultAllocator, f.Type)
	defer b.Release()
	b.Reserve(rows)
	// A list has one leaf, so leaves and columns are numbered alike.
	pages := group.ColumnChunks()[column].Pages()
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		if list, ok := b.(*array.ListBuilder); ok {
			err = appendListPage(list, page)
		} else {
			err = appendPage(b, page)
		}
		parquet.Release(page)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	a := b.NewArray()
	if a.Len() != rows {
		a.Release()
		return nil, fmt.Errorf("column %q has %d values, want %d", f.Name, a.Len(), rows)
	}
	return a, nil
}

// appendPage adds a page of scalars.
func appendPage(b array.Builder, page parquet.Page) error {
	if dict := page.Dictionary(); dict != nil {
		return appendDictionaryPage(b, page, dict)
	}
	put, err := putter(b, page.Type(), page)
	if err != nil {
		return err
	}
	return eachLevel(b, page, put)
}

// eachLevel calls put with the index of each value of the page, in order, and adds a null where there is none.
func eachLevel(b array.Builder, page parquet.Page, put func(i int)) error {
	levels := page.DefinitionLevels()
	if len(levels) == 0 || page.NumNulls() == 0 {
		for i := range int(page.NumValues()) {
			put(i)
		}
		return nil
	}
	next := 0
	for _, l := range levels {
		if l == 0 {
			b.AppendNull()
			continue
		}
		put(next)
		next++
	}
	return nil
}

// putter gives a function that appends the i-th plain value of page to b.
func putter(b array.Builder, typ parquet.Type, page parquet.Page) (func(i int), error) {
	data := page.Data()
	switch b := b.(type) {
	case *array.BooleanBuilder:
		bits := data.Boolean()
		return func(i int) { b.UnsafeAppend(bits[i/8]>>(i%8)&1 == 1) }, nil
	case *array.Int8Builder:
		v := data.Int32()
		return func(i int) { b.UnsafeAppend(int8(v[i])) }, nil
	case *array.Int16Builder:
		v := data.Int32()
		return func(i int) { b.UnsafeAppend(int16(v[i])) }, nil
	case *array.Int32Builder:
		v := data.Int32()
		return func(i int) { b.UnsafeAppend(v[i]) }, nil
	case *array.Date32Builder:
		v := data.Int32()
		return func(i int) { b.UnsafeAppend(arrow.Date32(v[i])) }, nil
	case *array.Uint32Builder:
		v := data.Uint32()
		return func(i int) { b.UnsafeAppend(v[i]) }, nil
	case *array.Int64Builder:
		v := data.Int64()
		return func(i int) { b.UnsafeAppend(v[i]) }, nil
	case *array.Uint64Builder:
		v := data.Uint64()
		return func(i int) { b.UnsafeAppend(v[i]) }, nil
	case *array.Time64Builder:
		v := data.Int64()
		return func(i int) { b.UnsafeAppend(arrow.Time64(v[i])) }, nil
	case *array.TimestampBuilder:
		v := data.Int64()
		return func(i int) { b.UnsafeAppend(arrow.Timestamp(v[i])) }, nil
	case *array.Float32Builder:
		v := data.Float()
		return func(i int) { b.UnsafeAppend(v[i]) }, nil
	case *array.Float64Builder:
		v := data.Double()
		return func(i int) { b.UnsafeAppend(v[i]) }, nil
	case *array.StringBuilder:
		bytes, offsets := data.ByteArray()
		return func(i int) { b.BinaryBuilder.Append(bytes[offsets[i]:offsets[i+1]]) }, nil
	case *array.BinaryBuilder:
		bytes, offsets := data.ByteArray()
		return func(i int) { b.Append(bytes[offsets[i]:offsets[i+1]]) }, nil
	case *array.FixedSizeBinaryBuilder:
		bytes, size := data.FixedLenByteArray()
		return func(i int) { b.Append(bytes[i*size : (i+1)*size]) }, nil
	case *array.MonthDayNanoIntervalBuilder:
		bytes, _ := data.FixedLenByteArray()
		return func(i int) { b.UnsafeAppend(decodeInterval(bytes[i*16:])) }, nil
	case *array.Decimal128Builder:
		switch typ.Kind() {
		case parquet.Int32:
			v := data.Int32()
			return func(i int) { b.UnsafeAppend(decimal128.FromI64(int64(v[i]))) }, nil
		case parquet.Int64:
			v := data.Int64()
			return func(i int) { b.UnsafeAppend(decimal128.FromI64(v[i])) }, nil
		}
		bytes, _ := data.FixedLenByteArray()
		return func(i int) { b.UnsafeAppend(decodeDecimal(bytes[i*16:])) }, nil
	}
	return nil, errs.New(errs.Unsupported, "columnar: cannot read into %T", b)
}

func decodeInterval(b []byte) arrow.MonthDayNanoInterval {
	return arrow.MonthDayNanoInterval{
		Months:      int32(binary.LittleEndian.Uint32(b)),
		Days:        int32(binary.LittleEndian.Uint32(b[4:])),
		Nanoseconds: int64(binary.LittleEndian.Uint64(b[8:16])),
	}
}

func decodeDecimal(b []byte) decimal128.Num {
	return decimal128.New(int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:16]))
}

// appendDictionaryPage adds a page of indexes into dict.
func appendDictionaryPage(b array.Builder, page parquet.Page, dict parquet.Dictionary) error {
	data := page.Data()
	indexes := data.Int32()
	for _, i := range indexes {
		if i < 0 || int(i) >= dict.Len() {
			return fmt.Errorf("index %d into a dictionary of %d", i, dict.Len())
		}
	}
	lookup, err := putter(b, dict.Type(), dict.Page())
	if err != nil {
		return err
	}
	return eachLevel(b, page, func(i int) { lookup(int(indexes[i])) })
}

// appendListPage adds a page of lists: levels as columnWriter.writeList writes them.
func appendListPage(b *array.ListBuilder, page parquet.Page) error {
	elems := b.ValueBuilder()
	values := page.Values()
	buf := make([]parquet.Value, valuesAtOnce)
	for {
		n, err := values.ReadValues(buf)
		for _, v := range buf[:n] {
			if v.RepetitionLevel() == 0 {
				if v.DefinitionLevel() == 0 {
					b.AppendNull()
					continue
				}
				b.Append(true)
			}
			switch v.DefinitionLevel() {
			case 2:
				elems.AppendNull()
			case 3:
				if err := appendValue(elems, v); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// appendValue adds one value; for list elements.
func appendValue(b array.Builder, v parquet.Value) error {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v.Boolean())
	case *array.Int8Builder:
		b.Append(int8(v.Int32()))
	case *array.Int16Builder:
		b.Append(int16(v.Int32()))
	case *array.Int32Builder:
		b.Append(v.Int32())
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.Int32()))
	case *array.Uint32Builder:
		b.Append(v.Uint32())
	case *array.Int64Builder:
		b.Append(v.Int64())
	case *array.Uint64Builder:
		b.Append(v.Uint64())
	case *array.Time64Builder:
		b.Append(arrow.Time64(v.Int64()))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.Int64()))
	case *array.Float32Builder:
		b.Append(v.Float())
	case *array.Float64Builder:
		b.Append(v.Double())
	case *array.StringBuilder:
		b.BinaryBuilder.Append(v.ByteArray())
	case *array.BinaryBuilder:
		b.Append(v.ByteArray())
	case *array.FixedSizeBinaryBuilder:
		b.Append(v.ByteArray())
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(decodeInterval(v.ByteArray()))
	case *array.Decimal128Builder:
		switch v.Kind() {
		case parquet.Int32:
			b.Append(decimal128.FromI64(int64(v.Int32())))
		case parquet.Int64:
			b.Append(decimal128.FromI64(v.Int64()))
		default:
			b.Append(decodeDecimal(v.ByteArray()))
		}
	default:
		return errs.New(errs.Unsupported, "columnar: cannot read a list into %T", b)
	}
	return nil
}
