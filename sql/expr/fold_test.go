package expr

import (
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/row"
)

func call(t *testing.T, name string, args ...Expr) Expr {
	t.Helper()
	f, castTo, ret, err := ResolveOperator(name, args[0].Type(), args[1].Type())
	if err != nil {
		t.Fatal(err)
	}
	for i := range args {
		if args[i].Type().OID != castTo[i].OID {
			args[i] = &Cast{Arg: args[i], To: castTo[i]}
		}
	}
	return &Call{Func: f, Args: args, Typ: ret}
}

// What is much larger than its text is left to be computed row by row: a plan is kept, and its constants are copied.
func TestFoldIsBounded(t *testing.T) {
	number := func(n int64) Expr { return &Const{row.NewInt(n), row.T(row.Int4)} }
	function := func(name string, args ...Expr) Expr {
		f, castTo, ret, err := Resolve(name, argTypes(args), false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range args {
			if args[i].Type().OID != castTo[i].OID {
				args[i] = &Cast{Arg: args[i], To: castTo[i]}
			}
		}
		return &Call{Func: f, Args: args, Typ: ret}
	}
	a := &Const{row.NewText("a"), row.T(row.Text)}
	long := &Const{row.NewText(strings.Repeat("a", maxFolded)), row.T(row.Text)}
	for what, c := range map[string]struct {
		e      Expr
		folded bool
	}{
		"repeat, short":          {function("repeat", a, number(1000)), true},
		"repeat, long":           {function("repeat", a, number(1_000_000_000)), false},
		"repeat twice":           {function("repeat", function("repeat", a, number(60_000)), number(15_000)), false},
		"lpad, long":             {function("lpad", a, number(200_000_000)), false},
		"concatenation, long":    {call(t, "||", long, long), false},
		"length of a long text":  {function("length", function("repeat", a, number(1_000_000_000))), false},
		"length of a short text": {function("length", function("repeat", a, number(1000))), true},
		"a large number":         {call(t, "+", number(1_000_000_000), number(1_000_000_000)), true},
	} {
		if _, ok := Fold(c.e).(*Const); ok != c.folded {
			t.Errorf("%s: folded %t, want %t", what, ok, c.folded)
		}
	}
}

func TestFold(t *testing.T) {
	two, zero := &Const{row.NewInt(2), row.T(row.Int4)}, &Const{row.NewInt(0), row.T(row.Int4)}
	x := &Column{Index: 0, Typ: row.T(row.Int4)}
	unknown := func(s string) Expr { return &Const{row.NewText(s), row.T(row.Unknown)} }

	if c, ok := Fold(call(t, "+", two, two)).(*Const); !ok || c.Value.Int() != 4 {
		t.Errorf("2 + 2 was not folded to 4: %v", c)
	}
	if _, ok := Fold(call(t, "/", two, zero)).(*Call); !ok {
		t.Error("2 / 0 must raise its error at run time")
	}
	if c, ok := Fold(call(t, "=", x, unknown("7"))).(*Call); !ok {
		t.Error("x = '7' is no constant")
	} else if k, ok := c.Args[1].(*Const); !ok || k.Value.Int() != 7 {
		t.Errorf("'7' was not folded to an integer: %v", c.Args[1])
	}
	if _, ok := Fold(&Cast{Arg: unknown("2020-01-01 00:00"), To: row.T(row.TimestampTZ)}).(*Cast); !ok {
		t.Error("a timestamptz literal depends on the session's time zone")
	}
	and := &And{Args: []Expr{&Const{row.NewBool(true), boolean}, call(t, "=", x, two)}}
	if _, ok := Fold(and).(*Call); !ok {
		t.Error("true AND c is c")
	}
	if c, ok := Fold(&And{Args: []Expr{&Const{row.NewBool(false), boolean}, call(t, "=", x, two)}}).(*Const); !ok || c.Value.Bool() {
		t.Error("false AND c is false")
	}
}
