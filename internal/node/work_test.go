package node

import (
	"slices"
	"testing"
)

// A burst ends once, however fast it was; a steady trickle is none.
func TestWorkEnds(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		allocates []uint64 // in each interval
		ends      []int
	}{
		"fast":    {[]uint64{100 * mib, 50 * mib, 5 * mib, 0, 0}, []int{2}},
		"slow":    {[]uint64{5 * mib, 5 * mib, 5 * mib, 5 * mib, 0, 0}, []int{4}},
		"two":     {[]uint64{20 * mib, 0, 0, 9 * mib, 9 * mib, 0, 0}, []int{1, 5}},
		"trickle": {[]uint64{3 * mib, 3 * mib, 3 * mib, 3 * mib, 3 * mib, 3 * mib, 3 * mib}, nil},
		"little":  {[]uint64{2 * mib, 0, 2 * mib, 0, 2 * mib, 0}, nil},
	} {
		var w work
		var ends []int
		allocated := uint64(0)
		for i, n := range c.allocates {
			if allocated += n; w.ended(allocated) {
				ends = append(ends, i)
			}
		}
		if !slices.Equal(ends, c.ends) {
			t.Errorf("%s: ends at %v, want %v", name, ends, c.ends)
		}
	}
}
