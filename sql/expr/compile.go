package expr

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// Evaluator computes an expression over one row. It may be used by several goroutines at once, each with its own Ctx.
type Evaluator = func(ctx *Ctx, r row.Row) (row.Value, error)

// Predicate computes a condition: NULL is false.
type Predicate = func(ctx *Ctx, r row.Row) (bool, error)

// Compile turns a checked expression into closures. Errors are of expressions that cannot be computed here: 0A000.
func Compile(e Expr) (Evaluator, error) {
	switch e := e.(type) {
	case *Column:
		return compileColumn(e), nil
	case *Const:
		v := e.Value
		return func(*Ctx, row.Row) (row.Value, error) { return v, nil }, nil
	case *Param:
		return compileParam(e), nil
	case *Call:
		f, err := compileCall(e)
		if err != nil || !builds(e.Typ) {
			return f, err
		}
		return checked(f), nil
	case *Cast:
		return compileCast(e)
	case *And:
		return compileLogic(e.Args, false)
	case *Or:
		return compileLogic(e.Args, true)
	case *Not:
		return compileNot(e)
	case *IsNull:
		return compileIsNull(e)
	case *BoolTest:
		return compileBoolTest(e)
	case *Distinct:
		return compileDistinct(e)
	case *Case:
		return compileCase(e)
	case *Coalesce:
		return compileCoalesce(e)
	case *MinMax:
		return compileMinMax(e)
	case *NullIf:
		return compileNullIf(e)
	case *AnyAll:
		return compileAnyAll(e)
	case *Array:
		return compileArray(e)
	case *Record:
		return compileRecord(e)
	case *Field:
		return compileField(e)
	case *Subscript:
		return compileSubscript(e)
	case *Subquery:
		return compileSubquery(e)
	}
	return nil, errs.SQL("0A000", "cannot evaluate an expression of kind %T", e)
}

// CompileAll compiles a list.
func CompileAll(list []Expr) ([]Evaluator, error) {
	out := make([]Evaluator, len(list))
	for i, e := range list {
		var err error
		if out[i], err = Compile(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func compileColumn(e *Column) Evaluator {
	index := e.Index
	if e.Depth == 0 {
		return func(_ *Ctx, r row.Row) (row.Value, error) { return r[index], nil }
	}
	depth := e.Depth
	return func(ctx *Ctx, _ row.Row) (row.Value, error) {
		return ctx.Outer[len(ctx.Outer)-depth][index], nil
	}
}

func compileParam(e *Param) Evaluator {
	n := e.N
	return func(ctx *Ctx, _ row.Row) (row.Value, error) {
		if n > len(ctx.Params) {
			return row.Null, errs.SQL("42P02", "there is no parameter $%d", n)
		}
		return ctx.Params[n-1], nil
	}
}

// argTypes are the types of a list of expressions.
func argTypes(list []Expr) []row.Type {
	ts := make([]row.Type, len(list))
	for i, e := range list {
		ts[i] = e.Type()
	}
	return ts
}

// largeValue is how large a text must be for its making to count as work that a statement may be ended after.
const largeValue = 1 << 20

// builds reports whether values of the type can be large.
func builds(t row.Type) bool {
	k := row.KindOf(t.OID)
	return k == row.KindText || k == row.KindBytes
}

// checked looks after each large value whether the statement is to end: a batch of a thousand rows of 1 GB has no other place
// to be interrupted.
func checked(f Evaluator) Evaluator {
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := f(ctx, r)
		if err == nil && ctx.Check != nil && !v.IsNull() && len(v.Str()) >= largeValue {
			err = ctx.Check()
		}
		return v, err
	}
}

func compileCall(e *Call) (Evaluator, error) {
	f := e.Func
	if f.Kind != ScalarFunc {
		return nil, errs.SQL("0A000", "function %s cannot be called here", f.Name).At(e.Pos)
	}
	args, err := CompileAll(e.Args)
	if err != nil {
		return nil, err
	}
	if f.Strict && !e.VariadicArray {
		switch {
		case len(args) == 1 && f.eval1 != nil:
			return compileUnary(f, args[0]), nil
		case len(args) == 2 && f.eval2 != nil:
			return compileBinary(f, args, e.Args), nil
		}
	}
	if r, ok := namedRecord(e); ok {
		return compileRecordJSON(f, r, args[0]), nil
	}
	types := argTypes(e.Args)
	if e.VariadicArray {
		types = append(types[:len(types)-1], row.T(row.ElementOf(types[len(types)-1].OID)))
	}
	eval := f.Bind(types, e.Typ)
	if eval == nil {
		return nil, errs.SQL("0A000", "function %s is not supported", f.Name).At(e.Pos)
	}
	strict, spread := f.Strict, e.VariadicArray
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		values := make([]row.Value, len(args))
		for i, a := range args {
			v, err := a(ctx, r)
			if err != nil || strict && v.IsNull() {
				return row.Null, err
			}
			values[i] = v
		}
		if spread {
			last := values[len(values)-1]
			if last.IsNull() {
				return row.Null, nil
			}
			values = append(values[:len(values)-1:len(values)-1], last.List()...)
		}
		return eval(ctx, values)
	}, nil
}

// namedRecord is the record whose fields' names a JSON function shows.
func namedRecord(e *Call) (*Record, bool) {
	switch e.Func.Name {
	case "row_to_json", "to_json", "to_jsonb":
		r, ok := e.Args[0].(*Record)
		return r, ok
	}
	return nil, false
}

func compileRecordJSON(f *Func, r *Record, arg Evaluator) Evaluator {
	fields := &recordFields{r.Names, argTypes(r.Fields)}
	binary := f.Name == "to_jsonb"
	return func(ctx *Ctx, in row.Row) (row.Value, error) {
		v, err := arg(ctx, in)
		if err != nil {
			return row.Null, err
		}
		out, err := appendRecordJSON(ctx, nil, fields, v, compactStyle)
		if err != nil {
			return row.Null, err
		}
		if binary {
			return jsonb(string(out))
		}
		return row.NewText(string(out)), nil
	}
}

func compileUnary(f *Func, arg Evaluator) Evaluator {
	eval := f.eval1
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		return eval(v)
	}
}

// compileBinary avoids a closure call for a side that is a column or constant: the usual shape of a condition.
func compileBinary(f *Func, args []Evaluator, exprs []Expr) Evaluator {
	eval, left, right := f.eval2, args[0], args[1]
	lc, leftColumn := exprs[0].(*Column)
	rc, rightConst := exprs[1].(*Const)
	switch {
	case leftColumn && lc.Depth == 0 && rightConst:
		index, b := lc.Index, rc.Value
		if b.IsNull() {
			return func(*Ctx, row.Row) (row.Value, error) { return row.Null, nil }
		}
		return func(_ *Ctx, r row.Row) (row.Value, error) {
			if r[index].IsNull() {
				return row.Null, nil
			}
			return eval(r[index], b)
		}
	case leftColumn && lc.Depth == 0:
		index := lc.Index
		return func(ctx *Ctx, r row.Row) (row.Value, error) {
			b, err := right(ctx, r)
			if err != nil || b.IsNull() || r[index].IsNull() {
				return row.Null, err
			}
			return eval(r[index], b)
		}
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		a, err := left(ctx, r)
		if err != nil || a.IsNull() {
			return row.Null, err
		}
		b, err := right(ctx, r)
		if err != nil || b.IsNull() {
			return row.Null, err
		}
		return eval(a, b)
	}
}

// CompilePredicate compiles a condition of a Filter or join.
func CompilePredicate(e Expr) (Predicate, error) {
	if and, ok := e.(*And); ok {
		list := make([]Predicate, len(and.Args))
		for i, a := range and.Args {
			var err error
			if list[i], err = CompilePredicate(a); err != nil {
				return nil, err
			}
		}
		return func(ctx *Ctx, r row.Row) (bool, error) {
			for _, p := range list {
				if ok, err := p(ctx, r); !ok || err != nil {
					return false, err
				}
			}
			return true, nil
		}, nil
	}
	eval, err := Compile(e)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, r row.Row) (bool, error) {
		v, err := eval(ctx, r)
		return err == nil && !v.IsNull() && v.Bool(), err
	}, nil
}

// compileLogic is AND (decisive false) or OR (decisive true), three-valued.
func compileLogic(list []Expr, decisive bool) (Evaluator, error) {
	args, err := CompileAll(list)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		null := false
		for _, a := range args {
			v, err := a(ctx, r)
			if err != nil {
				return row.Null, err
			}
			switch {
			case v.IsNull():
				null = true
			case v.Bool() == decisive:
				return v, nil
			}
		}
		if null {
			return row.Null, nil
		}
		return row.NewBool(!decisive), nil
	}, nil
}

func compileNot(e *Not) (Evaluator, error) {
	arg, err := Compile(e.Arg)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		return row.NewBool(!v.Bool()), nil
	}, nil
}

func compileIsNull(e *IsNull) (Evaluator, error) {
	arg, err := Compile(e.Arg)
	if err != nil {
		return nil, err
	}
	negated := e.Negated
	if e.Arg.Type().OID != row.Record {
		return func(ctx *Ctx, r row.Row) (row.Value, error) {
			v, err := arg(ctx, r)
			return row.NewBool(v.IsNull() != negated), err
		}, nil
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.NewBool(!negated), err
		}
		for _, f := range v.List() { // every field must be NULL, or every field not
			if f.IsNull() == negated {
				return row.NewBool(false), nil
			}
		}
		return row.NewBool(true), nil
	}, nil
}

func compileBoolTest(e *BoolTest) (Evaluator, error) {
	arg, err := Compile(e.Arg)
	if err != nil {
		return nil, err
	}
	want, negated := e.Value, e.Negated
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		is := v.IsNull() == want.IsNull() && (v.IsNull() || v.Bool() == want.Bool())
		return row.NewBool(is != negated), err
	}, nil
}

// equality gives "left = right" as a function of two values.
func equality(eq *Func, left, right Expr) func(ctx *Ctx, a, b row.Value) (row.Value, error) {
	if eq.eval2 != nil {
		eval := eq.eval2
		return func(_ *Ctx, a, b row.Value) (row.Value, error) { return eval(a, b) }
	}
	eval := eq.Bind([]row.Type{left.Type(), right.Type()}, row.T(row.Bool))
	return func(ctx *Ctx, a, b row.Value) (row.Value, error) { return eval(ctx, []row.Value{a, b}) }
}

func compileDistinct(e *Distinct) (Evaluator, error) {
	args, err := CompileAll([]Expr{e.Left, e.Right})
	if err != nil {
		return nil, err
	}
	equal, negated := equality(e.Eq, e.Left, e.Right), e.Negated
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		a, err := args[0](ctx, r)
		if err != nil {
			return row.Null, err
		}
		b, err := args[1](ctx, r)
		if err != nil {
			return row.Null, err
		}
		distinct := a.IsNull() != b.IsNull()
		if !a.IsNull() && !b.IsNull() {
			v, err := equal(ctx, a, b)
			if err != nil {
				return row.Null, err
			}
			distinct = v.IsNull() || !v.Bool()
		}
		return row.NewBool(distinct != negated), nil
	}, nil
}

func compileCase(e *Case) (Evaluator, error) {
	conds := make([]Predicate, len(e.Whens))
	thens := make([]Evaluator, len(e.Whens))
	var err error
	for i, w := range e.Whens {
		if conds[i], err = CompilePredicate(w.Cond); err != nil {
			return nil, err
		}
		if thens[i], err = Compile(w.Then); err != nil {
			return nil, err
		}
	}
	otherwise := Evaluator(func(*Ctx, row.Row) (row.Value, error) { return row.Null, nil })
	if e.Else != nil {
		if otherwise, err = Compile(e.Else); err != nil {
			return nil, err
		}
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		for i, c := range conds {
			ok, err := c(ctx, r)
			if err != nil {
				return row.Null, err
			}
			if ok {
				return thens[i](ctx, r)
			}
		}
		return otherwise(ctx, r)
	}, nil
}

func compileCoalesce(e *Coalesce) (Evaluator, error) {
	args, err := CompileAll(e.Args)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		for _, a := range args {
			if v, err := a(ctx, r); err != nil || !v.IsNull() {
				return v, err
			}
		}
		return row.Null, nil
	}, nil
}

func compileMinMax(e *MinMax) (Evaluator, error) {
	args, err := CompileAll(e.Args)
	if err != nil {
		return nil, err
	}
	t, least := e.Typ, e.Least
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		best := row.Null
		for _, a := range args {
			v, err := a(ctx, r)
			if err != nil {
				return row.Null, err
			}
			if v.IsNull() {
				continue
			}
			if best.IsNull() {
				best = v
			} else if c := row.CompareTyped(t, v, best); c != 0 && (c < 0) == least {
				best = v
			}
		}
		return best, nil
	}, nil
}

func compileNullIf(e *NullIf) (Evaluator, error) {
	args, err := CompileAll([]Expr{e.Left, e.Right})
	if err != nil {
		return nil, err
	}
	equal := equality(e.Eq, e.Left, e.Right)
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		a, err := args[0](ctx, r)
		if err != nil || a.IsNull() {
			return row.Null, err
		}
		b, err := args[1](ctx, r)
		if err != nil || b.IsNull() {
			return a, err
		}
		v, err := equal(ctx, a, b)
		if err != nil || !v.IsNull() && v.Bool() {
			return row.Null, err
		}
		return a, nil
	}, nil
}

func compileRecord(e *Record) (Evaluator, error) {
	fields, err := CompileAll(e.Fields)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		out := make([]row.Value, len(fields))
		for i, f := range fields {
			v, err := f(ctx, r)
			if err != nil {
				return row.Null, err
			}
			out[i] = v
		}
		return row.NewRecord(out), nil
	}, nil
}

func compileField(e *Field) (Evaluator, error) {
	arg, err := Compile(e.Arg)
	if err != nil {
		return nil, err
	}
	index := e.Index
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		if list := v.List(); index < len(list) {
			return list[index], nil
		}
		return row.Null, fmt.Errorf("expr: a record of %d fields has no field %d", len(v.List()), index)
	}, nil
}
