package session

import (
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/pgcatalog"
	"github.com/miracledb/miracledb/views/catalog"
)

// environment is the session as functions (expr.Env) and the system catalogs (pgcatalog.Session) see it.
type environment struct{ s *Session }

func (e *environment) Database() string                   { return DatabaseName }
func (e *environment) User() string                       { return e.s.user }
func (e *environment) BackendPID() int32                  { return e.s.pid }
func (e *environment) SearchPath() []string               { return e.s.settings.searchPath() }
func (e *environment) Setting(name string) (string, bool) { return e.s.settings.get(name) }
func (e *environment) Snapshot() *catalog.Snapshot        { return e.s.snapshot() }

func (e *environment) SetSetting(name, value string, local bool) error {
	return e.s.settings.set(name, value, local, false)
}

// ObjectName is the text of a value of a reg* type.
func (s *Session) ObjectName(t row.OID, n int64) string { return expr.RegName(s.expression(nil), t, n) }

// ObjectID reads the text of a value of a reg* type.
func (s *Session) ObjectID(t row.OID, name string) (int64, error) {
	return expr.RegValue(s.expression(nil), t, name)
}

// Describe answers catalog functions.
func (e *environment) Describe(function string, args []row.Value) (row.Value, bool, error) {
	if v, ok, err := e.s.call(function, args); ok || err != nil {
		return v, ok, err
	}
	return pgcatalog.Describe(e, function, args)
}

// Settings are the rows of pg_settings.
func (e *environment) Settings() []pgcatalog.Setting {
	list := make([]pgcatalog.Setting, 0, len(settingList))
	for _, d := range settingList {
		v, _ := e.s.settings.get(d.name)
		list = append(list, pgcatalog.Setting{Name: d.name, Value: v, Default: d.value, Fixed: d.fixed})
	}
	return list
}

// Activities are the rows of pg_stat_activity.
func (e *environment) Activities() []pgcatalog.Activity { return e.s.db.Activities() }

// Stats are a relation's rows and bytes, about.
func (e *environment) Stats(id delta.RelationID) (rows, bytes int64) {
	rel, ok := e.s.snapshot().ByID(id)
	if !ok {
		return 0, 0
	}
	return e.s.db.estimate(rel), e.s.db.size(rel)
}
