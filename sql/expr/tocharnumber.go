package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// numberTemplate is a parsed template of to_char and to_number for numbers (PostgreSQL 9.8.2).
type numberTemplate struct {
	parts                       []string // 9 0 . , D G S MI PL SG PR L TH th V EEEE RN, or "\x00"+literal
	fill                        bool
	before, after               int // digits on either side of the point
	zeroFrom                    int // index among the digits before the point from which zeros are shown; -1: none
	decimal, multiply           bool
	sLead, sTrail, hasMI, hasSG bool
	bracket, exponent, roman    bool
	scaleDigits                 int
}

func parseNumberTemplate(s string) (*numberTemplate, error) {
	t := &numberTemplate{zeroFrom: -1}
	for s != "" {
		word := ""
		for _, w := range []string{"EEEE", "FM", "MI", "PL", "SG", "PR", "RN", "TH", "9", "0", ".", ",", "D", "G", "S", "L", "V", "B", "C"} {
			if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
				word = w
				break
			}
		}
		switch {
		case s[0] == '"':
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				end = len(s) - 1
			}
			t.parts = append(t.parts, "\x00"+s[1:1+end])
			s = s[min(end+2, len(s)):]
			continue
		case word == "":
			t.parts = append(t.parts, "\x00"+s[:1])
			s = s[1:]
			continue
		}
		raw := s[:len(word)]
		s = s[len(word):]
		if err := t.add(word, raw); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *numberTemplate) add(word, raw string) error {
	syntax := func(what string) error { return errs.SQL("42601", "%s", what) }
	switch word {
	case "FM":
		t.fill = true
		return nil
	case "9", "0":
		if t.bracket {
			return syntax("\"9\" must be ahead of \"PR\"")
		}
		switch {
		case t.multiply:
			t.scaleDigits++
		case t.decimal:
			t.after++
		default:
			if word == "0" && t.zeroFrom < 0 {
				t.zeroFrom = t.before
			}
			t.before++
		}
	case ".", "D":
		if t.decimal {
			return syntax("multiple decimal points")
		}
		if t.multiply {
			return syntax("cannot use \"V\" and decimal point together")
		}
		t.decimal = true
	case "S":
		if t.sLead || t.sTrail {
			return syntax("cannot use \"S\" twice")
		}
		if t.before == 0 && !t.decimal {
			t.sLead = true
		} else {
			t.sTrail = true
		}
	case "MI":
		t.hasMI = true
	case "SG":
		t.hasSG = true
	case "PR":
		t.bracket = true
	case "EEEE":
		t.exponent = true
	case "RN":
		t.roman = true
	case "V":
		t.multiply = true
	case "TH":
		word = raw[:2]
	}
	t.parts = append(t.parts, word)
	return nil
}

// toCharNumber is to_char of any number; v is numeric.
func toCharNumber(v row.Value, template string) (row.Value, error) {
	t, err := parseNumberTemplate(template)
	if err != nil {
		return row.Null, err
	}
	switch {
	case t.roman:
		return row.NewText(t.romanText(v)), nil
	case t.exponent:
		return t.scientific(v)
	}
	scale := int32(t.after)
	if t.multiply {
		v, err = numericMul(v, row.NewNumeric(int64(math.Pow10(t.scaleDigits)), 0))
		if err != nil {
			return row.Null, err
		}
		t.before += t.scaleDigits
	}
	negative := numericSign(v) < 0 && !v.IsNaN()
	if v, err = numericAbs(v); err != nil {
		return row.Null, err
	}
	digits := ""
	if finite(v) {
		digits = string(row.RoundNumeric(v, scale).AppendNumeric(nil))
	}
	if negative && strings.Trim(digits, "0.") == "" && digits != "" {
		negative = false
	}
	intPart, fracPart, _ := strings.Cut(digits, ".")
	if intPart == "0" && t.zeroFrom < 0 {
		intPart = "" // shown as blank, unless nothing else is
		if t.before > 0 && t.after == 0 {
			intPart = "0"
		}
	}
	if v.IsNaN() {
		intPart = "NaN"
	}
	if t.fill && intPart == "" && t.before > 0 && strings.Trim(fracPart, "0") == "" && t.lastZeroAfter() == 0 {
		intPart = "0"
	}
	overflow := len(intPart) > t.before || v.IsInf() != 0
	return row.NewText(t.layout(intPart, fracPart, negative, overflow)), nil
}

// layout writes the digits into the template. tidy: long: a case per template word, all moving one cursor over the digits.
func (t *numberTemplate) layout(intPart, fracPart string, negative, overflow bool) string {
	var out strings.Builder
	pad := func() {
		if !t.fill {
			out.WriteByte(' ')
		}
	}
	signed := t.sLead || t.sTrail || t.hasMI || t.hasSG || t.bracket
	sign := "+"
	if negative {
		sign = "-"
	}
	// Where the sign stands among the digits: just before the first one shown.
	signText, floating := "", false
	switch {
	case t.bracket:
		floating = true
		if negative {
			signText = "<"
		} else if !t.fill {
			signText = " "
		}
	case t.sLead:
		floating, signText = true, sign
	case !signed:
		floating = true
		if negative {
			signText = "-"
		} else if !t.fill {
			signText = " "
		}
	}
	fracShown := fracPart
	if t.fill {
		// FM drops zeros after the point unless a 0 asks for them.
		fracShown = strings.TrimRight(fracPart, "0")
		if z := t.lastZeroAfter(); len(fracShown) < z {
			fracShown = fracPart[:min(z, len(fracPart))]
		}
	}
	lead := t.before - len(intPart)
	at, frac, started, afterPoint := 0, 0, false, false
	start := func() {
		if !started {
			started = true
			if floating {
				out.WriteString(signText)
			}
		}
	}
	for _, part := range t.parts {
		switch part {
		case "9", "0":
			if afterPoint {
				switch {
				case overflow:
					out.WriteByte('#')
				case frac < len(fracShown):
					out.WriteByte(fracShown[frac])
				}
				frac++
				continue
			}
			switch {
			case overflow:
				start()
				out.WriteByte('#')
			case at >= lead:
				start()
				out.WriteByte(intPart[at-lead])
			case t.zeroFrom >= 0 && at >= t.zeroFrom:
				start()
				out.WriteByte('0')
			default:
				pad()
			}
			at++
		case ".", "D":
			if intPart == "NaN" {
				return out.String()
			}
			start()
			afterPoint = true
			out.WriteByte('.')
		case ",", "G":
			if started {
				out.WriteByte(',')
			} else {
				pad()
			}
		case "S":
			if t.sTrail {
				out.WriteString(sign)
			}
		case "MI":
			if negative {
				out.WriteByte('-')
			} else {
				pad()
			}
		case "PL":
			if negative {
				pad()
			} else {
				out.WriteByte('+')
			}
		case "SG":
			out.WriteString(sign)
		case "PR":
			start()
			if negative {
				out.WriteByte('>')
			} else {
				pad()
			}
		case "TH", "th":
			if !negative && !afterPoint && !overflow && intPart != "" {
				n := 0
				fmt.Sscanf(intPart[max(0, len(intPart)-2):], "%d", &n)
				out.WriteString(ordinal(n, part == "TH"))
			}
		case "L":
			out.WriteByte(' ')
		case "V", "B", "C":
		default:
			out.WriteString(part[1:])
		}
	}
	return out.String()
}

// lastZeroAfter is how many digits after the point a 0 in the template asks for.
func (t *numberTemplate) lastZeroAfter() int {
	n, last, after := 0, 0, false
	for _, p := range t.parts {
		switch p {
		case ".", "D":
			after = true
		case "9", "0":
			if after {
				n++
				if p == "0" {
					last = n
				}
			}
		}
	}
	return last
}

func (t *numberTemplate) scientific(v row.Value) (row.Value, error) {
	if !finite(v) {
		return row.NewText(strings.Repeat("#", t.before+t.after+6)), nil
	}
	n, scale := bigOf(v)
	neg := n.Sign() < 0
	text := n.Abs(n).String()
	exponent := 0
	if text != "0" {
		exponent = len(text) - 1 - int(scale)
	}
	mantissa, err := fromBig(n, int32(len(text)-1))
	if err != nil {
		return row.Null, err
	}
	m := string(row.RoundNumeric(mantissa, int32(t.after)).AppendNumeric(nil))
	if strings.HasPrefix(m, "10") {
		exponent++
		m = "1" + m[2:]
		if t.after > 0 {
			m = "1." + strings.Repeat("0", t.after)
		}
	}
	sign := " "
	if neg {
		sign = "-"
	} else if t.fill {
		sign = ""
	}
	return row.NewText(fmt.Sprintf("%s%se%+03d", sign, m, exponent)), nil
}

func (t *numberTemplate) romanText(v row.Value) string {
	n, _, ok := row.RoundNumeric(v, 0).Numeric()
	if !ok || n < 1 || n > 3999 {
		return strings.Repeat("#", 15)
	}
	s := ""
	for i, value := range []int64{1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1} {
		for n >= value {
			s += []string{"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}[i]
			n -= value
		}
	}
	if t.fill {
		return s
	}
	return fmt.Sprintf("%15s", s)
}

func toCharNumeric(a, b row.Value) (row.Value, error) { return toCharNumber(a, b.Str()) }

func toCharInt(a, b row.Value) (row.Value, error) {
	return toCharNumber(row.NumericFromInt(a.Int()), b.Str())
}

// toCharFloat rounds the float itself, half to even on its binary value, and only then writes digits.
func toCharFloat(digits int) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		f := a.Float()
		t, err := parseNumberTemplate(b.Str())
		if err != nil {
			return row.Null, err
		}
		if t.exponent || t.multiply || isInf(f) || f != f || math.Abs(f) > 1e15 {
			return toCharNumber(row.NumericFromFloat(f, digits), b.Str())
		}
		v, err := row.NumericFromString(strconv.FormatFloat(f, 'f', t.after, 64))
		if err != nil {
			return row.Null, err
		}
		return toCharNumber(v, b.Str())
	}
}

// toNumber reads a number by a template: what is not part of a number is skipped.
func toNumber(a, b row.Value) (row.Value, error) {
	t, err := parseNumberTemplate(b.Str())
	if err != nil {
		return row.Null, err
	}
	var digits strings.Builder
	negative, point := false, false
	after := 0
	for _, c := range a.Str() {
		switch {
		case c >= '0' && c <= '9':
			if point {
				if after++; after > t.after {
					continue
				}
			}
			digits.WriteRune(c)
		case c == '-' || c == '<':
			negative = true
		case c == '.' && t.decimal && !point:
			point = true
			digits.WriteByte('.')
		}
	}
	s := digits.String()
	if strings.Trim(s, ".") == "" {
		return row.Null, errs.SQL("22P02", "invalid input syntax for type numeric: \"%s\"", a.Str())
	}
	v, err := row.NumericFromString(s)
	if err != nil {
		return row.Null, err
	}
	v = row.RoundNumeric(v, int32(t.after))
	if negative {
		return numericNeg(v)
	}
	return v, nil
}

// templates holds the functions that format and read by a template (PostgreSQL 9.8).
var templates = []def{
	{"to_char(timestamp,text) text", stable, toCharTimestamp},
	{"to_char(timestamptz,text) text", stable, toCharZoned},
	{"to_char(interval,text) text", stable, toCharTimestamp},
	{"to_char(numeric,text) text", stable, toCharNumeric},
	{"to_char(int4,text) text", stable, toCharInt},
	{"to_char(int8,text) text", stable, toCharInt},
	{"to_char(float4,text) text", stable, toCharFloat(6)},
	{"to_char(float8,text) text", stable, toCharFloat(15)},
	{"to_date(text,text) date", stable, toDate},
	{"to_timestamp(text,text) timestamptz", stable, toTimestamp},
	{"to_number(text,text) numeric", stable, toNumber},
}
