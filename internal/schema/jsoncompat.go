package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unsafe"
)

// jsonComparison decides whether each value that the writer's schema allows is allowed by the reader's. What it cannot
// decide keyword by keyword must be the same in both.
type jsonComparison struct {
	*comparison
	reader, writer any // the roots, for $ref
}

func jsonReads(w *work, reader, writer any) []fault {
	c := &jsonComparison{newComparison(w), reader, writer}
	return under("#", c.allows(reader, writer))
}

// allows gives the reasons why reader does not allow all that writer does.
func (c *jsonComparison) allows(reader, writer any) []fault {
	if c.err != nil {
		return given
	}
	if writer == false || reader == true {
		return nil
	}
	if reader == false {
		return []fault{here("nothing is allowed any more")}
	}
	r, w := c.follow(c.reader, reader), c.follow(c.writer, writer)
	if len(r) == 0 {
		return nil
	}
	return c.once(pair{identity(r), identity(w)}, func() []fault { return c.compare(r, w) })
}

// identity tells objects apart; as long as it is held no other object gets it.
func identity(m map[string]any) unsafe.Pointer { return reflect.ValueOf(m).UnsafePointer() }

// asWritten are the keywords that must be the same.
var asWritten = []string{"pattern", "not", "if", "then", "else", "patternProperties", "propertyNames", "dependencies", "dependentRequired",
	"dependentSchemas", "contains", "prefixItems", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "format", "$ref"}

func (c *jsonComparison) compare(r, w map[string]any) []fault {
	if !c.spend(len(r) + len(w)) {
		return given
	}
	if done, faults := c.combined(r, w); done {
		return faults
	}
	faults := c.types(r, w)
	faults = add(faults, c.values(r, w)...)
	faults = add(faults, bounds(r, w)...)
	faults = add(faults, c.items(r, w)...)
	faults = add(faults, c.properties(r, w)...)
	for _, k := range asWritten {
		if v, has := r[k]; has && c.text(v) != c.text(w[k]) {
			faults = add(faults, here(k+" was added or changed"))
		}
	}
	return faults
}

// follow gives a schema as an object, its local $refs resolved.
func (c *jsonComparison) follow(root, v any) (m map[string]any) {
	for range 32 {
		m, _ = v.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok || !c.spend(1+len(ref)/textWork) {
			return m
		}
		to, found := pointer(root, ref)
		if !found {
			return m // of another schema: compared as it is written
		}
		v = to
	}
	return m
}

// pointer resolves a local reference (RFC 6901 in a fragment).
func pointer(root any, ref string) (any, bool) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if part == "" {
			continue
		}
		m, isObject := root.(map[string]any)
		if root, ok = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]; !isObject || !ok {
			return nil, false
		}
	}
	return root, true
}

func list(m map[string]any, key string) []any {
	l, _ := m[key].([]any)
	return l
}

// combined compares schemas of which one is a combination; done is false when neither is.
func (c *jsonComparison) combined(r, w map[string]any) (done bool, faults []fault) {
	for _, k := range []string{"anyOf", "oneOf"} {
		if parts := list(w, k); parts != nil {
			for i, part := range parts {
				if found := c.allows(r, c.with(w, k, part)); found != nil {
					faults = add(faults, under(fmt.Sprintf("/%s/%d", k, i), found)...)
				}
			}
			return true, faults
		}
	}
	if parts := list(w, "allOf"); parts != nil && list(r, "allOf") == nil {
		for _, part := range parts {
			if c.allows(r, c.with(w, "allOf", part)) == nil {
				return true, nil
			}
		}
		return true, []fault{here("no part of allOf is enough")}
	}
	for _, k := range []string{"anyOf", "oneOf"} {
		if parts := list(r, k); parts != nil {
			for _, part := range parts {
				if c.allows(c.with(r, k, part), w) == nil {
					return true, nil
				}
			}
			return true, []fault{here("no part of " + k + " allows what was allowed")}
		}
	}
	if parts := list(r, "allOf"); parts != nil {
		for i, part := range parts {
			allowed := c.allows(part, w)
			for _, old := range list(w, "allOf") {
				if allowed == nil {
					break
				}
				allowed = c.allows(part, old)
			}
			if allowed != nil {
				faults = add(faults, under(fmt.Sprintf("/allOf/%d", i), allowed)...)
			}
		}
		return true, faults
	}
	return false, nil
}

// with is m with one part in the place of its combination, where m says something beside it.
func (c *jsonComparison) with(m map[string]any, key string, part any) any {
	p, ok := part.(map[string]any)
	if !ok || !c.spend(len(m)+len(p)) {
		return part
	}
	out := map[string]any{}
	for k, v := range m {
		switch k {
		case key, "title", "description", "$schema", "$id", "definitions", "$defs", "default", "examples":
		default:
			out[k] = v
		}
	}
	for k, v := range p {
		out[k] = v
	}
	return out
}

var allTypes = []string{"array", "boolean", "integer", "null", "number", "object", "string"}

func typesOf(m map[string]any) []string {
	switch t := m["type"].(type) {
	case string:
		return []string{t}
	case []any:
		return texts(t)
	}
	return allTypes
}

// texts gives what is text in a list: where a $ref leads to need be no schema.
func texts(list []any) (out []string) {
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (c *jsonComparison) types(r, w map[string]any) (faults []fault) {
	if _, has := r["type"]; !has {
		return nil
	}
	have := typesOf(r)
	for _, t := range typesOf(w) {
		if slices.Contains(have, t) || t == "integer" && slices.Contains(have, "number") {
			continue
		}
		if _, has := w["type"]; !has && (w["enum"] != nil || w["const"] != nil) {
			continue // its values decide
		}
		faults = add(faults, here("type "+t+" is not allowed any more"))
	}
	return faults
}

// values compares enum and const.
func (c *jsonComparison) values(r, w map[string]any) (faults []fault) {
	have, limited := c.allowed(r)
	if !limited {
		return nil
	}
	had, was := c.allowed(w)
	if !was {
		return []fault{here("an enum was added")}
	}
	set := setOf(have)
	for _, v := range had {
		if !set[v] {
			faults = add(faults, here("the value "+v+" is not allowed any more"))
		}
	}
	return faults
}

// allowed lists the values of a schema that names them.
func (c *jsonComparison) allowed(m map[string]any) (values []string, limited bool) {
	if v, has := m["const"]; has {
		return []string{c.text(v)}, true
	}
	if _, has := m["enum"]; !has {
		return nil, false
	}
	for _, v := range list(m, "enum") {
		values = append(values, c.text(v))
	}
	return values, true
}

// textWork is how many bytes of text are one step of work.
const textWork = 16

func (c *jsonComparison) text(v any) string {
	if c.err != nil {
		return ""
	}
	s, err := sorted(v)
	if err != nil {
		s = fmt.Sprint(v)
	}
	c.spend(1 + len(s)/textWork)
	return s
}

// maxDigits is how long a bound may be that is taken as it is written.
const maxDigits = 100

// number reads a bound. One that is long or written with an exponent is taken as a float: as a fraction it could take gigabytes.
func number(m map[string]any, key string) *big.Rat {
	n, ok := m[key].(json.Number)
	if !ok {
		return nil
	}
	if len(n) > maxDigits || strings.ContainsAny(string(n), "eE") {
		f, err := n.Float64()
		if err != nil {
			return nil
		}
		return new(big.Rat).SetFloat64(f)
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil
	}
	return r
}

// limits are the keywords with a number.
var limits = []string{"exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength",
	"minProperties", "minimum"}

// bounds compares what limits numbers, strings, arrays and objects.
func bounds(r, w map[string]any) (faults []fault) {
	for _, k := range limits {
		tighter := 1
		if strings.HasPrefix(k, "max") || k == "exclusiveMaximum" {
			tighter = -1
		}
		is, was := number(r, k), number(w, k)
		if is != nil && (was == nil || is.Cmp(was) == tighter) && !(tighter == 1 && strings.HasPrefix(k, "min") && k != "minimum" && is.Sign() == 0) {
			faults = add(faults, here(k+" was added or is tighter"))
		}
	}
	if is, was := number(r, "multipleOf"), number(w, "multipleOf"); is != nil && is.Sign() != 0 &&
		(was == nil || !new(big.Rat).Quo(was, is).IsInt()) {
		faults = add(faults, here("multipleOf was added or changed"))
	}
	if r["uniqueItems"] == true && w["uniqueItems"] != true {
		faults = add(faults, here("uniqueItems was added"))
	}
	return faults
}

// may reports whether values of a type are possible.
func may(m map[string]any, t string) bool { return slices.Contains(typesOf(m), t) }

func (c *jsonComparison) items(r, w map[string]any) (faults []fault) {
	is, has := r["items"]
	if !has || !may(w, "array") {
		return nil
	}
	was, had := w["items"]
	if !had {
		was = true
	}
	tuple, isTuple := is.([]any)
	old, wasTuple := was.([]any)
	if !isTuple && !wasTuple {
		return under("/items", c.allows(is, was))
	}
	if isTuple != wasTuple || len(tuple) != len(old) {
		return []fault{here("items changed between one schema and a list")}
	}
	for i := range tuple {
		if found := c.allows(tuple[i], old[i]); found != nil {
			faults = add(faults, under(fmt.Sprintf("/items/%d", i), found)...)
		}
	}
	return faults
}

// properties compares objects. A property that only one side names meets the other side's additionalProperties.
func (c *jsonComparison) properties(r, w map[string]any) (faults []fault) {
	is, _ := r["properties"].(map[string]any)
	was, _ := w["properties"].(map[string]any)
	if !may(w, "object") || !c.spend(len(is)+len(was)) {
		return nil
	}
	others := func(m map[string]any) any {
		if v, has := m["additionalProperties"]; has {
			return v
		}
		return true
	}
	names := map[string]bool{}
	for _, m := range []map[string]any{is, was} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		now, old := any(others(r)), any(others(w))
		if v, has := is[name]; has {
			now = v
		}
		if v, has := was[name]; has {
			old = v
		}
		if found := c.allows(now, old); found != nil {
			faults = add(faults, under("/properties/"+name, found)...)
		}
	}
	if _, has := r["additionalProperties"]; has {
		faults = add(faults, under("/additionalProperties", c.allows(others(r), others(w)))...)
	}
	return add(faults, c.required(is, list(r, "required"), list(w, "required"))...)
}

// required compares what must be there. A property with a default need not: a reader fills it in.
func (c *jsonComparison) required(properties map[string]any, is, was []any) (faults []fault) {
	if !c.spend(len(is) + len(was)) {
		return nil
	}
	before := setOf(texts(was))
	for _, name := range texts(is) {
		p, _ := properties[name].(map[string]any)
		if _, hasDefault := p["default"]; !before[name] && !hasDefault {
			faults = add(faults, here("property "+name+" is required, and was not"))
		}
	}
	return faults
}
