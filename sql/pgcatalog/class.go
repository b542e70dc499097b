package pgcatalog

import (
	"slices"
	"strings"
	"unicode"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

func pgClass(c *scan) {
	for _, r := range c.over {
		c.addClass(r)
		for _, x := range indexesOf(r) {
			c.add(fields{"oid": num(x.id), "relname": text(x.name), "relnamespace": num(namespaceOf(c.snapshot, r)),
				"relowner": num(ownerOID), "relam": num(btreeOID), "relfilenode": num(x.id), "relpages": num(1),
				"reltuples": row.NewFloat(float64(c.stored(r).rows)), "relpersistence": char('p'), "relkind": char('i'),
				"relnatts": num(len(x.columns)), "relispopulated": boolean(true), "relreplident": char('n')})
		}
	}
}

func (c *scan) addClass(r *catalog.Relation) {
	f := fields{"oid": num(r.ID), "relname": text(r.Name), "relnamespace": num(namespaceOf(c.snapshot, r)),
		"relowner": num(ownerOID), "relpersistence": char('p'), "relkind": char(relkind(r)),
		"relnatts": num(len(visibleColumns(r))), "relchecks": num(len(r.Checks)), "relhasindex": boolean(len(indexesOf(r)) > 0),
		"relispopulated": boolean(true), "relreplident": char('n'), "reltuples": row.NewFloat(-1)}
	switch relkind(r) {
	case 'v':
		f["relhasrules"] = boolean(r.Kind == catalog.View)
	case 'f':
	default:
		f["relam"], f["relfilenode"] = num(accessMethod(r)), num(r.ID)
		if r.Kind != catalog.System {
			f["relreplident"], f["relhastriggers"] = char('d'), boolean(c.hasTriggers(r))
		}
		f["relhasrules"] = boolean(r.Kind == catalog.MaterializedView)
	}
	if r.Kind != catalog.System {
		if r.Kind != catalog.Raw {
			f["reloptions"] = options(r)
		}
		if r.Kind != catalog.View {
			s := c.stored(r)
			f["reltuples"], f["relpages"] = row.NewFloat(float64(s.rows)), num(s.bytes/8192)
		}
	}
	c.add(f)
}

// accessMethod says how a relation's rows are kept.
func accessMethod(r *catalog.Relation) int {
	if r.Kind == catalog.Stream {
		return columnarOID
	}
	return heapOID
}

type stored struct{ rows, bytes int64 }

func (c *scan) stored(r *catalog.Relation) stored {
	rows, bytes := c.session.Stats(r.ID)
	return stored{rows, bytes}
}

func pgAttribute(c *scan) {
	for _, r := range c.over {
		for i, col := range visibleColumns(r) {
			c.addAttribute(r, int16(i+1), col)
		}
		for _, x := range indexesOf(r) {
			for i, k := range x.columns {
				col := catalog.Column{Name: r.Columns[k].Name, Type: r.Columns[k].Type}
				c.addAttribute(&catalog.Relation{ID: x.id}, int16(i+1), &col)
			}
		}
	}
}

func (c *scan) addAttribute(r *catalog.Relation, attnum int16, col *catalog.Column) {
	info, ok := row.Info(col.Type.OID)
	if !ok {
		info, _ = row.Info(row.Text)
	}
	dims := 0
	if row.IsArray(info.OID) && info.Len == -1 && info.Array == 0 {
		dims = 1
	}
	c.add(fields{"attrelid": num(r.ID), "attname": text(col.Name), "atttypid": num(info.OID), "attstattarget": num(-1),
		"attlen": num(info.Len), "attnum": num(attnum), "attndims": num(dims), "attcacheoff": num(-1),
		"atttypmod": num(col.Type.TypMod()), "attbyval": boolean(info.ByVal), "attalign": char(info.Align),
		"attstorage": char(info.Storage), "attnotnull": boolean(notNull(r, col)), "atthasdef": boolean(col.Default != ""),
		"attislocal": boolean(true), "attcollation": num(info.Collation)})
}

func pgAttrdef(c *scan) {
	for _, r := range c.users() {
		for i, col := range visibleColumns(r) {
			if n := int16(i + 1); col.Default != "" {
				c.add(fields{"oid": num(defaultOID(r, n)), "adrelid": num(r.ID), "adnum": num(n), "adbin": text(col.Default)})
			}
		}
	}
}

func pgNamespace(c *scan) {
	for _, n := range c.snapshot.Namespaces() {
		c.add(fields{"oid": num(n.ID), "nspname": text(n.Name), "nspowner": num(ownerOID)})
	}
}

func pgIndex(c *scan) {
	for _, r := range c.users() {
		for _, x := range indexesOf(r) {
			n := len(x.columns)
			options, collations, classes := make([]int16, n), make([]row.OID, n), make([]row.OID, n)
			for i, k := range x.columns {
				if info, ok := row.Info(r.Columns[k].Type.OID); ok {
					collations[i], classes[i] = info.Collation, operatorClass(info)
				}
			}
			c.add(fields{"indexrelid": num(x.id), "indrelid": num(r.ID), "indnatts": num(n), "indnkeyatts": num(n),
				"indisunique": boolean(x.unique), "indisprimary": boolean(x.primary), "indimmediate": boolean(true),
				"indisvalid": boolean(true), "indisready": boolean(true), "indislive": boolean(true),
				"indkey": numbers(attnums(r, x.columns)), "indcollation": numbers(collations), "indclass": numbers(classes),
				"indoption": numbers(options)})
		}
	}
}

func pgConstraint(c *scan) {
	for _, r := range c.users() {
		base := func(oid row.Value, name string, kind byte) fields {
			return fields{"oid": oid, "conname": text(name), "connamespace": num(namespaceOf(c.snapshot, r)), "contype": char(kind),
				"convalidated": boolean(true), "conrelid": num(r.ID), "conislocal": boolean(true), "connoinherit": boolean(true),
				"confupdtype": text(" "), "confdeltype": text(" "), "confmatchtype": text(" ")}
		}
		for _, x := range indexesOf(r) {
			if !x.constraint {
				continue
			}
			kind := byte('u')
			if x.primary {
				kind = 'p'
			}
			f := base(num(x.constraintID()), x.name, kind)
			f["conindid"], f["conkey"] = num(x.id), numbers(attnums(r, x.columns))
			c.add(f)
		}
		for _, x := range r.Checks {
			f := base(num(x.ID), x.Name, 'c')
			f["conbin"], f["connoinherit"] = text(x.Expr), boolean(false)
			f["conkey"] = numbers(mentioned(r, x.Expr))
			c.add(f)
		}
		for _, x := range r.ForeignKeys {
			t, ok := c.snapshot.ByID(x.Table)
			if !ok {
				continue
			}
			f := base(num(x.ID), x.Name, 'f')
			f["confrelid"], f["conkey"], f["confkey"] = num(t.ID), numbers(attnums(r, x.Columns)), numbers(attnums(t, x.Referred))
			f["confupdtype"], f["confdeltype"], f["confmatchtype"] = text("a"), text("a"), text("s")
			f["conindid"] = num(referredIndex(t, x.Referred))
			f["conpfeqop"] = numbers(equalityOf(t, x.Referred))
			f["conppeqop"], f["conffeqop"] = f["conpfeqop"], f["conpfeqop"]
			c.add(f)
		}
	}
}

// mentioned gives the attnums of the columns that an expression's text names.
func mentioned(r *catalog.Relation, text string) []int16 {
	var out []int16
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(text, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		words[w] = true
	}
	for i, n := range attributes(r) {
		if n != 0 && words[r.Columns[i].Name] {
			out = append(out, n)
		}
	}
	return out
}

// referredIndex is the index that a foreign key relies on.
func referredIndex(t *catalog.Relation, columns []int) delta.RelationID {
	for _, x := range indexesOf(t) {
		if x.unique && slices.Equal(x.columns, columns) {
			return x.id
		}
	}
	return 0
}

func equalityOf(r *catalog.Relation, columns []int) []row.OID {
	out := make([]row.OID, len(columns))
	for i, c := range columns {
		out[i] = equality(r.Columns[c].Type.OID)
	}
	return out
}
