package row

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strings"

	"github.com/zeebo/xxh3"
)

// NewUUID makes a uuid.
func NewUUID(b [16]byte) Value { return Value{kind: KindUUID, s: string(b[:])} }

// UUID is the value of a KindUUID.
func (v Value) UUID() (b [16]byte) {
	copy(b[:], v.s)
	return b
}

// NewTimeTZ makes a timetz from microseconds since midnight and the zone in seconds west of UTC.
func NewTimeTZ(micros int64, west int32) Value { return Value{kind: KindTimeTZ, n: micros, a: west} }

// West is the zone of a KindTimeTZ in seconds west of UTC.
func (v Value) West() int32 { return v.a }

// NewInterval makes an interval; the three parts are kept apart, as in PostgreSQL.
func NewInterval(months, days int32, micros int64) Value {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(micros))
	binary.BigEndian.PutUint32(b[8:], uint32(days))
	binary.BigEndian.PutUint32(b[12:], uint32(months))
	return Value{kind: KindInterval, s: string(b[:])}
}

// Interval is the parts of a KindInterval.
func (v Value) Interval() (months, days int32, micros int64) {
	if len(v.s) != 16 {
		return 0, 0, 0
	}
	be := func(s string) (u uint64) {
		for i := range len(s) {
			u = u<<8 | uint64(s[i])
		}
		return u
	}
	return int32(be(v.s[12:])), int32(be(v.s[8:12])), int64(be(v.s[:8]))
}

const (
	microsPerSecond = int64(1_000_000)
	microsPerDay    = 86400 * microsPerSecond
)

// intervalSpan is an interval as PostgreSQL compares it (30 days a month, 24 hours a day): whole days and the rest.
func intervalSpan(v Value) (days, micros int64) {
	mo, d, us := v.Interval()
	days = int64(mo)*30 + int64(d) + us/microsPerDay
	if us %= microsPerDay; us < 0 {
		us += microsPerDay
		days--
	}
	return days, us
}

// Compare orders two values of one kind as PostgreSQL's btree does, text by bytes (collation C); NULL comes last. It gives
// -1, 0 or 1. Types whose order is not their kind's (character(n), jsonb) need CompareTyped. Values of different kinds are
// ordered by kind, except that ints, floats and numerics compare by number.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		return compareKinds(a, b)
	}
	switch a.kind {
	case KindNull:
		return 0
	case KindBool, KindInt, KindDate, KindTime, KindTimestamp:
		return cmp.Compare(a.n, b.n)
	case KindFloat:
		return CompareFloat(a.Float(), b.Float())
	case KindNumeric:
		return compareNumeric(a, b)
	case KindTimeTZ:
		if c := cmp.Compare(a.n+int64(a.a)*microsPerSecond, b.n+int64(b.a)*microsPerSecond); c != 0 {
			return c
		}
		return cmp.Compare(a.a, b.a)
	case KindInterval:
		ad, au := intervalSpan(a)
		bd, bu := intervalSpan(b)
		if c := cmp.Compare(ad, bd); c != 0 {
			return c
		}
		return cmp.Compare(au, bu)
	case KindList, KindRecord:
		return compareLists(Type{}, a.List(), b.List())
	}
	return strings.Compare(a.s, b.s)
}

// compareLists compares elements, then lengths; t is the array's type. Arrays of several dimensions compare as the list of
// all their elements, then by their number of dimensions.
func compareLists(t Type, a, b []Value) int {
	e := t.Element()
	if an, bn := nested(a), nested(b); an || bn {
		fa, da := flatten(nil, a, 1)
		fb, db := flatten(nil, b, 1)
		if c := compareLists(t, fa, fb); c != 0 {
			return c
		}
		return cmp.Compare(da, db)
	}
	for i := range min(len(a), len(b)) {
		et := e
		if a[i].kind == KindList {
			et = t
		}
		if c := CompareTyped(et, a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func nested(list []Value) bool { return len(list) > 0 && list[0].kind == KindList }

// flatten appends the elements of all dimensions and gives the number of dimensions.
func flatten(dst, list []Value, depth int) ([]Value, int) {
	if !nested(list) {
		return append(dst, list...), depth
	}
	deepest := depth
	for _, v := range list {
		dst, deepest = flatten(dst, v.List(), depth+1)
	}
	return dst, deepest
}

func compareKinds(a, b Value) int {
	if a.kind == KindNull {
		return 1
	}
	if b.kind == KindNull {
		return -1
	}
	if a.kind.numeric() && b.kind.numeric() {
		if a.kind == KindFloat || b.kind == KindFloat {
			return CompareFloat(a.AsFloat(), b.AsFloat())
		}
		if a.kind == KindInt {
			a = NumericFromInt(a.n)
		} else {
			b = NumericFromInt(b.n)
		}
		return compareNumeric(a, b)
	}
	return cmp.Compare(a.kind, b.kind)
}

func (k Kind) numeric() bool { return k == KindInt || k == KindFloat || k == KindNumeric }

// AsFloat is a KindInt, KindFloat or KindNumeric as a float64.
func (v Value) AsFloat() float64 {
	switch v.kind {
	case KindFloat:
		return v.Float()
	case KindNumeric:
		return v.NumericFloat()
	}
	return float64(v.n)
}

// CompareTyped is Compare for values of type t: character(n) ignores trailing blanks, jsonb has PostgreSQL's own order.
func CompareTyped(t Type, a, b Value) int {
	if a.kind == b.kind {
		switch {
		case a.kind == KindText && t.OID == BPChar:
			return strings.Compare(strings.TrimRight(a.s, " "), strings.TrimRight(b.s, " "))
		case a.kind == KindText && t.OID == JSONB:
			if a.s == b.s {
				return 0
			}
			return bytes.Compare(appendJSONBKey(nil, a.s), appendJSONBKey(nil, b.s))
		case a.kind == KindList:
			return compareLists(t, a.List(), b.List())
		}
	}
	return Compare(a, b)
}

// CompareFloat orders floats as PostgreSQL does: NaN equals NaN and is above Infinity; -0 equals 0.
func CompareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	an, bn := math.IsNaN(a), math.IsNaN(b)
	switch {
	case an && bn:
		return 0
	case an:
		return 1
	}
	return -1
}

func compareNumeric(a, b Value) int {
	if a.s == "" && b.s == "" {
		if a.a == b.a {
			return cmp.Compare(a.n, b.n)
		}
		if a.a < b.a {
			if n, ok := roundSmall(a.n, a.a, b.a); ok {
				return cmp.Compare(n, b.n)
			}
		} else if n, ok := roundSmall(b.n, b.a, a.a); ok {
			return cmp.Compare(a.n, n)
		}
	}
	var abuf, bbuf [40]byte
	x, y := a.decimal(abuf[:0]), b.decimal(bbuf[:0])
	if x.class != y.class || x.class != 0 {
		return cmp.Compare(x.class, y.class)
	}
	if x.sign() != y.sign() {
		return cmp.Compare(x.sign(), y.sign())
	}
	c := cmp.Compare(x.exp, y.exp)
	if c == 0 || x.sign() == 0 {
		c = bytes.Compare(x.digits, y.digits)
	}
	if x.neg {
		return -c
	}
	return c
}

func (d decimal) sign() int {
	switch {
	case len(d.digits) == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// Equal reports whether a and b are equal as PostgreSQL's = says, and whether both are NULL (as DISTINCT and GROUP BY need).
func Equal(a, b Value) bool {
	if a.kind == b.kind && a.kind == KindText {
		return a.s == b.s
	}
	return Compare(a, b) == 0
}

// Hash64 hashes v so that values of one kind that are Equal have one hash. It is not stable between versions of the program.
func Hash64(v Value) uint64 { return HashTyped(Type{}, v) }

// HashTyped hashes v so that values of type t that CompareTyped finds equal have one hash.
func HashTyped(t Type, v Value) uint64 {
	switch v.kind {
	case KindNull:
		return 0x9e3779b97f4a7c15
	case KindBool, KindInt, KindDate, KindTime, KindTimestamp:
		return mix(uint64(v.n) + uint64(v.kind)<<56)
	case KindFloat:
		f := v.Float()
		if f == 0 {
			f = 0
		}
		if math.IsNaN(f) {
			f = math.NaN()
		}
		return mix(math.Float64bits(f) ^ 0xf10a7)
	case KindNumeric:
		return hashNumeric(v)
	case KindTimeTZ:
		return mix(uint64(v.n)+uint64(v.a)<<40) + 1
	case KindInterval:
		d, us := intervalSpan(v)
		return mix(uint64(d)*0x9e3779b97f4a7c15 + uint64(us))
	case KindList, KindRecord:
		h := uint64(len(v.List())) + 0x1157
		e := t.Element()
		for _, x := range v.List() {
			if x.kind == KindList {
				e = t
			}
			h = mix(h ^ HashTyped(e, x))
		}
		return h
	case KindText:
		switch t.OID {
		case BPChar:
			return xxh3.HashString(strings.TrimRight(v.s, " "))
		case JSONB:
			return xxh3.Hash(appendJSONBKey(nil, v.s))
		}
	}
	return xxh3.HashString(v.s)
}

// hashNumeric hashes m * 10^e with m stripped of trailing zeros, which is the same for every display scale and both forms.
func hashNumeric(v Value) uint64 {
	if v.s == "" {
		m, e := absolute(v.n), int64(-v.a)
		for m > 0 && m%10 == 0 {
			m, e = m/10, e+1
		}
		return hashDecimal(m, e, v.n < 0)
	}
	d := v.decimal(nil)
	if d.class == 0 && len(d.digits) <= 19 {
		var m uint64
		for _, c := range d.digits {
			m = m*10 + uint64(c-'0')
		}
		return hashDecimal(m, int64(d.exp-len(d.digits)), d.neg)
	}
	return mix(xxh3.Hash(d.digits) ^ uint64(int64(d.exp))<<8 ^ uint64(uint8(d.class)) ^ uint64(b2i(d.neg))<<63)
}

func hashDecimal(m uint64, e int64, neg bool) uint64 {
	if m == 0 {
		return 0xdec1
	}
	return mix(m ^ uint64(e)<<48 ^ uint64(b2i(neg))<<40)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mix is the finaliser of splitmix64: a bijection in which every input bit moves every output bit.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
