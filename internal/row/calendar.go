package row

import (
	"math"
	"time"
)

// The ranges of dates (days since 1970) and timestamps (microseconds since 1970). PostgreSQL's timestamps reach to the end of
// 294276; ours end where microseconds since 1970 leave int64, in 294247.
const (
	minDate      = -2440588 // 4714-11-24 BC, Julian day 0
	maxDate      = 2145042905
	minTimestamp = int64(-210866803200000000)
	maxTimestamp = math.MaxInt64 - 1
	// postgresEpoch is 2000-01-01, the zero of PostgreSQL's wire format, in days since 1970.
	postgresEpoch = 10957
)

// DateFromCivil gives days since 1970-01-01 of a proleptic Gregorian date; year 0 is 1 BC. The month may be out of 1…12.
func DateFromCivil(year, month, day int) int64 {
	month--
	year += month / 12
	if month %= 12; month < 0 {
		month += 12
		year--
	}
	// Years from March, so that the leap day ends them.
	y, m := int64(year), int64(month)-2
	if m < 0 {
		m += 12
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*m+2)/5 + int64(day) - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// CivilFromDate is the inverse of DateFromCivil.
func CivilFromDate(days int64) (year, month, day int) {
	days += 719468
	era := days / 146097
	if days < 0 {
		era = (days - 146096) / 146097
	}
	doe := days - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp) + 3
	year = int(yoe + era*400)
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

// DaysInMonth is the number of days of a month 1…12; year 0 is 1 BC.
func DaysInMonth(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// floorDiv divides rounding down; the rest is in [0, d).
func floorDiv(n, d int64) (q, r int64) {
	q, r = n/d, n%d
	if r < 0 {
		q, r = q-1, r+d
	}
	return q, r
}

// ZoneOffset is the offset east of UTC, in seconds, that loc has at an instant in microseconds since 1970; nil is UTC.
func ZoneOffset(micros int64, loc *time.Location) int {
	if loc == nil || loc == time.UTC {
		return 0
	}
	s, _ := floorDiv(micros, microsPerSecond)
	_, off := time.Unix(s, 0).In(loc).Zone()
	return off
}

// LocalToUTC gives the instant at which clocks in loc show the local microseconds since 1970. As in PostgreSQL a time that a
// clock change skips is read with the offset before it, one that comes twice is taken as the later.
func LocalToUTC(local int64, loc *time.Location) int64 {
	if loc == nil || loc == time.UTC || local == math.MaxInt64 || local == math.MinInt64 {
		return local
	}
	s, rest := floorDiv(local, microsPerSecond)
	offset := func(u int64) int64 {
		_, off := time.Unix(u, 0).In(loc).Zone()
		return int64(off)
	}
	before, after := offset(s-86400), offset(s+86400)
	if before != after {
		if okAfter := offset(s-after) == after; okAfter {
			before = after
		}
	}
	return (s-before)*microsPerSecond + rest
}

// UTCToLocal gives the local microseconds since 1970 that clocks in loc show at an instant.
func UTCToLocal(micros int64, loc *time.Location) int64 {
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		return micros
	}
	return micros + int64(ZoneOffset(micros, loc))*microsPerSecond
}
