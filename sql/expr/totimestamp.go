package expr

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// timeReader reads a text by a template.
type timeReader struct {
	s                              string
	year, month, day, doy, julian  int
	hour, minute, second, micros   int
	isoYear, isoWeek, isoDay, week int
	century                        int
	pm, twelve, bc, hasMeridiem    bool
	hasSSSS                        bool
	seconds                        int
	offset                         int
	hasZone                        bool
}

func (r *timeReader) number(width int, fixed bool) (int, bool) {
	r.s = strings.TrimLeft(r.s, " ")
	i := 0
	if i < len(r.s) && (r.s[i] == '-' || r.s[i] == '+') {
		i++
	}
	start := i
	for i < len(r.s) && r.s[i] >= '0' && r.s[i] <= '9' && (!fixed || i-start < width) {
		i++
	}
	if i == start {
		return 0, false
	}
	n, err := strconv.Atoi(r.s[:i])
	r.s = r.s[i:]
	return n, err == nil
}

// oneOf reads one of the names, in any case, by its whole length or, with short, its first three letters.
func (r *timeReader) oneOf(names []string, short bool) (int, bool) {
	for i, n := range names {
		if short {
			n = n[:3]
		}
		if len(r.s) >= len(n) && strings.EqualFold(r.s[:len(n)], n) {
			r.s = r.s[len(n):]
			return i, true
		}
	}
	return 0, false
}

// parseTime is to_timestamp and to_date: local microseconds, and the offset east that the text gave.
func parseTime(text, template string) (r timeReader, local int64, err error) {
	r = timeReader{s: text, year: 0, month: 1, day: 1}
	parts := parseTemplate(template)
	for i, p := range parts {
		if p.word == "" {
			r.skipLiteral(p.literal)
			continue
		}
		if r.s == "" {
			break
		}
		// A number takes a fixed width only when digits follow at once.
		fixed := i+1 < len(parts) && parts[i+1].word != "" && isNumberWord(parts[i+1].word)
		if p.fill {
			fixed = false
		}
		if err := r.part(p.word, fixed); err != nil {
			return r, 0, err
		}
	}
	local, err = r.result(text)
	return r, local, err
}

func isNumberWord(w string) bool {
	switch strings.ToUpper(w) {
	case "MONTH", "MON", "DAY", "DY", "AM", "PM", "A.M.", "P.M.", "AD", "BC", "A.D.", "B.C.", "RM", "TZ", "TZH", "OF":
		return false
	}
	return true
}

func (r *timeReader) skipLiteral(literal string) {
	for _, c := range literal {
		r.skipOne(c)
	}
}

// skipOne follows PostgreSQL: a separator in the template matches any separator or nothing, spaces match any spaces,
// other characters skip one of the text.
func (r *timeReader) skipOne(c rune) {
	if r.s == "" {
		return
	}
	next, n := utf8.DecodeRuneInString(r.s)
	separator := func(c rune) bool {
		return c < 0x80 && c > ' ' && !(c >= '0' && c <= '9') && !(c|0x20 >= 'a' && c|0x20 <= 'z')
	}
	switch {
	case c == ' ':
		r.s = strings.TrimLeft(r.s, " ")
		if r.s != "" && len(r.s) > 1 && separator(rune(r.s[0])) && r.s[0] != '-' && r.s[0] != '+' {
			r.s = r.s[1:]
		}
	case separator(c):
		r.s = strings.TrimLeft(r.s, " ")
		if r.s != "" && separator(rune(r.s[0])) {
			r.s = r.s[1:]
		}
	default:
		_ = next
		r.s = r.s[n:]
	}
}

func (r *timeReader) part(word string, fixed bool) error {
	bad := func() error {
		return errs.SQL("22007", "invalid value \"%s\" for \"%s\"", r.s, word).WithDetail("Value must be an integer.")
	}
	read := func(to *int, width int) error {
		n, ok := r.number(width, fixed)
		if !ok {
			return bad()
		}
		*to = n
		return nil
	}
	switch strings.ToUpper(word) {
	case "HH24":
		return read(&r.hour, 2)
	case "HH", "HH12":
		r.twelve = true
		if err := read(&r.hour, 2); err != nil {
			return err
		}
		if r.hour < 1 || r.hour > 12 {
			return errs.SQL("22007", "hour \"%d\" is invalid for the 12-hour clock", r.hour).
				WithHint("Use the 24-hour clock, or give an hour between 1 and 12.")
		}
	case "MI":
		return read(&r.minute, 2)
	case "SS":
		return read(&r.second, 2)
	case "MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
		width := map[string]int{"MS": 3, "US": 6}[strings.ToUpper(word)]
		if width == 0 {
			width = int(word[2] - '0')
		}
		before := r.s
		n, ok := r.number(width, true)
		if !ok {
			return bad()
		}
		for digits := len(before) - len(r.s); digits < 6; digits++ {
			n *= 10
		}
		r.micros = n
	case "SSSS", "SSSSS":
		r.hasSSSS = true
		return read(&r.seconds, 5)
	case "AM", "PM", "A.M.", "P.M.":
		for _, s := range []string{"a.m.", "p.m.", "am", "pm"} {
			if len(r.s) >= len(s) && strings.EqualFold(r.s[:len(s)], s) {
				r.hasMeridiem, r.pm = true, s[0] == 'p'
				r.s = r.s[len(s):]
				return nil
			}
		}
		return errs.SQL("22007", "invalid value \"%s\" for \"%s\"", r.s, word)
	case "AD", "BC", "A.D.", "B.C.":
		for _, s := range []string{"a.d.", "b.c.", "ad", "bc"} {
			if len(r.s) >= len(s) && strings.EqualFold(r.s[:len(s)], s) {
				r.bc = s[0] == 'b'
				r.s = r.s[len(s):]
				return nil
			}
		}
		return errs.SQL("22007", "invalid value \"%s\" for \"%s\"", r.s, word)
	default:
		return r.datePart(word, fixed, read)
	}
	return nil
}

// datePart reads one word of the template. tidy: long: a case per word.
func (r *timeReader) datePart(word string, fixed bool, read func(to *int, width int) error) error {
	bad := func() error {
		return errs.SQL("22007", "invalid value \"%s\" for \"%s\"", r.s, word).
			WithDetail("The given value did not match any of the allowed values for this field.")
	}
	switch upper := strings.ToUpper(word); upper {
	case "YYYY", "IYYY", "YYY", "YY", "Y", "IYY", "IY", "I":
		before := len(r.s)
		var y int
		if err := read(&y, len(word)); err != nil {
			return err
		}
		if digits := before - len(r.s); digits < 4 && len(word) < 4 && y >= 0 {
			switch { // years near 2020
			case y < 70:
				y += 2000
			case y < 100:
				y += 1900
			case y < 520:
				y += 2000
			case y < 1000:
				y += 1000
			}
		}
		if upper[0] == 'I' {
			r.isoYear = y
		} else {
			r.year = y
		}
	case "Y,YYY":
		var thousands, rest int
		if err := read(&thousands, 1); err != nil {
			return err
		}
		r.s = strings.TrimPrefix(r.s, ",")
		if err := read(&rest, 3); err != nil {
			return err
		}
		r.year = thousands*1000 + rest
	case "CC":
		return read(&r.century, 2)
	case "MONTH", "MON":
		m, ok := r.oneOf(monthNames, false)
		if !ok || upper == "MON" && !ok {
			if m, ok = r.oneOf(monthNames, true); !ok {
				return bad()
			}
		}
		r.month = m + 1
	case "RM":
		for i := len(romans) - 1; i >= 0; i-- {
			if n := len(romans[i]); len(r.s) >= n && strings.EqualFold(r.s[:n], romans[i]) && (len(r.s) == n || !strings.ContainsRune("IVXivx", rune(r.s[n]))) {
				r.month, r.s = i+1, r.s[n:]
				return nil
			}
		}
		return bad()
	case "MM":
		return read(&r.month, 2)
	case "DD":
		return read(&r.day, 2)
	case "DDD":
		return read(&r.doy, 3)
	case "DAY":
		if _, ok := r.oneOf(dayNames, false); !ok {
			return bad()
		}
	case "DY":
		if _, ok := r.oneOf(dayNames, true); !ok {
			return bad()
		}
	case "D", "W", "Q":
		var ignored int
		return read(&ignored, 1)
	case "ID":
		return read(&r.isoDay, 1)
	case "IW":
		return read(&r.isoWeek, 2)
	case "WW":
		return read(&r.week, 2)
	case "J":
		return read(&r.julian, 7)
	case "TZH", "OF":
		r.hasZone = true
		sign := 1
		if strings.HasPrefix(r.s, "-") {
			sign = -1
		}
		r.s = strings.TrimLeft(r.s, "+-")
		n, ok := r.number(2, true)
		if !ok {
			return bad()
		}
		r.offset += sign * n * 3600
		if upper == "OF" && strings.HasPrefix(r.s, ":") {
			r.s = r.s[1:]
			if n, ok = r.number(2, true); ok {
				r.offset += sign * n * 60
			}
		}
	case "TZM":
		n, ok := r.number(2, true)
		if !ok {
			return bad()
		}
		if r.offset < 0 {
			n = -n
		}
		r.offset += n * 60
	case "TZ":
		return errs.SQL("0A000", "formatting field \"TZ\" is only supported in to_char")
	}
	return nil
}

// result checks the fields and makes local microseconds.
func (r *timeReader) result(text string) (int64, error) {
	outOfRange := errs.SQL("22008", "date/time field value out of range: \"%s\"", text)
	if r.twelve || r.hasMeridiem {
		if r.pm && r.hour < 12 {
			r.hour += 12
		} else if !r.pm && r.hour == 12 {
			r.hour = 0
		}
	}
	if r.hasSSSS {
		r.hour, r.minute, r.second = r.seconds/3600, r.seconds/60%60, r.seconds%60
	}
	if r.hour < 0 || r.hour > 24 || r.minute < 0 || r.minute > 59 || r.second < 0 || r.second > 60 {
		return 0, outOfRange
	}
	year := r.year
	if r.century != 0 && year == 0 {
		year = (r.century-1)*100 + 1
	}
	if r.bc && year > 0 {
		year = 1 - year
	} else if year < 0 {
		year++
	}
	var day int64
	switch {
	case r.julian != 0:
		day = int64(r.julian) - 2440588
	case r.isoYear != 0:
		fourth := row.DateFromCivil(r.isoYear, 1, 4)
		day = fourth - int64(isoDayOfWeek(fourth)-1)
		if r.isoWeek > 0 {
			day += int64(r.isoWeek-1) * 7
		}
		if r.isoDay > 0 {
			day += int64(r.isoDay - 1)
		}
	case r.doy != 0:
		day = row.DateFromCivil(year, 1, 1) + int64(r.doy-1)
	case r.week != 0:
		day = row.DateFromCivil(year, 1, 1) + int64(r.week-1)*7
	default:
		if r.month < 1 || r.month > 12 || r.day < 1 || r.day > row.DaysInMonth(year, r.month) {
			return 0, outOfRange
		}
		if r.year == 0 && r.century == 0 {
			year = 0
		}
		day = row.DateFromCivil(year, r.month, r.day)
	}
	return day*microsPerDay + int64(r.hour)*microsPerHour + int64(r.minute)*60*microsPerSecond + int64(r.second)*microsPerSecond + int64(r.micros), nil
}

func toDate(a, b row.Value) (row.Value, error) {
	_, local, err := parseTime(a.Str(), b.Str())
	if err != nil {
		return row.Null, err
	}
	day, _ := dayAndTime(local)
	return date(day)
}

func toTimestamp(ctx *Ctx, args []row.Value) (row.Value, error) {
	r, local, err := parseTime(args[0].Str(), args[1].Str())
	if err != nil {
		return row.Null, err
	}
	if r.hasZone {
		return timestamp(local - int64(r.offset)*microsPerSecond)
	}
	return localToZoned(ctx, row.NewTimestamp(local))
}
