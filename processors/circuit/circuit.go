package circuit

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/processors"
)

// Wire is the output of a node in a Graph.
type Wire int

// Graph is a circuit being built. The zero Graph is empty.
type Graph struct {
	nodes []node
}

type node struct {
	operator processors.Operator // nil: an input
	relation delta.RelationID    // of an input
	columns  []int               // of an input: those it takes, nil for all
	inputs   []Wire
	readers  int
	label    string
}

// Input adds the changes of a relation, with the given columns of it in that order (nil: all); label names it for EXPLAIN.
func (g *Graph) Input(relation delta.RelationID, columns []int, label string) Wire {
	g.nodes = append(g.nodes, node{relation: relation, columns: columns, label: label})
	return Wire(len(g.nodes) - 1)
}

// Add adds an operator. The label describes it wholly (what it computes of which columns): labels make the plan's hash.
func (g *Graph) Add(operator processors.Operator, label string, inputs ...Wire) Wire {
	for _, w := range inputs {
		g.nodes[w].readers++
	}
	g.nodes = append(g.nodes, node{operator: operator, inputs: inputs, label: label})
	return Wire(len(g.nodes) - 1)
}

// Circuit implements processors.Circuit.
type Circuit struct {
	nodes    []node
	output   Wire
	view     delta.RelationID
	schema   *arrow.Schema
	plan     uint64
	position delta.Position
	broken   error
	merge    *consolidator
}

// New opens the circuit of a view: what stands on the output wire, whose columns are schema.
func New(g *Graph, output Wire, view delta.RelationID, schema *arrow.Schema) (*Circuit, error) {
	merge, err := newConsolidator(schema)
	if err != nil {
		return nil, err
	}
	c := &Circuit{nodes: g.nodes, output: output, view: view, schema: schema, merge: merge}
	c.nodes[output].readers++
	c.plan = c.hash()
	return c, nil
}

// Inputs implements processors.Circuit.
func (c *Circuit) Inputs() []delta.RelationID {
	var ids []delta.RelationID
	for _, n := range c.nodes {
		if n.operator == nil && !slices.Contains(ids, n.relation) {
			ids = append(ids, n.relation)
		}
	}
	return ids
}

// Position implements processors.Circuit.
func (c *Circuit) Position() delta.Position { return c.position }

// Schema is the view's columns.
func (c *Circuit) Schema() *arrow.Schema { return c.schema }

// Step implements processors.Circuit.
func (c *Circuit) Step(ctx context.Context, inputs map[delta.RelationID]delta.Delta, to delta.Position) (out delta.Delta, err error) {
	if c.broken != nil {
		return delta.Delta{}, c.broken
	}
	if to.Less(c.position) {
		return delta.Delta{}, errs.New(errs.Invalid, "a tick to %s, but the view is at %s already", to, c.position)
	}
	wires := make([]processors.Batch, len(c.nodes))
	defer func() {
		for _, b := range wires {
			b.Release()
		}
		if r := recover(); r != nil {
			err = full(r)
		}
		if err != nil {
			c.broken = err
		}
	}()
	left := make([]int, len(c.nodes)) // readers that have not read the wire yet
	for i := range c.nodes {
		n := &c.nodes[i]
		left[i] = n.readers
		if n.operator == nil {
			if wires[i], err = n.input(inputs); err != nil {
				return delta.Delta{}, err
			}
			continue
		}
		in := make([]processors.Batch, len(n.inputs))
		for k, w := range n.inputs {
			in[k] = wires[w]
		}
		if wires[i], err = n.operator.Step(ctx, to, in); err != nil {
			return delta.Delta{}, err
		}
		for _, w := range n.inputs {
			if left[w]--; left[w] == 0 {
				wires[w].Release()
				wires[w] = processors.Batch{}
			}
		}
	}
	result := c.merge.consolidate(wires[c.output])
	from := c.position
	c.position = to
	return delta.Delta{Relation: c.view, From: from, To: to, Rows: result.Rows, Weights: result.Weights}, nil
}

// full turns the panic of a state that has outgrown its addresses into an error; any other panic goes on.
func full(r any) error {
	err, ok := r.(error)
	var e *errs.Error
	if !ok || !errors.As(err, &e) || e.Kind != errs.Limit {
		panic(r)
	}
	return err
}

// input gives the relation's delta as a batch of the wanted columns.
func (n *node) input(inputs map[delta.RelationID]delta.Delta) (processors.Batch, error) {
	d, ok := inputs[n.relation]
	if !ok || d.Len() == 0 {
		return processors.Batch{}, nil
	}
	b := processors.Batch{Rows: d.Rows, Weights: d.Weights}
	if n.columns == nil {
		return b.Retain(), nil
	}
	fields := make([]arrow.Field, len(n.columns))
	cols := make([]arrow.Array, len(n.columns))
	for i, c := range n.columns {
		if c >= int(d.Rows.NumCols()) {
			return processors.Batch{}, errs.New(errs.Internal, "a delta of relation %d has %d columns, but column %d is wanted", n.relation, d.Rows.NumCols(), c+1)
		}
		fields[i], cols[i] = d.Rows.Schema().Field(c), d.Rows.Column(c)
	}
	b.Rows = newRecord(arrow.NewSchema(fields, nil), cols, d.Len())
	return b, nil
}

// Node describes one node for EXPLAIN.
type Node struct {
	Label   string
	Inputs  []Wire
	Entries int         // of a stateful operator
	Memory  limit.Bytes // 0 for an operator without state
}

// Nodes describes the circuit: the output is the last node's.
func (c *Circuit) Nodes() []Node {
	out := make([]Node, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = Node{Label: n.label, Inputs: n.inputs}
		if s, ok := n.operator.(processors.Stateful); ok {
			out[i].Entries, out[i].Memory = s.Size()
		}
	}
	return out
}
