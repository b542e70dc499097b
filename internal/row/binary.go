package row

import (
	"encoding/binary"
	"math"

	"github.com/miracledb/miracledb/internal/errs"
)

// AppendBinary appends v, of type t, in PostgreSQL's binary wire format (the type's send function). NULL appends nothing.
// Types without one (void, aclitem) give their text.
func AppendBinary(dst []byte, t Type, v Value) []byte {
	be := binary.BigEndian
	switch v.kind {
	case KindNull:
		return dst
	case KindBool:
		return append(dst, byte(v.n))
	case KindInt:
		switch t.OID {
		case Int2:
			return be.AppendUint16(dst, uint16(v.n))
		case Int8:
			return be.AppendUint64(dst, uint64(v.n))
		}
		return be.AppendUint32(dst, uint32(v.n))
	case KindFloat:
		if t.OID == Float4 {
			return be.AppendUint32(dst, math.Float32bits(float32(v.Float())))
		}
		if v.IsNaN() {
			return be.AppendUint64(dst, 0x7ff8<<48)
		}
		return be.AppendUint64(dst, uint64(v.n))
	case KindNumeric:
		return appendNumericBinary(dst, v)
	case KindDate:
		if v.IsInf() == 0 {
			return be.AppendUint32(dst, uint32(v.n-postgresEpoch))
		}
		return be.AppendUint32(dst, uint32(v.n))
	case KindTime:
		return be.AppendUint64(dst, uint64(v.n))
	case KindTimeTZ:
		return be.AppendUint32(be.AppendUint64(dst, uint64(v.n)), uint32(v.a))
	case KindTimestamp:
		if v.IsInf() == 0 {
			return be.AppendUint64(dst, uint64(v.n-postgresEpoch*microsPerDay))
		}
		return be.AppendUint64(dst, uint64(v.n))
	case KindList:
		return appendListBinary(dst, t, v)
	case KindRecord:
		dst = be.AppendUint32(dst, uint32(len(v.List())))
		for _, x := range v.List() {
			et := TypeOfKind(x.kind)
			dst = appendFieldBinary(be.AppendUint32(dst, uint32(et.OID)), et, x)
		}
		return dst
	case KindText:
		if t.OID == JSONB || t.OID == JSONPath {
			dst = append(dst, 1)
		}
		if t.OID == Char && v.s == "" {
			return append(dst, 0)
		}
	}
	return append(dst, v.s...) // text, bytea, uuid, interval
}

// appendFieldBinary appends length and value; -1 is NULL.
func appendFieldBinary(dst []byte, t Type, v Value) []byte {
	if v.kind == KindNull {
		return binary.BigEndian.AppendUint32(dst, math.MaxUint32)
	}
	at := len(dst)
	dst = AppendBinary(append(dst, 0, 0, 0, 0), t, v)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// numeric's binary sign words.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericWireNaN  = 0xC000
	numericWirePInf = 0xD000
	numericWireNInf = 0xF000
)

func appendNumericBinary(dst []byte, v Value) []byte {
	be := binary.BigEndian
	var buf [64]byte
	d := v.decimal(buf[:0])
	if d.class != 0 {
		sign := uint16(numericWireNaN)
		switch d.class {
		case 1:
			sign = numericWirePInf
		case -1:
			sign = numericWireNInf
		}
		scale := uint16(0)
		if sign != numericWireNaN {
			scale = 0x20 // what PostgreSQL sends for the infinities
		}
		dst = be.AppendUint32(dst, 0)
		return be.AppendUint16(be.AppendUint16(dst, sign), scale)
	}
	// Groups of four digits around the point: the first holds the exp mod 4 leading digits.
	groups, weight, lead := 0, 0, 0
	if len(d.digits) > 0 {
		weight = (d.exp + 3) / 4
		if d.exp <= 0 {
			weight = -(-d.exp / 4)
		}
		lead = weight*4 - d.exp // zeros before the first digit
		groups = (lead + len(d.digits) + 3) / 4
		weight--
	}
	sign := uint16(numericPositive)
	if d.neg && groups > 0 {
		sign = numericNegative
	}
	dst = be.AppendUint16(be.AppendUint16(dst, uint16(groups)), uint16(int16(weight)))
	dst = be.AppendUint16(be.AppendUint16(dst, sign), uint16(v.a))
	for g := range groups {
		var x uint16
		for k := range 4 {
			x *= 10
			if i := g*4 + k - lead; i >= 0 && i < len(d.digits) {
				x += uint16(d.digits[i] - '0')
			}
		}
		dst = be.AppendUint16(dst, x)
	}
	return dst
}

func appendListBinary(dst []byte, t Type, v Value) []byte {
	be := binary.BigEndian
	e := t.Element()
	var dims []int
	for x := v; x.kind == KindList && len(x.List()) > 0; x = x.List()[0] {
		dims = append(dims, len(x.List()))
		if t.OID == AnyArray && x.List()[0].kind != KindList {
			e = TypeOfKind(x.List()[0].kind)
		}
	}
	low := uint32(1)
	if t.OID == Int2Vector || t.OID == OidVector {
		low, dims = 0, []int{len(v.List())}
	}
	dst = be.AppendUint32(dst, uint32(len(dims)))
	nulls := len(dst)
	dst = be.AppendUint32(be.AppendUint32(dst, 0), uint32(e.OID))
	for _, n := range dims {
		dst = be.AppendUint32(be.AppendUint32(dst, uint32(n)), low)
	}
	return appendElementsBinary(dst, nulls, e, v)
}

func appendElementsBinary(dst []byte, nulls int, e Type, v Value) []byte {
	for _, x := range v.List() {
		if x.kind == KindList {
			dst = appendElementsBinary(dst, nulls, e, x)
			continue
		}
		if x.kind == KindNull {
			dst[nulls+3] = 1
		}
		dst = appendFieldBinary(dst, e, x)
	}
	return dst
}

// ParseBinary reads PostgreSQL's binary wire format of t (the type's receive function) and applies t's modifier as an
// assignment does. b is not kept. Errors: 22P03, and those of ParseText.
func ParseBinary(t Type, b []byte) (Value, error) {
	v, err := parseBinary(t, b)
	if err != nil || t.Mod == 0 {
		return v, err
	}
	return ApplyTypmod(t, v, false)
}

func badBinary(t Type) error {
	return errs.SQL("22P03", "incorrect binary data format for type %s", t)
}

func parseBinary(t Type, b []byte) (Value, error) {
	be := binary.BigEndian
	kind := KindOf(t.OID)
	if want := binaryWidth(t, kind); want != 0 && len(b) != want {
		return Null, badBinary(t)
	}
	switch kind {
	case KindBool:
		return NewBool(b[0] != 0), nil
	case KindInt:
		switch len(b) {
		case 2:
			return NewInt(int64(int16(be.Uint16(b)))), nil
		case 8:
			return NewInt(int64(be.Uint64(b))), nil
		}
		if t.OID == Int4 {
			return NewInt(int64(int32(be.Uint32(b)))), nil
		}
		return NewInt(int64(be.Uint32(b))), nil
	case KindFloat:
		if t.OID == Float4 {
			return NewFloat(float64(math.Float32frombits(be.Uint32(b)))), nil
		}
		return NewFloat(math.Float64frombits(be.Uint64(b))), nil
	case KindNumeric:
		return parseNumericBinary(t, b)
	case KindDate:
		return dateFromWire(int32(be.Uint32(b)))
	case KindTime:
		n := int64(be.Uint64(b))
		if n < 0 || n > microsPerDay {
			return Null, errs.SQL("22008", "time out of range")
		}
		return NewTime(n), nil
	case KindTimeTZ:
		n, west := int64(be.Uint64(b)), int32(be.Uint32(b[8:]))
		if n < 0 || n > microsPerDay {
			return Null, errs.SQL("22008", "time out of range")
		}
		if west <= -16*3600 || west >= 16*3600 {
			return Null, errs.SQL("22009", "time zone displacement out of range")
		}
		return NewTimeTZ(n, west), nil
	case KindTimestamp:
		return timestampFromWire(int64(be.Uint64(b)))
	case KindInterval, KindUUID, KindBytes:
		return Value{kind: kind, s: string(b)}, nil
	case KindText:
		return parseTextBinary(t, b)
	case KindList:
		return parseListBinary(t, b)
	}
	return Null, errs.SQL("0A000", "no binary input function available for type %s", t)
}

func binaryWidth(t Type, kind Kind) int {
	switch kind {
	case KindBool:
		return 1
	case KindInt, KindFloat, KindDate, KindTime, KindTimestamp, KindTimeTZ, KindInterval, KindUUID:
		if info, ok := Info(t.OID); ok {
			return int(info.Len)
		}
	}
	return 0
}

func dateFromWire(n int32) (Value, error) {
	if n == math.MaxInt32 || n == math.MinInt32 {
		return NewDate(int64(n)), nil
	}
	days := int64(n) + postgresEpoch
	if days < minDate || days > maxDate {
		return Null, errs.SQL("22008", "date out of range")
	}
	return NewDate(days), nil
}

func timestampFromWire(n int64) (Value, error) {
	const epoch = postgresEpoch * microsPerDay
	if n == math.MaxInt64 || n == math.MinInt64 {
		return NewTimestamp(n), nil
	}
	if n > maxTimestamp-epoch || n < minTimestamp-epoch {
		return Null, errs.SQL("22008", "timestamp out of range")
	}
	return NewTimestamp(n + epoch), nil
}

func parseTextBinary(t Type, b []byte) (Value, error) {
	switch t.OID {
	case JSONB, JSONPath:
		if len(b) == 0 || b[0] != 1 {
			return Null, errs.SQL("22P03", "unsupported %s version number", t)
		}
		b = b[1:]
	case Char:
		if len(b) != 1 {
			return Null, badBinary(t)
		}
		if b[0] == 0 {
			return NewText(""), nil
		}
		return NewText(string(b)), nil
	}
	return Format{}.parse(Type{OID: t.OID}, string(b))
}

func parseNumericBinary(t Type, b []byte) (Value, error) {
	be := binary.BigEndian
	if len(b) < 8 {
		return Null, badBinary(t)
	}
	groups, weight := int(be.Uint16(b)), int(int16(be.Uint16(b[2:])))
	sign, scale := be.Uint16(b[4:]), int(be.Uint16(b[6:]))
	switch sign {
	case numericWireNaN:
		return NumericNaN, nil
	case numericWirePInf:
		return NumericInf, nil
	case numericWireNInf:
		return NumericNegInf, nil
	case numericPositive, numericNegative:
	default:
		return Null, errs.SQL("22P03", "invalid sign in external \"numeric\" value")
	}
	if scale > maxScale {
		return Null, errs.SQL("22P03", "invalid scale in external \"numeric\" value")
	}
	if len(b) != 8+groups*2 {
		return Null, badBinary(t)
	}
	digits := make([]byte, 0, groups*4)
	for i := range groups {
		x := be.Uint16(b[8+2*i:])
		if x > 9999 {
			return Null, errs.SQL("22P03", "invalid digit in external \"numeric\" value")
		}
		digits = append(digits, '0'+byte(x/1000), '0'+byte(x/100%10), '0'+byte(x/10%10), '0'+byte(x%10))
	}
	if groups == 0 {
		return NewNumeric(0, int32(scale)), nil
	}
	// The digits end at 10^(4*(weight+1-groups)); bring them to the display scale, cutting what is beyond as PostgreSQL does.
	have := 4 * (groups - weight - 1)
	for ; have < scale && len(digits) <= maxIntegerDigits+maxScale; have++ {
		digits = append(digits, '0')
	}
	if cut := have - scale; cut > 0 {
		digits = digits[:max(len(digits)-cut, 0)]
	}
	return numericFromParts(sign == numericNegative, digits, scale)
}

func parseListBinary(t Type, b []byte) (Value, error) {
	be := binary.BigEndian
	e := t.Element()
	if len(b) < 12 {
		return Null, badBinary(t)
	}
	n := int(be.Uint32(b))
	if n > maxArrayDims {
		return Null, errs.SQL("54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", n, maxArrayDims)
	}
	if got := OID(be.Uint32(b[8:])); got != e.OID && e.OID != 0 {
		return Null, errs.SQL("42804", "binary data has array element type %d (%s) instead of expected %d (%s)", got, T(got), e.OID, e)
	} else if e.OID == 0 {
		e = T(got)
	}
	b = b[12:]
	if len(b) < 8*n {
		return Null, badBinary(t)
	}
	dims, total := make([]int, n), 1
	for i := range dims {
		dims[i] = int(be.Uint32(b[8*i:]))
		if dims[i] > len(b) || dims[i] > 0 && total > len(b)/dims[i] { // every element takes at least four bytes
			return Null, badBinary(t)
		}
		total *= dims[i]
	}
	r := listReader{b: b[8*n:], t: t, e: Type{OID: e.OID}}
	v := NewList(nil)
	if n > 0 && total > 0 {
		v = r.list(dims)
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = badBinary(t)
	}
	if r.err != nil {
		return Null, r.err
	}
	return v, nil
}

type listReader struct {
	b    []byte
	t, e Type
	err  error
}

func (r *listReader) list(dims []int) Value {
	elems := make([]Value, dims[0])
	for i := range elems {
		if r.err != nil {
			return Null
		}
		if len(dims) > 1 {
			elems[i] = r.list(dims[1:])
			continue
		}
		elems[i] = r.element()
	}
	return NewList(elems)
}

func (r *listReader) element() Value {
	if len(r.b) < 4 {
		r.err = badBinary(r.t)
		return Null
	}
	n := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	if n == -1 {
		return Null
	}
	if n < 0 || int(n) > len(r.b) {
		r.err = badBinary(r.t)
		return Null
	}
	v, err := parseBinary(r.e, r.b[:n])
	r.b, r.err = r.b[n:], err
	return v
}
