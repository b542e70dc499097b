package row

import (
	"math"
	"strings"
)

// Kind is how a Value is held; several types share one (int2, int4, int8 and oid are KindInt).
type Kind uint8

// The kinds.
const (
	KindNull Kind = iota
	KindBool
	KindInt       // int2, int4, int8, oid, reg*
	KindFloat     // float4, float8
	KindNumeric   // numeric
	KindText      // text, varchar, bpchar, name, "char", json, jsonb (normalised text), unknown
	KindBytes     // bytea
	KindDate      // date
	KindTime      // microseconds since midnight
	KindTimeTZ    // microseconds since midnight and zone
	KindTimestamp // timestamp, timestamptz
	KindInterval
	KindUUID
	KindList   // an array or vector
	KindRecord // a composite
)

// Value is one SQL value. The zero Value is NULL. A Value is immutable and may be shared.
//
// It does not know its SQL type: a Type travels beside it (in a column, a parameter, an expression).
//
//	KindBool       n = 0 or 1
//	KindInt        n
//	KindFloat      n = the bits of a float64 (float4 is held widened)
//	KindNumeric    s == "": n * 10^-a; else s is the canonical text (a big coefficient, NaN, Infinity, -Infinity) and
//	               a its display scale
//	KindText       s
//	KindBytes      s
//	KindDate       n = days since 1970-01-01; math.MaxInt32 and MinInt32 are infinity and -infinity
//	KindTime       n = microseconds since midnight
//	KindTimeTZ     n = microseconds since midnight, a = seconds west of UTC (as PostgreSQL keeps it)
//	KindTimestamp  n = microseconds since 1970-01-01 00:00 (UTC for timestamptz); math.MaxInt64 and MinInt64 are
//	               infinity and -infinity
//	KindInterval   s = 16 bytes: microseconds int64, days int32, months int32, big-endian
//	KindUUID       s = 16 bytes
//	KindList       list = the elements, of one dimension (nested lists for more)
//	KindRecord     list = the fields
type Value struct {
	kind Kind
	a    int32
	n    int64
	s    string
	list *[]Value
}

// Row is the values of one row, in column order.
type Row []Value

// ValueBytes is the size of a Value, without what it points to.
const ValueBytes = 40

// Bytes is about what the row takes in memory.
func (r Row) Bytes() int64 {
	n := int64(24 + ValueBytes*len(r))
	for i := range r {
		switch r[i].Kind() {
		case KindText, KindBytes, KindNumeric:
			n += int64(len(r[i].Str()))
		case KindList, KindRecord:
			n += Row(r[i].List()).Bytes()
		}
	}
	return n
}

// Null is SQL's NULL.
var Null Value

// NewBool makes a bool.
func NewBool(b bool) Value {
	if b {
		return Value{kind: KindBool, n: 1}
	}
	return Value{kind: KindBool}
}

// NewInt makes an int2, int4, int8, oid or reg* value.
func NewInt(n int64) Value { return Value{kind: KindInt, n: n} }

// NewFloat makes a float4 or float8.
func NewFloat(f float64) Value { return Value{kind: KindFloat, n: int64(math.Float64bits(f))} }

// NewText makes a value of any text type, json and jsonb among them (jsonb must be normalised text).
func NewText(s string) Value { return Value{kind: KindText, s: s} }

// NewBytes makes a bytea; b is copied.
func NewBytes(b []byte) Value { return Value{kind: KindBytes, s: string(b)} }

// NewDate makes a date from days since 1970-01-01.
func NewDate(days int64) Value { return Value{kind: KindDate, n: days} }

// NewTime makes a time from microseconds since midnight.
func NewTime(micros int64) Value { return Value{kind: KindTime, n: micros} }

// NewTimestamp makes a timestamp or timestamptz from microseconds since 1970-01-01 00:00 UTC.
func NewTimestamp(micros int64) Value { return Value{kind: KindTimestamp, n: micros} }

// NewList makes an array; elems is kept.
func NewList(elems []Value) Value { return Value{kind: KindList, list: &elems} }

// NewRecord makes a composite; fields is kept.
func NewRecord(fields []Value) Value { return Value{kind: KindRecord, list: &fields} }

// Kind says how v is held.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is NULL.
func (v Value) IsNull() bool { return v.kind == KindNull }

// Bool is the value of a KindBool.
func (v Value) Bool() bool { return v.n != 0 }

// Int is the value of a KindInt, KindBool, KindDate (days), KindTime, KindTimeTZ or KindTimestamp (microseconds).
func (v Value) Int() int64 { return v.n }

// Float is the value of a KindFloat.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.n)) }

// Str is the bytes of a KindText, KindBytes or KindUUID.
func (v Value) Str() string { return v.s }

// List is the elements of a KindList or the fields of a KindRecord; they must not be changed.
func (v Value) List() []Value {
	if v.list == nil {
		return nil
	}
	return *v.list
}

// Own gives v with its own copy of any bytes that it borrows (from a record, an Arrow array).
func Own(v Value) Value {
	switch v.kind {
	case KindText, KindBytes, KindNumeric, KindUUID, KindInterval:
		v.s = strings.Clone(v.s)
	case KindList, KindRecord:
		list := make([]Value, len(v.List()))
		for i, x := range v.List() {
			list[i] = Own(x)
		}
		v.list = &list
	}
	return v
}
