package heap

import (
	"encoding/binary"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
)

// The keyspaces of the one Pebble instance; docs/format/heap.md draws them.
const (
	spaceRow   = 'd' // d relation key           -> row
	spaceIndex = 'i' // i index entry            -> primary key
	spaceMeta  = 'm' // m name                   -> what the store knows of itself
	spaceUndo  = 'u' // u relation position key  -> 0 (was absent) or 1 row
)

const (
	prefixSize = 1 + 4
	undoSize   = prefixSize + delta.PositionSize
)

var (
	metaFormat   = []byte{spaceMeta, 'f'}
	metaPosition = []byte{spaceMeta, 'p'}
	metaFloor    = []byte{spaceMeta, 'u'}
	metaStats    = []byte{spaceMeta, 's'} // + relation -> rows, bytes
)

// formatVersion is the first byte of the format record.
const formatVersion = 1

func appendPrefix(b []byte, space byte, id delta.RelationID) []byte {
	b = append(b, space)
	return binary.BigEndian.AppendUint32(b, uint32(id))
}

func appendKey(b []byte, space byte, id delta.RelationID, key []byte) []byte {
	return append(appendPrefix(b, space, id), key...)
}

func appendUndoKey(b []byte, id delta.RelationID, pos delta.Position, key []byte) []byte {
	return append(pos.AppendBinary(appendPrefix(b, spaceUndo, id)), key...)
}

// after gives the smallest position above p.
func after(p delta.Position) delta.Position {
	p.Sequence++
	if p.Sequence == 0 {
		p.Epoch++
	}
	return p
}

// bounds gives the absolute bounds of [lower, upper) inside a keyspace; nil means that end of the keyspace.
func bounds(space byte, id delta.RelationID, lower, upper []byte) (lo, hi []byte) {
	lo = appendKey(nil, space, id, lower)
	if upper != nil {
		return lo, appendKey(nil, space, id, upper)
	}
	if id == ^delta.RelationID(0) {
		return lo, []byte{space + 1}
	}
	return lo, appendPrefix(nil, space, id+1)
}

// relationOf reads the id after a keyspace byte.
func relationOf(key []byte) (delta.RelationID, error) {
	if len(key) < prefixSize {
		return 0, errs.New(errs.Corrupt, "heap: key %x is too short", key)
	}
	return delta.RelationID(binary.BigEndian.Uint32(key[1:])), nil
}

// splitUndo gives the place and content of an undo record; old is nil when the key was absent.
func splitUndo(k, v []byte) (pos delta.Position, key, old []byte, err error) {
	if len(k) < undoSize || len(v) == 0 || v[0] > 1 || (v[0] == 0 && len(v) != 1) {
		return pos, nil, nil, errs.New(errs.Corrupt, "heap: undo record %x of %d bytes is damaged", k, len(v))
	}
	pos, err = delta.DecodePosition(k[prefixSize:])
	if err != nil {
		return pos, nil, nil, err
	}
	if v[0] == 1 {
		old = v[1:]
	}
	return pos, k[undoSize:], old, nil
}

// SplitWeight takes apart the value of a relation written by AddWeight.
func SplitWeight(value []byte) (weight int64, row []byte, err error) {
	w, n := binary.Varint(value)
	if n <= 0 {
		return 0, nil, errs.New(errs.Corrupt, "heap: a counted row of %d bytes has no count", len(value))
	}
	return w, value[n:], nil
}

// Stats is what the store counts per relation.
type Stats struct {
	Rows  int64 // a counted row as often as its weight
	Bytes int64 // of keys and rows, before compression
}

func (s Stats) append(b []byte) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, s.Rows), s.Bytes)
}

func decodeStats(b []byte) (Stats, error) {
	rows, n := binary.Varint(b)
	if n > 0 {
		if bytes, m := binary.Varint(b[n:]); m > 0 {
			return Stats{rows, bytes}, nil
		}
	}
	return Stats{}, errs.New(errs.Corrupt, "heap: statistics record of %d bytes is damaged", len(b))
}
