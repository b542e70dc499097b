// Stands in until pgcatalog lands from its branch: delete this file then.

package pgcatalog

import (
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
	"time"
)

type Setting struct{ Name, Value, Category, Description string }
type Activity struct {
	PID                       int32
	User, Application, Remote string
	Started                   time.Time
	State, Query              string
}
type Session interface {
	Snapshot() *catalog.Snapshot
	User() string
	Database() string
	SearchPath() []string
	Settings() []Setting
	Activities() []Activity
	Stats(id delta.RelationID) (rows, bytes int64)
}

func Relations() []*catalog.Relation                           { return nil }
func Rows(s Session, rel *catalog.Relation) ([]row.Row, error) { return nil, nil }
func Describe(s Session, function string, args []row.Value) (v row.Value, ok bool, err error) {
	return
}
