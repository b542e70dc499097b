package expr

import (
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
