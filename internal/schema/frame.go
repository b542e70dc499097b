package schema

import (
	"encoding/binary"

	"github.com/hamba/avro/v2"

	"github.com/miracledb/miracledb/internal/errs"
)

// Confluent's wire format: byte 0, the schema's id as four bytes big-endian, for Protobuf the message's indexes, the payload.
// The indexes are a zigzag varint count and that many zigzag varints; a count of 0 is the one index 0.

// maxIndexes bounds the nesting of a message in its file.
const maxIndexes = 64

// Frame cuts a record's bytes into the schema's id and the payload; ok is false when they do not begin as a frame does.
func Frame(b []byte) (id int32, payload []byte, ok bool) {
	if len(b) < 5 || b[0] != 0 {
		return 0, nil, false
	}
	id = int32(binary.BigEndian.Uint32(b[1:]))
	return id, b[5:], id > 0
}

// AppendFrame begins a record of a schema.
func AppendFrame(dst []byte, id int32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), uint32(id))
}

// first are the indexes of the file's first message.
var first = []int32{0}

// Indexes reads a Protobuf frame's message indexes.
func Indexes(payload []byte) (indexes []int32, rest []byte, err error) {
	count, n := binary.Varint(payload)
	if n <= 0 || count < 0 || count > maxIndexes {
		return nil, nil, errs.SQL("22P03", "malformed Protobuf message indexes")
	}
	payload = payload[n:]
	if count == 0 {
		return first, payload, nil
	}
	indexes = make([]int32, 0, count)
	for range count {
		i, n := binary.Varint(payload)
		if n <= 0 || i < 0 || i > 1<<20 {
			return nil, nil, errs.SQL("22P03", "malformed Protobuf message indexes")
		}
		indexes, payload = append(indexes, int32(i)), payload[n:]
	}
	return indexes, payload, nil
}

// RecordName is the name of the type of a framed payload: the full name of an Avro type or Protobuf message, the title of a
// JSON schema; "" where there is none.
func (s *Schema) RecordName(payload []byte) (string, error) {
	switch s.Type {
	case Avro:
		if named, ok := s.Avro.(avro.NamedSchema); ok {
			return named.FullName(), nil
		}
		return "", nil
	case Protobuf:
		indexes, _, err := Indexes(payload)
		if err != nil {
			return "", err
		}
		m, err := s.Message(indexes)
		if err != nil {
			return "", err
		}
		return string(m.FullName()), nil
	}
	m, _ := s.json.(map[string]any)
	title, _ := m["title"].(string)
	return title, nil
}
