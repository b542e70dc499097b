package pgcatalog

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func pgType(c *scan) {
	procs := procNamed()
	proc := func(name string) row.Value { return num(procs[name]) }
	for i := range row.Types {
		t := &row.Types[i]
		f := fields{"oid": num(t.OID), "typname": text(t.Name), "typnamespace": num(catalogOID), "typowner": num(ownerOID),
			"typlen": num(t.Len), "typbyval": boolean(t.ByVal), "typtype": char(t.Kind), "typcategory": char(t.Category),
			"typispreferred": boolean(t.Preferred), "typisdefined": boolean(true), "typdelim": char(t.Delim), "typelem": num(t.Elem),
			"typarray": num(t.Array), "typinput": proc(t.Input), "typoutput": proc(t.Output), "typreceive": proc(t.Receive),
			"typsend": proc(t.Send), "typmodin": proc(t.ModIn), "typmodout": proc(t.ModOut), "typalign": char(t.Align),
			"typstorage": char(t.Storage), "typtypmod": num(-1), "typcollation": num(t.Collation)}
		switch {
		case t.Category == 'A' && t.Len == -1 && t.Array == 0:
			f["typsubscript"], f["typanalyze"] = proc("array_subscript_handler"), proc("array_typanalyze")
		case t.OID == row.JSONB:
			f["typsubscript"] = proc("jsonb_subscript_handler")
		case t.Elem != 0:
			f["typsubscript"] = proc("raw_array_subscript_handler")
		}
		c.add(f)
	}
}

// pgProc lists PostgreSQL's functions that we have, those that types and operators refer to, and our own.
func pgProc(c *scan) {
	given(c)
	listed := map[int64]bool{}
	for _, r := range c.out {
		listed[r[0].Int()] = true
	}
	for _, f := range expr.Functions() {
		if !listed[int64(f.OID)] && !f.IsOperator() {
			c.addProc(f)
		}
	}
}

func (c *scan) addProc(f *expr.Func) {
	args := append([]row.OID(nil), f.Args...)
	if f.Variadic != 0 {
		variadic := row.ArrayOf(f.Variadic)
		if variadic == 0 {
			variadic = row.AnyArray
		}
		args = append(args, variadic)
	}
	kind := map[expr.FuncKind]byte{expr.AggregateFunc: 'a', expr.WindowFunc: 'w'}[f.Kind]
	if kind == 0 {
		kind = 'f'
	}
	p := fields{"oid": num(f.OID), "proname": text(f.Name), "pronamespace": num(catalogOID), "proowner": num(ownerOID), "prolang": num(12),
		"procost": row.NewFloat(1), "provariadic": num(f.Variadic), "prokind": char(kind), "proisstrict": boolean(f.Strict),
		"proretset": boolean(f.Kind == expr.SetFunc), "provolatile": char("isv"[f.Volat]), "proparallel": char('s'),
		"pronargs": num(len(args)), "prorettype": num(f.Ret), "proargtypes": numbers(args), "prosrc": text(f.Name)}
	if f.Kind == expr.SetFunc {
		p["prorows"] = row.NewFloat(1000)
	}
	c.add(p)
}

func pgAggregate(c *scan) {
	for _, f := range expr.Functions() {
		if f.Kind == expr.AggregateFunc {
			c.add(fields{"aggfnoid": num(f.OID), "aggkind": char('n'), "aggtranstype": num(f.Ret), "aggfinalmodify": char('r'),
				"aggmfinalmodify": char('r')})
		}
	}
}
