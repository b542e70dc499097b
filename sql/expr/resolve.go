package expr

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// Resolve chooses the overload of a function for arguments of these types, by PostgreSQL's rules (chapter 10.3).
// castTo are the types that the arguments must be cast to (implicitly), result is the call's type. variadicArray is set
// for f(VARIADIC array).
//
// A nil f without an error means that the name is a type's and the call is a cast of its one argument to result:
// date('2020-01-01'). Errors: 42883 when nothing fits, 42725 when several do, 42804 when polymorphic types disagree.
func Resolve(name string, args []row.Type, variadicArray bool) (f *Func, castTo []row.Type, result row.Type, err error) {
	matches := candidates(byName[name], args, variadicArray)
	for _, c := range matches {
		if c.exact(args) {
			return c.finish(args)
		}
	}
	if len(args) == 1 && !variadicArray {
		if t, ok := castByName(name, args[0]); ok {
			return nil, []row.Type{t}, t, nil
		}
	}
	c, err := choose(matches, args)
	if err != nil {
		return nil, nil, row.Type{}, err
	}
	if c == nil {
		return nil, nil, row.Type{}, errs.SQL("42883", "function %s does not exist", callText(name, args)).WithHint(
			"No function matches the given name and argument types. You might need to add explicit type casts.")
	}
	return c.finish(args)
}

// ResolveOperator chooses the function of an operator (chapter 10.2). A prefix operator has the zero Type as left;
// castTo then has one entry.
func ResolveOperator(op string, left, right row.Type) (f *Func, castTo []row.Type, result row.Type, err error) {
	if op == "!=" {
		op = "<>"
	}
	args := []row.Type{left, right}
	if left.OID == 0 {
		args = args[1:]
	}
	matches := candidates(byName[op], args, false)
	assumed := args
	if len(args) == 2 && (left.OID == row.Unknown) != (right.OID == row.Unknown) {
		// An unknown literal is tried first as the other side's type.
		known := left
		if known.OID == row.Unknown {
			known = right
		}
		assumed = []row.Type{row.T(known.OID), row.T(known.OID)}
	}
	for _, c := range matches {
		if c.exact(assumed) {
			return c.finish(args)
		}
	}
	c, err := choose(matches, args)
	if err != nil {
		if e, ok := err.(*errs.Error); ok && e.State == "42725" {
			return nil, nil, row.Type{}, errs.SQL("42725", "operator is not unique: %s", operatorText(op, left, right)).WithHint(
				"Could not choose a best candidate operator. You might need to add explicit type casts.")
		}
		return nil, nil, row.Type{}, err
	}
	if c == nil {
		return nil, nil, row.Type{}, errs.SQL("42883", "operator does not exist: %s", operatorText(op, left, right)).WithHint(
			"No operator matches the given name and argument types. You might need to add explicit type casts.")
	}
	return c.finish(args)
}

// Equality is the "=" that compares values of these types for grouping, DISTINCT, IN and joins; 42883 when a type has
// none (json).
func Equality(left, right row.Type) (f *Func, castTo []row.Type, err error) {
	f, castTo, _, err = ResolveOperator("=", left, right)
	return f, castTo, err
}

// Hashable reports whether equal arguments of f, an "=", hash equally (row.HashTyped), so that joins may hash by it.
func (f *Func) Hashable() bool {
	if f.Name != "=" || len(f.Args) != 2 {
		return false
	}
	a, b := f.Args[0], f.Args[1]
	return a == b || row.KindOf(a) == row.KindOf(b) && a != row.Timestamp && a != row.TimestampTZ && a != row.BPChar
}

func callText(name string, args []row.Type) string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = typeName(a)
	}
	return name + "(" + strings.Join(names, ", ") + ")"
}

func operatorText(op string, left, right row.Type) string {
	if left.OID == 0 {
		return op + " " + typeName(right)
	}
	return typeName(left) + " " + op + " " + typeName(right)
}

// castByName decides whether name(arg) is a cast: only what needs no computation or an unknown literal, as in
// PostgreSQL; int4(1.5) is a function and so is found by CanCast, since our casts are not functions.
func castByName(name string, arg row.Type) (row.Type, bool) {
	for i := range row.Types {
		t := &row.Types[i]
		if t.Name != name || !row.Supported(t.OID) || t.Category == 'A' || t.Kind != 'b' {
			continue
		}
		if arg.OID == row.Unknown || CanCast(arg.OID, t.OID, Explicit) {
			return row.T(t.OID), true
		}
	}
	return row.Type{}, false
}

// candidate is an overload with its argument types spread to the number of the call's arguments.
type candidate struct {
	f    *Func
	args []row.OID
}

func candidates(overloads []*Func, args []row.Type, variadicArray bool) []candidate {
	var out []candidate
	for _, f := range overloads {
		switch {
		case f.Variadic == 0:
			if len(f.Args) == len(args) && !variadicArray {
				out = append(out, candidate{f, f.Args})
			}
		case variadicArray:
			if len(args) == len(f.Args)+1 {
				last := row.ArrayOf(f.Variadic)
				if f.Variadic == AnyOID {
					last = row.AnyArray
				}
				out = append(out, candidate{f, append(f.Args[:len(f.Args):len(f.Args)], last)})
			}
		case len(args) > len(f.Args):
			types := f.Args[:len(f.Args):len(f.Args)]
			for len(types) < len(args) {
				types = append(types, f.Variadic)
			}
			out = append(out, candidate{f, types})
		}
	}
	return out
}

func (c *candidate) exact(args []row.Type) bool {
	for i, a := range args {
		if c.args[i] != a.OID {
			return false
		}
	}
	return true
}

// castable reports whether each argument for itself may be given to c.
func (c *candidate) castable(args []row.Type) bool {
	for i, a := range args {
		if !CanCast(a.OID, c.args[i], Implicit) {
			return false
		}
	}
	return true
}

func (c *candidate) accepts(args []row.Type) bool {
	if !c.castable(args) {
		return false
	}
	_, _, err := c.unify(args)
	return err == nil
}

// choose is PostgreSQL's func_match_argtypes and func_select_candidate.
func choose(all []candidate, args []row.Type) (*candidate, error) {
	var fit []candidate
	for _, c := range all {
		if c.accepts(args) {
			fit = append(fit, c)
		}
	}
	if len(fit) <= 1 {
		if len(fit) == 1 {
			return &fit[0], nil
		}
		if len(all) == 1 && all[0].castable(args) { // say what is wrong with the only one's polymorphic types
			if _, _, err := all[0].unify(args); err != nil && strings.HasPrefix(err.Error(), "could not determine") {
				return nil, err
			}
		}
		return nil, nil
	}
	fit = keepBest(fit, func(c candidate) int {
		n := 0
		for i, a := range args {
			if a.OID != row.Unknown && c.args[i] == a.OID {
				n++
			}
		}
		return n
	})
	if len(fit) > 1 {
		fit = keepBest(fit, func(c candidate) int {
			n := 0
			for i, a := range args {
				if a.OID != row.Unknown && (c.args[i] == a.OID || preferred(c.args[i]) && category(c.args[i]) == category(a.OID)) {
					n++
				}
			}
			return n
		})
	}
	if len(fit) > 1 && someUnknown(args) {
		fit = byUnknowns(fit, args)
	}
	if len(fit) == 1 {
		return &fit[0], nil
	}
	return nil, errs.SQL("42725", "function %s is not unique", callText(fit[0].f.Name, args)).WithHint(
		"Could not choose a best candidate function. You might need to add explicit type casts.")
}

func someUnknown(args []row.Type) bool {
	for _, a := range args {
		if a.OID == row.Unknown {
			return true
		}
	}
	return false
}

func keepBest(list []candidate, score func(candidate) int) []candidate {
	best, kept := -1, []candidate(nil)
	for _, c := range list {
		switch n := score(c); {
		case n > best:
			best, kept = n, []candidate{c}
		case n == best:
			kept = append(kept, c)
		}
	}
	return kept
}

// byUnknowns uses the unknown literals: the category that each position suggests, then the type of the known ones.
func byUnknowns(fit []candidate, args []row.Type) []candidate {
	kept := fit
	resolved := true
	for i, a := range args {
		if a.OID != row.Unknown {
			continue
		}
		slot, hasPreferred, ok := slotCategory(fit, i)
		if !ok {
			resolved = false
			break
		}
		var next []candidate
		for _, c := range kept {
			if category(c.args[i]) == slot && (!hasPreferred || preferred(c.args[i])) {
				next = append(next, c)
			}
		}
		kept = next
	}
	if resolved && len(kept) > 0 {
		fit = kept
	}
	if len(fit) == 1 {
		return fit
	}
	var known row.OID
	for _, a := range args {
		if a.OID == row.Unknown {
			continue
		}
		if known != 0 && known != a.OID {
			return fit
		}
		known = a.OID
	}
	if known == 0 {
		return fit
	}
	same := make([]row.Type, len(args))
	for i := range same {
		same[i] = row.T(known)
	}
	var only []candidate
	for _, c := range fit {
		if c.accepts(same) {
			only = append(only, c)
		}
	}
	if len(only) == 1 {
		return only
	}
	return fit
}

// slotCategory is the category that the candidates want at position i: string if any does, else the one that all share.
func slotCategory(fit []candidate, i int) (cat byte, hasPreferred, ok bool) {
	ok = true
	for _, c := range fit {
		k := category(c.args[i])
		switch {
		case k == 'S' && cat != 'S':
			cat, hasPreferred = 'S', preferred(c.args[i])
		case cat == 'S' && k != 'S':
		case cat == 0:
			cat, hasPreferred = k, preferred(c.args[i])
		case cat == k:
			hasPreferred = hasPreferred || preferred(c.args[i])
		default:
			ok = false
		}
	}
	return cat, hasPreferred, ok || cat == 'S'
}

// finish gives the result of choosing c.
func (c *candidate) finish(args []row.Type) (*Func, []row.Type, row.Type, error) {
	castTo, result, err := c.unify(args)
	if err != nil {
		return nil, nil, row.Type{}, err
	}
	return c.f, castTo, result, nil
}

// unify resolves the polymorphic types of a call (PostgreSQL 38.2.5).
func (c *candidate) unify(args []row.Type) (castTo []row.Type, result row.Type, err error) {
	var elem row.OID // of anyelement, anyarray, anynonarray
	var array row.Type
	var compatible []row.Type
	for i, a := range args {
		switch want := c.args[i]; want {
		case AnyElement, AnyNonArray:
			if a.OID == row.Unknown {
				continue
			}
			if want == AnyNonArray && row.IsArray(a.OID) {
				return nil, row.Type{}, mismatch(args)
			}
			if elem != 0 && elem != a.OID {
				return nil, row.Type{}, mismatch(args)
			}
			elem = a.OID
		case row.AnyArray:
			if a.OID == row.Unknown {
				continue
			}
			e := row.ElementOf(a.OID)
			if a.OID == row.AnyArray { // a catalog column of type anyarray
				e = row.Text
			}
			if e == 0 || elem != 0 && elem != e {
				return nil, row.Type{}, mismatch(args)
			}
			elem, array = e, a
		case AnyCompatible:
			compatible = append(compatible, a)
		case AnyCompatibleArray:
			if a.OID == row.Unknown {
				compatible = append(compatible, a)
				continue
			}
			e := row.ElementOf(a.OID)
			if e == 0 {
				return nil, row.Type{}, mismatch(args)
			}
			compatible = append(compatible, row.T(e))
		}
	}
	var common row.Type
	if len(compatible) > 0 {
		if common, err = CommonType(compatible, "arguments of anycompatible family"); err != nil {
			return nil, row.Type{}, err
		}
		common.Mod = 0
	}
	castTo = make([]row.Type, len(args))
	for i, a := range args {
		if castTo[i], err = actual(c.args[i], a, elem, array, common); err != nil {
			return nil, row.Type{}, err
		}
	}
	if result, err = actual(c.f.Ret, row.Type{}, elem, array, common); err == nil && result.OID == 0 {
		err = errs.SQL("42704", "could not find array type for data type %s", typeName(common))
	}
	return castTo, result, err
}

// actual is the type that a declared type stands for in a call.
func actual(declared row.OID, arg row.Type, elem row.OID, array, common row.Type) (row.Type, error) {
	undetermined := func() (row.Type, error) {
		return row.Type{}, errs.SQL("42804", "could not determine polymorphic type because input has type unknown")
	}
	switch declared {
	case AnyOID:
		return arg, nil
	case AnyElement, AnyNonArray:
		if elem == 0 {
			return undetermined()
		}
		if arg.OID == elem {
			return arg, nil
		}
		return row.T(elem), nil
	case row.AnyArray:
		if elem == 0 {
			return undetermined()
		}
		if arg.OID != 0 && arg.OID != row.Unknown {
			return arg, nil
		}
		if array.OID != 0 {
			return row.T(array.OID), nil
		}
		return row.T(row.ArrayOf(elem)), nil
	case AnyCompatible:
		return common, nil
	case AnyCompatibleArray:
		return row.T(row.ArrayOf(common.OID)), nil
	}
	if arg.OID == declared {
		return arg, nil
	}
	return row.T(declared), nil
}

func mismatch(args []row.Type) error {
	return errs.SQL("42804", "arguments of a polymorphic function are not all alike: %s", callText("", args))
}
