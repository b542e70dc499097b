package row

import (
	"encoding/binary"
	"math"

	"github.com/miracledb/miracledb/internal/errs"
)

// rowVersion is the first byte of an encoded row.
const rowVersion = 1

// EncodeRow appends r in the compact form that the heap keeps: version, number of columns, then one self-delimiting value
// a column (docs/format/row.md). It needs no schema to be read and keeps every value exactly.
func EncodeRow(dst []byte, r Row) []byte {
	dst = binary.AppendUvarint(append(dst, rowVersion), uint64(len(r)))
	for _, v := range r {
		dst = appendValue(dst, v)
	}
	return dst
}

// appendValue writes kind (low 4 bits) with small facts in the high bits, then the payload.
func appendValue(dst []byte, v Value) []byte {
	switch v.kind {
	case KindNull:
		return append(dst, byte(KindNull))
	case KindBool:
		return append(dst, byte(KindBool)|byte(v.n)<<4)
	case KindInt, KindDate, KindTime, KindTimestamp:
		return binary.AppendVarint(append(dst, byte(v.kind)), v.n)
	case KindFloat:
		return binary.LittleEndian.AppendUint64(append(dst, byte(v.kind)), uint64(v.n))
	case KindTimeTZ:
		return binary.AppendVarint(binary.AppendVarint(append(dst, byte(v.kind)), v.n), int64(v.a))
	case KindNumeric:
		if v.s == "" {
			return binary.AppendVarint(binary.AppendUvarint(append(dst, byte(v.kind)), uint64(v.a)), v.n)
		}
		dst = binary.AppendUvarint(append(dst, byte(v.kind)|1<<4), uint64(v.a))
		return appendBytes(dst, v.s)
	case KindInterval, KindUUID:
		return append(append(dst, byte(v.kind)), v.s...)
	case KindList, KindRecord:
		dst = binary.AppendUvarint(append(dst, byte(v.kind)), uint64(len(v.List())))
		for _, x := range v.List() {
			dst = appendValue(dst, x)
		}
		return dst
	}
	return appendBytes(append(dst, byte(v.kind)), v.s)
}

func appendBytes(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// DecodeRow reads the columns whose indexes want lists, in rising order, into the same indexes of into, which is grown to
// hold the last of them; nil wants all. It gives into and the number of columns that b has: columns from there on were
// added later and are left NULL for the caller to fill. The values do not refer to b. Damaged bytes: Corrupt.
func DecodeRow(b []byte, into Row, want []int) (Row, int, error) {
	r := rowReader{b: b}
	if len(b) == 0 || b[0] != rowVersion {
		return nil, 0, errs.New(errs.Corrupt, "row has no known version")
	}
	r.i = 1
	n := r.count()
	width := n
	if want != nil {
		width = 0
		if len(want) > 0 {
			width = want[len(want)-1] + 1
		}
	}
	if r.err != nil {
		return nil, 0, r.err
	}
	if cap(into) < width {
		into = make(Row, width)
	}
	into = into[:width]
	for c, w := 0, 0; c < n && c < width && r.err == nil; c++ {
		if want != nil && want[w] != c {
			r.skip(0)
			continue
		}
		into[c] = r.value(0)
		w++
	}
	for c := n; c < width; c++ {
		into[c] = Null
	}
	if want == nil && r.err == nil && r.i != len(b) {
		r.fail()
	}
	if r.err != nil {
		return nil, 0, r.err
	}
	return into, n, nil
}

type rowReader struct {
	b   []byte
	i   int
	err error
}

func (r *rowReader) fail() {
	if r.err == nil {
		r.err = errs.New(errs.Corrupt, "row is damaged at byte %d", r.i)
	}
	r.i = len(r.b)
}

func (r *rowReader) uvarint() uint64 {
	u, n := binary.Uvarint(r.b[r.i:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.i += n
	return u
}

func (r *rowReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of values: each takes at least a byte, so what is left bounds it before memory is taken.
func (r *rowReader) count() int {
	u := r.uvarint()
	if u > uint64(len(r.b)-r.i) {
		r.fail()
		return 0
	}
	return int(u)
}

func (r *rowReader) take(n int) []byte {
	if len(r.b)-r.i < n {
		r.fail()
		return nil
	}
	r.i += n
	return r.b[r.i-n : r.i]
}

// maxListDepth bounds lists in records in lists; arrays have six dimensions.
const maxListDepth = 32

func (r *rowReader) value(depth int) Value {
	head := r.take(1)
	if head == nil {
		return Null
	}
	kind, more := Kind(head[0]&15), head[0]>>4
	switch kind {
	case KindNull:
		return Null
	case KindBool:
		return NewBool(more != 0)
	case KindInt, KindDate, KindTime, KindTimestamp:
		return Value{kind: kind, n: r.varint()}
	case KindFloat:
		if b := r.take(8); b != nil {
			return Value{kind: kind, n: int64(binary.LittleEndian.Uint64(b))}
		}
	case KindTimeTZ:
		n := r.varint()
		return Value{kind: kind, n: n, a: int32(r.varint())}
	case KindNumeric:
		return r.numeric(more != 0)
	case KindInterval, KindUUID:
		return Value{kind: kind, s: string(r.take(16))}
	case KindText, KindBytes:
		return Value{kind: kind, s: string(r.take(r.count()))}
	case KindList, KindRecord:
		n := r.count()
		if depth >= maxListDepth {
			r.fail()
			return Null
		}
		var list []Value
		for ; n > 0 && r.err == nil; n-- {
			list = append(list, r.value(depth+1))
		}
		return Value{kind: kind, list: &list}
	}
	r.fail()
	return Null
}

func (r *rowReader) numeric(big bool) Value {
	a := r.uvarint()
	if a > math.MaxInt16 {
		r.fail()
		return Null
	}
	if !big {
		return Value{kind: KindNumeric, n: r.varint(), a: int32(a)}
	}
	s := string(r.take(r.count()))
	v, err := NumericFromString(s)
	if err != nil || v.s != s || v.a != int32(a) { // only the canonical text may be held
		r.fail()
		return Null
	}
	return v
}

func (r *rowReader) skip(depth int) {
	head := r.take(1)
	if head == nil {
		return
	}
	switch kind := Kind(head[0] & 15); kind {
	case KindNull, KindBool:
	case KindInt, KindDate, KindTime, KindTimestamp:
		r.uvarint()
	case KindFloat:
		r.take(8)
	case KindTimeTZ:
		r.uvarint()
		r.uvarint()
	case KindNumeric:
		r.uvarint()
		if head[0]>>4 != 0 {
			r.take(r.count())
		} else {
			r.uvarint()
		}
	case KindInterval, KindUUID:
		r.take(16)
	case KindText, KindBytes:
		r.take(r.count())
	case KindList, KindRecord:
		n := r.count()
		if depth >= maxListDepth {
			r.fail()
		}
		for ; n > 0 && r.err == nil; n-- {
			r.skip(depth + 1)
		}
	default:
		r.fail()
	}
}
