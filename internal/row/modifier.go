package row

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
)

// varHeader is what PostgreSQL adds to the typmod of numeric, varchar and bpchar (VARHDRSZ).
const varHeader = 4

// NumericType is numeric(precision, scale).
func NumericType(precision, scale int32) Type {
	return T(Numeric).WithTypMod(precision<<16 | scale&0x7ff + varHeader)
}

// PrecisionScale is p and s of numeric(p,s); ok is false without a modifier.
func (t Type) PrecisionScale() (precision, scale int32, ok bool) {
	m := t.TypMod()
	if m < varHeader {
		return 0, 0, false
	}
	m -= varHeader
	return m >> 16 & 0xffff, (m&0x7ff ^ 1024) - 1024, true
}

// Length is n of varchar(n) and character(n), in characters; ok is false without a modifier.
func (t Type) Length() (n int32, ok bool) {
	m := t.TypMod()
	return m - varHeader, m >= varHeader
}

// WithModifiers gives the type oid with the modifiers as written in brackets: numeric(p[,s]), varchar(n), timestamp(p).
// Errors are PostgreSQL's (22023).
func WithModifiers(oid OID, mods []int32) (Type, error) {
	t := T(oid)
	if len(mods) == 0 {
		return t, nil
	}
	switch oid {
	case Numeric:
		return numericModifiers(mods)
	case VarChar, BPChar:
		name := "varchar"
		if oid == BPChar {
			name = "char"
		}
		if len(mods) != 1 {
			return t, errs.SQL("22023", "invalid type modifier")
		}
		if mods[0] < 1 {
			return t, errs.SQL("22023", "length for type %s must be at least 1", name)
		}
		if mods[0] > 10485760 {
			return t, errs.SQL("22023", "length for type %s cannot exceed 10485760", name)
		}
		return t.WithTypMod(mods[0] + varHeader), nil
	case Time, TimeTZ, Timestamp, TimestampTZ:
		if len(mods) != 1 {
			return t, errs.SQL("22023", "invalid type modifier")
		}
		if mods[0] < 0 {
			return t, errs.SQL("22023", "%s(%d) precision must not be negative", strings.ToUpper(typeByOID[oid].Name), mods[0])
		}
		return t.WithTypMod(min(mods[0], 6)), nil
	case Interval:
		// The grammar gives the range, then the precision.
		if len(mods) == 1 {
			return t.WithTypMod(intervalFull<<16 | min(mods[0], 6)&0xffff), nil
		}
		return t, errs.SQL("22023", "invalid INTERVAL type modifier")
	}
	return t, errs.SQL("42601", "type modifier is not allowed for type \"%s\"", t.String())
}

func numericModifiers(mods []int32) (Type, error) {
	if len(mods) > 2 {
		return T(Numeric), errs.SQL("22023", "invalid NUMERIC type modifier")
	}
	p, s := mods[0], int32(0)
	if p < 1 || p > 1000 {
		return T(Numeric), errs.SQL("22023", "NUMERIC precision %d must be between 1 and 1000", p)
	}
	if len(mods) == 2 {
		s = mods[1]
	}
	if s < -1000 || s > 1000 {
		return T(Numeric), errs.SQL("22023", "NUMERIC scale %d must be between -1000 and 1000", s)
	}
	return NumericType(p, s), nil
}

// The fields of interval's typmod: 1 << the field's number in PostgreSQL's datetime.h.
const (
	fieldMonth      = 1 << 1
	fieldYear       = 1 << 2
	fieldDay        = 1 << 3
	fieldHour       = 1 << 10
	fieldMinute     = 1 << 11
	fieldSecond     = 1 << 12
	intervalFull    = 0x7fff
	fullPrecision   = 0xffff
	intervalFieldsN = 6
)

var intervalFields = [intervalFieldsN]struct {
	name string
	bit  int32
}{{"year", fieldYear}, {"month", fieldMonth}, {"day", fieldDay}, {"hour", fieldHour}, {"minute", fieldMinute}, {"second", fieldSecond}}

// IntervalType is interval with the fields that the SQL text names, such as "day", "year to month", "day to second(3)".
// Empty: plain interval.
func IntervalType(fields string) (Type, bool) {
	if fields == "" {
		return T(Interval), true
	}
	return intervalByName(strings.Join(strings.Fields(strings.ToLower(fields)), " "))
}

func intervalByName(fields string) (Type, bool) {
	precision := int32(fullPrecision)
	if open := strings.IndexByte(fields, '('); open >= 0 {
		end := strings.IndexByte(fields, ')')
		if end < open {
			return Type{}, false
		}
		p, err := strconv.ParseUint(strings.TrimSpace(fields[open+1:end]), 10, 15)
		if err != nil {
			return Type{}, false
		}
		precision = min(int32(p), 6)
		fields = strings.TrimSpace(fields[:open])
	}
	from, to, ranged := strings.Cut(fields, " to ")
	if !ranged {
		to = from
	}
	var mask int32
	started := false
	for _, f := range intervalFields {
		started = started || f.name == from
		if started {
			mask |= f.bit
		}
		if f.name == to {
			return T(Interval).WithTypMod(mask<<16 | precision), started
		}
	}
	return Type{}, false
}

// interval gives the range of fields and the precision of an interval type; 6 when there is none.
func (t Type) interval() (fields, precision int32) {
	if t.Mod == 0 {
		return intervalFull, 6
	}
	m := t.TypMod()
	fields, precision = m>>16&intervalFull, m&0xffff
	if precision == fullPrecision {
		precision = 6
	}
	return fields, precision
}

func intervalTypeString(t Type) string {
	if t.Mod == 0 {
		return "interval"
	}
	fields, _ := t.interval()
	s := "interval"
	if fields != intervalFull {
		var first, last string
		for _, f := range intervalFields {
			if fields&f.bit == 0 {
				continue
			}
			if first == "" {
				first = f.name
			}
			last = f.name
		}
		s += " " + first
		if bits.OnesCount32(uint32(fields)) > 1 {
			s += " to " + last
		}
	}
	if p := t.TypMod() & 0xffff; p != fullPrecision {
		s += fmt.Sprintf("(%d)", p)
	}
	return s
}
