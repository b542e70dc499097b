package row

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// pgTypes is pg_type of PostgreSQL 15: one type a line, in the order of TypeInfo's fields.
//
//go:embed pg_type.txt
var pgTypes string

// TypeInfo is one row of pg_type. "-" names no function.
type TypeInfo struct {
	OID       OID
	Name      string // typname
	Len       int16  // typlen; -1: variable, -2: C string
	ByVal     bool
	Kind      byte // typtype: b, p, r, m
	Category  byte // typcategory
	Preferred bool
	Delim     byte
	Elem      OID // typelem
	Array     OID // typarray
	Input     string
	Output    string
	Receive   string
	Send      string
	ModIn     string
	ModOut    string
	Align     byte
	Storage   byte
	Collation OID
}

// Types is PostgreSQL's catalog of built-in types in OID order, the ones that no column may have here among them: clients
// ask pg_type for all of them by OID.
var Types = parseTypes(pgTypes)

var typeByOID, typeByTypname = indexTypes(Types)

func parseTypes(text string) []TypeInfo {
	var types []TypeInfo
	for line := range strings.Lines(text) {
		var t TypeInfo
		f := strings.Fields(line)
		if len(f) != 19 {
			panic("row: pg_type.txt: " + line)
		}
		num := func(s string) int64 {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				panic("row: pg_type.txt: " + line)
			}
			return n
		}
		t.OID, t.Name, t.Len, t.ByVal = OID(num(f[0])), f[1], int16(num(f[2])), f[3] == "t"
		t.Kind, t.Category, t.Preferred, t.Delim = f[4][0], f[5][0], f[6] == "t", f[7][0]
		t.Elem, t.Array = OID(num(f[8])), OID(num(f[9]))
		t.Input, t.Output, t.Receive, t.Send, t.ModIn, t.ModOut = f[10], f[11], f[12], f[13], f[14], f[15]
		t.Align, t.Storage, t.Collation = f[16][0], f[17][0], OID(num(f[18]))
		types = append(types, t)
	}
	return types
}

func indexTypes(types []TypeInfo) (map[OID]*TypeInfo, map[string]*TypeInfo) {
	byOID := make(map[OID]*TypeInfo, len(types))
	byName := make(map[string]*TypeInfo, len(types))
	for i := range types {
		byOID[types[i].OID] = &types[i]
		byName[types[i].Name] = &types[i]
	}
	return byOID, byName
}

// Info gives the pg_type row of oid.
func Info(oid OID) (*TypeInfo, bool) {
	t, ok := typeByOID[oid]
	return t, ok
}

// ArrayOf gives the array type of an element type; 0: it has none.
func ArrayOf(elem OID) OID {
	if t, ok := typeByOID[elem]; ok {
		return t.Array
	}
	return 0
}

// ElementOf gives the element type of an array or vector type; 0: it is neither.
func ElementOf(oid OID) OID {
	if t, ok := typeByOID[oid]; ok && t.Category == 'A' {
		return t.Elem
	}
	return 0
}

// IsArray reports whether oid is an array or vector type.
func IsArray(oid OID) bool { return ElementOf(oid) != 0 }

// Element is the type of t's elements, with t's modifier; the zero Type when t is no array.
func (t Type) Element() Type {
	if e := ElementOf(t.OID); e != 0 {
		return Type{e, t.Mod}
	}
	return Type{}
}

// Array is the array type of t, with t's modifier; the zero Type when there is none.
func (t Type) Array() Type {
	if a := ArrayOf(t.OID); a != 0 {
		return Type{a, t.Mod}
	}
	return Type{}
}

// typeAliases are the names that PostgreSQL's grammar gives to types, beside typname.
var typeAliases = map[string]OID{
	"boolean": Bool, "smallint": Int2, "integer": Int4, "int": Int4, "bigint": Int8,
	"real": Float4, "float": Float8, "double precision": Float8, "decimal": Numeric, "dec": Numeric,
	"character varying": VarChar, "char varying": VarChar, "national character varying": VarChar, "nchar varying": VarChar,
	"character": BPChar, "char": BPChar, "nchar": BPChar, "national character": BPChar, "national char": BPChar,
	"string": Text, "time without time zone": Time, "time with time zone": TimeTZ,
	"timestamp without time zone": Timestamp, "timestamp with time zone": TimestampTZ,
	"\"char\"": Char,
}

// supportedTypes are the scalar types that a column, parameter or expression may have.
var supportedTypes = func() map[OID]bool {
	m := map[OID]bool{}
	for _, oid := range []OID{Bool, Bytea, Char, Name, Int8, Int2, Int2Vector, Int4, RegProc, Text, Oid, XID, OidVector, JSON,
		PgNodeTree, Float4, Float8, Unknown, BPChar, VarChar, Date, Time, Timestamp, TimestampTZ, Interval, TimeTZ, Numeric,
		RegOper, RegClass, RegType, RegNamespace, RegRole, UUID, JSONB, JSONPath, Record, AnyArray, Void, AclItem} {
		m[oid] = true
	}
	return m
}()

// Supported reports whether values of oid can be held: a scalar of type.go, or an array of one.
func Supported(oid OID) bool {
	if supportedTypes[oid] {
		return true
	}
	return supportedTypes[ElementOf(oid)]
}

// TypeByName finds a supported type by any name that PostgreSQL knows for it: typname ("int4", "_int4"), the SQL names
// ("integer", "character varying", "timestamp with time zone"), a modifier ("numeric(10,2)", "timestamp(3) with time
// zone", "interval day to second(3)") and array brackets ("text[]", "int4 array"). The name is folded to lower case.
// "char" is character(1)'s name; the one-byte catalog type is "\"char\"".
func TypeByName(name string) (Type, bool) {
	name = strings.Join(strings.Fields(strings.ToLower(name)), " ")
	name = strings.TrimPrefix(name, "pg_catalog.")
	array := false
	for strings.HasSuffix(name, "]") {
		open := strings.LastIndexByte(name, '[')
		if open < 0 {
			return Type{}, false
		}
		name, array = strings.TrimSpace(name[:open]), true
	}
	if rest, ok := strings.CutSuffix(name, " array"); ok {
		name, array = rest, true
	}
	t, ok := scalarByName(name)
	if !ok || !Supported(t.OID) {
		return Type{}, false
	}
	if array {
		t = t.Array()
	}
	return t, t.OID != 0
}

func scalarByName(name string) (Type, bool) {
	if rest, ok := strings.CutPrefix(name, "interval "); ok {
		return intervalByName(rest)
	}
	var mods []int32
	if open := strings.IndexByte(name, '('); open >= 0 {
		end := strings.IndexByte(name, ')')
		if end < open {
			return Type{}, false
		}
		for _, f := range strings.Split(name[open+1:end], ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(f), 10, 32)
			if err != nil {
				return Type{}, false
			}
			mods = append(mods, int32(n))
		}
		name = strings.TrimSpace(strings.TrimSpace(name[:open]) + " " + strings.TrimSpace(name[end+1:]))
	}
	oid, ok := typeAliases[name]
	if !ok {
		info, found := typeByTypname[name]
		if !found {
			return Type{}, false
		}
		oid = info.OID
	}
	if name == "char" || name == "character" || name == "nchar" {
		if mods == nil {
			mods = []int32{1}
		}
	}
	if name == "float" && len(mods) == 1 {
		if mods[0] <= 24 {
			oid = Float4
		}
		return T(oid), mods[0] >= 1 && mods[0] <= 53
	}
	t, err := WithModifiers(oid, mods)
	return t, err == nil
}

// String is the type's name as format_type gives it: "numeric(10,2)", "character varying(5)", "timestamp with time zone",
// "integer[]".
func (t Type) String() string {
	if e := t.Element(); e.OID != 0 && t.OID != Int2Vector && t.OID != OidVector {
		return e.String() + "[]"
	}
	switch t.OID {
	case 0:
		return "-"
	case Bool:
		return "boolean"
	case Int2:
		return "smallint"
	case Int4:
		return "integer"
	case Int8:
		return "bigint"
	case Float4:
		return "real"
	case Float8:
		return "double precision"
	case Char:
		return `"char"`
	case BPChar:
		if n, ok := t.Length(); ok {
			return fmt.Sprintf("character(%d)", n)
		}
		if t.Mod == 0 {
			return "bpchar"
		}
		return "character"
	case VarChar:
		if n, ok := t.Length(); ok {
			return fmt.Sprintf("character varying(%d)", n)
		}
		return "character varying"
	case Numeric:
		if p, s, ok := t.PrecisionScale(); ok {
			return fmt.Sprintf("numeric(%d,%d)", p, s)
		}
		return "numeric"
	case Time, TimeTZ, Timestamp, TimestampTZ:
		return t.timeString()
	case Interval:
		return intervalTypeString(t)
	}
	if info, ok := typeByOID[t.OID]; ok {
		return info.Name
	}
	return "???"
}

func (t Type) timeString() string {
	name, zone := "timestamp", " without time zone"
	if t.OID == Time || t.OID == TimeTZ {
		name = "time"
	}
	if t.OID == TimeTZ || t.OID == TimestampTZ {
		zone = " with time zone"
	}
	if t.Mod != 0 {
		return fmt.Sprintf("%s(%d)%s", name, t.TypMod(), zone)
	}
	return name + zone
}
