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

// localIn reads a timestamp without zone as local time in loc. A time that the clocks skip is read with the offset before
// the change, one that they repeat as standard time, as PostgreSQL does.
func localIn(v row.Value, loc *time.Location) row.Value {
	if v.IsInf() != 0 || loc == time.UTC {
		return v
	}
	wall := time.UnixMicro(v.Int()).UTC()
	_, before := wall.Add(-24 * time.Hour).In(loc).Zone()
	_, after := wall.Add(24 * time.Hour).In(loc).Zone()
	at := func(offset int) (time.Time, bool) {
		t := wall.Add(-time.Duration(offset) * time.Second)
		_, o := t.In(loc).Zone()
		return t, o == offset
	}
	first, firstOK := at(before)
	if before == after && firstOK {
		return row.NewTimestamp(first.UnixMicro())
	}
	second, secondOK := at(after)
	switch {
	case secondOK: // also when both hold: the repeated hour is taken after the change
		return row.NewTimestamp(second.UnixMicro())
	default:
		return row.NewTimestamp(first.UnixMicro())
	}
}

// zonedToLocal shows a timestamptz as local time in loc.
func zonedToLocal(v row.Value, loc *time.Location) row.Value {
	if v.IsInf() != 0 || loc == time.UTC {
		return v
	}
	_, offset := time.UnixMicro(v.Int()).In(loc).Zone()
	return row.NewTimestamp(v.Int() + int64(offset)*microsPerSecond)
}
