package columnar

import (
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
)

// manifestField is a column in the manifest. It is our own form, not Arrow's IPC schema, whose reader takes 64 GiB for
// a damaged one.
type manifestField struct {
	Name     string      `json:"name"`
	Type     string      `json:"type"`
	Nullable bool        `json:"nullable,omitempty"`
	Metadata [][2]string `json:"metadata,omitempty"`

	Precision int32          `json:"precision,omitempty"` // decimal
	Scale     int32          `json:"scale,omitempty"`     // decimal
	Width     int            `json:"width,omitempty"`     // fixed
	Zone      string         `json:"zone,omitempty"`      // timestamp
	Element   *manifestField `json:"element,omitempty"`   // list
}

// plainTypes are the types without parameters, by their name in the manifest.
var plainTypes = map[string]arrow.DataType{
	"bool": arrow.FixedWidthTypes.Boolean,
	"int8": arrow.PrimitiveTypes.Int8, "int16": arrow.PrimitiveTypes.Int16,
	"int32": arrow.PrimitiveTypes.Int32, "int64": arrow.PrimitiveTypes.Int64,
	"uint32": arrow.PrimitiveTypes.Uint32, "uint64": arrow.PrimitiveTypes.Uint64,
	"float32": arrow.PrimitiveTypes.Float32, "float64": arrow.PrimitiveTypes.Float64,
	"string": arrow.BinaryTypes.String, "binary": arrow.BinaryTypes.Binary,
	"date32": arrow.FixedWidthTypes.Date32, "time64us": arrow.FixedWidthTypes.Time64us,
	"interval": arrow.FixedWidthTypes.MonthDayNanoInterval,
}

func encodeSchema(s *arrow.Schema) ([]manifestField, error) {
	fields := make([]manifestField, s.NumFields())
	for i, f := range s.Fields() {
		var err error
		if fields[i], err = encodeField(f); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func encodeField(f arrow.Field) (manifestField, error) {
	m := manifestField{Name: f.Name, Nullable: f.Nullable}
	for i, k := range f.Metadata.Keys() {
		m.Metadata = append(m.Metadata, [2]string{k, f.Metadata.Values()[i]})
	}
	switch t := f.Type.(type) {
	case *arrow.Decimal128Type:
		m.Type, m.Precision, m.Scale = "decimal", t.Precision, t.Scale
	case *arrow.FixedSizeBinaryType:
		m.Type, m.Width = "fixed", t.ByteWidth
	case *arrow.TimestampType:
		m.Type, m.Zone = "timestamp", t.TimeZone
	case *arrow.ListType:
		elem, err := encodeField(t.ElemField())
		if err != nil {
			return m, err
		}
		m.Type, m.Element = "list", &elem
	default:
		for name, plain := range plainTypes {
			if arrow.TypeEqual(plain, f.Type) {
				m.Type = name
			}
		}
	}
	if m.Type == "" {
		return m, fmt.Errorf("column %q has the type %v, which is not stored", f.Name, f.Type)
	}
	return m, nil
}

func decodeSchema(fields []manifestField) (*arrow.Schema, error) {
	all := make([]arrow.Field, len(fields))
	for i, m := range fields {
		var err error
		if all[i], err = decodeField(m, true); err != nil {
			return nil, err
		}
	}
	schema := arrow.NewSchema(all, nil)
	_, err := parquetSchema(schema)
	return schema, err
}

func decodeField(m manifestField, listAllowed bool) (f arrow.Field, err error) {
	f = arrow.Field{Name: m.Name, Nullable: m.Nullable}
	var keys, values []string
	for _, kv := range m.Metadata {
		keys, values = append(keys, kv[0]), append(values, kv[1])
	}
	if keys != nil {
		f.Metadata = arrow.NewMetadata(keys, values)
	}
	switch {
	case m.Type == "decimal" && m.Precision > 0 && m.Precision <= 38 && m.Scale >= 0 && m.Scale <= m.Precision:
		f.Type = &arrow.Decimal128Type{Precision: m.Precision, Scale: m.Scale}
	case m.Type == "fixed" && m.Width > 0 && m.Width <= 1<<20:
		f.Type = &arrow.FixedSizeBinaryType{ByteWidth: m.Width}
	case m.Type == "timestamp":
		f.Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: m.Zone}
	case m.Type == "list" && m.Element != nil && listAllowed:
		elem, err := decodeField(*m.Element, false)
		if err != nil {
			return f, err
		}
		f.Type = arrow.ListOfField(elem)
	case plainTypes[m.Type] != nil:
		f.Type = plainTypes[m.Type]
	default:
		return f, errors.New("column " + m.Name + " has the unknown type " + m.Type)
	}
	return f, nil
}
