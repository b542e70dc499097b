package expr

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// recordFunctions are the JSON functions whose columns the query lists, with their pg_proc OIDs.
var recordFunctions = map[string]row.OID{
	"json_to_record": 3204, "json_to_recordset": 3205, "jsonb_to_record": 3490, "jsonb_to_recordset": 3491,
}

// RecordFromJSON is json_to_record, json_to_recordset and their jsonb forms as a query calls them, with the columns of its
// column definition list; nil for any other name. It is a Func of that call alone. Errors: 42846 for a column of a type
// that no text becomes.
func RecordFromJSON(name string, columns []row.Column) (*Func, error) {
	oid, ok := recordFunctions[name]
	if !ok {
		return nil, nil
	}
	arg := row.JSON
	if strings.HasPrefix(name, "jsonb") {
		arg = row.JSONB
	}
	f := &Func{OID: oid, Name: name, Args: []row.OID{arg}, Ret: row.Record, Kind: SetFunc, Volat: Stable, SetColumns: columns}
	readers := make([]jsonReader, len(columns))
	for i, c := range columns {
		var err error
		if readers[i], err = newJSONReader(c.Type); err != nil {
			return nil, err
		}
	}
	record := func(ctx *Ctx, object string) (row.Row, error) {
		r := make(row.Row, len(columns))
		for i, c := range columns {
			part, ok := jsonField(object, c.Name)
			if !ok || jsonbKind(part) == "null" {
				continue
			}
			var err error
			if r[i], err = readers[i](ctx, part); err != nil {
				return nil, err
			}
		}
		return r, nil
	}
	if strings.HasSuffix(name, "set") {
		f.Strict = true
		f.Set = recordsetFromJSON(name, record)
		return f, nil
	}
	f.Set = func(ctx *Ctx, args []row.Value) ([]row.Row, error) {
		if args[0].IsNull() {
			return []row.Row{make(row.Row, len(columns))}, nil
		}
		switch jsonbKind(args[0].Str()) {
		case "object":
		case "array":
			return nil, errs.SQL("22023", "cannot call populate_composite on an array")
		default:
			return nil, errs.SQL("22023", "cannot call populate_composite on a scalar")
		}
		r, err := record(ctx, args[0].Str())
		return []row.Row{r}, err
	}
	return f, nil
}

func recordsetFromJSON(name string, record func(*Ctx, string) (row.Row, error)) func(*Ctx, []row.Value) ([]row.Row, error) {
	return func(ctx *Ctx, args []row.Value) ([]row.Row, error) {
		if jsonbKind(args[0].Str()) != "array" {
			return nil, errs.SQL("22023", "cannot call %s on a non-array", name)
		}
		var out []row.Row
		for _, m := range jsonMembers(args[0].Str()) {
			if jsonbKind(m.value) != "object" {
				return nil, errs.SQL("22023", "argument of %s must be an array of objects", name)
			}
			r, err := record(ctx, m.value)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		return out, nil
	}
}

// jsonReader makes a value of one type of a JSON value's text.
type jsonReader = func(ctx *Ctx, part string) (row.Value, error)

func newJSONReader(t row.Type) (jsonReader, error) {
	elem := t.Element()
	switch {
	case t.OID == row.JSON:
		return func(_ *Ctx, part string) (row.Value, error) { return row.NewText(part), nil }, nil
	case t.OID == row.JSONB:
		return func(_ *Ctx, part string) (row.Value, error) { return jsonb(part) }, nil
	case elem.OID != 0:
		return arrayReader(t, elem)
	}
	return textReader(t)
}

// textReader reads a scalar as its type's input function reads text.
func textReader(t row.Type) (jsonReader, error) {
	cast, err := NewCast(row.T(row.Text), t, Assignment)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, part string) (row.Value, error) {
		v := jsonText(part)
		if v.IsNull() || cast == nil {
			return v, nil
		}
		return cast(ctx, v)
	}, nil
}

func arrayReader(t, elem row.Type) (jsonReader, error) {
	one, err := newJSONReader(elem)
	if err != nil {
		return nil, err
	}
	whole, err := textReader(t)
	if err != nil {
		return nil, err
	}
	return func(ctx *Ctx, part string) (row.Value, error) {
		switch jsonbKind(part) {
		case "array":
		case "null", "string":
			return whole(ctx, part)
		default:
			return row.Null, errs.SQL("22P02", "expected JSON array")
		}
		list := []row.Value{}
		for _, m := range jsonMembers(part) {
			v, err := one(ctx, m.value)
			if err != nil {
				return row.Null, err
			}
			list = append(list, v)
		}
		return row.NewList(list), nil
	}, nil
}
