package row

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
)

func malformedArray(s, detail string) error {
	return errs.SQL("22P02", "malformed array literal: \"%s\"", s).WithDetail("%s", detail)
}

// arrayParser reads PostgreSQL's array text (8.15.2).
type arrayParser struct {
	f    Format
	elem Type
	s    string
	i    int
	// dims is the length of each dimension, -1 while it is not known.
	dims []int
}

// parseArray reads an array of type t. Subscripts before the braces are accepted when they start at 1; arrays here have no
// other lower bound.
func (f Format) parseArray(t Type, s string) (Value, error) {
	p := arrayParser{f: f, elem: t.Element(), s: s}
	p.space()
	if p.i < len(s) && s[p.i] == '[' {
		if err := p.bounds(); err != nil {
			return Null, err
		}
	}
	if p.i >= len(s) || s[p.i] != '{' {
		return Null, malformedArray(s, "Array value must start with \"{\" or dimension information.")
	}
	v, err := p.list(0)
	if err != nil {
		return Null, err
	}
	if p.space(); p.i < len(s) {
		return Null, malformedArray(s, "Junk after closing right brace.")
	}
	if len(p.dims) > 1 && p.empty(v) {
		return Null, malformedArray(s, "Unexpected \"}\" character.")
	}
	return v, nil
}

func (p *arrayParser) empty(v Value) bool {
	for _, x := range v.List() {
		if x.kind != KindList || !p.empty(x) {
			return false
		}
	}
	return true
}

func (p *arrayParser) space() {
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
}

func (p *arrayParser) bounds() error {
	eq := strings.IndexByte(p.s[p.i:], '=')
	if eq < 0 {
		return malformedArray(p.s, "Missing \"=\" after array dimensions.")
	}
	for _, d := range strings.Split(p.s[p.i:p.i+eq], "]") {
		if d = strings.TrimSpace(d); d == "" {
			continue
		}
		low, _, two := strings.Cut(strings.TrimPrefix(d, "["), ":")
		if two && strings.TrimSpace(low) != "1" {
			return errs.SQL("0A000", "array lower bounds other than 1 are not supported")
		}
	}
	p.i += eq + 1
	p.space()
	return nil
}

// list reads from an opening brace to its closing one.
func (p *arrayParser) list(depth int) (Value, error) {
	if depth >= maxArrayDims {
		return Null, errs.SQL("54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", depth+1, maxArrayDims)
	}
	if depth == len(p.dims) {
		p.dims = append(p.dims, -1)
	}
	p.i++
	var elems []Value
	nested := false
	for {
		p.space()
		if p.i >= len(p.s) {
			return Null, malformedArray(p.s, "Unexpected end of input.")
		}
		c := p.s[p.i]
		if c == '}' && len(elems) == 0 {
			p.i++
			break
		}
		var v Value
		var err error
		if c == '{' {
			v, err = p.list(depth + 1)
		} else {
			v, err = p.element()
		}
		if err != nil {
			return Null, err
		}
		if len(elems) > 0 && nested != (c == '{') {
			return Null, p.ragged()
		}
		nested = c == '{'
		elems = append(elems, v)
		if p.space(); p.i >= len(p.s) {
			return Null, malformedArray(p.s, "Unexpected end of input.")
		}
		p.i++
		if p.s[p.i-1] == '}' {
			break
		}
		if p.s[p.i-1] != ',' {
			return Null, malformedArray(p.s, "Unexpected array element.")
		}
		if p.space(); p.i < len(p.s) && p.s[p.i] == '}' {
			return Null, malformedArray(p.s, "Unexpected \"}\" character.")
		}
	}
	if p.dims[depth] >= 0 && p.dims[depth] != len(elems) || !nested && len(elems) > 0 && len(p.dims) > depth+1 {
		return Null, p.ragged()
	}
	p.dims[depth] = len(elems)
	return NewList(elems), nil
}

func (p *arrayParser) ragged() error {
	return malformedArray(p.s, "Multidimensional arrays must have sub-arrays with matching dimensions.")
}

func (p *arrayParser) element() (Value, error) {
	if p.s[p.i] == '"' {
		return p.quoted()
	}
	var out []byte
	start, escaped, end := p.i, false, 0
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == ',' || c == '}' {
			break
		}
		if c == '{' || c == '"' {
			return Null, malformedArray(p.s, "Unexpected \""+string(c)+"\" character.")
		}
		if c == '\\' {
			p.i++
			if p.i >= len(p.s) {
				break
			}
			escaped, c = true, p.s[p.i]
			end = len(out) + 1
		} else if !isSpace(c) {
			end = len(out) + 1
		}
		out = append(out, c)
		p.i++
	}
	if p.i >= len(p.s) {
		return Null, malformedArray(p.s, "Unexpected end of input.")
	}
	if p.i == start {
		return Null, malformedArray(p.s, "Unexpected \""+string(p.s[p.i])+"\" character.")
	}
	text := string(out[:end])
	if !escaped && equalFold(text, "null") {
		return Null, nil
	}
	return p.f.parse(p.elem, text)
}

func (p *arrayParser) quoted() (Value, error) {
	var out []byte
	for p.i++; p.i < len(p.s); p.i++ {
		c := p.s[p.i]
		if c == '"' {
			p.i++
			if p.space(); p.i < len(p.s) && p.s[p.i] != ',' && p.s[p.i] != '}' {
				return Null, malformedArray(p.s, "Unexpected array element.")
			}
			return p.f.parse(p.elem, string(out))
		}
		if c == '\\' {
			if p.i++; p.i >= len(p.s) {
				break
			}
			c = p.s[p.i]
		}
		out = append(out, c)
	}
	return Null, malformedArray(p.s, "Unexpected end of input.")
}

// parseVector reads int2vector and oidvector: numbers between blanks.
func (f Format) parseVector(t Type, s string) (Value, error) {
	var elems []Value
	for _, w := range strings.Fields(s) {
		v, err := f.parse(t.Element(), w)
		if err != nil {
			return Null, err
		}
		elems = append(elems, v)
	}
	return NewList(elems), nil
}
