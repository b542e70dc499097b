package exec

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// aggCall is a compiled aggregate.
type aggCall struct {
	fn       *expr.Func
	args     []expr.Evaluator // direct arguments first
	types    []row.Type
	typ      row.Type
	filter   expr.Predicate
	order    *sortKeys
	distinct bool
	nulls    bool // rows with NULL arguments count
	direct   int
}

func (c *compiler) aggCall(fn *expr.Func, direct, args []expr.Expr, star bool, typ row.Type) (*aggCall, error) {
	if fn.Kind != expr.AggregateFunc {
		return nil, errs.SQL("42809", "%s is not an aggregate function", fn.Name)
	}
	call := &aggCall{fn: fn, typ: typ, nulls: fn.NullsToo() || star, direct: len(direct)}
	if star {
		return call, nil
	}
	for _, e := range append(direct[:len(direct):len(direct)], args...) {
		compiled, err := c.expr(recordAsJSON(fn, e))
		if err != nil {
			return nil, err
		}
		call.args = append(call.args, compiled)
		call.types = append(call.types, e.Type())
	}
	return call, nil
}

// recordAsJSON gives JSON aggregates a record with its fields' names.
func recordAsJSON(fn *expr.Func, e expr.Expr) expr.Expr {
	if _, ok := e.(*expr.Record); !ok || fn.Name != "json_agg" && fn.Name != "jsonb_agg" {
		return e
	}
	to := expr.Lookup("row_to_json", row.Record)
	return &expr.Call{Func: to, Args: []expr.Expr{e}, Typ: row.T(row.JSON)}
}

func (c *compiler) aggregateCall(p *plan.AggregateCall) (*aggCall, error) {
	call, err := c.aggCall(p.Func, p.Direct, p.Args, p.Star, p.Typ)
	if err != nil {
		return nil, err
	}
	for i, e := range append(p.Direct[:len(p.Direct):len(p.Direct)], p.Args...) {
		if recordAsJSON(p.Func, e) != e {
			call.types[i] = row.T(row.JSON)
		}
	}
	call.distinct = p.Distinct
	if call.filter, err = c.predicate(p.Filter); err != nil {
		return nil, err
	}
	if len(p.OrderBy) > 0 {
		call.order, err = c.sortKeys(p.OrderBy)
	}
	return call, err
}

// aggState is one aggregate over one group.
type aggState struct {
	acc  expr.Accumulator
	seen *table  // DISTINCT
	list []keyed // ORDER BY: arguments waiting for their order
}

func (call *aggCall) start() aggState {
	s := aggState{acc: call.fn.NewAccumulator(call.types, call.typ)}
	if call.distinct {
		s.seen = newTable(call.types)
	}
	return s
}

// add takes one input row; bytes is what the state keeps of it.
func (call *aggCall) add(ectx *expr.Ctx, s *aggState, r row.Row) (bytes int64, err error) {
	if call.filter != nil {
		if ok, err := call.filter(ectx, r); err != nil || !ok {
			return 0, err
		}
	}
	if len(call.args) == 0 {
		return 0, s.acc.Add(ectx, nil)
	}
	args := make([]row.Value, len(call.args))
	for i, e := range call.args {
		v, err := e(ectx, r)
		if err != nil {
			return 0, err
		}
		if v.IsNull() && !call.nulls {
			return 0, nil
		}
		args[i] = v
	}
	if s.seen != nil {
		if _, fresh := s.seen.put(args); !fresh {
			return 0, nil
		}
		bytes += row.Row(args).Bytes()
	}
	if call.order != nil {
		keys, err := evalRow(ectx, call.order.exprs, r)
		if err != nil {
			return 0, err
		}
		s.list = append(s.list, keyed{keys, args, len(s.list)})
		return bytes + row.Row(args).Bytes() + row.Row(keys).Bytes(), nil
	}
	if call.nulls {
		bytes += row.Row(args).Bytes() // collecting aggregates keep their arguments
	}
	return bytes, s.acc.Add(ectx, args)
}

func (call *aggCall) result(ectx *expr.Ctx, s *aggState) (row.Value, error) {
	if call.order != nil {
		sortKeyed(call.order, s.list)
		for _, k := range s.list {
			if err := s.acc.Add(ectx, k.row); err != nil {
				return row.Null, err
			}
		}
		s.list = nil
	}
	return s.acc.Result(ectx)
}

// aggregateOp groups by a hash table, once for each grouping set.
type aggregateOp struct {
	input  operator
	groups []expr.Evaluator
	types  []row.Type
	sets   [][]int // nil: one of all
	calls  []*aggCall
}

func (c *compiler) aggregate(n *plan.Aggregate) (operator, error) {
	reads := [][]expr.Expr{n.Groups}
	for _, call := range n.Calls {
		reads = append(reads, call.Args, call.Direct, sortExprs(call.OrderBy), []expr.Expr{call.Filter})
	}
	input, err := c.inputOf(n.Input, reads...)
	if err != nil {
		return nil, err
	}
	op := &aggregateOp{input: input, sets: n.Sets}
	for _, g := range n.Groups {
		op.types = append(op.types, g.Type())
	}
	if op.groups, err = c.exprs(n.Groups); err != nil {
		return nil, err
	}
	for i := range n.Calls {
		call, err := c.aggregateCall(&n.Calls[i])
		if err != nil {
			return nil, err
		}
		op.calls = append(op.calls, call)
	}
	return op, nil
}

// grouping is the groups of one grouping set.
type grouping struct {
	set    []int
	mask   int64 // a bit is set for each group expression that is not in the set, the first one the highest
	table  *table
	states [][]aggState
	// last is the entry of the row before: rows often come in runs.
	last int
}

func (op *aggregateOp) open(x *execution) (cursor, error) {
	in, err := op.input.open(x)
	if err != nil {
		return nil, err
	}
	defer in.close()
	mem := &reservation{s: x.shared}
	groupings := op.groupings()
	key := make(row.Row, len(op.groups))
	for {
		rows, err := in.next()
		if err != nil {
			mem.release()
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		if err := x.check(); err != nil {
			mem.release()
			return nil, err
		}
		for _, r := range rows {
			for i, g := range op.groups {
				if key[i], err = g(x.ectx, r); err != nil {
					mem.release()
					return nil, err
				}
			}
			for _, g := range groupings {
				if err := op.addRow(x, g, key, r, mem); err != nil {
					mem.release()
					return nil, err
				}
			}
		}
	}
	out, err := op.results(x, groupings)
	if err != nil {
		mem.release()
		return nil, err
	}
	return &listCursor{out, mem}, nil
}

func (op *aggregateOp) groupings() []*grouping {
	sets := op.sets
	if sets == nil {
		all := make([]int, len(op.groups))
		for i := range all {
			all[i] = i
		}
		sets = [][]int{all}
	}
	out := make([]*grouping, len(sets))
	for i, set := range sets {
		g := &grouping{set: set, last: -1, mask: 1<<len(op.groups) - 1}
		types := make([]row.Type, len(set))
		for j, at := range set {
			types[j] = op.types[at]
			g.mask &^= 1 << (len(op.groups) - 1 - at)
		}
		g.table = newTable(types)
		if len(set) == 0 { // one group, also of no rows
			g.table.put(row.Row{})
			g.states = append(g.states, op.start())
		}
		out[i] = g
	}
	return out
}

func (op *aggregateOp) start() []aggState {
	states := make([]aggState, len(op.calls))
	for i, call := range op.calls {
		states[i] = call.start()
	}
	return states
}

func (op *aggregateOp) addRow(x *execution, g *grouping, all row.Row, r row.Row, mem *reservation) error {
	entry := 0
	if len(g.set) > 0 {
		key := all
		if len(g.set) != len(all) || op.sets != nil {
			key = make(row.Row, len(g.set))
			for i, at := range g.set {
				key[i] = all[at]
			}
		}
		if g.last >= 0 && g.table.equal(g.table.keys[g.last], key) {
			entry = g.last
		} else if entry = g.table.find(key); entry < 0 {
			entry, _ = g.table.put(append(row.Row(nil), key...))
			g.states = append(g.states, op.start())
			if err := mem.hold(key.Bytes() + int64(64*len(op.calls)) + 48); err != nil {
				return err
			}
		}
		g.last = entry
	}
	states := g.states[entry]
	for i, call := range op.calls {
		n, err := call.add(x.ectx, &states[i], r)
		if err == nil && n > 0 {
			err = mem.hold(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (op *aggregateOp) results(x *execution, groupings []*grouping) ([]row.Row, error) {
	width := len(op.groups) + len(op.calls)
	if op.sets != nil {
		width++
	}
	var out []row.Row
	for _, g := range groupings {
		for entry, states := range g.states {
			r := make(row.Row, width)
			for i, at := range g.set {
				r[at] = g.table.keys[entry][i]
			}
			for i, call := range op.calls {
				v, err := call.result(x.ectx, &states[i])
				if err != nil {
					return nil, err
				}
				r[len(op.groups)+i] = v
			}
			if op.sets != nil {
				r[width-1] = row.NewInt(g.mask)
			}
			out = append(out, r)
		}
	}
	return out, nil
}
