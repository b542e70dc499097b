package plan

import (
	"errors"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// call checks a function call of any kind: a scalar or set-returning function, an aggregate, a window function, a cast that
// is written as a call.
func (a *analyzer) call(s *scope, fc *pg.FuncCall, in place) (expr.Expr, error) {
	name, err := a.functionName(fc)
	if err != nil {
		return nil, err
	}
	args, locs, err := a.arguments(s, name, fc, in)
	if err != nil {
		return nil, err
	}
	c := &calling{a: a, s: s, fc: fc, in: in, name: name, args: args, locs: locs}
	if fc.AggWithinGroup {
		return c.withinGroup()
	}
	if err := c.resolve(); err != nil {
		return nil, err
	}
	switch {
	case c.f == nil:
		if err := c.onlyPlain(); err != nil {
			return nil, err
		}
		return a.coerce(args[0], c.result, expr.Explicit, fc.Location, "")
	case c.f.Kind == expr.AggregateFunc && fc.Over == nil:
		return c.aggregate()
	case c.f.Kind == expr.WindowFunc || fc.Over != nil:
		return c.window()
	}
	if err := c.onlyPlain(); err != nil {
		return nil, err
	}
	if c.f.Kind == expr.SetFunc {
		if err := a.setAllowed(in, fc.Location); err != nil {
			return nil, err
		}
	}
	return &expr.Call{Func: c.f, Args: c.args, Typ: c.result, VariadicArray: fc.FuncVariadic, Pos: a.pos(fc.Location)}, nil
}

// calling is a call as it is checked.
type calling struct {
	a      *analyzer
	s      *scope
	fc     *pg.FuncCall
	in     place
	name   string
	args   []expr.Expr
	locs   []int32
	f      *expr.Func
	result row.Type
}

// functionName is the name without its schema, which must be one that has functions.
func (a *analyzer) functionName(fc *pg.FuncCall) (string, error) {
	path := names(fc.Funcname)
	name := path[len(path)-1]
	if len(path) == 1 || path[0] == "pg_catalog" && len(path) == 2 || path[0] == "information_schema" && strings.HasPrefix(name, "_pg_") {
		return name, nil
	}
	if err := a.schemaExists(path[0]); err != nil {
		return "", a.at(fc.Location, err)
	}
	// What no function has as its name gives the error that a missing function gives.
	return strings.Join(path, "."), nil
}

// arguments checks the arguments of a call and puts named ones where they belong.
func (a *analyzer) arguments(s *scope, name string, fc *pg.FuncCall, in place) ([]expr.Expr, []int32, error) {
	var args []expr.Expr
	var locs []int32
	byName := map[string]*pg.Node{}
	for _, n := range fc.Args {
		if named := n.GetNamedArgExpr(); named != nil {
			if byName[named.Name] != nil {
				return nil, nil, a.at(named.Location, errs.SQL("42601", "argument name \"%s\" used more than once", named.Name))
			}
			byName[named.Name] = n
			continue
		}
		if len(byName) > 0 {
			return nil, nil, a.at(location(n), errs.SQL("42601", "positional argument cannot follow named argument"))
		}
		e, err := a.expression(s, n, in)
		if err != nil {
			return nil, nil, err
		}
		args, locs = append(args, e), append(locs, location(n))
	}
	if len(byName) == 0 {
		return args, locs, nil
	}
	return a.namedArguments(s, name, fc, args, locs, byName, in)
}

// parameter is a named parameter of a function, with the text of its default ("": none, "NULL": NULL).
type parameter struct{ name, value string }

func parameters(text string) []parameter {
	var out []parameter
	for _, f := range strings.Fields(text) {
		name, value, _ := strings.Cut(f, "=")
		out = append(out, parameter{name, value})
	}
	return out
}

// parameterNames are the functions that may be called with named arguments.
var parameterNames = map[string][]parameter{
	"make_interval":             parameters("years=0 months=0 weeks=0 days=0 hours=0 mins=0 secs=0"),
	"make_date":                 parameters("year month day"),
	"make_time":                 parameters("hour min sec"),
	"make_timestamp":            parameters("year month mday hour min sec"),
	"make_timestamptz":          parameters("year month mday hour min sec timezone"),
	"jsonb_set":                 parameters("jsonb_in path replacement create_if_missing=true"),
	"jsonb_set_lax":             parameters("jsonb_in path replacement create_if_missing=true null_value_treatment=use_json_null"),
	"jsonb_insert":              parameters("jsonb_in path replacement insert_after=false"),
	"jsonb_path_exists":         parameters("target path vars={} silent=false"),
	"jsonb_path_match":          parameters("target path vars={} silent=false"),
	"jsonb_path_query":          parameters("target path vars={} silent=false"),
	"jsonb_path_query_array":    parameters("target path vars={} silent=false"),
	"jsonb_path_query_first":    parameters("target path vars={} silent=false"),
	"parse_ident":               parameters("str strict=true"),
	"json_array_elements":       parameters("from_json"),
	"jsonb_array_elements":      parameters("from_json"),
	"json_array_elements_text":  parameters("from_json"),
	"jsonb_array_elements_text": parameters("from_json"),
	"json_each":                 parameters("from_json"),
	"jsonb_each":                parameters("from_json"),
	"json_each_text":            parameters("from_json"),
	"jsonb_each_text":           parameters("from_json"),
	"pg_options_to_table":       parameters("options_array"),
}

// namedArguments adds the named arguments to the positional ones; parameters that are left out before one that is given take
// their defaults.
func (a *analyzer) namedArguments(s *scope, name string, fc *pg.FuncCall, args []expr.Expr, locs []int32, byName map[string]*pg.Node, in place) ([]expr.Expr, []int32, error) {
	var missing []expr.Expr
	for i, p := range parameterNames[name] {
		n := byName[p.name]
		switch {
		case n == nil && i < len(args):
		case n == nil && p.value == "":
			missing = append(missing, nil)
		case n == nil:
			missing = append(missing, &expr.Const{Value: row.NewText(p.value), Typ: row.T(row.Unknown)})
		case len(missing) > 0 && slices.Contains(missing, nil) || i < len(args):
			return nil, nil, a.noSuchCall(s, name, fc, in)
		default:
			delete(byName, p.name)
			for range missing {
				locs = append(locs, -1)
			}
			args, missing = append(args, missing...), nil
			e, err := a.expression(s, n, in)
			if err != nil {
				return nil, nil, err
			}
			args, locs = append(args, e), append(locs, location(n))
		}
	}
	if len(byName) > 0 || slices.Contains(missing, nil) {
		return nil, nil, a.noSuchCall(s, name, fc, in)
	}
	return args, locs, nil
}

// noSuchCall is the error for a call whose named arguments no function has.
func (a *analyzer) noSuchCall(s *scope, name string, fc *pg.FuncCall, in place) error {
	list := make([]string, len(fc.Args))
	for i, n := range fc.Args {
		e, err := a.expression(s, n, in)
		if err != nil {
			return err
		}
		list[i] = baseName(e.Type())
		if named := n.GetNamedArgExpr(); named != nil {
			list[i] = named.Name + " => " + list[i]
		}
	}
	return a.at(fc.Location, errs.SQL("42883", "function %s(%s) does not exist", name, strings.Join(list, ", ")).
		WithHint("No function matches the given name and argument types. You might need to add explicit type casts."))
}

// resolve chooses the function and coerces the arguments.
func (c *calling) resolve() error {
	types := make([]row.Type, len(c.args))
	for i, e := range c.args {
		types[i] = e.Type()
	}
	f, castTo, result, err := expr.Resolve(c.name, types, c.fc.FuncVariadic)
	if err != nil {
		return c.unresolved(types, err)
	}
	if c.f, c.result = f, result; f == nil {
		return nil
	}
	for i, e := range c.args {
		if c.args[i], err = c.a.coerce(e, castTo[i], expr.Implicit, c.locs[i], ""); err != nil {
			return err
		}
	}
	return nil
}

// unresolved is the error of a call that fits no function.
func (c *calling) unresolved(types []row.Type, err error) error {
	var e *errs.Error
	if !errors.As(err, &e) || e.State == "42804" { // PostgreSQL does not say where polymorphic types disagree
		return err
	}
	if last := len(types) - 1; c.fc.FuncVariadic && !row.IsArray(types[last].OID) && takesAny(c.name) {
		return c.a.at(c.locs[last], errs.SQL("42804", "VARIADIC argument must be an array"))
	}
	if path := names(c.fc.Funcname); len(path) > 1 && path[len(path)-1] == c.name {
		placed := *e
		placed.Message = strings.Replace(e.Message, " "+c.name+"(", " "+strings.Join(path, ".")+"(", 1)
		err = &placed
	}
	return c.a.at(c.fc.Location, err)
}

// takesAny reports whether a function takes any number of arguments of any type.
func takesAny(name string) bool {
	return slices.ContainsFunc(expr.Functions(), func(f *expr.Func) bool { return f.Name == name && f.Variadic == expr.AnyOID })
}

// onlyPlain refuses what only aggregates and window functions take.
func (c *calling) onlyPlain() error {
	what := ""
	switch fc := c.fc; {
	case fc.AggStar:
		what = "%s(*)"
	case fc.AggDistinct:
		what = "DISTINCT"
	case fc.AggWithinGroup:
		what = "WITHIN GROUP"
	case len(fc.AggOrder) > 0:
		what = "ORDER BY"
	case fc.AggFilter != nil:
		what = "FILTER"
	default:
		return nil
	}
	return c.errorf("42809", "%s specified, but %s is not an aggregate function", strings.ReplaceAll(what, "%s", c.name), c.name)
}

func (c *calling) errorf(state, format string, args ...any) error {
	return c.a.at(c.fc.Location, errs.SQL(state, format, args...))
}

// setColumns are the columns of a call's result, polymorphic types resolved.
func setColumns(c *expr.Call) []row.Column {
	cols := slices.Clone(c.Func.SetColumns)
	if len(cols) == 1 {
		cols[0].Type = c.Typ
	}
	for i := range cols {
		if cols[i].Type.OID == expr.AnyElement {
			cols[i].Type = c.Args[0].Type().Element()
		}
	}
	return cols
}
