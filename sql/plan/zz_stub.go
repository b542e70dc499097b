// Stands in until the analyzer lands from its branch: delete this file then.

package plan

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

type Options struct {
	Catalog    *catalog.Snapshot
	SearchPath []string
	ParamTypes []row.Type
}

func Analyze(st *parse.Statement, o Options) (Statement, []row.Type, error) { panic("stub") }
func AnalyzeExpr(text string, rel *catalog.Relation) (expr.Expr, error)     { panic("stub") }
func Optimize(n Node) Node                                                  { panic("stub") }
func Format(n Node) string                                                  { panic("stub") }
