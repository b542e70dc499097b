package plan

// Seam between three authors. Whoever implements a function deletes its stub here. This file is gone at the end.

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// ---- author Q: queries ----

// column resolves a column reference (one to four names) in a scope and the ones around it: Column expressions with their Depth, a Coalesce for a
// merged column, a Record for a whole row. 42703, 42702, 42P01 with PostgreSQL's hints.
func (a *analyzer) column(s *scope, names []string, loc int32) (expr.Expr, error) { panic("stub") }

// query checks a SELECT, VALUES, TABLE or set operation with its WITH. outer is the scope around (nil: none); want, when not nil, gives the types
// that untyped outputs should take (INSERT's columns). Outputs of type Unknown are settled to text.
func (a *analyzer) query(sel *pg.SelectStmt, outer *scope, want []row.Type) (Node, error) {
	panic("stub")
}

// relation finds a relation by name (42P01), along the search path.
func (a *analyzer) relation(rv *pg.RangeVar) (*catalog.Relation, error) { panic("stub") }

// from checks a FROM list: the input node (nil for an empty list) and its scope.
func (a *analyzer) from(list []*pg.Node, outer *scope) (Node, *scope, error) { panic("stub") }

// with checks a WITH clause; its bindings are in scope.ctes of the scope returned, whose outer is outer.
func (a *analyzer) with(w *pg.WithClause, outer *scope) ([]*Binding, *scope, error) { panic("stub") }

// relationScope is the scope of one relation's columns at offset.
func relationScope(r *catalog.Relation, alias string, outer *scope) *scope { panic("stub") }

// targets checks a target list (RETURNING) in a scope: * and t.* expanded, names given.
func (a *analyzer) targets(s *scope, list []*pg.Node, in place) ([]expr.Expr, []Column, error) {
	panic("stub")
}

// window resolves a window definition, named or not, for a call at this level.
func (a *analyzer) window(s *scope, def *pg.WindowDef) (partition []expr.Expr, order []SortKey, frame Frame, err error) {
	panic("stub")
}

// ---- author S: statements ----

// statement checks any statement.
func (a *analyzer) statement(n *pg.Node) (Statement, error) { panic("stub") }
