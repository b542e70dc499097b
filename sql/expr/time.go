package expr

import (
	"math"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

func (c *Ctx) now() row.Value { return row.NewTimestamp(c.Now.UnixMicro()) }

func nowFunc(ctx *Ctx, _ []row.Value) (row.Value, error) { return ctx.now(), nil }

func statementTime(ctx *Ctx, _ []row.Value) (row.Value, error) {
	return row.NewTimestamp(ctx.StatementTime.UnixMicro()), nil
}

func clockTime(ctx *Ctx, args []row.Value) (row.Value, error) {
	if ctx.Clock == nil {
		return statementTime(ctx, args)
	}
	return row.NewTimestamp(ctx.Clock().UnixMicro()), nil
}

// zoneAbbreviations are the common ones of PostgreSQL's Default set, in hours east of UTC.
var zoneAbbreviations = map[string]float64{"utc": 0, "gmt": 0, "z": 0, "zulu": 0, "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2,
	"eet": 2, "eest": 3, "msk": 3, "ist": 2, "jst": 9, "kst": 9, "aest": 10, "aedt": 11, "acst": 9.5, "awst": 8, "nzst": 12, "nzdt": 13,
	"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "akst": -9, "akdt": -8, "hst": -10}

// Zone finds a time zone by PostgreSQL's rules: an abbreviation, an IANA name in any case, or a POSIX offset, which counts
// west of Greenwich ("UTC+3" is three hours behind). Error: 22023.
func Zone(name string) (*time.Location, error) {
	lower := strings.ToLower(name)
	if h, ok := zoneAbbreviations[lower]; ok {
		if h == 0 {
			return time.UTC, nil
		}
		return time.FixedZone(strings.ToUpper(name), int(h*3600)), nil
	}
	if loc, ok := posixZone(name); ok {
		return loc, nil
	}
	unknown := errs.SQL("22023", "time zone \"%s\" not recognized", name)
	if name == "" || lower == "local" || strings.Contains(name, "..") {
		return nil, unknown
	}
	for _, spelling := range []string{name, titleZone(lower), strings.ToUpper(name)} {
		if loc, err := time.LoadLocation(spelling); err == nil {
			return loc, nil
		}
	}
	return nil, unknown
}

// titleZone writes a zone's name as the tz database does: america/new_york is America/New_York.
func titleZone(lower string) string {
	b := []byte(lower)
	start := true
	for i, c := range b {
		if start && c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
		start = c == '/' || c == '_' || c == '-'
	}
	return strings.ReplaceAll(string(b), "_Of_", "_of_")
}

func posixZone(name string) (*time.Location, bool) {
	i := strings.IndexAny(name, "+-")
	if i < 0 || i > 5 || i == len(name)-1 {
		return nil, false
	}
	for _, c := range name[:i] {
		if (c|0x20) < 'a' || (c|0x20) > 'z' {
			return nil, false
		}
	}
	seconds, unit := 0, 3600
	for _, part := range strings.Split(name[i+1:], ":") {
		n := 0
		if part == "" || len(part) > 2 || unit == 0 {
			return nil, false
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				return nil, false
			}
			n = n*10 + int(c-'0')
		}
		seconds += n * unit
		unit /= 60
	}
	if seconds > 167*3600 {
		return nil, false
	}
	if name[i] == '+' {
		seconds = -seconds
	}
	return time.FixedZone(name, seconds), true
}

func fixedZone(interval row.Value) (*time.Location, error) {
	months, days, micros := interval.Interval()
	if months != 0 || days != 0 {
		return nil, errs.SQL("22023", "interval time zone \"%s\" must not include months or days", interval.Text(row.T(row.Interval)))
	}
	return time.FixedZone("", int(micros/microsPerSecond)), nil
}

func zoneOf(v row.Value) (*time.Location, error) {
	if v.Kind() == row.KindInterval {
		return fixedZone(v)
	}
	return Zone(v.Str())
}

// toZone is timezone(zone, timestamptz): the local time there.
func toZone(zone, t row.Value) (row.Value, error) {
	loc, err := zoneOf(zone)
	if err != nil {
		return row.Null, err
	}
	return zonedToLocal(t, loc), nil
}

// fromZone is timezone(zone, timestamp): when it is that local time there.
func fromZone(zone, t row.Value) (row.Value, error) {
	loc, err := zoneOf(zone)
	if err != nil {
		return row.Null, err
	}
	return localIn(t, loc), nil
}

func timeTZToZone(ctx *Ctx, args []row.Value) (row.Value, error) {
	loc, err := zoneOf(args[0])
	if err != nil {
		return row.Null, err
	}
	offset := int64(row.ZoneOffset(ctx.now().Int(), loc))
	_, rest := dayAndTime(args[1].Int() + int64(args[1].West())*microsPerSecond + offset*microsPerSecond)
	return row.NewTimeTZ(rest, int32(-offset)), nil
}

func makeDate(args []row.Value) (row.Value, error) {
	y, m, d := int(args[0].Int()), int(args[1].Int()), int(args[2].Int())
	if y < 0 {
		y++ // 1 BC is -1
	} else if y == 0 {
		m = 0
	}
	if m < 1 || m > 12 || d < 1 || d > row.DaysInMonth(y, m) {
		return row.Null, errs.SQL("22008", "date field value out of range: %d-%02d-%02d", args[0].Int(), args[1].Int(), args[2].Int())
	}
	return date(row.DateFromCivil(y, m, d))
}

func makeTime(args []row.Value) (row.Value, error) {
	h, m, s := args[0].Int(), args[1].Int(), args[2].Float()
	if h < 0 || m < 0 || m > 59 || !(s >= 0 && s <= 60) || h > 24 || h == 24 && (m > 0 || s > 0) {
		return row.Null, errs.SQL("22008", "time field value out of range: %d:%02d:%02g", h, m, s)
	}
	return row.NewTime(h*microsPerHour + m*60*microsPerSecond + int64(math.RoundToEven(s*1e6))), nil
}

func makeTimestamp(args []row.Value) (row.Value, error) {
	d, err := makeDate(args[:3])
	if err != nil {
		return row.Null, err
	}
	t, err := makeTime(args[3:6])
	if err != nil {
		return row.Null, err
	}
	return dateAddTime(d, t)
}

func makeTimestampTZ(ctx *Ctx, args []row.Value) (row.Value, error) {
	t, err := makeTimestamp(args)
	if err != nil {
		return row.Null, err
	}
	if len(args) > 6 {
		return fromZone(args[6], t)
	}
	return localToZoned(ctx, t)
}

// makeInterval takes years, months, weeks, days, hours, mins, secs; missing ones are 0.
func makeInterval(args []row.Value) (row.Value, error) {
	var n [6]int64
	for i := range min(len(args), 6) {
		n[i] = args[i].Int()
	}
	secs := 0.0
	if len(args) > 6 {
		secs = args[6].Float()
	}
	months, days := n[0]*12+n[1], n[2]*7+n[3]
	micros := float64(n[4]*microsPerHour+n[5]*60*microsPerSecond) + math.RoundToEven(secs*1e6)
	if months != int64(int32(months)) || days != int64(int32(days)) || math.IsNaN(micros) || math.Abs(micros) > math.MaxInt64 {
		return row.Null, errIntervalRange
	}
	return row.NewInterval(int32(months), int32(days), n[4]*microsPerHour+n[5]*60*microsPerSecond+int64(math.RoundToEven(secs*1e6))), nil
}

func epochToTimestamp(a row.Value) (row.Value, error) {
	f := a.Float()
	switch {
	case math.IsNaN(f):
		return row.Null, errs.SQL("22008", "timestamp cannot be NaN")
	case math.IsInf(f, 1):
		return plusInfinity, nil
	case math.IsInf(f, -1):
		return minusInfinity, nil
	case math.Abs(f) > 9.2e12:
		return row.Null, errs.SQL("22008", "timestamp out of range: \"%g\"", f)
	}
	return timestamp(int64(math.RoundToEven(f * 1e6)))
}

// dateBin is the start of t's interval of the stride's length counted from origin.
func dateBin(args []row.Value) (row.Value, error) {
	months, days, micros := args[0].Interval()
	t, origin := args[1], args[2]
	if t.IsInf() != 0 {
		return t, nil
	}
	if origin.IsInf() != 0 {
		return row.Null, errs.SQL("22008", "origin out of range")
	}
	if months != 0 {
		return row.Null, errs.SQL("0A000", "timestamps cannot be binned into intervals containing months or years")
	}
	stride := int64(days)*microsPerDay + micros
	if stride <= 0 {
		return row.Null, errs.SQL("22008", "stride must be greater than zero")
	}
	diff := t.Int() - origin.Int()
	bin := diff - diff%stride
	if diff%stride < 0 {
		bin -= stride
	}
	return timestamp(origin.Int() + bin)
}

// bucketOrigin is a Monday, so that buckets of weeks start on one; months count from the same year.
var bucketOrigin = row.DateFromCivil(2000, 1, 3) * microsPerDay

// timeBucket is TimescaleDB's time_bucket: date_bin from a fixed origin, and buckets of whole months.
func timeBucket(args []row.Value) (row.Value, error) {
	months, days, micros := args[0].Interval()
	t := dateAsTimestamp(args[1])
	if t.IsInf() != 0 {
		return args[1], nil
	}
	if months == 0 {
		origin := row.NewTimestamp(bucketOrigin)
		if len(args) > 2 {
			origin = dateAsTimestamp(args[2])
		}
		return dateBin([]row.Value{args[0], t, origin})
	}
	if days != 0 || micros != 0 || months < 0 {
		return row.Null, errs.SQL("22023", "time_bucket takes months or a time, not both")
	}
	day, _ := dayAndTime(t.Int())
	y, m, _ := row.CivilFromDate(day)
	n := floorDiv((y-2000)*12+m-1, int(months)) * int(months)
	return timestamp(row.DateFromCivil(2000, 1+n, 1) * microsPerDay)
}

func timeBucketDate(args []row.Value) (row.Value, error) {
	v, err := timeBucket(args)
	if err != nil || v.Kind() == row.KindDate {
		return v, err
	}
	return timestampToDate(v)
}

// overlaps is (s1, e1) OVERLAPS (s2, e2) with PostgreSQL's treatment of NULL and of swapped ends.
func overlaps(args []row.Value) (row.Value, error) {
	s1, e1, s2, e2 := args[0], args[1], args[2], args[3]
	order := func(s, e row.Value) (row.Value, row.Value, bool) {
		switch {
		case s.IsNull() && e.IsNull():
			return s, e, false
		case s.IsNull() || !e.IsNull() && row.Compare(s, e) > 0:
			return e, s, true
		}
		return s, e, true
	}
	var ok1, ok2 bool
	if s1, e1, ok1 = order(s1, e1); !ok1 {
		return row.Null, nil
	}
	if s2, e2, ok2 = order(s2, e2); !ok2 {
		return row.Null, nil
	}
	switch c := row.Compare(s1, s2); {
	case c == 0:
		if e1.IsNull() || e2.IsNull() {
			return row.Null, nil
		}
		return row.NewBool(true), nil
	case c > 0:
		e1, s2, e2 = e2, s1, e1
	}
	// The first has the earlier start now: they overlap when the first does not end before s2.
	if e1.IsNull() {
		return row.Null, nil
	}
	if row.Compare(s2, e1) < 0 {
		return row.NewBool(true), nil
	}
	if e2.IsNull() {
		return row.Null, nil
	}
	return row.NewBool(false), nil
}

// overlapsBy computes ends given as intervals before overlaps.
func overlapsBy(first, second bool, add evalFunc) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		a := append([]row.Value(nil), args...)
		for i, by := range []bool{first, second} {
			if !by {
				continue
			}
			s, e := a[2*i], a[2*i+1]
			if s.IsNull() || e.IsNull() {
				a[2*i+1] = row.Null
				continue
			}
			v, err := add(ctx, []row.Value{s, e})
			if err != nil {
				return row.Null, err
			}
			a[2*i+1] = v
		}
		return overlaps(a)
	}
}

func plainAdd(_ *Ctx, args []row.Value) (row.Value, error) { return timestampAdd(args[0], args[1]) }

func isFinite(a row.Value) (row.Value, error) { return row.NewBool(a.IsInf() == 0), nil }

func zonedAge(ctx *Ctx, args []row.Value) (row.Value, error) {
	return age(zonedToLocal(args[0], ctx.location()), zonedToLocal(args[1], ctx.location()))
}

// today is midnight of the current date.
func (c *Ctx) today() row.Value {
	day, _ := dayAndTime(row.UTCToLocal(c.now().Int(), c.location()))
	return row.NewTimestamp(day * microsPerDay)
}
