package duck

import (
	"fmt"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// rule is how a function or operator is said in DuckDB.
type rule struct {
	// text has $1, $2... for the arguments.
	text string
	// write is used when text is not enough; es are the arguments' expressions, nil when there are none.
	write func(t *translator, args []value, es []expr.Expr) value
	// raises: see value.raises.
	raises bool
}

// rules is the allow-list by signature. What is not here goes to the row executor.
var rules = map[string]rule{}

// signature is a function's name and argument types: "=(int4,int4)", "-(int8)".
func signature(f *expr.Func) string {
	var b strings.Builder
	b.WriteString(f.Name)
	b.WriteByte('(')
	first := true
	for _, a := range f.Args {
		if a == 0 { // the missing side of a prefix operator
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		info, ok := row.Info(a)
		if !ok {
			fail("function %s", f.Name)
		}
		b.WriteString(info.Name)
	}
	if f.Variadic != 0 {
		b.WriteString("...")
	}
	b.WriteByte(')')
	return b.String()
}

// apply translates a call.
func (t *translator) apply(f *expr.Func, args []value, typ row.Type, es []expr.Expr) value {
	sig := signature(f)
	r, ok := rules[sig]
	if !ok {
		fail("function %s", sig)
	}
	for _, a := range args {
		if a.opaque {
			fail("%s over %s", sig, a.typ)
		}
	}
	var v value
	if r.write != nil {
		v = r.write(t, args, es)
	} else {
		v.sql = fill(r.text, args)
	}
	v.typ = typ
	v.raises = v.raises || r.raises || raises(args)
	return v
}

// fill puts the arguments into a template.
func fill(text string, args []value) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := 0; i < len(text); i++ {
		if text[i] == '$' && i+1 < len(text) && text[i+1] >= '1' && int(text[i+1]-'1') < len(args) {
			i++
			b.WriteString(args[text[i]-'1'].sql)
			continue
		}
		b.WriteByte(text[i])
	}
	b.WriteByte(')')
	return b.String()
}

func add(text string, sigs ...string) {
	for _, s := range sigs {
		rules[s] = rule{text: text}
	}
}

func addFunc(f func(t *translator, args []value, es []expr.Expr) value, sigs ...string) {
	for _, s := range sigs {
		rules[s] = rule{write: f}
	}
}

func init() {
	addComparisons()
	addIntegers()
	addFloats()
	addNumerics()
	addTexts()
	addTimes()
}

func addComparisons() {
	same := strings.Fields("bool int2 int4 int8 oid float4 float8 numeric text name bytea uuid date time timestamp timestamptz interval")
	mixed := strings.Fields("int2,int4 int2,int8 int4,int2 int4,int8 int8,int2 int8,int4 float4,float8 float8,float4 text,name name,text " +
		"date,timestamp timestamp,date")
	for _, op := range []string{"=", "<>", "<", "<=", ">", ">="} {
		for _, s := range same {
			add("$1 "+op+" $2", op+"("+s+","+s+")")
		}
		for _, s := range mixed {
			add("$1 "+op+" $2", op+"("+s+")")
		}
		add("rtrim($1, ' ') "+op+" rtrim($2, ' ')", op+"(bpchar,bpchar)")
		addFunc(zoned("$1 "+op+" $2"), op+"(date,timestamptz)", op+"(timestamptz,date)", op+"(timestamp,timestamptz)", op+"(timestamptz,timestamp)")
	}
}

const divisionByZero = "error('mdb:22012:division by zero')"

func addIntegers() {
	types := []string{"int2", "int4", "int8"}
	for _, l := range types {
		for _, r := range types {
			pair := "(" + l + "," + r + ")"
			add("$1 + $2", "+"+pair)
			add("$1 - $2", "-"+pair)
			add("$1 * $2", "*"+pair)
			addFunc(division("//"), "/"+pair)
		}
		pair := "(" + l + "," + l + ")"
		addFunc(division("%"), "%"+pair, "mod"+pair)
		add("$1 & $2", "&"+pair)
		add("$1 | $2", "|"+pair)
		add("xor($1, $2)", "#"+pair)
		add("+$1", "+("+l+")")
		add("- $1", "-("+l+")")
		add("~ $1", "~("+l+")")
		add("abs($1)", "abs("+l+")", "@("+l+")")
	}
}

// division checks the divisor, unless it is a constant that is not zero: DuckDB gives NULL for x / 0.
func division(op string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value {
		if len(es) == 2 {
			if v, ok := t.constant(es[1]); ok && !v.IsNull() && v.Int() != 0 && v.Int() != -1 {
				return value{sql: fill("$1 "+op+" $2", args)}
			}
		}
		if op == "%" {
			// The least integer % -1 is 0 in PostgreSQL.
			return value{sql: fill("CASE WHEN $2 = 0 AND $1 IS NOT NULL THEN "+divisionByZero+" WHEN $2 = -1 THEN $1 - $1 ELSE $1 % $2 END", args), raises: true}
		}
		return value{sql: fill("CASE WHEN $2 = 0 AND $1 IS NOT NULL THEN "+divisionByZero+" ELSE $1 // $2 END", args), raises: true}
	}
}

func addFloats() {
	for _, op := range []struct{ sign, name string }{{"+", "mdb_add"}, {"-", "mdb_sub"}, {"*", "mdb_mul"}, {"/", "mdb_div"}} {
		for _, pair := range []string{"(float8,float8)", "(float4,float8)", "(float8,float4)"} {
			rules[op.sign+pair] = rule{text: op.name + "(CAST($1 AS DOUBLE), CAST($2 AS DOUBLE))", raises: op.sign == "/"}
		}
		rules[op.sign+"(float4,float4)"] = rule{text: op.name + "32($1, $2)", raises: op.sign == "/"}
	}
	for _, t := range []string{"float4", "float8"} {
		add("$1", "+("+t+")")
		add("- $1", "-("+t+")")
		add("abs($1)", "abs("+t+")", "@("+t+")")
	}
	add("floor($1)", "floor(float8)")
	add("ceil($1)", "ceil(float8)", "ceiling(float8)")
	add("trunc($1)", "trunc(float8)")
	add("CASE WHEN $1 < 0 THEN error('mdb:2201F:cannot take square root of a negative number') ELSE sqrt($1) END", "sqrt(float8)")
	add("pi()", "pi()")
}

func addNumerics() {
	arithmetic := func(op string, form func(a, b decimal) decimal) func(*translator, []value, []expr.Expr) value {
		return func(_ *translator, args []value, _ []expr.Expr) value {
			return value{sql: fill("$1 "+op+" $2", args), num: form(args[0].num, args[1].num)}
		}
	}
	addFunc(arithmetic("+", decimal.sum), "+(numeric,numeric)")
	addFunc(arithmetic("-", decimal.sum), "-(numeric,numeric)")
	addFunc(arithmetic("*", decimal.product), "*(numeric,numeric)")
	addFunc(func(_ *translator, args []value, _ []expr.Expr) value { return quotient(args[0], args[1]) }, "/(numeric,numeric)")
	keep := func(text string) func(*translator, []value, []expr.Expr) value {
		return func(_ *translator, args []value, _ []expr.Expr) value {
			return value{sql: fill(text, args), num: args[0].num}
		}
	}
	addFunc(keep("- $1"), "-(numeric)")
	addFunc(keep("$1"), "+(numeric)")
	addFunc(keep("abs($1)"), "abs(numeric)", "@(numeric)")
	for name, f := range map[string]string{"floor": "floor", "ceil": "ceil", "ceiling": "ceil", "round": "round", "trunc": "trunc"} {
		addFunc(func(_ *translator, args []value, _ []expr.Expr) value {
			d := fixed(args[0].num.precision-args[0].num.scale+1, 0)
			return value{sql: fmt.Sprintf("CAST(%s(%s) AS %s)", f, args[0].sql, decimalType(d.precision, 0)), num: d}
		}, name+"(numeric)")
	}
	addFunc(roundTo, "round(numeric,int4)")
}

// roundTo needs a constant number of digits: it is the result's scale.
func roundTo(t *translator, args []value, es []expr.Expr) value {
	n, ok := row.Null, false
	if len(es) == 2 {
		n, ok = t.constant(es[1])
	}
	if !ok || n.IsNull() || n.Int() < 0 || n.Int() > maxDigits {
		fail("round to a computed number of digits")
	}
	d := args[0].num
	r := fixed(d.precision-d.scale+1+int(n.Int()), int(n.Int()))
	return value{sql: fmt.Sprintf("CAST(%s AS %s)", args[0].sql, decimalType(r.precision, r.scale)), num: r}
}
