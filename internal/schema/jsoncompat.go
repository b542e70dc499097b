package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// maxComparisons bounds the work of one comparison: combinations of combinations multiply.
const maxComparisons = 100_000

// jsonComparison decides whether each value that the writer's schema allows is allowed by the reader's. What it cannot
// decide keyword by keyword must be the same in both.
type jsonComparison struct {
	reader, writer any // the roots, for $ref
	under          map[[2]string]bool
	count          int
}

func jsonReads(reader, writer any) []string {
	c := &jsonComparison{reader: reader, writer: writer, under: map[[2]string]bool{}}
	return c.allows("#", reader, writer)
}

// allows gives the reasons, with their places, why reader does not allow all that writer does.
func (c *jsonComparison) allows(at string, reader, writer any) []string {
	if c.count++; c.count > maxComparisons {
		return []string{"the schemas are too large to compare"}
	}
	if writer == false || reader == true {
		return nil
	}
	if reader == false {
		return []string{at + ": nothing is allowed any more"}
	}
	r, rname := follow(c.reader, reader)
	w, wname := follow(c.writer, writer)
	if rname != "" || wname != "" {
		if pair := [2]string{rname, wname}; c.under[pair] {
			return nil // within itself: what is outside decides
		} else {
			c.under[pair] = true
			defer delete(c.under, pair)
		}
	}
	if len(r) == 0 {
		return nil
	}
	if done, faults := c.combined(at, r, w); done {
		return faults
	}
	faults := c.types(at, r, w)
	faults = append(faults, values(at, r, w)...)
	faults = append(faults, bounds(at, r, w)...)
	faults = append(faults, c.items(at, r, w)...)
	faults = append(faults, c.properties(at, r, w)...)
	for _, k := range []string{"not", "if", "then", "else", "patternProperties", "propertyNames", "dependencies", "dependentRequired",
		"dependentSchemas", "contains", "prefixItems", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "format", "$ref"} {
		if v, has := r[k]; has && text(v) != text(w[k]) {
			faults = append(faults, at+": "+k+" was added or changed")
		}
	}
	return faults
}

// follow gives a schema as an object, its local $refs resolved, and the last reference's name.
func follow(root, v any) (m map[string]any, name string) {
	for range 32 {
		m, _ = v.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok {
			return m, name
		}
		to, found := pointer(root, ref)
		if !found {
			return m, name // of another schema: compared as it is written
		}
		v, name = to, ref
	}
	return m, name
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
func (c *jsonComparison) combined(at string, r, w map[string]any) (done bool, faults []string) {
	for _, k := range []string{"anyOf", "oneOf"} {
		if parts := list(w, k); parts != nil {
			for i, part := range parts {
				faults = append(faults, c.allows(fmt.Sprintf("%s/%s/%d", at, k, i), r, with(w, k, part))...)
			}
			return true, faults
		}
	}
	if parts := list(w, "allOf"); parts != nil && list(r, "allOf") == nil {
		for _, part := range parts {
			if c.allows(at, r, with(w, "allOf", part)) == nil {
				return true, nil
			}
		}
		return true, []string{at + ": no part of allOf is enough"}
	}
	for _, k := range []string{"anyOf", "oneOf"} {
		if parts := list(r, k); parts != nil {
			for _, part := range parts {
				if c.allows(at, with(r, k, part), w) == nil {
					return true, nil
				}
			}
			return true, []string{at + ": no part of " + k + " allows what was allowed"}
		}
	}
	if parts := list(r, "allOf"); parts != nil {
		for i, part := range parts {
			allowed := c.allows(at, part, w)
			for _, old := range list(w, "allOf") {
				if allowed == nil {
					break
				}
				allowed = c.allows(at, part, old)
			}
			for _, f := range allowed {
				faults = append(faults, fmt.Sprintf("allOf/%d: %s", i, f))
			}
		}
		return true, faults
	}
	return false, nil
}

// with is m with one part in the place of its combination, where m says something beside it.
func with(m map[string]any, key string, part any) any {
	p, ok := part.(map[string]any)
	if !ok {
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
		var out []string
		for _, x := range t {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return allTypes
}

func (c *jsonComparison) types(at string, r, w map[string]any) (faults []string) {
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
		faults = append(faults, at+": type "+t+" is not allowed any more")
	}
	return faults
}

// values compares enum and const.
func values(at string, r, w map[string]any) (faults []string) {
	allowed := func(m map[string]any) ([]string, bool) {
		if v, has := m["const"]; has {
			return []string{text(v)}, true
		}
		if _, has := m["enum"]; !has {
			return nil, false
		}
		var out []string
		for _, v := range list(m, "enum") {
			out = append(out, text(v))
		}
		return out, true
	}
	have, limited := allowed(r)
	if !limited {
		return nil
	}
	had, was := allowed(w)
	if !was {
		return []string{at + ": an enum was added"}
	}
	for _, v := range had {
		if !slices.Contains(have, v) {
			faults = append(faults, at+": the value "+v+" is not allowed any more")
		}
	}
	return faults
}

func text(v any) string {
	s, err := sorted(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return s
}

// number reads a bound. One written with an exponent is taken as a float: as a fraction it could take gigabytes.
func number(m map[string]any, key string) *big.Rat {
	n, ok := m[key].(json.Number)
	if !ok {
		return nil
	}
	if strings.ContainsAny(string(n), "eE") {
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

// bounds compares what limits numbers, strings, arrays and objects.
func bounds(at string, r, w map[string]any) (faults []string) {
	for k, tighter := range map[string]int{"minimum": 1, "exclusiveMinimum": 1, "minLength": 1, "minItems": 1, "minProperties": 1,
		"maximum": -1, "exclusiveMaximum": -1, "maxLength": -1, "maxItems": -1, "maxProperties": -1} {
		is, was := number(r, k), number(w, k)
		if is != nil && (was == nil || is.Cmp(was) == tighter) && !(tighter == 1 && strings.HasPrefix(k, "min") && k != "minimum" && is.Sign() == 0) {
			faults = append(faults, at+": "+k+" was added or is tighter")
		}
	}
	if is, was := number(r, "multipleOf"), number(w, "multipleOf"); is != nil && is.Sign() != 0 &&
		(was == nil || !new(big.Rat).Quo(was, is).IsInt()) {
		faults = append(faults, at+": multipleOf was added or changed")
	}
	if p, has := r["pattern"]; has && p != w["pattern"] {
		faults = append(faults, at+": pattern was added or changed")
	}
	if r["uniqueItems"] == true && w["uniqueItems"] != true {
		faults = append(faults, at+": uniqueItems was added")
	}
	slices.Sort(faults)
	return faults
}

// may reports whether values of a type are possible.
func may(m map[string]any, t string) bool { return slices.Contains(typesOf(m), t) }

func (c *jsonComparison) items(at string, r, w map[string]any) []string {
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
		return c.allows(at+"/items", is, was)
	}
	if isTuple != wasTuple || len(tuple) != len(old) {
		return []string{at + ": items changed between one schema and a list"}
	}
	var faults []string
	for i := range tuple {
		faults = append(faults, c.allows(fmt.Sprintf("%s/items/%d", at, i), tuple[i], old[i])...)
	}
	return faults
}

// properties compares objects. A property that only one side names meets the other side's additionalProperties.
func (c *jsonComparison) properties(at string, r, w map[string]any) (faults []string) {
	if !may(w, "object") {
		return nil
	}
	is, _ := r["properties"].(map[string]any)
	was, _ := w["properties"].(map[string]any)
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
	for name := range names {
		now, old := any(others(r)), any(others(w))
		if v, has := is[name]; has {
			now = v
		}
		if v, has := was[name]; has {
			old = v
		}
		faults = append(faults, c.allows(at+"/properties/"+name, now, old)...)
	}
	if _, has := r["additionalProperties"]; has {
		faults = append(faults, c.allows(at+"/additionalProperties", others(r), others(w))...)
	}
	required := list(w, "required")
	for _, name := range list(r, "required") {
		s, _ := name.(string)
		p, _ := is[s].(map[string]any)
		if _, hasDefault := p["default"]; !slices.Contains(required, name) && !hasDefault {
			faults = append(faults, at+": property "+s+" is required, and was not")
		}
	}
	slices.Sort(faults)
	return faults
}
