package row

// OID is a PostgreSQL type OID.
type OID uint32

// The types that a column, parameter or expression may have, with PostgreSQL's own OIDs (pg_type.dat).
const (
	Bool         OID = 16
	Bytea        OID = 17
	Char         OID = 18 // "char", one byte; catalogs only
	Name         OID = 19
	Int8         OID = 20
	Int2         OID = 21
	Int2Vector   OID = 22
	Int4         OID = 23
	RegProc      OID = 24
	Text         OID = 25
	Oid          OID = 26
	XID          OID = 28
	OidVector    OID = 30
	JSON         OID = 114
	PgNodeTree   OID = 194
	Float4       OID = 700
	Float8       OID = 701
	Unknown      OID = 705 // an untyped string literal
	BPChar       OID = 1042
	VarChar      OID = 1043
	Date         OID = 1082
	Time         OID = 1083
	Timestamp    OID = 1114
	TimestampTZ  OID = 1184
	Interval     OID = 1186
	TimeTZ       OID = 1266
	Numeric      OID = 1700
	RegOper      OID = 2203
	RegClass     OID = 2205
	RegType      OID = 2206
	RegNamespace OID = 4089
	RegRole      OID = 4096
	UUID         OID = 2950
	JSONB        OID = 3802
	JSONPath     OID = 4072
	Record       OID = 2249
	AnyArray     OID = 2277
	Void         OID = 2278
	AclItem      OID = 1033
)

// Type is a PostgreSQL type with its modifier. The zero modifier means none.
type Type struct {
	OID OID
	// Mod is PostgreSQL's typmod plus one, so that 0 means none: numeric(p,s), varchar(n), timestamp(p).
	Mod int32
}

// TypMod is the modifier as PostgreSQL puts it on the wire; -1: none.
func (t Type) TypMod() int32 { return t.Mod - 1 }

// WithTypMod gives t with PostgreSQL's typmod m (-1: none).
func (t Type) WithTypMod(m int32) Type { return Type{t.OID, m + 1} }

// T is the type of oid without a modifier.
func T(oid OID) Type { return Type{OID: oid} }

// Column is one column of a schema.
type Column struct {
	Name    string
	Type    Type
	NotNull bool
	// Before is the text form of what rows have that are older than the column; nil: NULL.
	Before *string
}

// Schema is the shape of a relation's rows.
type Schema struct {
	Columns []Column
	// Key holds the indexes of the primary key's columns in key order; empty: no key.
	Key []int
}

// Index gives the index of the named column, -1 when there is none.
func (s *Schema) Index(name string) int {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return i
		}
	}
	return -1
}
