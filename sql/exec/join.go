package exec

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// joinOp joins by a hash table over the right side when there are hashable equalities, else by nested loops; a lateral
// right side is opened for each left row.
type joinOp struct {
	kind                  plan.JoinKind
	left, right           operator
	leftKeys, rightKeys   []expr.Evaluator
	keyTypes              []row.Type
	cond                  expr.Predicate
	unhashed              []unhashed
	lateral               bool
	leftWidth, rightWidth int
	// lookup, when not nil, reads the right side's rows of one left row by key: for few left rows over a large table.
	lookup *lookupPlan
}

// unhashed is an equality of the two sides that cannot be hashed (date = timestamp).
type unhashed struct {
	left, right expr.Evaluator
	eq          func(ctx *expr.Ctx, args []row.Value) (row.Value, error)
}

func (u *unhashed) holds(ectx *expr.Ctx, l, r row.Row) (bool, error) {
	a, err := u.left(ectx, l)
	if err != nil || a.IsNull() {
		return false, err
	}
	b, err := u.right(ectx, r)
	if err != nil || b.IsNull() {
		return false, err
	}
	v, err := u.eq(ectx, []row.Value{a, b})
	return err == nil && !v.IsNull() && v.Bool(), err
}

func (c *compiler) join(n *plan.Join) (operator, error) {
	op := &joinOp{kind: n.Kind, lateral: n.Lateral, leftWidth: len(n.Left.Columns()), rightWidth: len(n.Right.Columns())}
	var err error
	if op.left, err = c.compile(n.Left); err != nil {
		return nil, err
	}
	if op.right, err = c.compile(n.Right); err != nil {
		return nil, err
	}
	var leftKeys, rightKeys []expr.Expr
	for i := range n.LeftKeys {
		if n.Eq[i].Hashable() && !n.Lateral {
			leftKeys, rightKeys = append(leftKeys, n.LeftKeys[i]), append(rightKeys, n.RightKeys[i])
			op.keyTypes = append(op.keyTypes, n.LeftKeys[i].Type())
			continue
		}
		l, err := c.expr(n.LeftKeys[i])
		if err != nil {
			return nil, err
		}
		r, err := c.expr(n.RightKeys[i])
		if err != nil {
			return nil, err
		}
		types := []row.Type{n.LeftKeys[i].Type(), n.RightKeys[i].Type()}
		op.unhashed = append(op.unhashed, unhashed{l, r, n.Eq[i].Bind(types, row.T(row.Bool))})
	}
	if op.leftKeys, err = c.exprs(leftKeys); err != nil {
		return nil, err
	}
	if op.rightKeys, err = c.exprs(rightKeys); err != nil {
		return nil, err
	}
	if op.cond, err = c.predicate(n.Cond); err != nil {
		return nil, err
	}
	if n.Kind != plan.Right && n.Kind != plan.Full && !n.Lateral {
		op.lookup, err = c.lookupPlan(n, leftKeys, rightKeys)
	}
	if right, ok := op.right.(*scanOp); ok && op.lookup != nil {
		right.read.Few = true // as few as the left side's rows
	}
	return op, err
}

// lookupRows is the number of left rows up to which a join reads the right table by key instead of whole.
const lookupRows = 256

// lookupPlan reads the right side, a scan of a table whose primary key is among the join's keys, row by row.
type lookupPlan struct {
	scan *plan.Scan
	// key gives for each primary key column the index of the join key that is it.
	key  []int
	cond expr.Predicate
}

func (c *compiler) lookupPlan(n *plan.Join, leftKeys, rightKeys []expr.Expr) (*lookupPlan, error) {
	node := n.Right
	var cond expr.Expr
	if f, ok := node.(*plan.Filter); ok {
		node, cond = f.Input, f.Cond
	}
	s, ok := node.(*plan.Scan)
	if !ok || !bounded(s.Relation) || cond != nil && hasSubquery(cond) {
		return nil, nil
	}
	p := &lookupPlan{scan: s}
	for _, column := range s.Relation.Key {
		at := -1
		for i, e := range rightKeys {
			if k, ok := keyColumn(e); ok && k == column && comparable(s.Relation.Columns[column].Type, leftKeys[i].Type()) {
				at = i
			}
		}
		if at < 0 {
			return nil, nil
		}
		p.key = append(p.key, at)
	}
	var err error
	p.cond, err = c.predicate(cond)
	return p, err
}

func (op *joinOp) open(x *execution) (cursor, error) {
	left, err := op.left.open(x)
	if err != nil {
		return nil, err
	}
	c := &joinCursor{op: op, x: x, left: left, mem: reservation{s: x.shared}}
	if op.lateral {
		return c, nil
	}
	if op.lookup != nil {
		if done, err := c.byLookup(); err != nil || done {
			return c, err
		}
	}
	if err := c.build(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

type joinCursor struct {
	op   *joinOp
	x    *execution
	left cursor
	mem  reservation

	// ahead are left rows that were read before the join's way was chosen.
	ahead []row.Row
	// lookup says that right rows are read by key.
	lookup bool

	rows    []row.Row // the right side
	table   *table
	chains  [][]int32 // entry of table → rows
	matched []bool    // right rows that found a left row (right and full joins)
	scratch row.Row

	tail bool // the left side is done, unmatched right rows are being sent
	at   int
}

// byLookup reads a first part of the left side; when that is all of it, the right side is read by key.
func (c *joinCursor) byLookup() (bool, error) {
	for len(c.ahead) <= lookupRows {
		rows, err := c.left.next()
		if err != nil {
			return false, err
		}
		if len(rows) == 0 {
			c.left.close()
			c.left = &listCursor{rows: c.ahead}
			c.ahead, c.lookup = nil, true
			return true, nil
		}
		c.ahead = append(c.ahead, rows...)
	}
	c.left = &prefixed{rows: c.ahead, cursor: c.left}
	c.ahead = nil
	return false, nil
}

// prefixed yields rows that were read ahead, then the rest.
type prefixed struct {
	rows []row.Row
	cursor
}

func (p *prefixed) next() ([]row.Row, error) {
	if len(p.rows) > 0 {
		rows := p.rows
		p.rows = nil
		return rows, nil
	}
	return p.cursor.next()
}

// build reads the right side.
func (c *joinCursor) build() error {
	var err error
	if c.rows, err = drain(c.x, c.op.right, &c.mem); err != nil {
		return err
	}
	if c.op.kind == plan.Right || c.op.kind == plan.Full {
		c.matched = make([]bool, len(c.rows))
	}
	if len(c.op.rightKeys) == 0 {
		return nil
	}
	if err := c.mem.hold(int64(len(c.rows)) * int64(80+row.ValueBytes*len(c.op.rightKeys))); err != nil {
		return err
	}
	c.table = newTable(c.op.keyTypes)
	for i, r := range c.rows {
		key, err := evalRow(c.x.ectx, c.op.rightKeys, r)
		if err != nil {
			return err
		}
		if anyNull(key) {
			continue // NULL joins nothing
		}
		e, fresh := c.table.put(key)
		if fresh {
			c.chains = append(c.chains, nil)
		}
		c.chains[e] = append(c.chains[e], int32(i))
	}
	return nil
}

func anyNull(r row.Row) bool {
	for i := range r {
		if r[i].IsNull() {
			return true
		}
	}
	return false
}

func (c *joinCursor) next() ([]row.Row, error) {
	for !c.tail {
		rows, err := c.left.next()
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			c.tail = true
			break
		}
		if err := c.x.check(); err != nil {
			return nil, err
		}
		var out []row.Row
		for _, l := range rows {
			if out, err = c.joinRow(out, l); err != nil {
				return nil, err
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return c.unmatched(), nil
}

// unmatched are the right rows that found no left row.
func (c *joinCursor) unmatched() []row.Row {
	var out []row.Row
	for ; c.at < len(c.matched) && len(out) < batchRows; c.at++ {
		if !c.matched[c.at] {
			out = append(out, c.join(nil, c.rows[c.at]))
		}
	}
	return out
}

// join makes a joined row; a nil side is NULLs.
func (c *joinCursor) join(l, r row.Row) row.Row {
	out := make(row.Row, c.op.leftWidth+c.op.rightWidth)
	copy(out, l)
	copy(out[c.op.leftWidth:], r)
	return out
}

// joinRow appends what one left row gives.
func (c *joinCursor) joinRow(out []row.Row, l row.Row) ([]row.Row, error) {
	found := false
	try := func(r row.Row, index int) (more bool, err error) {
		for i := range c.op.unhashed {
			if ok, err := c.op.unhashed[i].holds(c.x.ectx, l, r); err != nil || !ok {
				return true, err
			}
		}
		var joined row.Row
		if c.op.cond != nil {
			joined = c.join(l, r)
			ok, err := c.op.cond(c.x.ectx, joined)
			if err != nil || !ok {
				return true, err
			}
		}
		found = true
		if c.matched != nil {
			c.matched[index] = true
		}
		if c.op.kind == plan.Semi || c.op.kind == plan.Anti {
			return false, nil
		}
		if joined == nil {
			joined = c.join(l, r)
		}
		out = append(out, joined)
		return true, nil
	}
	if err := c.candidates(l, try); err != nil {
		return nil, err
	}
	switch c.op.kind {
	case plan.Semi:
		if found {
			out = append(out, l)
		}
	case plan.Anti:
		if !found {
			out = append(out, l)
		}
	case plan.Left, plan.Full:
		if !found {
			out = append(out, c.join(l, nil))
		}
	}
	return out, nil
}

// candidates tries the right rows that may join with l.
func (c *joinCursor) candidates(l row.Row, try func(r row.Row, index int) (bool, error)) error {
	switch {
	case c.op.lateral:
		return c.lateralRows(l, try)
	case c.lookup:
		return c.lookupRow(l, try)
	case c.table == nil:
		for i, r := range c.rows {
			if i&0xFFF == 0xFFF {
				if err := c.x.check(); err != nil {
					return err
				}
			}
			if more, err := try(r, i); err != nil || !more {
				return err
			}
		}
		return nil
	}
	key, err := c.leftKey(l)
	if err != nil || key == nil {
		return err
	}
	e := c.table.find(key)
	if e < 0 {
		return nil
	}
	for _, i := range c.chains[e] {
		if more, err := try(c.rows[i], int(i)); err != nil || !more {
			return err
		}
	}
	return nil
}

// leftKey computes a left row's key; nil when a part is NULL.
func (c *joinCursor) leftKey(l row.Row) (row.Row, error) {
	c.scratch = c.scratch[:0]
	for _, e := range c.op.leftKeys {
		v, err := e(c.x.ectx, l)
		if err != nil || v.IsNull() {
			return nil, err
		}
		c.scratch = append(c.scratch, v)
	}
	return c.scratch, nil
}

func (c *joinCursor) lateralRows(l row.Row, try func(r row.Row, index int) (bool, error)) error {
	right, err := c.op.right.open(c.x.nested(l))
	if err != nil {
		return err
	}
	defer right.close()
	for {
		rows, err := right.next()
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if more, err := try(r, 0); err != nil || !more {
				return err
			}
		}
	}
}

// lookupRow reads the right row of a left row by primary key, then checks all join keys.
func (c *joinCursor) lookupRow(l row.Row, try func(r row.Row, index int) (bool, error)) error {
	p := c.op.lookup
	key, err := c.leftKey(l)
	if err != nil || key == nil {
		return err
	}
	primary := make([]row.Value, len(p.key))
	for i, at := range p.key {
		primary[i] = key[at]
	}
	r, found, err := c.x.src.Get(c.x.ctx, p.scan.Relation, primary, nil, p.scan.Lock)
	if err != nil || !found {
		return err
	}
	if p.cond != nil {
		if ok, err := p.cond(c.x.ectx, r); err != nil || !ok {
			return err
		}
	}
	if len(key) > len(primary) {
		right, err := evalRow(c.x.ectx, c.op.rightKeys, r)
		if err != nil {
			return err
		}
		for i := range key {
			if right[i].IsNull() || row.CompareTyped(c.op.keyTypes[i], key[i], right[i]) != 0 {
				return nil
			}
		}
	}
	_, err = try(r, 0)
	return err
}

func (c *joinCursor) close() {
	c.left.close()
	c.mem.release()
}
