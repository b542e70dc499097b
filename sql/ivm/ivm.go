package ivm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/circuit"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/sql/plan"
)

// Class says how a view follows its relations.
type Class uint8

// The classes.
const (
	Incremental Class = iota // by deltas through operators
	Recompute                // by running the query again and comparing
)

func (c Class) String() string {
	if c == Recompute {
		return "recompute"
	}
	return "incremental"
}

// Query runs a plan over the state of its relations at exactly a Position and calls yield with each row, which yield does
// not keep. The caller of Compile wires it to an executor.
type Query func(ctx context.Context, node plan.Node, at delta.Position, yield func(row.Row) error) error

// Options are Compile's.
type Options struct {
	// View is the id of the view: the Relation of the deltas that come out.
	View delta.RelationID
	// Recompute runs the whole query for what has no incremental form; nil makes such a query errs.Unsupported.
	Recompute Query
	// ForceRecompute does so for any query, for comparison.
	ForceRecompute bool
}

// Input is a relation that a Program reads.
type Input struct {
	Relation delta.RelationID
	Name     string
	// Columns are the indexes of the columns that are read; nil with class Recompute, where any change counts.
	Columns []int
}

// Program is a compiled view.
type Program struct {
	Circuit processors.Circuit
	Inputs  []Input
	// Output are the view's columns, Schema the same in Arrow (row.ArrowField).
	Output []plan.Column
	Schema *arrow.Schema
	Class  Class
	// Reason says what has no incremental form; empty when Incremental.
	Reason string
	// Key are output columns whose values name a row: at most one row of the view has given values, nulls being equal.
	// nil: none is known, and equal rows count.
	Key []int

	graph *circuit.Circuit
}

// notIncremental is why a plan has no incremental form.
type notIncremental struct{ reason string }

func (e *notIncremental) Error() string { return e.reason }

func unsupported(format string, args ...any) error {
	return &notIncremental{fmt.Sprintf(format, args...)}
}

// Compile makes the Program of a plan. Errors are of plans with parameters, of columns that circuits cannot hold, and, when
// Options have no Recompute, of what needs it.
func Compile(node plan.Node, o Options) (*Program, error) {
	p, err := compileIncremental(node, o)
	var no *notIncremental
	switch {
	case err == nil:
		return p, nil
	case errors.As(err, &no):
	case errs.Is(err, errs.Unsupported):
		no = &notIncremental{err.Error()}
	default:
		return nil, err
	}
	if o.Recompute == nil {
		return nil, errs.New(errs.Unsupported, "the query cannot be followed incrementally: %s", no.reason)
	}
	return compileRecompute(node, o, no.reason)
}

func compileIncremental(node plan.Node, o Options) (*Program, error) {
	if o.ForceRecompute {
		return nil, unsupported("asked for")
	}
	node = plan.Decorrelate(node)
	if err := checkFunctions(node); err != nil {
		return nil, err
	}
	c := &compiler{bindings: map[*plan.Binding]*stream{}}
	need := map[int]bool{}
	for i := range node.Columns() {
		need[i] = true
	}
	s, err := c.compile(pushFunctions(node), need)
	if err != nil {
		return nil, err
	}
	out, err := c.finish(s, node.Columns())
	if err != nil {
		return nil, err
	}
	g, err := circuit.New(&c.graph, out.wire, o.View, out.schema)
	if err != nil {
		return nil, err
	}
	return &Program{Circuit: g, graph: g, Inputs: c.inputs, Output: node.Columns(), Schema: out.schema, Key: s.key}, nil
}

// compileRecompute makes the circuit that runs the plan as a whole.
func compileRecompute(node plan.Node, o Options, reason string) (*Program, error) {
	p := &Program{Output: node.Columns(), Class: Recompute, Reason: reason}
	var g circuit.Graph
	var wires []circuit.Wire
	seen := map[delta.RelationID]bool{}
	always := false
	visitNodes(node, func(n plan.Node) {
		s, ok := n.(*plan.Scan)
		if !ok || seen[s.Relation.ID] {
			return
		}
		seen[s.Relation.ID] = true
		wires = append(wires, g.Input(s.Relation.ID, nil, "scan "+s.Relation.Name))
		p.Inputs = append(p.Inputs, Input{Relation: s.Relation.ID, Name: s.Relation.Name})
	})
	if checkFunctions(node) != nil {
		always = true
	}
	schema := &row.Schema{}
	for _, c := range node.Columns() {
		schema.Columns = append(schema.Columns, row.Column{Name: c.Name, Type: c.Type})
	}
	p.Schema = row.ArrowSchema(schema)
	q, err := op.NewRecompute(p.Schema, queryOf(node, o.Recompute, schema), always)
	if err != nil {
		return nil, err
	}
	w := g.Add(q, "recompute "+describeNode(node), wires...)
	p.graph, err = circuit.New(&g, w, o.View, p.Schema)
	p.Circuit = p.graph
	return p, err
}

// queryRows is how many rows of a recomputed result are handed over at a time.
const queryRows = 4096

func queryOf(node plan.Node, q Query, schema *row.Schema) op.Query {
	return func(ctx context.Context, at delta.Position, yield func(arrow.Record) error) error {
		b := row.NewBuilder(nil, schema)
		flush := func() error {
			rec := b.NewRecord()
			defer rec.Release()
			return yield(rec)
		}
		err := q(ctx, node, at, func(r row.Row) error {
			b.AppendRow(r)
			if b.Len() < queryRows {
				return nil
			}
			return flush()
		})
		if err != nil {
			return err
		}
		return flush()
	}
}

// Explain is the Program as text: its class, then the operators from the output down, with the entries and memory of their
// state.
func Explain(p *Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Circuit (%s", p.Class)
	if p.Reason != "" {
		fmt.Fprintf(&b, ": %s", p.Reason)
	}
	b.WriteString(")\n")
	nodes := p.graph.Nodes()
	shown := map[circuit.Wire]bool{}
	var show func(w circuit.Wire, depth int)
	show = func(w circuit.Wire, depth int) {
		n := nodes[w]
		fmt.Fprintf(&b, "%s-> #%d %s", strings.Repeat("  ", depth+1), w, n.Label)
		if n.Memory > 0 {
			fmt.Fprintf(&b, "  [state: %d entries, %s]", n.Entries, n.Memory)
		}
		if shown[w] && len(n.Inputs) > 0 {
			b.WriteString("  (shared, see above)\n")
			return
		}
		b.WriteString("\n")
		shown[w] = true
		for _, in := range n.Inputs {
			show(in, depth+1)
		}
	}
	show(circuit.Wire(len(nodes)-1), 0)
	return b.String()
}
