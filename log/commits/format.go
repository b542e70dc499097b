package commits

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Sizes in bytes.
const (
	SlotSize       = 96
	fileHeaderSize = 96 // one slot, so that slots stay aligned
	refSize        = 40
)

const (
	fileMagic = "MDBCMIT\n"
	version   = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Commit is one append.
type Commit struct {
	Position    log.Position
	Term, Index uint64
	Time        time.Time
	Txn         uint64
	Refs        []Ref
	// Thinned is set when the append has left the index: nothing is known of what it wrote.
	Thinned bool
}

// Ref is where one batch of an append stands. Its segment is the one that holds Base.
type Ref struct {
	Partition log.Partition
	Base      int64
	Records   int32
	Position  uint32 // in the segment's file
	Bytes     uint32
}

func encodeFileHeader(first uint64) []byte {
	p := make([]byte, fileHeaderSize)
	be := binary.BigEndian
	copy(p, fileMagic)
	be.PutUint32(p[8:], version)
	be.PutUint64(p[16:], first)
	be.PutUint32(p[12:], crc32.Checksum(p[16:], castagnoli))
	return p
}

func validFileHeader(p []byte, first uint64) bool {
	be := binary.BigEndian
	return len(p) >= fileHeaderSize && string(p[:8]) == fileMagic && be.Uint32(p[8:]) == version &&
		be.Uint64(p[16:]) == first && be.Uint32(p[12:]) == crc32.Checksum(p[16:fileHeaderSize], castagnoli)
}

func (r Ref) encode(q []byte) {
	be := binary.BigEndian
	copy(q, r.Partition.Topic[:])
	be.PutUint32(q[16:], uint32(r.Partition.Index))
	be.PutUint32(q[20:], r.Position)
	be.PutUint64(q[24:], uint64(r.Base))
	be.PutUint32(q[32:], uint32(r.Records))
	be.PutUint32(q[36:], r.Bytes)
}

func decodeRef(q []byte) Ref {
	be := binary.BigEndian
	r := Ref{
		Partition: log.Partition{Index: int32(be.Uint32(q[16:]))},
		Position:  be.Uint32(q[20:]),
		Base:      int64(be.Uint64(q[24:])),
		Records:   int32(be.Uint32(q[32:])),
		Bytes:     be.Uint32(q[36:]),
	}
	copy(r.Partition.Topic[:], q)
	return r
}

// appendSlot appends the slot of c; more is where its overflow stands.
func appendSlot(p []byte, c Commit, more uint32) []byte {
	at := len(p)
	p = append(p, make([]byte, SlotSize)...)
	q := p[at:]
	be := binary.BigEndian
	be.PutUint32(q[4:], c.Position.Epoch)
	be.PutUint64(q[8:], c.Position.Sequence)
	be.PutUint64(q[16:], uint64(c.Time.UnixNano()))
	be.PutUint64(q[24:], c.Term)
	be.PutUint64(q[32:], c.Index)
	be.PutUint64(q[40:], c.Txn)
	be.PutUint32(q[48:], uint32(len(c.Refs)))
	be.PutUint32(q[52:], more)
	if len(c.Refs) > 0 {
		c.Refs[0].encode(q[56:])
	}
	be.PutUint32(q, crc32.Checksum(q[4:], castagnoli))
	return p
}

// decodeSlot reads a slot; refs is how many batches the append has, of which the first is in the slot.
func decodeSlot(q []byte) (c Commit, refs, more uint32, err error) {
	be := binary.BigEndian
	if len(q) < SlotSize || be.Uint32(q) != crc32.Checksum(q[4:SlotSize], castagnoli) {
		return c, 0, 0, errs.New(errs.Corrupt, "the slot fails its CRC")
	}
	c = Commit{
		Position: log.Position{Epoch: be.Uint32(q[4:]), Sequence: be.Uint64(q[8:])},
		Time:     time.Unix(0, int64(be.Uint64(q[16:]))).UTC(),
		Term:     be.Uint64(q[24:]),
		Index:    be.Uint64(q[32:]),
		Txn:      be.Uint64(q[40:]),
	}
	if refs = be.Uint32(q[48:]); refs > 0 {
		c.Refs = []Ref{decodeRef(q[56:])}
	}
	return c, refs, be.Uint32(q[52:]), nil
}

// appendOverflow appends the batches of an append after its first.
func appendOverflow(p []byte, refs []Ref) []byte {
	at := len(p)
	p = append(p, make([]byte, overflowSize(len(refs)+1))...)
	q := p[at:]
	for i, r := range refs {
		r.encode(q[4+i*refSize:])
	}
	binary.BigEndian.PutUint32(q, crc32.Checksum(q[4:], castagnoli))
	return p
}

// overflowSize is the size of the overflow of an append with refs batches.
func overflowSize(refs int) int { return 4 + (refs-1)*refSize }

func decodeOverflow(q []byte, refs []Ref) ([]Ref, error) {
	if len(q) < 4 || binary.BigEndian.Uint32(q) != crc32.Checksum(q[4:], castagnoli) {
		return nil, errs.New(errs.Corrupt, "the overflow fails its CRC")
	}
	for q = q[4:]; len(q) >= refSize; q = q[refSize:] {
		refs = append(refs, decodeRef(q))
	}
	return refs, nil
}
