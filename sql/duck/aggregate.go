package duck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

func (t *translator) aggregate(n *plan.Aggregate, need []bool, outer *scope) *rel {
	in := make([]bool, len(n.Input.Columns()))
	for _, e := range nodeExprs(n) {
		uses(e, 0, in)
	}
	r := t.node(n.Input, in, outer)
	if r.shaped() {
		r = t.closed(r)
	}
	s := &scope{r.cols, outer}
	out := &rel{from: r.from, where: r.where}
	var groups []string
	for _, g := range n.Groups {
		v := t.groupable(t.expr(g, s))
		key := v
		if v.typ.OID == row.BPChar {
			if key = t.comparable(v); key.sql != v.sql {
				v.sql = "any_value(" + v.sql + ")"
			}
		}
		groups = append(groups, key.sql)
		out.cols = append(out.cols, v)
	}
	for i, c := range n.Calls {
		if k := len(n.Groups) + i; !need[k] {
			out.cols = append(out.cols, value{})
			continue
		}
		v := t.aggregateCall(c, s)
		v.typ = c.Typ
		out.cols = append(out.cols, v)
	}
	if n.Sets != nil {
		if need[len(need)-1] && len(need) > len(out.cols) {
			fail("GROUPING()")
		}
		out.cols = append(out.cols, value{})
	}
	text := out.text() + groupBy(n, groups)
	return t.wrap(text, out.cols)
}

func groupBy(n *plan.Aggregate, groups []string) string {
	if n.Sets == nil {
		if len(groups) == 0 {
			return ""
		}
		return " GROUP BY " + strings.Join(groups, ", ")
	}
	sets := make([]string, len(n.Sets))
	for i, s := range n.Sets {
		names := make([]string, len(s))
		for k, g := range s {
			names[k] = groups[g]
		}
		sets[i] = "(" + strings.Join(names, ", ") + ")"
	}
	return " GROUP BY GROUPING SETS (" + strings.Join(sets, ", ") + ")"
}

// call is an aggregate or window call with its parts translated; suffix is what follows the argument list (FILTER, OVER).
type call struct {
	distinct string
	order    string
	suffix   string
}

// over writes DuckDB's aggregate f over sql.
func (c call) over(f, sql string) string {
	return fmt.Sprintf("%s(%s%s%s)%s", f, c.distinct, sql, c.order, c.suffix)
}

func (t *translator) aggregateCall(a plan.AggregateCall, s *scope) value {
	if len(a.Direct) > 0 {
		fail("an ordered-set aggregate")
	}
	c := call{}
	if a.Distinct {
		c.distinct = "DISTINCT "
	}
	if len(a.OrderBy) > 0 && !orderless[a.Func.Name] {
		if a.Func.Name != "string_agg" || a.Distinct {
			fail("%s with ORDER BY", a.Func.Name)
		}
		c.order = " ORDER BY " + t.orderBy(a.OrderBy, s)
	}
	if a.Filter != nil {
		c.suffix = " FILTER (WHERE " + t.condition(a.Filter, s).sql + ")"
	}
	if a.Star {
		return value{sql: "count(*)" + c.suffix, typ: a.Typ}
	}
	return t.aggregateOver(a.Func, t.exprs(a.Args, s), a.Args, c, a.Typ)
}

// orderless aggregates do not depend on the order of their input.
var orderless = map[string]bool{"count": true, "sum": true, "avg": true, "min": true, "max": true, "bool_and": true, "bool_or": true, "every": true}

// aggregateOver is the allow-list of aggregates.
func (t *translator) aggregateOver(f *expr.Func, args []value, es []expr.Expr, c call, typ row.Type) value {
	name := f.Name
	if name == "count" && len(args) == 1 {
		v := args[0]
		if c.distinct != "" {
			v = t.groupable(t.comparable(v))
		}
		return value{sql: c.over("count", v.sql), typ: typ}
	}
	for _, v := range args {
		if v.opaque {
			fail("%s over %s", name, v.typ)
		}
	}
	switch signature(f) {
	case "sum(int2)", "sum(int4)":
		return value{sql: "CAST(" + c.over("sum", args[0].sql) + " AS BIGINT)", typ: typ}
	case "sum(int8)":
		return value{sql: "CAST(" + c.over("sum", args[0].sql) + " AS " + decimalType(maxDigits, 0) + ")", typ: typ, num: fixed(maxDigits, 0)}
	case "sum(numeric)":
		return sumNumeric(args[0], c)
	case "sum(float8)", "avg(float8)", "sum(interval)":
		return value{sql: c.over(name, args[0].sql), typ: typ}
	case "avg(int2)", "avg(int4)", "avg(int8)":
		sum := value{sql: "CAST(" + c.over("sum", args[0].sql) + " AS " + decimalType(maxDigits, 0) + ")", num: fixed(maxDigits, 0)}
		return average(sum, c, args[0].sql)
	case "avg(numeric)":
		return average(sumNumeric(args[0], c), c, args[0].sql)
	case "bool_and(bool)", "bool_or(bool)":
		return value{sql: c.over(name, args[0].sql), typ: typ}
	case "every(bool)":
		return value{sql: c.over("bool_and", args[0].sql), typ: typ}
	case "string_agg(text,text)":
		if sep, ok := t.constant(es[1]); ok && !sep.IsNull() && c.order != "" {
			return value{sql: fmt.Sprintf("string_agg(%s, %s%s)%s", args[0].sql, args[1].sql, c.order, c.suffix), typ: typ}
		}
	}
	if (name == "min" || name == "max") && len(args) == 1 && orderable(args[0]) {
		v := args[0]
		v.sql = c.over(name, v.sql)
		v.typ = typ
		return v
	}
	fail("aggregate %s", signature(f))
	return value{}
}

// orderable reports whether min and max find the one value: equal values must be the same value.
func orderable(v value) bool {
	switch v.typ.OID {
	case row.BPChar, row.Interval:
		return false
	}
	return !v.opaque && v.num.display == ""
}

func sumNumeric(v value, c call) value {
	d := fixed(maxDigits, v.num.scale)
	if v.num.display != "" {
		d.display = c.over("max", v.num.display)
		if c.distinct != "" {
			fail("sum(DISTINCT) of numerics of different scales")
		}
	}
	return value{sql: "CAST(" + c.over("sum", v.sql) + " AS " + decimalType(maxDigits, v.num.scale) + ")", typ: numericType, num: d}
}

// average is PostgreSQL's: the numeric quotient of sum and count, NULL of nothing.
func average(sum value, c call, arg string) value {
	count := value{sql: "nullif(" + c.over("count", arg) + ", 0)", num: fixed(19, 0)}
	q := quotient(sum, count)
	q.raises = false
	return q
}

func (t *translator) window(n *plan.Window, need []bool, outer *scope) *rel {
	width := len(n.Input.Columns())
	r := t.node(n.Input, inputNeed(n, n.Input, need[:width]), outer)
	if r.shaped() {
		r = t.closed(r)
	}
	s := &scope{r.cols, outer}
	cols := slices.Clone(r.cols)
	for i, c := range n.Calls {
		if !need[width+i] {
			cols = append(cols, value{})
			continue
		}
		v := t.windowCall(c, s)
		v.typ = c.Typ
		cols = append(cols, v)
	}
	out := &rel{from: r.from, where: r.where, cols: cols}
	return t.closed(out)
}

func (t *translator) windowCall(w plan.WindowCall, s *scope) value {
	if w.IgnoreNulls {
		fail("IGNORE NULLS")
	}
	var over []string
	if len(w.PartitionBy) > 0 {
		var keys []string
		for _, v := range t.exprs(w.PartitionBy, s) {
			keys = append(keys, t.groupable(t.comparable(v)).sql)
		}
		over = append(over, "PARTITION BY "+strings.Join(keys, ", "))
	}
	if len(w.OrderBy) > 0 {
		over = append(over, "ORDER BY "+t.orderBy(w.OrderBy, s))
	}
	over = append(over, t.frame(w.Frame))
	c := call{suffix: " OVER (" + strings.Join(over, " ") + ")"}
	if w.Filter != nil {
		c.suffix = " FILTER (WHERE " + t.condition(w.Filter, s).sql + ")" + c.suffix
	}
	if w.Star {
		return value{sql: "count(*)" + c.suffix}
	}
	args := t.exprs(w.Args, s)
	switch w.Func.Name {
	case "row_number", "rank", "dense_rank", "percent_rank", "cume_dist":
		return value{sql: w.Func.Name + "()" + c.suffix}
	case "ntile":
		if n, ok := t.constant(w.Args[0]); !ok || n.IsNull() || n.Int() <= 0 {
			fail("ntile of what is no positive constant")
		}
		return value{sql: "CAST(" + c.over("ntile", args[0].sql) + " AS INTEGER)"}
	case "first_value", "last_value":
		v := args[0]
		if v.num.display != "" {
			fail("%s of numerics of different scales", w.Func.Name)
		}
		v.sql = c.over(w.Func.Name, v.sql)
		return v
	case "lag", "lead", "nth_value":
		return t.shift(w, args, c)
	}
	return t.aggregateOver(w.Func, args, w.Args, c, w.Typ)
}

func (t *translator) shift(w plan.WindowCall, args []value, c call) value {
	v := args[0]
	if v.num.display != "" {
		fail("%s of numerics of different scales", w.Func.Name)
	}
	parts := []string{v.sql}
	if len(args) > 1 {
		n, ok := t.constant(w.Args[1])
		if !ok || n.IsNull() || w.Func.Name == "nth_value" && n.Int() <= 0 {
			fail("%s with a computed offset", w.Func.Name)
		}
		parts = append(parts, fmt.Sprint(n.Int()))
	}
	if len(args) > 2 {
		u := t.unify([]value{v, args[2]}, w.Typ)
		if u.displays != nil {
			fail("%s of numerics of different scales", w.Func.Name)
		}
		v, parts[0] = u.result, u.sqls[0]
		parts = append(parts, u.sqls[1])
	}
	v.sql = c.over(w.Func.Name, strings.Join(parts, ", "))
	return v
}

func (t *translator) frame(f plan.Frame) string {
	mode := [...]string{"RANGE", "ROWS", "GROUPS"}[f.Mode]
	bound := func(b plan.Bound) string {
		switch b.Kind {
		case plan.UnboundedPreceding:
			return "UNBOUNDED PRECEDING"
		case plan.UnboundedFollowing:
			return "UNBOUNDED FOLLOWING"
		case plan.CurrentRow:
			return "CURRENT ROW"
		}
		n, ok := t.constant(b.Offset)
		if !ok || n.IsNull() || f.Mode == plan.Range || n.Int() < 0 {
			fail("a frame with this offset")
		}
		if b.Kind == plan.Preceding {
			return fmt.Sprintf("%d PRECEDING", n.Int())
		}
		return fmt.Sprintf("%d FOLLOWING", n.Int())
	}
	s := mode + " BETWEEN " + bound(f.Start) + " AND " + bound(f.End)
	return s + [...]string{"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"}[f.Exclude]
}
