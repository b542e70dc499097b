package expr

import "github.com/miracledb/miracledb/internal/row"

// maxFolded bounds the constants that folding makes, in bytes: plans are kept, and a constant is copied into the text that the
// analytical engine gets, for each of the rows of its vectors.
const maxFolded = 64 << 10

// Fold replaces what can be computed at plan time by constants: immutable functions and casts of constants. What would
// raise an error is left, to raise it when (and if) it is executed, and what is large is. The input is not changed.
func Fold(e Expr) Expr {
	if e == nil {
		return nil
	}
	folded := MapChildren(e, Fold)
	switch f := folded.(type) {
	case *Call:
		if f.Func.Kind != ScalarFunc || f.Func.Volat != Immutable || !constants(f.Args) || multiplies(f) {
			return folded
		}
	case *Cast:
		if _, ok := f.Arg.(*Const); !ok || !foldableCast(f) {
			return folded
		}
	case *And:
		return foldLogic(f.Args, false, func(list []Expr) Expr { return &And{Args: list} })
	case *Or:
		return foldLogic(f.Args, true, func(list []Expr) Expr { return &Or{Args: list} })
	case *Not:
		if !constants([]Expr{f.Arg}) {
			return folded
		}
	case *Array:
		if !constants(f.Elems) {
			return folded
		}
	case *IsNull:
		if !constants([]Expr{f.Arg}) {
			return folded
		}
	default:
		return folded
	}
	eval, err := Compile(folded)
	if err != nil {
		return folded
	}
	v, err := eval(&Ctx{}, nil)
	if err != nil || (row.Row{v}).Bytes() > maxFolded {
		return folded
	}
	return &Const{Value: v, Typ: folded.Type()}
}

// multiplies reports whether a call of constants may make a text that is as many times as large as they are as one of them says
// (repeat, lpad), and so too large to be tried.
func multiplies(c *Call) bool {
	if !builds(c.Typ) {
		return false
	}
	size, times := int64(1), int64(1)
	for _, a := range c.Args {
		switch v := a.(*Const).Value; v.Kind() {
		case row.KindInt:
			times = max(times, v.Int())
		case row.KindText, row.KindBytes:
			size += int64(len(v.Str()))
		}
	}
	return times > maxFolded || size*times > maxFolded
}

// foldableCast reports whether a cast of a constant depends on nothing but the constant: not on the time zone, the
// transaction's time or the catalog.
func foldableCast(c *Cast) bool {
	for _, t := range []row.OID{c.To.OID, row.ElementOf(c.To.OID), c.Arg.Type().OID, row.ElementOf(c.Arg.Type().OID)} {
		switch t {
		case row.TimestampTZ, row.TimeTZ, row.Timestamp, row.Date, row.Time:
			return !isString(c.Arg.Type().OID) && c.Arg.Type().OID != row.TimestampTZ && c.To.OID != row.TimestampTZ && c.To.OID != row.TimeTZ
		case row.Oid, row.XID:
		default:
			if isOIDLike(t) {
				return false
			}
		}
	}
	return true
}

func constants(list []Expr) bool {
	for _, e := range list {
		if _, ok := e.(*Const); !ok {
			return false
		}
	}
	return true
}

// foldLogic drops the constants of AND (decisive false) and OR (decisive true) that change nothing.
func foldLogic(list []Expr, decisive bool, make func([]Expr) Expr) Expr {
	kept := []Expr{}
	for _, e := range list {
		c, ok := e.(*Const)
		if !ok || c.Value.IsNull() {
			kept = append(kept, e)
			continue
		}
		if c.Value.Bool() == decisive {
			if len(kept) == 0 { // what stands before may raise an error
				return c
			}
			kept = append(kept, e)
			break
		}
	}
	switch len(kept) {
	case 0:
		return &Const{Value: row.NewBool(!decisive), Typ: boolean}
	case 1:
		return kept[0]
	}
	return make(kept)
}
