package expr

import (
	"strings"

	"github.com/miracledb/miracledb/internal/row"
)

// relation is one of the six comparison operators, as a test of a three-way comparison.
type relation struct {
	op string
	ok func(c int) bool
}

var relations = []relation{
	{"=", func(c int) bool { return c == 0 }},
	{"<>", func(c int) bool { return c != 0 }},
	{"<", func(c int) bool { return c < 0 }},
	{"<=", func(c int) bool { return c <= 0 }},
	{">", func(c int) bool { return c > 0 }},
	{">=", func(c int) bool { return c >= 0 }},
}

// wordComparisons compare the kinds that are one int64: the most frequent operators, so each is its own function.
var wordComparisons = map[string]func(a, b row.Value) (row.Value, error){
	"=":  func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Int() == b.Int()), nil },
	"<>": func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Int() != b.Int()), nil },
	"<":  func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Int() < b.Int()), nil },
	"<=": func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Int() <= b.Int()), nil },
	">":  func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Int() > b.Int()), nil },
	">=": func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Int() >= b.Int()), nil },
}

// textComparisons compare by bytes (collation C).
var textComparisons = map[string]func(a, b row.Value) (row.Value, error){
	"=":  func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Str() == b.Str()), nil },
	"<>": func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Str() != b.Str()), nil },
	"<":  func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Str() < b.Str()), nil },
	"<=": func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Str() <= b.Str()), nil },
	">":  func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Str() > b.Str()), nil },
	">=": func(a, b row.Value) (row.Value, error) { return row.NewBool(a.Str() >= b.Str()), nil },
}

// comparison holds the comparison operators of every type.
var comparison = comparisonDefs()

func comparisonDefs() []def {
	var defs []def
	words := strings.Fields("int2,int2 int2,int4 int2,int8 int4,int2 int4,int4 int4,int8 int8,int2 int8,int4 int8,int8 " +
		"bool,bool oid,oid date,date time,time timestamp,timestamp timestamptz,timestamptz")
	for _, r := range relations {
		for _, pair := range words {
			defs = append(defs, def{r.op + "(" + pair + ") bool", 0, wordComparisons[r.op]})
		}
		for _, pair := range strings.Fields("text,text name,name name,text text,name bytea,bytea uuid,uuid char,char") {
			defs = append(defs, def{r.op + "(" + pair + ") bool", 0, textComparisons[r.op]})
		}
		for _, pair := range strings.Fields("float4,float4 float4,float8 float8,float4 float8,float8") {
			defs = append(defs, def{r.op + "(" + pair + ") bool", 0, func(a, b row.Value) (row.Value, error) {
				return row.NewBool(r.ok(row.CompareFloat(a.Float(), b.Float()))), nil
			}})
		}
		for _, pair := range strings.Fields("numeric,numeric interval,interval timetz,timetz") {
			defs = append(defs, def{r.op + "(" + pair + ") bool", 0, func(a, b row.Value) (row.Value, error) {
				return row.NewBool(r.ok(row.Compare(a, b))), nil
			}})
		}
		for _, t := range strings.Fields("bpchar jsonb oidvector") {
			typ := row.T(signatureType(t))
			defs = append(defs, def{r.op + "(" + t + "," + t + ") bool", 0, func(a, b row.Value) (row.Value, error) {
				return row.NewBool(r.ok(row.CompareTyped(typ, a, b))), nil
			}})
		}
		defs = append(defs, mixedTimeDefs(r)...)
		defs = append(defs, def{r.op + "(anyarray,anyarray) bool", 0, compareBinder(r)}, def{r.op + "(record,record) bool", 0, recordBinder(r)})
	}
	for _, pair := range []string{"xid,xid", "xid,int4"} {
		defs = append(defs, def{"=(" + pair + ") bool", 0, wordComparisons["="]}, def{"<>(" + pair + ") bool", 0, wordComparisons["<>"]})
	}
	return defs
}

// mixedTimeDefs compare dates, timestamps and timestamps with time zone with each other.
func mixedTimeDefs(r relation) []def {
	plain := func(a, b row.Value) (row.Value, error) {
		return row.NewBool(r.ok(row.Compare(dateAsTimestamp(a), dateAsTimestamp(b)))), nil
	}
	zoned := func(leftZoned bool) func(ctx *Ctx, args []row.Value) (row.Value, error) {
		return func(ctx *Ctx, args []row.Value) (row.Value, error) {
			a, b := args[0], args[1]
			var err error
			if leftZoned {
				b, err = localToZoned(ctx, dateAsTimestamp(b))
			} else {
				a, err = localToZoned(ctx, dateAsTimestamp(a))
			}
			if err != nil {
				return row.Null, err
			}
			return row.NewBool(r.ok(row.Compare(a, b))), nil
		}
	}
	return []def{
		{r.op + "(date,timestamp) bool", 0, plain},
		{r.op + "(timestamp,date) bool", 0, plain},
		{r.op + "(date,timestamptz) bool", stable, zoned(false)},
		{r.op + "(timestamp,timestamptz) bool", stable, zoned(false)},
		{r.op + "(timestamptz,date) bool", stable, zoned(true)},
		{r.op + "(timestamptz,timestamp) bool", stable, zoned(true)},
	}
}

func compareBinder(r relation) binder {
	return func(args []row.Type, _ row.Type) evalFunc {
		t := args[0]
		return func(_ *Ctx, args []row.Value) (row.Value, error) {
			return row.NewBool(r.ok(row.CompareTyped(t, args[0], args[1]))), nil
		}
	}
}

// recordBinder compares row by row: = and <> are three-valued (a NULL field makes the result unknown unless another
// field decides), the order operators too, up to the first field that differs.
func recordBinder(r relation) binder {
	return func([]row.Type, row.Type) evalFunc {
		return func(_ *Ctx, args []row.Value) (row.Value, error) {
			a, b := args[0].List(), args[1].List()
			if len(a) != len(b) {
				return row.Null, sqlError("42601", "unequal number of entries in row expressions")
			}
			unknown := false
			for i := range a {
				if a[i].IsNull() || b[i].IsNull() {
					if r.op != "=" && r.op != "<>" {
						return row.Null, nil
					}
					unknown = true
					continue
				}
				if c := row.Compare(a[i], b[i]); c != 0 {
					return row.NewBool(r.ok(c)), nil
				}
			}
			if unknown {
				return row.Null, nil
			}
			return row.NewBool(r.ok(0)), nil
		}
	}
}
