package plan

import (
	"strconv"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// rangeVar makes a RangeVar of a dotted name.
func rangeVar(names []string) *pg.RangeVar {
	rv := &pg.RangeVar{Relname: names[len(names)-1], Location: -1}
	if len(names) > 1 {
		rv.Schemaname = names[len(names)-2]
	}
	if len(names) > 2 {
		rv.Catalogname = names[len(names)-3]
	}
	return rv
}

// lookup finds a relation along the search path, nil for none.
func (a *analyzer) lookup(schema, name string) *catalog.Relation {
	for _, s := range a.schemas(schema) {
		if r, ok := a.o.Catalog.Lookup(s, name); ok {
			return r
		}
	}
	return nil
}

// schemas are those where a name is looked for: pg_catalog stands first unless the path names it.
func (a *analyzer) schemas(schema string) []string {
	if schema != "" {
		return []string{schema}
	}
	for _, s := range a.o.SearchPath {
		if s == "pg_catalog" {
			return a.o.SearchPath
		}
	}
	return append([]string{"pg_catalog"}, a.o.SearchPath...)
}

// findIndex finds an index by name along the search path.
func (a *analyzer) findIndex(schema, name string) (ref IndexRef, ok bool) {
	for _, s := range a.schemas(schema) {
		for _, r := range a.o.Catalog.Relations() {
			if r.Schema != s {
				continue
			}
			if r.KeyName == name && !hiddenKey(r) {
				return IndexRef{Table: r, Index: catalog.Index{ID: r.KeyID, Name: r.KeyName, Columns: r.Key, Unique: true, Constraint: true}}, true
			}
			for _, x := range r.Indexes {
				if x.Name == name {
					return IndexRef{r, x}, true
				}
			}
		}
	}
	return IndexRef{}, false
}

// creation gives the schema that a new object goes to.
//
// Errors: 3F000 when there is none, 42501 for the system's.
func (a *analyzer) creation(rv *pg.RangeVar) (string, error) {
	if rv.Relpersistence == "t" {
		return "", errs.SQL("0A000", "temporary tables are not supported").At(a.pos(rv.Location))
	}
	if rv.Relpersistence == "u" {
		return "", errs.SQL("0A000", "unlogged tables are not supported").At(a.pos(rv.Location)).
			WithDetail("Every relation is kept in the log.")
	}
	if rv.Schemaname != "" {
		if _, ok := a.o.Catalog.Namespace(rv.Schemaname); !ok {
			return "", errs.SQL("3F000", "schema %q does not exist", rv.Schemaname).At(a.pos(rv.Location))
		}
		return rv.Schemaname, a.userSchema(rv.Schemaname, rv.Relname)
	}
	for _, s := range a.o.SearchPath {
		if _, ok := a.o.Catalog.Namespace(s); ok {
			return s, a.userSchema(s, rv.Relname)
		}
	}
	return "", errs.SQL("3F000", "no schema has been selected to create in").At(a.pos(rv.Location))
}

func (a *analyzer) userSchema(schema, name string) error {
	if schema == "pg_catalog" || schema == "information_schema" {
		return errs.SQL("42501", "permission denied to create \"%s.%s\"", schema, name).
			WithDetail("System catalog modifications are currently disallowed.")
	}
	return nil
}

// nameBytes is the length of PostgreSQL's names (NAMEDATALEN - 1).
const nameBytes = 63

// objectName joins names and a label as PostgreSQL's makeObjectName does, cutting the longer one until it fits.
func objectName(name1, name2, label string) string {
	over := 0
	if name2 != "" {
		over++
	}
	if label != "" {
		over += len(label) + 1
	}
	n1, n2 := len(name1), len(name2)
	for n1+n2 > nameBytes-over {
		if n1 > n2 {
			n1--
		} else {
			n2--
		}
	}
	parts := []string{clip(name1, n1)}
	if name2 != "" {
		parts = append(parts, clip(name2, n2))
	}
	if label != "" {
		parts = append(parts, label)
	}
	return strings.Join(parts, "_")
}

// clip cuts s to at most n bytes, between characters.
func clip(s string, n int) string {
	if n >= len(s) {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// chooseName makes a name that is not taken: the label gets a number when it is.
func chooseName(name1, name2, label string, taken func(string) bool) string {
	for i := 0; ; i++ {
		l := label
		if i > 0 {
			l += strconv.Itoa(i)
		}
		if n := objectName(name1, name2, l); !taken(n) {
			return n
		}
	}
}

// indexAddition joins column names as in an index's name (ChooseIndexNameAddition).
func indexAddition(columns []string) string {
	b := ""
	for i, c := range columns {
		if i > 0 {
			b += "_"
		}
		b += c
		if len(b) >= nameBytes+1 {
			break
		}
	}
	return clip(b, 2*(nameBytes+1)-1)
}

// relationTaken reports whether a schema has a relation or index of the name.
func (a *analyzer) relationTaken(schema, name string) bool {
	if _, ok := a.o.Catalog.Lookup(schema, name); ok {
		return true
	}
	_, ok := a.findIndex(schema, name)
	return ok
}

// constraintTaken reports whether a relation of the schema has a constraint of the name.
func (a *analyzer) constraintTaken(schema, name string) bool {
	for _, r := range a.o.Catalog.Relations() {
		if r.Schema == schema && constraintOf(r, name) {
			return true
		}
	}
	return false
}

func constraintOf(r *catalog.Relation, name string) bool {
	if r.KeyName == name && !hiddenKey(r) && r.Keyed() {
		return true
	}
	for _, x := range r.Indexes {
		if x.Constraint && x.Name == name {
			return true
		}
	}
	for _, c := range r.Checks {
		if c.Name == name {
			return true
		}
	}
	for _, f := range r.ForeignKeys {
		if f.Name == name {
			return true
		}
	}
	return false
}

// objectWord is an object type as a command tag names it; "" for those that there are none of.
func objectWord(t pg.ObjectType) string {
	switch t {
	case pg.ObjectType_OBJECT_TABLE:
		return "TABLE"
	case pg.ObjectType_OBJECT_VIEW:
		return "VIEW"
	case pg.ObjectType_OBJECT_MATVIEW:
		return "MATERIALIZED VIEW"
	case pg.ObjectType_OBJECT_INDEX:
		return "INDEX"
	case pg.ObjectType_OBJECT_SCHEMA:
		return "SCHEMA"
	}
	return ""
}

// relationWord is what an error calls a relation of a kind: "table", "view"; streams and the rest are tables to SQL.
func relationWord(k catalog.Kind) string {
	switch k {
	case catalog.View, catalog.MaterializedView:
		return string(k)
	}
	return "table"
}
