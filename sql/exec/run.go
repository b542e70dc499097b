package exec

import (
	"context"
	"io"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

const (
	// MemoryBudget bounds what the operators of one statement hold (sorts, hash tables, common table expressions): large
	// queries belong to the analytical engine, and there is no spill to disk.
	MemoryBudget = 512 * limit.MiB
	// batchRows is the size of a batch: it keeps calls cheap and its rows in the processor's cache.
	batchRows = 1024
	// maxRecursion bounds the rounds of a recursive query that adds no memory.
	maxRecursion = 10_000_000
)

// Rows is a running query.
type Rows interface {
	// Next gives the next rows, at least one, or io.EOF. The slice is valid until the next call, its rows for ever.
	Next() ([]row.Row, error)
	// Close ends the query; it may be called more than once.
	Close() error
}

// Modify runs a data-modifying WITH and gives the rows of its RETURNING.
type Modify func(ctx context.Context, s plan.Statement) ([]row.Row, error)

// Options are what a run may need beside source and context.
type Options struct {
	// Modify runs data-modifying common table expressions; nil: they are 0A000.
	Modify Modify
	// Memory is the budget; 0: MemoryBudget.
	Memory limit.Bytes
}

// Run prepares and runs a plan. The expr.Ctx is completed (Run, Outer) and belongs to the query until Close.
func Run(ctx context.Context, node plan.Node, src Source, ectx *expr.Ctx) (Rows, error) {
	p, err := Prepare(node)
	if err != nil {
		return nil, err
	}
	return p.Run(ctx, src, ectx, Options{})
}

// Run opens the plan on a snapshot.
func (p *Prepared) Run(ctx context.Context, src Source, ectx *expr.Ctx, o Options) (Rows, error) {
	if p.point != nil {
		return p.runPoint(ctx, src, ectx)
	}
	x := newExecution(ctx, p, src, ectx, o)
	c, err := p.root.open(x)
	if err != nil {
		return nil, err
	}
	return &running{x: x, c: c}, nil
}

// running is the Rows of a plan.
type running struct {
	x    *execution
	c    cursor
	done bool
}

func (r *running) Next() ([]row.Row, error) {
	if r.done {
		return nil, io.EOF
	}
	rows, err := r.c.next()
	if err != nil {
		r.Close()
		return nil, r.x.canceled(err)
	}
	if len(rows) == 0 {
		r.Close()
		return nil, io.EOF
	}
	return rows, nil
}

func (r *running) Close() error {
	if !r.done {
		r.done = true
		r.c.close()
	}
	return nil
}

// All runs the plan and collects its rows.
func (p *Prepared) All(ctx context.Context, src Source, ectx *expr.Ctx, o Options) ([]row.Row, error) {
	rows, err := p.Run(ctx, src, ectx, o)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []row.Row
	for {
		batch, err := rows.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, batch...)
	}
}

// operator is a compiled plan node: immutable, shared by executions.
type operator interface {
	open(x *execution) (cursor, error)
}

// cursor is an operator running in one execution.
type cursor interface {
	// next gives the next rows; none: the end.
	next() ([]row.Row, error)
	close()
}

// shared is what all parts of one execution have in common.
type shared struct {
	ctx     context.Context
	src     Source
	plans   map[expr.Subplan]*subplan
	modify  Modify
	budget  int64
	used    int64
	ctes    map[*plan.Binding]*cteRows
	results map[*subplan]*subplanRows
}

// execution is a part of a run at one level of nesting: its outer rows are in ectx.
type execution struct {
	*shared
	ectx *expr.Ctx
}

func newExecution(ctx context.Context, p *Prepared, src Source, ectx *expr.Ctx, o Options) *execution {
	s := &shared{ctx: ctx, src: src, plans: p.subplans, modify: o.Modify, budget: int64(o.Memory)}
	if s.budget == 0 {
		s.budget = int64(MemoryBudget)
	}
	inner := *ectx
	inner.Outer = nil
	x := &execution{shared: s, ectx: &inner}
	inner.Run, inner.Check = s.runSubplan, s.check
	return x
}

// nested is x with one more outer row.
func (x *execution) nested(outer row.Row) *execution {
	inner := *x.ectx
	inner.Outer = append(x.ectx.Outer[:len(x.ectx.Outer):len(x.ectx.Outer)], outer)
	return &execution{shared: x.shared, ectx: &inner}
}

// check ends the statement when its context has ended.
func (s *shared) check() error {
	if err := s.ctx.Err(); err != nil {
		return s.canceled(err)
	}
	return nil
}

// canceled makes 57014 of an error that came of the context.
func (s *shared) canceled(err error) error {
	if s.ctx.Err() == nil {
		return err
	}
	if context.Cause(s.ctx) == context.DeadlineExceeded {
		return errs.SQL("57014", "canceling statement due to statement timeout")
	}
	return errs.SQL("57014", "canceling statement due to user request")
}

// hold counts memory; 53200 beyond the budget.
func (s *shared) hold(n int64) error {
	if s.used += n; s.used > s.budget {
		return errs.SQL("53200", "out of memory").
			WithDetail("The query holds more than %s of rows.", limit.Bytes(s.budget)).
			WithHint("Let the analytical engine run it, or read fewer rows.")
	}
	return nil
}

// reservation is what one cursor holds.
type reservation struct {
	s *shared
	n int64
}

func (r *reservation) hold(n int64) error {
	r.n += n
	return r.s.hold(n)
}

func (r *reservation) release() {
	r.s.used -= r.n
	r.n = 0
}

// drain reads an input to its end, counting what it holds.
func drain(x *execution, op operator, mem *reservation) ([]row.Row, error) {
	c, err := op.open(x)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var out []row.Row
	for {
		rows, err := c.next()
		if err != nil || len(rows) == 0 {
			return out, err
		}
		if err := x.check(); err != nil {
			return nil, err
		}
		n := int64(0)
		for _, r := range rows {
			n += r.Bytes()
		}
		if err := mem.hold(n); err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
}

// listCursor yields rows that are at hand.
type listCursor struct {
	rows []row.Row
	mem  *reservation
}

func (c *listCursor) next() ([]row.Row, error) {
	n := min(len(c.rows), batchRows)
	out := c.rows[:n]
	c.rows = c.rows[n:]
	return out, nil
}

func (c *listCursor) close() {
	if c.mem != nil {
		c.mem.release()
	}
}

// one is a row without columns.
var one = []row.Row{{}}
