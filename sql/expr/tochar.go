package expr

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// templateWords are the patterns of to_char and to_timestamp for dates (PostgreSQL 9.8), longest first where one begins
// another.
var templateWords = []string{
	"SSSSS", "SSSS", "HH24", "HH12", "Y,YYY", "MONTH", "Month", "month", "IYYY", "YYYY", "A.D.", "B.C.", "a.d.", "b.c.",
	"A.M.", "P.M.", "a.m.", "p.m.", "DAY", "Day", "day", "DDD", "IDDD", "YYY", "IYY", "MON", "Mon", "mon", "TZH", "TZM",
	"FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "DY", "Dy", "dy", "DD", "HH", "MI", "MM", "MS", "SS", "US", "YY", "IY", "CC",
	"AM", "PM", "am", "pm", "AD", "BC", "ad", "bc", "ID", "IW", "WW", "RM", "rm", "TZ", "tz", "OF", "D", "W", "J", "Q", "Y", "I",
}

// templatePart is one pattern with its modifiers, or literal text.
type templatePart struct {
	word     string // "" for literal text
	literal  string
	fill, th bool // FM; TH or th
	upperTH  bool
}

// parseTemplate splits a date template.
func parseTemplate(s string) []templatePart {
	var parts []templatePart
	literal := func(t string) {
		if n := len(parts); n > 0 && parts[n-1].word == "" {
			parts[n-1].literal += t
			return
		}
		parts = append(parts, templatePart{literal: t})
	}
	for s != "" {
		if s[0] == '"' {
			end := 1
			text := ""
			for end < len(s) && s[end] != '"' {
				if s[end] == '\\' && end+1 < len(s) {
					end++
				}
				text += s[end : end+1]
				end++
			}
			literal(text)
			s = s[min(end+1, len(s)):]
			continue
		}
		p := templatePart{}
		rest := s
		for {
			if len(rest) > 2 && (rest[:2] == "FM" || rest[:2] == "fm") {
				p.fill, rest = true, rest[2:]
			} else if len(rest) > 2 && (rest[:2] == "FX" || rest[:2] == "TM") {
				rest = rest[2:]
			} else {
				break
			}
		}
		if w, n := matchWord(rest); w != "" {
			p.word = w
			s = rest[n:]
			if len(s) >= 2 && strings.EqualFold(s[:2], "th") {
				p.th, p.upperTH = true, s[0] == 'T'
				s = s[2:]
			}
			parts = append(parts, p)
			continue
		}
		_, n := utf8.DecodeRuneInString(s)
		if s[0] == '\\' && len(s) > 1 {
			s = s[1:]
		}
		literal(s[:n])
		s = s[n:]
	}
	return parts
}

func matchWord(s string) (word string, length int) {
	for _, w := range templateWords {
		if strings.HasPrefix(s, w) {
			return w, len(w)
		}
	}
	for _, w := range templateWords { // numbers' patterns in lower case
		if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) && w == strings.ToUpper(w) {
			return w, len(w)
		}
	}
	return "", 0
}

var (
	monthNames = strings.Fields("January February March April May June July August September October November December")
	dayNames   = strings.Fields("Sunday Monday Tuesday Wednesday Thursday Friday Saturday")
	romans     = strings.Fields("I II III IV V VI VII VIII IX X XI XII")
)

func cased(word, name string) string {
	switch {
	case word == strings.ToUpper(word):
		return strings.ToUpper(name)
	case word == strings.ToLower(word):
		return strings.ToLower(name)
	}
	return name
}

func ordinal(n int, upper bool) string {
	s := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			s = "st"
		case 2:
			s = "nd"
		case 3:
			s = "rd"
		}
	}
	if upper {
		return strings.ToUpper(s)
	}
	return s
}

// formatTime is to_char of a timestamp, timestamptz (zoned) or interval.
func formatTime(ctx *Ctx, template string, v row.Value, zoned bool) (row.Value, error) {
	if v.IsInf() != 0 || template == "" {
		return row.Null, nil
	}
	var p clockParts
	zone, offset := "", 0
	interval := v.Kind() == row.KindInterval
	switch {
	case interval:
		months, days, micros := v.Interval()
		p.year, p.month, p.mday = int(months/12), int(months%12), int(days)
		p.micros = micros
		p.hour, p.minute = int(micros/microsPerHour), int(micros/(60*microsPerSecond)%60)
		p.second = int(micros / microsPerSecond % 60)
	case zoned:
		loc := ctx.location()
		zone, offset = time.UnixMicro(v.Int()).In(loc).Zone()
		p = partsOf(v.Int() + int64(offset)*microsPerSecond)
	default:
		p = partsOf(v.Int())
	}
	var out strings.Builder
	for _, part := range parseTemplate(template) {
		if part.word == "" {
			out.WriteString(part.literal)
			continue
		}
		if err := formatPart(&out, part, p, zone, offset, interval); err != nil {
			return row.Null, err
		}
	}
	return row.NewText(out.String()), nil
}

func formatPart(out *strings.Builder, part templatePart, p clockParts, zone string, offset int, interval bool) error {
	number := func(n, width int) {
		if part.fill {
			width = 0
		}
		neg := n < 0
		if neg {
			n = -n
			out.WriteByte('-')
		}
		fmt.Fprintf(out, "%0*d", width, n)
		if part.th {
			out.WriteString(ordinal(n, part.upperTH))
		}
	}
	name := func(s string, width int) {
		s = cased(part.word, s)
		out.WriteString(s)
		if !part.fill {
			out.WriteString(strings.Repeat(" ", max(width-len(s), 0)))
		}
	}
	year := p.year
	if !interval {
		if year <= 0 {
			year = 1 - year
		}
	}
	micros := int(p.micros % microsPerSecond)
	isoYear, isoWeekNumber := 0, 0
	if !interval {
		isoYear, isoWeekNumber = isoWeek(p.day)
	}
	doy := int(p.day-row.DateFromCivil(p.year, 1, 1)) + 1
	switch w := part.word; strings.ToUpper(w) {
	case "HH", "HH12":
		h := p.hour % 12
		if h == 0 {
			h = 12
		}
		number(h, 2)
	case "HH24":
		number(p.hour, 2)
	case "MI":
		number(p.minute, 2)
	case "SS":
		number(p.second, 2)
	case "MS":
		number(micros/1000, 3)
	case "US":
		number(micros, 6)
	case "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
		digits := int(w[2] - '0')
		out.WriteString(fmt.Sprintf("%06d", micros)[:digits])
	case "SSSS", "SSSSS":
		number(int(p.micros/microsPerSecond), 0)
	case "AM", "PM", "A.M.", "P.M.":
		s := "AM"
		if p.hour%24 >= 12 {
			s = "PM"
		}
		if len(w) == 4 {
			s = s[:1] + "." + s[1:] + "."
		}
		out.WriteString(cased(w, s))
	case "AD", "BC", "A.D.", "B.C.":
		if interval {
			return notForInterval()
		}
		s := "AD"
		if p.year <= 0 && !interval {
			s = "BC"
		}
		if len(w) == 4 {
			s = s[:1] + "." + s[1:] + "."
		}
		out.WriteString(cased(w, s))
	case "Y,YYY":
		number(year/1000, 1)
		fmt.Fprintf(out, ",%03d", year%1000)
	case "YYYY":
		number(year, 4)
	case "YYY":
		number(year%1000, 3)
	case "YY":
		number(year%100, 2)
	case "Y":
		number(year%10, 1)
	case "IYYY":
		number(isoYear, 4)
	case "IYY":
		number(isoYear%1000, 3)
	case "IY":
		number(isoYear%100, 2)
	case "I":
		number(isoYear%10, 1)
	case "CC":
		number(period(p.year, 100), 2)
	case "MONTH", "MON", "RM":
		m := p.month
		if interval && len(w) != 2 {
			return notForInterval()
		}
		if interval && m == 0 {
			return nil
		}
		if m < 0 {
			m += 13
		}
		switch len(w) {
		case 5:
			name(monthNames[m-1], 9)
		case 3:
			name(monthNames[m-1][:3], 0)
		default:
			name(romans[m-1], 4)
		}
	case "MM":
		number(p.month, 2)
	case "DAY", "DY", "D", "ID", "IW", "WW", "W", "J", "IDDD", "DDD":
		if interval && strings.ToUpper(w) != "DDD" {
			return notForInterval()
		}
		formatDayPart(w, p, doy, isoWeekNumber, number, name)
	case "DD":
		number(p.mday, 2)
	case "Q":
		if p.month != 0 {
			number((p.month-1)/3+1, 1)
		}
	case "TZ":
		out.WriteString(cased(w, zone))
	case "TZH":
		fmt.Fprintf(out, "%+03d", offset/3600)
	case "TZM":
		fmt.Fprintf(out, "%02d", abs(offset/60%60))
	case "OF":
		fmt.Fprintf(out, "%+03d", offset/3600)
		if m := abs(offset / 60 % 60); m != 0 {
			fmt.Fprintf(out, ":%02d", m)
		}
	}
	return nil
}

func notForInterval() error {
	return errs.SQL("22007", "invalid format specification for an interval value").
		WithHint("Intervals are not tied to specific calendar dates.")
}

func formatDayPart(word string, p clockParts, doy, week int, number func(n, width int), name func(s string, width int)) {
	switch strings.ToUpper(word) {
	case "DAY":
		name(dayNames[dayOfWeek(p.day)], 9)
	case "DY":
		name(dayNames[dayOfWeek(p.day)][:3], 0)
	case "D":
		number(dayOfWeek(p.day)+1, 1)
	case "ID":
		number(isoDayOfWeek(p.day), 1)
	case "IW":
		number(week, 2)
	case "IDDD":
		number((week-1)*7+isoDayOfWeek(p.day), 3)
	case "WW":
		number((doy-1)/7+1, 2)
	case "W":
		number((p.mday-1)/7+1, 1)
	case "J":
		number(int(p.day)+2440588, 0)
	case "DDD":
		number(doy, 3)
	}
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func toCharTimestamp(ctx *Ctx, args []row.Value) (row.Value, error) {
	return formatTime(ctx, args[1].Str(), args[0], false)
}

func toCharZoned(ctx *Ctx, args []row.Value) (row.Value, error) {
	return formatTime(ctx, args[1].Str(), args[0], true)
}

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
