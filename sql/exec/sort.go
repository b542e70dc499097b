package exec

import (
	"cmp"
	"slices"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// sortKeys are the keys of an order.
type sortKeys struct {
	exprs      []expr.Evaluator
	types      []row.Type
	desc       []bool
	nullsFirst []bool
}

func (c *compiler) sortKeys(keys []plan.SortKey) (*sortKeys, error) {
	k := &sortKeys{}
	for _, key := range keys {
		e, err := c.expr(key.Expr)
		if err != nil {
			return nil, err
		}
		k.exprs = append(k.exprs, e)
		k.types = append(k.types, key.Expr.Type())
		k.desc = append(k.desc, key.Desc)
		k.nullsFirst = append(k.nullsFirst, key.NullsFirst)
	}
	return k, nil
}

// compare orders two lists of key values.
func (k *sortKeys) compare(a, b row.Row) int {
	for i := range k.exprs {
		x, y := a[i], b[i]
		if x.IsNull() || y.IsNull() {
			if x.IsNull() == y.IsNull() {
				continue
			}
			if x.IsNull() == k.nullsFirst[i] {
				return -1
			}
			return 1
		}
		if c := row.CompareTyped(k.types[i], x, y); c != 0 {
			if k.desc[i] {
				return -c
			}
			return c
		}
	}
	return 0
}

// keyed is a row beside its sort keys and place in the input, which keeps the sort stable.
type keyed struct {
	keys row.Row
	row  row.Row
	n    int
}

func (k *sortKeys) order(a, b keyed) int {
	if c := k.compare(a.keys, b.keys); c != 0 {
		return c
	}
	return cmp.Compare(a.n, b.n)
}

// sortRows sorts rows in place, stably.
func (k *sortKeys) sortRows(ectx *expr.Ctx, rows []row.Row) error {
	list := make([]keyed, len(rows))
	values := make([]row.Value, len(rows)*len(k.exprs))
	for i, r := range rows {
		keys := row.Row(values[:len(k.exprs):len(k.exprs)])
		values = values[len(k.exprs):]
		for j, e := range k.exprs {
			v, err := e(ectx, r)
			if err != nil {
				return err
			}
			keys[j] = v
		}
		list[i] = keyed{keys, r, i}
	}
	slices.SortFunc(list, k.order)
	for i := range list {
		rows[i] = list[i].row
	}
	return nil
}

// sortOp orders its input.
type sortOp struct {
	input operator
	keys  *sortKeys
}

func (c *compiler) sort(n *plan.Sort) (operator, error) {
	if op, err := c.orderedScan(n.Input, n.Keys, false); err != nil || op != nil {
		return op, err
	}
	input, err := c.compile(n.Input)
	if err != nil {
		return nil, err
	}
	keys, err := c.sortKeys(n.Keys)
	return &sortOp{input, keys}, err
}

// orderedScan compiles an input so that it comes in order by itself; nil when it cannot.
func (c *compiler) orderedScan(n plan.Node, keys []plan.SortKey, few bool) (operator, error) {
	var project *plan.Project
	if p, ok := n.(*plan.Project); ok {
		// The keys are over the projection's columns: over the scan they are its expressions.
		project, n = p, p.Input
		mapped := make([]plan.SortKey, len(keys))
		for i, k := range keys {
			column, ok := k.Expr.(*expr.Column)
			if !ok || column.Depth != 0 {
				return nil, nil
			}
			mapped[i] = k
			mapped[i].Expr = p.Exprs[column.Index]
		}
		keys = mapped
	}
	var cond expr.Expr
	if f, ok := n.(*plan.Filter); ok {
		cond, n = f.Cond, f.Input
	}
	s, ok := n.(*plan.Scan)
	if !ok || !bounded(s.Relation) {
		return nil, nil
	}
	a := chooseAccess(s.Relation, cond)
	reverse, ok := a.ordered(s.Relation, keys)
	if !ok {
		return nil, nil
	}
	scan, _, err := c.scanBy(s, cond, a)
	if err != nil {
		return nil, err
	}
	scan.ordered, scan.reverse, scan.few = true, reverse, few
	scan.read.Few = scan.read.Few || few
	if project == nil {
		return scan, nil
	}
	exprs, err := c.exprs(project.Exprs)
	return &projectOp{scan, exprs}, err
}

func (op *sortOp) open(x *execution) (cursor, error) {
	mem := &reservation{s: x.shared}
	rows, err := drain(x, op.input, mem)
	if err == nil {
		err = mem.hold(int64(len(rows)) * int64(72+row.ValueBytes*len(op.keys.exprs)))
	}
	if err == nil {
		err = op.keys.sortRows(x.ectx, rows)
	}
	if err != nil {
		mem.release()
		return nil, err
	}
	return &listCursor{rows, mem}, nil
}

// topOp is ORDER BY with LIMIT: it keeps only the first rows.
type topOp struct {
	sortOp
	bounds *limitOp
}

// maxTop is the limit up to which rows are kept in a heap instead of being sorted whole.
const maxTop = 10_000

// top compiles the sort below a limit.
func (c *compiler) top(s *plan.Sort, l *plan.Limit) (operator, error) {
	if op, err := c.orderedScan(s.Input, s.Keys, true); err != nil || op != nil {
		return op, err
	}
	input, err := c.compile(s.Input)
	if err != nil {
		return nil, err
	}
	op := &topOp{sortOp: sortOp{input: input}, bounds: &limitOp{}}
	if op.keys, err = c.sortKeys(s.Keys); err != nil {
		return nil, err
	}
	if op.bounds.count, err = c.expr(l.Count); err != nil {
		return nil, err
	}
	if l.Offset != nil {
		op.bounds.offset, err = c.expr(l.Offset)
	}
	return op, err
}

func (op *topOp) open(x *execution) (cursor, error) {
	count, offset, err := op.bounds.limits(x.ectx)
	if err != nil {
		return nil, err
	}
	if count > maxTop || offset > maxTop {
		return op.sortOp.open(x)
	}
	most := int(count + offset)
	in, err := op.input.open(x)
	if err != nil {
		return nil, err
	}
	defer in.close()
	var heap []keyed // the greatest first
	n := 0
	scratch := make(row.Row, len(op.keys.exprs))
	for {
		rows, err := in.next()
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		if err := x.check(); err != nil {
			return nil, err
		}
		for _, r := range rows {
			for i, e := range op.keys.exprs {
				if scratch[i], err = e(x.ectx, r); err != nil {
					return nil, err
				}
			}
			n++
			k := keyed{scratch, r, n}
			if len(heap) == most && op.keys.order(k, heap[0]) >= 0 {
				continue
			}
			k.keys = slices.Clone(scratch)
			if len(heap) < most {
				heap = append(heap, k)
				op.up(heap)
			} else {
				heap[0] = k
				op.down(heap)
			}
		}
	}
	slices.SortFunc(heap, op.keys.order)
	out := make([]row.Row, len(heap))
	for i := range heap {
		out[i] = heap[i].row
	}
	return &listCursor{rows: out}, nil
}

func (op *topOp) up(h []keyed) {
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if op.keys.order(h[i], h[parent]) <= 0 {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (op *topOp) down(h []keyed) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && op.keys.order(h[child+1], h[child]) > 0 {
			child++
		}
		if op.keys.order(h[i], h[child]) >= 0 {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

func sortKeyed(k *sortKeys, list []keyed) { slices.SortFunc(list, k.order) }
