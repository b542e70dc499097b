package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"

	"github.com/miracledb/miracledb/internal/errs"
)

// TypeID is a DuckDB type (duckdb_type of duckdb.h).
type TypeID uint8

// The types that are sent.
const (
	Boolean     TypeID = 1
	TinyInt     TypeID = 2
	SmallInt    TypeID = 3
	Integer     TypeID = 4
	BigInt      TypeID = 5
	UTinyInt    TypeID = 6
	USmallInt   TypeID = 7
	UInteger    TypeID = 8
	UBigInt     TypeID = 9
	Float       TypeID = 10
	Double      TypeID = 11
	Timestamp   TypeID = 12
	Date        TypeID = 13
	Time        TypeID = 14
	Interval    TypeID = 15
	HugeInt     TypeID = 16
	Varchar     TypeID = 17
	BlobType    TypeID = 18
	Decimal     TypeID = 19
	List        TypeID = 24
	Struct      TypeID = 25
	UUID        TypeID = 27
	TimestampTZ TypeID = 31
	SQLNull     TypeID = 36
)

// Type is the type of a result column. Bytes is the width of a fixed-width value.
type Type struct {
	ID           TypeID
	Width, Scale uint8
	Bytes        int
	Children     []Type
}

// maxTypeDepth bounds the nesting of a type.
const maxTypeDepth = 32

// DecodeTypes reads the payload of a Columns frame.
func DecodeTypes(b []byte) ([]Type, error) {
	var types []Type
	for len(b) > 0 {
		t, rest, ok := decodeType(b, 0)
		if !ok {
			return nil, errMalformed
		}
		types, b = append(types, t), rest
	}
	return types, nil
}

var errMalformed = errs.New(errs.Internal, "analytical engine: malformed result")

func decodeType(b []byte, depth int) (t Type, rest []byte, ok bool) {
	if len(b) < 8 || depth > maxTypeDepth {
		return t, nil, false
	}
	t = Type{ID: TypeID(b[0]), Width: b[1], Scale: b[2], Bytes: int(b[3])}
	n := binary.LittleEndian.Uint32(b[4:])
	b = b[8:]
	if uint64(n)*8 > uint64(len(b)) {
		return t, nil, false
	}
	for range n {
		var child Type
		if child, b, ok = decodeType(b, depth+1); !ok {
			return t, nil, false
		}
		t.Children = append(t.Children, child)
	}
	return t, b, t.sound()
}

// sound proves what Vector's methods rely on.
func (t *Type) sound() bool {
	switch t.ID {
	case Varchar, BlobType:
		return len(t.Children) == 0
	case List:
		return len(t.Children) == 1
	case Struct:
		return true
	case Decimal:
		return t.Bytes == 2 || t.Bytes == 4 || t.Bytes == 8 || t.Bytes == 16
	}
	want, ok := map[TypeID]int{Boolean: 1, TinyInt: 1, UTinyInt: 1, SQLNull: 1, SmallInt: 2, USmallInt: 2, Integer: 4, UInteger: 4,
		Float: 4, Date: 4, BigInt: 8, UBigInt: 8, Double: 8, Time: 8, Timestamp: 8, TimestampTZ: 8, HugeInt: 16, UUID: 16,
		Interval: 16}[t.ID]
	return ok && t.Bytes == want
}

// Vector is one column of a batch, over the frame's bytes. Indexes below Len are safe.
type Vector struct {
	Type     *Type
	Len      int
	nulls    []byte // one bit a value, set: not null; nil: all valid
	data     []byte
	strings  []byte // Varchar, Blob: the bytes; data holds the offsets
	Children []Vector
}

// DecodeBatch reads the first batch of a Batch frame's payload.
func DecodeBatch(b []byte, types []Type) (rows int, vectors []Vector, rest []byte, err error) {
	d := &columnDecoder{b: b}
	n := d.uint64()
	if d.bad || n == 0 || n > 1<<20 {
		return 0, nil, nil, errMalformed
	}
	vectors = make([]Vector, len(types))
	for i := range types {
		vectors[i] = d.vector(&types[i], int(n))
	}
	if d.bad {
		return 0, nil, nil, errMalformed
	}
	return int(n), vectors, d.b, nil
}

type columnDecoder struct {
	b   []byte
	bad bool
}

// take gives n bytes and skips the pad behind them.
func (d *columnDecoder) take(n int) []byte {
	padded := (n + 7) &^ 7
	if d.bad || n < 0 || padded > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[padded:]
	return v
}

func (d *columnDecoder) uint64() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (d *columnDecoder) vector(t *Type, n int) Vector {
	v := Vector{Type: t, Len: n}
	if d.uint64() != 0 {
		v.nulls = d.take((n + 63) / 64 * 8)
	}
	switch t.ID {
	case Varchar, BlobType:
		size := d.uint64()
		if size > math.MaxInt32*2 {
			d.bad = true
			return v
		}
		v.data = d.take((n + 1) * 4)
		v.strings = d.take(int(size))
		last := uint32(0)
		for i := 0; !d.bad && i <= n; i++ {
			at := binary.LittleEndian.Uint32(v.data[i*4:])
			d.bad = at < last || uint64(at) > size
			last = at
		}
	case List:
		size := d.uint64()
		if size > uint64(len(d.b))*8 {
			d.bad = true
			return v
		}
		v.data = d.take(n * 16)
		for i := 0; !d.bad && i < n; i++ {
			if !v.Null(i) {
				from, count := v.Range(i)
				d.bad = from < 0 || count < 0 || uint64(from) > size || uint64(count) > size-uint64(from)
			}
		}
		v.Children = []Vector{d.vector(&t.Children[0], int(size))}
	case Struct:
		v.Children = make([]Vector, len(t.Children))
		for i := range t.Children {
			v.Children[i] = d.vector(&t.Children[i], n)
		}
	default:
		v.data = d.take(n * t.Bytes)
	}
	return v
}

// Null reports whether value i is NULL.
func (v *Vector) Null(i int) bool {
	return v.nulls != nil && v.nulls[i>>3]>>(i&7)&1 == 0 || v.Type.ID == SQLNull
}

// HasNulls reports whether a value may be NULL.
func (v *Vector) HasNulls() bool { return v.nulls != nil || v.Type.ID == SQLNull }

// Int is value i of an integer, Boolean, Date, Time, Timestamp type, or the coefficient of a Decimal of up to 8 bytes.
func (v *Vector) Int(i int) int64 {
	switch v.Type.Bytes {
	case 1:
		if v.Type.ID == TinyInt {
			return int64(int8(v.data[i]))
		}
		return int64(v.data[i])
	case 2:
		n := binary.LittleEndian.Uint16(v.data[i*2:])
		if v.Type.ID == USmallInt {
			return int64(n)
		}
		return int64(int16(n))
	case 4:
		n := binary.LittleEndian.Uint32(v.data[i*4:])
		if v.Type.ID == UInteger {
			return int64(n)
		}
		return int64(int32(n))
	}
	return int64(binary.LittleEndian.Uint64(v.data[i*v.Type.Bytes:]))
}

// Float is value i of a Float or Double.
func (v *Vector) Float(i int) float64 {
	if v.Type.Bytes == 4 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(v.data[i*4:])))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(v.data[i*8:]))
}

// Wide is value i of a 16-byte type: two's complement, or the parts of an Interval (months and days in lo, microseconds
// in hi).
func (v *Vector) Wide(i int) (lo uint64, hi int64) {
	return binary.LittleEndian.Uint64(v.data[i*16:]), int64(binary.LittleEndian.Uint64(v.data[i*16+8:]))
}

// Bytes is value i of a Varchar or Blob; it shares the frame's memory, which is never reused.
func (v *Vector) Bytes(i int) []byte {
	return v.strings[binary.LittleEndian.Uint32(v.data[i*4:]):binary.LittleEndian.Uint32(v.data[i*4+4:])]
}

// Str is Bytes as a string, without a copy.
func (v *Vector) Str(i int) string {
	b := v.Bytes(i)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Range is the place of list i in Children[0].
func (v *Vector) Range(i int) (from, count int) {
	return int(binary.LittleEndian.Uint64(v.data[i*16:])), int(binary.LittleEndian.Uint64(v.data[i*16+8:]))
}

// Negate128 gives the magnitude of a two's complement number.
func Negate128(lo uint64, hi int64) (mlo, mhi uint64, neg bool) {
	if hi >= 0 {
		return lo, uint64(hi), false
	}
	mlo, carry := bits.Add64(^lo, 1, 0)
	mhi, _ = bits.Add64(^uint64(hi), 0, carry)
	return mlo, mhi, true
}
