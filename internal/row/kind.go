package row

import "math"

// maxArrayDims is PostgreSQL's MAXDIM.
const maxArrayDims = 6

// KindOf says how values of oid are held; KindNull for what has no values (void, pseudo types).
func KindOf(oid OID) Kind {
	switch oid {
	case Bool:
		return KindBool
	case Int2, Int4, Int8, Oid, XID, RegProc, RegOper, RegClass, RegType, RegNamespace, RegRole:
		return KindInt
	case Float4, Float8:
		return KindFloat
	case Numeric:
		return KindNumeric
	case Text, VarChar, BPChar, Name, Char, JSON, JSONB, JSONPath, Unknown, PgNodeTree, AclItem:
		return KindText
	case Bytea:
		return KindBytes
	case Date:
		return KindDate
	case Time:
		return KindTime
	case TimeTZ:
		return KindTimeTZ
	case Timestamp, TimestampTZ:
		return KindTimestamp
	case Interval:
		return KindInterval
	case UUID:
		return KindUUID
	case Record:
		return KindRecord
	case AnyArray:
		return KindList
	}
	if IsArray(oid) {
		return KindList
	}
	return KindNull
}

// IntegerRange bounds the values of an integer type; oid and its aliases are unsigned.
func IntegerRange(oid OID) (least, most int64) {
	switch oid {
	case Int2:
		return math.MinInt16, math.MaxInt16
	case Int4:
		return math.MinInt32, math.MaxInt32
	case Int8:
		return math.MinInt64, math.MaxInt64
	}
	return 0, math.MaxUint32
}
