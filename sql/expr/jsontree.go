package expr

import (
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
)

// JSON values are text here (jsonb is normalised text), so the functions cut pieces out of the text and need no tree: a
// document that was accepted once is known to be well formed.

// jsonSpace skips blanks.
func jsonSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// jsonEnd is the index after the value that begins at i.
func jsonEnd(s string, i int) int {
	if i >= len(s) {
		return i
	}
	switch s[i] {
	case '"':
		for i++; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(s)
	case '{', '[':
		depth := 0
		for i < len(s) {
			switch s[i] {
			case '"':
				i = jsonEnd(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(s)
	}
	for i < len(s) && !strings.ContainsRune(",]} \t\r\n", rune(s[i])) {
		i++
	}
	return i
}

// jsonMember is one member of an object; of an array, without key.
type jsonMember struct {
	key   string
	value string // its text
}

// jsonMembers lists the members of an object or array, in order.
func jsonMembers(s string) []jsonMember {
	i := jsonSpace(s, 0)
	if i >= len(s) || s[i] != '{' && s[i] != '[' {
		return nil
	}
	object := s[i] == '{'
	var out []jsonMember
	for i = jsonSpace(s, i+1); i < len(s) && s[i] != '}' && s[i] != ']'; i = jsonSpace(s, i) {
		var m jsonMember
		if object {
			end := jsonEnd(s, i)
			m.key = jsonUnquote(s[i:end])
			i = jsonSpace(s, jsonSpace(s, end)+1) // the colon
		}
		end := jsonEnd(s, i)
		m.value = s[i:end]
		out = append(out, m)
		if i = jsonSpace(s, end); i < len(s) && s[i] == ',' {
			i++
		}
	}
	return out
}

// jsonUnquote is the text of a JSON string.
func jsonUnquote(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case 'b':
			out.WriteByte('\b')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			r := hex4(s, i+1)
			i += 4
			if r >= 0xD800 && r < 0xDC00 && i+6 < len(s)+0 && strings.HasPrefix(s[i+1:], `\u`) {
				if low := hex4(s, i+3); low >= 0xDC00 && low < 0xE000 {
					r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
					i += 6
				}
			}
			out.WriteRune(r)
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

func hex4(s string, i int) rune {
	if i+4 > len(s) {
		return 0xFFFD
	}
	n, err := strconv.ParseUint(s[i:i+4], 16, 32)
	if err != nil {
		return 0xFFFD
	}
	return rune(n)
}

func jsonQuote(s string) string { return string(row.AppendJSONString(nil, s)) }

// jsonField finds a member of an object; of equal keys the last counts.
func jsonField(s, key string) (string, bool) {
	if jsonbKind(s) != "object" {
		return "", false
	}
	found, ok := "", false
	for _, m := range jsonMembers(s) {
		if m.key == key {
			found, ok = m.value, true
		}
	}
	return found, ok
}

func jsonElement(s string, n int64) (string, bool) {
	if jsonbKind(s) != "array" {
		return "", false
	}
	list := jsonMembers(s)
	if n < 0 {
		n += int64(len(list))
	}
	if n < 0 || n >= int64(len(list)) {
		return "", false
	}
	return list[n].value, true
}

// jsonStep goes one step of a path: a key of an object or an index of an array.
func jsonStep(s, step string) (string, bool) {
	switch jsonbKind(s) {
	case "object":
		return jsonField(s, step)
	case "array":
		n, err := strconv.ParseInt(strings.TrimSpace(step), 10, 32)
		if err != nil {
			return "", false
		}
		return jsonElement(s, n)
	}
	return "", false
}

// jsonText is a JSON value as ->> gives it: strings unquoted, null as NULL.
func jsonText(s string) row.Value {
	switch s[0] {
	case '"':
		return row.NewText(jsonUnquote(s))
	case 'n':
		return row.Null
	}
	return row.NewText(s)
}

func jsonPart(s string, ok, text bool) row.Value {
	switch {
	case !ok:
		return row.Null
	case text:
		return jsonText(s)
	}
	return row.NewText(s)
}

func jsonGetField(text bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		s, ok := jsonField(a.Str(), b.Str())
		return jsonPart(s, ok, text), nil
	}
}

// jsonGetElement is -> and ->> with an index; a jsonb scalar counts as an array of itself.
func jsonGetElement(text, binary bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		if k := jsonbKind(a.Str()); binary && k != "array" && k != "object" && (b.Int() == 0 || b.Int() == -1) {
			return jsonPart(a.Str(), true, text), nil
		}
		s, ok := jsonElement(a.Str(), b.Int())
		return jsonPart(s, ok, text), nil
	}
}

// jsonGetPath is #> and #>>.
func jsonGetPath(text bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) { return jsonWalk(a.Str(), b.List(), text) }
}

func jsonWalk(s string, path []row.Value, text bool) (row.Value, error) {
	s = strings.Trim(s, " \t\r\n")
	for _, step := range path {
		if step.IsNull() {
			return row.Null, nil
		}
		var ok bool
		if s, ok = jsonStep(s, step.Str()); !ok {
			return row.Null, nil
		}
	}
	return jsonPart(s, true, text), nil
}

func jsonExtractPath(text bool) func([]row.Value) (row.Value, error) {
	return func(args []row.Value) (row.Value, error) { return jsonWalk(args[0].Str(), args[1:], text) }
}

// subscriptJSON is jsonb[subscript].
func subscriptJSON(arg Evaluator, bounds [][2]Evaluator) Evaluator {
	return func(ctx *Ctx, r row.Row) (row.Value, error) {
		v, err := arg(ctx, r)
		if err != nil || v.IsNull() {
			return row.Null, err
		}
		s := v.Str()
		for _, b := range bounds {
			k, err := b[0](ctx, r)
			if err != nil || k.IsNull() {
				return row.Null, err
			}
			step := k.Str()
			if k.Kind() == row.KindInt {
				step = strconv.FormatInt(k.Int(), 10)
			}
			var ok bool
			if s, ok = jsonStep(s, step); !ok {
				return row.Null, nil
			}
		}
		return row.NewText(s), nil
	}
}

// joinMembers writes members as a jsonb (", " and ": ") array or object.
func joinMembers(list []jsonMember, object bool) string {
	var out strings.Builder
	if object {
		out.WriteByte('{')
	} else {
		out.WriteByte('[')
	}
	for i, m := range list {
		if i > 0 {
			out.WriteString(", ")
		}
		if object {
			out.WriteString(jsonQuote(m.key) + ": ")
		}
		out.WriteString(m.value)
	}
	if object {
		out.WriteByte('}')
	} else {
		out.WriteByte(']')
	}
	return out.String()
}

// jsonb makes a jsonb value of any JSON text: keys sorted, duplicates dropped.
func jsonb(s string) (row.Value, error) {
	n, err := row.NormalizeJSONB(s)
	return row.NewText(n), err
}

// jsonbContains is @>.
func jsonbContains(a, b string) bool {
	ka, kb := jsonbKind(a), jsonbKind(b)
	switch {
	case ka == "object" && kb == "object":
		for _, m := range jsonMembers(b) {
			v, ok := jsonField(a, m.key)
			if !ok || !jsonbContainsValue(v, m.value) {
				return false
			}
		}
		return true
	case ka == "array" && kb == "array":
		have := jsonMembers(a)
		for _, m := range jsonMembers(b) {
			found := false
			for _, h := range have {
				if found = jsonbContainsValue(h.value, m.value); found {
					break
				}
			}
			if !found {
				return false
			}
		}
		return true
	case ka == "array" && kb != "object": // an array contains a scalar
		for _, h := range jsonMembers(a) {
			if jsonbEqual(h.value, b) {
				return true
			}
		}
		return false
	}
	return jsonbEqual(a, b)
}

// jsonbContainsValue is containment below the top, where an array does not contain a scalar.
func jsonbContainsValue(a, b string) bool {
	if jsonbKind(a) == "array" && jsonbKind(b) != "array" {
		return false
	}
	return jsonbContains(a, b)
}

func jsonbEqual(a, b string) bool {
	return a == b || row.CompareTyped(row.T(row.JSONB), row.NewText(a), row.NewText(b)) == 0
}

func jsonbHasKey(s, key string) bool {
	switch jsonbKind(s) {
	case "object":
		_, ok := jsonField(s, key)
		return ok
	case "array":
		for _, m := range jsonMembers(s) {
			if m.value[0] == '"' && jsonUnquote(m.value) == key {
				return true
			}
		}
		return false
	case "string":
		return jsonUnquote(s) == key
	}
	return false
}

func jsonbHasKeys(all bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		for _, k := range b.List() {
			if !k.IsNull() && jsonbHasKey(a.Str(), k.Str()) != all {
				return row.NewBool(!all), nil
			}
		}
		return row.NewBool(all), nil
	}
}
