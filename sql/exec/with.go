package exec

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/plan"
)

// withOp binds common table expressions for its body. Each is run once, when it is first read.
type withOp struct {
	bindings []*cte
	body     operator
}

// cte is a compiled binding.
type cte struct {
	binding          *plan.Binding
	query, recursive operator
	types            []row.Type
}

func (c *compiler) with(n *plan.With) (operator, error) {
	op := &withOp{}
	for _, b := range n.Bindings {
		e := &cte{binding: b}
		for _, col := range b.Cols {
			e.types = append(e.types, col.Type)
		}
		var err error
		if b.Query != nil {
			if e.query, err = c.compile(b.Query); err != nil {
				return nil, err
			}
		}
		if b.Recursive != nil {
			if e.recursive, err = c.compile(b.Recursive); err != nil {
				return nil, err
			}
		}
		op.bindings = append(op.bindings, e)
	}
	var err error
	op.body, err = c.compile(n.Body)
	return op, err
}

// cteRows are a binding's rows in one execution.
type cteRows struct {
	cte  *cte
	x    *execution
	rows []row.Row
	done bool
	// working is the working table while the recursive term runs.
	working   []row.Row
	recursing bool
	mem       reservation
}

func (op *withOp) open(x *execution) (cursor, error) {
	// Bindings belong to this opening: a correlated body that is opened again has new ones.
	inner := &execution{shared: x.shared, ectx: x.ectx}
	if x.ctes == nil {
		x.ctes = map[*plan.Binding]*cteRows{}
	}
	for _, b := range op.bindings {
		x.ctes[b.binding] = &cteRows{cte: b, x: inner, mem: reservation{s: x.shared}}
	}
	for _, b := range op.bindings {
		// A WITH that changes data runs whether it is read or not.
		if b.binding.Modify != nil {
			if _, err := x.ctes[b.binding].read(); err != nil {
				return nil, err
			}
		}
	}
	body, err := op.body.open(inner)
	return &withCursor{cursor: body, op: op, x: inner}, err
}

type withCursor struct {
	cursor
	op *withOp
	x  *execution
}

func (c *withCursor) close() {
	c.cursor.close()
	for _, b := range c.op.bindings {
		if r := c.x.ctes[b.binding]; r != nil {
			r.mem.release()
		}
	}
}

// read gives the binding's rows, computing them the first time.
func (r *cteRows) read() ([]row.Row, error) {
	if r.recursing {
		return r.working, nil
	}
	if r.done {
		return r.rows, nil
	}
	var err error
	switch {
	case r.cte.binding.Modify != nil:
		if r.x.modify == nil {
			return nil, errs.SQL("0A000", "a WITH that changes data is not possible here")
		}
		r.rows, err = r.x.modify(r.x.ctx, r.cte.binding.Modify)
	case r.cte.recursive != nil:
		err = r.recurse()
	default:
		r.rows, err = drain(r.x, r.cte.query, &r.mem)
	}
	r.done = err == nil
	return r.rows, err
}

// recurse runs the recursive term until it yields nothing new.
func (r *cteRows) recurse() error {
	fresh, err := drain(r.x, r.cte.query, &r.mem)
	if err != nil {
		return err
	}
	var seen *table
	if !r.cte.binding.UnionAll {
		seen = newTable(r.cte.types)
	}
	defer func() { r.recursing = false }()
	for rounds := 0; ; rounds++ {
		if seen != nil {
			kept := fresh[:0:0]
			for _, f := range fresh {
				if _, isNew := seen.put(f); isNew {
					kept = append(kept, f)
				}
			}
			fresh = kept
		}
		if len(fresh) == 0 {
			return nil
		}
		if rounds > maxRecursion {
			return errs.SQL("54001", "a recursive query ran %d rounds", rounds)
		}
		if err := r.x.check(); err != nil {
			return err
		}
		r.rows = append(r.rows, fresh...)
		r.working, r.recursing = fresh, true
		if fresh, err = drain(r.x, r.cte.recursive, &r.mem); err != nil {
			return err
		}
	}
}

// cteScan reads a binding.
type cteScan struct{ binding *plan.Binding }

func (op *cteScan) open(x *execution) (cursor, error) {
	r := x.ctes[op.binding]
	if r == nil {
		return nil, errs.SQL("XX000", "the common table expression %s is not bound", op.binding.Name)
	}
	rows, err := r.read()
	if err != nil {
		return nil, err
	}
	return &listCursor{rows: rows}, nil
}
