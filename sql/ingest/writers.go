package ingest

import (
	"context"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/internal/row/schemarow"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/schemas"
	"github.com/miracledb/miracledb/views/catalog"
)

// Writers knows the schemas that records were written with: schemas.Store. An error is a fault of the log, not of a record.
type Writers interface {
	Writer(ctx context.Context, id int32, before log.Position) (*schemas.Content, bool, error)
}

// decoder reads payloads as rows.
type decoder interface {
	Decode(payload []byte) (row.Row, error)
	SetDefault(i int, v row.Value)
}

// maxWriters bounds the compiled decoders of a codec: a producer may name another id, or message, in each record.
const maxWriters = 256

// writerKey names what a decoder is compiled for: a schema's id and, for Protobuf, the message in it.
type writerKey struct {
	id      int32
	message string
}

// framed reads values in the wire format of Confluent's clients: a schema's id, then bytes that this schema explains.
type framed struct {
	writers  Writers
	schema   *row.Schema
	opts     jsonrow.Options
	decoders map[writerKey]decoder
	// broken is why the log could not be read: no record can be judged then.
	broken error
}

func newFramed(w Writers, s *row.Schema, opts jsonrow.Options) *framed {
	return &framed{writers: w, schema: s, opts: opts, decoders: map[writerKey]decoder{}}
}

// find gives the decoder and the payload of a frame. want is the only type of schema that counts, "" any.
func (f *framed) find(value []byte, want schema.Type, at log.Position) (decoder, []byte, error) {
	id, payload, ok := schema.Frame(value)
	if !ok {
		return nil, nil, errs.SQL("22P03", "the record does not begin with a schema id (byte 0 and four bytes of id)")
	}
	if f.writers == nil {
		return nil, nil, errs.SQL("22P03", "schema id %d cannot be looked up", id)
	}
	c, known, err := f.writers.Writer(context.Background(), id, at)
	if err != nil {
		f.broken = err
		return nil, nil, err
	}
	if !known {
		return nil, nil, errs.SQL("22P03", "schema id %d is not registered", id)
	}
	if want != "" && c.Type != want {
		return nil, nil, errs.SQL("22P03", "schema id %d is of type %s, not %s", id, c.Type, want)
	}
	x, err := c.Schema()
	if err != nil {
		return nil, nil, errs.SQL("22P03", "schema id %d cannot be read: %v", id, err)
	}
	key := writerKey{id: id}
	var indexes []int32
	if c.Type == schema.Protobuf {
		rest := payload
		if indexes, payload, err = schema.Indexes(payload); err != nil {
			return nil, nil, err
		}
		key.message = string(rest[:len(rest)-len(payload)])
	}
	if d := f.decoders[key]; d != nil {
		return d, payload, nil
	}
	d, err := f.compile(x, indexes)
	if err != nil {
		return nil, nil, err
	}
	if len(f.decoders) >= maxWriters {
		clear(f.decoders)
	}
	f.decoders[key] = d
	return d, payload, nil
}

func (f *framed) compile(x *schema.Schema, indexes []int32) (decoder, error) {
	switch x.Type {
	case schema.Avro:
		return schemarow.NewAvro(f.schema, f.opts, x)
	case schema.Protobuf:
		m, err := x.Message(indexes)
		if err != nil {
			return nil, err
		}
		return schemarow.NewProtobuf(f.schema, f.opts, m), nil
	}
	return jsonrow.NewDecoder(f.schema, f.opts), nil
}

// formatOf is the type of schema that a relation's values have, "" for JSON, which needs none.
func formatOf(rel *catalog.Relation) schema.Type {
	switch rel.Options["format"] {
	case "avro":
		return schema.Avro
	case "protobuf":
		return schema.Protobuf
	}
	return ""
}

// value decodes a record's value. JSON may have a frame, as Confluent's JSON Schema serializers write it: what it means does
// not depend on its schema.
func (c *Codec) value(value []byte, at Place, timestamp int64) (row.Row, error) {
	d, payload := decoder(c.json), value
	if c.format != "" {
		var err error
		if d, payload, err = c.framed.find(value, c.format, at.Position); err != nil {
			return nil, err
		}
	} else if _, rest, ok := schema.Frame(value); ok {
		payload = rest
	}
	for _, i := range c.arrival {
		d.SetDefault(i, arrivalTime(c.schema.Columns[i].Type, timestamp))
	}
	return d.Decode(payload)
}

// keyValues decodes a record's key: in any spelling of JSON, or in a frame.
func (c *Codec) keyValues(key []byte, at Place) (row.Row, error) {
	if _, _, ok := schema.Frame(key); !ok {
		return c.key.Decode(key)
	}
	d, payload, err := c.framedKey.find(key, "", at.Position)
	if err != nil {
		return nil, err
	}
	if j, ok := d.(*jsonrow.Decoder); ok && j != nil {
		return c.key.Decode(payload)
	}
	return d.Decode(payload)
}
