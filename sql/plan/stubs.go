package plan

// Seam between three authors. Whoever implements a function deletes its stub here. This file is gone at the end.

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// ---- author E: expressions ----

// expression checks an expression in a scope (nil: no columns). The result is fully typed, except that a string literal is still a
// Const of type Unknown (its text as Value) and an untyped parameter is a Param of type Unknown: coerce gives them their type.
func (a *analyzer) expression(s *scope, n *pg.Node, in place) (expr.Expr, error) { panic("stub") }

// coerce converts e to a type in a context: constants are parsed at once (22P02 with position), parameters take the type, anything else gets a
// Cast where its type (or typmod, on Assignment and Explicit) differs. what names the construct in the error (42804), such as "argument of WHERE".
func (a *analyzer) coerce(e expr.Expr, to row.Type, ctx expr.CastContext, loc int32, what string) (expr.Expr, error) { panic("stub") }

// settle gives text to what is still Unknown (PostgreSQL's rule for the outputs of a query).
func (a *analyzer) settle(e expr.Expr) expr.Expr { panic("stub") }

// condition is expression + coerce to boolean: "argument of WHERE must be type boolean, not type integer" (42804).
func (a *analyzer) condition(s *scope, n *pg.Node, in place, what string) (expr.Expr, error) { panic("stub") }

// common coerces expressions to their CommonType; what as in expr.CommonType.
func (a *analyzer) common(es []expr.Expr, locs []int32, what string) ([]expr.Expr, row.Type, error) { panic("stub") }

// typeName resolves a type's name with its modifiers and array bounds (42704).
func (a *analyzer) typeName(t *pg.TypeName) (row.Type, error) { panic("stub") }

// sortKey makes the key of ORDER BY from its checked expression: direction, nulls, USING; 42883 where the type has no order.
func (a *analyzer) sortKey(by *pg.SortBy, e expr.Expr) (SortKey, error) { panic("stub") }

// operator applies a binary (or, with nil left, prefix) operator to checked expressions, coercing them.
func (a *analyzer) operator(op string, left, right expr.Expr, loc int32) (expr.Expr, error) { panic("stub") }

// equality finds "=" for two checked expressions and coerces them to its argument types.
func (a *analyzer) equality(left, right expr.Expr, loc int32) (l, r expr.Expr, eq *expr.Func, err error) { panic("stub") }

// functionCall checks a call in FROM: a set-returning or scalar *expr.Call; columns are what it returns (one for a scalar or a plain set), named by
// the function where it names none. defs is a column definition list (AS t(a int, b text)), nil for none.
func (a *analyzer) functionCall(s *scope, n *pg.Node, defs []*pg.Node) (expr.Expr, []Column, error) { panic("stub") }

// outputName is the name PostgreSQL gives an unnamed SELECT column (FigureColname).
func outputName(n *pg.Node) string { panic("stub") }

// ---- author Q: queries ----

// column resolves a column reference (one to four names) in a scope and the ones around it: Column expressions with their Depth, a Coalesce for a
// merged column, a Record for a whole row. 42703, 42702, 42P01 with PostgreSQL's hints.
func (a *analyzer) column(s *scope, names []string, loc int32) (expr.Expr, error) { panic("stub") }

// query checks a SELECT, VALUES, TABLE or set operation with its WITH. outer is the scope around (nil: none); want, when not nil, gives the types
// that untyped outputs should take (INSERT's columns). Outputs of type Unknown are settled to text.
func (a *analyzer) query(sel *pg.SelectStmt, outer *scope, want []row.Type) (Node, error) { panic("stub") }

// relation finds a relation by name (42P01), along the search path.
func (a *analyzer) relation(rv *pg.RangeVar) (*catalog.Relation, error) { panic("stub") }

// from checks a FROM list: the input node (nil for an empty list) and its scope.
func (a *analyzer) from(list []*pg.Node, outer *scope) (Node, *scope, error) { panic("stub") }

// with checks a WITH clause; its bindings are in scope.ctes of the scope returned, whose outer is outer.
func (a *analyzer) with(w *pg.WithClause, outer *scope) ([]*Binding, *scope, error) { panic("stub") }

// relationScope is the scope of one relation's columns at offset.
func relationScope(r *catalog.Relation, alias string, outer *scope) *scope { panic("stub") }

// targets checks a target list (RETURNING) in a scope: * and t.* expanded, names given.
func (a *analyzer) targets(s *scope, list []*pg.Node, in place) ([]expr.Expr, []Column, error) { panic("stub") }

// window resolves a window definition, named or not, for a call at this level.
func (a *analyzer) window(s *scope, def *pg.WindowDef) (partition []expr.Expr, order []SortKey, frame Frame, err error) { panic("stub") }

// ---- author S: statements ----

// statement checks any statement.
func (a *analyzer) statement(n *pg.Node) (Statement, error) { panic("stub") }
