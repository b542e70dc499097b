package pgcatalog

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// describer answers one call.
type describer struct {
	session  Session
	snapshot *catalog.Snapshot
}

var functions = map[string]func(d *describer, args []row.Value) (row.Value, bool, error){}
