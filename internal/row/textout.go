package row

import (
	"math"
	"math/big"
	"strconv"
	"time"
)

// Format is what a session's settings change in text forms. The zero Format is UTC.
type Format struct {
	// Location is the session's TimeZone; nil is UTC.
	Location *time.Location
	// Now is the transaction's time in microseconds since 1970, for the input words now, today, tomorrow and yesterday;
	// 0: they are refused (0A000).
	Now int64
	// Objects knows the names that reg* values are written by; nil: they are numbers.
	Objects Objects
}

// Objects is a catalog as the reg* types see it.
type Objects interface {
	// ObjectName is the text of a value of reg* type t: its object's name, or its number when there is none.
	ObjectName(t OID, n int64) string
	// ObjectID reads the text of a value of reg* type t. Errors: PostgreSQL's (42P01, 42704, 42883...).
	ObjectID(t OID, name string) (int64, error)
}

// AppendText appends the text of v, of type t, as PostgreSQL's output function gives it in UTC. NULL appends nothing.
func AppendText(dst []byte, t Type, v Value) []byte { return Format{}.AppendText(dst, t, v) }

// String is AppendText as a string.
func (v Value) Text(t Type) string { return string(AppendText(nil, t, v)) }

// AppendText appends the text of v, of type t, as PostgreSQL's output function gives it (DateStyle ISO, IntervalStyle
// postgres, extra_float_digits 1, bytea_output hex). NULL appends nothing.
func (f Format) AppendText(dst []byte, t Type, v Value) []byte {
	switch v.kind {
	case KindNull:
		return dst
	case KindBool:
		if v.n != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case KindInt:
		if f.Objects != nil && named(t.OID) {
			return append(dst, f.Objects.ObjectName(t.OID, v.n)...)
		}
		return strconv.AppendInt(dst, v.n, 10)
	case KindFloat:
		if t.OID == Float4 {
			return appendFloat(dst, v.Float(), 32, 6)
		}
		return appendFloat(dst, v.Float(), 64, 15)
	case KindNumeric:
		return v.AppendNumeric(dst)
	case KindBytes:
		return appendHex(append(dst, '\\', 'x'), v.s)
	case KindDate:
		return appendDate(dst, v.n)
	case KindTime:
		return appendClock(dst, v.n)
	case KindTimeTZ:
		return appendZone(appendClock(dst, v.n), -int(v.a))
	case KindTimestamp:
		if t.OID == TimestampTZ {
			return appendTimestamp(dst, v.n, true, f.Location)
		}
		return appendTimestamp(dst, v.n, false, nil)
	case KindInterval:
		return appendInterval(dst, v)
	case KindUUID:
		return appendUUID(dst, v.s)
	case KindList:
		return f.appendList(dst, t, v)
	case KindRecord:
		return f.appendRecord(dst, v)
	}
	if t.OID == Char && len(v.s) == 1 && v.s[0] >= 0x80 {
		return append(dst, '\\', '0'+v.s[0]>>6, '0'+v.s[0]>>3&7, '0'+v.s[0]&7)
	}
	return append(dst, v.s...)
}

// named reports whether oid is a reg* type.
func named(oid OID) bool {
	switch oid {
	case RegProc, RegOper, RegClass, RegType, RegNamespace, RegRole:
		return true
	}
	return false
}

// appendFloat appends the shortest digits that read back the same, with an exponent from 10^whole on, as PostgreSQL does.
func appendFloat(dst []byte, x float64, bits, whole int) []byte {
	switch {
	case math.IsNaN(x):
		return append(dst, "NaN"...)
	case math.IsInf(x, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(x, -1):
		return append(dst, "-Infinity"...)
	case x == 0:
		if math.Signbit(x) {
			dst = append(dst, '-')
		}
		return append(dst, '0')
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, x, 'e', -1, bits)
	if math.Abs(x) >= 1<<53 || bits == 32 && math.Abs(x) >= 1<<24 {
		dst = untie(dst, from, x, bits)
	}
	for i := len(dst) - 1; i > from; i-- {
		if dst[i] != 'e' {
			continue
		}
		exp, _ := strconv.Atoi(string(dst[i+1:]))
		if exp >= -4 && exp < whole {
			return strconv.AppendFloat(dst[:from], x, 'f', -1, bits)
		}
		break
	}
	return dst
}

// untie lengthens the shortest digits, from dst[from] on, when they stand exactly half way to a neighbouring float: they read
// back right only by rounding to even, and PostgreSQL does not use them (1e23 is 9.999999999999999e+22). Only floats without
// fraction have such digits.
func untie(dst []byte, from int, x float64, bits int) []byte {
	neighbour := func(to float64) float64 {
		if bits == 32 {
			return float64(math.Nextafter32(float32(x), float32(to)))
		}
		return math.Nextafter(x, to)
	}
	value := func(f float64) *big.Rat { r := new(big.Rat); r.SetFloat64(f); return r }
	tie := func() bool {
		d, ok := new(big.Rat).SetString(string(dst[from:]))
		if !ok {
			return false
		}
		d.Add(d, d)
		for _, to := range []float64{math.Inf(1), math.Inf(-1)} {
			n := neighbour(to)
			if !math.IsInf(n, 0) && d.Cmp(new(big.Rat).Add(value(x), value(n))) == 0 {
				return true
			}
		}
		return false
	}
	for digits := 1; tie() && digits < 17; digits++ {
		next := strconv.AppendFloat(nil, x, 'e', digits, bits)
		if back, err := strconv.ParseFloat(string(next), bits); err == nil && back == x {
			dst = append(dst[:from], next...)
		}
	}
	return dst
}

func appendHex(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, hexDigits[s[i]>>4], hexDigits[s[i]&15])
	}
	return dst
}

func appendUUID(dst []byte, s string) []byte {
	for i := range len(s) {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[s[i]>>4], hexDigits[s[i]&15])
	}
	return dst
}

func append2(dst []byte, n int64) []byte { return append(dst, byte('0'+n/10%10), byte('0'+n%10)) }

func appendYMD(dst []byte, days int64) (out []byte, bc bool) {
	y, m, d := CivilFromDate(days)
	if y <= 0 {
		y, bc = 1-y, true
	}
	for w := 1000; w > 1 && y < w; w /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, int64(y), 10)
	dst = append2(append(dst, '-'), int64(m))
	return append2(append(dst, '-'), int64(d)), bc
}

func appendDate(dst []byte, days int64) []byte {
	switch days {
	case math.MaxInt32:
		return append(dst, "infinity"...)
	case math.MinInt32:
		return append(dst, "-infinity"...)
	}
	dst, bc := appendYMD(dst, days)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendClock appends HH:MM:SS[.ffffff] without trailing zeros.
func appendClock(dst []byte, micros int64) []byte {
	s, frac := micros/microsPerSecond, micros%microsPerSecond
	h := s / 3600
	if h < 100 {
		dst = append2(dst, h)
	} else {
		dst = strconv.AppendInt(dst, h, 10)
	}
	dst = append2(append(dst, ':'), s/60%60)
	dst = append2(append(dst, ':'), s%60)
	return appendFraction(dst, frac)
}

func appendFraction(dst []byte, frac int64) []byte {
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.')
	for w := int64(100000); frac != 0; w /= 10 {
		dst = append(dst, byte('0'+frac/w))
		frac %= w
	}
	return dst
}

// appendZone appends an offset in seconds east as ±HH[:MM[:SS]].
func appendZone(dst []byte, east int) []byte {
	sign := byte('+')
	if east < 0 {
		sign, east = '-', -east
	}
	dst = append2(append(dst, sign), int64(east/3600))
	if east%3600 != 0 {
		dst = append2(append(dst, ':'), int64(east/60%60))
	}
	if east%60 != 0 {
		dst = append2(append(dst, ':'), int64(east%60))
	}
	return dst
}

func appendTimestamp(dst []byte, micros int64, zone bool, loc *time.Location) []byte {
	switch micros {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	off := ZoneOffset(micros, loc)
	days, rest := floorDiv(micros, microsPerDay)
	if rest += int64(off) * microsPerSecond; rest < 0 || rest >= microsPerDay {
		q, r := floorDiv(rest, microsPerDay)
		days, rest = days+q, r
	}
	dst, bc := appendYMD(dst, days)
	dst = appendClock(append(dst, ' '), rest)
	if zone {
		dst = appendZone(dst, off)
	}
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendInterval appends IntervalStyle postgres: "1 year 2 mons -3 days +04:05:06".
func appendInterval(dst []byte, v Value) []byte {
	months, days, micros := v.Interval()
	from, before := len(dst), false
	part := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if len(dst) > from {
			dst = append(dst, ' ')
		}
		if before && n > 0 {
			dst = append(dst, '+')
		}
		dst = append(strconv.AppendInt(dst, n, 10), ' ')
		dst = append(dst, unit...)
		if n != 1 {
			dst = append(dst, 's')
		}
		before = n < 0
	}
	part(int64(months/12), "year")
	part(int64(months%12), "mon")
	part(int64(days), "day")
	if micros == 0 && len(dst) > from {
		return dst
	}
	if len(dst) > from {
		dst = append(dst, ' ')
	}
	switch {
	case micros < 0:
		dst = append(dst, '-')
	case before:
		dst = append(dst, '+')
	}
	u := absolute(micros)
	s, frac := int64(u/uint64(microsPerSecond)), int64(u%uint64(microsPerSecond))
	if h := s / 3600; h < 10 {
		dst = append2(dst, h)
	} else {
		dst = strconv.AppendInt(dst, h, 10)
	}
	dst = append2(append(dst, ':'), s/60%60)
	dst = append2(append(dst, ':'), s%60)
	return appendFraction(dst, frac)
}

func (f Format) appendList(dst []byte, t Type, v Value) []byte {
	e := t.Element()
	if t.OID == Int2Vector || t.OID == OidVector {
		for i, x := range v.List() {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = f.AppendText(dst, e, x)
		}
		return dst
	}
	dst = append(dst, '{')
	for i, x := range v.List() {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch x.kind {
		case KindNull:
			dst = append(dst, "NULL"...)
		case KindList:
			dst = f.appendList(dst, t, x)
		default:
			if e.OID == 0 {
				e = TypeOfKind(x.kind)
			}
			from := len(dst)
			dst = f.AppendText(dst, e, x)
			if needsQuotes(dst[from:], true) {
				dst = appendQuoted(dst[:from], string(dst[from:]), false)
			}
		}
	}
	return append(dst, '}')
}

// needsQuotes reports whether an element of an array, or else a field of a record, must be quoted.
func needsQuotes(s []byte, array bool) bool {
	if len(s) == 0 || array && len(s) == 4 && equalFold(string(s), "null") {
		return true
	}
	for _, c := range s {
		switch c {
		case '"', '\\', ',':
			return true
		case '{', '}':
			if array {
				return true
			}
		case '(', ')':
			if !array {
				return true
			}
		default:
			if isSpace(c) {
				return true
			}
		}
	}
	return false
}

func appendQuoted(dst []byte, s string, double bool) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			if double {
				dst = append(dst, s[i])
			} else {
				dst = append(dst, '\\')
			}
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func (f Format) appendRecord(dst []byte, v Value) []byte {
	dst = append(dst, '(')
	for i, x := range v.List() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if x.kind == KindNull {
			continue
		}
		from := len(dst)
		dst = f.AppendText(dst, TypeOfKind(x.kind), x)
		if needsQuotes(dst[from:], false) {
			dst = appendQuoted(dst[:from], string(dst[from:]), true)
		}
	}
	return append(dst, ')')
}

// TypeOfKind is the widest type of a kind, for values whose type nobody carries (fields of a record).
func TypeOfKind(k Kind) Type {
	switch k {
	case KindBool:
		return T(Bool)
	case KindInt:
		return T(Int8)
	case KindFloat:
		return T(Float8)
	case KindNumeric:
		return T(Numeric)
	case KindBytes:
		return T(Bytea)
	case KindDate:
		return T(Date)
	case KindTime:
		return T(Time)
	case KindTimeTZ:
		return T(TimeTZ)
	case KindTimestamp:
		return T(Timestamp)
	case KindInterval:
		return T(Interval)
	case KindUUID:
		return T(UUID)
	case KindList:
		return T(AnyArray)
	case KindRecord:
		return T(Record)
	}
	return T(Text)
}
