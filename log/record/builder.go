package record

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
)

// Builder makes record batches. The zero Builder makes uncompressed ones without a producer; it is reused from batch to
// batch.
type Builder struct {
	// Codec compresses the records of each batch.
	Codec Codec

	body          []byte
	count         int32
	baseTimestamp int64
	maxTimestamp  int64
	producer      producer
	attributes    uint16
}

type producer struct {
	set      bool
	id       int64
	epoch    int16
	sequence int32
}

// Add appends one record: timestamp in Unix milliseconds, nil key or value = null. The bytes are copied.
func (b *Builder) Add(timestamp int64, key, value []byte, headers ...Header) {
	if b.count == 0 {
		b.baseTimestamp, b.maxTimestamp = timestamp, timestamp
	}
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
	b.body = appendRecord(b.body, timestamp-b.baseTimestamp, int64(b.count), key, value, headers)
	b.count++
}

// appendRecord encodes a record: its timestamp and offset relative to the batch's.
func appendRecord(p []byte, timestamp, offset int64, key, value []byte, headers []Header) []byte {
	size := 1 + varintSize(timestamp) + varintSize(offset) + fieldSize(key) + fieldSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + fieldSize(h.Value)
	}
	p = binary.AppendVarint(p, int64(size))
	p = append(p, 0)
	p = binary.AppendVarint(p, timestamp)
	p = binary.AppendVarint(p, offset)
	p = appendField(p, key)
	p = appendField(p, value)
	p = binary.AppendVarint(p, int64(len(headers)))
	for _, h := range headers {
		p = binary.AppendVarint(p, int64(len(h.Key)))
		p = append(p, h.Key...)
		p = appendField(p, h.Value)
	}
	return p
}

// Producer marks the next batch as an idempotent producer's.
func (b *Builder) Producer(id int64, epoch int16, sequence int32) {
	b.producer = producer{true, id, epoch, sequence}
}

// Count is the number of records added since the last Build.
func (b *Builder) Count() int { return int(b.count) }

// Size is the length of the batch in bytes before compression.
func (b *Builder) Size() int { return HeaderSize + len(b.body) }

// Build gives the batch and empties the builder. The bytes are the caller's. A batch over limit.Decompressed is refused
// with ErrTooLarge, one without records with ErrInvalidRecord.
func (b *Builder) Build() ([]byte, error) {
	defer b.reset()
	if b.count == 0 {
		return nil, invalid("the batch is empty")
	}
	if len(b.body) > int(limit.Decompressed) {
		return nil, errs.New(errs.Limit, "%w: batch of %d bytes, over the limit of %v", log.ErrTooLarge, len(b.body), limit.Decompressed)
	}
	capacity := HeaderSize + len(b.body)
	if b.Codec != None {
		capacity = HeaderSize + len(b.body)/2
	}
	p := make([]byte, HeaderSize, capacity)
	p, err := compress(p, b.Codec, b.body)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	be.PutUint32(p[atLength:], uint32(len(p)-overhead))
	be.PutUint32(p[atLeaderEpoch:], ^uint32(0))
	p[atMagic] = 2
	be.PutUint16(p[atAttributes:], uint16(b.Codec)|b.attributes)
	be.PutUint32(p[atLastOffsetDelta:], uint32(b.count-1))
	be.PutUint64(p[atBaseTimestamp:], uint64(b.baseTimestamp))
	be.PutUint64(p[atMaxTimestamp:], uint64(b.maxTimestamp))
	pr := b.producer
	if !pr.set {
		pr.id, pr.epoch, pr.sequence = -1, -1, -1
	}
	be.PutUint64(p[atProducerID:], uint64(pr.id))
	be.PutUint16(p[atProducerEpoch:], uint16(pr.epoch))
	be.PutUint32(p[atBaseSequence:], uint32(pr.sequence))
	be.PutUint32(p[atCount:], uint32(b.count))
	be.PutUint32(p[atCRC:], crc32.Checksum(p[atAttributes:], castagnoli))
	return p, nil
}

func (b *Builder) reset() {
	b.body, b.count, b.producer, b.attributes = b.body[:0], 0, producer{}, 0
}

func varintSize(v int64) int {
	return (bits.Len64(uint64(v<<1^v>>63)|1) + 6) / 7
}

func fieldSize(p []byte) int {
	if p == nil {
		return 1
	}
	return varintSize(int64(len(p))) + len(p)
}

func appendField(dst, p []byte) []byte {
	if p == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(p)))
	return append(dst, p...)
}
