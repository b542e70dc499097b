package duck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// node translates an operator. need says which of its columns anybody reads; outer is the row around a subquery.
func (t *translator) node(n plan.Node, need []bool, outer *scope) *rel {
	switch n := n.(type) {
	case *plan.Scan:
		return t.scan(n, need)
	case *plan.Values:
		return t.values(n, outer)
	case *plan.Function:
		return t.function(n, outer)
	case *plan.Filter:
		r := t.open(t.node(n.Input, inputNeed(n, n.Input, need), outer))
		r.where = append(r.where, t.condition(n.Cond, &scope{r.cols, outer}).sql)
		return r
	case *plan.Project:
		return t.project(n, need, outer)
	case *plan.Join:
		return t.join(n, need, outer)
	case *plan.Aggregate:
		return t.aggregate(n, need, outer)
	case *plan.Window:
		return t.window(n, need, outer)
	case *plan.Sort:
		r := t.node(n.Input, inputNeed(n, n.Input, need), outer)
		if r.limit != "" || r.offset != "" || r.computed {
			r = t.closed(r)
		}
		r.order = t.orderBy(n.Keys, &scope{r.cols, outer})
		return r
	case *plan.Limit:
		return t.limit(n, need, outer)
	case *plan.Distinct:
		return t.distinct(n, need, outer)
	case *plan.SetOperation:
		return t.setOperation(n, outer)
	case *plan.With:
		return t.with(n, need, outer)
	case *plan.CTEScan:
		b, ok := t.bindings[n.Binding]
		if !ok {
			fail("a common table expression from outside")
		}
		a := t.alias()
		return &rel{from: b.name + " AS " + a, cols: references(a, b.cols)}
	}
	fail("operator %T", n)
	return nil
}

func (t *translator) scan(n *plan.Scan, need []bool) *rel {
	if n.Lock != plan.NoLock {
		fail("row locks")
	}
	if n.Relation.Kind == catalog.System || n.Relation.Kind == catalog.View {
		fail("%s has no columnar store", n.Relation.Name)
	}
	number := slices.Index(t.relations, n.Relation)
	if number < 0 {
		number = len(t.relations)
		t.relations = append(t.relations, n.Relation)
	}
	a := t.alias()
	s := Scan{Relation: number}
	r := &rel{cols: make([]value, len(n.Cols))}
	for i, c := range n.Cols {
		if !need[i] {
			continue
		}
		s.Columns = append(s.Columns, i)
		r.cols[i] = stored(fmt.Sprintf("%s.c%d", a, i), c.Type)
	}
	r.from = fmt.Sprintf("%s%d%s AS %s", scanMark, len(t.scans), scanMark, a)
	t.scans = append(t.scans, s)
	return r
}

func (t *translator) values(n *plan.Values, outer *scope) *rel {
	if len(n.Rows) == 1 {
		// One row needs no VALUES: SELECT without FROM.
		r := &rel{computed: true}
		for i, e := range n.Rows[0] {
			v := t.expr(e, &scope{nil, outer})
			v.typ = n.Cols[i].Type
			r.cols = append(r.cols, v)
		}
		return r
	}
	if len(n.Rows) == 0 {
		fail("no rows")
	}
	columns := make([][]value, len(n.Cols))
	for _, es := range n.Rows {
		for i, e := range es {
			columns[i] = append(columns[i], t.expr(e, &scope{nil, outer}))
		}
	}
	rows := make([][]string, len(n.Rows))
	cols := make([]value, len(n.Cols))
	for i, vs := range columns {
		u := t.unify(vs, n.Cols[i].Type)
		cols[i] = u.result
		cols[i].sql = fmt.Sprintf("x%d", i)
		for k := range vs {
			rows[k] = append(rows[k], fmt.Sprintf("%s AS x%d", u.sqls[k], i))
			if u.displays != nil {
				rows[k] = append(rows[k], fmt.Sprintf("%s AS x%dd", u.displays[k], i))
			}
		}
	}
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = "SELECT " + strings.Join(r, ", ")
		if len(r) == 0 {
			texts[i] = "SELECT 1 AS one"
		}
	}
	return t.wrap(strings.Join(texts, " UNION ALL "), cols)
}

func (t *translator) project(n *plan.Project, need []bool, outer *scope) *rel {
	in := make([]bool, len(n.Input.Columns()))
	for i, e := range n.Exprs {
		if need[i] {
			uses(e, 0, in)
		}
	}
	r := t.node(n.Input, in, outer)
	if r.computed {
		r = t.closed(r)
	}
	s := &scope{r.cols, outer}
	cols := make([]value, len(n.Exprs))
	plain := true
	for i, e := range n.Exprs {
		if need[i] {
			cols[i] = t.expr(e, s)
			cols[i].typ = n.Cols[i].Type
			_, reference := e.(*expr.Column)
			plain = plain && reference
		}
	}
	r.cols, r.computed = cols, !plain
	return r
}

func (t *translator) orderBy(keys []plan.SortKey, s *scope) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		v := t.comparable(t.expr(k.Expr, s))
		dir, nulls := "ASC", "LAST"
		if k.Desc {
			dir = "DESC"
		}
		if k.NullsFirst {
			nulls = "FIRST"
		}
		sql := v.sql
		if _, ok := k.Expr.(*expr.Const); ok {
			sql = "(" + sql + ")" // not a column's number
		}
		parts[i] = fmt.Sprintf("%s %s NULLS %s", sql, dir, nulls)
	}
	return strings.Join(parts, ", ")
}

func (t *translator) limit(n *plan.Limit, need []bool, outer *scope) *rel {
	if n.WithTies {
		fail("WITH TIES")
	}
	r := t.node(n.Input, inputNeed(n, n.Input, need), outer)
	if r.limit != "" || r.offset != "" {
		r = t.closed(r)
	}
	bound := func(e expr.Expr) string {
		if e == nil {
			return ""
		}
		v, ok := t.constant(e)
		if !ok {
			fail("LIMIT that is no constant")
		}
		if v.IsNull() {
			return ""
		}
		if v.Int() < 0 {
			fail("a negative LIMIT")
		}
		return fmt.Sprint(v.Int())
	}
	r.limit, r.offset = bound(n.Count), bound(n.Offset)
	return r
}

func (t *translator) distinct(n *plan.Distinct, need []bool, outer *scope) *rel {
	if n.On == nil {
		need = slices.Repeat([]bool{true}, len(need))
		r := t.node(n.Input, need, outer)
		if r.order != "" || r.limit != "" || r.offset != "" {
			// The order of the input does not hold for the output; the planner sorts above.
			r = t.closed(r)
		}
		for i := range r.cols {
			r.cols[i] = t.groupable(r.cols[i])
		}
		return t.wrap(r.selectText("SELECT DISTINCT "), r.cols)
	}
	r := t.node(n.Input, inputNeed(n, n.Input, need), outer)
	if r.limit != "" || r.offset != "" || r.computed {
		fail("DISTINCT ON over a computed input")
	}
	s := &scope{r.cols, outer}
	on := make([]string, len(n.On))
	for i, e := range n.On {
		on[i] = t.groupable(t.comparable(t.expr(e, s))).sql
	}
	order := r.order
	text := r.selectText("SELECT DISTINCT ON (" + strings.Join(on, ", ") + ") ")
	w := t.wrap(text, r.cols)
	if order != "" {
		w = t.resort(n, w, outer)
	}
	return w
}

// resort sorts the output of DISTINCT ON as its input was: its keys must be among the columns.
func (t *translator) resort(n *plan.Distinct, w *rel, outer *scope) *rel {
	sort, ok := n.Input.(*plan.Sort)
	if !ok {
		fail("DISTINCT ON over %T", n.Input)
	}
	w.order = t.orderBy(sort.Keys, &scope{w.cols, outer})
	return w
}

func (t *translator) setOperation(n *plan.SetOperation, outer *scope) *rel {
	need := slices.Repeat([]bool{true}, len(n.Cols))
	l, r := t.node(n.Left, need, outer), t.node(n.Right, need, outer)
	l, r = t.closed(l), t.closed(r)
	cols := make([]value, len(n.Cols))
	for i, c := range n.Cols {
		u := t.unify([]value{l.cols[i], r.cols[i]}, c.Type)
		if u.displays != nil && !(n.All && n.Kind == plan.Union) {
			fail("a set operation over numerics of different scales")
		}
		cols[i] = u.result
		cols[i].sql = fmt.Sprintf("x%d", i)
		if !(n.All && n.Kind == plan.Union) {
			t.groupable(u.result)
		}
		l.cols[i].sql, r.cols[i].sql = u.sqls[0], u.sqls[1]
		l.cols[i].num, r.cols[i].num = u.result.num, u.result.num
		if u.displays != nil {
			l.cols[i].num.display, r.cols[i].num.display = u.displays[0], u.displays[1]
		}
	}
	word := [...]string{"UNION", "INTERSECT", "EXCEPT"}[n.Kind]
	if n.All {
		word += " ALL"
	}
	return t.wrap(fmt.Sprintf("(%s) %s (%s)", l.text(), word, r.text()), cols)
}

func (t *translator) with(n *plan.With, need []bool, outer *scope) *rel {
	var parts []string
	recursive := false
	for _, b := range n.Bindings {
		if b.Modify != nil {
			fail("a data-modifying WITH")
		}
		all := slices.Repeat([]bool{true}, len(b.Cols))
		first := t.closed(t.node(b.Query, all, outer))
		name := "w" + t.alias()
		cols := first.cols
		t.bindings[b] = &binding{name: name, cols: plainNames(cols)}
		text := first.text()
		if b.Recursive != nil {
			recursive = true
			text = t.recursive(b, cols, text, outer)
		}
		mode := ""
		if b.Materialized && b.Recursive == nil {
			mode = "MATERIALIZED "
		}
		parts = append(parts, fmt.Sprintf("%s AS %s(%s)", name, mode, text))
	}
	if outer == nil {
		// Names are unique: the definitions go to the head of the whole query, and the body keeps its order.
		t.head, t.recursion = append(t.head, parts...), t.recursion || recursive
		return t.node(n.Body, need, outer)
	}
	body := t.node(n.Body, need, outer)
	return t.wrap(withText(parts, recursive)+body.text(), body.cols)
}

func withText(parts []string, recursive bool) string {
	if len(parts) == 0 {
		return ""
	}
	word := "WITH "
	if recursive {
		word = "WITH RECURSIVE "
	}
	return word + strings.Join(parts, ", ") + " "
}

// plainNames are a binding's columns before they have an alias: only their forms matter.
func plainNames(cols []value) []value {
	out := slices.Clone(cols)
	for i := range out {
		if out[i].num.display != "" {
			out[i].num.display = "d"
		}
	}
	return out
}

// recursive is the text of a recursive binding.
func (t *translator) recursive(b *plan.Binding, cols []value, first string, outer *scope) string {
	all := slices.Repeat([]bool{true}, len(b.Cols))
	step := t.closed(t.node(b.Recursive, all, outer))
	for i, c := range step.cols {
		if c.num != cols[i].num || c.opaque != cols[i].opaque {
			fail("a recursive term of another numeric form")
		}
		if c.num.display != "" {
			fail("a recursive numeric of changing scale")
		}
		if !b.UnionAll {
			t.groupable(c)
		}
	}
	word := "UNION"
	if b.UnionAll {
		word = "UNION ALL"
	}
	return fmt.Sprintf("%s %s %s", first, word, step.text())
}

// function translates set-returning functions in FROM.
func (t *translator) function(n *plan.Function, outer *scope) *rel {
	if len(n.Calls) != 1 || n.Ordinality {
		fail("ROWS FROM")
	}
	c, ok := n.Calls[0].(*expr.Call)
	if !ok {
		fail("%T in FROM", n.Calls[0])
	}
	s := &scope{nil, outer}
	switch signature(c.Func) {
	case "generate_series(int4,int4)", "generate_series(int8,int8)", "generate_series(int4,int4,int4)", "generate_series(int8,int8,int8)":
	default:
		fail("%s in FROM", signature(c.Func))
	}
	args := t.exprs(c.Args, s)
	if len(args) == 3 {
		if step, ok := t.constant(c.Args[2]); !ok || step.IsNull() || step.Int() == 0 {
			fail("generate_series with a step that is no constant")
		}
	}
	a, constant := t.alias(), true
	for _, e := range c.Args {
		_, ok := t.constant(e)
		constant = constant && ok
	}
	typ, _ := storedType(n.Cols[0].Type)
	var big []string
	for _, v := range args {
		big = append(big, "CAST("+v.sql+" AS BIGINT)")
	}
	list := "generate_series(" + strings.Join(big, ", ") + ")"
	if constant {
		return &rel{from: list + " AS " + a + "(x0)", cols: []value{{sql: fmt.Sprintf("CAST(%s.x0 AS %s)", a, typ), typ: n.Cols[0].Type}}}
	}
	return t.wrap(fmt.Sprintf("SELECT CAST(unnest(%s) AS %s) AS x0", list, typ), []value{{sql: "x0", typ: n.Cols[0].Type}})
}
