package schemarow

import (
	"github.com/hamba/avro/v2"
)

// json appends a value as JSON to the arena.
func (r *avroReader) json(n *node) error {
	n, err := r.branch(n)
	if err != nil {
		return err
	}
	switch n.kind {
	case avro.Record:
		return r.object(n)
	case avro.Array, avro.Map:
		open, shut := byte('['), byte(']')
		if n.kind == avro.Map {
			open, shut = '{', '}'
		}
		r.arena = append(r.arena, open)
		first := true
		err := r.blocks(func() error {
			if n.kind == avro.Map {
				key, err := r.bytes()
				if err != nil {
					return err
				}
				k, err := text(key)
				if err != nil {
					return err
				}
				r.appendName(k.Str(), first)
			} else if !first {
				r.arena = append(r.arena, ',')
			}
			first = false
			return r.json(n.items)
		})
		r.arena = append(r.arena, shut)
		return err
	}
	t, v, err := r.scalar(n)
	if err != nil {
		return err
	}
	return r.appendValue(t, v)
}

func (r *avroReader) object(n *node) error {
	if err := r.enter(); err != nil {
		return err
	}
	r.arena = append(r.arena, '{')
	for i := range n.fields {
		r.appendName(n.fields[i].name, i == 0)
		if err := r.json(n.fields[i].typ); err != nil {
			return err
		}
	}
	r.depth--
	r.arena = append(r.arena, '}')
	return r.room()
}

// skip passes over a value.
func (r *avroReader) skip(n *node) error {
	n, err := r.branch(n)
	if err != nil {
		return err
	}
	switch n.kind {
	case avro.Record:
		if err := r.enter(); err != nil {
			return err
		}
		for i := range n.fields {
			if err := r.skip(n.fields[i].typ); err != nil {
				return err
			}
		}
		r.depth--
		return nil
	case avro.Array, avro.Map:
		return r.blocks(func() error {
			if n.kind == avro.Map {
				if _, err := r.bytes(); err != nil {
					return err
				}
			}
			return r.skip(n.items)
		})
	case avro.Int, avro.Long, avro.Enum:
		_, err = r.long()
	case avro.Boolean:
		_, err = r.take(1)
	case avro.Float:
		_, err = r.take(4)
	case avro.Double:
		_, err = r.take(8)
	case avro.String, avro.Bytes:
		_, err = r.bytes()
	case avro.Fixed:
		_, err = r.take(int64(n.size))
	}
	return err
}
