package ivm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/processors/circuit"
	"github.com/miracledb/miracledb/processors/op"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ivm/vector"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// compile compiles an operator; need are the columns of it that are wanted.
func (c *compiler) compile(n plan.Node, need map[int]bool) (*stream, error) {
	switch n := n.(type) {
	case *plan.Scan:
		return c.scan(n, need)
	case *plan.Values:
		return c.values(n)
	case *plan.Filter:
		return c.filter(n, need)
	case *plan.Project:
		return c.projection(n, need)
	case *plan.Join:
		return c.join(n, need)
	case *plan.Aggregate:
		return c.aggregate(n)
	case *plan.Sort:
		return c.compile(n.Input, need) // a view has no order
	case *plan.Limit:
		return c.limit(n)
	case *plan.Distinct:
		return c.distinct(n)
	case *plan.SetOperation:
		return c.setOperation(n)
	case *plan.With:
		for _, b := range n.Bindings {
			if b.Recursive != nil {
				return nil, unsupported("recursion")
			}
			if b.Modify != nil || b.Query == nil {
				return nil, unsupported("a data-modifying WITH")
			}
		}
		return c.compile(n.Body, need)
	case *plan.CTEScan:
		return c.cte(n)
	case *plan.Window:
		return nil, unsupported("window functions")
	case *plan.ProjectSet:
		return nil, unsupported("set-returning functions")
	case *plan.Function:
		return nil, unsupported("functions in FROM")
	}
	return nil, unsupported("operator %T", n)
}

// columnsOf adds the columns of expressions to a copy of set.
func columnsOf(set map[int]bool, es ...expr.Expr) map[int]bool {
	out := maps.Clone(set)
	if out == nil {
		out = map[int]bool{}
	}
	for _, e := range es {
		vector.Columns(e, out)
	}
	return out
}

func allColumns(n plan.Node) map[int]bool {
	need := map[int]bool{}
	for i := range n.Columns() {
		need[i] = true
	}
	return need
}

func (c *compiler) scan(n *plan.Scan, need map[int]bool) (*stream, error) {
	cols := slices.Sorted(maps.Keys(need))
	s := &stream{at: map[int]int{}, key: n.Relation.Key}
	s.appendOnly = n.Relation.Kind == catalog.Stream || n.Relation.Kind == catalog.Raw || n.Relation.Kind == catalog.Rejected
	if len(n.Relation.Key) == 0 {
		s.key = nil
	}
	fields := make([]arrow.Field, len(cols))
	label := fmt.Sprintf("scan %s#%d", n.Relation.Name, n.Relation.ID)
	for i, col := range cols {
		t := n.Cols[col].Type
		s.at[col] = i
		s.types = append(s.types, t)
		fields[i] = row.ArrowField(row.Column{Name: n.Cols[col].Name, Type: t})
		label += fmt.Sprintf(" %s %s", n.Cols[col].Name, t)
	}
	s.schema = arrow.NewSchema(fields, nil)
	s.wire = c.graph.Input(n.Relation.ID, append([]int{}, cols...), label)
	c.read(Input{Relation: n.Relation.ID, Name: n.Relation.Name, Columns: cols})
	return s, nil
}

// read notes an input; a relation that is scanned twice has one entry.
func (c *compiler) read(in Input) {
	for i := range c.inputs {
		if c.inputs[i].Relation == in.Relation {
			cols := append(slices.Clone(c.inputs[i].Columns), in.Columns...)
			slices.Sort(cols)
			c.inputs[i].Columns = slices.Compact(cols)
			return
		}
	}
	c.inputs = append(c.inputs, in)
}

// values are rows known at compile time.
func (c *compiler) values(n *plan.Values) (*stream, error) {
	schema := &row.Schema{}
	s := &stream{at: map[int]int{}}
	for i, col := range n.Cols {
		schema.Columns = append(schema.Columns, row.Column{Name: col.Name, Type: col.Type})
		s.types = append(s.types, col.Type)
		s.at[i] = i
	}
	b := row.NewBuilder(nil, schema)
	for _, r := range n.Rows {
		vals := make(row.Row, len(r))
		for i, e := range r {
			v, err := constantOf(e)
			if err != nil {
				return nil, err
			}
			vals[i] = v
		}
		b.AppendRow(vals)
	}
	s.schema, s.appendOnly = row.ArrowSchema(schema), true
	label := "values"
	for _, r := range n.Rows {
		label += " (" + describeAll(r) + ")"
	}
	s.wire = c.graph.Add(&op.Constant{Rows: b.NewRecord()}, label)
	return s, nil
}

// constantOf computes an expression without columns.
func constantOf(e expr.Expr) (row.Value, error) {
	fixed := true
	expr.Walk(e, func(x expr.Expr) bool {
		switch x.(type) {
		case *expr.Column, *expr.Param, *expr.Subquery:
			fixed = false
		}
		return fixed
	})
	if !fixed {
		return row.Null, unsupported("a value that is not constant: %s", describe(e))
	}
	f, err := expr.Compile(e)
	if err != nil {
		return row.Null, err
	}
	return f(&expr.Ctx{}, nil)
}

func (c *compiler) filter(n *plan.Filter, need map[int]bool) (*stream, error) {
	in, err := c.compile(n.Input, columnsOf(need, n.Cond))
	if err != nil {
		return nil, err
	}
	return c.where(in, in.local(n.Cond))
}

// where keeps the rows for which a condition over the stream's columns is true.
func (c *compiler) where(in *stream, cond expr.Expr) (*stream, error) {
	p, err := vector.Compile([]expr.Expr{cond}, []string{"cond"}, in.types)
	if err != nil {
		return nil, err
	}
	out := *in
	out.wire = c.graph.Add(&op.Filter{Keep: p.Where}, "filter "+describe(cond), in.wire)
	return &out, nil
}

func (c *compiler) projection(n *plan.Project, need map[int]bool) (*stream, error) {
	cols := slices.Sorted(maps.Keys(need))
	var exprs []expr.Expr
	for _, i := range cols {
		exprs = append(exprs, n.Exprs[i])
	}
	in, err := c.compile(n.Input, columnsOf(nil, exprs...))
	if err != nil {
		return nil, err
	}
	for i, e := range exprs {
		exprs[i] = in.local(e)
	}
	out, places, _, err := c.extend(in, exprs, nil)
	if err != nil {
		return nil, err
	}
	s := *out
	s.at = map[int]int{}
	for i, col := range cols {
		s.at[col] = places[i]
	}
	s.key = projectedKey(in.key, n.Exprs)
	return &s, nil
}

// projectedKey is where the columns of a key stand after a projection; nil when one is missing.
func projectedKey(key []int, exprs []expr.Expr) []int {
	var out []int
	for _, k := range key {
		at := slices.IndexFunc(exprs, func(e expr.Expr) bool {
			c, ok := e.(*expr.Column)
			return ok && c.Depth == 0 && c.Index == k
		})
		if at < 0 {
			return nil
		}
		out = append(out, at)
	}
	return out
}

// cte compiles a common table expression once; its readers share the wire.
func (c *compiler) cte(n *plan.CTEScan) (*stream, error) {
	if s := c.bindings[n.Binding]; s != nil {
		return s, nil
	}
	if n.Binding.Query == nil || n.Binding.Recursive != nil {
		return nil, unsupported("WITH %s", n.Binding.Name)
	}
	s, err := c.compile(n.Binding.Query, allColumns(n.Binding.Query))
	if err == nil {
		c.bindings[n.Binding] = s
	}
	return s, err
}

// arranged gives the node's columns in their order: what set operations and top-k compare whole rows of.
func (c *compiler) arranged(n plan.Node) (*stream, error) {
	s, err := c.compile(n, allColumns(n))
	if err != nil {
		return nil, err
	}
	return c.ordered(s, n.Columns())
}

func (c *compiler) ordered(s *stream, cols []plan.Column) (*stream, error) {
	same := len(s.types) == len(cols)
	exprs, names := make([]expr.Expr, len(cols)), make([]string, len(cols))
	for i, col := range cols {
		exprs[i], names[i] = s.column(s.at[i]), col.Name
		same = same && s.at[i] == i
	}
	if same {
		return s, nil
	}
	key := s.key
	out, err := c.project(s, exprs, names)
	if err == nil {
		out.key = key
	}
	return out, err
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func (s *stream) columns() []expr.Expr {
	out := make([]expr.Expr, len(s.types))
	for i := range out {
		out[i] = s.column(i)
	}
	return out
}

func (c *compiler) distinct(n *plan.Distinct) (*stream, error) {
	if n.On != nil {
		return c.distinctOn(n)
	}
	s, err := c.arranged(n.Input)
	if err != nil {
		return nil, err
	}
	return c.multiplicity("distinct", op.Distinct, len(n.Columns()), s)
}

// multiplicity adds a set operation over streams of the same columns.
func (c *compiler) multiplicity(name string, f func([]int64) int64, cols int, ins ...*stream) (*stream, error) {
	var keys []int
	var wires []circuit.Wire
	for i := range ins {
		s, _, k, err := c.normal(ins[i], ins[i].columns()[:cols])
		if err != nil {
			return nil, err
		}
		ins[i], keys, wires = s, k, append(wires, s.wire)
	}
	m, err := op.NewMultiplicity(ins[0].schema, op.MultiplicitySpec{Inputs: len(ins), Keys: keys, Show: indexes(cols), F: f})
	if err != nil {
		return nil, err
	}
	out := &stream{types: ins[0].types[:cols], schema: m.Schema(), at: map[int]int{}}
	for i := range cols {
		out.at[i] = i
	}
	out.appendOnly = len(ins) == 1 && ins[0].appendOnly
	if name == "distinct" || name == "union" || name == "intersect" || name == "except" {
		out.key = indexes(cols)
	}
	out.wire = c.graph.Add(m, fmt.Sprintf("%s %v", name, keys), wires...)
	return out, nil
}

func (c *compiler) setOperation(n *plan.SetOperation) (*stream, error) {
	l, err := c.sameTypes(n.Left, n.Cols)
	if err != nil {
		return nil, err
	}
	r, err := c.sameTypes(n.Right, n.Cols)
	if err != nil {
		return nil, err
	}
	cols := len(n.Cols)
	switch {
	case n.Kind == plan.Union && n.All:
		out := *l
		out.appendOnly, out.key = l.appendOnly && r.appendOnly, nil
		out.wire = c.graph.Add(op.Union{}, "union all", l.wire, r.wire)
		return &out, nil
	case n.Kind == plan.Union:
		return c.multiplicity("union", op.UnionOnce, cols, l, r)
	case n.Kind == plan.Intersect && n.All:
		return c.multiplicity("intersect all", op.IntersectAll, cols, l, r)
	case n.Kind == plan.Intersect:
		return c.multiplicity("intersect", op.Intersect, cols, l, r)
	case n.All:
		return c.multiplicity("except all", op.ExceptAll, cols, l, r)
	}
	return c.multiplicity("except", op.Except, cols, l, r)
}

// sameTypes compiles one side of a set operation with the operation's own column types.
func (c *compiler) sameTypes(n plan.Node, cols []plan.Column) (*stream, error) {
	s, err := c.compile(n, allColumns(n))
	if err != nil {
		return nil, err
	}
	exprs, names := make([]expr.Expr, len(cols)), make([]string, len(cols))
	for i, col := range cols {
		exprs[i], names[i] = s.column(s.at[i]), col.Name
		if !arrow.TypeEqual(row.ArrowType(s.types[s.at[i]]), row.ArrowType(col.Type)) {
			exprs[i] = &expr.Cast{Arg: exprs[i], To: col.Type, Context: expr.Implicit}
		} else {
			exprs[i] = retyped(exprs[i], col.Type)
		}
	}
	return c.project(s, exprs, names)
}
