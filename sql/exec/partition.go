package exec

import (
	"cmp"
	"slices"
	"sort"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
)

func (call *windowCall) sort(list []*windowRow) {
	slices.SortFunc(list, func(a, b *windowRow) int {
		if c := call.partition.compare(a.part, b.part); c != 0 {
			return c
		}
		if c := call.order.compare(a.keys, b.keys); c != 0 {
			return c
		}
		return cmp.Compare(a.original, b.original)
	})
}

// partition is the rows of one partition in the window's order.
type partition struct {
	x      *execution
	call   *windowCall
	rows   []*windowRow
	column int
	// group is each row's peer group; first the first row of each group, with the number of rows at its end.
	group []int
	first []int
}

func (p *partition) compute() error {
	p.group = make([]int, len(p.rows))
	for i := range p.rows {
		if i == 0 || p.call.order.compare(p.rows[i-1].keys, p.rows[i].keys) != 0 {
			p.first = append(p.first, i)
		}
		p.group[i] = len(p.first) - 1
	}
	p.first = append(p.first, len(p.rows))
	if p.call.agg != nil {
		return p.aggregate()
	}
	for i, w := range p.rows {
		v, err := p.function(i)
		if err != nil {
			return err
		}
		w.out[p.column] = v
	}
	return nil
}

// function computes a window function for row i.
func (p *partition) function(i int) (row.Value, error) {
	n := len(p.rows)
	rank := p.first[p.group[i]] + 1
	switch p.call.fn.Name {
	case "row_number":
		return row.NewInt(int64(i) + 1), nil
	case "rank":
		return row.NewInt(int64(rank)), nil
	case "dense_rank":
		return row.NewInt(int64(p.group[i]) + 1), nil
	case "percent_rank":
		if n == 1 {
			return row.NewFloat(0), nil
		}
		return row.NewFloat(float64(rank-1) / float64(n-1)), nil
	case "cume_dist":
		return row.NewFloat(float64(p.first[p.group[i]+1]) / float64(n)), nil
	case "ntile":
		return p.ntile(i)
	case "lag", "lead":
		return p.offset(i)
	case "first_value", "last_value", "nth_value":
		return p.nth(i)
	}
	return row.Null, errs.SQL("0A000", "window function %s is not supported", p.call.fn.Name)
}

func (p *partition) arg(n, i int) (row.Value, error) { return p.call.args[n](p.x.ectx, p.rows[i].in) }

func (p *partition) ntile(i int) (row.Value, error) {
	// The argument of the partition's first row counts, as in PostgreSQL.
	v, err := p.arg(0, 0)
	if err != nil || v.IsNull() {
		return row.Null, err
	}
	buckets := v.Int()
	if buckets <= 0 {
		return row.Null, errs.SQL("22014", "argument of ntile must be greater than zero")
	}
	n := int64(len(p.rows))
	size, larger := n/buckets, n%buckets // the first larger buckets have one row more
	at := int64(i)
	if at < larger*(size+1) {
		return row.NewInt(at/(size+1) + 1), nil
	}
	return row.NewInt((at-larger*(size+1))/max(size, 1) + larger + 1), nil
}

// offset is lag and lead.
func (p *partition) offset(i int) (row.Value, error) {
	by := int64(1)
	if len(p.call.args) > 1 {
		v, err := p.arg(1, i)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		by = v.Int()
	}
	step := 1
	if (p.call.fn.Name == "lag") != (by < 0) {
		step = -1
	}
	by = max(by, -by)
	if p.call.ignoreNulls {
		for at := i + step; at >= 0 && at < len(p.rows) && by > 0; at += step {
			v, err := p.arg(0, at)
			if err != nil {
				return row.Null, err
			}
			if !v.IsNull() {
				if by--; by == 0 {
					return v, nil
				}
			}
		}
		if by == 0 {
			return p.arg(0, i)
		}
	} else if by <= int64(len(p.rows)) {
		if at := i + step*int(by); at >= 0 && at < len(p.rows) {
			return p.arg(0, at)
		}
	}
	if len(p.call.args) > 2 {
		return p.arg(2, i)
	}
	return row.Null, nil
}

// nth is first_value, last_value and nth_value over the frame.
func (p *partition) nth(i int) (row.Value, error) {
	want := int64(1)
	if p.call.fn.Name == "nth_value" {
		v, err := p.arg(1, i)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		if want = v.Int(); want <= 0 {
			return row.Null, errs.SQL("22016", "argument of nth_value must be greater than zero")
		}
	}
	spans, err := p.frame(i)
	if err != nil {
		return row.Null, err
	}
	var found row.Value
	backward := p.call.fn.Name == "last_value"
	count := int64(0)
	visit := func(at int) (bool, error) {
		if !p.call.ignoreNulls {
			count++
			if count < want {
				return true, nil
			}
			found, err = p.arg(0, at)
			return false, err
		}
		v, err := p.arg(0, at)
		if err != nil || v.IsNull() {
			return err == nil, err
		}
		if count++; count == want {
			found = v
			return false, nil
		}
		return true, nil
	}
	for s := range spans {
		span := spans[s]
		if backward {
			span = spans[len(spans)-1-s]
		}
		for k := span.from; k < span.to; k++ {
			at := k
			if backward {
				at = span.to - 1 - (k - span.from)
			}
			if more, err := visit(at); err != nil || !more {
				return found, err
			}
		}
	}
	return row.Null, nil
}

// span is a run of rows of a frame.
type span struct{ from, to int }

// frame gives the rows of row i's frame, in order.
func (p *partition) frame(i int) ([]span, error) {
	from, to, err := p.bounds(i)
	if err != nil {
		return nil, err
	}
	from, to = max(from, 0), min(to, len(p.rows))
	if from >= to {
		return nil, nil
	}
	whole := []span{{from, to}}
	peers := span{p.first[p.group[i]], p.first[p.group[i]+1]}
	switch p.call.frame.Exclude {
	case plan.ExcludeCurrentRow:
		return without(whole, span{i, i + 1}), nil
	case plan.ExcludeGroup:
		return without(whole, peers), nil
	case plan.ExcludeTies:
		return without(without(whole, span{peers.from, i}), span{i + 1, peers.to}), nil
	}
	return whole, nil
}

func without(list []span, cut span) []span {
	var out []span
	for _, s := range list {
		if left := (span{s.from, min(s.to, cut.from)}); left.from < left.to {
			out = append(out, left)
		}
		if right := (span{max(s.from, cut.to), s.to}); right.from < right.to && cut.from < cut.to {
			out = append(out, right)
		} else if cut.from >= cut.to {
			return list
		}
	}
	return out
}

// bounds are the frame's first row and the one after its last, before exclusion.
func (p *partition) bounds(i int) (from, to int, err error) {
	if from, err = p.edge(i, p.call.frame.Start, p.call.start, false); err != nil {
		return 0, 0, err
	}
	to, err = p.edge(i, p.call.frame.End, p.call.end, true)
	return from, to, err
}

// edge is the index of the first row of the frame, or the one after its last (end).
func (p *partition) edge(i int, b plan.Bound, offset expr.Evaluator, end bool) (int, error) {
	switch b.Kind {
	case plan.UnboundedPreceding:
		return 0, nil
	case plan.UnboundedFollowing:
		return len(p.rows), nil
	case plan.CurrentRow:
		switch {
		case p.call.frame.Mode == plan.Rows && end:
			return i + 1, nil
		case p.call.frame.Mode == plan.Rows:
			return i, nil
		case end:
			return p.first[p.group[i]+1], nil
		}
		return p.first[p.group[i]], nil
	}
	v, err := offset(p.x.ectx, p.rows[i].in)
	if err != nil {
		return 0, err
	}
	which := "starting"
	if end {
		which = "ending"
	}
	if v.IsNull() {
		return 0, errs.SQL("22004", "frame %s offset must not be null", which)
	}
	if p.call.frame.Mode == plan.Range {
		return p.rangeEdge(i, b.Kind == plan.Preceding, v, end)
	}
	if v.Int() < 0 {
		return 0, errs.SQL("22013", "frame %s offset must not be negative", which)
	}
	by := int(min(v.Int(), int64(len(p.rows)))) // no further than the partition
	if b.Kind == plan.Preceding {
		by = -by
	}
	if p.call.frame.Mode == plan.Rows {
		if end {
			return i + by + 1, nil
		}
		return i + by, nil
	}
	g := p.group[i] + by
	groups := len(p.first) - 1
	if end {
		g++
	}
	return p.first[min(max(g, 0), groups)], nil
}

// rangeEdge finds the first or last row whose key is within offset of row i's.
func (p *partition) rangeEdge(i int, preceding bool, offset row.Value, end bool) (int, error) {
	key := p.rows[i].keys[0]
	if key.IsNull() { // NULLs are peers of each other only
		if end {
			return p.first[p.group[i]+1], nil
		}
		return p.first[p.group[i]], nil
	}
	if negative(offset) {
		return 0, errs.SQL("22013", "invalid preceding or following size in window function")
	}
	move := p.call.more
	if end {
		move = p.call.moreEnd
	}
	if preceding != p.call.order.desc[0] {
		move = p.call.less
		if end {
			move = p.call.lessEnd
		}
	}
	limit, err := move(p.x.ectx, []row.Value{key, offset})
	if err != nil {
		if errs.KindOf(err) != errs.Invalid {
			return 0, err
		}
		// Beyond the type's range: no row is out of it.
		if preceding {
			return p.firstNotNull(), nil
		}
		return p.lastNotNull(), nil
	}
	bound := row.Row{limit}
	if end {
		return sort.Search(len(p.rows), func(n int) bool { return p.call.order.compare(p.rows[n].keys, bound) > 0 }), nil
	}
	return sort.Search(len(p.rows), func(n int) bool { return p.call.order.compare(p.rows[n].keys, bound) >= 0 }), nil
}

func negative(v row.Value) bool {
	switch v.Kind() {
	case row.KindInt:
		return v.Int() < 0
	case row.KindInterval:
		return row.Compare(v, row.NewInterval(0, 0, 0)) < 0
	}
	return v.AsFloat() < 0
}

func (p *partition) firstNotNull() int {
	n := 0
	for n < len(p.rows) && p.rows[n].keys[0].IsNull() {
		n++
	}
	return n
}

func (p *partition) lastNotNull() int {
	n := len(p.rows)
	for n > 0 && p.rows[n-1].keys[0].IsNull() {
		n--
	}
	return n
}

// aggregate computes an aggregate over each row's frame. Frames that only grow are added to; equal frames share a result.
func (p *partition) aggregate() error {
	growing := p.call.frame.Start.Kind == plan.UnboundedPreceding && p.call.frame.Exclude == plan.ExcludeNoOthers
	state := p.call.agg.start()
	var lastValue row.Value
	last := []span(nil)
	for i, w := range p.rows {
		spans, err := p.frame(i)
		if err != nil {
			return err
		}
		if i > 0 && slices.Equal(spans, last) {
			w.out[p.column] = lastValue
			continue
		}
		from := 0
		switch {
		case growing && len(spans) == 1 && len(last) == 1 && spans[0].to >= last[0].to:
			from = last[0].to
		case growing && len(spans) == 1 && len(last) == 0:
		default:
			state = p.call.agg.start()
		}
		for _, s := range spans {
			for at := max(s.from, from); at < s.to; at++ {
				if at&0xFFF == 0xFFF {
					if err := p.x.check(); err != nil {
						return err
					}
				}
				if _, err := p.call.agg.add(p.x.ectx, &state, p.rows[at].in); err != nil {
					return err
				}
			}
		}
		if lastValue, err = p.call.agg.result(p.x.ectx, &state); err != nil {
			return err
		}
		last = spans
		w.out[p.column] = lastValue
	}
	return nil
}
