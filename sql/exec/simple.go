package exec

import (
	"math"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// valuesOp is a list of rows of expressions.
type valuesOp struct{ rows [][]expr.Evaluator }

func (c *compiler) values(n *plan.Values) (operator, error) {
	op := &valuesOp{rows: make([][]expr.Evaluator, len(n.Rows))}
	for i, r := range n.Rows {
		var err error
		if op.rows[i], err = c.exprs(r); err != nil {
			return nil, err
		}
	}
	return op, nil
}

func (op *valuesOp) open(x *execution) (cursor, error) {
	if len(op.rows) == 1 && len(op.rows[0]) == 0 {
		return &listCursor{rows: one}, nil
	}
	out := make([]row.Row, len(op.rows))
	for i, list := range op.rows {
		r, err := evalRow(x.ectx, list, nil)
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return &listCursor{rows: out}, nil
}

func evalRow(ectx *expr.Ctx, list []expr.Evaluator, in row.Row) (row.Row, error) {
	out := make(row.Row, len(list))
	for i, e := range list {
		v, err := e(ectx, in)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// filterOp keeps rows.
type filterOp struct {
	input operator
	cond  expr.Predicate
}

func (c *compiler) filter(n *plan.Filter) (operator, error) {
	if s, ok := n.Input.(*plan.Scan); ok {
		return c.scan(s, n.Cond, nil)
	}
	input, err := c.compile(n.Input)
	if err != nil {
		return nil, err
	}
	cond, err := c.predicate(n.Cond)
	return &filterOp{input, cond}, err
}

func (op *filterOp) open(x *execution) (cursor, error) {
	in, err := op.input.open(x)
	return &filterCursor{op: op, x: x, in: in}, err
}

type filterCursor struct {
	op  *filterOp
	x   *execution
	in  cursor
	out []row.Row
}

func (c *filterCursor) next() ([]row.Row, error) {
	for {
		rows, err := c.in.next()
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		if err := c.x.check(); err != nil {
			return nil, err
		}
		c.out = c.out[:0]
		for _, r := range rows {
			ok, err := c.op.cond(c.x.ectx, r)
			if err != nil {
				return nil, err
			}
			if ok {
				c.out = append(c.out, r)
			}
		}
		if len(c.out) > 0 {
			return c.out, nil
		}
	}
}

func (c *filterCursor) close() { c.in.close() }

// projectOp computes columns.
type projectOp struct {
	input operator
	exprs []expr.Evaluator
}

func (c *compiler) project(n *plan.Project) (operator, error) {
	input, err := c.inputOf(n.Input, n.Exprs)
	if err != nil {
		return nil, err
	}
	exprs, err := c.exprs(n.Exprs)
	return &projectOp{input, exprs}, err
}

// inputOf compiles an input of which only some columns are read.
func (c *compiler) inputOf(n plan.Node, reads ...[]expr.Expr) (operator, error) {
	switch in := n.(type) {
	case *plan.Scan:
		return c.scan(in, nil, neededColumns(reads...))
	case *plan.Filter:
		if s, ok := in.Input.(*plan.Scan); ok {
			return c.scan(s, in.Cond, neededColumns(append(reads, []expr.Expr{in.Cond})...))
		}
	}
	return c.compile(n)
}

func (op *projectOp) open(x *execution) (cursor, error) {
	in, err := op.input.open(x)
	return &projectCursor{op: op, x: x, in: in}, err
}

// batchBytes is after what size a batch of computed rows ends: they may be much larger than the rows that they are of.
const batchBytes = 8 << 20

type projectCursor struct {
	op   *projectOp
	x    *execution
	in   cursor
	rest []row.Row // of the input's batch
	out  []row.Row
}

func (c *projectCursor) next() ([]row.Row, error) {
	if len(c.rest) == 0 {
		rows, err := c.in.next()
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		c.rest = rows
	}
	width := len(c.op.exprs)
	values := make([]row.Value, width*len(c.rest)) // one allocation a batch
	c.out = c.out[:0]
	for size := int64(0); len(c.rest) > 0 && size < batchBytes; c.rest = c.rest[1:] {
		r := c.rest[0]
		out := row.Row(values[:width:width])
		values = values[width:]
		for i, e := range c.op.exprs {
			v, err := e(c.x.ectx, r)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		c.out = append(c.out, out)
		size += out.Bytes()
	}
	return c.out, nil
}

func (c *projectCursor) close() { c.in.close() }

// limitOp cuts its input.
type limitOp struct {
	input         operator
	count, offset expr.Evaluator
	keys          *sortKeys // WITH TIES
}

func (c *compiler) limit(n *plan.Limit) (operator, error) {
	op := &limitOp{}
	var err error
	if s, ok := n.Input.(*plan.Sort); ok && !n.WithTies && n.Count != nil {
		op.input, err = c.top(s, n)
	} else {
		op.input, err = c.compile(n.Input)
	}
	if err != nil {
		return nil, err
	}
	if n.Count != nil {
		if op.count, err = c.expr(n.Count); err != nil {
			return nil, err
		}
	}
	if n.Offset != nil {
		if op.offset, err = c.expr(n.Offset); err != nil {
			return nil, err
		}
	}
	if n.WithTies {
		op.keys, err = c.sortKeys(n.Keys)
	}
	return op, err
}

// limits evaluates count and offset; NULL is no limit.
func (op *limitOp) limits(ectx *expr.Ctx) (count, offset int64, err error) {
	count = math.MaxInt64
	if op.count != nil {
		v, err := op.count(ectx, nil)
		if err != nil {
			return 0, 0, err
		}
		if !v.IsNull() {
			if count = v.Int(); count < 0 {
				return 0, 0, errs.SQL("2201W", "LIMIT must not be negative")
			}
		}
	}
	if op.offset != nil {
		v, err := op.offset(ectx, nil)
		if err != nil {
			return 0, 0, err
		}
		if offset = v.Int(); offset < 0 {
			return 0, 0, errs.SQL("2201X", "OFFSET must not be negative")
		}
	}
	return count, offset, nil
}

func (op *limitOp) open(x *execution) (cursor, error) {
	count, offset, err := op.limits(x.ectx)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return &listCursor{}, nil
	}
	in, err := op.input.open(x)
	return &limitCursor{op: op, x: x, in: in, count: count, offset: offset}, err
}

type limitCursor struct {
	op            *limitOp
	x             *execution
	in            cursor
	count, offset int64
	last          row.Row // WITH TIES: the keys of the last row within the limit
	done          bool
}

func (c *limitCursor) next() ([]row.Row, error) {
	for !c.done {
		rows, err := c.in.next()
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		if c.offset > 0 {
			skip := min(c.offset, int64(len(rows)))
			c.offset -= skip
			rows = rows[skip:]
		}
		if int64(len(rows)) < c.count || len(rows) == 0 {
			c.count -= int64(len(rows))
			if len(rows) > 0 {
				return rows, nil
			}
			continue
		}
		if c.op.keys == nil {
			c.done = true
			return rows[:c.count], nil
		}
		return c.ties(rows)
	}
	return nil, nil
}

// ties keeps the rows after the limit that equal its last row.
func (c *limitCursor) ties(rows []row.Row) ([]row.Row, error) {
	n := int(c.count)
	if n > 0 {
		keys, err := evalRow(c.x.ectx, c.op.keys.exprs, rows[n-1])
		if err != nil {
			return nil, err
		}
		c.last, c.count = keys, 0
	}
	for n < len(rows) {
		keys, err := evalRow(c.x.ectx, c.op.keys.exprs, rows[n])
		if err != nil {
			return nil, err
		}
		if c.op.keys.compare(keys, c.last) != 0 {
			c.done = true
			break
		}
		n++
	}
	return rows[:n], nil
}

func (c *limitCursor) close() { c.in.close() }
