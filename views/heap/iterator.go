package heap

import (
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/miracledb/miracledb/internal/delta"
)

// Iterator walks over keys in order:
//
//	it := reader.Scan(rel, nil, nil, false)
//	defer it.Close()
//	for it.Next() {
//		use(it.Key(), it.Value())
//	}
//	return it.Err()
//
// It belongs to one goroutine. Key and Value are valid until the next call of Next.
type Iterator struct {
	base    *pebble.Iterator
	started bool
	reverse bool
	onBase  bool // the current entry is base's own
	// over holds changed entries laid over base, in the direction of the walk.
	over []overlaid

	key, value []byte
	err        error
}

// overlaid is an entry that stands instead of base's; value nil: there is none.
type overlaid struct {
	key   string
	value []byte
}

func newIterator(g getter, space byte, id delta.RelationID, lower, upper []byte, reverse bool, over map[string][]byte) *Iterator {
	lo, hi := bounds(space, id, lower, upper)
	base, err := g.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return &Iterator{err: wrap("scan", err)}
	}
	it := &Iterator{base: base, reverse: reverse}
	for k, v := range over {
		if k >= string(lo) && k < string(hi) {
			it.over = append(it.over, overlaid{k, v})
		}
	}
	slices.SortFunc(it.over, func(a, b overlaid) int {
		if reverse {
			return strings.Compare(b.key, a.key)
		}
		return strings.Compare(a.key, b.key)
	})
	return it
}

// Next goes to the next entry; false: there is none, or an error stopped the walk.
func (it *Iterator) Next() bool {
	if it.err != nil || it.base == nil {
		return false
	}
	if !it.started {
		it.started = true
		if it.reverse {
			it.base.Last()
		} else {
			it.base.First()
		}
	} else if it.onBase {
		it.step()
	}
	it.onBase = false
	for {
		if len(it.over) == 0 {
			return it.takeBase()
		}
		o := it.over[0]
		order := 1 // base is further on than o
		if it.base.Valid() {
			order = strings.Compare(string(it.base.Key()), o.key)
			if it.reverse {
				order = -order
			}
		} else if err := it.base.Error(); err != nil {
			it.err = wrap("scan", err)
			return false
		}
		if order < 0 {
			return it.takeBase()
		}
		it.over = it.over[1:]
		if order == 0 {
			it.step()
		}
		if o.value != nil {
			it.key, it.value = []byte(o.key), o.value
			return true
		}
	}
}

func (it *Iterator) step() {
	if it.reverse {
		it.base.Prev()
	} else {
		it.base.Next()
	}
}

func (it *Iterator) takeBase() bool {
	if !it.base.Valid() {
		it.err = wrap("scan", it.base.Error())
		return false
	}
	v, err := it.base.ValueAndErr()
	if err != nil {
		it.err = wrap("scan", err)
		return false
	}
	it.key, it.value, it.onBase = it.base.Key(), v, true
	return true
}

// Key is the row's key or the index entry.
func (it *Iterator) Key() []byte { return it.key[prefixSize:] }

// Value is the row, or the primary key an index entry names.
func (it *Iterator) Value() []byte { return it.value }

// Err says why Next returned false; nil at the end.
func (it *Iterator) Err() error { return it.err }

// Close ends the walk.
func (it *Iterator) Close() error {
	if it.base == nil {
		return it.err
	}
	err := it.base.Close()
	it.base = nil
	if it.err == nil {
		it.err = wrap("scan", err)
	}
	return it.err
}
