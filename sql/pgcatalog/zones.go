package pgcatalog

import (
	"time"

	"github.com/miracledb/miracledb/internal/row"
)

func pgTimezoneNames(c *scan) {
	now := time.Now()
	for _, r := range static()["pg_timezone_names"] {
		loc, err := time.LoadLocation(r[0].Str())
		if err != nil {
			continue // the system's tz database is older than PostgreSQL's
		}
		abbreviation, seconds := now.In(loc).Zone()
		c.add(fields{"name": r[0], "abbrev": text(abbreviation), "utc_offset": row.NewInterval(0, 0, int64(seconds)*1e6),
			"is_dst": boolean(now.In(loc).IsDST())})
	}
}

// timezoneNames answers the function pg_timezone_names with an array of records.
func timezoneNames(d *describer, _ []row.Value) (row.Value, error) {
	c := &scan{session: d.session, snapshot: d.snapshot, rel: relationNamed("pg_catalog.pg_timezone_names")}
	pgTimezoneNames(c)
	list := make([]row.Value, len(c.out))
	for i, r := range c.out {
		list[i] = row.NewRecord(r)
	}
	return row.NewList(list), nil
}
