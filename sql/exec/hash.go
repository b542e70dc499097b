package exec

import "github.com/miracledb/miracledb/internal/row"

// table is a hash table from key rows to a number: that of the group, or of the first entry of a chain. NULLs are equal to
// each other.
type table struct {
	types []row.Type
	heads map[uint64]int32 // hash → the newest entry + 1
	keys  []row.Row
	next  []int32 // the entry + 1 that had the same hash before
}

func newTable(types []row.Type) *table { return &table{types: types, heads: map[uint64]int32{}} }

func (t *table) hash(key row.Row) uint64 {
	h := uint64(14695981039346656037)
	for i := range key {
		h = (h ^ row.HashTyped(t.types[i], key[i])) * 1099511628211
		h ^= h >> 29
	}
	return h
}

func (t *table) equal(a, b row.Row) bool {
	for i := range a {
		if a[i].IsNull() != b[i].IsNull() || !a[i].IsNull() && row.CompareTyped(t.types[i], a[i], b[i]) != 0 {
			return false
		}
	}
	return true
}

// find gives the entry of key; -1: there is none.
func (t *table) find(key row.Row) int {
	for e := t.heads[t.hash(key)]; e > 0; e = t.next[e-1] {
		if t.equal(t.keys[e-1], key) {
			return int(e - 1)
		}
	}
	return -1
}

// put gives the entry of key, made when there was none; the key is kept.
func (t *table) put(key row.Row) (entry int, fresh bool) {
	h := t.hash(key)
	for e := t.heads[h]; e > 0; e = t.next[e-1] {
		if t.equal(t.keys[e-1], key) {
			return int(e - 1), false
		}
	}
	t.keys = append(t.keys, key)
	t.next = append(t.next, t.heads[h])
	t.heads[h] = int32(len(t.keys))
	return len(t.keys) - 1, true
}
