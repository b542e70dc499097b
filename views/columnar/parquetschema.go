package columnar

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go"

	"github.com/miracledb/miracledb/internal/errs"
)

// orderedGroup is a parquet.Group whose fields keep their order: Group sorts them by name.
type orderedGroup struct {
	parquet.Group
	names []string
}

// namedField is a field of an orderedGroup.
type namedField struct {
	parquet.Field
}

func (g orderedGroup) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	fields := make([]parquet.Field, len(g.names))
	for i, name := range g.names {
		fields[i] = namedField{byName[name]}
	}
	return fields
}

// parquetSchema gives the Parquet schema of an Arrow one: the same columns in the same order, of the types that DuckDB
// reads back as PostgreSQL's.
func parquetSchema(schema *arrow.Schema) (*parquet.Schema, error) {
	g := orderedGroup{Group: parquet.Group{}}
	for i, f := range schema.Fields() {
		node, err := parquetNode(f)
		if err != nil {
			return nil, err
		}
		if _, twice := g.Group[f.Name]; twice {
			return nil, errs.New(errs.Invalid, "columnar: two columns are named %q", f.Name)
		}
		g.Group[f.Name] = parquet.FieldID(node, i+1)
		g.names = append(g.names, f.Name)
	}
	return parquet.NewSchema("row", g), nil
}

func parquetNode(f arrow.Field) (parquet.Node, error) {
	if list, ok := f.Type.(*arrow.ListType); ok {
		if _, nested := list.Elem().(*arrow.ListType); !nested {
			elem, err := leafNode(arrow.Field{Name: f.Name, Type: list.Elem(), Metadata: list.ElemField().Metadata})
			if err != nil {
				return nil, err
			}
			return parquet.Optional(parquet.List(parquet.Optional(elem))), nil
		}
	}
	leaf, err := leafNode(f)
	if err != nil {
		return nil, err
	}
	if f.Nullable {
		leaf = parquet.Optional(leaf)
	}
	return leaf, nil
}

func leafNode(f arrow.Field) (parquet.Node, error) {
	node, dictionary := plainNode(f)
	if node == nil {
		return nil, errs.New(errs.Unsupported, "columnar: column %q of type %v cannot be stored", f.Name, f.Type)
	}
	if dictionary {
		node = parquet.Encoded(node, &parquet.RLEDictionary)
	}
	return node, nil
}

// plainNode gives the leaf for a type, nil when there is none, and whether a dictionary is worth trying: not for floats
// and booleans.
func plainNode(f arrow.Field) (node parquet.Node, dictionary bool) {
	switch t := f.Type.(type) {
	case *arrow.BooleanType:
		return parquet.Leaf(parquet.BooleanType), false
	case *arrow.Int8Type:
		return parquet.Int(8), true
	case *arrow.Int16Type:
		return parquet.Int(16), true
	case *arrow.Int32Type:
		return parquet.Int(32), true
	case *arrow.Int64Type:
		return parquet.Int(64), true
	case *arrow.Uint32Type:
		return parquet.Uint(32), true
	case *arrow.Uint64Type:
		return parquet.Uint(64), true
	case *arrow.Float32Type:
		return parquet.Leaf(parquet.FloatType), false
	case *arrow.Float64Type:
		return parquet.Leaf(parquet.DoubleType), false
	case *arrow.StringType:
		return parquet.String(), true
	case *arrow.BinaryType:
		return parquet.Leaf(parquet.ByteArrayType), true
	case *arrow.Date32Type:
		return parquet.Date(), true
	case *arrow.Time64Type:
		if t.Unit == arrow.Microsecond {
			return parquet.TimeAdjusted(parquet.Microsecond, false), true
		}
	case *arrow.TimestampType:
		if t.Unit == arrow.Microsecond {
			return parquet.TimestampAdjusted(parquet.Microsecond, t.TimeZone != ""), true
		}
	case *arrow.Decimal128Type:
		switch {
		case t.Precision <= 9:
			return parquet.Decimal(int(t.Scale), int(t.Precision), parquet.Int32Type), true
		case t.Precision <= 18:
			return parquet.Decimal(int(t.Scale), int(t.Precision), parquet.Int64Type), true
		}
		return parquet.Decimal(int(t.Scale), int(t.Precision), parquet.FixedLenByteArrayType(16)), true
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth == 16 && isUUID(f) {
			return parquet.UUID(), true
		}
		return parquet.Leaf(parquet.FixedLenByteArrayType(t.ByteWidth)), true
	case *arrow.MonthDayNanoIntervalType:
		// Parquet's INTERVAL has milliseconds only; 16 bytes (months, days int32, nanoseconds int64, little-endian) lose
		// nothing.
		return parquet.Leaf(parquet.FixedLenByteArrayType(16)), true
	}
	return nil, false
}

// isUUID reports whether a field is Arrow's uuid extension, as storage with field metadata or as a type.
func isUUID(f arrow.Field) bool {
	name, _ := f.Metadata.GetValue("ARROW:extension:name")
	return name == "arrow.uuid" || name == "uuid"
}
