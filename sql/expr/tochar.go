package expr

import (
	"fmt"
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

// formatPart writes one part of the template. tidy: long: a case per template word.
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
