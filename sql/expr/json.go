package expr

import (
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// maxJSONDepth bounds nesting on the way out.
const maxJSONDepth = 512

// jsonStyle is how json and jsonb write: json has no blanks inside what it makes of arrays and records.
type jsonStyle struct{ comma, colon string }

var (
	compactStyle = jsonStyle{",", ":"}
	linesStyle   = jsonStyle{",\n ", ":"} // at the top only
)

// appendJSON writes a SQL value as JSON.
func appendJSON(ctx *Ctx, dst []byte, t row.Type, v row.Value, style jsonStyle) ([]byte, error) {
	if v.IsNull() {
		return append(dst, "null"...), nil
	}
	switch t.OID {
	case row.JSON, row.JSONB:
		return append(dst, v.Str()...), nil
	case row.TimestampTZ, row.Timestamp:
		s, err := wireText(ctx, t, v)
		s = isoTime(s, t.OID == row.TimestampTZ)
		return row.AppendJSONString(dst, s), err
	}
	switch v.Kind() {
	case row.KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case row.KindInt:
		if !isOIDLike(t.OID) || t.OID == row.Oid {
			if t.OID == row.Oid || t.OID == row.XID {
				return append(append(append(dst, '"'), strconv.FormatInt(v.Int(), 10)...), '"'), nil
			}
			return strconv.AppendInt(dst, v.Int(), 10), nil
		}
	case row.KindFloat, row.KindNumeric:
		s := v.Text(t)
		if v.IsNaN() || v.IsInf() != 0 {
			return row.AppendJSONString(dst, s), nil
		}
		return append(dst, s...), nil
	case row.KindList:
		elem := row.T(row.ElementOf(t.OID))
		dst = append(dst, '[')
		for i, x := range v.List() {
			if i > 0 {
				dst = append(dst, style.comma...)
			}
			et := elem
			if x.Kind() == row.KindList {
				et = t
			}
			var err error
			if dst, err = appendJSON(ctx, dst, et, x, compactStyle); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case row.KindRecord:
		return appendRecordJSON(ctx, dst, nil, v, style)
	}
	s, err := wireText(ctx, t, v)
	return row.AppendJSONString(dst, s), err
}

// isoTime writes a timestamp's text as JSON has it: a T, and minutes in the offset.
func isoTime(s string, zoned bool) string {
	if !strings.Contains(s, ":") {
		return s
	}
	s = strings.Replace(s, " ", "T", 1)
	if zoned {
		if i := strings.LastIndexAny(s, "+-"); i > 0 && len(s)-i == 3 {
			s += ":00"
		}
	}
	return s
}

// recordFields are the names and types of a record's fields, when the expression tells them.
type recordFields struct {
	names []string
	types []row.Type
}

func appendRecordJSON(ctx *Ctx, dst []byte, fields *recordFields, v row.Value, style jsonStyle) ([]byte, error) {
	dst = append(dst, '{')
	for i, x := range v.List() {
		if i > 0 {
			dst = append(dst, style.comma...)
		}
		name, t := "f"+strconv.Itoa(i+1), kindType(x.Kind())
		if fields != nil && i < len(fields.names) && fields.names[i] != "" {
			name = fields.names[i]
		}
		if fields != nil && i < len(fields.types) {
			t = fields.types[i]
		}
		dst = row.AppendJSONString(dst, name)
		dst = append(dst, style.colon...)
		var err error
		if dst, err = appendJSON(ctx, dst, t, x, compactStyle); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// kindType is a type for values that come without one (fields of an anonymous record).
func kindType(k row.Kind) row.Type {
	switch k {
	case row.KindBool:
		return row.T(row.Bool)
	case row.KindInt:
		return row.T(row.Int8)
	case row.KindFloat:
		return row.T(row.Float8)
	case row.KindNumeric:
		return row.T(row.Numeric)
	case row.KindBytes:
		return row.T(row.Bytea)
	case row.KindDate:
		return row.T(row.Date)
	case row.KindTime:
		return row.T(row.Time)
	case row.KindTimeTZ:
		return row.T(row.TimeTZ)
	case row.KindTimestamp:
		return row.T(row.Timestamp)
	case row.KindInterval:
		return row.T(row.Interval)
	case row.KindUUID:
		return row.T(row.UUID)
	case row.KindRecord:
		return row.T(row.Record)
	case row.KindList:
		return row.T(row.ArrayOf(row.Text))
	}
	return row.T(row.Text)
}

// toJSON is to_json, to_jsonb, row_to_json and array_to_json.
func toJSON(binary bool) binder {
	return func(types []row.Type, _ row.Type) evalFunc {
		return func(ctx *Ctx, args []row.Value) (row.Value, error) {
			style := compactStyle
			if len(args) > 1 && args[1].Bool() {
				style = linesStyle
			}
			out, err := appendJSON(ctx, nil, types[0], args[0], style)
			if err != nil {
				return row.Null, err
			}
			if binary {
				return jsonb(string(out))
			}
			return row.NewText(string(out)), nil
		}
	}
}

func buildArray(binary bool) binder {
	return func(types []row.Type, _ row.Type) evalFunc {
		return func(ctx *Ctx, args []row.Value) (row.Value, error) {
			out := []byte{'['}
			for i, a := range args {
				if i > 0 {
					out = append(out, ", "...)
				}
				var err error
				if out, err = appendJSON(ctx, out, typeAt(types, i), a, compactStyle); err != nil {
					return row.Null, err
				}
			}
			out = append(out, ']')
			if binary {
				return jsonb(string(out))
			}
			return row.NewText(string(out)), nil
		}
	}
}

func buildObject(binary bool) binder {
	return func(types []row.Type, _ row.Type) evalFunc {
		return func(ctx *Ctx, args []row.Value) (row.Value, error) {
			if len(args)%2 != 0 {
				return row.Null, errs.SQL("22023", "argument list must have even number of elements").
					WithHint("The arguments of %s must consist of alternating keys and values.", map[bool]string{true: "jsonb_build_object()", false: "json_build_object()"}[binary])
			}
			out := []byte{'{'}
			for i := 0; i < len(args); i += 2 {
				if i > 0 {
					out = append(out, ", "...)
				}
				var err error
				if out, err = appendPair(ctx, out, typeAt(types, i), args[i], typeAt(types, i+1), args[i+1], i+1); err != nil {
					return row.Null, err
				}
			}
			out = append(out, '}')
			if binary {
				return jsonb(string(out))
			}
			return row.NewText(string(out)), nil
		}
	}
}

func appendPair(ctx *Ctx, out []byte, kt row.Type, k row.Value, vt row.Type, v row.Value, n int) ([]byte, error) {
	if k.IsNull() {
		return nil, errs.SQL("22023", "argument %d cannot be null", n).WithHint("Object keys should be text.")
	}
	key, err := wireText(ctx, kt, k)
	if err != nil {
		return nil, err
	}
	if kt.OID == row.Bool {
		key = strconv.FormatBool(k.Bool())
	}
	out = row.AppendJSONString(out, key)
	out = append(out, " : "...)
	return appendJSON(ctx, out, vt, v, compactStyle)
}

// jsonObject is json_object of text arrays.
func jsonObject(binary bool) func([]row.Value) (row.Value, error) {
	return func(args []row.Value) (row.Value, error) {
		keys, values := args[0].List(), []row.Value(nil)
		if len(args) > 1 {
			if values = args[1].List(); len(values) != len(keys) {
				return row.Null, errs.SQL("2202E", "mismatched array dimensions")
			}
		} else {
			flat := flatten(args[0])
			if len(flat)%2 != 0 {
				return row.Null, errs.SQL("2202E", "array must have even number of elements")
			}
			keys = nil
			for i := 0; i < len(flat); i += 2 {
				keys, values = append(keys, flat[i]), append(values, flat[i+1])
			}
		}
		out := []byte{'{'}
		for i := range keys {
			if keys[i].IsNull() {
				return row.Null, errs.SQL("22004", "null value not allowed for object key")
			}
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(row.AppendJSONString(out, keys[i].Str()), " : "...)
			if values[i].IsNull() {
				out = append(out, "null"...)
			} else {
				out = row.AppendJSONString(out, values[i].Str())
			}
		}
		out = append(out, '}')
		if binary {
			return jsonb(string(out))
		}
		return row.NewText(string(out)), nil
	}
}

// elementsOf lists an array's elements as rows.
func elementsOf(name string, text bool) func(*Ctx, []row.Value) ([]row.Row, error) {
	return func(_ *Ctx, args []row.Value) ([]row.Row, error) {
		switch kind := jsonbKind(args[0].Str()); kind {
		case "array":
		case "object":
			return nil, errs.SQL("22023", "cannot %s from an object", name)
		default:
			return nil, errs.SQL("22023", "cannot %s from a scalar", name)
		}
		var out []row.Row
		for _, m := range jsonMembers(args[0].Str()) {
			out = append(out, row.Row{jsonPart(m.value, true, text)})
		}
		return out, nil
	}
}

func eachOf(text bool) func(*Ctx, []row.Value) ([]row.Row, error) {
	return func(_ *Ctx, args []row.Value) ([]row.Row, error) {
		if kind := jsonbKind(args[0].Str()); kind != "object" {
			return nil, errs.SQL("22023", "cannot deconstruct a scalar or an array")
		}
		var out []row.Row
		for _, m := range jsonMembers(args[0].Str()) {
			out = append(out, row.Row{row.NewText(m.key), jsonPart(m.value, true, text)})
		}
		return out, nil
	}
}

func objectKeys(name string) func(*Ctx, []row.Value) ([]row.Row, error) {
	return func(_ *Ctx, args []row.Value) ([]row.Row, error) {
		switch kind := jsonbKind(args[0].Str()); kind {
		case "object":
		case "array":
			return nil, errs.SQL("22023", "cannot call %s on an array", name)
		default:
			return nil, errs.SQL("22023", "cannot call %s on a scalar", name)
		}
		var out []row.Row
		for _, m := range jsonMembers(args[0].Str()) {
			out = append(out, row.Row{row.NewText(m.key)})
		}
		return out, nil
	}
}

func jsonArrayLength(a row.Value) (row.Value, error) {
	switch jsonbKind(a.Str()) {
	case "array":
		return row.NewInt(int64(len(jsonMembers(a.Str())))), nil
	case "object":
		return row.Null, errs.SQL("22023", "cannot get array length of a non-array")
	}
	return row.Null, errs.SQL("22023", "cannot get array length of a scalar")
}

func jsonbPretty(a row.Value) (row.Value, error) {
	var out strings.Builder
	prettyJSON(&out, a.Str(), 0)
	return row.NewText(out.String()), nil
}

func prettyJSON(out *strings.Builder, s string, depth int) {
	kind := jsonbKind(s)
	if kind != "object" && kind != "array" || depth > maxJSONDepth {
		out.WriteString(s)
		return
	}
	list := jsonMembers(s)
	open, shut := "[", "]"
	if kind == "object" {
		open, shut = "{", "}"
	}
	out.WriteString(open)
	for i, m := range list {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n" + strings.Repeat("    ", depth+1))
		if kind == "object" {
			out.WriteString(jsonQuote(m.key) + ": ")
		}
		prettyJSON(out, m.value, depth+1)
	}
	out.WriteString("\n" + strings.Repeat("    ", depth) + shut)
}

func hasKey(a, b row.Value) (row.Value, error) {
	return row.NewBool(jsonbHasKey(a.Str(), b.Str())), nil
}

func containsJSON(a, b row.Value) (row.Value, error) {
	return row.NewBool(jsonbContains(a.Str(), b.Str())), nil
}

// jsons holds the JSON functions and operators (PostgreSQL 9.16), jsonpath excepted.
var jsons = jsonDefs()

func jsonDefs() []def {
	var defs []def
	for _, t := range []string{"json", "jsonb"} {
		b := t == "jsonb"
		defs = append(defs, []def{
			{"->(" + t + ",text) " + t, 0, jsonGetField(false)},
			{"->(" + t + ",int4) " + t, 0, jsonGetElement(false, b)},
			{"->>(" + t + ",text) text", 0, jsonGetField(true)},
			{"->>(" + t + ",int4) text", 0, jsonGetElement(true, b)},
			{"#>(" + t + ",_text) " + t, 0, jsonGetPath(false)},
			{"#>>(" + t + ",_text) text", 0, jsonGetPath(true)},
			{t + "_object_field(" + t + ",text) " + t, 0, jsonGetField(false)},
			{t + "_object_field_text(" + t + ",text) text", 0, jsonGetField(true)},
			{t + "_array_element(" + t + ",int4) " + t, 0, jsonGetElement(false, b)},
			{t + "_array_element_text(" + t + ",int4) text", 0, jsonGetElement(true, b)},
			{t + "_extract_path(" + t + ",variadic text) " + t, 0, jsonExtractPath(false)},
			{t + "_extract_path_text(" + t + ",variadic text) text", 0, jsonExtractPath(true)},
			{"to_" + t + "(anyelement) " + t, stable, toJSON(b)},
			{t + "_build_array() " + t, stable | nullable, buildArray(b)},
			{t + "_build_array(variadic any) " + t, stable | nullable, buildArray(b)},
			{t + "_build_object() " + t, stable | nullable, buildObject(b)},
			{t + "_build_object(variadic any) " + t, stable | nullable, buildObject(b)},
			{t + "_object(_text) " + t, 0, jsonObject(b)},
			{t + "_object(_text,_text) " + t, 0, jsonObject(b)},
			{t + "_array_length(" + t + ") int4", 0, jsonArrayLength},
			{t + "_typeof(" + t + ") text", 0, texts(jsonbKind)},
			{t + "_array_elements(" + t + ") " + t, 0, setFunc{columns: "value " + t, set: elementsOf("extract elements", false)}},
			{t + "_array_elements_text(" + t + ") text", 0, setFunc{columns: "value text", set: elementsOf("extract elements", true)}},
			{t + "_each(" + t + ") record", 0, setFunc{columns: "key text, value " + t, set: eachOf(false)}},
			{t + "_each_text(" + t + ") record", 0, setFunc{columns: "key text, value text", set: eachOf(true)}},
			{t + "_object_keys(" + t + ") text", 0, setFunc{set: objectKeys(t + "_object_keys")}},
			{t + "_strip_nulls(" + t + ") " + t, 0, texts(stripNullsAs(b))},
		}...)
	}
	return append(defs, []def{
		{"row_to_json(record) json", stable, toJSON(false)},
		{"row_to_json(record,bool) json", stable, toJSON(false)},
		{"array_to_json(anyarray) json", stable, toJSON(false)},
		{"array_to_json(anyarray,bool) json", stable, toJSON(false)},
		{"@>(jsonb,jsonb) bool", 0, containsJSON},
		{"<@(jsonb,jsonb) bool", 0, flipped(containsJSON)},
		{"?(jsonb,text) bool", 0, hasKey},
		{"?|(jsonb,_text) bool", 0, jsonbHasKeys(false)},
		{"?&(jsonb,_text) bool", 0, jsonbHasKeys(true)},
		{"||(jsonb,jsonb) jsonb", 0, jsonbConcat},
		{"-(jsonb,text) jsonb", 0, jsonbDeleteKey},
		{"-(jsonb,_text) jsonb", 0, jsonbDeleteKeys},
		{"-(jsonb,int4) jsonb", 0, jsonbDeleteIndex},
		{"#-(jsonb,_text) jsonb", 0, jsonbDeletePath},
		{"jsonb_set(jsonb,_text,jsonb) jsonb", defaulted, jsonbSet},
		{"jsonb_set(jsonb,_text,jsonb,bool) jsonb", 0, jsonbSet},
		{"jsonb_insert(jsonb,_text,jsonb) jsonb", defaulted, jsonbInsert},
		{"jsonb_insert(jsonb,_text,jsonb,bool) jsonb", 0, jsonbInsert},
		{"jsonb_pretty(jsonb) text", 0, jsonbPretty},
	}...)
}

// stripNullsAs writes json compactly and jsonb in its normal form.
func stripNullsAs(binary bool) func(string) string {
	return func(s string) string {
		out := stripNulls(s)
		if binary {
			return out
		}
		return compactJSON(out)
	}
}

// compactJSON drops the blanks between tokens.
func compactJSON(s string) string {
	kind := jsonbKind(s)
	if kind != "object" && kind != "array" {
		return s
	}
	var out strings.Builder
	for i, m := range jsonMembers(s) {
		if i > 0 {
			out.WriteByte(',')
		}
		if kind == "object" {
			out.WriteString(jsonQuote(m.key) + ":")
		}
		out.WriteString(compactJSON(m.value))
	}
	if kind == "object" {
		return "{" + out.String() + "}"
	}
	return "[" + out.String() + "]"
}
