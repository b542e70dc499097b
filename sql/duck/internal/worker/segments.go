package worker

import "github.com/miracledb/miracledb/sql/duck/internal/wire"

// segmentCache holds segments decoded into memory.
type segmentCache struct{}

// use gives the table that holds the segment, "" when it is not in memory.
func (c *segmentCache) use(wire.Segment) (table string, unpin func()) { return "", nil }
