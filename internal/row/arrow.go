package row

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// TypeKey is the key of the Arrow field metadata that holds a column's PostgreSQL type as "oid:typmod".
const TypeKey = "pgtype"

var (
	timestampUTC = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	timestampAny = &arrow.TimestampType{Unit: arrow.Microsecond}
	uuidArrow    = &arrow.FixedSizeBinaryType{ByteWidth: 16}
)

// decimalNaN stands for NaN in a decimal128 column: the one value that no precision can hold. (numeric(p,s) has NaN, but no
// infinities.)
var decimalNaN = decimal128.New(math.MinInt64, 0)

// IsDecimalNaN reports whether a value of a decimal128 column is numeric's NaN.
func IsDecimalNaN(d decimal128.Num) bool { return d == decimalNaN }

// isDecimal reports whether numerics of type t are held as decimal128: a precision up to 38 and a scale within it.
func isDecimal(t Type) (precision, scale int32, ok bool) {
	p, s, ok := t.PrecisionScale()
	return p, s, ok && p <= 38 && s >= 0 && s <= p
}

// ArrowType is how a column of type t is held in Arrow:
//
//	bool bool · int2 int16 · int4 int32 · int8, oid, xid, reg* int64 · float4 float32 · float8 float64
//	numeric(p<=38, 0<=s<=p) decimal128(p,s), NaN as the least 128-bit number · other numerics utf8 of the canonical text
//	text types, json, jsonb utf8 · bytea binary · uuid fixed_size_binary(16)
//	date date32 · time time64[us] · timestamp timestamp[us] · timestamptz timestamp[us, UTC], ±infinity as the extremes
//	interval month_day_nano · arrays and all others utf8 of PostgreSQL's text
func ArrowType(t Type) arrow.DataType {
	switch t.OID {
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Int2:
		return arrow.PrimitiveTypes.Int16
	case Int4:
		return arrow.PrimitiveTypes.Int32
	case Int8, Oid, XID, RegProc, RegOper, RegClass, RegType, RegNamespace, RegRole:
		return arrow.PrimitiveTypes.Int64
	case Float4:
		return arrow.PrimitiveTypes.Float32
	case Float8:
		return arrow.PrimitiveTypes.Float64
	case Numeric:
		if p, s, ok := isDecimal(t); ok {
			return &arrow.Decimal128Type{Precision: p, Scale: s}
		}
	case Bytea:
		return arrow.BinaryTypes.Binary
	case UUID:
		return uuidArrow
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Time:
		return arrow.FixedWidthTypes.Time64us
	case Timestamp:
		return timestampAny
	case TimestampTZ:
		return timestampUTC
	case Interval:
		return arrow.FixedWidthTypes.MonthDayNanoInterval
	}
	return arrow.BinaryTypes.String
}

// BeforeKey is the metadata key of Column.Before.
const BeforeKey = "before"

// ArrowField is a column as an Arrow field; its metadata keeps the PostgreSQL type (TypeKey) and what older rows have
// (BeforeKey).
func ArrowField(c Column) arrow.Field {
	keys, values := []string{TypeKey}, []string{fmt.Sprintf("%d:%d", c.Type.OID, c.Type.TypMod())}
	if c.Before != nil {
		keys, values = append(keys, BeforeKey), append(values, *c.Before)
	}
	return arrow.Field{Name: c.Name, Type: ArrowType(c.Type), Nullable: !c.NotNull, Metadata: arrow.NewMetadata(keys, values)}
}

// Absent is n rows of a column that is younger than they are.
func Absent(f arrow.Field, n int) (arrow.Array, error) {
	text, has := f.Metadata.GetValue(BeforeKey)
	t, known := FieldType(f)
	if !has || !known {
		return array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, n), nil
	}
	v, err := ParseText(t, text)
	if err != nil {
		return nil, err
	}
	b := array.NewBuilder(memory.DefaultAllocator, f.Type)
	defer b.Release()
	b.Reserve(n)
	for range n {
		Append(b, t, v)
	}
	return b.NewArray(), nil
}

// ArrowSchema is s as an Arrow schema of the same columns.
func ArrowSchema(s *Schema) *arrow.Schema {
	fields := make([]arrow.Field, len(s.Columns))
	for i, c := range s.Columns {
		fields[i] = ArrowField(c)
	}
	return arrow.NewSchema(fields, nil)
}

// FieldType gives the PostgreSQL type of an Arrow field: from its metadata, else the nearest to its Arrow type; false: there
// is none.
func FieldType(f arrow.Field) (Type, bool) {
	if text, ok := f.Metadata.GetValue(TypeKey); ok {
		var oid OID
		var mod int32
		if n, _ := fmt.Sscanf(text, "%d:%d", &oid, &mod); n == 2 {
			return T(oid).WithTypMod(mod), true
		}
	}
	switch dt := f.Type.(type) {
	case *arrow.BooleanType:
		return T(Bool), true
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Uint8Type:
		return T(Int2), true
	case *arrow.Int32Type, *arrow.Uint16Type:
		return T(Int4), true
	case *arrow.Int64Type, *arrow.Uint32Type:
		return T(Int8), true
	case *arrow.Float32Type:
		return T(Float4), true
	case *arrow.Float64Type:
		return T(Float8), true
	case *arrow.Decimal128Type:
		return NumericType(dt.Precision, dt.Scale), true
	case *arrow.StringType:
		return T(Text), true
	case *arrow.BinaryType:
		return T(Bytea), true
	case *arrow.FixedSizeBinaryType:
		return T(UUID), dt.ByteWidth == 16
	case *arrow.Date32Type:
		return T(Date), true
	case *arrow.Time64Type:
		return T(Time), dt.Unit == arrow.Microsecond
	case *arrow.TimestampType:
		if dt.TimeZone != "" {
			return T(TimestampTZ), dt.Unit == arrow.Microsecond
		}
		return T(Timestamp), dt.Unit == arrow.Microsecond
	case *arrow.MonthDayNanoIntervalType:
		return T(Interval), true
	}
	return Type{}, false
}

// FromArrowSchema is the inverse of ArrowSchema, without a key; false: a field has no PostgreSQL type.
func FromArrowSchema(s *arrow.Schema) (*Schema, bool) {
	out := &Schema{Columns: make([]Column, s.NumFields())}
	for i, f := range s.Fields() {
		t, ok := FieldType(f)
		if !ok {
			return nil, false
		}
		out.Columns[i] = Column{Name: f.Name, Type: t, NotNull: !f.Nullable}
		if text, ok := f.Metadata.GetValue(BeforeKey); ok {
			out.Columns[i].Before = &text
		}
	}
	return out, true
}

// ToDecimal128 is a numeric as a decimal128 of the given scale, rounded half away from zero; ok is false beyond 38 digits and
// for the infinities.
func ToDecimal128(v Value, scale int32) (d decimal128.Num, ok bool) {
	if v.kind == KindInt {
		v = NumericFromInt(v.n)
	}
	if v.s == "NaN" {
		return decimalNaN, true
	}
	if v.s == "" {
		if v.a == scale {
			return decimal128.FromI64(v.n), true
		}
		if n, ok := roundSmall(v.n, v.a, scale); ok {
			return decimal128.FromI64(n), true
		}
	}
	if v.IsInf() != 0 {
		return d, false
	}
	r := RoundNumeric(v, scale)
	if r.s == "" {
		return decimal128.FromI64(r.n), true
	}
	neg, text := strings.HasPrefix(r.s, "-"), strings.TrimLeft(r.s, "-0.")
	digits := 0
	ten := decimal128.FromI64(10)
	for i := range len(text) {
		if text[i] == '.' {
			continue
		}
		if digits++; digits > 38 {
			return d, false
		}
		d = d.Mul(ten).Add(decimal128.FromI64(int64(text[i] - '0')))
	}
	if neg {
		d = d.Negate()
	}
	return d, true
}

// FromDecimal128 is the inverse of ToDecimal128.
func FromDecimal128(d decimal128.Num, scale int32) Value {
	hi, lo := d.HighBits(), d.LowBits()
	if hi == int64(lo)>>63 {
		return NewNumeric(int64(lo), scale)
	}
	if d == decimalNaN {
		return NumericNaN
	}
	neg := d.Sign() < 0
	return numericFromDigits(neg, d.Abs().BigInt().Append(nil, 10), scale)
}

// monthDayNano is an interval in Arrow's form. Nanoseconds end at 292 years: what is beyond moves to days, which PostgreSQL
// compares equal.
func monthDayNano(v Value) arrow.MonthDayNanoInterval {
	months, days, micros := v.Interval()
	if micros > math.MaxInt64/1000 || micros < math.MinInt64/1000 {
		d := int64(days) + micros/microsPerDay
		micros %= microsPerDay
		days = int32(max(min(d, math.MaxInt32), math.MinInt32))
	}
	return arrow.MonthDayNanoInterval{Months: months, Days: days, Nanoseconds: micros * 1000}
}
