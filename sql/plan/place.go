package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

// placeNames name the places as PostgreSQL's errors do ("... are not allowed in WHERE").
var placeNames = map[place]string{
	inWhere:     "WHERE",
	inHaving:    "HAVING",
	inGroupBy:   "GROUP BY",
	inJoinOn:    "JOIN conditions",
	inFrom:      "functions in FROM",
	inWindow:    "window definitions",
	inLimit:     "LIMIT",
	inOffset:    "OFFSET",
	inValues:    "VALUES",
	inSet:       "UPDATE",
	inReturning: "RETURNING",
	inFilter:    "FILTER",
	inCheck:     "check constraints",
	inDefault:   "DEFAULT expressions",
	inIndex:     "index expressions",
	inExecute:   "EXECUTE parameters",
	inCopy:      "COPY FROM WHERE conditions",
}

// noSubquery names the places without subqueries.
var noSubquery = map[place]string{
	inCheck:   "check constraint",
	inDefault: "DEFAULT expression",
	inIndex:   "index expression",
	inExecute: "EXECUTE parameter",
	inCopy:    "COPY FROM WHERE condition",
}

// allows says which calls may stand in a place beside scalar functions.
func (p place) allowsAggregates() bool {
	switch p {
	case inTarget, inHaving, inOrderBy, inDistinctOn, inWindow, inAggregate:
		return true
	}
	return false
}

func (p place) allowsWindows() bool {
	return p == inTarget || p == inOrderBy || p == inDistinctOn || p == inAggregate
}

func (p place) allowsSets() bool {
	switch p {
	case inTarget, inOrderBy, inDistinctOn, inGroupBy, inFrom, inAggregate:
		return true
	}
	return false
}

// aggregateAllowed refuses an aggregate (what: "aggregate functions" or "grouping operations") where it may not stand.
func (a *analyzer) aggregateAllowed(in place, what string, loc int32) error {
	if in.allowsAggregates() {
		return nil
	}
	return a.at(loc, errs.SQL("42803", "%s are not allowed in %s", what, placeNames[in]))
}

func (a *analyzer) windowAllowed(in place, loc int32) error {
	if in.allowsWindows() {
		return nil
	}
	return a.at(loc, errs.SQL("42P20", "window functions are not allowed in %s", placeNames[in]))
}

// setAllowed refuses a set-returning call where it may not stand. In FROM it must be the outermost call.
func (a *analyzer) setAllowed(in place, loc int32) error {
	if !in.allowsSets() {
		return a.at(loc, errs.SQL("0A000", "set-returning functions are not allowed in %s", placeNames[in]))
	}
	return nil
}

// setCall is the first set-returning call in e, nil without one.
func setCall(e expr.Expr) *expr.Call {
	var found *expr.Call
	expr.Walk(e, func(e expr.Expr) bool {
		if c, ok := e.(*expr.Call); ok && c.Func.Kind == expr.SetFunc && found == nil {
			found = c
		}
		return found == nil
	})
	return found
}

// grouping is GROUPING(...).
func (a *analyzer) grouping(s *scope, g *pg.GroupingFunc, in place) (expr.Expr, error) {
	if err := a.aggregateAllowed(in, "grouping operations", g.Location); err != nil {
		return nil, err
	}
	if len(g.Args) > 31 {
		return nil, a.at(g.Location, errs.SQL("54023", "GROUPING must have fewer than 32 arguments"))
	}
	args, err := a.separate(s, g.Args, in)
	if err != nil {
		return nil, err
	}
	ref := &groupingRef{args: args, pos: a.pos(g.Location)}
	for _, n := range g.Args {
		ref.at = append(ref.at, a.pos(location(n)))
	}
	return ref, nil
}
