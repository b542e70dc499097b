package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// Version is the format version that this package writes.
const Version = 1

// Sizes in bytes. An entry begins on a multiple of alignment.
const (
	fileHeaderSize  = 4096 // one block, so that no entry shares a block with the header
	EntryHeaderSize = 56
	alignment       = 8
)

const (
	fileMagic  = "MDBJRNL\n"
	entryMagic = 0x4a45 // "JE"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fileHeader begins each file.
type fileHeader struct {
	number      uint64
	salt        uint64
	firstIndex  uint64
	chain       uint32 // CRC of the entry before the first of this file
	previous    uint64 // number of the file before, 0: none
	previousEnd uint64 // offset of its end
}

func (h fileHeader) encode(p []byte) {
	clear(p[:fileHeaderSize])
	be := binary.BigEndian
	copy(p, fileMagic)
	be.PutUint32(p[8:], Version)
	be.PutUint64(p[16:], h.number)
	be.PutUint64(p[24:], h.salt)
	be.PutUint64(p[32:], h.firstIndex)
	be.PutUint32(p[40:], h.chain)
	be.PutUint64(p[48:], h.previous)
	be.PutUint64(p[56:], h.previousEnd)
	be.PutUint32(p[12:], crc32.Checksum(p[16:fileHeaderSize], castagnoli))
}

func decodeFileHeader(p []byte) (h fileHeader, ok bool) {
	be := binary.BigEndian
	if len(p) < fileHeaderSize || string(p[:8]) != fileMagic || be.Uint32(p[8:]) != Version ||
		be.Uint32(p[12:]) != crc32.Checksum(p[16:fileHeaderSize], castagnoli) {
		return h, false
	}
	return fileHeader{
		number:      be.Uint64(p[16:]),
		salt:        be.Uint64(p[24:]),
		firstIndex:  be.Uint64(p[32:]),
		chain:       be.Uint32(p[40:]),
		previous:    be.Uint64(p[48:]),
		previousEnd: be.Uint64(p[56:]),
	}, true
}

// entryHeader begins each entry; the payload and zeros up to the alignment follow.
type entryHeader struct {
	crc    uint32 // over everything after itself, payload included
	length uint32 // of the payload
	chain  uint32 // crc of the entry before
	salt   uint64
	term   uint64
	index  uint64
	// What was durable when the entry was written: all before this place.
	syncedFile, syncedOffset uint64
}

// encode fills in the first EntryHeaderSize bytes of p, whose rest is the payload, and gives the CRC.
func (h entryHeader) encode(p []byte) uint32 {
	be := binary.BigEndian
	be.PutUint32(p[4:], uint32(len(p)-EntryHeaderSize))
	be.PutUint16(p[8:], entryMagic)
	be.PutUint16(p[10:], Version)
	be.PutUint32(p[12:], h.chain)
	be.PutUint64(p[16:], h.salt)
	be.PutUint64(p[24:], h.term)
	be.PutUint64(p[32:], h.index)
	be.PutUint64(p[40:], h.syncedFile)
	be.PutUint64(p[48:], h.syncedOffset)
	crc := crc32.Checksum(p[4:], castagnoli)
	be.PutUint32(p, crc)
	return crc
}

// decodeEntry reads the entry that begins p; ok only when its CRC holds.
func decodeEntry(p []byte) (h entryHeader, payload []byte, ok bool) {
	be := binary.BigEndian
	if len(p) < EntryHeaderSize || be.Uint16(p[8:]) != entryMagic || be.Uint16(p[10:]) != Version {
		return h, nil, false
	}
	length := be.Uint32(p[4:])
	if uint64(length) > uint64(len(p)-EntryHeaderSize) {
		return h, nil, false
	}
	end := EntryHeaderSize + int(length)
	h = entryHeader{
		crc:          be.Uint32(p),
		length:       length,
		chain:        be.Uint32(p[12:]),
		salt:         be.Uint64(p[16:]),
		term:         be.Uint64(p[24:]),
		index:        be.Uint64(p[32:]),
		syncedFile:   be.Uint64(p[40:]),
		syncedOffset: be.Uint64(p[48:]),
	}
	if crc32.Checksum(p[4:end], castagnoli) != h.crc {
		return h, nil, false
	}
	return h, p[EntryHeaderSize:end:end], true
}

func aligned(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }
