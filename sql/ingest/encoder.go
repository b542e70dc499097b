package ingest

import (
	"slices"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/views/catalog"
)

// batchBytes is where a batch of an encoder ends and the next begins: what Kafka's own producers take for a large one.
const batchBytes = 1 << 20

// Encoder gathers the changes of one transaction as record batches, in the order given.
type Encoder struct {
	now        int64
	partitions func(log.TopicID) int32
	streams    map[log.Partition]*stream
	order      []log.Partition
	shapes     map[*catalog.Relation]*shape
	decoded    Decoded
	buf, key   []byte
}

// shape is how rows of a relation are written.
type shape struct {
	schema *row.Schema
	json   *jsonrow.Encoder
}

// stream is what goes to one partition.
type stream struct {
	builder record.Builder
	batches [][]byte
	records int32
}

// NewEncoder starts an encoder whose records have the timestamp now; partitions tells how many a topic has, rows about how
// many rows come.
func NewEncoder(now time.Time, partitions func(log.TopicID) int32, rows int) *Encoder {
	return &Encoder{decoded: Decoded{Placed: true, Changes: make([]Change, 0, rows)}, now: now.UnixMilli(), partitions: partitions,
		key: make([]byte, 0, 64), streams: map[log.Partition]*stream{}, shapes: map[*catalog.Relation]*shape{}}
}

func (e *Encoder) add(p log.Partition, key, value []byte, headers ...record.Header) (index int32, err error) {
	s := e.streams[p]
	if s == nil {
		s = &stream{}
		e.streams[p] = s
		e.order = append(e.order, p)
	}
	if s.builder.Size()+len(key)+len(value) > batchBytes && s.builder.Count() > 0 {
		if err := s.cut(); err != nil {
			return 0, err
		}
	}
	s.builder.Add(e.now, key, value, headers...)
	s.records++
	return s.records - 1, nil
}

func (s *stream) cut() error {
	b, err := s.builder.Build()
	s.batches = append(s.batches, b)
	return err
}

// Catalog adds a catalog record.
func (e *Encoder) Catalog(r *catalog.Record) error {
	value, err := r.Encode()
	if err == nil {
		_, err = e.add(log.Partition{Topic: log.CatalogTopicID}, r.Key(), value)
	}
	return err
}

// Row adds the change of one row of rel: key is its heap key (nil for append-only relations), r its new value, nil for a
// delete; a delete needs the old row for its canonical key.
func (e *Encoder) Row(rel *catalog.Relation, key []byte, old, r row.Row) error {
	s := e.shapes[rel]
	if s == nil {
		schema := rel.RowSchema()
		s = &shape{schema, jsonrow.NewEncoder(schema)}
		e.shapes[rel] = s
	}
	var recordKey, value []byte
	var headers []record.Header
	if rel.Keyed() {
		src := r
		if src == nil {
			src = old
		}
		e.key = jsonrow.AppendCanonicalKey(e.key[:0], s.schema, src)
		recordKey = e.key
	}
	p := log.Partition{Topic: rel.Topic}
	p.Index = PartitionOf(recordKey, e.partitions(rel.Topic))
	ch := Change{Relation: rel, Key: key, Row: r}
	if r != nil {
		e.buf = s.json.AppendJSON(e.buf[:0], r)
		value = e.buf
		ch.Encoded = encodeRow(r)
		headers = jsonNulls(s.schema, r)
	}
	var err error
	ch.Index, err = e.add(p, recordKey, value, headers...)
	e.decoded.Changes = append(e.decoded.Changes, ch)
	return err
}

// jsonNull is the header that names a column whose value is JSON's null and not SQL's: the field of the record's value
// is null for both, and SQL's is what a producer means by it.
const jsonNull = "miracledb.json-null"

func jsonNulls(s *row.Schema, r row.Row) (hs []record.Header) {
	for i, c := range s.Columns {
		if (c.Type.OID == row.JSON || c.Type.OID == row.JSONB) && !r[i].IsNull() && strings.TrimSpace(r[i].Str()) == "null" {
			hs = append(hs, record.Header{Key: []byte(jsonNull), Value: []byte(c.Name)})
		}
	}
	return hs
}

// Finish gives the batches and their typed form.
func (e *Encoder) Finish() ([]log.PartitionBatch, *Decoded, error) {
	batches := make([]log.PartitionBatch, 0, len(e.order))
	for _, p := range e.order {
		s := e.streams[p]
		if err := s.cut(); err != nil {
			return nil, nil, err
		}
		batches = append(batches, log.PartitionBatch{Partition: p, Batch: join(s.batches)})
	}
	return batches, &e.decoded, nil
}

// join makes one piece of memory of several.
func join(parts [][]byte) []byte {
	if len(parts) == 1 {
		return parts[0]
	}
	return slices.Concat(parts...)
}

// PartitionOf is where Kafka's Java client puts a key in a topic of n partitions.
func PartitionOf(key []byte, n int32) int32 {
	if n <= 1 {
		return 0
	}
	return int32(Murmur2(key)&0x7fffffff) % n
}

// Murmur2 is the hash by which Kafka's Java client spreads keys over partitions
// (org.apache.kafka.common.utils.Utils.murmur2), so that SQL and Kafka clients put a key into the same one.
func Murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
