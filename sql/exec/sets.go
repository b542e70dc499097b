package exec

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// distinctOp removes duplicates, keeping the first row of equals.
type distinctOp struct {
	input operator
	types []row.Type
	on    []expr.Evaluator // DISTINCT ON; nil: the whole row
}

func (c *compiler) distinct(n *plan.Distinct) (operator, error) {
	input, err := c.compile(n.Input)
	if err != nil {
		return nil, err
	}
	op := &distinctOp{input: input, types: n.Input.OutputTypes()}
	if n.On != nil {
		op.types = make([]row.Type, len(n.On))
		for i, e := range n.On {
			op.types[i] = e.Type()
		}
		op.on, err = c.exprs(n.On)
	}
	return op, err
}

func (op *distinctOp) open(x *execution) (cursor, error) {
	in, err := op.input.open(x)
	return &distinctCursor{op: op, x: x, in: in, seen: newTable(op.types), mem: reservation{s: x.shared}}, err
}

type distinctCursor struct {
	op   *distinctOp
	x    *execution
	in   cursor
	seen *table
	mem  reservation
	out  []row.Row
}

func (c *distinctCursor) next() ([]row.Row, error) {
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
			key := r
			if c.op.on != nil {
				if key, err = evalRow(c.x.ectx, c.op.on, r); err != nil {
					return nil, err
				}
			}
			if _, fresh := c.seen.put(key); fresh {
				c.out = append(c.out, r)
				if err := c.mem.hold(key.Bytes() + 16); err != nil {
					return nil, err
				}
			}
		}
		if len(c.out) > 0 {
			return c.out, nil
		}
	}
}

func (c *distinctCursor) close() {
	c.in.close()
	c.mem.release()
}

// setOp is UNION, INTERSECT and EXCEPT.
type setOp struct {
	left, right operator
	kind        plan.SetKind
	all         bool
	types       []row.Type
}

func (c *compiler) setOperation(n *plan.SetOperation) (operator, error) {
	op := &setOp{kind: n.Kind, all: n.All, types: n.OutputTypes()}
	var err error
	if op.left, err = c.compile(n.Left); err != nil {
		return nil, err
	}
	if op.right, err = c.compile(n.Right); err != nil {
		return nil, err
	}
	if n.Kind == plan.Union && !n.All {
		return &distinctOp{input: &setOp{left: op.left, right: op.right, kind: plan.Union, all: true}, types: op.types}, nil
	}
	return op, nil
}

func (op *setOp) open(x *execution) (cursor, error) {
	if op.kind == plan.Union {
		left, err := op.left.open(x)
		return &appendCursor{x: x, in: left, rest: op.right}, err
	}
	mem := &reservation{s: x.shared}
	rows, err := op.combine(x, mem)
	if err != nil {
		mem.release()
		return nil, err
	}
	return &listCursor{rows, mem}, nil
}

// combine counts the right side's rows, then goes through the left's: INTERSECT keeps those that are there, EXCEPT those
// that are not; ALL uses each right row once.
func (op *setOp) combine(x *execution, mem *reservation) ([]row.Row, error) {
	right, err := drain(x, op.right, mem)
	if err != nil {
		return nil, err
	}
	t := newTable(op.types)
	var counts []int
	for _, r := range right {
		e, fresh := t.put(r)
		if fresh {
			counts = append(counts, 0)
		}
		counts[e]++
	}
	left, err := drain(x, op.left, mem)
	if err != nil {
		return nil, err
	}
	done := newTable(op.types)
	var out []row.Row
	for _, r := range left {
		e := t.find(r)
		there := e >= 0 && counts[e] > 0
		if there && op.all {
			counts[e]--
		}
		if there != (op.kind == plan.Intersect) {
			continue
		}
		if !op.all {
			if _, fresh := done.put(r); !fresh {
				continue
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// appendCursor yields one input after the other.
type appendCursor struct {
	x    *execution
	in   cursor
	rest operator
}

func (c *appendCursor) next() ([]row.Row, error) {
	for {
		rows, err := c.in.next()
		if err != nil || len(rows) > 0 || c.rest == nil {
			return rows, err
		}
		c.in.close()
		next, err := c.rest.open(c.x)
		if err != nil {
			c.in = &listCursor{}
			return nil, err
		}
		c.in, c.rest = next, nil
	}
}

func (c *appendCursor) close() { c.in.close() }
