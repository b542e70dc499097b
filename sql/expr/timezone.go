package expr

import (
	"math"
	"time"

	"github.com/miracledb/miracledb/internal/row"
)

const (
	microsPerSecond = int64(1_000_000)
	microsPerHour   = 3600 * microsPerSecond
	microsPerDay    = 24 * microsPerHour
)

var (
	minusInfinity = row.NewTimestamp(math.MinInt64)
	plusInfinity  = row.NewTimestamp(math.MaxInt64)
)

// dateAsTimestamp is a date's midnight; other values are themselves.
func dateAsTimestamp(v row.Value) row.Value {
	if v.Kind() != row.KindDate {
		return v
	}
	switch v.IsInf() {
	case 1:
		return plusInfinity
	case -1:
		return minusInfinity
	}
	return row.NewTimestamp(v.Int() * microsPerDay)
}

func (c *Ctx) location() *time.Location {
	if c == nil || c.Location == nil {
		return time.UTC
	}
	return c.Location
}

// localToZoned reads a timestamp as local time in the session's zone.
func localToZoned(ctx *Ctx, v row.Value) (row.Value, error) { return localIn(v, ctx.location()), nil }

// localIn reads a timestamp without zone as local time in loc.
func localIn(v row.Value, loc *time.Location) row.Value {
	return row.NewTimestamp(row.LocalToUTC(v.Int(), loc))
}

// zonedToLocal shows a timestamptz as local time in loc.
func zonedToLocal(v row.Value, loc *time.Location) row.Value {
	return row.NewTimestamp(row.UTCToLocal(v.Int(), loc))
}

// format is the session's part in text forms.
func (c *Ctx) format() row.Format {
	if c == nil {
		return row.Format{}
	}
	f := row.Format{Location: c.Location}
	if !c.Now.IsZero() {
		f.Now = c.Now.UnixMicro()
	}
	return f
}
