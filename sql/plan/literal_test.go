package plan

import (
	"testing"

	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
)

// TestLiteralsThatDependOnTheSession: what the session's time, zone or names decide must be left to each execution of a
// plan, the rest must be constant.
func TestLiteralsThatDependOnTheSession(t *testing.T) {
	for text, fixed := range map[string]bool{
		"'2020-01-01'::date":                            true,
		"date '2020-01-01'":                             true,
		"'infinity'::timestamptz":                       true,
		"'2020-01-01 12:00+00'::timestamptz":            true,
		"'2020-01-01 12:00 Europe/Berlin'::timestamptz": true,
		"'2020-01-01 12:00'::timestamptz":               false,
		"'2020-01-01 12:00'::timestamp":                 true,
		"'now'::timestamp":                              false,
		"'now'::timestamptz":                            false,
		"'today'::date":                                 false,
		"'tomorrow'::timestamp":                         false,
		"'allballs'::time":                              true,
		"'now'::time":                                   false,
		"'12:00'::timetz":                               false,
		"'12:00+01'::timetz":                            true,
		"'{2020-01-01,today}'::date[]":                  false,
		"'{2020-01-01}'::date[]":                        true,
		"'pg_class'::regclass":                          false,
		"'{pg_class}'::regclass[]":                      false,
		"'1 day'::interval":                             true,
		"'abc'::varchar(2)":                             true,
		"NULL::timestamptz":                             true,
		"timestamptz(0) '2020-01-01 12:00:00.7+00'":     true,
	} {
		list, err := parse.Parse("SELECT " + text)
		if err != nil {
			t.Fatal(err)
		}
		a := newAnalyzer(list[0], Options{})
		e, err := a.expression(nil, list[0].Tree.GetSelectStmt().TargetList[0].GetResTarget().Val, inTarget)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, ok := e.(*expr.Const); ok != fixed {
			t.Errorf("%s: constant %t, want %t", text, ok, fixed)
		}
	}
}
