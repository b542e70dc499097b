package row

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// Append appends v, of type t, to a builder of ArrowType(t). The value is copied. A value of another kind than t's is a
// fault of the program and panics.
func Append(b array.Builder, t Type, v Value) {
	if v.kind == KindNull {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v.n)
	case *array.Int32Builder:
		b.Append(int32(v.n))
	case *array.StringBuilder:
		appendString(b, t, v)
	case *array.Float64Builder:
		b.Append(v.Float())
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.n))
	case *array.BooleanBuilder:
		b.Append(v.n != 0)
	case *array.Decimal128Builder:
		appendDecimal(b, t, v)
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.n))
	case *array.Int16Builder:
		b.Append(int16(v.n))
	case *array.Float32Builder:
		b.Append(float32(v.Float()))
	case *array.BinaryBuilder:
		b.AppendString(v.s)
	case *array.FixedSizeBinaryBuilder:
		b.Append(unsafe.Slice(unsafe.StringData(v.s), len(v.s)))
	case *array.Time64Builder:
		b.Append(arrow.Time64(v.n))
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(monthDayNano(v))
	default:
		panic(fmt.Sprintf("row: no Arrow form of %s in %T", t, b))
	}
}

func appendString(b *array.StringBuilder, t Type, v Value) {
	if v.kind == KindText {
		b.Append(v.s)
		return
	}
	var buf [64]byte
	text := AppendText(buf[:0], t, v)
	b.BinaryBuilder.Append(text)
}

func appendDecimal(b *array.Decimal128Builder, t Type, v Value) {
	_, scale, _ := t.PrecisionScale()
	d, ok := ToDecimal128(v, scale)
	if !ok {
		panic(fmt.Sprintf("row: %s does not fit %s", v.Text(T(Numeric)), t))
	}
	b.Append(d)
}

// FromArrow gives entry i of an array of ArrowType(t). The value does not refer to the array's memory. Text that is no value
// of t (a foreign array) is NULL.
func FromArrow(arr arrow.Array, i int, t Type) Value {
	v := PeekArrow(arr, i, t)
	if v.kind == KindText || v.kind == KindBytes || v.kind == KindUUID {
		v.s = strings.Clone(v.s)
	}
	return v
}

// PeekArrow is FromArrow without copying: text, bytes and uuid refer to the array's memory and end with it.
func PeekArrow(arr arrow.Array, i int, t Type) Value {
	if arr.IsNull(i) {
		return Null
	}
	switch a := arr.(type) {
	case *array.Int64:
		return NewInt(a.Value(i))
	case *array.Int32:
		return NewInt(int64(a.Value(i)))
	case *array.String:
		return fromString(t, a.Value(i))
	case *array.Float64:
		return NewFloat(a.Value(i))
	case *array.Timestamp:
		return NewTimestamp(int64(a.Value(i)))
	case *array.Boolean:
		return NewBool(a.Value(i))
	case *array.Decimal128:
		return FromDecimal128(a.Value(i), a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Date32:
		return NewDate(int64(a.Value(i)))
	case *array.Int16:
		return NewInt(int64(a.Value(i)))
	case *array.Float32:
		return NewFloat(float64(a.Value(i)))
	case *array.Binary:
		return Value{kind: KindBytes, s: borrow(a.Value(i))}
	case *array.FixedSizeBinary:
		return Value{kind: KindUUID, s: borrow(a.Value(i))}
	case *array.Time64:
		return NewTime(int64(a.Value(i)))
	case *array.MonthDayNanoInterval:
		x := a.Value(i)
		return NewInterval(x.Months, x.Days, x.Nanoseconds/1000)
	}
	panic(fmt.Sprintf("row: no value of %s in %T", t, arr))
}

func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func fromString(t Type, s string) Value {
	switch KindOf(t.OID) {
	case KindText:
		return Value{kind: KindText, s: s}
	case KindList, KindNumeric, KindTimeTZ:
		v, err := Format{}.parse(Type{OID: t.OID}, strings.Clone(s))
		if err != nil {
			return Null
		}
		return v
	}
	return Value{kind: KindText, s: s}
}

// Copy appends entry i of arr to a builder of the same Arrow type, without making a Value.
func Copy(b array.Builder, arr arrow.Array, i int) {
	if arr.IsNull(i) {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(arr.(*array.Int64).Value(i))
	case *array.Int32Builder:
		b.Append(arr.(*array.Int32).Value(i))
	case *array.StringBuilder:
		b.Append(arr.(*array.String).Value(i))
	case *array.Float64Builder:
		b.Append(arr.(*array.Float64).Value(i))
	case *array.TimestampBuilder:
		b.Append(arr.(*array.Timestamp).Value(i))
	case *array.BooleanBuilder:
		b.Append(arr.(*array.Boolean).Value(i))
	case *array.Decimal128Builder:
		b.Append(arr.(*array.Decimal128).Value(i))
	case *array.Date32Builder:
		b.Append(arr.(*array.Date32).Value(i))
	case *array.Int16Builder:
		b.Append(arr.(*array.Int16).Value(i))
	case *array.Float32Builder:
		b.Append(arr.(*array.Float32).Value(i))
	case *array.BinaryBuilder:
		b.Append(arr.(*array.Binary).Value(i))
	case *array.FixedSizeBinaryBuilder:
		b.Append(arr.(*array.FixedSizeBinary).Value(i))
	case *array.Time64Builder:
		b.Append(arr.(*array.Time64).Value(i))
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(arr.(*array.MonthDayNanoInterval).Value(i))
	default:
		panic(fmt.Sprintf("row: cannot copy from %T to %T", arr, b))
	}
}

// RowAt reads row i of rec, whose columns are those of s, into the front of into (grown when too short) and gives it. The
// values do not refer to rec's memory.
func RowAt(rec arrow.Record, i int, s *Schema, into Row) Row {
	into = into[:0]
	for c := range s.Columns {
		into = append(into, FromArrow(rec.Column(c), i, s.Columns[c].Type))
	}
	return into
}

// AppendRecord appends the rows of rec, whose columns are those of s. The rows do not refer to rec's memory.
func AppendRecord(dst []Row, rec arrow.Record, s *Schema) []Row {
	n, width := int(rec.NumRows()), len(s.Columns)
	values := make([]Value, n*width)
	for c := range s.Columns {
		arr, t := rec.Column(c), s.Columns[c].Type
		for i := range n {
			values[i*width+c] = FromArrow(arr, i, t)
		}
	}
	for i := range n {
		dst = append(dst, Row(values[i*width:(i+1)*width:(i+1)*width]))
	}
	return dst
}
