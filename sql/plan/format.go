package plan

import (
	"fmt"
	"strings"

	"github.com/miracledb/miracledb/sql/expr"
)

// Format writes a plan as EXPLAIN shows it: one operator a line, its conditions below it, inputs further in.
func Format(n Node) string {
	p := &planPrinter{}
	p.node(n, 0)
	return p.out.String()
}

// planPrinter writes a plan. Subqueries of an operator's expressions are numbered and follow its lines.
type planPrinter struct {
	out     strings.Builder
	plans   int
	waiting []*expr.Subquery
	first   int // the number of waiting[0]
}

// line writes one line; depth 0 is the root.
func (p *planPrinter) line(depth int, format string, args ...any) {
	indent := ""
	if depth > 0 {
		indent = strings.Repeat(" ", 6*depth-4)
	}
	fmt.Fprintf(&p.out, indent+format+"\n", args...)
}

// node writes an operator with what is below it.
func (p *planPrinter) node(n Node, depth int) {
	if f, ok := n.(*Filter); ok && shownWithFilter(f.Input) {
		p.operator(f.Input, depth, f.Cond)
		return
	}
	p.operator(n, depth, nil)
}

// shownWithFilter reports whether a filter above an operator is shown as a line of it.
func shownWithFilter(n Node) bool {
	switch n.(type) {
	case *Scan, *Function, *Values, *CTEScan, *Aggregate, *Join:
		return true
	}
	return false
}

// operator writes an operator; filter is a condition that its rows must pass, or nil.
func (p *planPrinter) operator(n Node, depth int, filter expr.Expr) {
	arrow := ""
	if depth > 0 {
		arrow = "->  "
	}
	p.line(depth, "%s%s", arrow, title(n))
	outer, first := p.waiting, p.first
	p.waiting, p.first = nil, p.plans+1
	detail := func(name, text string) {
		if text != "" {
			in := strings.Repeat(" ", 6*depth+2)
			fmt.Fprintf(&p.out, "%s%s: %s\n", in, name, text)
		}
	}
	p.details(n, detail)
	if filter != nil {
		detail("Filter", p.expr(filter))
	}
	if w, ok := n.(*With); ok {
		p.bindings(w, depth)
	}
	p.subplans(depth)
	p.waiting, p.first = outer, first
	for _, in := range n.Inputs() {
		p.node(in, depth+1)
	}
}

// subplans writes the plans of the subqueries that the operator's lines named.
func (p *planPrinter) subplans(depth int) {
	for i := 0; i < len(p.waiting); i++ {
		s := p.waiting[i]
		kind := "InitPlan"
		if s.Correlated {
			kind = "SubPlan"
		}
		fmt.Fprintf(&p.out, "%s%s %d\n", strings.Repeat(" ", 6*depth+2), kind, p.first+i)
		p.node(s.Plan.(Node), depth+1)
	}
}

func (p *planPrinter) bindings(w *With, depth int) {
	for _, b := range w.Bindings {
		kind := "CTE"
		if b.Recursive != nil {
			kind = "Recursive CTE"
		}
		fmt.Fprintf(&p.out, "%s%s %s\n", strings.Repeat(" ", 6*depth+2), kind, b.Name)
		if b.Modify != nil {
			p.line(depth+1, "->  %s", b.Modify.Tag())
		}
		if b.Query != nil {
			p.node(b.Query, depth+1)
		}
		if b.Recursive != nil {
			p.node(b.Recursive, depth+1)
		}
	}
}

// title names an operator as PostgreSQL does.
func title(n Node) string {
	switch n := n.(type) {
	case *Scan:
		s := "Scan on " + n.Relation.Name
		if n.Alias != "" && n.Alias != n.Relation.Name {
			s += " " + n.Alias
		}
		return s
	case *Values:
		if len(n.Cols) == 0 {
			return "Result"
		}
		return fmt.Sprintf("Values Scan (%d rows)", len(n.Rows))
	case *Function:
		return "Function Scan"
	case *ProjectSet:
		return "ProjectSet"
	case *Filter:
		return "Filter"
	case *Project:
		return "Project"
	case *Join:
		return joinTitle(n)
	case *Aggregate:
		if len(n.Groups) == 0 {
			return "Aggregate"
		}
		return "HashAggregate"
	case *Window:
		return "WindowAgg"
	case *Sort:
		return "Sort"
	case *Limit:
		if n.WithTies {
			return "Limit with Ties"
		}
		return "Limit"
	case *Distinct:
		return "Unique"
	case *SetOperation:
		if n.Kind == Union && n.All {
			return "Append"
		}
		s := "HashSetOp " + [...]string{"Union", "Intersect", "Except"}[n.Kind]
		if n.All {
			s += " All"
		}
		return s
	case *With:
		return "With"
	case *CTEScan:
		return "CTE Scan on " + n.Binding.Name
	}
	return fmt.Sprintf("%T", n)
}

func joinTitle(j *Join) string {
	kind := [...]string{"", " Left", " Right", " Full", " Semi", " Anti"}[j.Kind]
	if len(j.LeftKeys) > 0 {
		return "Hash" + kind + " Join"
	}
	s := "Nested Loop" + kind
	if kind != "" {
		s += " Join"
	}
	if j.Lateral {
		s += " (lateral)"
	}
	return s
}

// details writes what an operator does.
func (p *planPrinter) details(n Node, detail func(name, text string)) {
	switch n := n.(type) {
	case *Scan:
		if n.Lock != NoLock {
			detail("Lock", [...]string{"", "FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE"}[n.Lock])
		}
	case *Function:
		detail("Function Call", p.exprs(n.Calls))
	case *ProjectSet:
		detail("Output", p.exprs(n.Exprs))
	case *Filter:
		detail("Filter", p.expr(n.Cond))
	case *Project:
		detail("Output", p.exprs(n.Exprs))
	case *Join:
		var keys []string
		for i := range n.LeftKeys {
			keys = append(keys, fmt.Sprintf("(%s %s %s)", p.expr(n.LeftKeys[i]), n.Eq[i].Name, p.expr(n.RightKeys[i])))
		}
		detail("Hash Cond", strings.Join(keys, " AND "))
		if n.Cond != nil {
			detail("Join Filter", p.expr(n.Cond))
		}
	case *Aggregate:
		p.aggregate(n, detail)
	case *Window:
		for i := range n.Calls {
			detail("Call", p.window(&n.Calls[i]))
		}
	case *Sort:
		detail("Sort Key", p.keys(n.Keys))
	case *Limit:
		if n.Count != nil {
			detail("Count", p.expr(n.Count))
		}
		if n.Offset != nil {
			detail("Offset", p.expr(n.Offset))
		}
	case *Distinct:
		detail("Distinct Key", p.exprs(n.On))
	}
}

func (p *planPrinter) aggregate(n *Aggregate, detail func(name, text string)) {
	if n.Sets == nil {
		detail("Group Key", p.exprs(n.Groups))
	}
	for _, set := range n.Sets {
		var list []expr.Expr
		for _, i := range set {
			list = append(list, n.Groups[i])
		}
		text := p.exprs(list)
		if text == "" {
			text = "()"
		}
		detail("Group Key", text)
	}
	var calls []string
	for i := range n.Calls {
		calls = append(calls, p.aggregateCall(&n.Calls[i]))
	}
	detail("Aggregates", strings.Join(calls, ", "))
}

func (p *planPrinter) keys(keys []SortKey) string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = p.expr(k.Expr)
		if k.Desc {
			out[i] += " DESC"
		}
		if k.NullsFirst != k.Desc {
			out[i] += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[k.NullsFirst]
		}
	}
	return strings.Join(out, ", ")
}
