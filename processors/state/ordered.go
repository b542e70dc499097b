package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// Ordered holds many ordered multisets of byte strings, each named by a root that the owner keeps (0: empty). The zero
// Ordered is empty and ready.
//
// Each multiset is a treap whose priorities are a hash of the node's index: expected depth is logarithmic, and the same
// calls give the same tree. A string's first eight bytes stand in its node, so numbers need no arena.
type Ordered struct {
	nodes []node // 0 is unused
	free  []uint32
	arena Arena
	live  int
}

type node struct {
	prefix      uint64 // the first 8 bytes, big-endian, zero padded
	count       int64
	left, right uint32
	rest        Ref // the bytes after the first 8, when there are any
	length      uint32
}

const prefixSize = 8

func prefixOf(key []byte) uint64 {
	if len(key) >= prefixSize {
		return binary.BigEndian.Uint64(key)
	}
	var b [prefixSize]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

func priority(n uint32) uint32 {
	x := uint64(n) * 0x9e3779b97f4a7c15
	return uint32((x ^ x>>29) * 0xbf58476d1ce4e5b9 >> 32)
}

// Add adds w to key's count in the multiset at root and gives the new root. A count may be negative for the time between
// two rows of one tick; at zero the key is gone.
func (o *Ordered) Add(root uint32, key []byte, w int64) uint32 {
	prefix := prefixOf(key)
	for n := root; n != 0; {
		c := o.compare(prefix, key, n)
		switch {
		case c < 0:
			n = o.nodes[n].left
		case c > 0:
			n = o.nodes[n].right
		default:
			o.nodes[n].count += w
			if o.nodes[n].count == 0 {
				return o.remove(root, prefix, key)
			}
			return root
		}
	}
	if w == 0 {
		return root
	}
	return o.insert(root, o.newNode(prefix, key, w), prefix, key)
}

// compare orders the key against node n's.
func (o *Ordered) compare(prefix uint64, key []byte, n uint32) int {
	x := &o.nodes[n]
	if c := cmp.Compare(prefix, x.prefix); c != 0 {
		return c
	}
	if len(key) > prefixSize && x.length > prefixSize {
		return bytes.Compare(key[prefixSize:], o.arena.At(x.rest, int(x.length)-prefixSize))
	}
	return cmp.Compare(len(key), int(x.length))
}

func (o *Ordered) newNode(prefix uint64, key []byte, w int64) uint32 {
	x := node{prefix: prefix, count: w, length: uint32(len(key))}
	if len(key) > prefixSize {
		x.rest = o.arena.Add(key[prefixSize:])
	}
	o.live++
	if n := len(o.free); n > 0 {
		id := o.free[n-1]
		o.free = o.free[:n-1]
		o.nodes[id] = x
		return id
	}
	if len(o.nodes) == 0 {
		o.nodes = append(o.nodes, node{})
	}
	if len(o.nodes) >= maxIDs {
		panic(full("entries"))
	}
	o.nodes = append(o.nodes, x)
	return uint32(len(o.nodes) - 1)
}

func (o *Ordered) insert(t, n uint32, prefix uint64, key []byte) uint32 {
	if t == 0 {
		return n
	}
	if priority(n) > priority(t) {
		o.nodes[n].left, o.nodes[n].right = o.split(t, prefix, key)
		return n
	}
	if o.compare(prefix, key, t) < 0 {
		l := o.insert(o.nodes[t].left, n, prefix, key)
		o.nodes[t].left = l
	} else {
		r := o.insert(o.nodes[t].right, n, prefix, key)
		o.nodes[t].right = r
	}
	return t
}

// split cuts t into the keys below and above key, which is not in it.
func (o *Ordered) split(t uint32, prefix uint64, key []byte) (below, above uint32) {
	if t == 0 {
		return 0, 0
	}
	if o.compare(prefix, key, t) < 0 {
		below, above = o.split(o.nodes[t].left, prefix, key)
		o.nodes[t].left = above
		return below, t
	}
	below, above = o.split(o.nodes[t].right, prefix, key)
	o.nodes[t].right = below
	return t, above
}

func (o *Ordered) merge(below, above uint32) uint32 {
	switch {
	case below == 0:
		return above
	case above == 0:
		return below
	case priority(below) > priority(above):
		o.nodes[below].right = o.merge(o.nodes[below].right, above)
		return below
	}
	o.nodes[above].left = o.merge(below, o.nodes[above].left)
	return above
}

func (o *Ordered) remove(t uint32, prefix uint64, key []byte) uint32 {
	switch c := o.compare(prefix, key, t); {
	case c < 0:
		o.nodes[t].left = o.remove(o.nodes[t].left, prefix, key)
		return t
	case c > 0:
		o.nodes[t].right = o.remove(o.nodes[t].right, prefix, key)
		return t
	}
	rest := o.merge(o.nodes[t].left, o.nodes[t].right)
	o.drop(t)
	return rest
}

func (o *Ordered) drop(n uint32) {
	if x := &o.nodes[n]; x.length > prefixSize {
		o.arena.Remove(x.rest, int(x.length)-prefixSize)
	}
	o.nodes[n] = node{}
	o.free = append(o.free, n)
	o.live--
}

// Clear removes the multiset at root.
func (o *Ordered) Clear(root uint32) {
	if root == 0 {
		return
	}
	l, r := o.nodes[root].left, o.nodes[root].right
	o.drop(root)
	o.Clear(l)
	o.Clear(r)
}

// First appends the least key with a positive count to dst; ok is false when there is none.
func (o *Ordered) First(root uint32, dst []byte) (key []byte, ok bool) {
	o.Ascend(root, func(n uint32, _ int64) bool {
		dst, ok = o.AppendKey(dst, n), true
		return false
	})
	return dst, ok
}

// Last appends the greatest key with a positive count to dst.
func (o *Ordered) Last(root uint32, dst []byte) (key []byte, ok bool) {
	for t := root; t != 0; t = o.nodes[t].right {
		if o.nodes[t].right == 0 && o.nodes[t].count > 0 {
			return o.AppendKey(dst, t), true
		}
	}
	o.descend(root, func(n uint32, _ int64) bool {
		dst, ok = o.AppendKey(dst, n), true
		return false
	})
	return dst, ok
}

// AppendKey appends the key of node n.
func (o *Ordered) AppendKey(dst []byte, n uint32) []byte {
	x := &o.nodes[n]
	var b [prefixSize]byte
	binary.BigEndian.PutUint64(b[:], x.prefix)
	dst = append(dst, b[:min(prefixSize, x.length)]...)
	if x.length > prefixSize {
		dst = append(dst, o.arena.At(x.rest, int(x.length)-prefixSize)...)
	}
	return dst
}

// Ascend calls f for the nodes of positive count in order until it gives false.
func (o *Ordered) Ascend(t uint32, f func(n uint32, count int64) bool) bool {
	if t == 0 {
		return true
	}
	if !o.Ascend(o.nodes[t].left, f) {
		return false
	}
	if c := o.nodes[t].count; c > 0 && !f(t, c) {
		return false
	}
	return o.Ascend(o.nodes[t].right, f)
}

func (o *Ordered) descend(t uint32, f func(n uint32, count int64) bool) bool {
	if t == 0 {
		return true
	}
	if !o.descend(o.nodes[t].right, f) {
		return false
	}
	if c := o.nodes[t].count; c > 0 && !f(t, c) {
		return false
	}
	return o.descend(o.nodes[t].left, f)
}

// Len is the number of keys in all multisets.
func (o *Ordered) Len() int { return o.live }

// Memory is the bytes that the multisets take.
func (o *Ordered) Memory() int64 {
	return o.arena.Memory() + int64(cap(o.nodes))*32 + int64(cap(o.free))*4
}

// Checkpoint writes the multisets; the owner writes the roots.
func (o *Ordered) Checkpoint(w *Writer) {
	w.Uint(uint64(o.live))
	w.Uint(uint64(len(o.nodes)))
	for _, x := range o.nodes {
		w.Uint(x.prefix)
		w.Uint(uint64(x.count))
		w.Uint(uint64(x.left)<<32 | uint64(x.right))
		w.Uint(uint64(x.rest)<<32 | uint64(x.length))
	}
	WriteWords(w, o.free)
	o.arena.Checkpoint(w)
}

// Restore reads what Checkpoint wrote. A root from the same checkpoint must pass Valid.
func (o *Ordered) Restore(r *Reader) {
	*o = Ordered{live: int(r.Uint(maxIDs))}
	n := int(r.Uint(maxIDs))
	for range n {
		x := node{prefix: uint64(r.Int()), count: r.Int()}
		children, place := uint64(r.Int()), uint64(r.Int())
		x.left, x.right, x.rest, x.length = uint32(children>>32), uint32(children), Ref(place>>32), uint32(place)
		if r.Err() != nil {
			return
		}
		o.nodes = append(o.nodes, x)
	}
	o.free = ReadWords[uint32](r, maxIDs)
	o.arena.Restore(r)
	// Every node has at most one parent and no node is its own ancestor: with one parent each and a priority below the
	// parent's there is no cycle.
	parents := make([]bool, len(o.nodes))
	for i, x := range o.nodes {
		if x.length > prefixSize && !o.arena.Valid(x.rest, int(x.length)-prefixSize) {
			r.fail("a key of an ordered multiset is outside its arena")
			return
		}
		for _, c := range []uint32{x.left, x.right} {
			switch {
			case c == 0:
			case int(c) >= len(o.nodes), parents[c], priority(c) > priority(uint32(i)), c == uint32(i):
				r.fail("an ordered multiset is no tree")
				return
			default:
				parents[c] = true
			}
		}
	}
	for _, id := range o.free {
		if id == 0 || int(id) >= len(o.nodes) || o.nodes[id] != (node{}) {
			r.fail("a free node of an ordered multiset is in use")
			return
		}
	}
}

// Valid reports whether root can be one.
func (o *Ordered) Valid(root uint32) bool { return root == 0 || int(root) < len(o.nodes) }
