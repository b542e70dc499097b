package row

import (
	"math"
	"strconv"

	"github.com/miracledb/miracledb/internal/errs"
)

// intervalUnits are PostgreSQL's names of interval fields (datetime.c, deltatktbl).
var intervalUnits = map[string]byte{
	"us": 'u', "usec": 'u', "usecs": 'u', "usecond": 'u', "useconds": 'u', "microsecond": 'u', "microseconds": 'u', "microsecon": 'u',
	"ms": 'i', "msec": 'i', "msecs": 'i', "mseconds": 'i', "msecond": 'i', "millisecond": 'i', "milliseconds": 'i',
	"s": 's', "sec": 's', "secs": 's', "second": 's', "seconds": 's',
	"m": 'm', "min": 'm', "mins": 'm', "minute": 'm', "minutes": 'm',
	"h": 'h', "hr": 'h', "hrs": 'h', "hour": 'h', "hours": 'h',
	"d": 'd', "day": 'd', "days": 'd', "w": 'w', "week": 'w', "weeks": 'w',
	"mon": 'M', "mons": 'M', "month": 'M', "months": 'M',
	"y": 'y', "yr": 'y', "yrs": 'y', "year": 'y', "years": 'y',
	"dec": 'D', "decs": 'D', "decade": 'D', "decades": 'D',
	"c": 'C', "cent": 'C', "century": 'C', "centuries": 'C',
	"mil": 'L', "mils": 'L', "millennium": 'L', "millennia": 'L',
}

// intervalParser adds up the fields of an interval's text.
type intervalParser struct {
	s                    string
	months, days, micros int64
	seen                 uint64 // the units so far, a bit each: none may come twice
	over                 bool
}

func parseInterval(t Type, s string) (Value, error) {
	p := intervalParser{s: s}
	fields, _ := t.interval()
	text := trimSpace(s)
	ok := false
	switch {
	case text == "":
	case text[0] == 'P' || text[0] == 'p':
		ok = p.iso(text[1:])
	default:
		ok = p.fields(text, fields)
	}
	if !ok {
		return Null, errs.SQL("22007", "invalid input syntax for type interval: \"%s\"", s)
	}
	if !p.over && p.months != int64(int32(p.months)) {
		return Null, errs.SQL("22008", "interval out of range")
	}
	if p.over || p.days != int64(int32(p.days)) {
		return Null, errs.SQL("22015", "interval field value out of range: \"%s\"", s)
	}
	return NewInterval(int32(p.months), int32(p.days), p.micros), nil
}

// add adds (whole + frac) units, frac in (-1, 1) with the sign of whole; a fraction of a unit goes to the smaller ones.
func (p *intervalParser) add(whole int64, frac float64, unit byte) bool {
	bit := uint64(1) << (unit - 'A')
	if p.seen&bit != 0 {
		return false
	}
	p.seen |= bit
	switch unit {
	case 'u':
		p.addMicros(whole, frac, 1)
	case 'i':
		p.addMicros(whole, frac, 1000)
	case 's':
		p.addMicros(whole, frac, microsPerSecond)
	case 'm':
		p.addMicros(whole, frac, 60*microsPerSecond)
	case 'h':
		p.addMicros(whole, frac, 3600*microsPerSecond)
	case 'd':
		p.addDays(whole, frac, 1)
	case 'w':
		p.addDays(whole, frac, 7)
	case 'M':
		p.addMonths(whole, 1)
		p.addDays(0, frac, 30)
	case 'y':
		p.addYears(whole, frac, 1)
	case 'D':
		p.addYears(whole, frac, 10)
	case 'C':
		p.addYears(whole, frac, 100)
	case 'L':
		p.addYears(whole, frac, 1000)
	default:
		return false
	}
	return true
}

func (p *intervalParser) addMicros(whole int64, frac float64, scale int64) {
	if whole > math.MaxInt64/scale || whole < math.MinInt64/scale {
		p.over = true
		return
	}
	sum := p.micros + whole*scale
	if (sum > p.micros) != (whole > 0) && whole != 0 {
		p.over = true
	}
	p.micros = sum + int64(math.RoundToEven(frac*float64(scale)))
}

func (p *intervalParser) addDays(whole int64, frac float64, scale int64) {
	if whole > math.MaxInt32 || whole < math.MinInt32 {
		p.over = true
		return
	}
	frac *= float64(scale)
	extra := math.Trunc(frac)
	p.days += whole*scale + int64(extra)
	p.addMicros(0, frac-extra, microsPerDay)
}

func (p *intervalParser) addMonths(whole, scale int64) {
	if whole > math.MaxInt32 || whole < math.MinInt32 {
		p.over = true
		return
	}
	p.months += whole * scale
}

func (p *intervalParser) addYears(whole int64, frac float64, scale int64) {
	p.addMonths(whole, 12*scale)
	p.months += int64(math.RoundToEven(frac * float64(scale) * 12))
}

// number reads [±]digits[.digits] at i; the end is i when there is none.
func (p *intervalParser) number(t string, i int) (whole int64, frac float64, neg bool, end int) {
	start := i
	if i < len(t) && (t[i] == '-' || t[i] == '+') {
		neg = t[i] == '-'
		i++
	}
	from := i
	for i < len(t) && isDigit(t[i]) {
		i++
	}
	var err error
	if i > from {
		if whole, err = strconv.ParseInt(t[from:i], 10, 64); err != nil {
			p.over = true
		}
	}
	digits := i - from
	if i < len(t) && t[i] == '.' {
		dot := i
		for i++; i < len(t) && isDigit(t[i]); i++ {
		}
		digits += i - dot - 1
		if i-dot > 1 {
			frac, _ = strconv.ParseFloat("0"+t[dot:i], 64)
		}
	}
	if digits == 0 {
		return 0, 0, false, start
	}
	if neg {
		whole, frac = -whole, -frac
	}
	return whole, frac, neg, i
}

// fields reads the verbose, traditional and SQL standard forms.
func (p *intervalParser) fields(t string, mask int32) bool {
	ago, i := false, 0
	for i < len(t) {
		c := t[i]
		if isSpace(c) || c == '@' || c == ',' {
			i++
			continue
		}
		if ago {
			return false
		}
		if isLetter(c) {
			end := i
			for end < len(t) && isLetter(t[end]) {
				end++
			}
			if !equalFold(t[i:end], "ago") {
				return false
			}
			ago, i = true, end
			continue
		}
		var ok bool
		if i, ok = p.field(t, i, mask); !ok {
			return false
		}
	}
	if ago {
		p.months, p.days, p.micros = -p.months, -p.days, -p.micros
	}
	return p.seen != 0
}

// field reads one number with its unit, a clock time, or years-months, from i on.
func (p *intervalParser) field(t string, i int, mask int32) (int, bool) {
	start := i
	whole, frac, neg, end := p.number(t, i)
	if end == start {
		return i, false
	}
	i = end
	if i < len(t) && t[i] == ':' {
		return p.clock(t, start, mask)
	}
	if i < len(t) && t[i] == '-' && frac == 0 {
		months, mfrac, _, end := p.number(t, i+1)
		if end == i+1 || mfrac != 0 || months > 11 || months < 0 || end < len(t) && t[end] == '-' {
			return i, false
		}
		if neg {
			months = -months
		}
		return end, p.add(whole, 0, 'y') && p.add(months, 0, 'M')
	}
	next := i
	for next < len(t) && isSpace(t[next]) {
		next++
	}
	word := next
	for word < len(t) && isLetter(t[word]) {
		word++
	}
	unit := defaultIntervalUnit(mask)
	if word > next {
		var buf [16]byte
		if word-next > len(buf) {
			return i, false
		}
		w := buf[:0]
		for _, c := range []byte(t[next:word]) {
			w = append(w, lower(c))
		}
		u, ok := intervalUnits[string(w)]
		switch {
		case ok:
			return word, p.add(whole, frac, u)
		case string(w) != "ago":
			return i, false
		}
	} else if next < len(t) {
		// A bare number must be the last, or be days before a clock time.
		_, _, _, after := p.number(t, next)
		if after == next || after >= len(t) || t[after] != ':' {
			return i, false
		}
		unit = 'd'
	}
	return i, p.add(whole, frac, unit)
}

func defaultIntervalUnit(mask int32) byte {
	switch {
	case mask == intervalFull || mask&fieldSecond != 0:
		return 's'
	case mask&fieldMinute != 0:
		return 'm'
	case mask&fieldHour != 0:
		return 'h'
	case mask&fieldDay != 0:
		return 'd'
	case mask&fieldMonth != 0:
		return 'M'
	}
	return 'y'
}

// clock reads [±]h:mm[:ss[.f]] from i on; mm:ss when the type has only minutes and seconds.
func (p *intervalParser) clock(t string, i int, mask int32) (int, bool) {
	neg := false
	if t[i] == '-' || t[i] == '+' {
		neg = t[i] == '-'
		i++
	}
	var parts [3]int64
	n, frac := 0, 0.0
	for ; ; n++ {
		whole, f, _, end := p.number(t, i)
		if end == i || n == 3 || !isDigit(t[i]) {
			return i, false
		}
		parts[n], frac, i = whole, f, end
		if i >= len(t) || t[i] != ':' || f != 0 {
			break
		}
		i++
	}
	if n == 0 {
		return i, false
	}
	h, m, s := parts[0], parts[1], parts[2]
	if n == 1 && (frac != 0 || mask == fieldMinute|fieldSecond) {
		h, m, s = 0, parts[0], parts[1]
	}
	if n == 2 && m > 59 || n == 1 && h != 0 && m > 59 || s > 59 && n == 2 {
		p.over = true
	}
	sign := int64(1)
	if neg {
		sign = -1
	}
	return i, p.add(sign*h, 0, 'h') && p.add(sign*m, 0, 'm') && p.add(sign*s, float64(sign)*frac, 's')
}

// iso reads ISO 8601's form with designators, after the P.
func (p *intervalParser) iso(t string) bool {
	clock := false
	for i := 0; i < len(t); {
		if t[i] == 'T' || t[i] == 't' {
			if clock {
				return false
			}
			clock = true
			i++
			continue
		}
		whole, frac, _, end := p.number(t, i)
		if end == i || end >= len(t) {
			return false
		}
		unit := byte(0)
		switch lower(t[end]) {
		case 'y':
			unit = 'y'
		case 'w':
			unit = 'w'
		case 'd':
			unit = 'd'
		case 'm':
			unit = 'M'
		}
		if clock {
			switch lower(t[end]) {
			case 'h', 'm', 's':
				unit = lower(t[end])
			default:
				return false
			}
		}
		if unit == 0 {
			return false
		}
		if !p.add(whole, frac, unit) {
			return false
		}
		i = end + 1
	}
	return clock || p.seen != 0
}
