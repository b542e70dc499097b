package plan

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// Node is a relational operator with a fixed list of typed output columns. A plan is an immutable tree, checked and
// fully typed: every executor (row, circuit, DuckDB) takes the same one.
//
// An expression of an operator refers to the output columns of its input by index (expr.Column, Depth 0). A join's
// conditions see the left input's columns, then the right's.
type Node interface {
	Columns() []Column
	OutputTypes() []row.Type // makes every Node an expr.Subplan
	// Inputs are the operators below, left to right; subqueries inside expressions are not among them.
	Inputs() []Node
}

// Column is one output column.
type Column struct {
	Name string
	Type row.Type
	// Relation and Attribute name the table column that this one is, for RowDescription; zero for an expression.
	Relation  uint32
	Attribute int16
	// Fields are those of a record, nil where only its values know them: (column).field.
	Fields *row.Schema
}

// Output is embedded by every operator.
type Output struct{ Cols []Column }

// Columns are the operator's output columns.
func (o *Output) Columns() []Column { return o.Cols }

// OutputTypes are the types of Columns.
func (o *Output) OutputTypes() []row.Type {
	ts := make([]row.Type, len(o.Cols))
	for i, c := range o.Cols {
		ts[i] = c.Type
	}
	return ts
}

// Scan reads a relation: all its columns in their order, hidden ones included.
type Scan struct {
	Output
	Relation *catalog.Relation
	Alias    string
	// Lock is the row lock asked for (FOR UPDATE...), NoLock without.
	Lock LockStrength
}

// LockStrength is the strength of a row lock.
type LockStrength uint8

// The strengths.
const (
	NoLock LockStrength = iota
	ForKeyShare
	ForShare
	ForNoKeyUpdate
	ForUpdate
)

// Values is a list of rows of expressions; one row without columns is "SELECT without FROM".
type Values struct {
	Output
	Rows [][]expr.Expr
}

// Function calls set-returning functions in FROM: side by side and padded with nulls when several (ROWS FROM); a scalar
// function gives one row. Arguments may be lateral (Depth 1 is the left side's row).
type Function struct {
	Output
	Calls      []expr.Expr // *expr.Call
	Ordinality bool
}

// ProjectSet is a Project where some expressions are set-returning calls: one output row per element, padded with nulls.
type ProjectSet struct {
	Output
	Input Node
	Exprs []expr.Expr
}

// Filter keeps the rows for which Cond is true.
type Filter struct {
	Input Node
	Cond  expr.Expr
}

// Project computes its columns from the input's.
type Project struct {
	Output
	Input Node
	Exprs []expr.Expr
}

// JoinKind is the kind of a Join.
type JoinKind uint8

// The kinds. Semi and Anti output the left columns only.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	Semi
	Anti
)

// Join joins two inputs. LeftKeys[i] = RightKeys[i] (by Eq[i]) are the hashable equalities found in the condition, the
// right ones over the right input's columns from 0; Cond is the rest over left columns then right columns, nil for none.
type Join struct {
	Output
	Kind                JoinKind
	Left, Right         Node
	LeftKeys, RightKeys []expr.Expr
	Eq                  []*expr.Func
	Cond                expr.Expr
	// Lateral: the right side has columns of Depth 1 that are the left side's row.
	Lateral bool
}

// Aggregate groups its input. The output columns are the group expressions, then the calls, then (with Sets) one int4
// grouping mask per row for GROUPING().
type Aggregate struct {
	Output
	Input  Node
	Groups []expr.Expr
	// Sets are the grouping sets as lists of indexes into Groups; nil: one set of all.
	Sets  [][]int
	Calls []AggregateCall
}

// AggregateCall is one aggregate.
type AggregateCall struct {
	Func     *expr.Func
	Args     []expr.Expr
	Distinct bool
	Filter   expr.Expr // nil: none
	OrderBy  []SortKey
	// Direct are the direct arguments of an ordered-set aggregate (percentile_cont(0.5) WITHIN GROUP...).
	Direct []expr.Expr
	Star   bool // count(*)
	Typ    row.Type
}

// Window adds one column per call to its input's columns.
type Window struct {
	Output
	Input Node
	Calls []WindowCall
}

// WindowCall is one window function or aggregate over a window.
type WindowCall struct {
	Func        *expr.Func
	Args        []expr.Expr
	Filter      expr.Expr
	PartitionBy []expr.Expr
	OrderBy     []SortKey
	Frame       Frame
	IgnoreNulls bool
	Star        bool
	Typ         row.Type
}

// FrameMode is the unit of a window frame.
type FrameMode uint8

// The modes.
const (
	Range FrameMode = iota
	Rows
	Groups
)

// BoundKind is one end of a window frame.
type BoundKind uint8

// The ends.
const (
	UnboundedPreceding BoundKind = iota
	Preceding
	CurrentRow
	Following
	UnboundedFollowing
)

// Bound is one end of a frame; Offset is set for Preceding and Following.
type Bound struct {
	Kind   BoundKind
	Offset expr.Expr
}

// Exclusion is a frame's EXCLUDE.
type Exclusion uint8

// The exclusions.
const (
	ExcludeNoOthers Exclusion = iota
	ExcludeCurrentRow
	ExcludeGroup
	ExcludeTies
)

// Frame is a window frame; the zero Frame is not the default one: the planner always fills it.
type Frame struct {
	Mode       FrameMode
	Start, End Bound
	Exclude    Exclusion
}

// SortKey is one key of an order.
type SortKey struct {
	Expr       expr.Expr
	Desc       bool
	NullsFirst bool
}

// Sort orders its input.
type Sort struct {
	Input Node
	Keys  []SortKey
}

// Limit cuts its input; Count and Offset are int8, nil for none. WithTies uses the order of Keys.
type Limit struct {
	Input         Node
	Count, Offset expr.Expr
	WithTies      bool
	Keys          []SortKey
}

// Distinct removes duplicates; On, when not nil, are the expressions of DISTINCT ON (the input is sorted by them).
type Distinct struct {
	Input Node
	On    []expr.Expr
}

// SetKind is the kind of a SetOperation.
type SetKind uint8

// The kinds.
const (
	Union SetKind = iota
	Intersect
	Except
)

// SetOperation combines two inputs of equal column types.
type SetOperation struct {
	Output
	Kind        SetKind
	All         bool
	Left, Right Node
}

// With binds common table expressions for Body. Bindings see the earlier ones (and, when recursive, themselves).
type With struct {
	Bindings []*Binding
	Body     Node
}

// Binding is one common table expression. CTEScans point to it.
type Binding struct {
	Name string
	Cols []Column
	// Query is the query, or for a recursive one its non-recursive term.
	Query Node
	// Recursive, when not nil, is the recursive term: a CTEScan of this binding in it is the working table.
	Recursive Node
	UnionAll  bool
	// Materialized says that the query must run once even if referred to once.
	Materialized bool
	// Modify is set for a data-modifying WITH: Query is nil and the rows are its RETURNING.
	Modify Statement
}

// CTEScan reads a binding.
type CTEScan struct {
	Output
	Binding *Binding
}

func (n *Filter) Columns() []Column         { return n.Input.Columns() }
func (n *Filter) OutputTypes() []row.Type   { return n.Input.OutputTypes() }
func (n *Sort) Columns() []Column           { return n.Input.Columns() }
func (n *Sort) OutputTypes() []row.Type     { return n.Input.OutputTypes() }
func (n *Limit) Columns() []Column          { return n.Input.Columns() }
func (n *Limit) OutputTypes() []row.Type    { return n.Input.OutputTypes() }
func (n *Distinct) Columns() []Column       { return n.Input.Columns() }
func (n *Distinct) OutputTypes() []row.Type { return n.Input.OutputTypes() }
func (n *With) Columns() []Column           { return n.Body.Columns() }
func (n *With) OutputTypes() []row.Type     { return n.Body.OutputTypes() }

func (n *Scan) Inputs() []Node         { return nil }
func (n *Values) Inputs() []Node       { return nil }
func (n *Function) Inputs() []Node     { return nil }
func (n *CTEScan) Inputs() []Node      { return nil }
func (n *ProjectSet) Inputs() []Node   { return []Node{n.Input} }
func (n *Filter) Inputs() []Node       { return []Node{n.Input} }
func (n *Project) Inputs() []Node      { return []Node{n.Input} }
func (n *Join) Inputs() []Node         { return []Node{n.Left, n.Right} }
func (n *Aggregate) Inputs() []Node    { return []Node{n.Input} }
func (n *Window) Inputs() []Node       { return []Node{n.Input} }
func (n *Sort) Inputs() []Node         { return []Node{n.Input} }
func (n *Limit) Inputs() []Node        { return []Node{n.Input} }
func (n *Distinct) Inputs() []Node     { return []Node{n.Input} }
func (n *SetOperation) Inputs() []Node { return []Node{n.Left, n.Right} }
func (n *With) Inputs() []Node         { return []Node{n.Body} }
