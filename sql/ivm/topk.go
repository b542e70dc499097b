package ivm

import (
	"fmt"
	"math"

	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

// limit is a top-k of one group; without an order the rows stand in that of their bytes.
func (c *compiler) limit(n *plan.Limit) (*stream, error) {
	if n.WithTies {
		return nil, unsupported("FETCH FIRST WITH TIES")
	}
	count, err := bound(n.Count, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	offset, err := bound(n.Offset, 0)
	if err != nil {
		return nil, err
	}
	input, keys := n.Input, n.Keys
	if p, ok := input.(*plan.Project); ok { // the order may be by columns that the projection drops
		if s, ok := p.Input.(*plan.Sort); ok {
			cut := *n
			cut.Input = s
			pushed := *p
			pushed.Input = &cut
			return c.compile(&pushed, allColumns(n))
		}
	}
	if s, ok := input.(*plan.Sort); ok {
		input, keys = s.Input, s.Keys
	}
	return c.top(input, nil, keys, offset, count)
}

// bound is the value of LIMIT or OFFSET; null and none are otherwise.
func bound(e expr.Expr, otherwise int64) (int64, error) {
	if e == nil {
		return otherwise, nil
	}
	v, err := constantOf(e)
	if err != nil || v.IsNull() {
		return otherwise, err
	}
	if v.Int() < 0 {
		return 0, unsupported("a negative LIMIT or OFFSET")
	}
	return v.Int(), nil
}

// distinctOn is a top-1 of each group.
func (c *compiler) distinctOn(n *plan.Distinct) (*stream, error) {
	input := n.Input
	var keys []plan.SortKey
	if s, ok := input.(*plan.Sort); ok {
		input, keys = s.Input, s.Keys
	}
	return c.top(input, n.On, keys, 0, 1)
}

func (c *compiler) top(input plan.Node, groups []expr.Expr, keys []plan.SortKey, offset, count int64) (*stream, error) {
	in, err := c.compile(input, allColumns(input))
	if err != nil {
		return nil, err
	}
	key := in.key
	order := keyColumn{}
	for _, k := range keys {
		order.exprs = append(order.exprs, in.local(k.Expr))
		order.desc, order.first = append(order.desc, k.Desc), append(order.first, k.NullsFirst)
	}
	local := make([]expr.Expr, len(groups))
	for i, g := range groups {
		local[i] = in.local(g)
	}
	s, _, places, err := c.extend(in, nil, []keyColumn{order})
	if err != nil {
		return nil, err
	}
	s, _, groupKeys, err := c.normal(s, local)
	if err != nil {
		return nil, err
	}
	cols := input.Columns()
	show := make([]int, len(cols))
	out := &stream{at: map[int]int{}, key: key}
	for i := range cols {
		show[i] = in.at[i]
		out.at[i] = i
		out.types = append(out.types, in.types[in.at[i]])
	}
	t, err := op.NewTopK(s.schema, op.TopKSpec{Keys: groupKeys, Order: places[0], Show: show, Offset: offset, Limit: count})
	if err != nil {
		return nil, err
	}
	out.schema = t.Schema()
	out.wire = c.graph.Add(t, fmt.Sprintf("top %d offset %d by %s in groups %v of %v", count, offset, &order, groupKeys, show), s.wire)
	return out, nil
}
