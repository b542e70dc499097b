package duck

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/row"
)

// storedType is the DuckDB type of a stored column (row.ArrowType): what a scan gives. ok is false for what has no values.
func storedType(t row.Type) (sql string, ok bool) {
	switch t.OID {
	case row.Bool:
		return "BOOLEAN", true
	case row.Int2:
		return "SMALLINT", true
	case row.Int4:
		return "INTEGER", true
	case row.Int8, row.Oid, row.XID, row.RegProc, row.RegOper, row.RegClass, row.RegType, row.RegNamespace, row.RegRole:
		return "BIGINT", true
	case row.Float4:
		return "FLOAT", true
	case row.Float8:
		return "DOUBLE", true
	case row.Numeric:
		if p, s, ok := decimalOf(t); ok {
			return decimalType(p, s), true
		}
	case row.Bytea:
		return "BLOB", true
	case row.UUID:
		return "UUID", true
	case row.Date:
		return "DATE", true
	case row.Time:
		return "TIME", true
	case row.Timestamp:
		return "TIMESTAMP", true
	case row.TimestampTZ:
		return "TIMESTAMPTZ", true
	case row.Interval:
		return "INTERVAL", true
	}
	return "VARCHAR", row.KindOf(t.OID) != row.KindNull
}

// maxDigits is the precision of DuckDB's widest DECIMAL.
const maxDigits = 38

// decimalOf is the precision and scale of a numeric that is stored as a DECIMAL.
func decimalOf(t row.Type) (precision, scale int, ok bool) {
	p, s, ok := t.PrecisionScale()
	return int(p), int(s), ok && p <= maxDigits && s >= 0 && s <= p
}

func decimalType(precision, scale int) string { return fmt.Sprintf("DECIMAL(%d,%d)", precision, scale) }
