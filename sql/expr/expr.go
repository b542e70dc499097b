package expr

import "github.com/miracledb/miracledb/internal/row"

// Expr is a checked, typed scalar expression. Types are resolved and every implicit cast is a Cast node: an executor
// never guesses. Expressions are immutable and shared between executors (row, circuit, DuckDB).
type Expr interface {
	// Type is the type of the expression's value.
	Type() row.Type
}

// Column is a column of the input row of the operator that holds the expression. Depth counts query levels outwards:
// 0 is the operator's own input, 1 the input row of the operator that holds the surrounding Subquery (or the left side
// of a lateral join), and so on.
type Column struct {
	Depth int
	Index int
	Typ   row.Type
	Name  string // for EXPLAIN only
}

// Const is a value known at plan time.
type Const struct {
	Value row.Value
	Typ   row.Type
}

// Param is $N, 1-based.
type Param struct {
	N   int
	Typ row.Type
}

// Call applies a function or operator; operators are functions of their own name ("+", "~~").
type Call struct {
	Func *Func
	Args []Expr
	Typ  row.Type
	// VariadicArray is set for f(VARIADIC array): the last argument is an array of the variadic arguments.
	VariadicArray bool
	// Pos is the 1-based character position in the statement, 0: unknown.
	Pos int
}

// CastContext says who asked for a cast (pg_cast.castcontext).
type CastContext uint8

// The contexts, weakest permission first.
const (
	Implicit CastContext = iota
	Assignment
	Explicit
)

// Cast converts Arg to To.
type Cast struct {
	Arg     Expr
	To      row.Type
	Context CastContext
	Pos     int
}

// And is true when all args are; three-valued, left to right.
type And struct{ Args []Expr }

// Or is true when one arg is; three-valued, left to right.
type Or struct{ Args []Expr }

// Not negates.
type Not struct{ Arg Expr }

// IsNull is "Arg IS NULL"; with Negated "IS NOT NULL". A Record arg follows PostgreSQL's row rule.
type IsNull struct {
	Arg     Expr
	Negated bool
}

// BoolTest is "Arg IS [NOT] TRUE|FALSE|UNKNOWN".
type BoolTest struct {
	Arg     Expr
	Value   row.Value // true, false, or Null for UNKNOWN
	Negated bool
}

// Distinct is "Left IS [NOT] DISTINCT FROM Right"; Eq is the type's "=".
type Distinct struct {
	Left, Right Expr
	Eq          *Func
	Negated     bool
}

// When is one branch of a Case.
type When struct{ Cond, Then Expr }

// Case is the searched CASE; "CASE x WHEN y" has been turned into x = y.
type Case struct {
	Whens []When
	Else  Expr // nil: NULL
	Typ   row.Type
}

// Coalesce is the first arg that is not null.
type Coalesce struct {
	Args []Expr
	Typ  row.Type
}

// MinMax is GREATEST or (with Least) LEAST; nulls are ignored.
type MinMax struct {
	Args  []Expr
	Least bool
	Typ   row.Type
}

// NullIf is NULL when Left = Right, else Left.
type NullIf struct {
	Left, Right Expr
	Eq          *Func
}

// AnyAll is "Left op ANY|ALL (Array)", three-valued; IN (list) is an Any over an Array.
type AnyAll struct {
	Op    *Func
	Left  Expr
	Array Expr
	All   bool
}

// Array builds an array; with Nested the elements are arrays of one dimension less.
type Array struct {
	Elems  []Expr
	Nested bool
	Typ    row.Type // the array's type
}

// Record builds a composite (ROW(...)).
type Record struct {
	Fields []Expr
	Names  []string
}

// Field takes one field of a Record-valued expression.
type Field struct {
	Arg   Expr
	Index int
	Typ   row.Type
}

// Subscript is Arg[Lower:Upper] when Slice, else Arg[Lower]; one entry per dimension.
type Subscript struct {
	Arg          Expr
	Lower, Upper []Expr
	Slice        bool
	Typ          row.Type
}

// SubqueryKind is the form of a Subquery.
type SubqueryKind uint8

// The forms.
const (
	Scalar  SubqueryKind = iota // the one value of the one row, or NULL; more rows: 21000
	Exists                      // whether there is a row
	AnyOf                       // Left op ANY (subquery); IN
	AllOf                       // Left op ALL (subquery)
	ArrayOf                     // ARRAY(subquery)
)

// Subplan is the query of a Subquery: a plan.Node. The interface is here because plan is above expr.
type Subplan interface {
	// OutputTypes are the types of the result's columns.
	OutputTypes() []row.Type
}

// Subquery is a query inside an expression. Columns of Depth d+1 inside it are columns of Depth d here.
type Subquery struct {
	Kind SubqueryKind
	Plan Subplan
	// Correlated is set when Plan has a column of Depth >= 1 that reaches out of it: else it runs once.
	Correlated bool
	// Left and Ops: for AnyOf and AllOf, row-wise comparison of Left[i] with the plan's column i by Ops[i]; the row
	// compares true when all do.
	Left []Expr
	Ops  []*Func
	Typ  row.Type
}

// Type methods.
var boolean = row.T(row.Bool)

func (e *Column) Type() row.Type    { return e.Typ }
func (e *Const) Type() row.Type     { return e.Typ }
func (e *Param) Type() row.Type     { return e.Typ }
func (e *Call) Type() row.Type      { return e.Typ }
func (e *Cast) Type() row.Type      { return e.To }
func (e *And) Type() row.Type       { return boolean }
func (e *Or) Type() row.Type        { return boolean }
func (e *Not) Type() row.Type       { return boolean }
func (e *IsNull) Type() row.Type    { return boolean }
func (e *BoolTest) Type() row.Type  { return boolean }
func (e *Distinct) Type() row.Type  { return boolean }
func (e *Case) Type() row.Type      { return e.Typ }
func (e *Coalesce) Type() row.Type  { return e.Typ }
func (e *MinMax) Type() row.Type    { return e.Typ }
func (e *NullIf) Type() row.Type    { return e.Left.Type() }
func (e *AnyAll) Type() row.Type    { return boolean }
func (e *Array) Type() row.Type     { return e.Typ }
func (e *Record) Type() row.Type    { return row.T(row.Record) }
func (e *Field) Type() row.Type     { return e.Typ }
func (e *Subscript) Type() row.Type { return e.Typ }
func (e *Subquery) Type() row.Type  { return e.Typ }
