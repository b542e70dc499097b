package duck

import (
	"fmt"
	"time"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func addTimes() {
	add("$1 + $2", "+(date,int4)", "+(int4,date)", "+(date,interval)", "+(interval,date)", "+(timestamp,interval)", "+(interval,timestamp)",
		"+(interval,interval)", "+(date,time)")
	add("$1 - $2", "-(date,int4)", "-(date,interval)", "-(timestamp,interval)", "-(timestamp,timestamp)", "-(interval,interval)")
	add("CAST($1 - $2 AS INTEGER)", "-(date,date)")
	add("make_timestamp(epoch_us($1)) - make_timestamp(epoch_us($2))", "-(timestamptz,timestamptz)")
	add("isfinite($1)", "isfinite(date)", "isfinite(timestamp)", "isfinite(timestamptz)")
	for _, sig := range []string{"+(timestamptz,interval)", "-(timestamptz,interval)"} {
		addFunc(zoned("make_timestamptz(epoch_us(make_timestamp(epoch_us($1)) "+sig[:1]+" $2))"), sig)
	}
	addFunc(truncate, "date_trunc(text,timestamp)", "date_trunc(text,timestamptz)")
	addFunc(extract(true), "extract(text,date)", "extract(text,timestamp)", "extract(text,timestamptz)")
	addFunc(extract(false), "date_part(text,date)", "date_part(text,timestamp)", "date_part(text,timestamptz)")
	addFunc(bucket, "time_bucket(interval,timestamp)", "time_bucket(interval,timestamptz)", "time_bucket(interval,timestamp,timestamp)",
		"time_bucket(interval,timestamptz,timestamptz)", "date_bin(interval,timestamp,timestamp)", "date_bin(interval,timestamptz,timestamptz)")
	now := func(_ bool) func(*translator, []value, []expr.Expr) value {
		return func(t *translator, _ []value, _ []expr.Expr) value {
			if t.context.Now.IsZero() {
				fail("now() without a time")
			}
			return literal(row.NewTimestamp(t.context.Now.UnixMicro()), row.T(row.TimestampTZ))
		}
	}
	addFunc(now(true), "now()", "transaction_timestamp()")
}

// utc refuses what depends on a session's time zone other than UTC.
func (t *translator) utc() {
	if l := t.context.Location; l != nil && l != time.UTC && l.String() != "UTC" {
		fail("time zone %s", l)
	}
}

func zoned(text string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, _ []expr.Expr) value {
		t.utc()
		plain := make([]value, len(args))
		for i, a := range args {
			plain[i] = a
			if a.typ.OID == row.Date || a.typ.OID == row.Timestamp {
				plain[i].sql = "make_timestamptz(epoch_us(CAST(" + a.sql + " AS TIMESTAMP)))"
			}
		}
		return value{sql: fill(text, plain)}
	}
}

// local is a timestamp or date as TIMESTAMP in UTC.
func (t *translator) local(v value) string {
	if v.typ.OID == row.TimestampTZ {
		t.utc()
		return "make_timestamp(epoch_us(" + v.sql + "))"
	}
	return "CAST(" + v.sql + " AS TIMESTAMP)"
}

var truncUnits = map[string]bool{"microseconds": true, "milliseconds": true, "second": true, "minute": true, "hour": true, "day": true,
	"week": true, "month": true, "quarter": true, "year": true, "decade": true}

func unit(t *translator, es []expr.Expr) string {
	if len(es) == 0 {
		fail("a computed unit")
	}
	u, ok := t.constant(es[0])
	if !ok || u.IsNull() {
		fail("a computed unit")
	}
	return u.Str()
}

func truncate(t *translator, args []value, es []expr.Expr) value {
	u := unit(t, es)
	if !truncUnits[u] {
		fail("date_trunc of %s", u)
	}
	// An infinity stays one.
	s := fmt.Sprintf("date_trunc('%s', %s)", u, t.local(args[1]))
	if args[1].typ.OID == row.TimestampTZ {
		s = "make_timestamptz(epoch_us(" + s + "))"
	}
	return value{sql: fmt.Sprintf("(CASE WHEN isfinite(%s) THEN %s ELSE %s END)", args[1].sql, s, args[1].sql)}
}

// extractParts give integers in both; scale is the display scale of PostgreSQL's extract.
var extractParts = map[string]struct {
	text  string
	scale int
}{
	"year": {"year($1)", 0}, "month": {"month($1)", 0}, "day": {"day($1)", 0}, "hour": {"hour($1)", 0}, "minute": {"minute($1)", 0},
	"second": {"microsecond($1)", 6}, "milliseconds": {"microsecond($1)", 3}, "microseconds": {"microsecond($1)", 0},
	"quarter": {"quarter($1)", 0}, "week": {"weekofyear($1)", 0}, "dow": {"dayofweek($1)", 0}, "isodow": {"isodow($1)", 0},
	"doy": {"dayofyear($1)", 0}, "isoyear": {"isoyear($1)", 0}, "epoch": {"epoch_us($1)", 6},
}

// extract writes extract (numeric) and date_part (float8).
func extract(numeric bool) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value {
		u := unit(t, es)
		p, ok := extractParts[u]
		if !ok || args[1].typ.OID == row.Date && (p.scale > 0 || u == "hour" || u == "minute" || u == "microseconds") && u != "epoch" {
			fail("extract of %s from %s", u, args[1].typ)
		}
		if u == "epoch" && args[1].typ.OID == row.Date {
			p.scale = 0
			p.text = "epoch_us($1) // 1000000"
		}
		local := args[1]
		local.sql = t.local(args[1])
		n := fill(p.text, []value{local})
		guard := func(s string) string {
			return fmt.Sprintf("(CASE WHEN isfinite(%s) THEN %s WHEN %s IS NULL THEN NULL ELSE error('mdb:range:infinity') END)", args[1].sql, s, args[1].sql)
		}
		d := fixed(19, p.scale)
		s := fmt.Sprintf("CAST(CAST(%s AS DECIMAL(19,0)) * CAST('%s' AS DECIMAL(7,%d)) AS %s)", n, pointOne(p.scale), p.scale, decimalType(19+p.scale, p.scale))
		if p.scale == 0 {
			s = fmt.Sprintf("CAST(%s AS DECIMAL(19,0))", n)
		} else {
			d = fixed(19+p.scale, p.scale)
		}
		if numeric {
			return value{sql: guard(s), num: d, raises: false}
		}
		return value{sql: guard("CAST(" + s + " AS DOUBLE)")}
	}
}

func pointOne(scale int) string {
	return [...]string{"1", "0.1", "0.01", "0.001", "0.0001", "0.00001", "0.000001"}[scale]
}

// bucket: widths of days and less, or of whole months, mean the same in DuckDB; date_bin has no months.
func bucket(t *translator, args []value, es []expr.Expr) value {
	w, ok := row.Null, false
	if len(es) > 0 {
		w, ok = t.constant(es[0])
	}
	if !ok || w.IsNull() {
		fail("a computed bucket width")
	}
	months, days, micros := w.Interval()
	if months != 0 || days < 0 || micros < 0 || days == 0 && micros == 0 {
		fail("buckets of months")
	}
	width := fmt.Sprintf("to_microseconds(%d)", int64(days)*86400_000_000+micros)
	s := fmt.Sprintf("time_bucket(%s, %s", width, t.local(args[1]))
	if len(args) == 3 {
		s += ", " + t.local(args[2])
	}
	s += ")"
	if args[1].typ.OID == row.TimestampTZ {
		s = "make_timestamptz(epoch_us(" + s + "))"
	}
	return value{sql: fmt.Sprintf("(CASE WHEN isfinite(%s) THEN %s ELSE %s END)", args[1].sql, s, args[1].sql)}
}
