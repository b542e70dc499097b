package expr

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
)

// traits are what an entry of the registry says beside its signature; the zero value is a strict immutable function.
type traits uint8

const (
	nullable traits = 1 << iota // not strict: called with NULLs
	stable
	volatile
	// defaulted marks a form with fewer arguments of a PostgreSQL function whose last arguments have defaults: it can be
	// called but is not listed.
	defaulted
)

// def is one entry of the registry: "name(argument types) result type", its traits, and what computes it, one of
//
//	func(a row.Value) (row.Value, error)         and with 2 arguments: called without a slice
//	func(args []row.Value) (row.Value, error)
//	func(ctx *Ctx, args []row.Value) (row.Value, error)
//	binder                                       for what must know its arguments' types
//	setFunc, aggregate, window
//
// An argument "variadic T" takes any number of T. SQL operators are entries under their own name; "-" stands for the left
// argument that a prefix operator has not.
type def struct {
	sig    string
	traits traits
	eval   any
}

type evalFunc = func(ctx *Ctx, args []row.Value) (row.Value, error)

// binder makes the function for a call's argument and result types.
type binder func(args []row.Type, result row.Type) evalFunc

// setFunc is a set-returning function; columns is "name type, ..." or "" for one column of the function's name.
type setFunc struct {
	columns string
	set     func(ctx *Ctx, args []row.Value) ([]row.Row, error)
	// bind, when not nil, makes set for a call's types.
	bind func(args []row.Type, result row.Type) func(ctx *Ctx, args []row.Value) ([]row.Row, error)
}

// aggregate makes an accumulator for a call's argument and result types.
type aggregate func(args []row.Type, result row.Type) Accumulator

// window marks a window function; the executor computes it from its name.
type window struct{}

// procOIDs maps signatures without their result to pg_proc OIDs of PostgreSQL 15; TestSignatures rewrites it.
//
//go:embed proc_oids.txt
var procOIDs string

// firstOwnOID numbers functions that PostgreSQL does not have, in a range that its own leaves free.
const firstOwnOID row.OID = 9100

var (
	functions []*Func
	byName    = map[string][]*Func{}
)

func init() {
	oids := map[string]row.OID{}
	for line := range strings.Lines(procOIDs) {
		sig, n, ok := strings.Cut(strings.TrimSpace(line), "\t")
		oid, err := strconv.ParseUint(n, 10, 32)
		if !ok || err != nil {
			panic("expr: proc_oids.txt: " + line)
		}
		oids[sig] = row.OID(oid)
	}
	own := firstOwnOID
	for _, family := range families {
		for i := range family {
			f := family[i].parse()
			sig, _, _ := strings.Cut(family[i].sig, ") ")
			if f.OID = oids[sig+")"]; f.OID == 0 {
				f.OID = own
				own++
			}
			byName[f.Name] = append(byName[f.Name], f)
			if family[i].traits&defaulted == 0 {
				functions = append(functions, f)
			}
		}
	}
}

// Functions are all functions, operators' functions among them, in no useful order.
func Functions() []*Func { return slices.Clone(functions) }

// HasFunction reports whether a function of that name exists.
func HasFunction(name string) bool { return len(byName[name]) > 0 }

// Lookup gives the overload of exactly these argument types; nil: there is none.
func Lookup(name string, args ...row.OID) *Func {
	for _, f := range byName[name] {
		if f.Variadic == 0 && slices.Equal(f.Args, args) {
			return f
		}
	}
	return nil
}

// IsOperator reports whether f is an operator, and not a function that is called by name.
func (f *Func) IsOperator() bool { return strings.IndexByte("+-*/<>=~!@#%^&|?", f.Name[0]) >= 0 }

// signatureType reads a type of a signature.
func signatureType(name string) row.OID {
	switch name {
	case "any":
		return AnyOID
	case "anyelement":
		return AnyElement
	case "anyarray":
		return row.AnyArray
	case "anynonarray":
		return AnyNonArray
	case "anycompatible":
		return AnyCompatible
	case "anycompatiblearray":
		return AnyCompatibleArray
	case "record":
		return row.Record
	case "void":
		return row.Void
	case "char":
		return row.Char
	}
	for i := range row.Types {
		if row.Types[i].Name == name {
			return row.Types[i].OID
		}
	}
	if base, ok := strings.CutSuffix(name, "[]"); ok {
		return row.ArrayOf(signatureType(base))
	}
	panic("expr: no type " + name)
}

func (d *def) parse() *Func {
	name, rest, _ := strings.Cut(d.sig, "(")
	args, ret, ok := strings.Cut(rest, ") ")
	if !ok {
		panic("expr: bad signature " + d.sig)
	}
	f := &Func{Name: name, Ret: signatureType(ret), Strict: d.traits&nullable == 0}
	switch {
	case d.traits&volatile != 0:
		f.Volat = Volatile
	case d.traits&stable != 0:
		f.Volat = Stable
	}
	if args != "" {
		for _, a := range strings.Split(args, ",") {
			if a == "-" { // a prefix operator
				continue
			}
			if elem, ok := strings.CutPrefix(a, "variadic "); ok {
				f.Variadic = signatureType(elem)
			} else {
				f.Args = append(f.Args, signatureType(a))
			}
		}
	}
	d.implement(f)
	return f
}

// implement fills in what computes f.
func (d *def) implement(f *Func) {
	switch e := d.eval.(type) {
	case func(a row.Value) (row.Value, error):
		f.eval1 = e
		f.Eval = func(_ *Ctx, args []row.Value) (row.Value, error) { return e(args[0]) }
	case func(a, b row.Value) (row.Value, error):
		f.eval2 = e
		f.Eval = func(_ *Ctx, args []row.Value) (row.Value, error) { return e(args[0], args[1]) }
	case func(args []row.Value) (row.Value, error):
		f.Eval = func(_ *Ctx, args []row.Value) (row.Value, error) { return e(args) }
	case func(ctx *Ctx, args []row.Value) (row.Value, error):
		f.Eval = e
	case binder:
		f.bind = e
		f.Eval = e(declared(f.Args), row.T(f.Ret))
	case func(args []row.Type, result row.Type) func(ctx *Ctx, args []row.Value) (row.Value, error):
		f.bind = e
		f.Eval = e(declared(f.Args), row.T(f.Ret))
	case setFunc:
		f.Kind = SetFunc
		f.Set, f.bindSet = e.set, e.bind
		f.SetColumns = setColumns(f, e.columns)
		if e.bind != nil {
			f.Set = e.bind(declared(f.Args), row.T(f.Ret))
		}
	case aggregate:
		f.Kind = AggregateFunc
		f.bindAggregate = e
		args, ret := declared(f.Args), row.T(f.Ret)
		f.Aggregate = func() Accumulator { return e(args, ret) }
	case window:
		f.Kind = WindowFunc
	default:
		panic(fmt.Sprintf("expr: %s: no implementation in %T", d.sig, d.eval))
	}
}

func declared(oids []row.OID) []row.Type {
	ts := make([]row.Type, len(oids))
	for i, o := range oids {
		ts[i] = row.T(o)
	}
	return ts
}

func setColumns(f *Func, text string) []row.Column {
	if text == "" {
		return []row.Column{{Name: f.Name, Type: row.T(f.Ret)}}
	}
	var cols []row.Column
	for _, c := range strings.Split(text, ", ") {
		name, typ, _ := strings.Cut(c, " ")
		cols = append(cols, row.Column{Name: name, Type: row.T(signatureType(typ))})
	}
	return cols
}

// Bind gives f's Eval for a call's argument types and result: what formats or compares values of any type needs them.
func (f *Func) Bind(args []row.Type, result row.Type) func(ctx *Ctx, args []row.Value) (row.Value, error) {
	if f.bind != nil {
		return f.bind(args, result)
	}
	return f.Eval
}

// BindSet gives f's Set for a call's argument types and result.
func (f *Func) BindSet(args []row.Type, result row.Type) func(ctx *Ctx, args []row.Value) ([]row.Row, error) {
	if f.bindSet != nil {
		return f.bindSet(args, result)
	}
	return f.Set
}

// NewAccumulator makes f's state for a call's argument types and result.
func (f *Func) NewAccumulator(args []row.Type, result row.Type) Accumulator {
	return f.bindAggregate(args, result)
}
