package keys

import (
	"encoding/binary"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

const version = 1

// The first byte of Pebble's keys.
const (
	spaceFormat = 'f'
	spaceMark   = 'b' // partition → Mark
	spaceEntry  = 'e' // partition, name, offset → producer
)

const (
	partitionSize = 1 + 16 + 4
	entrySize     = partitionSize + len(Name{}) + 8
)

func partitionKey(space byte, p log.Partition) []byte {
	k := append(make([]byte, 0, entrySize), space)
	k = append(k, p.Topic[:]...)
	return binary.BigEndian.AppendUint32(k, uint32(p.Index))
}

func entryKey(p log.Partition, name Name, offset int64) []byte {
	k := append(partitionKey(spaceEntry, p), name[:]...)
	return binary.BigEndian.AppendUint64(k, uint64(offset))
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	k := append([]byte(nil), prefix...)
	for i := len(k) - 1; i >= 0; i-- {
		if k[i]++; k[i] != 0 {
			break
		}
	}
	return k
}

func entryValue(e Entry) []byte {
	if e.Producer < 0 {
		return nil
	}
	return binary.AppendVarint(nil, e.Producer)
}

func decodeEntry(key, value []byte) (Entry, error) {
	e := Entry{Producer: -1}
	if len(key) != entrySize {
		return e, errs.New(errs.Corrupt, "key index: an entry's key has %d bytes", len(key))
	}
	e.Offset = int64(binary.BigEndian.Uint64(key[entrySize-8:]))
	if len(value) > 0 {
		n := 0
		if e.Producer, n = binary.Varint(value); n != len(value) {
			return e, errs.New(errs.Corrupt, "key index: the entry of offset %d is malformed", e.Offset)
		}
	}
	return e, nil
}

func markKey(p log.Partition) []byte { return partitionKey(spaceMark, p) }

func markValue(m Mark) []byte {
	return binary.AppendVarint(binary.AppendVarint(nil, m.Start), m.Clean)
}

func decodeMark(key, value []byte) (p log.Partition, m Mark, err error) {
	var a, b int
	m.Start, a = binary.Varint(value)
	if a > 0 {
		m.Clean, b = binary.Varint(value[a:])
	}
	if len(key) != partitionSize || a <= 0 || b <= 0 || a+b != len(value) {
		return p, m, errs.New(errs.Corrupt, "key index: the mark of a partition is malformed")
	}
	copy(p.Topic[:], key[1:])
	p.Index = int32(binary.BigEndian.Uint32(key[partitionSize-4:]))
	return p, m, nil
}
