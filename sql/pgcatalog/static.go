package pgcatalog

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// rowsText is what PostgreSQL 15 has in the catalogs that describe built-in objects, cut down to those that exist here.
// A line "# schema.name column ..." opens a relation; its rows follow, tab-separated, \N for NULL. TestStaticRows compares
// and rewrites it.
//
//go:embed rows.txt
var rowsText string

// static is rowsText by relation. Reading it takes milliseconds, and many sessions never need it.
var static = sync.OnceValue(func() map[string][]row.Row {
	out := map[string][]row.Row{}
	var c *scan
	var columns []string
	flush := func() {
		if c != nil {
			out[c.rel.Name] = c.out
		}
	}
	for line := range strings.Lines(rowsText) {
		line = strings.TrimSuffix(line, "\n")
		if head, ok := strings.CutPrefix(line, "# "); ok {
			flush()
			f := strings.Fields(head)
			c, columns = &scan{rel: relationNamed(f[0])}, f[1:]
			continue
		}
		c.addText(columns, strings.Split(line, "\t"))
	}
	flush()
	return out
})

func relationNamed(name string) *relation {
	for _, r := range relations {
		if r.Schema+"."+r.Name == name {
			return r
		}
	}
	panic("pgcatalog: there is no " + name)
}

func (c *scan) addText(columns, values []string) {
	f := fields{}
	for i, name := range columns {
		if values[i] == `\N` {
			f[name] = row.Null
			continue
		}
		t := c.rel.Columns[c.rel.column[name]].Type
		if row.KindOf(t.OID) == row.KindInt {
			t = row.T(row.Int8) // an object's number, not its name
		}
		v, err := row.ParseText(t, values[i])
		if err != nil {
			panic("pgcatalog: rows.txt: " + c.rel.Name + "." + name + ": " + err.Error())
		}
		f[name] = v
	}
	c.add(f)
}

// given emits a relation's static rows.
func given(c *scan) { c.out = slices.Clip(static()[c.rel.Name]) }

// lookup is an index over static rows.
func lookup[K comparable](relation string, key func(r row.Row, column func(string) row.Value) (K, bool), value string) func() map[K]row.OID {
	return sync.OnceValue(func() map[K]row.OID {
		rel, out := relationNamed("pg_catalog."+relation), map[K]row.OID{}
		for _, r := range static()[relation] {
			column := func(name string) row.Value { return r[rel.column[name]] }
			if k, ok := key(r, column); ok {
				out[k] = row.OID(column(value).Int())
			}
		}
		return out
	})
}

// procNamed finds a type's input and output functions and their like, whose names are unique.
var procNamed = lookup("pg_proc", func(_ row.Row, column func(string) row.Value) (string, bool) {
	return column("proname").Str(), true
}, "oid")

// classOfType finds a type's default btree operator class.
var classOfType = lookup("pg_opclass", func(_ row.Row, column func(string) row.Value) (row.OID, bool) {
	return row.OID(column("opcintype").Int()), column("opcdefault").Bool()
}, "oid")

// operatorOfProc finds an operator by its function.
var operatorOfProc = lookup("pg_operator", func(_ row.Row, column func(string) row.Value) (row.OID, bool) {
	return row.OID(column("oprcode").Int()), true
}, "oid")

var descriptions = sync.OnceValue(func() map[[2]int64]row.Value {
	out := map[[2]int64]row.Value{}
	for _, r := range static()["pg_description"] {
		out[[2]int64{r[1].Int(), r[0].Int()}] = r[3]
	}
	return out
})

// builtinDescription is the comment on a type or function.
func builtinDescription(catalog string, oid int64) row.Value {
	classes := map[string]int64{"pg_type": typeOID, "pg_proc": procOID}
	return descriptions()[[2]int64{classes[catalog], oid}]
}

// operatorClass is the one that an index over a type uses.
func operatorClass(t *row.TypeInfo) row.OID {
	switch {
	case t.OID == row.VarChar:
		return classOfType()[row.Text]
	case t.Category == 'A':
		return classOfType()[row.AnyArray]
	}
	return classOfType()[t.OID]
}

// equality is the = operator of a type.
func equality(t row.OID) row.OID {
	if t == row.VarChar {
		t = row.Text
	}
	f := expr.Lookup("=", t, t)
	if f == nil {
		return 0
	}
	return operatorOfProc()[f.OID]
}
