package row

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
)

var dateTimeNames = map[OID]string{Date: "date", Time: "time", TimeTZ: "time with time zone", Timestamp: "timestamp",
	TimestampTZ: "timestamp with time zone"}

// dateTime is what the text of a date or time said.
type dateTime struct {
	f        Format
	clockOID bool // a time or timetz: bare numbers are clocks
	s        string
	hasDate  bool
	y, m, d  int
	twoDigit bool // the year had two digits
	bc       bool
	hasTime  bool
	micros   int64 // since midnight, up to 24:00
	pm       int8  // 0 none, 1 am, 2 pm
	hasZone  bool
	east     int // seconds
	loc      *time.Location
	special  string // infinity, -infinity, epoch, now, today, tomorrow, yesterday
}

// The ways in which a text can be wrong.
type dateFault uint8

const (
	dateOK dateFault = iota
	dateSyntax
	dateField // 22008
	dateZone  // unknown zone name
	dateDisplacement
)

// parseDateTime reads ISO 8601, PostgreSQL's own output, and the usual forms with month names or month/day/year.
func (f Format) parseDateTime(oid OID, s string) (Value, error) {
	p := dateTime{f: f, s: s}
	fault := dateOK
	if !p.fast() {
		p = dateTime{f: f, s: s, clockOID: oid == Time || oid == TimeTZ}
		fault = p.fields()
	}
	if fault == dateOK {
		fault = p.check()
	}
	name := dateTimeNames[oid]
	switch fault {
	case dateSyntax:
		return Null, p.syntax(name)
	case dateField:
		return Null, errs.SQL("22008", "date/time field value out of range: \"%s\"", s)
	case dateZone:
		return Null, errs.SQL("22023", "time zone \"%s\" not recognized", p.special)
	case dateDisplacement:
		return Null, errs.SQL("22009", "time zone displacement out of range: \"%s\"", s)
	}
	return p.value(oid, name)
}

func (p *dateTime) value(oid OID, name string) (Value, error) {
	if p.special != "" {
		return p.specialValue(oid, name)
	}
	switch oid {
	case Time, TimeTZ:
		if !p.hasTime {
			return Null, p.syntax(name)
		}
		if oid == Time {
			return NewTime(p.micros), nil
		}
		if !p.hasZone {
			p.east = ZoneOffset(p.f.Now, p.f.Location)
		} else if p.loc != nil {
			if !p.hasDate { // the zone's offset depends on the day
				return Null, p.syntax(name)
			}
			p.east = ZoneOffset(LocalToUTC(DateFromCivil(p.y, p.m, p.d)*microsPerDay+p.micros, p.loc), p.loc)
		}
		return NewTimeTZ(p.micros, int32(-p.east)), nil
	}
	if !p.hasDate {
		return Null, p.syntax(name)
	}
	days := DateFromCivil(p.y, p.m, p.d)
	if oid == Date {
		if p.y < -4713 || p.y > 5874897 || days < minDate || days > maxDate {
			return Null, errs.SQL("22008", "date out of range: \"%s\"", p.s)
		}
		return NewDate(days), nil
	}
	if p.y < -4713 || p.y > 294247 {
		return Null, errs.SQL("22008", "timestamp out of range: \"%s\"", p.s)
	}
	if days > maxTimestamp/microsPerDay-1 {
		return Null, errs.SQL("22008", "timestamp out of range: \"%s\"", p.s)
	}
	micros := days*microsPerDay + p.micros
	if oid == TimestampTZ {
		switch {
		case p.hasZone && p.loc == nil:
			micros -= int64(p.east) * microsPerSecond
		case p.hasZone:
			micros = LocalToUTC(micros, p.loc)
		default:
			micros = LocalToUTC(micros, p.f.Location)
		}
	}
	if micros < minTimestamp {
		return Null, errs.SQL("22008", "timestamp out of range: \"%s\"", p.s)
	}
	return NewTimestamp(micros), nil
}

func (p *dateTime) syntax(name string) error {
	return errs.SQL("22007", "invalid input syntax for type %s: \"%s\"", name, p.s)
}

func (p *dateTime) specialValue(oid OID, name string) (Value, error) {
	switch p.special {
	case "infinity", "-infinity":
		neg := p.special[0] == '-'
		switch {
		case oid == Date && neg:
			return NewDate(math.MinInt32), nil
		case oid == Date:
			return NewDate(math.MaxInt32), nil
		case oid == Timestamp || oid == TimestampTZ:
			if neg {
				return NewTimestamp(math.MinInt64), nil
			}
			return NewTimestamp(math.MaxInt64), nil
		}
		return Null, p.syntax(name)
	case "epoch":
		if oid == Date {
			return NewDate(0), nil
		}
		if oid == Time || oid == TimeTZ {
			return Null, p.syntax(name)
		}
		return NewTimestamp(0), nil
	}
	if p.f.Now == 0 {
		return Null, errs.SQL("0A000", "date/time input \"%s\" is not supported here", p.s)
	}
	local := UTCToLocal(p.f.Now, p.f.Location)
	day, clock := floorDiv(local, microsPerDay)
	switch p.special {
	case "tomorrow":
		day, clock = day+1, 0
	case "yesterday":
		day, clock = day-1, 0
	case "today":
		clock = 0
	}
	switch oid {
	case Date:
		return NewDate(day), nil
	case Time:
		return NewTime(clock), nil
	case TimeTZ:
		return NewTimeTZ(clock, int32(-ZoneOffset(p.f.Now, p.f.Location))), nil
	case Timestamp:
		return NewTimestamp(day*microsPerDay + clock), nil
	}
	if p.special == "now" {
		return NewTimestamp(p.f.Now), nil
	}
	return NewTimestamp(LocalToUTC(day*microsPerDay, p.f.Location)), nil
}

// fast reads YYYY-MM-DD[(T| )HH:MM:SS[.ffffff]][Z|±HH[:MM]], the form that programs send; false: not of this form.
func (p *dateTime) fast() bool {
	s := p.s
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	y, ok1 := digits2(s)
	y2, ok2 := digits2(s[2:])
	m, ok3 := digits2(s[5:])
	d, ok4 := digits2(s[8:])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return false
	}
	p.hasDate, p.y, p.m, p.d = true, y*100+y2, m, d
	if p.y == 0 {
		return false
	}
	if len(s) == 10 {
		return true
	}
	if len(s) < 19 || s[10] != ' ' && s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return false
	}
	h, ok1 := digits2(s[11:])
	mi, ok2 := digits2(s[14:])
	sec, ok3 := digits2(s[17:])
	if !ok1 || !ok2 || !ok3 || h > 23 || mi > 59 || sec > 59 {
		return false
	}
	p.hasTime, p.micros = true, int64(h*3600+mi*60+sec)*microsPerSecond
	i := 19
	if i < len(s) && s[i] == '.' {
		unit := int64(100000)
		for i++; i < len(s) && isDigit(s[i]); i++ {
			if unit == 0 {
				return false // rounding is the slow way's
			}
			p.micros += int64(s[i]-'0') * unit
			unit /= 10
		}
	}
	if i == len(s) {
		return true
	}
	p.hasZone = true
	if s[i] == 'Z' && i+1 == len(s) {
		return true
	}
	if s[i] != '+' && s[i] != '-' || len(s) < i+3 {
		return false
	}
	zh, ok := digits2(s[i+1:])
	if !ok || zh > 15 {
		return false
	}
	zm := 0
	switch {
	case len(s) == i+3:
	case len(s) == i+6 && s[i+3] == ':':
		if zm, ok = digits2(s[i+4:]); !ok || zm > 59 {
			return false
		}
	default:
		return false
	}
	p.east = zh*3600 + zm*60
	if s[i] == '-' {
		p.east = -p.east
	}
	return true
}

func digits2(s string) (int, bool) {
	a, b := s[0]-'0', s[1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

func (p *dateTime) check() dateFault {
	if p.special != "" {
		return dateOK
	}
	if p.hasDate {
		if p.bc {
			if p.y <= 0 {
				return dateField
			}
			p.y = 1 - p.y
		} else if p.twoDigit {
			if p.y < 70 {
				p.y += 2000
			} else {
				p.y += 1900
			}
		} else if p.y == 0 {
			return dateField
		}
		if p.m < 1 || p.m > 12 || p.d < 1 || p.y < 10_000_000 && p.d > DaysInMonth(p.y, p.m) {
			return dateField
		}
	}
	if p.pm != 0 {
		h := p.micros / (3600 * microsPerSecond)
		if !p.hasTime || h > 12 {
			return dateField
		}
		if p.pm == 1 && h == 12 {
			p.micros -= 12 * 3600 * microsPerSecond
		} else if p.pm == 2 && h != 12 {
			p.micros += 12 * 3600 * microsPerSecond
		}
	}
	return dateOK
}

var monthNames = map[string]int{"jan": 1, "january": 1, "feb": 2, "february": 2, "mar": 3, "march": 3, "apr": 4, "april": 4,
	"may": 5, "jun": 6, "june": 6, "jul": 7, "july": 7, "aug": 8, "august": 8, "sep": 9, "sept": 9, "september": 9, "oct": 10,
	"october": 10, "nov": 11, "november": 11, "dec": 12, "december": 12}

var weekdays = map[string]bool{"sun": true, "sunday": true, "mon": true, "monday": true, "tue": true, "tues": true, "tuesday": true,
	"wed": true, "weds": true, "wednesday": true, "thu": true, "thur": true, "thurs": true, "thursday": true, "fri": true,
	"friday": true, "sat": true, "saturday": true}

// zoneAbbreviations are the most used of PostgreSQL's Default timezone abbreviations, in seconds east.
var zoneAbbreviations = map[string]int{"z": 0, "zulu": 0, "utc": 0, "ut": 0, "gmt": 0, "uct": 0, "wet": 0, "est": -18000, "edt": -14400,
	"cst": -21600, "cdt": -18000, "mst": -25200, "mdt": -21600, "pst": -28800, "pdt": -25200, "cet": 3600, "cest": 7200, "met": 3600,
	"eet": 7200, "eest": 10800, "bst": 3600, "west": 3600, "msk": 10800, "jst": 32400, "kst": 32400, "akst": -32400, "akdt": -28800,
	"hst": -36000, "aest": 36000, "aedt": 39600, "nzst": 43200, "nzdt": 46800}

// fields reads a text field by field, in any order that PostgreSQL takes.
func (p *dateTime) fields() dateFault {
	s := trimSpace(p.s)
	if s == "" || len(s) > 128 {
		return dateSyntax
	}
	var nums []string // bare numbers of a date with a month name
	month := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case isSpace(c) || c == ',':
			i++
			continue
		case isDigit(c):
			end := i
			for end < len(s) && (isDigit(s[end]) || s[end] == ':' || s[end] == '.') {
				end++
			}
			if strings.IndexByte(s[i:end], ':') >= 0 || (p.hasDate || p.clockOID && bareClock(s[i:])) && end-i >= 4 && !p.hasTime {
				if f := p.clock(s[i:end]); f != dateOK {
					return f
				}
				i = end
				continue
			}
			for end < len(s) && (isDigit(s[end]) || s[end] == '-' || s[end] == '/' || s[end] == '.' || isLetter(s[end]) && dateLetters(s[i:], end-i)) {
				end++
			}
			f, used := p.dateToken(s[i:end])
			if f != dateOK {
				return f
			}
			if !used {
				nums = append(nums, s[i:end])
			}
			i = end
		case (c == '+' || c == '-') && i+1 < len(s) && isDigit(s[i+1]):
			end := i + 1
			for end < len(s) && (isDigit(s[end]) || s[end] == ':') {
				end++
			}
			if f := p.offset(s[i:end]); f != dateOK {
				return f
			}
			i = end
		case isLetter(c) || c == '-' || c == '+':
			end := i + 1
			for end < len(s) && (isLetter(s[end]) || s[end] == '/' || s[end] == '_' || isLetter(c) && (s[end] == '-' || isDigit(s[end])) &&
				strings.IndexByte(s[i:end], '/') >= 0) {
				end++
			}
			f, m := p.word(s[i:end])
			if f != dateOK {
				return f
			}
			if m != 0 {
				if month != 0 || p.hasDate {
					return dateSyntax
				}
				month = m
				if end < len(s) && s[end] == '-' { // Jan-08-1999
					end++
					for from := end; end <= len(s); end++ {
						if end == len(s) || !isDigit(s[end]) {
							if end > from {
								nums = append(nums, s[from:end])
							}
							if from = end + 1; end == len(s) || s[end] != '-' {
								break
							}
						}
					}
				}
			}
			i = end
		default:
			return dateSyntax
		}
	}
	return p.named(month, nums)
}

// bareClock reports whether s starts with HHMM or HHMMSS that is no part of a date.
func bareClock(s string) bool {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return (n == 4 || n == 6) && (n == len(s) || strings.IndexByte("-/", s[n]) < 0 || strings.Count(s, "-") < 2 && s[n] == '-')
}

// dateLetters reports whether a letter at n goes on a date such as 08-Jan-1999: it follows a dash.
func dateLetters(s string, n int) bool {
	for n > 0 && isLetter(s[n-1]) {
		n--
	}
	return n > 0 && s[n-1] == '-'
}

// named puts together a date of a month's name and bare numbers.
func (p *dateTime) named(month int, nums []string) dateFault {
	if month == 0 {
		if len(nums) > 0 || !p.hasDate && !p.hasTime && p.special == "" {
			return dateSyntax
		}
		if p.special != "" && (p.hasDate || p.hasTime) && !strings.HasSuffix(p.special, "infinity") {
			return dateSyntax
		}
		return dateOK
	}
	if len(nums) != 2 {
		return dateSyntax
	}
	a, errA := strconv.Atoi(nums[0])
	b, errB := strconv.Atoi(nums[1])
	if errA != nil || errB != nil {
		return dateSyntax
	}
	year := nums[1]
	if len(nums[0]) > 2 {
		a, b, year = b, a, nums[0]
	}
	p.hasDate, p.y, p.m, p.d, p.twoDigit = true, b, month, a, len(year) <= 2
	return dateOK
}

// dateToken reads a token that starts with a digit; used is false for a bare number.
func (p *dateTime) dateToken(tok string) (fault dateFault, used bool) {
	sep := strings.IndexAny(tok, "-/.")
	if sep < 0 {
		if p.hasDate || len(tok) != 8 && len(tok) != 6 {
			return dateOK, false
		}
		n, err := strconv.Atoi(tok)
		if err != nil {
			return dateSyntax, false
		}
		p.hasDate, p.y, p.m, p.d, p.twoDigit = true, n/10000, n/100%100, n%100, len(tok) == 6
		return dateOK, true
	}
	if p.hasDate {
		return dateSyntax, false
	}
	// A fourth part is an offset without a blank: 1999-01-08-08.
	parts := strings.SplitN(tok, tok[sep:sep+1], 4)
	if len(parts) < 3 {
		return dateSyntax, false
	}
	if len(parts) == 4 {
		if tok[sep] != '-' {
			return dateSyntax, false
		}
		if f := p.offset("-" + parts[3]); f != dateOK {
			return f, false
		}
	}
	var n [3]int
	named := -1
	for i, part := range parts[:3] {
		if m, ok := monthNames[strings.ToLower(part)]; ok && named < 0 {
			n[i], named = m, i
			continue
		}
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return dateSyntax, false
		}
		n[i] = int(v)
	}
	p.hasDate = true
	switch {
	case len(parts[0]) > 2 && named <= 1:
		p.y, p.m, p.d = n[0], n[1], n[2]
	case named == 1: // 08-Jan-1999
		p.d, p.m, p.y, p.twoDigit = n[0], n[1], n[2], len(parts[2]) <= 2
	case named < 0:
		p.m, p.d, p.y, p.twoDigit = n[0], n[1], n[2], len(parts[2]) <= 2
	default:
		return dateSyntax, false
	}
	return dateOK, true
}
