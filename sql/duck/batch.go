package duck

import (
	"math"
	"math/big"

	"github.com/apache/arrow/go/v17/arrow/decimal128"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// Field says how one result column is made from DuckDB's.
type Field struct {
	Type row.Type
	// Column is DuckDB's column. Scale, when not negative, is the one that holds the display scale of a numeric that
	// Column holds at a larger scale.
	Column, Scale int
}

// Batch is at most 2048 rows in columns, over memory that is never reused.
type Batch struct {
	rows    int
	fields  []Field
	vectors []wire.Vector
}

// Len is the number of rows.
func (b *Batch) Len() int { return b.rows }

// Fields describe the result's columns.
func (b *Batch) Fields() []Field { return b.fields }

// Vector is the raw column behind result column i, for those who write values without making row.Values: see its ID.
func (b *Batch) Vector(i int) *wire.Vector { return &b.vectors[b.fields[i].Column] }

// AppendRows appends the batch's rows.
func (b *Batch) AppendRows(dst []row.Row) ([]row.Row, error) {
	n := len(b.fields)
	values := make([]row.Value, b.rows*n)
	for c := range b.fields {
		if err := b.fill(values, c); err != nil {
			return dst, err
		}
	}
	for i := range b.rows {
		dst = append(dst, values[i*n:(i+1)*n:(i+1)*n])
	}
	return dst, nil
}

// fill writes result column c into values, one row after len(fields) values.
func (b *Batch) fill(values []row.Value, c int) error {
	f, stride := b.fields[c], len(b.fields)
	v := &b.vectors[f.Column]
	conv, err := converter(f.Type, v.Type)
	if err != nil {
		return err
	}
	var scale *wire.Vector
	if f.Scale >= 0 {
		scale = &b.vectors[f.Scale]
	}
	nulls := v.HasNulls()
	for i, at := 0, c; i < b.rows; i, at = i+1, at+stride {
		if nulls && v.Null(i) {
			continue
		}
		if values[at], err = conv(v, i); err != nil {
			return err
		}
		if scale != nil && !scale.Null(i) {
			values[at] = row.RoundNumeric(values[at], int32(scale.Int(i)))
		}
	}
	return nil
}

type convertFunc func(*wire.Vector, int) (row.Value, error)

// converter chooses how a DuckDB type becomes a value of t. Names and numbers are checked by the translator; a pair that
// is not here is a mistake in it.
func converter(t row.Type, d *wire.Type) (convertFunc, error) {
	kind := row.KindOf(t.OID)
	switch d.ID {
	case wire.SQLNull:
		return func(*wire.Vector, int) (row.Value, error) { return row.Null, nil }, nil
	case wire.Boolean:
		if kind == row.KindBool {
			return func(v *wire.Vector, i int) (row.Value, error) { return row.NewBool(v.Int(i) != 0), nil }, nil
		}
	case wire.TinyInt, wire.SmallInt, wire.Integer, wire.BigInt, wire.UTinyInt, wire.USmallInt, wire.UInteger:
		switch kind {
		case row.KindInt:
			return func(v *wire.Vector, i int) (row.Value, error) { return row.NewInt(v.Int(i)), nil }, nil
		case row.KindNumeric:
			return func(v *wire.Vector, i int) (row.Value, error) { return row.NumericFromInt(v.Int(i)), nil }, nil
		}
	case wire.Float, wire.Double:
		if kind == row.KindFloat {
			return func(v *wire.Vector, i int) (row.Value, error) { return row.NewFloat(v.Float(i)), nil }, nil
		}
	case wire.HugeInt, wire.Decimal:
		switch kind {
		case row.KindNumeric:
			return numericConverter(d), nil
		case row.KindInt:
			return hugeToInt, nil
		}
	case wire.Varchar:
		return textConverter(t, kind)
	}
	if f := otherConverter(kind, d.ID); f != nil {
		return f, nil
	}
	return nil, errs.New(errs.Internal, "DuckDB's type %d for %s", d.ID, t)
}

func otherConverter(kind row.Kind, id wire.TypeID) convertFunc {
	switch {
	case id == wire.BlobType && kind == row.KindBytes:
		return func(v *wire.Vector, i int) (row.Value, error) { return row.NewBytes(v.Bytes(i)), nil }
	case (id == wire.BlobType || id == wire.UUID) && kind == row.KindUUID:
		return uuidValue
	case id == wire.Date && kind == row.KindDate:
		return func(v *wire.Vector, i int) (row.Value, error) {
			n := v.Int(i)
			if n == -math.MaxInt32 { // DuckDB's -infinity
				n = math.MinInt32
			}
			return row.NewDate(n), nil
		}
	case id == wire.Time && kind == row.KindTime:
		return func(v *wire.Vector, i int) (row.Value, error) { return row.NewTime(v.Int(i)), nil }
	case (id == wire.Timestamp || id == wire.TimestampTZ) && kind == row.KindTimestamp:
		return func(v *wire.Vector, i int) (row.Value, error) {
			n := v.Int(i)
			if n == -math.MaxInt64 {
				n = math.MinInt64
			}
			return row.NewTimestamp(n), nil
		}
	case id == wire.Interval && kind == row.KindInterval:
		return func(v *wire.Vector, i int) (row.Value, error) {
			lo, micros := v.Wide(i)
			return row.NewInterval(int32(lo), int32(lo>>32), micros), nil
		}
	}
	return nil
}

func textConverter(t row.Type, kind row.Kind) (convertFunc, error) {
	switch kind {
	case row.KindText:
		return func(v *wire.Vector, i int) (row.Value, error) { return row.NewText(v.Str(i)), nil }, nil
	case row.KindNull, row.KindRecord:
		return nil, errs.New(errs.Internal, "text for %s", t)
	}
	// What DuckDB has no type for (arrays, timetz, unbounded numerics) is stored as PostgreSQL's text.
	return func(v *wire.Vector, i int) (row.Value, error) { return row.ParseText(t, v.Str(i)) }, nil
}

func hugeToInt(v *wire.Vector, i int) (row.Value, error) {
	lo, hi := v.Wide(i)
	if hi != int64(lo)>>63 {
		return row.Null, errs.SQL("22003", "bigint out of range")
	}
	return row.NewInt(int64(lo)), nil
}

func numericConverter(d *wire.Type) convertFunc {
	scale := int32(d.Scale)
	if d.Bytes < 16 {
		return func(v *wire.Vector, i int) (row.Value, error) { return row.NewNumeric(v.Int(i), scale), nil }
	}
	return func(v *wire.Vector, i int) (row.Value, error) {
		lo, hi := v.Wide(i)
		if hi == int64(lo)>>63 {
			return row.NewNumeric(int64(lo), scale), nil
		}
		n := decimal128.New(hi, lo)
		return row.NumericFromString(scaled(n.BigInt(), int(scale)))
	}
}

// scaled writes n * 10^-scale in full.
func scaled(n *big.Int, scale int) string {
	s, sign := n.String(), ""
	if n.Sign() < 0 {
		s, sign = s[1:], "-"
	}
	if scale == 0 {
		return sign + s
	}
	for len(s) <= scale {
		s = "0" + s
	}
	return sign + s[:len(s)-scale] + "." + s[len(s)-scale:]
}

func uuidValue(v *wire.Vector, i int) (row.Value, error) {
	var b [16]byte
	if v.Type.ID == wire.BlobType {
		if copy(b[:], v.Bytes(i)) != len(b) {
			return row.Null, errs.New(errs.Internal, "a uuid of %d bytes", len(v.Bytes(i)))
		}
		return row.NewUUID(b), nil
	}
	lo, hi := v.Wide(i)
	u := uint64(hi) ^ 1<<63 // DuckDB flips the sign bit so that uuids sort as numbers
	for k := range 8 {
		b[k], b[8+k] = byte(u>>(56-8*k)), byte(lo>>(56-8*k))
	}
	return row.NewUUID(b), nil
}
