package op

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// TakeRecord gives the rows of rec with the given indexes, in that order.
func TakeRecord(rec arrow.Record, rows []int32) arrow.Record {
	cols := make([]arrow.Array, rec.NumCols())
	for i := range cols {
		cols[i] = Take(rec.Column(i), rows)
	}
	return newRecord(rec.Schema(), cols, len(rows))
}

// Take gives the entries of a with the given indexes; a negative index is a null.
func Take(a arrow.Array, rows []int32) arrow.Array {
	valid, nulls := takeNulls(a, rows)
	d := a.Data()
	buffers := []*memory.Buffer{valid, nil}
	switch t := a.DataType().(type) {
	case *arrow.BooleanType:
		buffers[1] = memory.NewBufferBytes(takeBits(d, rows))
	case *arrow.StringType, *arrow.BinaryType:
		ends, data := takeBytes(a, rows)
		buffers = []*memory.Buffer{valid, ends, data}
	case arrow.FixedWidthDataType:
		buffers[1] = memory.NewBufferBytes(takeFixed(d, t.BitWidth()/8, rows))
	}
	out := array.NewData(a.DataType(), len(rows), buffers, nil, nulls, 0)
	defer out.Release()
	return array.MakeFromData(out)
}

func takeNulls(a arrow.Array, rows []int32) (*memory.Buffer, int) {
	var bits []byte
	nulls := 0
	some := a.NullN() > 0
	for i, r := range rows {
		if r >= 0 && (!some || a.IsValid(int(r))) {
			continue
		}
		if bits == nil {
			bits = make([]byte, (len(rows)+7)/8)
			for k := range bits {
				bits[k] = 0xff
			}
		}
		bitutil.ClearBit(bits, i)
		nulls++
	}
	if bits == nil {
		return nil, 0
	}
	return memory.NewBufferBytes(bits), nulls
}

func bytesOf(d arrow.ArrayData, i int) []byte {
	if b := d.Buffers()[i]; b != nil {
		return b.Bytes()
	}
	return nil
}

func takeBits(d arrow.ArrayData, rows []int32) []byte {
	src, from := bytesOf(d, 1), d.Offset()
	out := make([]byte, (len(rows)+7)/8)
	for i, r := range rows {
		if r >= 0 && bitutil.BitIsSet(src, from+int(r)) {
			bitutil.SetBit(out, i)
		}
	}
	return out
}

func takeFixed(d arrow.ArrayData, w int, rows []int32) []byte {
	src := bytesOf(d, 1)
	out := make([]byte, len(rows)*w)
	switch w {
	case 8:
		from, to := arrow.Uint64Traits.CastFromBytes(src)[d.Offset():], arrow.Uint64Traits.CastFromBytes(out)
		for i, r := range rows {
			if r >= 0 {
				to[i] = from[r]
			}
		}
	case 4:
		from, to := arrow.Uint32Traits.CastFromBytes(src)[d.Offset():], arrow.Uint32Traits.CastFromBytes(out)
		for i, r := range rows {
			if r >= 0 {
				to[i] = from[r]
			}
		}
	default:
		src = src[d.Offset()*w:]
		for i, r := range rows {
			if r >= 0 {
				copy(out[i*w:(i+1)*w], src[int(r)*w:])
			}
		}
	}
	return out
}

func takeBytes(a arrow.Array, rows []int32) (ends, data *memory.Buffer) {
	d := a.Data()
	offsets := make([]int32, len(rows)+1)
	var out []byte
	if d.Len() > 0 {
		src := bytesOf(d, 2)
		places := arrow.Int32Traits.CastFromBytes(bytesOf(d, 1))[d.Offset():]
		size := 0
		for _, r := range rows {
			if r >= 0 {
				size += int(places[r+1] - places[r])
			}
		}
		out = make([]byte, 0, size)
		for i, r := range rows {
			if r >= 0 {
				out = append(out, src[places[r]:places[r+1]]...)
			}
			offsets[i+1] = int32(len(out))
		}
	}
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(out)
}
