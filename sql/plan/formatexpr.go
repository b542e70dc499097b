package plan

import (
	"fmt"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// FormatExpr writes an expression as PostgreSQL would; columns go by their names.
func FormatExpr(e expr.Expr) string { return (&planPrinter{first: 1}).expr(e) }

func (p *planPrinter) exprs(list []expr.Expr) string { return p.joined(list, ", ") }

func (p *planPrinter) joined(list []expr.Expr, by string) string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = p.expr(e)
	}
	return strings.Join(out, by)
}

func (p *planPrinter) expr(e expr.Expr) string { // tidy: long: one case for each kind of expression
	switch e := e.(type) {
	case *expr.Column:
		if e.Name == "" {
			return fmt.Sprintf("#%d", e.Index+1)
		}
		return e.Name
	case *expr.Const:
		return valueText(e)
	case *expr.Param:
		return fmt.Sprintf("$%d", e.N)
	case *expr.Call:
		return p.call(e)
	case *expr.Cast:
		if e.Context == expr.Implicit {
			return p.expr(e.Arg)
		}
		return fmt.Sprintf("(%s)::%s", p.expr(e.Arg), e.To)
	case *expr.And:
		return "(" + p.joined(e.Args, " AND ") + ")"
	case *expr.Or:
		return "(" + p.joined(e.Args, " OR ") + ")"
	case *expr.Not:
		return "(NOT " + p.expr(e.Arg) + ")"
	case *expr.IsNull:
		return fmt.Sprintf("(%s IS %sNULL)", p.expr(e.Arg), negation(e.Negated))
	case *expr.BoolTest:
		value := "UNKNOWN"
		if !e.Value.IsNull() {
			value = strings.ToUpper(fmt.Sprint(e.Value.Bool()))
		}
		return fmt.Sprintf("(%s IS %s%s)", p.expr(e.Arg), negation(e.Negated), value)
	case *expr.Distinct:
		return fmt.Sprintf("(%s IS %sDISTINCT FROM %s)", p.expr(e.Left), negation(e.Negated), p.expr(e.Right))
	case *expr.Case:
		var b strings.Builder
		b.WriteString("CASE")
		for _, w := range e.Whens {
			fmt.Fprintf(&b, " WHEN %s THEN %s", p.expr(w.Cond), p.expr(w.Then))
		}
		if e.Else != nil {
			b.WriteString(" ELSE " + p.expr(e.Else))
		}
		return b.String() + " END"
	case *expr.Coalesce:
		return "COALESCE(" + p.exprs(e.Args) + ")"
	case *expr.MinMax:
		return map[bool]string{false: "GREATEST(", true: "LEAST("}[e.Least] + p.exprs(e.Args) + ")"
	case *expr.NullIf:
		return fmt.Sprintf("NULLIF(%s, %s)", p.expr(e.Left), p.expr(e.Right))
	case *expr.AnyAll:
		return fmt.Sprintf("(%s %s %s (%s))", p.expr(e.Left), e.Op.Name, map[bool]string{false: "ANY", true: "ALL"}[e.All], p.expr(e.Array))
	case *expr.Array:
		return "ARRAY[" + p.exprs(e.Elems) + "]"
	case *expr.Record:
		return "ROW(" + p.exprs(e.Fields) + ")"
	case *expr.Field:
		return fmt.Sprintf("(%s).f%d", p.expr(e.Arg), e.Index+1)
	case *expr.Subscript:
		return p.subscript(e)
	case *expr.Subquery:
		return p.subquery(e)
	}
	return fmt.Sprintf("%T", e)
}

func negation(not bool) string {
	if not {
		return "NOT "
	}
	return ""
}

// valueText is a constant as ruleutils writes it: numbers and truth values bare, the rest with its type.
func valueText(c *expr.Const) string {
	if c.Value.IsNull() {
		if c.Typ.OID == row.Unknown {
			return "NULL"
		}
		return "NULL::" + c.Typ.String()
	}
	text := c.Value.Text(c.Typ)
	switch c.Typ.OID {
	case row.Bool:
		return fmt.Sprint(c.Value.Bool())
	case row.Int4:
		return text
	case row.Numeric:
		if strings.Trim(text, "0123456789.") == "" {
			return text
		}
	}
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if c.Typ.OID == row.Unknown {
		return quoted
	}
	return quoted + "::" + c.Typ.String()
}

func (p *planPrinter) call(c *expr.Call) string {
	if c.Func.IsOperator() {
		switch len(c.Args) {
		case 1:
			return fmt.Sprintf("(%s %s)", c.Func.Name, p.expr(c.Args[0]))
		case 2:
			return fmt.Sprintf("(%s %s %s)", p.expr(c.Args[0]), c.Func.Name, p.expr(c.Args[1]))
		}
	}
	args := p.exprs(c.Args)
	if c.VariadicArray {
		last := p.expr(c.Args[len(c.Args)-1])
		args = strings.TrimSuffix(args, last) + "VARIADIC " + last
	}
	return c.Func.Name + "(" + args + ")"
}

func (p *planPrinter) subscript(e *expr.Subscript) string {
	out := "(" + p.expr(e.Arg) + ")"
	for i := range e.Lower {
		bound := func(list []expr.Expr) string {
			if i >= len(list) || list[i] == nil {
				return ""
			}
			return p.expr(list[i])
		}
		if e.Slice {
			out += "[" + bound(e.Lower) + ":" + bound(e.Upper) + "]"
		} else {
			out += "[" + bound(e.Lower) + "]"
		}
	}
	return out
}

// subquery names a subquery by its number; its plan follows.
func (p *planPrinter) subquery(s *expr.Subquery) string {
	p.plans++
	p.waiting = append(p.waiting, s)
	name := fmt.Sprintf("(InitPlan %d)", p.first+len(p.waiting)-1)
	if s.Correlated {
		name = strings.Replace(name, "InitPlan", "SubPlan", 1)
	}
	switch s.Kind {
	case expr.Exists:
		return "EXISTS" + name
	case expr.ArrayOf:
		return "ARRAY" + name
	case expr.AnyOf, expr.AllOf:
		left := p.exprs(s.Left)
		if len(s.Left) > 1 {
			left = "(" + left + ")"
		}
		word := map[expr.SubqueryKind]string{expr.AnyOf: "ANY", expr.AllOf: "ALL"}[s.Kind]
		return fmt.Sprintf("(%s %s %s %s)", left, s.Ops[0].Name, word, name)
	}
	return name
}

func (p *planPrinter) aggregateCall(c *AggregateCall) string {
	args := p.exprs(c.Args)
	switch {
	case c.Star:
		args = "*"
	case c.Func.OrderedSet():
		return fmt.Sprintf("%s(%s) WITHIN GROUP (ORDER BY %s)", c.Func.Name, p.exprs(c.Direct), p.keys(c.OrderBy)) + p.filter(c.Filter)
	}
	if c.Distinct {
		args = "DISTINCT " + args
	}
	if len(c.OrderBy) > 0 {
		args += " ORDER BY " + p.keys(c.OrderBy)
	}
	return c.Func.Name + "(" + args + ")" + p.filter(c.Filter)
}

func (p *planPrinter) filter(cond expr.Expr) string {
	if cond == nil {
		return ""
	}
	return " FILTER (WHERE " + p.expr(cond) + ")"
}

func (p *planPrinter) window(c *WindowCall) string {
	args := p.exprs(c.Args)
	if c.Star {
		args = "*"
	}
	var over []string
	if len(c.PartitionBy) > 0 {
		over = append(over, "PARTITION BY "+p.exprs(c.PartitionBy))
	}
	if len(c.OrderBy) > 0 {
		over = append(over, "ORDER BY "+p.keys(c.OrderBy))
	}
	if f := p.frame(c.Frame); f != "" {
		over = append(over, f)
	}
	return fmt.Sprintf("%s(%s)%s OVER (%s)", c.Func.Name, args, p.filter(c.Filter), strings.Join(over, " "))
}

// frame writes a frame, nothing for the default one.
func (p *planPrinter) frame(f Frame) string {
	if f.Mode == Range && f.Start.Kind == UnboundedPreceding && f.End.Kind == CurrentRow && f.Exclude == ExcludeNoOthers {
		return ""
	}
	bound := func(b Bound) string {
		switch b.Kind {
		case UnboundedPreceding:
			return "UNBOUNDED PRECEDING"
		case Preceding:
			return p.expr(b.Offset) + " PRECEDING"
		case Following:
			return p.expr(b.Offset) + " FOLLOWING"
		case UnboundedFollowing:
			return "UNBOUNDED FOLLOWING"
		}
		return "CURRENT ROW"
	}
	exclude := [...]string{"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"}[f.Exclude]
	return fmt.Sprintf("%s BETWEEN %s AND %s%s", [...]string{"RANGE", "ROWS", "GROUPS"}[f.Mode], bound(f.Start), bound(f.End), exclude)
}
