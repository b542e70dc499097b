package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// sqlValues are the functions that stand for SQL's values without brackets and the types that now() is cast to.
var sqlValues = map[pg.SQLValueFunctionOp]struct {
	function string
	typ      row.OID
}{
	pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:        {"now", row.Date},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME:        {"now", row.TimeTZ},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:      {"now", row.TimeTZ},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:   {"now", row.TimestampTZ},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: {"now", row.TimestampTZ},
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME:           {"now", row.Time},
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         {"now", row.Time},
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:      {"now", row.Timestamp},
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    {"now", row.Timestamp},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:        {"current_user", row.Name},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_USER:        {"current_user", row.Name},
	pg.SQLValueFunctionOp_SVFOP_USER:                {"current_user", row.Name},
	pg.SQLValueFunctionOp_SVFOP_SESSION_USER:        {"session_user", row.Name},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:     {"current_database", row.Name},
	pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:      {"current_schema", row.Name},
}

// sqlValue is CURRENT_DATE, CURRENT_TIMESTAMP(n), CURRENT_USER...
func (a *analyzer) sqlValue(v *pg.SQLValueFunction) (expr.Expr, error) {
	def := sqlValues[v.Op]
	f := expr.Lookup(def.function)
	if f == nil {
		return nil, a.at(v.Location, errs.SQL("0A000", "%s is not supported", sqlValueName(v.Op)))
	}
	call := &expr.Call{Func: f, Typ: row.T(f.Ret), Pos: a.pos(v.Location)}
	to := row.T(def.typ)
	switch v.Op {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N,
		pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		var err error
		if to, err = row.WithModifiers(def.typ, []int32{v.Typmod}); err != nil {
			return nil, err
		}
	}
	if to == call.Typ {
		return call, nil
	}
	return &expr.Cast{Arg: call, To: to, Context: expr.Explicit, Pos: call.Pos}, nil
}
