package row

import (
	"encoding/binary"
	"math"

	"github.com/miracledb/miracledb/internal/errs"
)

// The first byte of a key's value: NULL sorts last ascending, first descending, as PostgreSQL's defaults.
const (
	keyValue  = 0x01
	keyNested = 0x02 // a list inside a list: one more dimension
	keyNull   = 0x03
	// keyEnd closes a list; it is below the others so that a shorter list comes first.
	keyEnd = 0x00
)

// AppendKey appends v, of type t, so that the order of bytes is the order of CompareTyped, NULL last; desc turns the order
// round, NULL first. Keys may be appended one after the other: each is self-delimiting.
//
// Equal values have equal keys; what does not take part in order is lost: numeric's display scale, trailing blanks of
// character(n), the parts of an interval, the zone's spelling. docs/format/key.md has the drawing.
func AppendKey(dst []byte, t Type, v Value, desc bool) []byte {
	from := len(dst)
	dst = appendKey(dst, t, v)
	if desc {
		for i := from; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

func appendOrdered(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

func appendKey(dst []byte, t Type, v Value) []byte {
	if v.kind == KindNull {
		return append(dst, keyNull)
	}
	dst = append(dst, keyValue)
	switch v.kind {
	case KindBool:
		return append(dst, byte(v.n))
	case KindInt, KindTime, KindTimestamp, KindDate:
		return appendOrdered(dst, v.n)
	case KindFloat:
		f := v.Float()
		if f == 0 {
			f = 0
		}
		if math.IsNaN(f) {
			f = math.NaN()
		}
		u := math.Float64bits(f)
		if u>>63 != 0 {
			u = ^u
		} else {
			u |= 1 << 63
		}
		return binary.BigEndian.AppendUint64(dst, u)
	case KindNumeric:
		return appendNumericKey(dst, v)
	case KindTimeTZ:
		dst = appendOrdered(dst, v.n+int64(v.a)*microsPerSecond)
		return binary.BigEndian.AppendUint32(dst, uint32(v.a)^1<<31)
	case KindInterval:
		days, micros := intervalSpan(v)
		return appendOrdered(appendOrdered(dst, days), micros)
	case KindUUID:
		return append(dst, v.s...)
	case KindList, KindRecord:
		e := t.Element()
		for _, x := range v.List() {
			if x.kind == KindList && e.OID != 0 {
				from := len(dst)
				dst = appendKey(dst, t, x)
				dst[from] = keyNested
				continue
			}
			dst = appendKey(dst, e, x)
		}
		return append(dst, keyEnd)
	case KindText:
		switch t.OID {
		case BPChar:
			return appendEscaped(dst, trimBlanks(v.s))
		case JSONB:
			return appendJSONBKey(dst, v.s)
		}
	}
	return appendEscaped(dst, v.s)
}

func trimBlanks(s string) string {
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// appendEscaped appends s so that no key is another's prefix: 0 becomes 0 0xff, the end is 0 1.
func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, 0, 0xff)
			from = i + 1
		}
	}
	return append(append(dst, s[from:]...), 0, 1)
}

// The classes of a numeric key in order.
const (
	numericKeyNegInf = 0
	numericKeyNeg    = 1
	numericKeyZero   = 2
	numericKeyPos    = 3
	numericKeyInf    = 4
	numericKeyNaN    = 5
)

// appendNumericKey appends class, decimal exponent and digits, two to a byte (value+1, so that 0 ends them); of negatives
// everything after the class is complemented.
func appendNumericKey(dst []byte, v Value) []byte {
	var buf [40]byte
	d := v.decimal(buf[:0])
	switch d.class {
	case -1:
		return append(dst, numericKeyNegInf)
	case 1:
		return append(dst, numericKeyInf)
	case 2:
		return append(dst, numericKeyNaN)
	}
	if len(d.digits) == 0 {
		return append(dst, numericKeyZero)
	}
	class := byte(numericKeyPos)
	if d.neg {
		class = numericKeyNeg
	}
	dst = append(dst, class)
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(int32(d.exp))^1<<31)
	for i := 0; i < len(d.digits); i += 2 {
		pair := (d.digits[i] - '0') * 10
		if i+1 < len(d.digits) {
			pair += d.digits[i+1] - '0'
		}
		dst = append(dst, pair+1)
	}
	dst = append(dst, 0)
	if d.neg {
		for i := from; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

// DecodeKey reads one value of type t from the front of b, as AppendKey wrote it, and gives the rest. The value compares
// equal to the one written; see AppendKey for what is lost. jsonb keys cannot be read back (Unsupported): keep such a value
// in the row. Damaged bytes: Corrupt.
func DecodeKey(b []byte, t Type, desc bool) (Value, []byte, error) {
	r := keyReader{b: b}
	if desc {
		r.flip = 0xff
	}
	v := r.value(t, 0)
	if r.err != nil {
		return Null, nil, r.err
	}
	return v, b[r.i:], nil
}

type keyReader struct {
	b    []byte
	i    int
	flip byte
	err  error
}

func (r *keyReader) fail() {
	if r.err == nil {
		r.err = errs.New(errs.Corrupt, "key is damaged at byte %d", r.i)
	}
}

func (r *keyReader) byte() byte {
	if r.i >= len(r.b) {
		r.fail()
		return 0
	}
	r.i++
	return r.b[r.i-1] ^ r.flip
}

func (r *keyReader) uint(n int) (u uint64) {
	for range n {
		u = u<<8 | uint64(r.byte())
	}
	return u
}

func (r *keyReader) ordered() int64 { return int64(r.uint(8) ^ 1<<63) }

func (r *keyReader) escaped() string {
	var out []byte
	for r.err == nil {
		c := r.byte()
		if c != 0 {
			out = append(out, c)
			continue
		}
		switch r.byte() {
		case 1:
			return string(out)
		case 0xff:
			out = append(out, 0)
		default:
			r.fail()
		}
	}
	return ""
}

func (r *keyReader) value(t Type, depth int) Value {
	switch r.byte() {
	case keyNull:
		return Null
	case keyValue:
	default:
		r.fail()
	}
	if r.err != nil {
		return Null
	}
	if e := t.Element(); e.OID != 0 {
		return r.list(t, e, depth)
	}
	switch KindOf(t.OID) {
	case KindBool:
		return NewBool(r.byte() != 0)
	case KindInt:
		return NewInt(r.ordered())
	case KindDate:
		return NewDate(r.ordered())
	case KindTime:
		return NewTime(r.ordered())
	case KindTimestamp:
		return NewTimestamp(r.ordered())
	case KindFloat:
		u := r.uint(8)
		if u>>63 != 0 {
			u &^= 1 << 63
		} else {
			u = ^u
		}
		return NewFloat(math.Float64frombits(u))
	case KindNumeric:
		return r.numeric()
	case KindTimeTZ:
		n, a := r.ordered(), int32(uint32(r.uint(4))^1<<31)
		return NewTimeTZ(n-int64(a)*microsPerSecond, a)
	case KindInterval:
		days, micros := r.ordered(), r.ordered()
		if days/30 > math.MaxInt32 || days/30 < math.MinInt32 {
			r.fail()
		}
		if days > math.MaxInt32 || days < math.MinInt32 {
			return NewInterval(int32(days/30), int32(days%30), micros)
		}
		return NewInterval(0, int32(days), micros)
	case KindUUID:
		var u [16]byte
		for i := range u {
			u[i] = r.byte()
		}
		return NewUUID(u)
	case KindBytes:
		return Value{kind: KindBytes, s: r.escaped()}
	case KindText:
		if t.OID != JSONB {
			return NewText(r.escaped())
		}
	}
	r.err = errs.New(errs.Unsupported, "a key of type %s cannot be read back", t)
	return Null
}

func (r *keyReader) list(t, e Type, depth int) Value {
	var elems []Value
	for r.err == nil {
		if r.i >= len(r.b) {
			r.fail()
			break
		}
		if r.b[r.i]^r.flip == keyEnd {
			r.i++
			return NewList(elems)
		}
		if r.b[r.i]^r.flip != keyNested {
			elems = append(elems, r.value(e, depth))
			continue
		}
		if depth >= maxArrayDims {
			r.fail()
			break
		}
		r.i++
		elems = append(elems, r.list(t, e, depth+1))
	}
	return Null
}

func (r *keyReader) numeric() Value {
	class := r.byte()
	switch class {
	case numericKeyNegInf:
		return NumericNegInf
	case numericKeyInf:
		return NumericInf
	case numericKeyNaN:
		return NumericNaN
	case numericKeyZero:
		return NumericFromInt(0)
	case numericKeyNeg, numericKeyPos:
	default:
		r.fail()
		return Null
	}
	neg := class == numericKeyNeg
	if neg {
		r.flip = ^r.flip
	}
	exp := int(int32(uint32(r.uint(4)) ^ 1<<31))
	var digits []byte
	for r.err == nil {
		c := r.byte()
		if c == 0 {
			break
		}
		if c > 100 {
			r.fail()
		}
		digits = append(digits, '0'+(c-1)/10, '0'+(c-1)%10)
	}
	if neg {
		r.flip = ^r.flip
	}
	for n := len(digits); n > 0 && digits[n-1] == '0'; n-- {
		digits = digits[:n-1]
	}
	if r.err != nil || exp > maxIntegerDigits || exp < -maxScale {
		r.fail()
		return Null
	}
	v, err := numericFromParts(neg, digits, len(digits)-exp)
	if err != nil {
		r.fail()
	}
	return v
}
