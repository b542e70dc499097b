package jsonrow

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
)

func (d *Decoder) space() {
	for d.i < len(d.b) {
		if c := d.b[d.i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return
		}
		d.i++
	}
}

func (d *Decoder) unexpected(want string) error {
	if d.i >= len(d.b) {
		return errs.SQL("22P02", "the record ends where %s is expected", want)
	}
	_, n := utf8.DecodeRune(d.b[d.i:])
	return errs.SQL("22P02", "%q at byte %d where %s is expected", d.b[d.i:d.i+n], d.i, want)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has the high bit of each byte set that ends the plain part of a string: a quote, a backslash, a control character.
// A byte after the first one found may be marked wrongly, which does not matter.
func special(w uint64) uint64 {
	quote, back := w^(ones*'"'), w^(ones*'\\')
	return ((quote-ones)&^quote | (back-ones)&^back | (w-ones*0x20)&^w) & highs
}

// str reads a string from its opening quote on. It refers to the record, or to the arena when it has escapes.
func (d *Decoder) str() (string, error) {
	b, i := d.b, d.i+1
	for len(b)-i >= 8 {
		if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
			i += bits.TrailingZeros64(m) / 8
			break
		}
		i += 8
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			s := view(b[d.i+1 : i])
			d.i = i + 1
			return s, nil
		case c == '\\':
			return d.escaped(i)
		case c < 0x20:
			d.i = i
			return "", errs.SQL("22P02", "control character 0x%02x in a string at byte %d", c, i)
		}
	}
	d.i = len(b)
	return "", d.unexpected("the end of a string")
}

// escaped reads a string whose first backslash is at i.
func (d *Decoder) escaped(i int) (string, error) {
	from := len(d.arena)
	d.arena = append(d.arena, d.b[d.i+1:i]...)
	for d.i = i; d.i < len(d.b); {
		c := d.b[d.i]
		d.i++
		switch {
		case c == '"':
			return view(d.arena[from:]), nil
		case c < 0x20:
			return "", errs.SQL("22P02", "control character 0x%02x in a string at byte %d", c, d.i-1)
		case c != '\\':
			d.arena = append(d.arena, c)
			continue
		}
		if d.i >= len(d.b) {
			break
		}
		c = d.b[d.i]
		d.i++
		switch c {
		case '"', '\\', '/':
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, err := d.unicode()
			if err != nil {
				return "", err
			}
			d.arena = utf8.AppendRune(d.arena, r)
			continue
		default:
			return "", errs.SQL("22P02", "escape sequence \"\\%c\" is invalid", c)
		}
		d.arena = append(d.arena, c)
	}
	return "", d.unexpected("the end of a string")
}

func (d *Decoder) hex4() (rune, bool) {
	if len(d.b)-d.i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range d.b[d.i : d.i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	d.i += 4
	return r, true
}

func (d *Decoder) unicode() (rune, error) {
	r, ok := d.hex4()
	if !ok {
		return 0, errs.SQL("22P02", "\"\\u\" must be followed by four hexadecimal digits")
	}
	if r == 0 {
		return 0, errs.SQL("22P05", "\\u0000 cannot be converted to text")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if len(d.b)-d.i >= 2 && d.b[d.i] == '\\' && d.b[d.i+1] == 'u' {
		d.i += 2
		if low, ok := d.hex4(); ok {
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, errs.SQL("22P02", "a Unicode surrogate stands alone")
}

// number reads a number's text; whole is set when it has neither fraction nor exponent.
func (d *Decoder) number() (text string, whole bool, err error) {
	b, i := d.b, d.i
	if b[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	start := i
	ok := digits() && (b[start] != '0' || i == start+1)
	whole = true
	if ok && i < len(b) && b[i] == '.' {
		i++
		whole, ok = false, digits()
	}
	if ok && i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		whole, ok = false, digits()
	}
	if !ok {
		return "", false, d.unexpected("a number")
	}
	text = view(b[d.i:i])
	d.i = i
	return text, whole, nil
}

// word reads true, false or null.
func (d *Decoder) word(w string) bool {
	if len(d.b)-d.i < len(w) || view(d.b[d.i:d.i+len(w)]) != w {
		return false
	}
	d.i += len(w)
	return true
}

// enter counts one more nesting.
func (d *Decoder) enter() error {
	if d.depth++; d.depth > limit.JSONDepth {
		return errs.SQL("54001", "the record is nested more than %d deep", limit.JSONDepth)
	}
	return nil
}

// skip checks one value and passes over it.
func (d *Decoder) skip() error {
	if d.i >= len(d.b) {
		return d.unexpected("a value")
	}
	switch c := d.b[d.i]; {
	case c == '"':
		return d.skipString()
	case c == '-' || c-'0' <= 9:
		_, _, err := d.number()
		return err
	case c == '{':
		return d.skipAll('}')
	case c == '[':
		return d.skipAll(']')
	}
	if d.word("true") || d.word("false") || d.word("null") {
		return nil
	}
	return d.unexpected("a value")
}

func (d *Decoder) skipString() error {
	keep := len(d.arena)
	_, err := d.str()
	d.arena = d.arena[:keep]
	return err
}

// skipAll passes over an object or array from its opening bracket on.
func (d *Decoder) skipAll(end byte) error {
	if err := d.enter(); err != nil {
		return err
	}
	d.i++
	if d.space(); d.i < len(d.b) && d.b[d.i] == end {
		d.i++
		d.depth--
		return nil
	}
	for {
		d.space()
		if end == '}' {
			if d.i >= len(d.b) || d.b[d.i] != '"' {
				return d.unexpected("a field's name")
			}
			if err := d.skipString(); err != nil {
				return err
			}
			if d.space(); d.i >= len(d.b) || d.b[d.i] != ':' {
				return d.unexpected("':'")
			}
			d.i++
			d.space()
		}
		if err := d.skip(); err != nil {
			return err
		}
		if d.space(); d.i >= len(d.b) || d.b[d.i] != ',' && d.b[d.i] != end {
			return d.unexpected("',' or '" + string(end) + "'")
		}
		d.i++
		if d.b[d.i-1] == end {
			d.depth--
			return nil
		}
	}
}
