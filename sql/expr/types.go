package expr

import "github.com/miracledb/miracledb/internal/row"

// The pseudo-types of PostgreSQL's polymorphic functions; they stand in Func.Args and Func.Ret only.
const (
	AnyElement         row.OID = 2283
	AnyNonArray        row.OID = 2776
	AnyOID             row.OID = 2276 // "any": takes a value of any type as it is
	AnyCompatible      row.OID = 5077
	AnyCompatibleArray row.OID = 5078
	RegProcedure       row.OID = 2202
	RecordArray        row.OID = 2287
)

// category is pg_type.typcategory; X is the unknown literal.
func category(oid row.OID) byte {
	if t, ok := row.Info(oid); ok {
		return t.Category
	}
	return 'U'
}

func preferred(oid row.OID) bool {
	t, ok := row.Info(oid)
	return ok && t.Preferred
}

// generic reports whether oid is a polymorphic pseudo-type.
func generic(oid row.OID) bool {
	switch oid {
	case AnyElement, row.AnyArray, AnyNonArray, AnyCompatible, AnyCompatibleArray:
		return true
	}
	return false
}

func isString(oid row.OID) bool { return category(oid) == 'S' || oid == row.Unknown }

// typeName is the type's name as PostgreSQL writes it in messages.
func typeName(t row.Type) string {
	return TypeName(t.OID)
}
