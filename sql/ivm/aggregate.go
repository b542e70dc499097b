package ivm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/processors/circuit"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// grouping compiles one Aggregate: columns for its operator, calls of it, and the expressions that make the plan's columns
// of its results.
type grouping struct {
	c    *compiler
	in   *stream
	node *plan.Aggregate
	// groups are the group expressions over the input; shown and keys their places.
	shown, keys []int
	calls       []op.Call
	names       map[string]int // calls by what they compute
	folds       []string       // what the folds compute, for the label
	results     []result
}

// result makes a plan call's value of the operator's calls: build gets their columns.
type result struct {
	calls []int
	build func(cols []expr.Expr) (expr.Expr, error)
}

func (c *compiler) aggregate(n *plan.Aggregate) (*stream, error) {
	need := columnsOf(nil, plan.Exprs(n)...)
	in, err := c.compile(n.Input, need)
	if err != nil {
		return nil, err
	}
	g := &grouping{c: c, node: n, names: map[string]int{}}
	groups := make([]expr.Expr, len(n.Groups))
	for i, e := range n.Groups {
		groups[i] = in.local(e)
	}
	if g.in, g.shown, g.keys, err = c.normal(in, groups); err != nil {
		return nil, err
	}
	for i := range n.Calls {
		if err := g.call(&n.Calls[i]); err != nil {
			return nil, err
		}
	}
	if n.Sets == nil {
		out, err := g.set(indexes(len(n.Groups)), false)
		if err == nil && len(n.Groups) > 0 {
			out.key = indexes(len(n.Groups))
		}
		return out, err
	}
	var wires []circuit.Wire
	var out *stream
	for _, s := range n.Sets {
		if out, err = g.set(s, true); err != nil {
			return nil, err
		}
		wires = append(wires, out.wire)
	}
	if len(wires) > 1 {
		out.wire = c.graph.Add(op.Union{}, "union all of grouping sets", wires...)
	}
	return out, nil
}

// set adds the operator for one grouping set and the projection to the plan's columns.
func (g *grouping) set(set []int, mask bool) (*stream, error) {
	spec := op.AggregateSpec{Calls: slices.Clone(g.calls)}
	inexact := false
	for _, i := range set {
		spec.Keys = append(spec.Keys, g.keys[i])
		spec.Show = append(spec.Show, g.shown[i])
		inexact = inexact || g.keys[i] != g.shown[i]
	}
	if !inexact {
		spec.Show = nil
	}
	a, err := op.NewAggregate(g.in.schema, spec)
	if err != nil {
		return nil, err
	}
	var calls []string
	for i := range spec.Calls {
		calls = append(calls, spec.Calls[i].String())
	}
	label := fmt.Sprintf("aggregate by %v: %s%s", spec.Keys, strings.Join(calls, ", "), strings.Join(g.folds, ""))
	s := &stream{schema: a.Schema(), wire: g.c.graph.Add(a, label, g.in.wire)}
	for _, i := range set {
		s.types = append(s.types, g.node.Groups[i].Type())
	}
	for i := range spec.Calls {
		t, _ := row.FieldType(spec.Calls[i].Result)
		s.types = append(s.types, t)
	}
	return g.finish(s, set, mask)
}

// finish computes the plan's columns: groups (null when not in the set), calls, and the grouping mask.
func (g *grouping) finish(s *stream, set []int, mask bool) (*stream, error) {
	var exprs []expr.Expr
	var names []string
	bits := int64(0)
	for i, e := range g.node.Groups {
		bits <<= 1
		at := slices.Index(set, i)
		if at < 0 {
			bits |= 1
			exprs = append(exprs, &expr.Const{Typ: e.Type()})
		} else {
			exprs = append(exprs, s.column(at))
		}
	}
	for _, r := range g.results {
		cols := make([]expr.Expr, len(r.calls))
		for i, call := range r.calls {
			cols[i] = s.column(len(set) + call)
		}
		e, err := r.build(cols)
		if err != nil {
			return nil, err
		}
		exprs = append(exprs, e)
	}
	if mask {
		exprs = append(exprs, &expr.Const{Value: row.NewInt(bits), Typ: row.T(row.Int4)})
	}
	for i := range exprs {
		names = append(names, fmt.Sprintf("a%d", i))
	}
	return g.c.project(s, exprs, names)
}

// add gives the operator's call of a kind over columns, one per computation.
func (g *grouping) add(c op.Call) int {
	c.Result.Name = fmt.Sprintf("c%d", len(g.calls))
	key := c.String()
	if c.Kind == op.Fold {
		key += g.folds[len(g.folds)-1]
	}
	if at, ok := g.names[key]; ok {
		return at
	}
	g.names[key] = len(g.calls)
	g.calls = append(g.calls, c)
	return len(g.calls) - 1
}

// columns computes expressions over the input's own columns; it gives their places.
func (g *grouping) columns(es ...expr.Expr) ([]int, error) {
	local := make([]expr.Expr, len(es))
	for i, e := range es {
		local[i] = g.in.local(e)
	}
	in, places, _, err := g.c.extend(g.in, local, nil)
	g.in = in
	return places, err
}

// call adds what one aggregate of the plan needs.
func (g *grouping) call(c *plan.AggregateCall) error {
	call := op.Call{Arg: -1, Filter: -1, AppendOnly: g.in.appendOnly}
	if c.Filter != nil {
		at, err := g.columns(c.Filter)
		if err != nil {
			return err
		}
		call.Filter = at[0]
	}
	if len(c.Args) > 1 || len(c.Direct) > 0 {
		return g.fold(c, call)
	}
	if len(c.Args) == 1 {
		at, err := g.columns(c.Args[0])
		if err != nil {
			return err
		}
		call.Arg, call.DistinctArg = at[0], at[0]
	}
	if c.Distinct {
		in, _, keys, err := g.c.normal(g.in, []expr.Expr{g.in.column(call.Arg)})
		if err != nil {
			return err
		}
		g.in, call.Distinct, call.DistinctArg = in, true, keys[0]
	}
	return g.simple(c, call)
}

func only(cols []expr.Expr) (expr.Expr, error) { return cols[0], nil }

// simple maps an aggregate of at most one argument to calls of the operator.
func (g *grouping) simple(c *plan.AggregateCall, call op.Call) error {
	var arg row.Type
	if len(c.Args) == 1 {
		arg = c.Args[0].Type()
	}
	kind := func(k op.CallKind) int { call.Kind = k; return g.add(call) }
	switch name := c.Func.Name; {
	case name == "count":
		g.results = append(g.results, result{[]int{kind(op.Count)}, only})
	case name == "sum" && summable(arg):
		g.results = append(g.results, result{[]int{kind(op.SumInt)}, castTo(c.Typ)})
	case name == "avg" && summable(arg):
		g.results = append(g.results, result{[]int{kind(op.SumInt), kind(op.Count)}, quotient(row.Numeric)})
	case name == "sum" && row.KindOf(arg.OID) == row.KindFloat:
		g.results = append(g.results, result{[]int{kind(op.SumFloat)}, castTo(c.Typ)})
	case name == "avg" && row.KindOf(arg.OID) == row.KindFloat:
		g.results = append(g.results, result{[]int{kind(op.SumFloat), kind(op.Count)}, quotient(row.Float8)})
	case name == "min" && orderable(arg):
		g.results = append(g.results, result{[]int{kind(op.Min)}, castTo(c.Typ)})
	case name == "max" && orderable(arg):
		g.results = append(g.results, result{[]int{kind(op.Max)}, castTo(c.Typ)})
	case name == "bool_and" || name == "every":
		g.results = append(g.results, result{[]int{kind(op.BoolAnd)}, only})
	case name == "bool_or":
		g.results = append(g.results, result{[]int{kind(op.BoolOr)}, only})
	default:
		return g.fold(c, call)
	}
	return nil
}

// summable types are added in 128 bits: integers, and decimals with room for 10^10 rows.
func summable(t row.Type) bool {
	switch t.OID {
	case row.Int2, row.Int4, row.Int8:
		return true
	case row.Numeric:
		d, ok := row.ArrowType(t).(*arrow.Decimal128Type)
		return ok && d.Precision <= 28
	}
	return false
}

// orderable types have the order of their Arrow form.
func orderable(t row.Type) bool {
	switch t.OID {
	case row.Int2, row.Int4, row.Int8, row.Float4, row.Float8, row.Date, row.Time, row.Timestamp, row.TimestampTZ, row.Text, row.VarChar, row.Bytea:
		return true
	}
	return false
}

// castTo makes the aggregate's own type of a result column.
func castTo(t row.Type) func([]expr.Expr) (expr.Expr, error) {
	return func(cols []expr.Expr) (expr.Expr, error) {
		if cols[0].Type() == t {
			return cols[0], nil
		}
		return &expr.Cast{Arg: cols[0], To: t, Context: expr.Explicit}, nil
	}
}

// quotient is sum / count in a type.
func quotient(oid row.OID) func([]expr.Expr) (expr.Expr, error) {
	return func(cols []expr.Expr) (expr.Expr, error) {
		div := expr.Lookup("/", oid, oid)
		if div == nil {
			return nil, unsupported("no division of type %d", oid)
		}
		args := make([]expr.Expr, 2)
		for i, c := range cols {
			args[i] = c
			if c.Type() != row.T(oid) {
				args[i] = &expr.Cast{Arg: c, To: row.T(oid), Context: expr.Explicit}
			}
		}
		return &expr.Call{Func: div, Args: args, Typ: row.T(oid)}, nil
	}
}
