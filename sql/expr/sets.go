package expr

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// maxSeries bounds the rows that one call of a set-returning function makes: they are held in memory.
const maxSeries = 50_000_000

var (
	errSeries   = errs.SQL("54000", "a series of more than %d rows is not possible", maxSeries)
	errStepZero = errs.SQL("22023", "step size cannot equal zero")
)

func seriesInt(_ *Ctx, args []row.Value) ([]row.Row, error) {
	from, to, step := args[0].Int(), args[1].Int(), int64(1)
	if len(args) > 2 {
		step = args[2].Int()
	}
	if step == 0 {
		return nil, errStepZero
	}
	if step > 0 && from > to || step < 0 && from < to {
		return nil, nil
	}
	span := uint64(to) - uint64(from)
	if step < 0 {
		span = uint64(from) - uint64(to)
	}
	n := span/magnitude(step) + 1
	if n > maxSeries {
		return nil, errSeries
	}
	values := make([]row.Value, n)
	for i := range values {
		values[i] = row.NewInt(from + int64(i)*step)
	}
	return rowsOf(values), nil
}

func seriesNumeric(_ *Ctx, args []row.Value) ([]row.Row, error) {
	at, to, step := args[0], args[1], row.NewNumeric(1, 0)
	if len(args) > 2 {
		step = args[2]
	}
	for _, v := range []row.Value{at, to, step} {
		if !finite(v) {
			return nil, errs.SQL("22023", "start, stop and step of a series must be finite")
		}
	}
	sign := numericSign(step)
	if sign == 0 {
		return nil, errStepZero
	}
	scale := max(at.Scale(), step.Scale())
	at = row.RoundNumeric(at, scale)
	var values []row.Value
	for row.Compare(at, to)*sign <= 0 {
		if len(values) >= maxSeries {
			return nil, errSeries
		}
		values = append(values, at)
		var err error
		if at, err = numericAdd(at, step); err != nil {
			return nil, err
		}
	}
	return rowsOf(values), nil
}

// seriesTime steps by an interval with add.
func seriesTime(add evalFunc) func(*Ctx, []row.Value) ([]row.Row, error) {
	return func(ctx *Ctx, args []row.Value) ([]row.Row, error) {
		at, to, step := args[0], args[1], args[2]
		sign := intervalSign(step)
		if sign == 0 {
			return nil, errStepZero
		}
		if at.IsInf() != 0 || to.IsInf() != 0 {
			return nil, errs.SQL("22023", "start and stop of a series must be finite")
		}
		var values []row.Value
		for row.Compare(at, to)*sign <= 0 {
			if len(values) >= maxSeries {
				return nil, errSeries
			}
			values = append(values, at)
			var err error
			if at, err = add(ctx, []row.Value{at, step}); err != nil {
				return nil, err
			}
		}
		return rowsOf(values), nil
	}
}

// describedRows is a set-returning catalog function that Env answers with an array of records.
func describedRows(name string) func(*Ctx, []row.Value) ([]row.Row, error) {
	return func(ctx *Ctx, args []row.Value) ([]row.Row, error) {
		if ctx.Env == nil {
			return nil, nil
		}
		v, ok, err := ctx.Env.Describe(name, args)
		if err != nil || !ok {
			return nil, err
		}
		var out []row.Row
		for _, r := range v.List() {
			out = append(out, row.Row(r.List()))
		}
		return out, nil
	}
}

// optionRows is pg_options_to_table: "name=value" elements.
func optionRows(_ *Ctx, args []row.Value) ([]row.Row, error) {
	var out []row.Row
	for _, o := range args[0].List() {
		r := row.Row{o, row.Null}
		for i := range len(o.Str()) {
			if o.Str()[i] == '=' {
				r = row.Row{row.NewText(o.Str()[:i]), row.NewText(o.Str()[i+1:])}
				break
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// series holds the set-returning functions that belong to no other family (PostgreSQL 9.25).
var series = []def{
	{"generate_series(int4,int4) int4", 0, setFunc{set: seriesInt}},
	{"generate_series(int4,int4,int4) int4", 0, setFunc{set: seriesInt}},
	{"generate_series(int8,int8) int8", 0, setFunc{set: seriesInt}},
	{"generate_series(int8,int8,int8) int8", 0, setFunc{set: seriesInt}},
	{"generate_series(numeric,numeric) numeric", 0, setFunc{set: seriesNumeric}},
	{"generate_series(numeric,numeric,numeric) numeric", 0, setFunc{set: seriesNumeric}},
	{"generate_series(timestamp,timestamp,interval) timestamp", 0, setFunc{set: seriesTime(plainAdd)}},
	{"generate_series(timestamptz,timestamptz,interval) timestamptz", stable, setFunc{set: seriesTime(zonedAdd)}},
	{"pg_get_keywords() record", stable, setFunc{columns: "word text, catcode char, barelabel bool, catdesc text, baredesc text", set: keywordRows}},
	{"pg_options_to_table(_text) record", stable, setFunc{columns: "option_name text, option_value text", set: optionRows}},
	{"aclexplode(aclitem[]) record", stable, setFunc{columns: "grantor oid, grantee oid, privilege_type text, is_grantable bool", set: describedRows("aclexplode")}},
	{"pg_partition_ancestors(regclass) regclass", volatile, setFunc{columns: "relid regclass", set: describedRows("pg_partition_ancestors")}},
	{"pg_timezone_names() record", stable, setFunc{columns: "name text, abbrev text, utc_offset interval, is_dst bool", set: describedRows("pg_timezone_names")}},
}
