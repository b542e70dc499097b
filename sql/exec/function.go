package exec

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// setCall is a compiled call of a set-returning function; of a scalar function it gives one row.
type setCall struct {
	args    []expr.Evaluator
	set     func(ctx *expr.Ctx, args []row.Value) ([]row.Row, error)
	scalar  expr.Evaluator
	strict  bool
	spread  bool
	columns int
}

func (c *compiler) setCall(e expr.Expr) (*setCall, error) {
	call, ok := e.(*expr.Call)
	if !ok || call.Func.Kind != expr.SetFunc {
		scalar, err := c.expr(e)
		return &setCall{scalar: scalar, columns: 1}, err
	}
	types := make([]row.Type, len(call.Args))
	for i, a := range call.Args {
		types[i] = a.Type()
	}
	args, err := c.exprs(call.Args)
	return &setCall{args: args, set: call.Func.BindSet(types, call.Typ), strict: call.Func.Strict, spread: call.VariadicArray,
		columns: len(call.Func.SetColumns)}, err
}

func (s *setCall) rows(ectx *expr.Ctx, in row.Row) ([]row.Row, error) {
	if s.scalar != nil {
		v, err := s.scalar(ectx, in)
		return []row.Row{{v}}, err
	}
	args := make([]row.Value, len(s.args))
	for i, a := range s.args {
		v, err := a(ectx, in)
		if err != nil || v.IsNull() && s.strict {
			return nil, err
		}
		args[i] = v
	}
	if s.spread {
		args = append(args[:len(args)-1:len(args)-1], args[len(args)-1].List()...)
	}
	return s.set(ectx, args)
}

// functionOp is set-returning functions in FROM.
type functionOp struct {
	calls      []*setCall
	ordinality bool
	width      int
}

func (c *compiler) function(n *plan.Function) (operator, error) {
	op := &functionOp{ordinality: n.Ordinality, width: len(n.Cols)}
	for _, e := range n.Calls {
		call, err := c.setCall(e)
		if err != nil {
			return nil, err
		}
		op.calls = append(op.calls, call)
	}
	return op, nil
}

func (op *functionOp) open(x *execution) (cursor, error) {
	lists := make([][]row.Row, len(op.calls))
	longest := 0
	for i, call := range op.calls {
		var err error
		if lists[i], err = call.rows(x.ectx, nil); err != nil {
			return nil, err
		}
		longest = max(longest, len(lists[i]))
	}
	if len(lists) == 1 && !op.ordinality && (longest == 0 || len(lists[0][0]) == op.width) {
		return &listCursor{rows: lists[0]}, nil
	}
	out := make([]row.Row, longest)
	values := make([]row.Value, longest*op.width)
	for n := range out {
		r := row.Row(values[:0:op.width])
		values = values[op.width:]
		for i, list := range lists {
			if n < len(list) {
				r = append(r, list[n]...)
			} else {
				r = append(r, make(row.Row, op.calls[i].columns)...)
			}
		}
		if op.ordinality {
			r = append(r, row.NewInt(int64(n)+1))
		}
		if len(r) != op.width {
			return nil, errs.SQL("42804", "function return row and query-specified return row do not match")
		}
		out[n] = r
	}
	return &listCursor{rows: out}, nil
}

// projectSetOp is a projection in which some expressions are set-returning: rows are padded with NULLs to the longest.
type projectSetOp struct {
	input operator
	exprs []expr.Evaluator // nil where sets has the call
	sets  []*setCall
}

func (c *compiler) projectSet(n *plan.ProjectSet) (operator, error) {
	input, err := c.compile(n.Input)
	if err != nil {
		return nil, err
	}
	op := &projectSetOp{input: input, exprs: make([]expr.Evaluator, len(n.Exprs)), sets: make([]*setCall, len(n.Exprs))}
	for i, e := range n.Exprs {
		if call, ok := e.(*expr.Call); ok && call.Func.Kind == expr.SetFunc {
			op.sets[i], err = c.setCall(e)
		} else {
			op.exprs[i], err = c.expr(e)
		}
		if err != nil {
			return nil, err
		}
	}
	return op, nil
}

func (op *projectSetOp) open(x *execution) (cursor, error) {
	in, err := op.input.open(x)
	return &projectSetCursor{op: op, x: x, in: in}, err
}

type projectSetCursor struct {
	op *projectSetOp
	x  *execution
	in cursor
}

func (c *projectSetCursor) next() ([]row.Row, error) {
	for {
		rows, err := c.in.next()
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		var out []row.Row
		for _, r := range rows {
			if out, err = c.expand(out, r); err != nil {
				return nil, err
			}
		}
		if err := c.x.check(); err != nil {
			return nil, err
		}
		if len(out) > 0 {
			return out, nil
		}
	}
}

func (c *projectSetCursor) expand(out []row.Row, r row.Row) ([]row.Row, error) {
	lists := make([][]row.Row, len(c.op.sets))
	longest := 0
	for i, s := range c.op.sets {
		if s == nil {
			continue
		}
		var err error
		if lists[i], err = s.rows(c.x.ectx, r); err != nil {
			return nil, err
		}
		longest = max(longest, len(lists[i]))
	}
	for n := range longest {
		o := make(row.Row, len(c.op.sets))
		for i, s := range c.op.sets {
			switch {
			case s == nil:
				v, err := c.op.exprs[i](c.x.ectx, r)
				if err != nil {
					return nil, err
				}
				o[i] = v
			case n >= len(lists[i]):
			case s.columns == 1:
				o[i] = lists[i][n][0]
			default: // a function of several columns gives a composite
				o[i] = row.NewRecord(lists[i][n])
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func (c *projectSetCursor) close() { c.in.close() }
