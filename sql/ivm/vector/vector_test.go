package vector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// The test's columns.
var columns = []row.Column{
	{Name: "i2", Type: row.T(row.Int2)}, {Name: "i4", Type: row.T(row.Int4)}, {Name: "i8", Type: row.T(row.Int8)},
	{Name: "f4", Type: row.T(row.Float4)}, {Name: "f8", Type: row.T(row.Float8)}, {Name: "t", Type: row.T(row.Text)},
	{Name: "b", Type: row.T(row.Bool)}, {Name: "ts", Type: row.T(row.Timestamp)}, {Name: "d", Type: row.T(row.Date)},
	{Name: "n", Type: row.NumericType(10, 2)}, {Name: "iv", Type: row.T(row.Interval)}, {Name: "tz", Type: row.T(row.TimestampTZ)},
}

func col(name string) *expr.Column {
	for i, c := range columns {
		if c.Name == name {
			return &expr.Column{Index: i, Typ: c.Type, Name: name}
		}
	}
	panic(name)
}

func call(name string, args ...expr.Expr) expr.Expr {
	oids := make([]row.OID, len(args))
	for i, a := range args {
		oids[i] = a.Type().OID
	}
	f := expr.Lookup(name, oids...)
	if f == nil {
		panic(fmt.Sprint("no ", name, oids))
	}
	return &expr.Call{Func: f, Args: args, Typ: row.T(f.Ret)}
}

func num(n int64) *expr.Const  { return &expr.Const{Value: row.NewInt(n), Typ: row.T(row.Int4)} }
func str(s string) *expr.Const { return &expr.Const{Value: row.NewText(s), Typ: row.T(row.Text)} }
func cast(e expr.Expr, to row.OID) expr.Expr {
	return &expr.Cast{Arg: e, To: row.T(to), Context: expr.Explicit}
}
func interval(days int32, us int64) *expr.Const {
	return &expr.Const{Value: row.NewInterval(0, days, us), Typ: row.T(row.Interval)}
}

func expressions() []expr.Expr {
	var es []expr.Expr
	for _, op := range []string{"=", "<>", "<", "<=", ">", ">="} {
		for _, pair := range [][2]string{{"i2", "i4"}, {"i4", "i8"}, {"i8", "i8"}, {"f4", "f8"}, {"f8", "f8"}, {"t", "t"}, {"b", "b"},
			{"ts", "ts"}, {"d", "d"}, {"n", "n"}, {"tz", "tz"}, {"iv", "iv"}} {
			es = append(es, call(op, col(pair[0]), col(pair[1])))
		}
		es = append(es, call(op, col("t"), str("b")), call(op, num(3), col("i4")))
	}
	for _, op := range []string{"+", "-", "*", "/"} {
		for _, pair := range [][2]string{{"i2", "i2"}, {"i2", "i4"}, {"i4", "i4"}, {"i8", "i4"}, {"i8", "i8"}, {"f4", "f4"}, {"f4", "f8"}, {"f8", "f8"}} {
			es = append(es, call(op, col(pair[0]), col(pair[1])))
		}
		es = append(es, call(op, col("i4"), num(3)), call(op, col("i4"), num(0)), call(op, col("n"), col("n")))
	}
	es = append(es, call("%", col("i4"), num(3)), call("%", col("i4"), col("i4")))
	positive, small := call(">", col("i4"), num(0)), call("<", col("i4"), num(5))
	null := &expr.Const{Typ: row.T(row.Bool)}
	guarded := call("=", call("/", num(10), col("i4")), num(2))
	es = append(es, &expr.And{Args: []expr.Expr{positive, col("b"), small}}, &expr.Or{Args: []expr.Expr{positive, col("b"), null}},
		&expr.And{Args: []expr.Expr{call("<>", col("i4"), num(0)), guarded}}, &expr.Or{Args: []expr.Expr{call("=", col("i4"), num(0)), guarded}},
		&expr.Not{Arg: col("b")}, &expr.IsNull{Arg: col("t")}, &expr.IsNull{Arg: col("n"), Negated: true},
		&expr.Case{Whens: []expr.When{{Cond: call("=", col("i4"), num(0)), Then: num(-1)}, {Cond: col("b"), Then: call("/", num(7), col("i4"))}}, Typ: row.T(row.Int4)},
		&expr.Case{Whens: []expr.When{{Cond: col("b"), Then: col("t")}}, Else: str("none"), Typ: row.T(row.Text)},
		&expr.Coalesce{Args: []expr.Expr{col("i4"), cast(col("i2"), row.Int4), num(9)}, Typ: row.T(row.Int4)},
		&expr.Coalesce{Args: []expr.Expr{col("t"), col("t")}, Typ: row.T(row.Text)}, cast(col("i8"), row.Int4), cast(col("i4"), row.Int2),
		cast(col("i4"), row.Int8), cast(col("i8"), row.Float8), cast(col("f4"), row.Float8), cast(col("i4"), row.Text), cast(col("n"), row.Float8), cast(col("ts"), row.Date),
		call("upper", col("t")), call("||", col("t"), str("!")), call("length", col("t")),
		&expr.BoolTest{Arg: col("b"), Value: row.NewBool(true), Negated: true},
		&expr.AnyAll{Op: expr.Lookup("=", row.Text, row.Text), Left: col("t"), Array: &expr.Array{Elems: []expr.Expr{str("a"), str("c")}, Typ: row.T(row.ArrayOf(row.Text))}},
		&expr.AnyAll{Op: expr.Lookup("=", row.Int4, row.Int4), Left: col("i4"), Array: &expr.Array{Elems: []expr.Expr{num(1), num(4)}, Typ: row.T(row.ArrayOf(row.Int4))}},
		call("time_bucket", interval(0, 15*60*1e6), col("ts")), call("time_bucket", interval(7, 0), col("ts")), call("time_bucket", interval(0, -5), col("ts")),
	)
	for _, f := range []string{"second", "minute", "hour", "day", "week", "month", "year"} {
		es = append(es, call("date_trunc", str(f), col("ts")), call("date_trunc", str(f), col("tz")))
	}
	return es
}

// randomValue is often an edge of the type.
func randomValue(rng *rand.Rand, t row.Type) row.Value {
	pick := func(ns ...int64) int64 { return ns[rng.IntN(len(ns))] }
	if rng.IntN(6) == 0 {
		return row.Null
	}
	small := rng.Int64N(9) - 2
	switch t.OID {
	case row.Int2:
		return row.NewInt(pick(small, small, math.MaxInt16, math.MinInt16))
	case row.Int4:
		return row.NewInt(pick(small, small, small, math.MaxInt32, math.MinInt32))
	case row.Int8:
		return row.NewInt(pick(small, small, math.MaxInt64, math.MinInt64, math.MaxInt32+1))
	case row.Float4:
		return row.NewFloat(float64([]float32{float32(small), 1.5, float32(math.Inf(1)), float32(math.NaN()), 1e38, 1e-38, 0}[rng.IntN(7)]))
	case row.Float8:
		return row.NewFloat([]float64{float64(small), 1.5, math.Inf(-1), math.NaN(), 1e308, 1e-308, math.Copysign(0, -1)}[rng.IntN(7)])
	case row.Text:
		return row.NewText([]string{"", "a", "b", "c", "ä", "aa"}[rng.IntN(6)])
	case row.Bool:
		return row.NewBool(rng.IntN(2) == 0)
	case row.Timestamp, row.TimestampTZ:
		return row.NewTimestamp(pick(rng.Int64N(2e15)-1e15, rng.Int64N(1e9), math.MaxInt64, math.MinInt64, leastTimestamp, leastTimestamp+5, 9223371331199999999))
	case row.Date:
		return row.NewDate(pick(small, 11000, math.MaxInt32, math.MinInt32))
	case row.Interval:
		return row.NewInterval(int32(small), int32(rng.IntN(40)), rng.Int64N(1e11))
	}
	return row.NewNumeric(rng.Int64N(2000)-500, 2)
}

func randomRecord(rng *rand.Rand, n int) (arrow.Record, []row.Row) {
	s := &row.Schema{Columns: columns}
	b := row.NewBuilder(nil, s)
	var rows []row.Row
	for range n {
		r := make(row.Row, len(columns))
		for i, c := range columns {
			r[i] = randomValue(rng, c.Type)
		}
		rows = append(rows, r)
		b.AppendRow(r)
	}
	return b.NewRecord(), rows
}

// TestColumnsEqualRows: a record's evaluation gives each row's value, and fails exactly when one of its rows does.
func TestColumnsEqualRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	types := make([]row.Type, len(columns))
	for i, c := range columns {
		types[i] = c.Type
	}
	for _, e := range expressions() {
		p, err := Compile([]expr.Expr{e}, []string{"x"}, types)
		if err != nil {
			t.Fatalf("%v: %v", e, err)
		}
		slow, err := expr.Compile(e)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 60 {
			rec, rows := randomRecord(rng, 1+round%3*20)
			want := make([]row.Value, len(rows))
			var wantErr error
			for i, r := range rows {
				v, err := slow(&expr.Ctx{}, r)
				if err != nil && wantErr == nil {
					wantErr = err
				}
				want[i] = v
			}
			got, err := p.Eval(rec)
			if (err != nil) != (wantErr != nil) {
				t.Fatalf("%s: error %v, want %v", describe(e), err, wantErr)
			}
			if err != nil {
				if err.Error() != wantErr.Error() {
					t.Fatalf("%s: error %v, want %v", describe(e), err, wantErr)
				}
				continue
			}
			for i := range rows {
				if v := row.FromArrow(got.Column(0), i, e.Type()); v.Text(e.Type()) != want[i].Text(e.Type()) || v.IsNull() != want[i].IsNull() {
					t.Fatalf("%s of %v: %s, want %s", describe(e), rows[i], v.Text(e.Type()), want[i].Text(e.Type()))
				}
			}
		}
	}
}

func describe(e expr.Expr) string {
	if c, ok := e.(*expr.Call); ok {
		return fmt.Sprintf("%s(%v)", c.Func.Name, c.Func.Args)
	}
	return fmt.Sprintf("%T", e)
}
