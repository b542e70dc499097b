package pgcatalog

import (
	"maps"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// Describe answers a catalog function by its name. ok is false when there is no such object, or when the function is none
// of the catalog's (sequences, advisory locks, sleeping are the session's).
func Describe(s Session, function string, args []row.Value) (v row.Value, ok bool, err error) {
	f, known := functions[function]
	if !known {
		return row.Null, false, nil
	}
	v, err = f(&describer{session: s, snapshot: s.Snapshot()}, args)
	return v, err == nil && !v.IsNull(), err
}

// describer answers one call; NULL means that there is no such object.
type describer struct {
	session  Session
	snapshot *catalog.Snapshot
}

type function = func(d *describer, args []row.Value) (row.Value, error)

// functions by PostgreSQL's name. Those that end in "in" and "out" read and write the reg* types.
var functions = func() map[string]function {
	all := map[string]function{}
	for _, m := range []map[string]function{definitionFunctions, nameFunctions, visibleFunctions, sizeFunctions, procFunctions} {
		maps.Copy(all, m)
	}
	return all
}()

// relation finds a relation that is not an index; nil: there is none.
func (d *describer) relation(v row.Value) *catalog.Relation {
	r, _ := d.snapshot.ByID(id(v))
	return r
}

// index finds an index by its OID.
func (d *describer) index(oid delta.RelationID) (index, bool) {
	x, ok := objectsOf(d.snapshot).indexes[oid]
	return x, ok
}

// visible reports whether a relation is found by its bare name: its schema is in the search path, and no relation of
// that name stands in an earlier one.
func (d *describer) visible(schema, name string) bool {
	for _, s := range d.path() {
		if s == schema {
			return true
		}
		if _, ok := d.named(s, name); ok {
			return false
		}
	}
	return false
}

// path is the search path with pg_catalog, which is searched first unless it is named.
func (d *describer) path() []string {
	path := d.session.SearchPath()
	for _, s := range path {
		if s == "pg_catalog" {
			return path
		}
	}
	return append([]string{"pg_catalog"}, path...)
}

// named finds a relation or an index.
func (d *describer) named(schema, name string) (delta.RelationID, bool) {
	if r, ok := d.snapshot.Lookup(schema, name); ok {
		return r.ID, true
	}
	oid, ok := objectsOf(d.snapshot).indexNamed[[2]string{schema, name}]
	return oid, ok
}

// name is a relation's name as it can be typed: qualified when its bare name finds nothing or another.
func (d *describer) name(schema, name string) string {
	if d.visible(schema, name) {
		return quote(name)
	}
	return quote(schema) + "." + quote(name)
}
