package state

import (
	"encoding/binary"
	"math"
)

// None is the id of a key that is not in a Table.
const None = math.MaxUint32

// maxIDs bounds the keys of one Table: an id is 32 bits, 0 in a slot is empty, None is no id.
const maxIDs = math.MaxUint32 - 1

// An entry holds a key: its last byte is 0 when the id is free, the length plus 1 of a key that stands in the entry
// itself, or inArena, and then the Ref and length come first.
const (
	entryBits = 4
	entrySize = 1 << entryBits
	inArena   = 0xff
)

// Table maps byte strings to dense ids from 0. The zero Table is empty and ready.
//
// Keys of up to 15 bytes stand in their 16-byte entry, so that finding one takes two cache misses. A slot is hash<<32 | id+1, where hash is the key hash's upper half: its low bits are also the slot's home, so growing
// needs no key. The load is at most 3/4; Delete shifts back, so there are no tombstones.
type Table struct {
	slots   []uint64
	entries []byte // by id
	free    []uint32
	arena   Arena
}

// Len is the number of keys.
func (t *Table) Len() int { return t.IDs() - len(t.free) }

// IDs is one more than the largest id ever given: the length that the owner's slices need.
func (t *Table) IDs() int { return len(t.entries) >> entryBits }

// Key is the key of id; it must not be kept over an Upsert.
func (t *Table) Key(id uint32) []byte {
	e := t.entries[int(id)<<entryBits:][:entrySize:entrySize]
	if n := e[entrySize-1]; n != inArena {
		return e[: n-1 : n-1]
	}
	return t.arena.At(Ref(binary.LittleEndian.Uint32(e)), int(binary.LittleEndian.Uint32(e[4:])))
}

// holds reports whether id's key is key.
func (t *Table) holds(id uint32, key []byte) bool {
	e := t.entries[int(id)<<entryBits:][:entrySize:entrySize]
	if len(key) < entrySize {
		return int(e[entrySize-1]) == len(key)+1 && string(e[:len(key)]) == string(key)
	}
	return e[entrySize-1] == inArena && int(binary.LittleEndian.Uint32(e[4:])) == len(key) &&
		string(t.arena.At(Ref(binary.LittleEndian.Uint32(e)), len(key))) == string(key)
}

// Has reports whether id is in use.
func (t *Table) Has(id uint32) bool {
	return int(id) < t.IDs() && t.entries[int(id)<<entryBits+entrySize-1] != 0
}

// Memory is the bytes that the Table takes.
func (t *Table) Memory() int64 {
	return t.arena.Memory() + int64(cap(t.slots))*8 + int64(cap(t.entries)) + int64(cap(t.free))*4
}

// Upsert gives ids[i] the id of keys' row i, adding the keys that are new. It grows the Table before, so that ids of a
// batch are found in two passes: the slots first (cache misses overlap), then the keys.
func (t *Table) Upsert(keys *Rows, ids []uint32) {
	n := keys.Len()
	t.reserve(n)
	t.guess(keys, ids)
	for i := range n {
		key := keys.Row(i)
		if id := ids[i]; id != None && t.holds(id, key) {
			continue
		}
		ids[i] = t.upsert(key, keys.Hashes[i])
	}
}

// Lookup gives ids[i] the id of keys' row i or None.
func (t *Table) Lookup(keys *Rows, ids []uint32) {
	n := keys.Len()
	if len(t.slots) == 0 {
		for i := range n {
			ids[i] = None
		}
		return
	}
	t.guess(keys, ids)
	for i := range n {
		id := ids[i]
		if id == None {
			continue // no slot has its hash: guess saw the whole run
		}
		key := keys.Row(i)
		if t.holds(id, key) {
			continue
		}
		ids[i], _ = t.find(key, uint32(keys.Hashes[i]>>32))
	}
}

// guess gives ids[i] the first id whose slot has the key's hash, None when there is none.
func (t *Table) guess(keys *Rows, ids []uint32) {
	mask := uint32(len(t.slots) - 1)
	slots := t.slots
	for i, h := range keys.Hashes[:keys.Len()] {
		tag := uint32(h >> 32)
		at := tag & mask
		id := uint32(None)
		for {
			s := slots[at&mask]
			if s == 0 {
				break
			}
			if uint32(s>>32) == tag {
				id = uint32(s) - 1
				break
			}
			at++
		}
		ids[i] = id
	}
}

// find gives the id of key, or None and the empty slot where it belongs.
func (t *Table) find(key []byte, tag uint32) (id uint32, slot uint32) {
	mask := uint32(len(t.slots) - 1)
	for at := tag & mask; ; at = (at + 1) & mask {
		s := t.slots[at]
		if s == 0 {
			return None, at
		}
		if uint32(s>>32) != tag {
			continue
		}
		if id := uint32(s) - 1; t.holds(id, key) {
			return id, at
		}
	}
}

func (t *Table) upsert(key []byte, hash uint64) uint32 {
	tag := uint32(hash >> 32)
	id, slot := t.find(key, tag)
	if id != None {
		return id
	}
	if n := len(t.free); n > 0 {
		id = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		if t.IDs() >= maxIDs {
			panic(full("entries"))
		}
		id = uint32(t.IDs())
		t.entries = append(t.entries, make([]byte, entrySize)...)
	}
	e := t.entries[int(id)<<entryBits:][:entrySize]
	if len(key) < entrySize {
		copy(e, key)
		e[entrySize-1] = byte(len(key) + 1)
	} else {
		binary.LittleEndian.PutUint32(e, uint32(t.arena.Add(key)))
		binary.LittleEndian.PutUint32(e[4:], uint32(len(key)))
		e[entrySize-1] = inArena
	}
	t.slots[slot] = uint64(tag)<<32 | uint64(id+1)
	return id
}

// reserve makes room for n more keys; callers cut large batches, since keys that turn out to be old are counted too.
func (t *Table) reserve(n int) {
	need := (t.Len() + n) * 4 / 3
	size := max(len(t.slots), 16)
	for size <= need {
		size *= 2
	}
	if size == len(t.slots) {
		return
	}
	old := t.slots
	t.slots = make([]uint64, size)
	mask := uint32(size - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		at := uint32(s>>32) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = s
	}
}

// Delete removes the key of id; the id may be given to another key.
func (t *Table) Delete(id uint32) {
	key := t.Key(id)
	tag := uint32(HashBytes(key) >> 32)
	mask := uint32(len(t.slots) - 1)
	at := tag & mask
	for uint32(t.slots[at]) != id+1 {
		at = (at + 1) & mask
	}
	for next := (at + 1) & mask; t.slots[next] != 0; next = (next + 1) & mask {
		home := uint32(t.slots[next]>>32) & mask
		if (next-home)&mask >= (next-at)&mask {
			t.slots[at], at = t.slots[next], next
		}
	}
	t.slots[at] = 0
	e := t.entries[int(id)<<entryBits:][:entrySize]
	if e[entrySize-1] == inArena {
		t.arena.Remove(Ref(binary.LittleEndian.Uint32(e)), len(key))
	}
	clear(e)
	t.free = append(t.free, id)
}

// Checkpoint writes the Table.
func (t *Table) Checkpoint(w *Writer) {
	WriteWords(w, t.slots)
	w.Bytes(t.entries)
	WriteWords(w, t.free)
	t.arena.Checkpoint(w)
}

// Restore reads what Checkpoint wrote and proves that no reference in it leads outside.
func (t *Table) Restore(r *Reader) {
	*t = Table{slots: ReadWords[uint64](r, 1<<33)}
	t.entries = r.Bytes(maxIDs * entrySize)
	t.free = ReadWords[uint32](r, maxIDs)
	t.arena.Restore(r)
	if r.Err() != nil {
		return
	}
	if len(t.slots)&(len(t.slots)-1) != 0 {
		r.fail("a table of %d slots", len(t.slots))
		return
	}
	if len(t.entries)%entrySize != 0 {
		r.fail("a table's entries are cut short")
		return
	}
	used := 0
	for id := range uint32(t.IDs()) {
		e := t.entries[int(id)<<entryBits:][:entrySize]
		switch n := e[entrySize-1]; {
		case n == 0:
			continue
		case n > entrySize && n != inArena,
			n == inArena && !t.arena.Valid(Ref(binary.LittleEndian.Uint32(e)), int(binary.LittleEndian.Uint32(e[4:]))):
			r.fail("key %d of a table is outside its arena", id)
			return
		}
		used++
	}
	seen := 0
	for _, s := range t.slots {
		if s == 0 {
			continue
		}
		if seen++; uint32(s) == 0 || !t.Has(uint32(s)-1) {
			r.fail("a slot of a table names no key")
			return
		}
	}
	for _, id := range t.free {
		if int(id) >= t.IDs() || t.Has(id) {
			r.fail("a free id of a table is in use")
			return
		}
	}
	if seen != used || used+len(t.free) != t.IDs() || used > 0 && used >= len(t.slots) {
		r.fail("a table's slots, keys and free ids do not add up")
	}
}
