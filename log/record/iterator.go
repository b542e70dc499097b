package record

import "encoding/binary"

// Record is one record of a batch.
type Record struct {
	Offset    int64
	Timestamp int64 // Unix milliseconds
	// Key and Value are nil when null; an empty one is not nil. They alias the iterator's buffer.
	Key, Value []byte
	// Headers alias the iterator too.
	Headers []Header
}

// Header is one header of a record. A nil Value is null.
type Header struct {
	Key, Value []byte
}

// Iterator walks the records of batches. The zero Iterator is ready for Reset; it is reused from batch to batch so that
// it allocates nothing per record, and nothing per batch once its buffer has grown.
//
//	for it.Next() { use(it.Record()) }
//	if err := it.Err(); err != nil { … }
type Iterator struct {
	batch   Batch
	rest    []byte // records not yet read
	left    int32
	record  Record
	err     error
	buffer  []byte // what a compressed batch unfolds into
	headers []Header
}

// Reset begins batch b, unfolding it when it is compressed: at most limit.Decompressed bytes. Records given before are
// no longer valid. Control batches are walked like others: the caller looks at Control.
func (it *Iterator) Reset(b Batch) error {
	it.batch, it.rest, it.left, it.err = b, nil, 0, nil
	if len(b.Bytes) < HeaderSize {
		it.err = corrupt("a header without its records")
		return it.err
	}
	body := b.Bytes[HeaderSize:]
	if b.Codec() != None && b.Count > 0 {
		it.buffer, it.err = decompress(it.buffer[:0], b.Codec(), body)
		if it.err != nil {
			return it.err
		}
		body = it.buffer
	}
	it.rest, it.left = body, b.Count
	return nil
}

// Next reads the next record. It is false after the last one and at an error.
func (it *Iterator) Next() bool {
	if it.err != nil {
		return false
	}
	if it.left == 0 {
		if len(it.rest) != 0 {
			it.err = corrupt("%d bytes after the last record", len(it.rest))
		}
		return false
	}
	size, n := binary.Varint(it.rest)
	if n <= 0 || size < 0 || size > int64(len(it.rest)-n) {
		it.err = corrupt("record with %d more to come is cut short", it.left)
		return false
	}
	body := it.rest[n : n+int(size)]
	it.rest = it.rest[n+int(size):]
	it.left--
	if !it.decode(body) {
		it.err = corrupt("record with %d more to come is malformed", it.left)
		return false
	}
	return true
}

// Record is the record that Next read; valid until the next Reset, its Headers until the next Next.
func (it *Iterator) Record() Record { return it.record }

// Err is what stopped Next before the batch's end: ErrCorruptBatch, or nil.
func (it *Iterator) Err() error { return it.err }

func (it *Iterator) decode(p []byte) bool {
	if len(p) < 1 {
		return false
	}
	p = p[1:] // attributes of a record: unused
	timestamp, n := binary.Varint(p)
	if n <= 0 {
		return false
	}
	p = p[n:]
	delta, n := binary.Varint(p)
	if n <= 0 || delta < 0 || delta > int64(it.batch.LastOffsetDelta) {
		return false
	}
	p = p[n:]
	r := &it.record
	r.Offset = it.batch.BaseOffset + delta
	r.Timestamp = it.batch.BaseTimestamp + timestamp
	if it.batch.LogAppendTime() {
		r.Timestamp = it.batch.MaxTimestamp
	}
	var ok bool
	if r.Key, p, ok = field(p); !ok {
		return false
	}
	if r.Value, p, ok = field(p); !ok {
		return false
	}
	count, n := binary.Varint(p)
	// A header takes at least two bytes, so the count is bounded by the bytes that are there.
	if n <= 0 || count < 0 || count > int64(len(p)-n)/2 {
		return false
	}
	p = p[n:]
	it.headers = it.headers[:0]
	for ; count > 0; count-- {
		var h Header
		if h.Key, p, ok = field(p); !ok || h.Key == nil {
			return false
		}
		if h.Value, p, ok = field(p); !ok {
			return false
		}
		it.headers = append(it.headers, h)
	}
	r.Headers = it.headers
	return len(p) == 0
}

// field reads a length and that many bytes; length -1 is null.
func field(p []byte) (value, rest []byte, ok bool) {
	size, n := binary.Varint(p)
	if n <= 0 || size < -1 || size > int64(len(p)-n) {
		return nil, nil, false
	}
	p = p[n:]
	if size == -1 {
		return nil, p, true
	}
	return p[:size:size], p[size:], true
}
