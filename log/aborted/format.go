package aborted

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Sizes in bytes.
const (
	SlotSize   = 40
	headerSize = 40 // one slot
)

const (
	fileMagic = "MDBABRT\n"
	version   = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Txn is an aborted transaction: First is its first record, Last its marker.
type Txn struct {
	log.AbortedTxn
	// Stable is the offset below which no transaction has records that ended after it.
	Stable int64
}

func encodeHeader(first int64) []byte {
	p := make([]byte, headerSize)
	be := binary.BigEndian
	copy(p, fileMagic)
	be.PutUint32(p[8:], version)
	be.PutUint64(p[16:], uint64(first))
	be.PutUint32(p[12:], crc32.Checksum(p[16:], castagnoli))
	return p
}

func validHeader(p []byte, first int64) bool {
	be := binary.BigEndian
	return len(p) >= headerSize && string(p[:8]) == fileMagic && be.Uint32(p[8:]) == version &&
		be.Uint64(p[16:]) == uint64(first) && be.Uint32(p[12:]) == crc32.Checksum(p[16:headerSize], castagnoli)
}

func (t *Txn) append(p []byte) []byte {
	at := len(p)
	p = append(p, make([]byte, SlotSize)...)
	q := p[at:]
	be := binary.BigEndian
	be.PutUint64(q[8:], uint64(t.Producer))
	be.PutUint64(q[16:], uint64(t.First))
	be.PutUint64(q[24:], uint64(t.Last))
	be.PutUint64(q[32:], uint64(t.Stable))
	be.PutUint32(q, crc32.Checksum(q[4:], castagnoli))
	return p
}

// decodeSlot reads a slot whose marker stands at or after an offset.
func decodeSlot(q []byte, after int64) (t Txn, err error) {
	be := binary.BigEndian
	if be.Uint32(q) != crc32.Checksum(q[4:SlotSize], castagnoli) {
		return t, errs.New(errs.Corrupt, "the slot fails its CRC")
	}
	t.Producer, t.First = int64(be.Uint64(q[8:])), int64(be.Uint64(q[16:]))
	t.Last, t.Stable = int64(be.Uint64(q[24:])), int64(be.Uint64(q[32:]))
	if t.Last < after || t.First > t.Last {
		return t, errs.New(errs.Corrupt, "a transaction of offsets %d to %d after a marker at %d", t.First, t.Last, after)
	}
	return t, nil
}
