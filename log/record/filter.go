package record

import (
	"encoding/binary"
	"hash/crc32"
)

const deleteHorizonBit = 0x40

// DeleteHorizon is the time (Unix milliseconds) from which on compaction may remove the batch's tombstones or marker; ok
// is false when compaction has not met them yet (KIP-534).
func (b *Batch) DeleteHorizon() (ms int64, ok bool) {
	return b.BaseTimestamp, b.Attributes&deleteHorizonBit != 0
}

// Filter makes the batch that is left of b when only the records that keep says stay: their offsets, the batch's offsets,
// sequences and producer are as before. A horizon that is not 0 is stamped as its delete horizon. When all records stay
// and nothing is stamped it gives b's own bytes. it is where the records are unfolded.
func Filter(b Batch, it *Iterator, horizon int64, keep func(Record) bool) ([]byte, error) {
	if err := it.Reset(b); err != nil {
		return nil, err
	}
	baseTimestamp, maxTimestamp := b.BaseTimestamp, int64(-1)
	if horizon != 0 {
		baseTimestamp = horizon
	}
	var body []byte
	count := int32(0)
	for it.Next() {
		r := it.Record()
		if !keep(r) {
			continue
		}
		body = appendRecord(body, r.Timestamp-baseTimestamp, r.Offset-b.BaseOffset, r.Key, r.Value, r.Headers)
		maxTimestamp = max(maxTimestamp, r.Timestamp)
		count++
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	if count == b.Count && horizon == 0 {
		return b.Bytes, nil
	}
	if count == 0 {
		maxTimestamp = b.MaxTimestamp
	}
	return b.rebuild(body, count, baseTimestamp, maxTimestamp, horizon != 0)
}

// rebuild makes b anew around other records.
func (b *Batch) rebuild(body []byte, count int32, baseTimestamp, maxTimestamp int64, stamped bool) ([]byte, error) {
	p := make([]byte, HeaderSize, HeaderSize+len(body))
	copy(p, b.Bytes[:HeaderSize])
	be := binary.BigEndian
	attributes := uint16(b.Attributes)
	if stamped {
		attributes |= deleteHorizonBit
	}
	if count == 0 {
		attributes &^= codecMask
	}
	p, err := compress(p, Codec(attributes&codecMask), body)
	if err != nil {
		return nil, err
	}
	be.PutUint32(p[atLength:], uint32(len(p)-overhead))
	be.PutUint16(p[atAttributes:], attributes)
	be.PutUint64(p[atBaseTimestamp:], uint64(baseTimestamp))
	be.PutUint64(p[atMaxTimestamp:], uint64(maxTimestamp))
	be.PutUint32(p[atCount:], uint32(count))
	be.PutUint32(p[atCRC:], crc32.Checksum(p[atAttributes:], castagnoli))
	return p, nil
}
