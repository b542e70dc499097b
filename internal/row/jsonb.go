package row

import (
	"encoding/binary"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
)

// jsonNode is one JSON value read into memory: for jsonb's normal form and order.
type jsonNode struct {
	kind  byte // n, s, 0 (number), t, f, [, {
	text  string
	num   Value
	items []jsonNode
	keys  []string
}

// jsonParser reads JSON as PostgreSQL's json type does.
type jsonParser struct {
	s     string
	i     int
	depth int
	// keep is set when values are wanted; else the text is only checked.
	keep bool
}

func (p *jsonParser) fault(detail string) error {
	e := errs.SQL("22P02", "invalid input syntax for type json")
	if detail != "" {
		e.Detail = detail
	}
	return e
}

func (p *jsonParser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
}

func (p *jsonParser) unexpected() error {
	if p.i >= len(p.s) {
		return p.fault("The input string ended unexpectedly.")
	}
	end := p.i + 1
	if isLetter(p.s[p.i]) || isDigit(p.s[p.i]) {
		for end < len(p.s) && (isLetter(p.s[end]) || isDigit(p.s[end]) || p.s[end] == '_' || p.s[end] >= 0x80) {
			end++
		}
	}
	return p.fault("Token \"" + p.s[p.i:end] + "\" is invalid.")
}

// parse reads the whole text as one value.
func (p *jsonParser) parse() (jsonNode, error) {
	n, err := p.value()
	if err != nil {
		return n, err
	}
	if p.space(); p.i < len(p.s) {
		return n, p.unexpected()
	}
	return n, nil
}

func (p *jsonParser) value() (jsonNode, error) {
	p.space()
	if p.i >= len(p.s) {
		return jsonNode{}, p.unexpected()
	}
	switch c := p.s[p.i]; {
	case c == '"':
		s, err := p.str()
		return jsonNode{kind: 's', text: s}, err
	case c == '{' || c == '[':
		if p.depth++; p.depth > maxJSONDepth {
			return jsonNode{}, errs.SQL("54001", "stack depth limit exceeded").WithHint("JSON may be nested %d deep.", maxJSONDepth)
		}
		defer func() { p.depth-- }()
		if c == '{' {
			return p.object()
		}
		return p.array()
	case c == '-' || isDigit(c):
		return p.number()
	}
	for _, w := range [...]string{"true", "false", "null"} {
		if len(p.s)-p.i >= len(w) && p.s[p.i:p.i+len(w)] == w &&
			(p.i+len(w) == len(p.s) || !isLetter(p.s[p.i+len(w)]) && !isDigit(p.s[p.i+len(w)])) {
			p.i += len(w)
			return jsonNode{kind: w[0], text: w}, nil
		}
	}
	return jsonNode{}, p.unexpected()
}

// maxJSONDepth bounds json and jsonb values in SQL; PostgreSQL's own stack ends at about 6,000.
const maxJSONDepth = 100 * limit.JSONDepth

func (p *jsonParser) array() (jsonNode, error) {
	n := jsonNode{kind: '['}
	p.i++
	p.space()
	if p.i < len(p.s) && p.s[p.i] == ']' {
		p.i++
		return n, nil
	}
	for {
		item, err := p.value()
		if err != nil {
			return n, err
		}
		if p.keep {
			n.items = append(n.items, item)
		}
		if p.space(); p.i >= len(p.s) || p.s[p.i] != ',' && p.s[p.i] != ']' {
			return n, p.unexpected()
		}
		p.i++
		if p.s[p.i-1] == ']' {
			return n, nil
		}
	}
}

func (p *jsonParser) object() (jsonNode, error) {
	n := jsonNode{kind: '{'}
	p.i++
	p.space()
	if p.i < len(p.s) && p.s[p.i] == '}' {
		p.i++
		return n, nil
	}
	for {
		if p.space(); p.i >= len(p.s) || p.s[p.i] != '"' {
			return n, p.unexpected()
		}
		key, err := p.str()
		if err != nil {
			return n, err
		}
		if p.space(); p.i >= len(p.s) || p.s[p.i] != ':' {
			return n, p.unexpected()
		}
		p.i++
		item, err := p.value()
		if err != nil {
			return n, err
		}
		if p.keep {
			n.keys, n.items = append(n.keys, key), append(n.items, item)
		}
		if p.space(); p.i >= len(p.s) || p.s[p.i] != ',' && p.s[p.i] != '}' {
			return n, p.unexpected()
		}
		p.i++
		if p.s[p.i-1] == '}' {
			n.sortKeys()
			return n, nil
		}
	}
}

// sortKeys orders an object's keys as jsonb stores them, by length and then bytes; of equal keys the last stays.
func (n *jsonNode) sortKeys() {
	if len(n.keys) < 2 {
		return
	}
	order := make([]int, len(n.keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := n.keys[a], n.keys[b]
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if x < y {
			return -1
		}
		if x > y {
			return 1
		}
		return 0
	})
	keys, items := make([]string, 0, len(order)), make([]jsonNode, 0, len(order))
	for _, i := range order {
		if len(keys) > 0 && keys[len(keys)-1] == n.keys[i] {
			items[len(items)-1] = n.items[i]
			continue
		}
		keys, items = append(keys, n.keys[i]), append(items, n.items[i])
	}
	n.keys, n.items = keys, items
}

func (p *jsonParser) number() (jsonNode, error) {
	start := p.i
	digits := func() bool {
		from := p.i
		for p.i < len(p.s) && isDigit(p.s[p.i]) {
			p.i++
		}
		return p.i > from
	}
	if p.s[p.i] == '-' {
		p.i++
	}
	ok := true
	if p.i < len(p.s) && p.s[p.i] == '0' {
		p.i++
	} else {
		ok = digits()
	}
	if ok && p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		ok = digits()
	}
	if ok && p.i < len(p.s) && p.s[p.i]|0x20 == 'e' {
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		ok = digits()
	}
	if !ok || p.i < len(p.s) && (isLetter(p.s[p.i]) || isDigit(p.s[p.i]) || p.s[p.i] == '_') {
		p.i = start
		return jsonNode{}, p.unexpected()
	}
	n := jsonNode{kind: '0', text: p.s[start:p.i]}
	if p.keep {
		var err error
		if n.num, err = NumericFromString(n.text); err != nil {
			return n, err
		}
	}
	return n, nil
}

// str reads a string; the text without quotes and escapes is given when p.keep is set.
func (p *jsonParser) str() (string, error) {
	p.i++
	start := p.i
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start : p.i-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fault("Character with value 0x" + strconv.FormatUint(uint64(c)|0x100, 16)[1:] + " must be escaped.")
		}
		p.i++
	}
	return "", p.unexpected()
}

func (p *jsonParser) escaped(start int) (string, error) {
	out := append([]byte(nil), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == '"' {
			p.i++
			return string(out), nil
		}
		if c < 0x20 {
			return "", p.fault("Character with value 0x" + strconv.FormatUint(uint64(c)|0x100, 16)[1:] + " must be escaped.")
		}
		if c != '\\' {
			out = append(out, c)
			p.i++
			continue
		}
		p.i++
		if p.i >= len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", p.fault("Escape sequence \"\\" + string(c) + "\" is invalid.")
		}
	}
	return "", p.unexpected()
}

func (p *jsonParser) unicode() (rune, error) {
	hex4 := func() (rune, bool) {
		if len(p.s)-p.i < 4 {
			return 0, false
		}
		u, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
		if err != nil {
			return 0, false
		}
		p.i += 4
		return rune(u), true
	}
	r, ok := hex4()
	if !ok {
		return 0, p.fault("\"\\u\" must be followed by four hexadecimal digits.")
	}
	if !p.keep { // json keeps the escape as it stands
		return r, nil
	}
	if r == 0 {
		e := errs.SQL("22P05", "unsupported Unicode escape sequence")
		e.Detail = "\\u0000 cannot be converted to text."
		return 0, e
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if r >= 0xdc00 {
		return 0, p.fault("Unicode low surrogate must follow a high surrogate.")
	}
	if len(p.s)-p.i >= 2 && p.s[p.i] == '\\' && p.s[p.i+1] == 'u' {
		p.i += 2
		if low, ok := hex4(); ok {
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, p.fault("Unicode high surrogate must not follow a high surrogate.")
}

// CheckJSON reports whether s is a JSON text as the json type takes it (22P02).
func CheckJSON(s string) error {
	p := jsonParser{s: s}
	_, err := p.parse()
	return err
}

// NormalizeJSONB gives s as jsonb prints it: keys sorted by length and bytes, the last of equal keys, one blank after
// colon and comma, numbers as numeric prints them. Errors: 22P02, 22P05, 22003.
func NormalizeJSONB(s string) (string, error) {
	p := jsonParser{s: s, keep: true}
	n, err := p.parse()
	if err != nil {
		return "", err
	}
	return string(n.appendJSONB(make([]byte, 0, len(s)+len(s)/4))), nil
}

func (n *jsonNode) appendJSONB(dst []byte) []byte {
	switch n.kind {
	case 's':
		return AppendJSONString(dst, n.text)
	case '0':
		return n.num.AppendNumeric(dst)
	case '[':
		dst = append(dst, '[')
		for i := range n.items {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = n.items[i].appendJSONB(dst)
		}
		return append(dst, ']')
	case '{':
		dst = append(dst, '{')
		for i := range n.items {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(AppendJSONString(dst, n.keys[i]), ": "...)
			dst = n.items[i].appendJSONB(dst)
		}
		return append(dst, '}')
	}
	return append(dst, n.text...)
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s quoted as PostgreSQL's escape_json does: only what JSON demands is escaped.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// The types of jsonb in PostgreSQL's order (jsonb.h).
const (
	jsonbNull   = 0
	jsonbString = 1
	jsonbNumber = 2
	jsonbBool   = 3
	jsonbArray  = 0x10
	jsonbObject = 0x11
)

// appendJSONBKey appends bytes in jsonb's btree order. As in PostgreSQL a scalar at the top counts as an array of one
// element before all such arrays, and so an empty array comes before every scalar.
func appendJSONBKey(dst []byte, s string) []byte {
	p := jsonParser{s: s, keep: true}
	n, err := p.parse()
	if err != nil { // not normalised text: order by bytes
		return appendEscaped(append(dst, 0xff), s)
	}
	if n.kind != '[' && n.kind != '{' {
		dst = append(dst, jsonbArray, 0, 0, 0, 1, 0)
	}
	return n.appendKey(dst)
}

func (n *jsonNode) appendKey(dst []byte) []byte {
	switch n.kind {
	case 'n':
		return append(dst, jsonbNull)
	case 's':
		return appendEscaped(append(dst, jsonbString), n.text)
	case '0':
		return appendNumericKey(append(dst, jsonbNumber), n.num)
	case 'f':
		return append(dst, jsonbBool, 0)
	case 't':
		return append(dst, jsonbBool, 1)
	case '[':
		dst = binary.BigEndian.AppendUint32(append(dst, jsonbArray), uint32(len(n.items)))
		dst = append(dst, 1)
	case '{':
		dst = binary.BigEndian.AppendUint32(append(dst, jsonbObject), uint32(len(n.items)))
	}
	for i := range n.items {
		if n.kind == '{' {
			dst = appendEscaped(dst, n.keys[i])
		}
		dst = n.items[i].appendKey(dst)
	}
	return dst
}
