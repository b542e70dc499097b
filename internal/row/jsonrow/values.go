package jsonrow

import (
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// column is how values of one type are read.
type column struct {
	typ  row.Type
	kind row.Kind
	// min and max bound an integer type.
	min, max int64
	json     bool // json or jsonb
	float4   bool
	elem     *column // of an array
}

func compile(t row.Type) column {
	c := column{typ: t, kind: row.KindOf(t.OID), json: t.OID == row.JSON || t.OID == row.JSONB, float4: t.OID == row.Float4}
	c.min, c.max = row.IntegerRange(t.OID)
	if e := t.Element(); e.OID != 0 {
		elem := compile(e)
		c.elem = &elem
	}
	return c
}

// value reads one value for a column.
func (d *Decoder) value(c *column) (row.Value, error) {
	if d.i >= len(d.b) {
		return row.Null, d.unexpected("a value")
	}
	ch := d.b[d.i]
	if c.json && ch != 'n' {
		return d.jsonValue(c)
	}
	switch {
	case ch == '"':
		s, err := d.str()
		if err != nil {
			return row.Null, err
		}
		return d.fromString(c, s)
	case ch == '-' || ch-'0' <= 9:
		return d.fromNumber(c)
	case ch == 't' && d.word("true"):
		return fromBool(c, true)
	case ch == 'f' && d.word("false"):
		return fromBool(c, false)
	case ch == 'n' && d.word("null"):
		return row.Null, nil
	case ch == '[' && c.elem != nil:
		v, _, err := d.array(c, 0)
		return v, err
	case ch == '{' || ch == '[':
		if err := d.skip(); err != nil {
			return row.Null, err
		}
		what := "an array"
		if ch == '{' {
			what = "an object"
		}
		return row.Null, errs.SQL("22P02", "%s is no value of type %s", what, c.typ)
	}
	return row.Null, d.unexpected("a value")
}

func (d *Decoder) fromString(c *column, s string) (row.Value, error) {
	if c.kind == row.KindText && c.typ.Mod == 0 && c.typ.OID != row.Name && c.typ.OID != row.Char {
		return row.NewText(s), nil
	}
	return d.format.ParseText(c.typ, s)
}

func fromBool(c *column, b bool) (row.Value, error) {
	switch c.kind {
	case row.KindBool:
		return row.NewBool(b), nil
	case row.KindText:
		return row.ApplyTypmod(c.typ, row.NewText(strconv.FormatBool(b)), false)
	}
	return row.Null, errs.SQL("22P02", "a boolean is no value of type %s", c.typ)
}

func (d *Decoder) fromNumber(c *column) (row.Value, error) {
	if c.kind == row.KindInt {
		if v, ok := d.smallInt(c); ok {
			return v, nil
		}
	}
	text, whole, err := d.number()
	if err != nil {
		return row.Null, err
	}
	switch c.kind {
	case row.KindInt:
		return integer(c, text, whole)
	case row.KindFloat:
		size := 64
		if c.float4 {
			size = 32
		}
		f, err := strconv.ParseFloat(text, size)
		if err != nil || f == 0 {
			return row.ParseText(c.typ, text) // zero, or out of range in PostgreSQL's words
		}
		return row.NewFloat(f), nil
	case row.KindNumeric:
		v, err := row.NumericFromString(text)
		if err != nil || c.typ.Mod == 0 {
			return v, err
		}
		return row.ApplyTypmod(c.typ, v, false)
	case row.KindText:
		return row.ApplyTypmod(c.typ, row.NewText(text), false)
	}
	return row.Null, errs.SQL("22P02", "the number %s is no value of type %s", shorten(text), c.typ)
}

// smallInt reads up to 18 plain digits, the usual integer, in one pass; false leaves the place for the general way.
func (d *Decoder) smallInt(c *column) (row.Value, bool) {
	b, i := d.b, d.i
	neg := b[i] == '-'
	if neg {
		i++
	}
	start := i
	var n int64
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	if i == start || i-start > 18 || b[start] == '0' && i > start+1 {
		return row.Null, false
	}
	if i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
		return row.Null, false
	}
	if neg {
		n = -n
	}
	if n < c.min || n > c.max {
		return row.Null, false
	}
	d.i = i
	return row.NewInt(n), true
}

func integer(c *column, text string, whole bool) (row.Value, error) {
	if whole {
		return row.ParseText(c.typ, text)
	}
	v, err := row.NumericFromString(text)
	if err != nil {
		return row.Null, err
	}
	r := row.RoundNumeric(v, 0)
	if row.Compare(r, v) != 0 {
		return row.Null, errs.SQL("22P02", "invalid input syntax for type %s: \"%s\"", c.typ, shorten(text))
	}
	n, _, small := r.Numeric()
	if !small || n < c.min || n > c.max {
		return row.Null, errs.SQL("22003", "value \"%s\" is out of range for type %s", shorten(text), c.typ)
	}
	return row.NewInt(n), nil
}

// shorten keeps a fault's text readable.
func shorten(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}

// jsonValue takes the text of any value as it stands.
func (d *Decoder) jsonValue(c *column) (row.Value, error) {
	from := d.i
	if err := d.skip(); err != nil {
		return row.Null, err
	}
	return d.format.ParseText(c.typ, view(d.b[from:d.i]))
}

// array reads a JSON array; inner is the length of its own nested arrays, -1 for scalars.
func (d *Decoder) array(c *column, dims int) (v row.Value, inner int, err error) {
	if err := d.enter(); err != nil {
		return row.Null, 0, err
	}
	d.i++
	var elems []row.Value
	inner = -1
	if d.space(); d.i < len(d.b) && d.b[d.i] == ']' {
		d.i++
		d.depth--
		if dims > 0 {
			return row.Null, 0, ragged(c)
		}
		return row.NewList(nil), inner, nil
	}
	for {
		d.space()
		var x row.Value
		n := -1
		if d.i < len(d.b) && d.b[d.i] == '[' && !c.elem.json {
			if dims == 5 {
				return row.Null, 0, errs.SQL("54000", "number of array dimensions exceeds the maximum allowed (6)")
			}
			if x, _, err = d.array(c, dims+1); err == nil {
				n = len(x.List())
			}
		} else {
			x, err = d.value(c.elem)
		}
		if err != nil {
			return row.Null, 0, err
		}
		if len(elems) > 0 && (n != inner || n >= 0 && !sameShape(elems[0], x)) {
			return row.Null, 0, ragged(c)
		}
		inner = n
		elems = append(elems, row.Own(x))
		if d.space(); d.i >= len(d.b) || d.b[d.i] != ',' && d.b[d.i] != ']' {
			return row.Null, 0, d.unexpected("',' or ']'")
		}
		d.i++
		if d.b[d.i-1] == ']' {
			d.depth--
			return row.NewList(elems), inner, nil
		}
	}
}

func sameShape(a, b row.Value) bool {
	x, y := a.List(), b.List()
	if len(x) != len(y) {
		return false
	}
	if len(x) == 0 || x[0].Kind() != row.KindList && y[0].Kind() != row.KindList {
		return true
	}
	return x[0].Kind() == y[0].Kind() && sameShape(x[0], y[0])
}

func ragged(c *column) error {
	return errs.SQL("22P02", "arrays within a value of type %s must have the same length", c.typ)
}
