package row

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
)

// ParseText reads s as PostgreSQL's input function of t does, in UTC, and applies t's modifier as an assignment does.
func ParseText(t Type, s string) (Value, error) { return Format{}.ParseText(t, s) }

// ParseText reads s as PostgreSQL's input function of t does and applies t's modifier as an assignment does (varchar(n) too
// long is 22001; an explicit cast parses without a modifier and then calls ApplyTypmod). s is kept by text values.
//
// Errors are PostgreSQL's: 22P02 invalid syntax, 22003 out of range, 22007 and 22008 dates and times, 22021 broken UTF-8,
// 22001 too long. reg* types take only numbers without Objects.
func (f Format) ParseText(t Type, s string) (Value, error) {
	v, err := f.parse(t, s)
	if err != nil || t.Mod == 0 {
		return v, err
	}
	return ApplyTypmod(t, v, false)
}

func (f Format) parse(t Type, s string) (Value, error) {
	switch t.OID {
	case Bool:
		return parseBool(s)
	case Int2:
		return parseInt(s, 16, "smallint")
	case Int4:
		return parseInt(s, 32, "integer")
	case Int8:
		return parseInt(s, 64, "bigint")
	case RegProc, RegOper, RegClass, RegType, RegNamespace, RegRole:
		if f.Objects == nil {
			return parseOID(s)
		}
		n, err := f.Objects.ObjectID(t.OID, s)
		return NewInt(n), err
	case Oid, XID:
		return parseOID(s)
	case Float4:
		return parseFloat(s, 32, "real")
	case Float8:
		return parseFloat(s, 64, "double precision")
	case Numeric:
		return NumericFromString(s)
	case Text, VarChar, BPChar, Name, Char, Unknown, JSONPath, PgNodeTree, AclItem:
		return parseString(t.OID, s)
	case JSON:
		if err := checkUTF8(s); err != nil {
			return Null, err
		}
		return NewText(s), CheckJSON(s)
	case JSONB:
		if err := checkUTF8(s); err != nil {
			return Null, err
		}
		n, err := NormalizeJSONB(s)
		if err != nil {
			return Null, err
		}
		return NewText(n), nil
	case Bytea:
		return parseBytea(s)
	case UUID:
		return parseUUID(s)
	case Date, Time, TimeTZ, Timestamp, TimestampTZ:
		return f.parseDateTime(t.OID, s)
	case Interval:
		return parseInterval(t, s)
	case Int2Vector, OidVector:
		return f.parseVector(t, s)
	}
	if e := t.Element(); e.OID != 0 && Supported(t.OID) {
		return f.parseArray(Type{OID: t.OID}, s)
	}
	return Null, errs.SQL("0A000", "cannot accept a value of type %s", t)
}

func checkUTF8(s string) error {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")
	}
	if utf8.ValidString(s) {
		return nil
	}
	for i, r := range s {
		if r == utf8.RuneError && s[i:min(i+3, len(s))] != "\ufffd" {
			return errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\": 0x%02x", s[i])
		}
	}
	return errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\"")
}

func parseString(oid OID, s string) (Value, error) {
	if err := checkUTF8(s); err != nil {
		return Null, err
	}
	switch oid {
	case Char:
		if len(s) == 4 && s[0] == '\\' && isOctal(s[1], '3') && isOctal(s[2], '7') && isOctal(s[3], '7') {
			return NewText(string([]byte{(s[1]-'0')<<6 | (s[2]-'0')<<3 | (s[3] - '0')})), nil
		}
		if len(s) > 1 {
			s = s[:1]
		}
	case Name:
		s = clip(s, 63)
	}
	return NewText(s), nil
}

// clip cuts s to at most n bytes at a character's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func parseBool(s string) (Value, error) {
	t := trimSpace(s)
	prefix := func(word string, least int) bool {
		return len(t) >= least && len(t) <= len(word) && equalFold(t, word[:len(t)])
	}
	switch {
	case prefix("true", 1), prefix("yes", 1), prefix("on", 2), t == "1":
		return NewBool(true), nil
	case prefix("false", 1), prefix("no", 1), prefix("off", 2), t == "0":
		return NewBool(false), nil
	}
	return Null, syntaxError("boolean", s)
}

func parseInt(s string, bits int, name string) (Value, error) {
	t := trimSpace(s)
	i, neg := 0, false
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		neg = t[0] == '-'
		i++
	}
	if i == len(t) {
		return Null, syntaxError(name, s)
	}
	var u uint64
	over := false
	for ; i < len(t); i++ {
		if !isDigit(t[i]) {
			return Null, syntaxError(name, s)
		}
		if u > math.MaxInt64/10+1 {
			over = true
			continue
		}
		u = u*10 + uint64(t[i]-'0')
	}
	most := uint64(1) << (bits - 1)
	if over || u > most || u == most && !neg {
		return Null, errs.SQL("22003", "value \"%s\" is out of range for type %s", s, name)
	}
	if neg {
		return NewInt(-int64(u)), nil
	}
	return NewInt(int64(u)), nil
}

func parseOID(s string) (Value, error) {
	t := trimSpace(s)
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrSyntax {
			return Null, syntaxError("oid", s)
		}
		n = math.MaxInt64
	}
	if n > math.MaxUint32 || n < math.MinInt32 {
		return Null, errs.SQL("22003", "value \"%s\" is out of range for type oid", s)
	}
	return NewInt(int64(uint32(n))), nil
}

func parseFloat(s string, bits int, name string) (Value, error) {
	t := trimSpace(s)
	switch {
	case t == "", strings.ContainsRune(t, '_'):
		return Null, syntaxError(name, s)
	case equalFold(t, "nan"):
		return NewFloat(math.NaN()), nil
	}
	x, err := strconv.ParseFloat(t, bits)
	if err != nil {
		if ne, ok := err.(*strconv.NumError); !ok || ne.Err != strconv.ErrRange {
			return Null, syntaxError(name, s)
		}
		return Null, errs.SQL("22003", "\"%s\" is out of range for type %s", t, name)
	}
	if x == 0 && !strings.ContainsAny(t, "xX") {
		mantissa, _, _ := strings.Cut(strings.ToLower(t), "e")
		if strings.ContainsAny(mantissa, "123456789") {
			return Null, errs.SQL("22003", "\"%s\" is out of range for type %s", t, name)
		}
	}
	return NewFloat(x), nil
}

func isOctal(c, most byte) bool { return c >= '0' && c <= most }

func parseBytea(s string) (Value, error) {
	if strings.HasPrefix(s, `\x`) {
		return parseHex(s[2:])
	}
	if strings.IndexByte(s, '\\') < 0 {
		return Value{kind: KindBytes, s: s}, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		switch {
		case i+1 < len(s) && s[i+1] == '\\':
			out = append(out, '\\')
			i++
		case i+3 < len(s) && isOctal(s[i+1], '3') && isOctal(s[i+2], '7') && isOctal(s[i+3], '7'):
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
		default:
			return Null, errs.SQL("22P02", "invalid input syntax for type bytea")
		}
	}
	return Value{kind: KindBytes, s: string(out)}, nil
}

func parseHex(s string) (Value, error) {
	out := make([]byte, 0, len(s)/2)
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r' {
			i++
			continue
		}
		if _, ok := nibble(s[i]); !ok {
			_, n := utf8.DecodeRuneInString(s[i:])
			return Null, errs.SQL("22023", "invalid hexadecimal digit: \"%s\"", s[i:i+n])
		}
		if i+1 >= len(s) {
			return Null, errs.SQL("22023", "invalid hexadecimal data: odd number of digits")
		}
		if _, ok := nibble(s[i+1]); !ok {
			_, n := utf8.DecodeRuneInString(s[i+1:])
			return Null, errs.SQL("22023", "invalid hexadecimal digit: \"%s\"", s[i+1:i+1+n])
		}
		hi, _ := nibble(s[i])
		lo, _ := nibble(s[i+1])
		out = append(out, hi<<4|lo)
		i += 2
	}
	return Value{kind: KindBytes, s: string(out)}, nil
}

func nibble(c byte) (byte, bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

func parseUUID(s string) (Value, error) {
	var u [16]byte
	t := s
	if len(t) == 36 && t[8] == '-' && t[13] == '-' && t[18] == '-' && t[23] == '-' {
		var compact [32]byte
		copy(compact[:8], t[:8])
		copy(compact[8:], t[9:13])
		copy(compact[12:], t[14:18])
		copy(compact[16:], t[19:23])
		copy(compact[20:], t[24:])
		if _, err := hex.Decode(u[:], compact[:]); err == nil {
			return NewUUID(u), nil
		}
		return Null, syntaxError("uuid", s)
	}
	braces := strings.HasPrefix(t, "{")
	t = strings.TrimPrefix(t, "{")
	i := 0
	for n := range 16 {
		if len(t)-i < 2 {
			return Null, syntaxError("uuid", s)
		}
		hi, ok1 := nibble(t[i])
		lo, ok2 := nibble(t[i+1])
		if !ok1 || !ok2 {
			return Null, syntaxError("uuid", s)
		}
		u[n] = hi<<4 | lo
		i += 2
		if n%2 == 1 && n < 15 && i < len(t) && t[i] == '-' {
			i++
		}
	}
	if braces && !(i < len(t) && t[i] == '}') {
		return Null, syntaxError("uuid", s)
	}
	if braces {
		i++
	}
	if i != len(t) {
		return Null, syntaxError("uuid", s)
	}
	return NewUUID(u), nil
}
