package expr

import (
	"math"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
)

// NullsToo reports whether f, an aggregate, takes rows with NULL arguments; the others skip them.
func (f *Func) NullsToo() bool {
	switch f.Name {
	case "array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "string_agg", "percentile_cont", "percentile_disc", "mode":
		return true
	}
	return false
}

// OrderedSet reports whether f is an ordered-set aggregate (WITHIN GROUP): its direct arguments come first.
func (f *Func) OrderedSet() bool {
	return f.Name == "percentile_cont" || f.Name == "percentile_disc" || f.Name == "mode"
}

// aggregates holds the aggregate functions (PostgreSQL 9.21).
var aggregates = aggregateDefs()

// tidy: long: a table.
func aggregateDefs() []def {
	defs := []def{
		{"count() int8", 0, aggregate(newCounter)},
		{"count(any) int8", 0, aggregate(newCounter)},
		{"sum(int2) int8", 0, newIntSum(sumAsInt8)},
		{"sum(int4) int8", 0, newIntSum(sumAsInt8)},
		{"sum(int8) numeric", 0, newIntSum(sumAsNumeric)},
		{"sum(numeric) numeric", 0, newValueSum(numericAdd, nil)},
		{"sum(float4) float4", 0, newValueSum(floatAdd(true), nil)},
		{"sum(float8) float8", 0, newValueSum(floatAdd(false), nil)},
		{"sum(interval) interval", 0, newValueSum(intervalAdd, nil)},
		{"avg(int2) numeric", 0, newIntSum(averageOfInts)},
		{"avg(int4) numeric", 0, newIntSum(averageOfInts)},
		{"avg(int8) numeric", 0, newIntSum(averageOfInts)},
		{"avg(numeric) numeric", 0, newValueSum(numericAdd, averageNumeric)},
		{"avg(float4) float8", 0, newMoments(1, func(m *moments) float64 { return m.sum / m.n })},
		{"avg(float8) float8", 0, newMoments(1, func(m *moments) float64 { return m.sum / m.n })},
		{"avg(interval) interval", 0, newValueSum(intervalAdd, averageInterval)},
		{"bool_and(bool) bool", 0, newBooleans(false)},
		{"every(bool) bool", 0, newBooleans(false)},
		{"bool_or(bool) bool", 0, newBooleans(true)},
		{"string_agg(text,text) text", nullable, aggregate(func([]row.Type, row.Type) Accumulator { return &stringAgg{} })},
		{"string_agg(bytea,bytea) bytea", nullable, aggregate(func([]row.Type, row.Type) Accumulator { return &stringAgg{bytes: true} })},
		{"array_agg(anynonarray) anyarray", nullable, aggregate(func([]row.Type, row.Type) Accumulator { return &arrayAgg{} })},
		{"array_agg(anyarray) anyarray", nullable, aggregate(func([]row.Type, row.Type) Accumulator { return &arrayAgg{} })},
		{"json_agg(anyelement) json", nullable, newJSONAgg(false, false)},
		{"jsonb_agg(anyelement) jsonb", nullable, newJSONAgg(false, true)},
		{"json_object_agg(any,any) json", nullable, newJSONAgg(true, false)},
		{"jsonb_object_agg(any,any) jsonb", nullable, newJSONAgg(true, true)},
		{"percentile_cont(float8,float8) float8", nullable, newPercentile(true)},
		{"percentile_cont(float8,interval) interval", nullable, newPercentile(true)},
		{"percentile_cont(_float8,float8) _float8", nullable, newPercentile(true)},
		{"percentile_cont(_float8,interval) _interval", nullable, newPercentile(true)},
		{"percentile_disc(float8,anyelement) anyelement", nullable, newPercentile(false)},
		{"percentile_disc(_float8,anyelement) anyarray", nullable, newPercentile(false)},
		{"mode(anyelement) anyelement", nullable, aggregate(func(t []row.Type, _ row.Type) Accumulator { return &mode{t: t[len(t)-1]} })},
		{"corr(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) {
			return m.sxy / math.Sqrt(m.sxx*m.syy), m.sxx != 0 && m.syy != 0
		})},
		{"covar_pop(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.sxy / m.n, true })},
		{"covar_samp(float8,float8) float8", 0, newPairMoments(2, func(m *pairMoments) (float64, bool) { return m.sxy / (m.n - 1), true })},
		{"regr_count(float8,float8) int8", 0, aggregate(newCounter)},
		{"regr_avgx(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.sx / m.n, true })},
		{"regr_avgy(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.sy / m.n, true })},
		{"regr_sxx(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.sxx, true })},
		{"regr_syy(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.syy, true })},
		{"regr_sxy(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.sxy, true })},
		{"regr_slope(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) { return m.sxy / m.sxx, m.sxx != 0 })},
		{"regr_intercept(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) {
			return (m.sy - m.sx*m.sxy/m.sxx) / m.n, m.sxx != 0
		})},
		{"regr_r2(float8,float8) float8", 0, newPairMoments(1, func(m *pairMoments) (float64, bool) {
			if m.sxx == 0 {
				return 0, false
			}
			if m.syy == 0 {
				return 1, true
			}
			return m.sxy * m.sxy / (m.sxx * m.syy), true
		})},
	}
	for _, t := range strings.Fields("int2 int4 int8 oid float4 float8 numeric text bpchar date time timetz timestamp timestamptz interval anyarray") {
		defs = append(defs, def{"min(" + t + ") " + t, 0, newExtreme(-1)}, def{"max(" + t + ") " + t, 0, newExtreme(1)})
	}
	for _, t := range strings.Fields("int2 int4 int8") {
		defs = append(defs, def{"bit_and(" + t + ") " + t, 0, newFolded(intAnd)}, def{"bit_or(" + t + ") " + t, 0, newFolded(intOr)},
			def{"bit_xor(" + t + ") " + t, 0, newFolded(intXor)})
	}
	for _, name := range strings.Fields("stddev stddev_samp stddev_pop variance var_samp var_pop") {
		samp, root := !strings.HasSuffix(name, "pop"), strings.HasPrefix(name, "stddev")
		for _, t := range strings.Fields("int2 int4 int8 numeric") {
			defs = append(defs, def{name + "(" + t + ") numeric", 0, newNumericMoments(samp, root)})
		}
		least, less := 1.0, 0.0
		if samp {
			least, less = 2, 1
		}
		for _, t := range strings.Fields("float4 float8") {
			defs = append(defs, def{name + "(" + t + ") float8", 0, newMoments(least, func(m *moments) float64 {
				v := m.sxx / (m.n - less)
				if root {
					return math.Sqrt(v)
				}
				return v
			})})
		}
	}
	return defs
}

// windows holds the window functions (PostgreSQL 9.22); the executor computes them from their names.
var windows = []def{
	{"row_number() int8", nullable, window{}},
	{"rank() int8", nullable, window{}},
	{"dense_rank() int8", nullable, window{}},
	{"percent_rank() float8", nullable, window{}},
	{"cume_dist() float8", nullable, window{}},
	{"ntile(int4) int4", 0, window{}},
	{"lag(anyelement) anyelement", 0, window{}},
	{"lag(anyelement,int4) anyelement", 0, window{}},
	{"lag(anycompatible,int4,anycompatible) anycompatible", 0, window{}},
	{"lead(anyelement) anyelement", 0, window{}},
	{"lead(anyelement,int4) anyelement", 0, window{}},
	{"lead(anycompatible,int4,anycompatible) anycompatible", 0, window{}},
	{"first_value(anyelement) anyelement", 0, window{}},
	{"last_value(anyelement) anyelement", 0, window{}},
	{"nth_value(anyelement,int4) anyelement", 0, window{}},
}
