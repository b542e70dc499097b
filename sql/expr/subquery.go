package expr

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// compileSubquery evaluates a query inside an expression by Ctx.Run, with the current row as its outer row.
func compileSubquery(e *Subquery) (Evaluator, error) {
	switch e.Kind {
	case Exists:
		return func(ctx *Ctx, r row.Row) (row.Value, error) {
			found := false
			err := ctx.runSubplan(e, r, func(row.Row) (bool, error) {
				found = true
				return false, nil
			})
			return row.NewBool(found), err
		}, nil
	case Scalar:
		return func(ctx *Ctx, r row.Row) (row.Value, error) {
			var v row.Value
			n := 0
			err := ctx.runSubplan(e, r, func(out row.Row) (bool, error) {
				if n++; n > 1 {
					return false, errs.SQL("21000", "more than one row returned by a subquery used as an expression")
				}
				if len(out) == 1 {
					v = out[0]
				} else {
					v = row.NewRecord(append(row.Row(nil), out...))
				}
				return true, nil
			})
			return v, err
		}, nil
	case ArrayOf:
		return func(ctx *Ctx, r row.Row) (row.Value, error) {
			list := []row.Value{}
			err := ctx.runSubplan(e, r, func(out row.Row) (bool, error) {
				list = append(list, out[0])
				return true, nil
			})
			return row.NewList(list), err
		}, nil
	}
	return compileQuantifiedSubquery(e)
}

func (c *Ctx) runSubplan(e *Subquery, r row.Row, emit func(row.Row) (bool, error)) error {
	if c.Run == nil {
		return errs.SQL("0A000", "a subquery is not possible here")
	}
	inner := *c
	inner.Outer = append(c.Outer[:len(c.Outer):len(c.Outer)], r)
	return c.Run(&inner, e.Plan, emit)
}

// compileQuantifiedSubquery is "(left...) op ANY|ALL (subquery)".
func compileQuantifiedSubquery(e *Subquery) (Evaluator, error) {
	left, err := CompileAll(e.Left)
	if err != nil {
		return nil, err
	}
	columns := e.Plan.OutputTypes()
	tests := make([]func(*Ctx, row.Value, row.Value) (row.Value, error), len(left))
	for i, op := range e.Ops {
		tests[i] = equality(op, e.Left[i], &Const{Typ: columns[i]})
	}
	all := e.Kind == AllOf
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		values := make([]row.Value, len(left))
		for i, l := range left {
			v, err := l(ctx, r)
			if err != nil {
				return row.Null, err
			}
			values[i] = v
		}
		null, decided := false, false
		err := ctx.runSubplan(e, r, func(out row.Row) (bool, error) {
			v, err := compareRow(ctx, values, out, tests)
			switch {
			case err != nil:
				return false, err
			case v.IsNull():
				null = true
			case v.Bool() != all:
				decided = true
				return false, nil
			}
			return true, nil
		})
		switch {
		case err != nil:
			return row.Null, err
		case decided:
			return row.NewBool(!all), nil
		case null:
			return row.Null, nil
		}
		return row.NewBool(all), nil
	}, nil
}

// compareRow is the three-valued AND of the comparisons of the columns.
func compareRow(ctx *Ctx, left []row.Value, right row.Row, tests []func(*Ctx, row.Value, row.Value) (row.Value, error)) (row.Value, error) {
	null := false
	for i, test := range tests {
		if left[i].IsNull() || right[i].IsNull() {
			null = true
			continue
		}
		v, err := test(ctx, left[i], right[i])
		if err != nil {
			return row.Null, err
		}
		if v.IsNull() {
			null = true
		} else if !v.Bool() {
			return v, nil
		}
	}
	if null {
		return row.Null, nil
	}
	return row.NewBool(true), nil
}
