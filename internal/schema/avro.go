package schema

import (
	"github.com/hamba/avro/v2"

	"github.com/miracledb/miracledb/internal/errs"
)

func (s *Schema) parseAvro() error {
	value, compact, err := generic(s.Text)
	if err != nil {
		return err
	}
	s.Text, s.identity = compact, compact
	cache := &avro.SchemaCache{}
	if err := importAvro(cache, s.Imports, map[*Schema]bool{}); err != nil {
		return err
	}
	if s.Avro, err = avro.ParseWithCache(compact, "", cache); err != nil {
		return errs.New(errs.Invalid, "invalid Avro schema: %w", err)
	}
	s.normal, err = sorted(plainTypes(value))
	return err
}

// importAvro makes the names known that the imports define, theirs first.
func importAvro(cache *avro.SchemaCache, imports []Import, done map[*Schema]bool) error {
	for _, im := range imports {
		if im.Schema.Type != Avro {
			return errs.New(errs.Invalid, "reference %q is no Avro schema", im.Name)
		}
		if done[im.Schema] {
			continue
		}
		done[im.Schema] = true
		if err := importAvro(cache, im.Schema.Imports, done); err != nil {
			return err
		}
		if _, err := avro.ParseWithCache(im.Schema.Text, "", cache); err != nil {
			return errs.New(errs.Invalid, "reference %q: %w", im.Name, err)
		}
	}
	return nil
}

// plainTypes writes {"type": "int"} as "int", wherever a type stands.
func plainTypes(v any) any {
	switch x := v.(type) {
	case map[string]any:
		if name, ok := x["type"].(string); ok && len(x) == 1 {
			return name
		}
		out := make(map[string]any, len(x))
		for k, e := range x {
			switch k {
			case "type", "items", "values", "fields":
				e = plainTypes(e)
			}
			out[k] = e
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plainTypes(e)
		}
		return out
	}
	return v
}
