package row

import (
	"strings"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
)

// ApplyTypmod fits v into t's modifier as PostgreSQL's length coercion does: varchar(n) and character(n) (22001; an explicit
// cast cuts instead), numeric(p,s) (rounds; 22003), times of precision p (round), interval's fields and precision. Arrays:
// each element.
func ApplyTypmod(t Type, v Value, explicitCast bool) (Value, error) {
	if t.Mod == 0 || v.kind == KindNull {
		return v, nil
	}
	if v.kind == KindList {
		return applyToList(t, v, explicitCast)
	}
	switch t.OID {
	case VarChar, BPChar:
		return applyLength(t, v, explicitCast)
	case Numeric:
		return applyNumeric(t, v)
	case Time, TimeTZ:
		v.n = roundMicros(v.n, t.TypMod())
	case Timestamp, TimestampTZ:
		if v.IsInf() == 0 {
			const epoch = postgresEpoch * microsPerDay
			v.n = roundMicros(v.n-epoch, t.TypMod()) + epoch
		}
	case Interval:
		return applyInterval(t, v), nil
	}
	return v, nil
}

func applyToList(t Type, v Value, explicitCast bool) (Value, error) {
	e := t.Element()
	out := make([]Value, len(v.List()))
	for i, x := range v.List() {
		et := e
		if x.kind == KindList {
			et = t
		}
		var err error
		if out[i], err = ApplyTypmod(et, x, explicitCast); err != nil {
			return Null, err
		}
	}
	return NewList(out), nil
}

func applyLength(t Type, v Value, explicitCast bool) (Value, error) {
	n, ok := t.Length()
	if !ok {
		return v, nil
	}
	max := int(n)
	if len(v.s) < max || len(v.s) > max {
		count := utf8.RuneCountInString(v.s)
		switch {
		case count < max && t.OID == BPChar:
			return NewText(v.s + strings.Repeat(" ", max-count)), nil
		case count > max:
			cut := 0
			for range max {
				_, w := utf8.DecodeRuneInString(v.s[cut:])
				cut += w
			}
			if !explicitCast && trimBlanks(v.s[cut:]) != "" {
				return Null, errs.SQL("22001", "value too long for type %s", t)
			}
			return NewText(v.s[:cut]), nil
		}
		return v, nil
	}
	if t.OID == BPChar {
		if count := utf8.RuneCountInString(v.s); count < max {
			return NewText(v.s + strings.Repeat(" ", max-count)), nil
		}
	}
	return v, nil
}

func applyNumeric(t Type, v Value) (Value, error) {
	p, s, ok := t.PrecisionScale()
	if !ok || v.IsNaN() {
		return v, nil
	}
	if v.IsInf() != 0 {
		return Null, errs.SQL("22003", "numeric field overflow").
			WithDetail("A field with precision %d, scale %d cannot hold an infinite value.", p, s)
	}
	r := RoundNumeric(v, s)
	if r.s == "" && s >= 0 && p < int32(len(pow10)) {
		if absolute(r.n) < pow10[p] {
			return r, nil
		}
	} else {
		var buf [64]byte
		if d := r.decimal(buf[:0]); len(d.digits) == 0 || d.exp <= int(p-s) {
			return r, nil
		}
	}
	bound := "1"
	if p > s {
		bound = "10^" + NewInt(int64(p-s)).Text(T(Int4))
	} else if p < s {
		bound = "10^" + NewInt(int64(p-s)).Text(T(Int4))
	}
	return Null, errs.SQL("22003", "numeric field overflow").
		WithDetail("A field with precision %d, scale %d must round to an absolute value less than %s.", p, s, bound)
}

// roundMicros rounds half away from zero to precision digits of a second.
func roundMicros(n int64, precision int32) int64 {
	if precision < 0 || precision >= 6 {
		return n
	}
	unit := int64(pow10[6-precision])
	if n >= 0 {
		return (n + unit/2) / unit * unit
	}
	return -((-n + unit/2) / unit * unit)
}

func applyInterval(t Type, v Value) Value {
	fields, precision := t.interval()
	months, days, micros := v.Interval()
	const minute, hour = 60 * microsPerSecond, 3600 * microsPerSecond
	switch {
	case fields == intervalFull:
	case fields&^(fieldYear|fieldMonth) == 0:
		if fields == fieldYear {
			months = months / 12 * 12
		}
		days, micros = 0, 0
	case fields == fieldDay:
		micros = 0
	case fields&fieldSecond != 0:
	case fields&fieldMinute != 0:
		micros = micros / minute * minute
	case fields&fieldHour != 0:
		micros = micros / hour * hour
	}
	return NewInterval(months, days, roundMicros(micros, precision))
}
