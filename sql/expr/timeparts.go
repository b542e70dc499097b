package expr

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// clockParts are a local date and time taken apart.
type clockParts struct {
	day                  int64 // since 1970
	year, month, mday    int
	micros               int64 // since midnight
	hour, minute, second int
}

func partsOf(local int64) clockParts {
	var p clockParts
	p.day, p.micros = dayAndTime(local)
	p.year, p.month, p.mday = row.CivilFromDate(p.day)
	p.hour = int(p.micros / microsPerHour)
	p.minute = int(p.micros / (60 * microsPerSecond) % 60)
	p.second = int(p.micros / microsPerSecond % 60)
	return p
}

// dayOfWeek is 0 for Sunday.
func dayOfWeek(day int64) int { return int(((day+4)%7 + 7) % 7) }

func isoDayOfWeek(day int64) int { return (dayOfWeek(day)+6)%7 + 1 }

// isoWeek is the ISO 8601 year and week of a day.
func isoWeek(day int64) (year, week int) {
	thursday := day + int64(4-isoDayOfWeek(day))
	year, _, _ = row.CivilFromDate(thursday)
	return year, int(thursday-row.DateFromCivil(year, 1, 1))/7 + 1
}

// dateField normalises the spelling of a field of EXTRACT or date_trunc; "" when there is none.
func dateField(s string) string {
	switch s = strings.ToLower(s); s {
	case "microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century",
		"millennium", "dow", "isodow", "doy", "isoyear", "julian", "epoch", "timezone", "timezone_hour", "timezone_minute":
		return s
	case "microsecond", "us", "usec", "usecs", "usecond", "useconds", "microsecon":
		return "microseconds"
	case "millisecond", "ms", "msec", "msecs", "msecond", "mseconds", "millisecon":
		return "milliseconds"
	case "seconds", "s", "sec", "secs":
		return "second"
	case "minutes", "m", "min", "mins":
		return "minute"
	case "hours", "h", "hr", "hrs":
		return "hour"
	case "days", "d":
		return "day"
	case "weeks", "w":
		return "week"
	case "months", "mon", "mons":
		return "month"
	case "qtr":
		return "quarter"
	case "years", "y", "yr", "yrs":
		return "year"
	case "decades", "dec", "decs":
		return "decade"
	case "centuries", "c", "cent":
		return "century"
	case "millennia", "mil", "mils":
		return "millennium"
	case "jd", "j":
		return "julian"
	}
	return ""
}

func noField(name, typ string) error {
	if dateField(name) == "" {
		return errs.SQL("22023", "unit \"%s\" not recognized for type %s", name, typ)
	}
	return errs.SQL("0A000", "unit \"%s\" not supported for type %s", name, typ)
}

func whole(n int) row.Value { return row.NewNumeric(int64(n), 0) }

// extractLocal is EXTRACT over a local date and time; utc is the instant for epoch and offset the zone's, east, when
// zoned.
func extractLocal(field string, local int64, utc int64, offset int, zoned bool, typ string) (row.Value, error) {
	p := partsOf(local)
	secondMicros := p.micros % (60 * microsPerSecond)
	switch dateField(field) {
	case "microseconds":
		return row.NewNumeric(secondMicros, 0), nil
	case "milliseconds":
		return row.NewNumeric(secondMicros, 3), nil
	case "second":
		return row.NewNumeric(secondMicros, 6), nil
	case "minute":
		return whole(p.minute), nil
	case "hour":
		return whole(p.hour), nil
	case "epoch":
		return row.NewNumeric(utc, 6), nil
	case "julian":
		whole := row.NewNumeric(p.day+2440588, 0)
		part, err := numericDiv(row.NewNumeric(p.micros, 6), row.NewNumeric(86400000000, 6))
		if err != nil {
			return row.Null, err
		}
		return numericAdd(whole, part)
	}
	if zoned {
		switch dateField(field) {
		case "timezone":
			return whole(offset), nil
		case "timezone_hour":
			return whole(offset / 3600), nil
		case "timezone_minute":
			return whole(offset / 60 % 60), nil
		}
	}
	if v, ok := extractDay(dateField(field), p); ok {
		return v, nil
	}
	return row.Null, noField(field, typ)
}

// extractDay is the fields of a date.
func extractDay(field string, p clockParts) (row.Value, bool) {
	switch field {
	case "day":
		return whole(p.mday), true
	case "month":
		return whole(p.month), true
	case "quarter":
		return whole((p.month-1)/3 + 1), true
	case "week":
		_, w := isoWeek(p.day)
		return whole(w), true
	case "year":
		return whole(visibleYear(p.year)), true
	case "isoyear":
		y, _ := isoWeek(p.day)
		return whole(visibleYear(y)), true
	case "decade":
		return whole(floorDiv(p.year, 10)), true
	case "century":
		return whole(period(p.year, 100)), true
	case "millennium":
		return whole(period(p.year, 1000)), true
	case "dow":
		return whole(dayOfWeek(p.day)), true
	case "isodow":
		return whole(isoDayOfWeek(p.day)), true
	case "doy":
		return whole(int(p.day-row.DateFromCivil(p.year, 1, 1)) + 1), true
	}
	return row.Null, false
}

// visibleYear turns astronomical years (0 is 1 BC) into PostgreSQL's (-1 is 1 BC).
func visibleYear(y int) int {
	if y <= 0 {
		return y - 1
	}
	return y
}

// period is the century or millennium of a year: the first has year 1, there is no zeroth.
func period(year, length int) int {
	if year > 0 {
		return (year + length - 1) / length
	}
	return -((length - 1 - (year - 1)) / length)
}

// extractInfinite is EXTRACT of an infinity: infinite for what grows for ever, NULL for what cycles.
func extractInfinite(field string, sign int, typ string) (row.Value, error) {
	switch dateField(field) {
	case "year", "decade", "century", "millennium", "isoyear", "epoch", "julian":
		if sign > 0 {
			return row.NumericInf, nil
		}
		return row.NumericNegInf, nil
	case "":
		return row.Null, noField(field, typ)
	}
	return row.Null, nil
}

func extractTimestamp(field, v row.Value) (row.Value, error) {
	const typ = "timestamp without time zone"
	if s := v.IsInf(); s != 0 {
		return extractInfinite(field.Str(), s, typ)
	}
	return extractLocal(field.Str(), v.Int(), v.Int(), 0, false, typ)
}

func extractZoned(ctx *Ctx, args []row.Value) (row.Value, error) {
	const typ = "timestamp with time zone"
	field, v := args[0].Str(), args[1]
	if s := v.IsInf(); s != 0 {
		return extractInfinite(field, s, typ)
	}
	offset := row.ZoneOffset(v.Int(), ctx.location())
	return extractLocal(field, v.Int()+int64(offset)*microsPerSecond, v.Int(), offset, true, typ)
}

func extractDate(field, v row.Value) (row.Value, error) {
	name := dateField(field.Str())
	if s := v.IsInf(); s != 0 {
		return extractInfinite(field.Str(), s, "date")
	}
	switch name {
	case "epoch":
		return row.NewNumeric(v.Int()*86400, 0), nil
	case "julian":
		return row.NewNumeric(v.Int()+2440588, 0), nil
	}
	if out, ok := extractDay(name, partsOf(v.Int()*microsPerDay)); ok {
		return out, nil
	}
	return row.Null, noField(field.Str(), "date")
}

func extractTime(field, v row.Value) (row.Value, error) {
	switch dateField(field.Str()) {
	case "microseconds", "milliseconds", "second", "minute", "hour", "epoch":
		return extractLocal(field.Str(), v.Int(), v.Int(), 0, false, "")
	}
	return row.Null, noField(field.Str(), "time without time zone")
}

func extractTimeTZ(field, v row.Value) (row.Value, error) {
	switch dateField(field.Str()) {
	case "microseconds", "milliseconds", "second", "minute", "hour", "epoch", "timezone", "timezone_hour", "timezone_minute":
		return extractLocal(field.Str(), v.Int(), v.Int()+int64(v.West())*microsPerSecond, -int(v.West()), true, "")
	}
	return row.Null, noField(field.Str(), "time with time zone")
}

func extractInterval(field, v row.Value) (row.Value, error) {
	months, days, micros := v.Interval()
	switch dateField(field.Str()) {
	case "microseconds":
		return row.NewNumeric(micros%(60*microsPerSecond), 0), nil
	case "milliseconds":
		return row.NewNumeric(micros%(60*microsPerSecond), 3), nil
	case "second":
		return row.NewNumeric(micros%(60*microsPerSecond), 6), nil
	case "minute":
		return row.NewNumeric(micros/(60*microsPerSecond)%60, 0), nil
	case "hour":
		return row.NewNumeric(micros/microsPerHour, 0), nil
	case "day":
		return whole(int(days)), nil
	case "month":
		return whole(int(months % 12)), nil
	case "quarter":
		return whole(int(months%12/3) + 1), nil
	case "year":
		return whole(int(months / 12)), nil
	case "decade":
		return whole(int(months / 120)), nil
	case "century":
		return whole(int(months / 1200)), nil
	case "millennium":
		return whole(int(months / 12000)), nil
	case "epoch":
		// Years count 365.25 days, months 30.
		seconds := (int64(months/12)*36525*864 + int64(months%12)*30*86400 + int64(days)*86400)
		n, ok := mul64(seconds, microsPerSecond)
		if sum, fine := add64(n, micros); ok && fine {
			return row.NewNumeric(sum, 6), nil
		}
		return numericAdd(row.RoundNumeric(row.NewNumeric(seconds, 0), 6), row.NewNumeric(micros, 6))
	}
	return row.Null, noField(field.Str(), "interval")
}

// asFloat makes date_part of extract.
func asFloat(f binaryFunc) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		v, err := f(a, b)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		return row.NewFloat(v.NumericFloat()), nil
	}
}

// datePart is date_part of a date's midnight: it knows hours, which extract of a date refuses.
func datePart(field, v row.Value) (row.Value, error) {
	t, err := dateToTimestamp(v)
	if err != nil {
		return row.Null, err
	}
	return asFloat(extractTimestamp)(field, t)
}

func zonedPart(ctx *Ctx, args []row.Value) (row.Value, error) {
	v, err := extractZoned(ctx, args)
	if err != nil || v.IsNull() {
		return row.Null, err
	}
	return row.NewFloat(v.NumericFloat()), nil
}

// truncLocal cuts a local time to a field.
func truncLocal(field string, local int64, typ string) (int64, error) {
	p := partsOf(local)
	midnight := func(y, m, d int) int64 { return row.DateFromCivil(y, m, d) * microsPerDay }
	switch dateField(field) {
	case "microseconds":
		return local, nil
	case "milliseconds":
		return p.day*microsPerDay + p.micros/1000*1000, nil
	case "second":
		return p.day*microsPerDay + p.micros/microsPerSecond*microsPerSecond, nil
	case "minute":
		return p.day*microsPerDay + p.micros/(60*microsPerSecond)*(60*microsPerSecond), nil
	case "hour":
		return p.day*microsPerDay + p.micros/microsPerHour*microsPerHour, nil
	case "day":
		return p.day * microsPerDay, nil
	case "week":
		return (p.day - int64(isoDayOfWeek(p.day)-1)) * microsPerDay, nil
	case "month":
		return midnight(p.year, p.month, 1), nil
	case "quarter":
		return midnight(p.year, (p.month-1)/3*3+1, 1), nil
	case "year":
		return midnight(p.year, 1, 1), nil
	case "decade":
		return midnight(floorDiv(p.year, 10)*10, 1, 1), nil
	case "century":
		return midnight(floorDiv(p.year-1, 100)*100+1, 1, 1), nil
	case "millennium":
		return midnight(floorDiv(p.year-1, 1000)*1000+1, 1, 1), nil
	}
	return 0, noUnit(field, typ)
}

func noUnit(name, typ string) error {
	return errs.SQL("22023", "unit \"%s\" not recognized for type %s", name, typ)
}

func truncTimestamp(field, v row.Value) (row.Value, error) {
	if v.IsInf() != 0 {
		return v, nil
	}
	n, err := truncLocal(field.Str(), v.Int(), "timestamp without time zone")
	if err != nil {
		return row.Null, err
	}
	return timestamp(n)
}

func truncZoned(ctx *Ctx, args []row.Value) (row.Value, error) {
	loc, v := ctx.location(), args[1]
	if v.IsInf() != 0 {
		return v, nil
	}
	if len(args) > 2 {
		var err error
		if loc, err = Zone(args[2].Str()); err != nil {
			return row.Null, err
		}
	}
	n, err := truncLocal(args[0].Str(), row.UTCToLocal(v.Int(), loc), "timestamp with time zone")
	if err != nil {
		return row.Null, err
	}
	switch dateField(args[0].Str()) {
	case "microseconds", "milliseconds", "second", "minute", "hour": // the offset stays, also in a repeated hour
		return timestamp(n - int64(row.ZoneOffset(v.Int(), loc))*microsPerSecond)
	}
	return timestamp(row.LocalToUTC(n, loc))
}

func truncInterval(field, v row.Value) (row.Value, error) {
	months, days, micros := v.Interval()
	cut := func(unit int64) (row.Value, error) { return row.NewInterval(months, days, micros/unit*unit), nil }
	monthsOf := func(unit int32) (row.Value, error) { return row.NewInterval(months/unit*unit, 0, 0), nil }
	switch dateField(field.Str()) {
	case "microseconds":
		return v, nil
	case "milliseconds":
		return cut(1000)
	case "second":
		return cut(microsPerSecond)
	case "minute":
		return cut(60 * microsPerSecond)
	case "hour":
		return cut(microsPerHour)
	case "day":
		return row.NewInterval(months, days, 0), nil
	case "month":
		return monthsOf(1)
	case "quarter":
		return monthsOf(3)
	case "year":
		return monthsOf(12)
	case "decade":
		return monthsOf(120)
	case "century":
		return monthsOf(1200)
	case "millennium":
		return monthsOf(12000)
	case "week":
		return row.Null, errs.SQL("0A000", "unit \"%s\" not supported for type interval", field.Str()).
			WithDetail("Months usually have fractional weeks.")
	}
	return row.Null, noUnit(field.Str(), "interval")
}
