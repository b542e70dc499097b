package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// functionCall checks a call in FROM: a set-returning or scalar call; columns are what it returns (one for a scalar or a
// plain set), named by the function where it names none. defs is a column definition list (AS t(a int, b text)), nil for
// none.
func (a *analyzer) functionCall(s *scope, n *pg.Node, defs []*pg.Node) (expr.Expr, []Column, error) {
	if fc := n.GetFuncCall(); fc != nil {
		if e, cols, err := a.recordCall(s, fc, defs); e != nil || err != nil {
			return e, cols, err
		}
	}
	e, err := a.expression(s, n, inFrom)
	if err != nil {
		return nil, nil, err
	}
	for _, child := range expr.Children(e) {
		if inner := setCall(child); inner != nil {
			return nil, nil, errs.SQL("0A000", "set-returning functions must appear at top level of FROM").At(inner.Pos)
		}
	}
	e = a.settle(e)
	cols := []Column{{Name: outputName(n), Type: e.Type()}}
	call, ok := e.(*expr.Call)
	if ok && len(call.Func.SetColumns) > 0 {
		cols = cols[:0]
		for _, c := range setColumns(call) {
			cols = append(cols, Column{Name: c.Name, Type: c.Type})
		}
	}
	switch {
	case len(defs) > 0 && (len(cols) > 1 || e.Type().OID != row.Record):
		return nil, nil, a.at(defs[0].GetColumnDef().GetLocation(),
			errs.SQL("42601", "a column definition list is only allowed for functions returning \"record\""))
	}
	return e, cols, nil
}

// recordCall is a call whose columns the query lists; nil for a function that has columns of its own.
func (a *analyzer) recordCall(s *scope, fc *pg.FuncCall, defs []*pg.Node) (expr.Expr, []Column, error) {
	var columns []row.Column
	var cols []Column
	for _, n := range defs {
		d := n.GetColumnDef()
		t, err := a.typeName(d.GetTypeName())
		if err != nil {
			return nil, nil, err
		}
		columns, cols = append(columns, row.Column{Name: d.Colname, Type: t}), append(cols, Column{Name: d.Colname, Type: t})
	}
	name, err := a.functionName(fc)
	if err != nil {
		return nil, nil, err
	}
	f, err := expr.RecordFromJSON(name, columns)
	switch {
	case f == nil || err != nil:
		return nil, nil, a.at(fc.Location, err)
	case len(defs) == 0:
		return nil, nil, a.at(fc.Location, errs.SQL("42601", "a column definition list is required for functions returning \"record\""))
	}
	args, locs, err := a.arguments(s, name, fc, inFrom)
	if err != nil {
		return nil, nil, err
	}
	if len(args) != 1 || !expr.CanCast(args[0].Type().OID, f.Args[0], expr.Implicit) {
		return nil, nil, a.noSuchCall(s, name, fc, inFrom)
	}
	if args[0], err = a.coerce(args[0], row.T(f.Args[0]), expr.Implicit, locs[0], ""); err != nil {
		return nil, nil, err
	}
	return &expr.Call{Func: f, Args: args, Typ: row.T(row.Record), Pos: a.pos(fc.Location)}, cols, nil
}
