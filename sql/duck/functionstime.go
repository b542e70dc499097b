package duck

import (
	"fmt"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func addTimes() {
	addFunc(usual("$1 + $2"), "+(date,int4)", "+(int4,date)", "+(date,interval)", "+(interval,date)", "+(timestamp,interval)",
		"+(interval,timestamp)", "+(interval,interval)", "+(date,time)")
	addFunc(usual("$1 - $2"), "-(date,int4)", "-(date,interval)", "-(timestamp,interval)", "-(timestamp,timestamp)", "-(interval,interval)")
	addFunc(usual("CAST($1 - $2 AS INTEGER)"), "-(date,date)")
	addFunc(usual("make_timestamp(epoch_us($1)) - make_timestamp(epoch_us($2))"), "-(timestamptz,timestamptz)")
	for _, typ := range []string{"date", "timestamp", "timestamptz"} {
		// The stored -infinity is below DuckDB's.
		add("$1 > CAST('-infinity' AS "+typ+") AND $1 < CAST('infinity' AS "+typ+")", "isfinite("+typ+")")
	}
	for _, sig := range []string{"+(timestamptz,interval)", "-(timestamptz,interval)"} {
		addFunc(func(t *translator, args []value, es []expr.Expr) value {
			t.utc()
			return usual("make_timestamptz(epoch_us(make_timestamp(epoch_us($1)) "+sig[:1]+" $2))")(t, args, es)
		}, sig)
	}
	addFunc(truncate, "date_trunc(text,timestamp)", "date_trunc(text,timestamptz)")
	addFunc(extract(true), "extract(text,date)", "extract(text,timestamp)", "extract(text,timestamptz)")
	addFunc(extract(false), "date_part(text,date)", "date_part(text,timestamp)", "date_part(text,timestamptz)")
	addFunc(bucket, "time_bucket(interval,timestamp)", "time_bucket(interval,timestamptz)", "time_bucket(interval,timestamp,timestamp)",
		"time_bucket(interval,timestamptz,timestamptz)", "date_bin(interval,timestamp,timestamp)", "date_bin(interval,timestamptz,timestamptz)")
	addFunc(now, "now()", "transaction_timestamp()")
}

func now(t *translator, _ []value, _ []expr.Expr) value {
	if t.context.Now.IsZero() {
		fail("now() without a time")
	}
	return literal(row.NewTimestamp(t.context.Now.UnixMicro()), row.T(row.TimestampTZ))
}

// usualRanges are values whose sums and differences are in the ranges of both engines; the rest (infinities, years that
// PostgreSQL refuses) is the row executor's.
var usualRanges = map[row.OID]string{
	row.Date: "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'", row.Timestamp: "BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31'",
	row.TimestampTZ: "BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 00:00:00+00'",
	row.Int4:        "BETWEEN -1000000 AND 1000000", row.Interval: "BETWEEN to_years(-2000) AND to_years(2000)",
}

// inRange is the test that the arguments are usual, and the test that one of them is NULL; "" when only constants are left,
// which were looked at.
func (t *translator) inRange(args []value, es []expr.Expr) (usual, null string) {
	var tests, nulls []string
	for i, a := range args {
		r, ok := usualRanges[a.typ.OID]
		if !ok {
			continue
		}
		if i < len(es) {
			if v, ok := t.constant(es[i]); ok && !v.IsNull() && usualConstant(v, a.typ) {
				continue
			}
		}
		tests = append(tests, a.sql+" "+r)
		nulls = append(nulls, a.sql+" IS NULL")
	}
	return strings.Join(tests, " AND "), strings.Join(nulls, " OR ")
}

func usualConstant(v row.Value, t row.Type) bool {
	const day = 86400_000_000
	switch t.OID {
	case row.Date:
		return v.Int() > -700_000 && v.Int() < 2_900_000
	case row.Timestamp, row.TimestampTZ:
		return v.Int() > -700_000*day && v.Int() < 2_900_000*day
	case row.Int4:
		return v.Int() > -1_000_000 && v.Int() < 1_000_000
	case row.Interval:
		months, days, micros := v.Interval()
		return max(months, -months) < 12*1000 && max(days, -days) < 365*1000 && max(micros, -micros) < 365*1000*day
	}
	return false
}

// usual applies a template where its arguments are usual.
func usual(text string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value { return t.guarded(fill(text, args), args, es) }
}

func (t *translator) guarded(sql string, args []value, es []expr.Expr) value {
	test, null := t.inRange(args, es)
	if test == "" {
		return value{sql: sql}
	}
	return value{sql: fmt.Sprintf("(CASE WHEN %s THEN %s WHEN %s THEN NULL ELSE error('mdb:range:a time') END)", test, sql, null), raises: true}
}

// utc refuses what depends on a session's time zone other than UTC.
func (t *translator) utc() {
	if l := t.context.Location; l != nil && l != time.UTC && l.String() != "UTC" {
		fail("time zone %s", l)
	}
}

// zoned applies a template to arguments of which dates and timestamps became timestamps with time zone.
func zoned(text string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value {
		plain := make([]value, len(args))
		for i, a := range args {
			if plain[i] = a; a.typ.OID == row.Date || a.typ.OID == row.Timestamp {
				plain[i] = t.toZoned(a, exprAt(es, i))
			}
		}
		return value{sql: fill(text, plain), raises: raises(plain)}
	}
}

func exprAt(es []expr.Expr, i int) []expr.Expr {
	if i < len(es) {
		return es[i : i+1]
	}
	return nil
}

// toZoned is a date or timestamp in the session's zone as TIMESTAMPTZ. (epoch_us gives NULL for an infinity.)
func (t *translator) toZoned(v value, e []expr.Expr) value {
	t.utc()
	return t.guarded("make_timestamptz(epoch_us(CAST("+v.sql+" AS TIMESTAMP)))", []value{v}, e)
}

// local is a usual timestamp or date as TIMESTAMP in UTC.
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
	s := fmt.Sprintf("date_trunc('%s', %s)", u, t.local(args[1]))
	if args[1].typ.OID == row.TimestampTZ {
		s = "make_timestamptz(epoch_us(" + s + "))"
	}
	return t.guarded(s, args[1:2], es[1:2])
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
		guard := func(s string) string { return t.guarded(s, args[1:2], es[1:2]).sql }
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
	return t.guarded(s, args[1:], es[1:])
}
