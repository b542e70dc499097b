package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// typeName resolves a type's name with its modifiers and array bounds (42704).
func (a *analyzer) typeName(t *pg.TypeName) (row.Type, error) {
	if path := names(t.Names); len(path) > 1 {
		if err := a.schemaExists(path[0]); err != nil {
			return row.Type{}, a.at(t.Location, err)
		}
	}
	typ, err := typeOf(t)
	if err != nil {
		return typ, a.at(t.Location, err)
	}
	return typ, nil
}

// schemaExists: 3F000 for a schema that the catalog does not know.
func (a *analyzer) schemaExists(name string) error {
	if a.o.Catalog == nil {
		return nil
	}
	if _, ok := a.o.Catalog.Namespace(name); !ok {
		return errs.SQL("3F000", "schema \"%s\" does not exist", name)
	}
	return nil
}

func typeOf(t *pg.TypeName) (row.Type, error) {
	path := names(t.Names)
	name := path[len(path)-1]
	oid, ok := baseType(path)
	switch {
	case t.PctType:
		return row.Type{}, errs.SQL("0A000", "%%TYPE is not supported")
	case t.Setof:
		return row.Type{}, errs.SQL("42601", "type name cannot be SETOF here")
	case !ok:
		return row.Type{}, errs.SQL("42704", "type \"%s\" does not exist", strings.Join(path, "."))
	case !row.Supported(oid):
		return row.Type{}, errs.SQL("0A000", "type \"%s\" is not supported", name)
	}
	mods, err := typeModifiers(t.Typmods)
	if err != nil {
		return row.Type{}, err
	}
	typ, err := withModifiers(oid, mods)
	if err != nil || len(t.ArrayBounds) == 0 {
		return typ, err
	}
	if typ = typ.Array(); typ.OID == 0 {
		return typ, errs.SQL("42704", "type \"%s[]\" does not exist", name)
	}
	return typ, nil
}

// baseType finds a type by its possibly qualified name. "char" in quotes is the one-byte type; what the grammar makes of
// the word char is bpchar.
func baseType(path []string) (row.OID, bool) {
	name := path[len(path)-1]
	if len(path) > 2 || len(path) == 2 && path[0] != "pg_catalog" {
		return 0, false
	}
	if name == "char" {
		return row.Char, true
	}
	for i := range row.Types {
		if row.Types[i].Name == name {
			return row.Types[i].OID, true
		}
	}
	if len(path) == 1 && name == "string" {
		return row.Text, true
	}
	return 0, false
}

func typeModifiers(list []*pg.Node) ([]int32, error) {
	mods := make([]int32, len(list))
	for i, n := range list {
		c := n.GetAConst()
		if c == nil {
			return nil, errs.SQL("42601", "type modifiers must be simple constants or identifiers")
		}
		v, ok := c.Val.(*pg.A_Const_Ival)
		if !ok {
			return nil, errs.SQL("22P02", "type modifiers must be integers")
		}
		mods[i] = v.Ival.GetIval()
	}
	return mods, nil
}

// anyPrecision in an interval's modifier says that it has a range of fields only.
const anyPrecision = 0xffff

func withModifiers(oid row.OID, mods []int32) (row.Type, error) {
	if oid != row.Interval || len(mods) == 0 {
		return row.WithModifiers(oid, mods)
	}
	precision := int32(anyPrecision)
	if len(mods) > 1 {
		if precision = mods[1]; precision < 0 {
			return row.Type{}, errs.SQL("22023", "INTERVAL(%d) precision must not be negative", precision)
		}
		precision = min(precision, 6)
	}
	return row.T(oid).WithTypMod(mods[0]<<16 | precision), nil
}
