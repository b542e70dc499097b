package expr

import (
	"math"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// scalarCasts are the casts that compute, by (from, to); those over text forms are in cast.go.
var scalarCasts map[castPair]CastFunc

func init() { scalarCasts = makeScalarCasts() }

func makeScalarCasts() map[castPair]CastFunc {
	m := map[castPair]CastFunc{
		{row.Bool, row.Int4}:  pure(func(v row.Value) (row.Value, error) { return row.NewInt(v.Int()), nil }),
		{row.Int4, row.Bool}:  pure(func(v row.Value) (row.Value, error) { return row.NewBool(v.Int() != 0), nil }),
		{row.Char, row.Int4}:  pure(charToInt),
		{row.Int4, row.Char}:  pure(intToChar),
		{row.JSON, row.JSONB}: pure(jsonToJSONB),
		{row.JSONB, row.JSON}: nil,
		{row.JSONB, row.Bool}: pure(jsonbToBool),

		{row.Date, row.Timestamp}:        pure(dateToTimestamp),
		{row.Date, row.TimestampTZ}:      dateToZoned,
		{row.Timestamp, row.Date}:        pure(timestampToDate),
		{row.Timestamp, row.Time}:        pure(timestampToTime),
		{row.Timestamp, row.TimestampTZ}: localToZoned,
		{row.TimestampTZ, row.Date}:      func(c *Ctx, v row.Value) (row.Value, error) { return timestampToDate(zonedToLocal(v, c.location())) },
		{row.TimestampTZ, row.Time}:      func(c *Ctx, v row.Value) (row.Value, error) { return timestampToTime(zonedToLocal(v, c.location())) },
		{row.TimestampTZ, row.Timestamp}: func(c *Ctx, v row.Value) (row.Value, error) { return zonedToLocal(v, c.location()), nil },
		{row.TimestampTZ, row.TimeTZ}:    zonedToTimeTZ,
		{row.Time, row.TimeTZ}:           timeToTimeTZ,
		{row.TimeTZ, row.Time}:           pure(func(v row.Value) (row.Value, error) { return row.NewTime(v.Int()), nil }),
		{row.Time, row.Interval}:         pure(func(v row.Value) (row.Value, error) { return row.NewInterval(0, 0, v.Int()), nil }),
		{row.Interval, row.Time}:         pure(intervalToTime),
	}
	for to, width := range map[row.OID]int{row.Int2: 16, row.Int4: 32, row.Int8: 64} {
		for _, from := range []row.OID{row.Int2, row.Int4, row.Int8} {
			m[castPair{from, to}] = pure(func(v row.Value) (row.Value, error) { return fit(v.Int(), width) })
			if from == row.Int2 || to == row.Int8 || from == row.Int4 && to == row.Int4 {
				m[castPair{from, to}] = nil // widening
			}
		}
		for _, from := range []row.OID{row.Float4, row.Float8} {
			m[castPair{from, to}] = pure(func(v row.Value) (row.Value, error) { return floatToInt(v.Float(), width) })
		}
		m[castPair{row.Numeric, to}] = pure(func(v row.Value) (row.Value, error) { return numericToInt(v, width) })
		m[castPair{row.JSONB, to}] = jsonbToNumber(to)
	}
	for _, from := range []row.OID{row.Int2, row.Int4, row.Int8} {
		m[castPair{from, row.Float8}] = pure(func(v row.Value) (row.Value, error) { return row.NewFloat(float64(v.Int())), nil })
		m[castPair{from, row.Float4}] = pure(func(v row.Value) (row.Value, error) { return row.NewFloat(float64(float32(v.Int()))), nil })
		m[castPair{from, row.Numeric}] = pure(func(v row.Value) (row.Value, error) { return row.NumericFromInt(v.Int()), nil })
	}
	m[castPair{row.Float4, row.Float8}] = nil
	m[castPair{row.Float8, row.Float4}] = pure(floatToSingle)
	m[castPair{row.Float4, row.Numeric}] = pure(func(v row.Value) (row.Value, error) { return row.NumericFromFloat(v.Float(), 6), nil })
	m[castPair{row.Float8, row.Numeric}] = pure(func(v row.Value) (row.Value, error) { return row.NumericFromFloat(v.Float(), 15), nil })
	m[castPair{row.Numeric, row.Float8}] = pure(func(v row.Value) (row.Value, error) { return numericToFloat(v, false) })
	m[castPair{row.Numeric, row.Float4}] = pure(func(v row.Value) (row.Value, error) { return numericToFloat(v, true) })
	for _, to := range []row.OID{row.Float4, row.Float8, row.Numeric} {
		m[castPair{row.JSONB, to}] = jsonbToNumber(to)
	}
	return m
}

func rangeError(width int) error {
	switch width {
	case 16:
		return errInt2Range
	case 32:
		return errInt4Range
	}
	return errInt8Range
}

func floatToInt(f float64, width int) (row.Value, error) {
	f = math.RoundToEven(f)
	limit := math.Ldexp(1, width-1)
	if !(f >= -limit && f < limit) {
		return row.Null, rangeError(width)
	}
	return row.NewInt(int64(f)), nil
}

func floatToSingle(v row.Value) (row.Value, error) {
	f := v.Float()
	return float(f, true, isInf(f), f == 0)
}

func numericToInt(v row.Value, width int) (row.Value, error) {
	name := map[int]string{16: "smallint", 32: "integer", 64: "bigint"}[width]
	if v.IsNaN() {
		return row.Null, errs.SQL("0A000", "cannot convert NaN to %s", name)
	}
	if v.IsInf() != 0 {
		return row.Null, errs.SQL("0A000", "cannot convert infinity to %s", name)
	}
	n, _, ok := row.RoundNumeric(v, 0).Numeric()
	if !ok {
		return row.Null, rangeError(width)
	}
	return fit(n, width)
}

func numericToFloat(v row.Value, single bool) (row.Value, error) {
	f := v.NumericFloat()
	if single {
		f = float64(float32(f))
	}
	if math.IsInf(f, 0) && v.IsInf() == 0 {
		name := "double precision"
		if single {
			name = "real"
		}
		return row.Null, errs.SQL("22003", "\"%s\" is out of range for type %s", v.AppendNumeric(nil), name)
	}
	return row.NewFloat(f), nil
}

func charToInt(v row.Value) (row.Value, error) {
	if v.Str() == "" {
		return row.NewInt(0), nil
	}
	return row.NewInt(int64(int8(v.Str()[0]))), nil
}

func intToChar(v row.Value) (row.Value, error) {
	if v.Int() < math.MinInt8 || v.Int() > math.MaxInt8 {
		return row.Null, errs.SQL("22003", "\"char\" out of range")
	}
	if v.Int() == 0 {
		return row.NewText(""), nil
	}
	return row.NewText(string([]byte{byte(v.Int())})), nil
}

func jsonToJSONB(v row.Value) (row.Value, error) {
	s, err := row.NormalizeJSONB(v.Str())
	return row.NewText(s), err
}

func jsonbToBool(v row.Value) (row.Value, error) {
	switch v.Str() {
	case "true":
		return row.NewBool(true), nil
	case "false":
		return row.NewBool(false), nil
	}
	return row.Null, errs.SQL("22023", "cannot cast jsonb %s to type boolean", jsonbKind(v.Str()))
}

// jsonbKind names a jsonb's kind as PostgreSQL's messages and jsonb_typeof do.
func jsonbKind(s string) string {
	s = strings.TrimLeft(s, " \t\r\n")
	if s == "" {
		return "null"
	}
	switch s[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func jsonbToNumber(to row.OID) CastFunc {
	return func(ctx *Ctx, v row.Value) (row.Value, error) {
		kind := jsonbKind(v.Str())
		if kind != "number" {
			return row.Null, errs.SQL("22023", "cannot cast jsonb %s to type %s", kind, typeName(row.T(to)))
		}
		n, err := row.NumericFromString(v.Str())
		if err != nil || to == row.Numeric {
			return n, err
		}
		return scalarCasts[castPair{row.Numeric, to}](ctx, n)
	}
}

func dateToTimestamp(v row.Value) (row.Value, error) {
	if v.IsInf() == 0 && (v.Int() > math.MaxInt64/microsPerDay-1 || v.Int() < math.MinInt64/microsPerDay+1) {
		return row.Null, errs.SQL("22008", "date out of range for timestamp")
	}
	return dateAsTimestamp(v), nil
}

func dateToZoned(ctx *Ctx, v row.Value) (row.Value, error) {
	t, err := dateToTimestamp(v)
	if err != nil {
		return row.Null, err
	}
	return localToZoned(ctx, t)
}

// dayAndTime splits microseconds into days, rounded down, and the rest.
func dayAndTime(micros int64) (day, rest int64) {
	day, rest = micros/microsPerDay, micros%microsPerDay
	if rest < 0 {
		day, rest = day-1, rest+microsPerDay
	}
	return day, rest
}

func timestampToDate(v row.Value) (row.Value, error) {
	switch v.IsInf() {
	case 1:
		return row.NewDate(math.MaxInt32), nil
	case -1:
		return row.NewDate(math.MinInt32), nil
	}
	day, _ := dayAndTime(v.Int())
	return row.NewDate(day), nil
}

func timestampToTime(v row.Value) (row.Value, error) {
	if v.IsInf() != 0 {
		return row.Null, nil
	}
	_, rest := dayAndTime(v.Int())
	return row.NewTime(rest), nil
}

func zonedToTimeTZ(ctx *Ctx, v row.Value) (row.Value, error) {
	if v.IsInf() != 0 {
		return row.Null, nil
	}
	offset := row.ZoneOffset(v.Int(), ctx.location())
	_, rest := dayAndTime(v.Int() + int64(offset)*microsPerSecond)
	return row.NewTimeTZ(rest, int32(-offset)), nil
}

func timeToTimeTZ(ctx *Ctx, v row.Value) (row.Value, error) {
	offset := row.ZoneOffset(ctx.now().Int(), ctx.location())
	return row.NewTimeTZ(v.Int(), int32(-offset)), nil
}

func intervalToTime(v row.Value) (row.Value, error) {
	_, _, micros := v.Interval()
	_, rest := dayAndTime(micros)
	return row.NewTime(rest), nil
}
