package pgcatalog

import (
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// allProcs is pg_proc by OID.
var allProcs = sync.OnceValue(func() map[int64]row.Row {
	c := &scan{rel: relationNamed("pg_catalog.pg_proc")}
	pgProc(c)
	out := make(map[int64]row.Row, len(c.out))
	for _, r := range c.out {
		out[r[0].Int()] = r
	}
	return out
})

// proc is a row of pg_proc.
type proc struct{ r row.Row }

func (p proc) get(column string) row.Value {
	return p.r[relationNamed("pg_catalog.pg_proc").column[column]]
}

func procOf(v row.Value) (proc, bool) {
	r, ok := allProcs()[v.Int()]
	return proc{r}, ok
}

// aboutProc makes a function that answers for a function of pg_proc.
func aboutProc(f func(p proc) row.Value) function {
	return func(_ *describer, args []row.Value) (row.Value, error) {
		p, ok := procOf(args[0])
		if !ok {
			return row.Null, nil
		}
		return f(p), nil
	}
}

// procFunctions describe functions and operators; all of them are built in.
var procFunctions = map[string]function{
	"regprocin": func(_ *describer, args []row.Value) (row.Value, error) {
		parts, err := names(args[0].Str())
		if err != nil || len(parts) > 2 || len(parts) == 2 && parts[0] != "pg_catalog" {
			return row.Null, err
		}
		if oid, ok := procNamed()[parts[len(parts)-1]]; ok {
			return num(oid), nil
		}
		return row.Null, nil
	},
	"regprocout": aboutProc(func(p proc) row.Value { return text(quote(p.get("proname").Str())) }),
	"regprocedureout": aboutProc(func(p proc) row.Value {
		return text(quote(p.get("proname").Str()) + "(" + strings.ReplaceAll(p.types(), ", ", ",") + ")")
	}),
	"regoperout": func(_ *describer, args []row.Value) (row.Value, error) {
		name, ok := operatorNames()[args[0].Int()]
		if !ok {
			return row.Null, nil
		}
		return text(name), nil
	},
	"pg_get_function_result":             aboutProc(proc.result),
	"pg_get_function_arguments":          aboutProc(proc.arguments),
	"pg_get_function_identity_arguments": aboutProc(proc.arguments),
	"pg_get_functiondef":                 aboutProc(proc.definition),
}

var operatorNames = sync.OnceValue(func() map[int64]string {
	out := map[int64]string{}
	for _, r := range static()["pg_operator"] {
		out[r[0].Int()] = r[1].Str()
	}
	return out
})

func typeName(v row.Value) string { return expr.TypeName(row.OID(v.Int())) }

// types are the types of a function's arguments.
func (p proc) types() string {
	var out []string
	for _, t := range p.get("proargtypes").List() {
		out = append(out, typeName(t))
	}
	return strings.Join(out, ", ")
}

// arguments is the list as CREATE FUNCTION has it, without defaults.
func (p proc) arguments() row.Value {
	types, names, modes := p.get("proallargtypes").List(), p.get("proargnames").List(), p.get("proargmodes").List()
	if types == nil {
		types = p.get("proargtypes").List()
	}
	var out []string
	for i, t := range types {
		arg := typeName(t)
		if i < len(names) && names[i].Str() != "" {
			arg = quote(names[i].Str()) + " " + arg
		}
		mode := "i"
		if i < len(modes) {
			mode = modes[i].Str()
		}
		switch {
		case mode == "t":
			continue
		case mode == "v", modes == nil && i == len(types)-1 && p.get("provariadic").Int() != 0:
			arg = "VARIADIC " + arg
		case mode == "o":
			arg = "OUT " + arg
		case mode == "b":
			arg = "INOUT " + arg
		}
		out = append(out, arg)
	}
	return text(strings.Join(out, ", "))
}

// result is what follows RETURNS.
func (p proc) result() row.Value {
	if modes := p.get("proargmodes").List(); len(modes) > 0 && modes[len(modes)-1].Str() == "t" {
		types, names := p.get("proallargtypes").List(), p.get("proargnames").List()
		var columns []string
		for i, m := range modes {
			if m.Str() == "t" {
				columns = append(columns, quote(names[i].Str())+" "+typeName(types[i]))
			}
		}
		return text("TABLE(" + strings.Join(columns, ", ") + ")")
	}
	if p.get("proretset").Bool() {
		return text("SETOF " + typeName(p.get("prorettype")))
	}
	return text(typeName(p.get("prorettype")))
}

// definition is the statement that would make the function.
func (p proc) definition() row.Value {
	var b strings.Builder
	name := p.get("proname").Str()
	b.WriteString("CREATE OR REPLACE FUNCTION pg_catalog." + quote(name) + "(" + p.arguments().Str() + ")\n RETURNS " + p.result().Str() +
		"\n LANGUAGE internal\n")
	var traits []string
	switch p.get("provolatile").Str() {
	case "i":
		traits = append(traits, "IMMUTABLE")
	case "s":
		traits = append(traits, "STABLE")
	}
	if p.get("proparallel").Str() == "s" {
		traits = append(traits, "PARALLEL SAFE")
	}
	if p.get("proisstrict").Bool() {
		traits = append(traits, "STRICT")
	}
	if len(traits) > 0 {
		b.WriteString(" " + strings.Join(traits, " ") + "\n")
	}
	b.WriteString("AS $function$" + name + "$function$\n")
	return text(b.String())
}
