package pgcatalog

import "github.com/miracledb/miracledb/internal/row"

// Describe answers a catalog function by its name. ok is false when there is no such object, or when the function is none
// of the catalog's.
func Describe(s Session, function string, args []row.Value) (v row.Value, ok bool, err error) {
	f, known := functions[function]
	if !known {
		return row.Null, false, nil
	}
	return f(&describer{session: s, snapshot: s.Snapshot()}, args)
}
