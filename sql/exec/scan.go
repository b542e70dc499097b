package exec

import (
	"context"
	"io"
	"slices"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// scanOp reads a relation within bounds and keeps the rows that pass cond.
type scanOp struct {
	node             *plan.Scan
	index            *catalog.Index
	equal            []expr.Evaluator
	in               expr.Evaluator
	low, high        expr.Evaluator
	lowEx, highEx    bool
	cond             expr.Predicate
	columns          []int
	ordered, reverse bool
	few              bool
	read             *Read
}

// scan compiles a scan with the condition above it. needed are the columns read above; nil: all.
func (c *compiler) scan(n *plan.Scan, cond expr.Expr, needed []int) (*scanOp, error) {
	op, _, err := c.scanBy(n, cond, chooseAccess(n.Relation, cond))
	if err == nil && n.Lock == plan.NoLock {
		op.columns = needed
	}
	return op, err
}

func (c *compiler) scanBy(n *plan.Scan, cond expr.Expr, a *access) (*scanOp, *access, error) {
	op := &scanOp{node: n, read: &Read{Relation: n.Relation}}
	c.reads = append(c.reads, op.read)
	rest := cond
	var err error
	if a != nil {
		op.read.Few = len(a.equal) > 0 || a.in != nil
		rest = a.rest
		op.index = a.index
		if op.equal, err = c.exprs(a.equal); err != nil {
			return nil, nil, err
		}
		if a.in != nil {
			if op.in, err = c.expr(a.in); err != nil {
				return nil, nil, err
			}
		}
		if a.low != nil {
			op.lowEx = a.low.exclusive
			if op.low, err = c.expr(a.low.e); err != nil {
				return nil, nil, err
			}
		}
		if a.high != nil {
			op.highEx = a.high.exclusive
			if op.high, err = c.expr(a.high.e); err != nil {
				return nil, nil, err
			}
		}
	}
	op.cond, err = c.predicate(rest)
	return op, a, err
}

func (op *scanOp) open(x *execution) (cursor, error) {
	base := ScanRequest{Relation: op.node.Relation, Index: op.index, Ordered: op.ordered, Reverse: op.reverse,
		Columns: op.columns, Few: op.few, Lock: op.node.Lock}
	c := &scanCursor{op: op, x: x}
	for _, e := range op.equal {
		v, err := e(x.ectx, nil)
		if err != nil || v.IsNull() { // nothing equals NULL
			return c, err
		}
		base.Equal = append(base.Equal, v)
	}
	bound := func(e expr.Evaluator, exclusive bool) (b *Bound, null bool, err error) {
		if e == nil {
			return nil, false, nil
		}
		v, err := e(x.ectx, nil)
		return &Bound{v, exclusive}, v.IsNull(), err
	}
	var null bool
	var err error
	if base.Low, null, err = bound(op.low, op.lowEx); err != nil || null {
		return c, err
	}
	if base.High, null, err = bound(op.high, op.highEx); err != nil || null {
		return c, err
	}
	if op.in == nil {
		c.requests = []ScanRequest{base}
		return c, nil
	}
	list, err := op.in(x.ectx, nil)
	if err != nil {
		return nil, err
	}
	key := base.Key()
	t := op.node.Relation.Columns[key[len(base.Equal)]].Type
	values := slices.Clone(flatList(list))
	slices.SortFunc(values, func(a, b row.Value) int { return row.CompareTyped(t, a, b) })
	for i, v := range values {
		if v.IsNull() || i > 0 && row.CompareTyped(t, v, values[i-1]) == 0 {
			continue
		}
		r := base
		r.Equal = append(base.Equal[:len(base.Equal):len(base.Equal)], v)
		r.Few = true
		c.requests = append(c.requests, r)
	}
	return c, nil
}

func flatList(v row.Value) []row.Value {
	var out []row.Value
	for _, e := range v.List() {
		if e.Kind() == row.KindList {
			out = append(out, flatList(e)...)
		} else {
			out = append(out, e)
		}
	}
	return out
}

type scanCursor struct {
	op       *scanOp
	x        *execution
	requests []ScanRequest
	it       Iterator
	out      []row.Row
}

func (c *scanCursor) next() ([]row.Row, error) {
	for {
		if c.it == nil {
			if len(c.requests) == 0 {
				return nil, nil
			}
			if err := c.start(); err != nil {
				return nil, err
			}
			if len(c.out) > 0 {
				return c.out, nil
			}
			continue
		}
		rows, err := c.it.Next()
		if err != nil {
			return nil, err
		}
		if err := c.x.check(); err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			c.close()
			continue
		}
		if rows, err = c.keep(rows); err != nil || len(rows) > 0 {
			return rows, err
		}
	}
}

// start begins the next request; one for a whole primary key is answered at once, in c.out.
func (c *scanCursor) start() error {
	r := c.requests[0]
	c.requests = c.requests[1:]
	c.out = c.out[:0]
	if r.Index == nil && len(r.Equal) > 0 && len(r.Equal) == len(r.Relation.Key) {
		found, ok, err := c.x.src.Get(c.x.ctx, r.Relation, r.Equal, r.Columns, r.Lock)
		if err != nil || !ok {
			return err
		}
		c.out, err = c.keep([]row.Row{found})
		return err
	}
	var err error
	c.it, err = c.x.src.Scan(c.x.ctx, &r)
	return err
}

func (c *scanCursor) keep(rows []row.Row) ([]row.Row, error) {
	if c.op.cond == nil {
		return rows, nil
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
	return c.out, nil
}

func (c *scanCursor) close() {
	if c.it != nil {
		c.it.Close()
		c.it = nil
	}
}

// pointPlan is Project(Filter(Scan)) by the whole primary key: the statement that applications run most.
type pointPlan struct {
	rel   *catalog.Relation
	lock  plan.LockStrength
	key   []expr.Evaluator
	cond  expr.Predicate
	exprs []expr.Evaluator // nil: the row as it is
	// columns, when not nil, are the row's columns that the expressions are.
	columns []int
	// want are the columns of the row that are read.
	want []int
}

// pointPlan compiles node as a point read; nil when it is none.
func (c *compiler) pointPlan(node plan.Node) (*pointPlan, error) {
	project, _ := node.(*plan.Project)
	if project != nil {
		node = project.Input
	}
	filter, ok := node.(*plan.Filter)
	if !ok {
		return nil, nil
	}
	scan, ok := filter.Input.(*plan.Scan)
	if !ok {
		return nil, nil
	}
	a := chooseAccess(scan.Relation, filter.Cond)
	if a == nil || a.index != nil || len(a.equal) != len(scan.Relation.Key) {
		return nil, nil
	}
	exprs := append([]expr.Expr{a.rest}, a.equal...)
	if project != nil {
		exprs = append(exprs, project.Exprs...)
	}
	for _, e := range exprs {
		if hasSubquery(e) {
			return nil, nil
		}
	}
	p := &pointPlan{rel: scan.Relation, lock: scan.Lock}
	c.reads = append(c.reads, &Read{Relation: scan.Relation, Few: true})
	var err error
	if p.key, err = c.exprs(a.equal); err != nil {
		return nil, err
	}
	if p.cond, err = c.predicate(a.rest); err != nil || project == nil {
		return p, err
	}
	if scan.Lock == plan.NoLock {
		p.want = neededColumns(project.Exprs, []expr.Expr{a.rest})
	}
	if p.columns = columnsOnly(project.Exprs); p.columns == nil {
		p.exprs, err = c.exprs(project.Exprs)
	}
	return p, err
}

func hasSubquery(e expr.Expr) bool {
	found := false
	walk(e, func(e expr.Expr) error {
		if _, ok := e.(*expr.Subquery); ok {
			found = true
		}
		return nil
	})
	return found
}

// columnsOnly gives the columns when all expressions are input columns.
func columnsOnly(list []expr.Expr) []int {
	out := make([]int, len(list))
	for i, e := range list {
		c, ok := e.(*expr.Column)
		if !ok || c.Depth != 0 {
			return nil
		}
		out[i] = c.Index
	}
	return out
}

// pointRows is at most one row.
type pointRows struct {
	rows [1]row.Row
	done bool
}

func (r *pointRows) Next() ([]row.Row, error) {
	if r.done {
		return nil, io.EOF
	}
	r.done = true
	return r.rows[:], nil
}

func (r *pointRows) Close() error { return nil }

func (p *Prepared) runPoint(ctx context.Context, src Source, ectx *expr.Ctx) (Rows, error) {
	r, err := p.point.get(ctx, src, ectx)
	if err != nil {
		return nil, err
	}
	return &pointRows{rows: [1]row.Row{r}, done: r == nil}, nil
}

// get reads the row and computes the result's; nil: there is none.
func (p *pointPlan) get(ctx context.Context, src Source, ectx *expr.Ctx) (row.Row, error) {
	var stack [4]row.Value
	key := stack[:0]
	for _, e := range p.key {
		v, err := e(ectx, nil)
		if err != nil || v.IsNull() {
			return nil, err
		}
		key = append(key, v)
	}
	r, found, err := src.Get(ctx, p.rel, key, p.want, p.lock)
	if err != nil || !found {
		return nil, err
	}
	if p.cond != nil {
		if ok, err := p.cond(ectx, r); err != nil || !ok {
			return nil, err
		}
	}
	switch {
	case p.columns != nil:
		out := make(row.Row, len(p.columns))
		for i, c := range p.columns {
			out[i] = r[c]
		}
		return out, nil
	case p.exprs != nil:
		out := make(row.Row, len(p.exprs))
		for i, e := range p.exprs {
			if out[i], err = e(ectx, r); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return r, nil
}
