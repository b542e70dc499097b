package duck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// Context is what a statement's values depend on beside the data.
type Context struct {
	// Params are the values of $1...; they go into the text as literals.
	Params []row.Value
	// Now is the transaction's start, StatementTime the statement's.
	Now, StatementTime time.Time
	// Location is the session's time zone; nil: UTC.
	Location *time.Location
}

// Translate writes a plan as DuckDB SQL. The error is *Unsupported when a node, function or value has no translation that
// gives exactly PostgreSQL's answer.
func Translate(n plan.Node, c Context) (tr *Translated, err error) {
	t := &translator{context: c, bindings: map[*plan.Binding]*binding{}}
	defer func() {
		if r := recover(); r != nil {
			u, ok := r.(*Unsupported)
			if !ok {
				panic(r)
			}
			tr, err = nil, u
		}
	}()
	need := slices.Repeat([]bool{true}, len(n.Columns()))
	r := t.node(n, need, nil)
	out := &Translated{Relations: t.relations, Scans: t.scans}
	for i, c := range n.Columns() {
		f := Field{Type: c.Type, Column: r.physical(i), Scale: -1}
		if r.cols[i].num.display != "" {
			f.Scale = f.Column + 1
		}
		out.Fields = append(out.Fields, f)
	}
	out.Fragments = strings.Split(withText(t.head, t.recursion)+r.text(), scanMark)
	// A binding that is written twice has its scans once in the text, in the order of the text.
	return out, t.orderScans(out)
}

// scanMark stands for a scan in the text, between its number and the text. No literal contains a NUL: PostgreSQL's text
// has none.
const scanMark = "\x00"

// orderScans puts the scans into the order of the text; each mark is "\x00number\x00".
func (t *translator) orderScans(out *Translated) error {
	var fragments []string
	var scans []Scan
	for i, part := range out.Fragments {
		if i%2 == 0 {
			fragments = append(fragments, part)
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return &Unsupported{Reason: "a NUL byte in the query"}
		}
		scans = append(scans, t.scans[n])
	}
	out.Fragments, out.Scans = fragments, scans
	return nil
}

// translator writes one plan. Its methods panic with *Unsupported; Translate recovers.
type translator struct {
	context   Context
	relations []*catalog.Relation
	scans     []Scan
	aliases   int
	bindings  map[*plan.Binding]*binding
	// head are the definitions at the head of the query; recursion says that one is recursive.
	head      []string
	recursion bool
}

// binding is a common table expression under its name in the text.
type binding struct {
	name string
	cols []value
}

func fail(format string, args ...any) { panic(&Unsupported{Reason: fmt.Sprintf(format, args...)}) }

func (t *translator) alias() string {
	t.aliases++
	return "t" + strconv.Itoa(t.aliases)
}

// value is an expression in DuckDB's SQL, closed in itself: it can stand beside any operator.
type value struct {
	sql string
	typ row.Type
	// num describes a numeric: DuckDB holds it as a DECIMAL.
	num decimal
	// opaque values are held as PostgreSQL's text (numerics without limits, arrays, jsonb): they can be passed on, counted
	// and tested for NULL, and nothing else.
	opaque bool
	// raises says that evaluation may raise an error that a guard elsewhere in the query is meant to prevent.
	raises bool
}

// scope is the input row of an operator, and those of the operators around it.
type scope struct {
	cols  []value
	outer *scope
}

// rel is a query that is still open: more can be added to it before it becomes a subquery.
type rel struct {
	from   string
	where  []string
	cols   []value // unneeded columns have no sql
	order  string
	limit  string
	offset string
	// computed: cols are not plain references, so nothing may refer to them before the query is closed.
	computed bool
}

// shaped reports whether the query's rows are fixed: a filter or join must go around it.
func (r *rel) shaped() bool { return r.computed || r.limit != "" || r.offset != "" || r.order != "" }

// physical is the number of the DuckDB column that holds column i.
func (r *rel) physical(i int) int {
	n := 0
	for _, c := range r.cols[:i] {
		if c.sql != "" {
			n++
			if c.num.display != "" {
				n++
			}
		}
	}
	return n
}

// text is the whole query.
func (r *rel) text() string { return r.selectText("SELECT ") }

func (r *rel) selectText(keyword string) string {
	var b strings.Builder
	b.WriteString(keyword)
	r.writeColumns(&b)
	if r.from != "" {
		b.WriteString(" FROM " + r.from)
	}
	if len(r.where) > 0 {
		b.WriteString(" WHERE " + strings.Join(r.where, " AND "))
	}
	r.writeTail(&b)
	return b.String()
}

func (r *rel) writeColumns(b *strings.Builder) {
	n := 0
	for i, c := range r.cols {
		if c.sql == "" {
			continue
		}
		if n++; n > 1 {
			b.WriteString(", ")
		}
		fmt.Fprintf(b, "%s AS x%d", c.sql, i)
		if c.num.display != "" {
			fmt.Fprintf(b, ", %s AS x%dd", c.num.display, i)
		}
	}
	if n == 0 {
		b.WriteString("1 AS one")
	}
}

func (r *rel) writeTail(b *strings.Builder) {
	if r.order != "" {
		b.WriteString(" ORDER BY " + r.order)
	}
	if r.limit != "" {
		b.WriteString(" LIMIT " + r.limit)
	}
	if r.offset != "" {
		b.WriteString(" OFFSET " + r.offset)
	}
}

// closed makes r a subquery, whose columns are references.
func (t *translator) closed(r *rel) *rel { return t.wrap(r.text(), r.cols) }

// wrap makes text a subquery of columns x0, x1...
func (t *translator) wrap(text string, cols []value) *rel {
	a := t.alias()
	return &rel{from: "(" + text + ") AS " + a, cols: references(a, cols)}
}

func references(alias string, cols []value) []value {
	out := make([]value, len(cols))
	for i, c := range cols {
		if c.sql == "" {
			continue
		}
		out[i] = value{sql: fmt.Sprintf("%s.x%d", alias, i), typ: c.typ, num: c.num, opaque: c.opaque}
		if c.num.display != "" {
			out[i].num.display = fmt.Sprintf("%s.x%dd", alias, i)
		}
	}
	return out
}

// open gives r in a form that takes filters and joins.
func (t *translator) open(r *rel) *rel {
	if r.shaped() {
		return t.closed(r)
	}
	return r
}

// exprs translates a list.
func (t *translator) exprs(es []expr.Expr, s *scope) []value {
	vs := make([]value, len(es))
	for i, e := range es {
		vs[i] = t.expr(e, s)
	}
	return vs
}

func join(vs []value, sep string) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = v.sql
	}
	return strings.Join(parts, sep)
}
