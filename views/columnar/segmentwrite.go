package columnar

import (
	"encoding/binary"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/miracledb/miracledb/internal/errs"
)

const (
	// rowGroupRows is DuckDB's own row group size: one thread takes one row group.
	rowGroupRows = 122_880
	// pageBytes bounds a column's page before compression.
	pageBytes = 1 << 20
	// dictionaryBytes is where a column gives up its dictionary: past it, it is not one of few values.
	dictionaryBytes = 1 << 20
)

// segmentWriter writes Arrow records as one Parquet file.
type segmentWriter struct {
	w       *parquet.GenericWriter[any]
	columns []columnWriter
	inGroup int // rows of the row group begun
	rows    int64
}

// columnWriter turns arrays of one column into Parquet values.
type columnWriter struct {
	out    *parquet.ColumnWriter
	field  arrow.Field
	levels int // 0 required, 1 optional
	buf    []parquet.Value
	bytes  []byte // backs values made for buf
}

func newSegmentWriter(to io.Writer, schema *arrow.Schema, blooms []int) (*segmentWriter, error) {
	ps, err := parquetSchema(schema)
	if err != nil {
		return nil, err
	}
	var filters []parquet.BloomFilterColumn
	for _, c := range blooms {
		filters = append(filters, parquet.SplitBlockFilter(10, schema.Field(c).Name))
	}
	w := parquet.NewGenericWriter[any](to, ps,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(pageBytes),
		parquet.DictionaryMaxBytes(dictionaryBytes),
		parquet.DataPageStatistics(true),
		parquet.CreatedBy("MiracleDB", "1", ""),
		parquet.BloomFilters(filters...),
	)
	sw := &segmentWriter{w: w, columns: make([]columnWriter, schema.NumFields())}
	for i, out := range w.ColumnWriters() {
		f := schema.Field(i)
		c := columnWriter{out: out, field: f}
		if f.Nullable {
			c.levels = 1
		}
		sw.columns[i] = c
	}
	return sw, nil
}

// write adds the rows of rec.
func (w *segmentWriter) write(rec arrow.Record) error {
	for from := int64(0); from < rec.NumRows(); {
		n := min(rec.NumRows()-from, int64(rowGroupRows-w.inGroup))
		for i := range w.columns {
			part := array.NewSlice(rec.Column(i), from, from+n)
			err := w.columns[i].write(part)
			part.Release()
			if err != nil {
				return err
			}
		}
		from += n
		w.rows += n
		if w.inGroup += int(n); w.inGroup == rowGroupRows {
			if err := w.w.Flush(); err != nil {
				return err
			}
			w.inGroup = 0
		}
	}
	return nil
}

func (w *segmentWriter) close() error { return w.w.Close() }

// valuesAtOnce is how many values are handed to the Parquet writer together: 24 bytes each, inside the first cache.
const valuesAtOnce = 1024

func (c *columnWriter) write(a arrow.Array) error {
	if c.levels == 0 && a.NullN() > 0 {
		return errs.New(errs.Internal, "columnar: column %q is NOT NULL and holds a null", c.field.Name)
	}
	if list, ok := a.(*array.List); ok {
		return c.writeList(list)
	}
	for from := 0; from < a.Len(); from += valuesAtOnce {
		to := min(from+valuesAtOnce, a.Len())
		c.buf, c.bytes = c.buf[:0], c.bytes[:0]
		c.appendValues(a, from, to)
		if c.levels > 0 {
			c.level(a, from)
		}
		if _, err := c.out.WriteRowValues(c.buf); err != nil {
			return err
		}
	}
	return nil
}

// level sets the definition levels of buf and its nulls.
func (c *columnWriter) level(a arrow.Array, from int) {
	if a.NullN() == 0 {
		for i := range c.buf {
			c.buf[i] = c.buf[i].Level(0, 1, 0)
		}
		return
	}
	for i := range c.buf {
		if a.IsNull(from + i) {
			c.buf[i] = parquet.Value{}.Level(0, 0, 0)
		} else {
			c.buf[i] = c.buf[i].Level(0, 1, 0)
		}
	}
}

// writeList writes lists of scalars: levels are 0 null, 1 empty, 2 null element, 3 element.
func (c *columnWriter) writeList(list *array.List) error {
	elems := list.ListValues()
	for i := range list.Len() {
		c.buf, c.bytes = c.buf[:0], c.bytes[:0]
		start, end := list.ValueOffsets(i)
		switch {
		case list.IsNull(i):
			c.buf = append(c.buf, parquet.Value{}.Level(0, 0, 0))
		case start == end:
			c.buf = append(c.buf, parquet.Value{}.Level(0, 1, 0))
		default:
			c.appendValues(elems, int(start), int(end))
			for k := range c.buf {
				repeated := min(k, 1)
				if elems.IsNull(int(start) + k) {
					c.buf[k] = parquet.Value{}.Level(repeated, 2, 0)
				} else {
					c.buf[k] = c.buf[k].Level(repeated, 3, 0)
				}
			}
		}
		if _, err := c.out.WriteRowValues(c.buf); err != nil {
			return err
		}
	}
	return nil
}

// appendValues adds the values in [from, to) to buf; nulls as whatever stands in their place.
func (c *columnWriter) appendValues(a arrow.Array, from, to int) {
	switch a := a.(type) {
	case *array.Boolean:
		for i := from; i < to; i++ {
			c.buf = append(c.buf, parquet.BooleanValue(a.Value(i)))
		}
	case *array.Int8:
		appendInt32s(c, a.Int8Values()[from:to])
	case *array.Int16:
		appendInt32s(c, a.Int16Values()[from:to])
	case *array.Int32:
		appendInt32s(c, a.Int32Values()[from:to])
	case *array.Date32:
		appendInt32s(c, a.Date32Values()[from:to])
	case *array.Uint32:
		appendInt32s(c, a.Uint32Values()[from:to])
	case *array.Int64:
		appendInt64s(c, a.Int64Values()[from:to])
	case *array.Uint64:
		appendInt64s(c, a.Uint64Values()[from:to])
	case *array.Time64:
		appendInt64s(c, a.Time64Values()[from:to])
	case *array.Timestamp:
		appendInt64s(c, a.TimestampValues()[from:to])
	case *array.Float32:
		for _, v := range a.Float32Values()[from:to] {
			c.buf = append(c.buf, parquet.FloatValue(v))
		}
	case *array.Float64:
		for _, v := range a.Float64Values()[from:to] {
			c.buf = append(c.buf, parquet.DoubleValue(v))
		}
	case *array.String:
		offsets, data := a.ValueOffsets(), a.Data().Buffers()[2].Bytes()
		for i := from; i < to; i++ {
			c.buf = append(c.buf, parquet.ByteArrayValue(data[offsets[i]:offsets[i+1]]))
		}
	case *array.Binary:
		for i := from; i < to; i++ {
			c.buf = append(c.buf, parquet.ByteArrayValue(a.Value(i)))
		}
	case *array.FixedSizeBinary:
		width := a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth
		none := make([]byte, width)
		for i := from; i < to; i++ {
			v := a.Value(i)
			if v == nil {
				v = none
			}
			c.buf = append(c.buf, parquet.FixedLenByteArrayValue(v))
		}
	case *array.Decimal128:
		c.appendDecimals(a, from, to)
	case *array.MonthDayNanoInterval:
		c.bytes = make([]byte, 0, 16*(to-from))
		for i := from; i < to; i++ {
			v, at := a.Value(i), len(c.bytes)
			c.bytes = binary.LittleEndian.AppendUint32(c.bytes, uint32(v.Months))
			c.bytes = binary.LittleEndian.AppendUint32(c.bytes, uint32(v.Days))
			c.bytes = binary.LittleEndian.AppendUint64(c.bytes, uint64(v.Nanoseconds))
			c.buf = append(c.buf, parquet.FixedLenByteArrayValue(c.bytes[at:]))
		}
	}
}

func (c *columnWriter) appendDecimals(a *array.Decimal128, from, to int) {
	precision := a.DataType().(*arrow.Decimal128Type).Precision
	if precision > 18 {
		c.bytes = make([]byte, 0, 16*(to-from))
	}
	for i := from; i < to; i++ {
		v := a.Value(i)
		switch {
		case precision <= 9:
			c.buf = append(c.buf, parquet.Int32Value(int32(v.LowBits())))
		case precision <= 18:
			c.buf = append(c.buf, parquet.Int64Value(int64(v.LowBits())))
		default:
			at := len(c.bytes)
			c.bytes = binary.BigEndian.AppendUint64(c.bytes, uint64(v.HighBits()))
			c.bytes = binary.BigEndian.AppendUint64(c.bytes, v.LowBits())
			c.buf = append(c.buf, parquet.FixedLenByteArrayValue(c.bytes[at:]))
		}
	}
}

func appendInt32s[T ~int8 | ~int16 | ~int32 | ~uint32](c *columnWriter, values []T) {
	for _, v := range values {
		c.buf = append(c.buf, parquet.Int32Value(int32(v)))
	}
}

func appendInt64s[T ~int64 | ~uint64](c *columnWriter, values []T) {
	for _, v := range values {
		c.buf = append(c.buf, parquet.Int64Value(int64(v)))
	}
}
