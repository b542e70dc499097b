package record

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// HeaderSize is the length of a batch's header in bytes, from the base offset to the record count.
const HeaderSize = 61

// Byte places of the header's fields (clients/…/record/DefaultRecordBatch.java has the same table).
const (
	atBaseOffset      = 0
	atLength          = 8 // of what follows it
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21 // the CRC covers from here on
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57

	overhead = atLength + 4 // bytes that Length does not count
)

// Attribute bits.
const (
	codecMask        = 0x07
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is the decoded header of one record batch.
type Batch struct {
	BaseOffset      int64
	LeaderEpoch     int32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64 // Unix milliseconds
	MaxTimestamp    int64
	ProducerID      int64 // -1: not idempotent
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32 // records present; after compaction fewer than the offsets taken
	// Bytes is the whole batch, header included. It aliases what was parsed.
	Bytes []byte
}

// Codec is how the records are compressed.
func (b *Batch) Codec() Codec { return Codec(b.Attributes & codecMask) }

// LogAppendTime reports whether every record has the batch's MaxTimestamp, set by the log.
func (b *Batch) LogAppendTime() bool { return b.Attributes&logAppendTimeBit != 0 }

// Transactional reports whether the batch belongs to a Kafka transaction.
func (b *Batch) Transactional() bool { return b.Attributes&transactionalBit != 0 }

// Control reports whether the batch holds a transaction marker and no data.
func (b *Batch) Control() bool { return b.Attributes&controlBit != 0 }

// Offsets is the number of offsets that the batch takes.
func (b *Batch) Offsets() int32 { return b.LastOffsetDelta + 1 }

// LastOffset is the offset of the last record (present or compacted away).
func (b *Batch) LastOffset() int64 { return b.BaseOffset + int64(b.LastOffsetDelta) }

// LastSequence is the sequence number of the last record of an idempotent producer; sequences wrap at 2^31-1 to 0.
func (b *Batch) LastSequence() int32 {
	return int32((int64(b.BaseSequence) + int64(b.LastOffsetDelta)) & 0x7fffffff)
}

// ParseHeader decodes the header of the first batch in p without checking its CRC: for bytes that were checked before, or
// of which only the beginning is there. Bytes is set only when the whole batch is in p. Errors are ErrCorruptBatch.
func ParseHeader(p []byte) (Batch, error) {
	if len(p) < HeaderSize {
		return Batch{}, corrupt("%d bytes are no batch header", len(p))
	}
	be := binary.BigEndian
	b := Batch{
		BaseOffset:      int64(be.Uint64(p[atBaseOffset:])),
		LeaderEpoch:     int32(be.Uint32(p[atLeaderEpoch:])),
		Attributes:      int16(be.Uint16(p[atAttributes:])),
		LastOffsetDelta: int32(be.Uint32(p[atLastOffsetDelta:])),
		BaseTimestamp:   int64(be.Uint64(p[atBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(p[atMaxTimestamp:])),
		ProducerID:      int64(be.Uint64(p[atProducerID:])),
		ProducerEpoch:   int16(be.Uint16(p[atProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(p[atBaseSequence:])),
		Count:           int32(be.Uint32(p[atCount:])),
	}
	if p[atMagic] != 2 {
		return Batch{}, corrupt("magic is %d, want 2", p[atMagic])
	}
	size := Size(p)
	switch {
	case size < HeaderSize:
		return Batch{}, corrupt("length %d is shorter than a header", size-overhead)
	case b.LastOffsetDelta < 0 || b.Count < 0 || int64(b.Count) > int64(b.LastOffsetDelta)+1:
		return Batch{}, corrupt("%d records and last offset delta %d", b.Count, b.LastOffsetDelta)
	case b.Codec() > Zstd:
		return Batch{}, corrupt("codec %d is unknown", b.Codec())
	case size <= int64(len(p)):
		b.Bytes = p[:size:size]
	}
	return b, nil
}

// Size is the length in bytes of the batch that begins p, as its header claims it: at least 12 bytes must be there.
// It is not checked; a client may have written any number.
func Size(p []byte) int64 {
	return int64(int32(binary.BigEndian.Uint32(p[atLength:]))) + overhead
}

// Parse decodes and checks the first batch of p, and gives what follows it. Errors are ErrCorruptBatch.
func Parse(p []byte) (b Batch, rest []byte, err error) {
	b, err = ParseHeader(p)
	if err != nil {
		return Batch{}, nil, err
	}
	if b.Bytes == nil {
		return Batch{}, nil, corrupt("cut short: %d of %d bytes", len(p), Size(p))
	}
	want := binary.BigEndian.Uint32(b.Bytes[atCRC:])
	if got := crc32.Checksum(b.Bytes[atAttributes:], castagnoli); got != want {
		return Batch{}, nil, corrupt("CRC is %08x, want %08x", got, want)
	}
	return b, p[len(b.Bytes):], nil
}

// ParseChecked is Parse for bytes whose CRC was checked before.
func ParseChecked(p []byte) (b Batch, rest []byte, err error) {
	b, err = ParseHeader(p)
	if err == nil && b.Bytes == nil {
		err = corrupt("cut short: %d of %d bytes", len(p), Size(p))
	}
	if err != nil {
		return b, nil, err
	}
	return b, p[len(b.Bytes):], nil
}

// ValidateProduced checks what the log asks of a batch that is appended, beyond Parse: records are there and take dense
// offsets, and the idempotent producer's fields fit each other. Errors are ErrInvalidRecord.
func (b *Batch) ValidateProduced() error {
	switch {
	case b.Count == 0:
		return invalid("the batch is empty")
	case b.Count != b.LastOffsetDelta+1:
		return invalid("%d records take %d offsets", b.Count, b.LastOffsetDelta+1)
	case b.ProducerID >= 0 && !b.Control() && (b.BaseSequence < 0 || b.ProducerEpoch < 0):
		return invalid("producer %d has epoch %d and sequence %d", b.ProducerID, b.ProducerEpoch, b.BaseSequence)
	}
	return nil
}

// SetBaseOffset and SetLeaderEpoch write the two fields that the CRC does not cover.
func SetBaseOffset(batch []byte, offset int64) {
	binary.BigEndian.PutUint64(batch[atBaseOffset:], uint64(offset))
}

// SetLeaderEpoch: see SetBaseOffset.
func SetLeaderEpoch(batch []byte, epoch int32) {
	binary.BigEndian.PutUint32(batch[atLeaderEpoch:], uint32(epoch))
}

// SetProducer makes the batch one of a producer's, numbered from sequence on and in its transaction when transactional is set;
// of nobody's with log.NoProducer and -1. The CRC is made again.
func SetProducer(batch []byte, p log.TxnProducer, sequence int32, transactional bool) {
	be := binary.BigEndian
	attributes := be.Uint16(batch[atAttributes:]) &^ transactionalBit
	if transactional {
		attributes |= transactionalBit
	}
	be.PutUint16(batch[atAttributes:], attributes)
	be.PutUint64(batch[atProducerID:], uint64(p.ID))
	be.PutUint16(batch[atProducerEpoch:], uint16(p.Epoch))
	be.PutUint32(batch[atBaseSequence:], uint32(sequence))
	be.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
}

// SetLogAppendTime gives every record of the batch the log's time (message.timestamp.type=LogAppendTime) in Unix
// milliseconds; the records stay as they are, the CRC is made again.
func SetLogAppendTime(batch []byte, ms int64) {
	be := binary.BigEndian
	be.PutUint16(batch[atAttributes:], be.Uint16(batch[atAttributes:])|logAppendTimeBit)
	be.PutUint64(batch[atMaxTimestamp:], uint64(ms))
	be.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
}

func corrupt(format string, args ...any) error {
	return errs.New(errs.Invalid, "%w: "+format, append([]any{log.ErrCorruptBatch}, args...)...)
}

func invalid(format string, args ...any) error {
	return errs.New(errs.Invalid, "%w: "+format, append([]any{log.ErrInvalidRecord}, args...)...)
}
