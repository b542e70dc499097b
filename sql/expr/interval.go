package expr

import (
	"math"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

var (
	errIntervalRange  = errs.SQL("22008", "interval out of range")
	errTimestampRange = errs.SQL("22008", "timestamp out of range")
	errDateRange      = errs.SQL("22008", "date out of range")
)

// The ranges of PostgreSQL's dates and timestamps, as days and microseconds since 1970.
const (
	firstDate      = -2440588
	lastDate       = 2145031948
	firstTimestamp = -210866803200000000
)

func timestamp(micros int64) (row.Value, error) {
	if micros < firstTimestamp || micros == math.MaxInt64 {
		return row.Null, errTimestampRange
	}
	return row.NewTimestamp(micros), nil
}

func date(days int64) (row.Value, error) {
	if days < firstDate || days > lastDate {
		return row.Null, errDateRange
	}
	return row.NewDate(days), nil
}

func add64(a, b int64) (int64, bool) {
	s := a + b
	return s, (a^s)&(b^s) >= 0
}

func intervalAdd(a, b row.Value) (row.Value, error) {
	am, ad, au := a.Interval()
	bm, bd, bu := b.Interval()
	m, d := int64(am)+int64(bm), int64(ad)+int64(bd)
	u, ok := add64(au, bu)
	if m != int64(int32(m)) || d != int64(int32(d)) || !ok {
		return row.Null, errIntervalRange
	}
	return row.NewInterval(int32(m), int32(d), u), nil
}

func intervalNeg(a row.Value) (row.Value, error) {
	m, d, u := a.Interval()
	if m == math.MinInt32 || d == math.MinInt32 || u == math.MinInt64 {
		return row.Null, errIntervalRange
	}
	return row.NewInterval(-m, -d, -u), nil
}

func intervalSub(a, b row.Value) (row.Value, error) {
	n, err := intervalNeg(b)
	if err != nil {
		return row.Null, err
	}
	return intervalAdd(a, n)
}

// roundMicro is PostgreSQL's TSROUND: to microseconds of what is counted in seconds or days.
func roundMicro(f float64) float64 { return math.RoundToEven(f*1e6) / 1e6 }

// intervalScale multiplies by factor, cascading fractions of months into days and of days into time, as interval_mul.
func intervalScale(v row.Value, scale func(float64) float64) (row.Value, error) {
	months, days, micros := v.Interval()
	m, d := scale(float64(months)), scale(float64(days))
	if math.IsNaN(m) || math.Abs(m) > math.MaxInt32 || math.IsNaN(d) || math.Abs(d) > math.MaxInt32 {
		return row.Null, errIntervalRange
	}
	outMonths, outDays := int32(m), int32(d)
	monthDays := roundMicro((m - float64(outMonths)) * 30)
	seconds := roundMicro((d - float64(outDays) + monthDays - math.Trunc(monthDays)) * 86400)
	if math.Abs(seconds) >= 86400 {
		whole := math.Trunc(seconds / 86400)
		outDays += int32(whole)
		seconds -= whole * 86400
	}
	outDays += int32(monthDays)
	u := math.RoundToEven(scale(float64(micros)) + seconds*1e6)
	if math.IsNaN(u) || math.Abs(u) >= math.MaxInt64 {
		return row.Null, errIntervalRange
	}
	return row.NewInterval(outMonths, outDays, int64(u)), nil
}

func intervalMul(a, b row.Value) (row.Value, error) {
	factor := b.Float()
	return intervalScale(a, func(f float64) float64 { return f * factor })
}

func intervalDiv(a, b row.Value) (row.Value, error) {
	factor := b.Float()
	if factor == 0 {
		return row.Null, errDivision
	}
	return intervalScale(a, func(f float64) float64 { return f / factor })
}

// addMonths moves local microseconds by months, keeping the day of the month or the month's last.
func addMonths(micros int64, months int32) int64 {
	if months == 0 {
		return micros
	}
	day, rest := dayAndTime(micros)
	y, m, d := row.CivilFromDate(day)
	total := int64(y)*12 + int64(m-1) + int64(months)
	y, m = int(floorDiv(int(total), 12)), int(total-int64(floorDiv(int(total), 12))*12)+1
	return row.DateFromCivil(y, m, min(d, row.DaysInMonth(y, m)))*microsPerDay + rest
}

// timestampAdd adds months, then days, then time.
func timestampAdd(a, b row.Value) (row.Value, error) {
	if a.IsInf() != 0 {
		return a, nil
	}
	months, days, micros := b.Interval()
	t := addMonths(a.Int(), months)
	t, ok := add64(t, int64(days)*microsPerDay)
	if ok {
		t, ok = add64(t, micros)
	}
	if !ok {
		return row.Null, errTimestampRange
	}
	return timestamp(t)
}

// zonedAdd adds months and days on the session's clock, and time as it passes.
func zonedAdd(ctx *Ctx, args []row.Value) (row.Value, error) {
	a := args[0]
	if a.IsInf() != 0 {
		return a, nil
	}
	months, days, micros := args[1].Interval()
	t := a.Int()
	if months != 0 || days != 0 {
		loc := ctx.location()
		local := addMonths(row.UTCToLocal(t, loc), months) + int64(days)*microsPerDay
		t = row.LocalToUTC(local, loc)
	}
	t, ok := add64(t, micros)
	if !ok {
		return row.Null, errTimestampRange
	}
	return timestamp(t)
}

// negated makes f(a, -b) of f(a, b).
func negated(f evalFunc) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		n, err := intervalNeg(args[1])
		if err != nil {
			return row.Null, err
		}
		return f(ctx, []row.Value{args[0], n})
	}
}

func flippedContext(f evalFunc) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) { return f(ctx, []row.Value{args[1], args[0]}) }
}

func flipped(f binaryFunc) binaryFunc {
	return func(a, b row.Value) (row.Value, error) { return f(b, a) }
}

func timestampSubInterval(a, b row.Value) (row.Value, error) {
	n, err := intervalNeg(b)
	if err != nil {
		return row.Null, err
	}
	return timestampAdd(a, n)
}

// timestampDiff is the time between two timestamps as days and time.
func timestampDiff(a, b row.Value) (row.Value, error) {
	if a.IsInf() != 0 || b.IsInf() != 0 {
		return row.Null, errs.SQL("22008", "cannot subtract infinite timestamps")
	}
	span, ok := add64(a.Int(), -b.Int())
	if !ok {
		return row.Null, errIntervalRange
	}
	return row.NewInterval(0, int32(span/microsPerDay), span%microsPerDay), nil
}

func dateAddDays(a, b row.Value) (row.Value, error) {
	if a.IsInf() != 0 {
		return a, nil
	}
	return date(a.Int() + b.Int())
}

func dateSubDays(a, b row.Value) (row.Value, error) {
	if a.IsInf() != 0 {
		return a, nil
	}
	return date(a.Int() - b.Int())
}

func dateDiff(a, b row.Value) (row.Value, error) {
	if a.IsInf() != 0 || b.IsInf() != 0 {
		return row.Null, errs.SQL("22008", "cannot subtract infinite dates")
	}
	return row.NewInt(a.Int() - b.Int()), nil
}

func dateAddInterval(a, b row.Value) (row.Value, error) {
	t, err := dateToTimestamp(a)
	if err != nil {
		return row.Null, err
	}
	return timestampAdd(t, b)
}

func dateSubInterval(a, b row.Value) (row.Value, error) {
	t, err := dateToTimestamp(a)
	if err != nil {
		return row.Null, err
	}
	return timestampSubInterval(t, b)
}

func dateAddTime(a, b row.Value) (row.Value, error) {
	t, err := dateToTimestamp(a)
	if err != nil || t.IsInf() != 0 {
		return t, err
	}
	return timestamp(t.Int() + b.Int())
}

func dateAddTimeTZ(a, b row.Value) (row.Value, error) {
	t, err := dateToTimestamp(a)
	if err != nil || t.IsInf() != 0 {
		return t, err
	}
	return timestamp(t.Int() + b.Int() + int64(b.West())*microsPerSecond)
}

func timeAdd(a, b row.Value) (row.Value, error) {
	_, _, micros := b.Interval()
	_, rest := dayAndTime(a.Int() + micros%microsPerDay)
	return row.NewTime(rest), nil
}

func timeSubInterval(a, b row.Value) (row.Value, error) {
	_, _, micros := b.Interval()
	_, rest := dayAndTime(a.Int() - micros%microsPerDay)
	return row.NewTime(rest), nil
}

func timeTZAdd(a, b row.Value) (row.Value, error) {
	t, err := timeAdd(a, b)
	return row.NewTimeTZ(t.Int(), a.West()), err
}

func timeTZSub(a, b row.Value) (row.Value, error) {
	t, err := timeSubInterval(a, b)
	return row.NewTimeTZ(t.Int(), a.West()), err
}

func timeDiff(a, b row.Value) (row.Value, error) { return row.NewInterval(0, 0, a.Int()-b.Int()), nil }

func justifyHours(a row.Value) (row.Value, error) {
	months, days, micros := a.Interval()
	days += int32(micros / microsPerDay)
	micros %= microsPerDay
	if days > 0 && micros < 0 {
		days, micros = days-1, micros+microsPerDay
	} else if days < 0 && micros > 0 {
		days, micros = days+1, micros-microsPerDay
	}
	return row.NewInterval(months, days, micros), nil
}

func justifyDays(a row.Value) (row.Value, error) {
	months, days, micros := a.Interval()
	months += days / 30
	days %= 30
	if months > 0 && days < 0 {
		months, days = months-1, days+30
	} else if months < 0 && days > 0 {
		months, days = months+1, days-30
	}
	return row.NewInterval(months, days, micros), nil
}

func justifyInterval(a row.Value) (row.Value, error) {
	months, days, micros := a.Interval()
	days += int32(micros / microsPerDay)
	micros %= microsPerDay
	months += days / 30
	days %= 30
	if months > 0 && (days < 0 || days == 0 && micros < 0) {
		months, days = months-1, days+30
	} else if months < 0 && (days > 0 || days == 0 && micros > 0) {
		months, days = months+1, days-30
	}
	if days > 0 && micros < 0 {
		days, micros = days-1, micros+microsPerDay
	} else if days < 0 && micros > 0 {
		days, micros = days+1, micros-microsPerDay
	}
	return row.NewInterval(months, days, micros), nil
}

// age is the symbolic difference a - b in years, months, days and time, over local timestamps.
func age(a, b row.Value) (row.Value, error) {
	if a.IsInf() != 0 || b.IsInf() != 0 {
		return row.Null, errs.SQL("22008", "timestamp out of range")
	}
	neg := a.Int() < b.Int()
	if neg {
		a, b = b, a
	}
	ad, at := dayAndTime(a.Int())
	bd, bt := dayAndTime(b.Int())
	ay, am, aday := row.CivilFromDate(ad)
	by, bm, bday := row.CivilFromDate(bd)
	micros, days, months := at-bt, aday-bday, (ay-by)*12+am-bm
	if micros < 0 {
		micros, days = micros+microsPerDay, days-1
	}
	if days < 0 {
		// Borrow the length of the month of the earlier date, as PostgreSQL does.
		days += row.DaysInMonth(by, bm)
		months--
	}
	v := row.NewInterval(int32(months), int32(days), micros)
	if neg {
		return intervalNeg(v)
	}
	return v, nil
}

func intervalSign(v row.Value) int { return row.Compare(v, row.NewInterval(0, 0, 0)) }
