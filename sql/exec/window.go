package exec

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// windowOp adds one column per call; its rows come out in the order of the last call's window.
type windowOp struct {
	input operator
	calls []*windowCall
	width int
}

// windowCall is a compiled call over a window.
type windowCall struct {
	fn        *expr.Func
	args      []expr.Evaluator
	agg       *aggCall // an aggregate; nil: a window function
	filter    expr.Predicate
	partition *sortKeys
	order     *sortKeys
	frame     plan.Frame
	// start and end are the frame's offsets; low and high add them to the order key in RANGE mode.
	start, end  expr.Evaluator
	ignoreNulls bool
	less, more  func(ctx *expr.Ctx, args []row.Value) (row.Value, error) // key - offset, key + offset
	lessEnd     func(ctx *expr.Ctx, args []row.Value) (row.Value, error)
	moreEnd     func(ctx *expr.Ctx, args []row.Value) (row.Value, error)
}

func (c *compiler) window(n *plan.Window) (operator, error) {
	input, err := c.compile(n.Input)
	if err != nil {
		return nil, err
	}
	op := &windowOp{input: input, width: len(n.Input.Columns())}
	for i := range n.Calls {
		call, err := c.windowCall(&n.Calls[i])
		if err != nil {
			return nil, err
		}
		op.calls = append(op.calls, call)
	}
	return op, nil
}

func (c *compiler) windowCall(p *plan.WindowCall) (*windowCall, error) {
	call := &windowCall{fn: p.Func, frame: p.Frame, ignoreNulls: p.IgnoreNulls}
	partition := make([]plan.SortKey, len(p.PartitionBy))
	for i, e := range p.PartitionBy {
		partition[i] = plan.SortKey{Expr: e}
	}
	var err error
	if call.partition, err = c.sortKeys(partition); err != nil {
		return nil, err
	}
	if call.order, err = c.sortKeys(p.OrderBy); err != nil {
		return nil, err
	}
	if call.filter, err = c.predicate(p.Filter); err != nil {
		return nil, err
	}
	if p.Func.Kind == expr.AggregateFunc {
		if call.agg, err = c.aggCall(p.Func, nil, p.Args, p.Star, p.Typ); err != nil {
			return nil, err
		}
		call.agg.filter = call.filter
	} else if call.args, err = c.exprs(p.Args); err != nil {
		return nil, err
	}
	if p.Frame.Start.Offset != nil {
		if call.start, err = c.expr(p.Frame.Start.Offset); err != nil {
			return nil, err
		}
	}
	if p.Frame.End.Offset != nil {
		if call.end, err = c.expr(p.Frame.End.Offset); err != nil {
			return nil, err
		}
	}
	if p.Frame.Mode == plan.Range && (call.start != nil || call.end != nil) {
		err = call.rangeOffsets(p)
	}
	return call, err
}

// rangeOffsets finds the + and - that move the order key.
func (call *windowCall) rangeOffsets(p *plan.WindowCall) error {
	if len(p.OrderBy) != 1 {
		return errs.SQL("42P20", "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
	}
	key := p.OrderBy[0].Expr.Type()
	find := func(op string, offset expr.Expr) (func(*expr.Ctx, []row.Value) (row.Value, error), error) {
		if offset == nil {
			return nil, nil
		}
		f, castTo, ret, err := expr.ResolveOperator(op, key, offset.Type())
		if err != nil {
			return nil, err
		}
		eval := f.Bind(castTo, ret)
		var casts [2]expr.CastFunc
		for i, from := range []row.Type{key, offset.Type()} {
			if casts[i], err = expr.NewCast(from, castTo[i], expr.Implicit); err != nil {
				return nil, err
			}
		}
		back, err := expr.NewCast(ret, key, expr.Explicit)
		if err != nil {
			return nil, err
		}
		return func(ctx *expr.Ctx, args []row.Value) (row.Value, error) {
			in := []row.Value{args[0], args[1]}
			for i, cast := range casts {
				if cast == nil {
					continue
				}
				if in[i], err = cast(ctx, in[i]); err != nil {
					return row.Null, err
				}
			}
			v, err := eval(ctx, in)
			if err != nil || back == nil {
				return v, err
			}
			return back(ctx, v)
		}, nil
	}
	var err error
	if call.less, err = find("-", p.Frame.Start.Offset); err != nil {
		return err
	}
	if call.more, err = find("+", p.Frame.Start.Offset); err != nil {
		return err
	}
	if call.lessEnd, err = find("-", p.Frame.End.Offset); err != nil {
		return err
	}
	call.moreEnd, err = find("+", p.Frame.End.Offset)
	return err
}

func (op *windowOp) open(x *execution) (cursor, error) {
	mem := &reservation{s: x.shared}
	rows, err := drain(x, op.input, mem)
	if err == nil {
		err = mem.hold(int64(len(rows)) * int64(row.ValueBytes*(op.width+len(op.calls))))
	}
	if err == nil {
		rows, err = op.compute(x, rows)
	}
	if err != nil {
		mem.release()
		return nil, err
	}
	return &listCursor{rows, mem}, nil
}

// windowRow is a row on its way through the calls.
type windowRow struct {
	in, out  row.Row
	part     row.Row // partition key of the current call
	keys     row.Row // order key
	original int
}

func (op *windowOp) compute(x *execution, rows []row.Row) ([]row.Row, error) {
	list := make([]*windowRow, len(rows))
	for i, r := range rows {
		out := make(row.Row, op.width+len(op.calls))
		copy(out, r)
		list[i] = &windowRow{in: r, out: out, original: i}
	}
	for n, call := range op.calls {
		for _, w := range list {
			var err error
			if w.part, err = evalRow(x.ectx, call.partition.exprs, w.in); err != nil {
				return nil, err
			}
			if w.keys, err = evalRow(x.ectx, call.order.exprs, w.in); err != nil {
				return nil, err
			}
		}
		call.sort(list)
		for start := 0; start < len(list); {
			end := start + 1
			for end < len(list) && call.partition.compare(list[start].part, list[end].part) == 0 {
				end++
			}
			if err := x.check(); err != nil {
				return nil, err
			}
			p := &partition{x: x, call: call, rows: list[start:end], column: op.width + n}
			if err := p.compute(); err != nil {
				return nil, err
			}
			start = end
		}
	}
	for i, w := range list {
		rows[i] = w.out
	}
	return rows, nil
}
