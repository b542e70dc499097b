package plan

import (
	"errors"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

// Options are what a statement is checked against.
type Options struct {
	Catalog    *catalog.Snapshot
	SearchPath []string
	// ParamTypes are the types that the client declared for $1...; the zero Type (or a missing one): infer.
	ParamTypes []row.Type
}

// Analyze checks a statement and gives its plan and the types of its parameters.
//
// Errors carry PostgreSQL's SQLSTATE and, where it gives one, the position in the text.
func Analyze(st *parse.Statement, o Options) (Statement, []row.Type, error) {
	a := newAnalyzer(st, o)
	s, err := a.statement(st.Tree)
	if err != nil {
		return nil, nil, err
	}
	if a.undecided != nil {
		return nil, nil, a.undecided
	}
	if err := a.decided(s); err != nil {
		return nil, nil, err
	}
	return s, a.params, nil
}

// decided checks that every parameter has got a type, wherever it is used.
func (a *analyzer) decided(s Statement) error {
	for i, t := range a.params {
		if t.OID == 0 || t.OID == row.Unknown {
			return errs.SQL("42P18", "could not determine data type of parameter $%d", i+1)
		}
	}
	if len(a.params) == 0 {
		return nil
	}
	var query Node
	switch s := s.(type) {
	case *Select:
		query = s.Query
	case *Insert:
		query = s.Source
	case *Update:
		query = s.Source
	case *Delete:
		query = s.Source
	}
	var err error
	WalkAll(query, func(e expr.Expr, _ int) {
		if p, ok := e.(*expr.Param); ok && p.Typ.OID == row.Unknown && err == nil {
			err = a.at(a.locations[p], errs.SQL("42P08", "could not determine data type of parameter $%d", p.N))
		}
	})
	return err
}

// analyzer checks one statement.
type analyzer struct {
	st     *parse.Statement
	o      Options
	params []row.Type // by number-1; zero: not known yet
	// locations are where leaves stand that are looked at again later: untyped constants and parameters when they get their
	// type, columns when grouping finds them.
	locations map[expr.Expr]int32
	// records are the fields of columns that hold records.
	records map[expr.Expr][]row.Column
	// undecided is the error of a parameter that was to be text and something else.
	undecided error
	// stars are the columns that each * of a view's query stands for, by its place; nil for other statements.
	stars map[int32]string
	// working are the recursive queries whose second term is being checked.
	working []*Binding
	// base holds the WITH names around a data-modifying statement inside a WITH.
	base *scope
	// view is the view whose query is being checked, nil outside; nesting counts views inside views.
	view    *catalog.Relation
	nesting int
}

func newAnalyzer(st *parse.Statement, o Options) *analyzer {
	return &analyzer{st: st, o: o, params: append([]row.Type(nil), o.ParamTypes...), locations: map[expr.Expr]int32{},
		records: map[expr.Expr][]row.Column{}}
}

// at gives an error the position of a tree's location, unless it has one.
func (a *analyzer) at(location int32, err error) error {
	var e *errs.Error
	if !errors.As(err, &e) || e.Position != 0 {
		return err
	}
	placed := *e // the error may be shared
	return placed.At(a.pos(location))
}

// pos is the 1-based character position of a tree's location, 0: unknown.
func (a *analyzer) pos(location int32) int {
	if a.st == nil {
		return 0
	}
	return a.st.Position(location)
}

// place says where an expression stands: what may be in it, and how an error names it.
type place uint8

const (
	inTarget place = iota // SELECT list: aggregates, windows, set-returning functions
	inWhere
	inHaving // aggregates
	inGroupBy
	inOrderBy    // aggregates, windows, set-returning functions
	inDistinctOn // as inOrderBy
	inJoinOn
	inFrom // arguments of a function in FROM
	inWindow
	inLimit
	inOffset
	inValues
	inSet // UPDATE SET, ON CONFLICT SET
	inReturning
	inFilter // FILTER (WHERE ...)
	inAggregate
	inCheck
	inDefault
	inIndex
	inExecute
	inCopy
)

// scope holds the names that expressions of one query level may use.
type scope struct {
	outer *scope // the level around: its columns are one Depth further out
	// items are what FROM names, in the order of their columns in the level's input row.
	items []*item
	// tables are the base tables in FROM, those out of sight behind a join's alias too.
	tables []*item
	// windows are the level's WINDOW clause, by name.
	windows map[string]*pg.WindowDef
	// ctes are the WITH names in force at this level.
	ctes []*Binding
	// later are the WITH items that cannot be referenced yet, for a hint.
	later []*pg.CommonTableExpr
	// level is the query level that the scope is part of; several scopes share one.
	level *queryLevel
	// namesOnly scopes hold WITH names: they have no row, and a Depth does not count them.
	namesOnly bool
	// left is set for the left side of a join as a lateral right side sees it.
	left leftSide
	// aliases of the SELECT list are no part of a scope: ORDER BY and GROUP BY look there themselves.
}

// item is one entry of FROM. Its columns stand at offset.. in the input row of the scope.
type item struct {
	alias   string // "" for a join without alias
	schema  string // of a relation named without alias: schema.table.column may be said
	columns []itemColumn
	// hidden items are left out of unqualified lookup and of *: their columns stand in a join's item.
	hidden bool
	// relation is the table that the item is, nil for anything else.
	relation *catalog.Relation
	// binding is the common table expression that the item reads, nil for anything else.
	binding *Binding
	// isJoin is set for a join's own item, whose columns are those of its sides.
	isJoin bool
}

// itemColumn is one name that an item offers.
type itemColumn struct {
	Column
	// expr is what the name stands for at Depth 0 of the scope: a Column, or for a column merged by USING a Coalesce.
	expr expr.Expr
	// system columns (_rowid) and columns merged away by USING are found by their qualified name, not by *.
	unlisted bool
	// merged columns stand in for this one in unqualified lookup.
	merged bool
}

// Leaves that stand in an expression for what its query level computes beside it, until the level's Aggregate, Window
// and ProjectSet operators are built and the leaves become Columns.
type (
	// aggregateRef is an aggregate call.
	aggregateRef struct {
		call *AggregateCall
		pos  int
	}
	// windowRef is a window function call.
	windowRef struct {
		call *WindowCall
		pos  int
	}
	// groupingRef is GROUPING(args).
	groupingRef struct {
		args []expr.Expr
		at   []int // the arguments' positions
		pos  int
	}
)

func (e *aggregateRef) Type() row.Type { return e.call.Typ }
func (e *windowRef) Type() row.Type    { return e.call.Typ }
func (e *groupingRef) Type() row.Type  { return row.T(row.Int4) }
