package session

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// explain answers EXPLAIN: the route with its reason, the plan, and for views how they are kept. ANALYZE runs the statement
// and tells rows and time.
func (s *Session) explain(ctx context.Context, p *prepared, st *plan.Explain, args []row.Value) (*result, error) {
	var lines []string
	switch inner := st.Statement.(type) {
	case *plan.Select:
		r, err := s.route(nil, inner.Query)
		if err != nil {
			return nil, err
		}
		c, err := s.choose(r, args)
		if err != nil {
			return nil, err
		}
		lines = append(lines, "Route: "+routeName(c)+" ("+c.reason+")", "Reads: "+s.reads(r, c))
		lines = append(lines, planLines(r.optimized)...)
		lines = append(lines, s.circuits(r)...)
	case *plan.Insert:
		lines = append(lines, "Route: row executor, then one append to the log", "Insert on "+inner.Table.Name)
		lines = append(lines, indent(planLines(plan.Optimize(inner.Source)))...)
	case *plan.Update:
		lines = append(lines, "Route: row executor, then one append to the log", "Update on "+inner.Table.Name)
		lines = append(lines, indent(planLines(plan.Optimize(inner.Source)))...)
	case *plan.Delete:
		lines = append(lines, "Route: row executor, then one append to the log", "Delete on "+inner.Table.Name)
		lines = append(lines, indent(planLines(plan.Optimize(inner.Source)))...)
	default:
		lines = append(lines, "Utility: "+st.Statement.Tag())
	}
	if st.Analyze {
		start := s.db.o.Clock.Now()
		r, err := s.execute(ctx, &prepared{statement: p.statement, plan: st.Statement, columns: s.resultColumns(st.Statement)}, args)
		if err != nil {
			return nil, err
		}
		for {
			if _, err := r.Next(ctx); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
		}
		lines = append(lines, fmt.Sprintf("Execution: %s, %.3f ms", r.Tag(), float64(s.db.o.Clock.Now().Sub(start).Microseconds())/1000))
	}
	out := make([][]string, len(lines))
	for i, l := range lines {
		out[i] = []string{l}
	}
	return texts("EXPLAIN", []string{"QUERY PLAN"}, out), nil
}

func routeName(c choice) string {
	if c.analytic {
		return "analytical engine"
	}
	return "row executor"
}

// reads says which state the query would read.
func (s *Session) reads(r *route, c choice) string {
	switch {
	case s.pinned != nil:
		return fmt.Sprintf("the transaction's version at %v", s.pinned.Value.At)
	case r.views:
		return fmt.Sprintf("one version at or after %v, this session's position", s.seen)
	case r.columns || c.analytic:
		return fmt.Sprintf("one version at or after %v, the durable end", s.db.o.Log.End())
	}
	return "the newest applied rows"
}

// circuits tells how the views that a query reads are kept.
func (s *Session) circuits(r *route) []string {
	var lines []string
	for _, rel := range r.relations {
		if rel.Kind != catalog.MaterializedView || s.db.o.Circuit == nil {
			continue
		}
		if text, ok := s.db.o.Circuit(rel.ID); ok {
			lines = append(lines, "Materialized view "+rel.Name+":")
			lines = append(lines, indent(strings.Split(strings.TrimRight(text, "\n"), "\n"))...)
		}
	}
	return lines
}

func planLines(n plan.Node) []string {
	return strings.Split(strings.TrimRight(plan.Format(n), "\n"), "\n")
}

func indent(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = "  " + l
	}
	return out
}
