package pgcatalog

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// sizeFunctions measure relations. An index is kept with its table's rows and counts there.
var sizeFunctions = map[string]function{
	"pg_relation_size":       (*describer).relationSize,
	"pg_table_size":          (*describer).relationSize,
	"pg_total_relation_size": (*describer).relationSize,
	"pg_indexes_size": func(d *describer, args []row.Value) (row.Value, error) {
		if d.relation(args[0]) == nil {
			return row.Null, nil
		}
		return num(0), nil
	},
	"pg_database_size":   (*describer).databaseSize,
	"pg_tablespace_size": (*describer).databaseSize,
	"pg_tablespace_location": func(*describer, []row.Value) (row.Value, error) {
		return text(""), nil
	},
	"pg_stat_get_live_tuples": func(d *describer, args []row.Value) (row.Value, error) {
		rows, _ := d.session.Stats(id(args[0]))
		return num(rows), nil
	},
	"pg_stat_get_dead_tuples": func(*describer, []row.Value) (row.Value, error) { return num(0), nil },
	"pg_timezone_names":       timezoneNames,
	"pg_stat_get_numscans":    func(*describer, []row.Value) (row.Value, error) { return num(0), nil },
}

func (d *describer) relationSize(args []row.Value) (row.Value, error) {
	if r := d.relation(args[0]); r != nil {
		_, bytes := d.session.Stats(r.ID)
		return num(bytes), nil
	}
	if _, ok := d.index(id(args[0])); ok {
		return num(0), nil
	}
	return row.Null, nil
}

func (d *describer) databaseSize([]row.Value) (row.Value, error) {
	return num(databaseSize(d.session)), nil
}

// databaseSize is the sum of all relations' bytes.
func databaseSize(s Session) int64 {
	total := int64(0)
	for _, r := range s.Snapshot().Relations() {
		if r.Kind != catalog.System && r.Kind != catalog.View {
			_, bytes := s.Stats(r.ID)
			total += bytes
		}
	}
	return total
}
