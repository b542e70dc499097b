package expr

import (
	"crypto/sha256"
	"crypto/sha512"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// maxText bounds what one function may build: PostgreSQL's limit on a value.
const maxText = 1 << 30

var errTooLarge = errs.SQL("54000", "requested length too large")

// texts makes a function of one string.
func texts(f func(string) string) unaryFunc {
	return func(a row.Value) (row.Value, error) { return row.NewText(f(a.Str())), nil }
}

func counts(f func(string) int64) unaryFunc {
	return func(a row.Value) (row.Value, error) { return row.NewInt(f(a.Str())), nil }
}

func concatText(a, b row.Value) (row.Value, error) {
	if len(a.Str())+len(b.Str()) > maxText {
		return row.Null, errTooLarge
	}
	return row.NewText(a.Str() + b.Str()), nil
}

func concatBytes(a, b row.Value) (row.Value, error) {
	return row.NewBytes([]byte(a.Str() + b.Str())), nil
}

// concatAny is text || anything and anything || text.
func concatAny(args []row.Type, _ row.Type) evalFunc {
	return func(ctx *Ctx, v []row.Value) (row.Value, error) {
		a, err := OutputText(ctx, args[0], v[0])
		if err != nil {
			return row.Null, err
		}
		b, err := OutputText(ctx, args[1], v[1])
		if err != nil {
			return row.Null, err
		}
		return row.NewText(a + b), nil
	}
}

// typeAt is the type of argument i; the last one repeats for variadic arguments that were spread from an array.
func typeAt(types []row.Type, i int) row.Type {
	if len(types) == 0 {
		return row.T(row.Text)
	}
	return types[min(i, len(types)-1)]
}

func concat(types []row.Type, _ row.Type) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		var out strings.Builder
		for i, a := range args {
			if a.IsNull() {
				continue
			}
			s, err := wireText(ctx, typeAt(types, i), a)
			if err != nil {
				return row.Null, err
			}
			out.WriteString(s)
		}
		return row.NewText(out.String()), nil
	}
}

func concatWS(types []row.Type, _ row.Type) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if args[0].IsNull() {
			return row.Null, nil
		}
		var out strings.Builder
		first := true
		for i, a := range args[1:] {
			if a.IsNull() {
				continue
			}
			if !first {
				out.WriteString(args[0].Str())
			}
			first = false
			s, err := wireText(ctx, typeAt(types, i+1), a)
			if err != nil {
				return row.Null, err
			}
			out.WriteString(s)
		}
		return row.NewText(out.String()), nil
	}
}

// formatText is format(): %s %I %L %% with positions and widths.
func formatText(types []row.Type, _ row.Type) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if args[0].IsNull() {
			return row.Null, nil
		}
		f := args[0].Str()
		var out strings.Builder
		next := 1
		for i := 0; i < len(f); i++ {
			if f[i] != '%' {
				out.WriteByte(f[i])
				continue
			}
			if i++; i >= len(f) {
				return row.Null, errs.SQL("22023", "unterminated format() type specifier").WithHint("For a single \"%%\" use \"%%%%\".")
			}
			if f[i] == '%' {
				out.WriteByte('%')
				continue
			}
			spec, end, err := parseFormat(f, i)
			if err != nil {
				return row.Null, err
			}
			i = end
			if spec.starWidth {
				at := next
				if spec.starPosition > 0 {
					at = spec.starPosition
				} else {
					next++
				}
				if at >= len(args) {
					return row.Null, errs.SQL("22023", "too few arguments for format()")
				}
				if !args[at].IsNull() {
					spec.width = int(args[at].Int())
				}
				if spec.width < 0 {
					spec.left, spec.width = true, -spec.width
				}
			}
			if spec.position > 0 {
				next = spec.position
			}
			if next >= len(args) {
				return row.Null, errs.SQL("22023", "too few arguments for format()")
			}
			s, err := formatArgument(ctx, typeAt(types, next), args[next], spec.verb)
			if err != nil {
				return row.Null, err
			}
			next++
			if spec.width > maxText {
				return row.Null, errTooLarge
			}
			fill := strings.Repeat(" ", max(spec.width-int(runes(s)), 0))
			if spec.left {
				out.WriteString(s + fill)
			} else {
				out.WriteString(fill + s)
			}
		}
		return row.NewText(out.String()), nil
	}
}

type formatSpec struct {
	position, width, starPosition int
	left, starWidth               bool
	verb                          byte
}

// parseFormat reads a specifier after its %; end is the index of its verb.
func parseFormat(f string, i int) (s formatSpec, end int, err error) {
	number := func() int {
		n := 0
		for i < len(f) && f[i] >= '0' && f[i] <= '9' && n < 1<<27 {
			n = n*10 + int(f[i]-'0')
			i++
		}
		return n
	}
	start := i
	if n := number(); i < len(f) && f[i] == '$' && i > start {
		if s.position = n; n == 0 {
			return s, 0, errs.SQL("22023", "format specifies argument 0, but arguments are numbered from 1")
		}
		i++
	} else {
		i = start
	}
	for i < len(f) && f[i] == '-' {
		s.left = true
		i++
	}
	if i < len(f) && f[i] == '*' {
		s.starWidth = true
		i++
		mark := i
		if n := number(); i < len(f) && f[i] == '$' {
			s.starPosition = n
			i++
		} else {
			i = mark
		}
	} else {
		s.width = number()
	}
	if i >= len(f) {
		return s, 0, errs.SQL("22023", "unterminated format() type specifier").WithHint("For a single \"%%\" use \"%%%%\".")
	}
	s.verb = f[i]
	if s.verb != 's' && s.verb != 'I' && s.verb != 'L' {
		return s, 0, errs.SQL("22023", "unrecognized format() type specifier \"%c\"", s.verb).WithHint("For a single \"%%\" use \"%%%%\".")
	}
	return s, i, nil
}

func formatArgument(ctx *Ctx, t row.Type, v row.Value, verb byte) (string, error) {
	if v.IsNull() {
		switch verb {
		case 'I':
			return "", errs.SQL("22004", "null values cannot be formatted as an SQL identifier")
		case 'L':
			return "NULL", nil
		}
		return "", nil
	}
	s, err := wireText(ctx, t, v)
	switch verb {
	case 'I':
		s = quoteIdent(s)
	case 'L':
		s = quoteLiteral(s)
	}
	return s, err
}

// characters gives the byte index of the n-th character (from 0), or len(s).
func characters(s string, n int64) int {
	if n >= int64(len(s)) {
		return len(s)
	}
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	return i
}

// span computes substring's ends: from start (1-based, may be below 1) for length characters; -1: to the end.
func span(args []row.Value) (from, to int64, err error) {
	from = args[1].Int() - 1
	to = int64(maxText) * 2
	if len(args) > 2 {
		n := args[2].Int()
		if n < 0 {
			return 0, 0, errs.SQL("22011", "negative substring length not allowed")
		}
		to = from + n
	}
	return max(from, 0), max(to, 0), nil
}

func substring(args []row.Value) (row.Value, error) {
	from, to, err := span(args)
	if err != nil {
		return row.Null, err
	}
	s := args[0].Str()
	if from >= to {
		return row.NewText(""), nil
	}
	a := characters(s, from)
	return row.NewText(s[a : a+characters(s[a:], to-from)]), nil
}

func substringBytes(args []row.Value) (row.Value, error) {
	from, to, err := span(args)
	if err != nil {
		return row.Null, err
	}
	s := args[0].Str()
	n := int64(len(s))
	return row.NewBytes([]byte(s[min(from, n):max(min(to, n), min(from, n))])), nil
}

func substringSimilar(args []row.Value) (row.Value, error) {
	re, err := similarEscape(args[1:])
	if err != nil {
		return row.Null, err
	}
	return substringRegexp(args[0], re)
}

func overlay(args []row.Value) (row.Value, error) {
	s, with, start := args[0].Str(), args[1].Str(), args[2].Int()
	n := runes(with)
	if len(args) > 3 {
		n = args[3].Int()
	}
	if start <= 0 {
		return row.Null, errs.SQL("22011", "negative substring length not allowed")
	}
	if start+n > math.MaxInt32 {
		return row.Null, errInt4Range
	}
	head := s[:characters(s, start-1)]
	tail := s[characters(s, max(start-1+n, 0)):]
	return row.NewText(head + with + tail), nil
}

func position(s, sub row.Value) (row.Value, error) {
	i := strings.Index(s.Str(), sub.Str())
	if i < 0 {
		return row.NewInt(0), nil
	}
	return row.NewInt(runes(s.Str()[:i]) + 1), nil
}

func positionBytes(s, sub row.Value) (row.Value, error) {
	return row.NewInt(int64(strings.Index(s.Str(), sub.Str()) + 1)), nil
}

func replaceText(args []row.Value) (row.Value, error) {
	if args[1].Str() == "" {
		return args[0], nil
	}
	return row.NewText(strings.ReplaceAll(args[0].Str(), args[1].Str(), args[2].Str())), nil
}

func translate(args []row.Value) (row.Value, error) {
	from, to := []rune(args[1].Str()), []rune(args[2].Str())
	return row.NewText(strings.Map(func(r rune) rune {
		for i, f := range from {
			if f == r {
				if i < len(to) {
					return to[i]
				}
				return -1
			}
		}
		return r
	}, args[0].Str())), nil
}

func trimWith(trim func(s, cutset string) string) func([]row.Value) (row.Value, error) {
	return func(args []row.Value) (row.Value, error) {
		set := " "
		if len(args) > 1 {
			if set = args[1].Str(); set == "" {
				return args[0], nil
			}
		}
		return row.NewText(trim(args[0].Str(), set)), nil
	}
}

func trimBytes(a, b row.Value) (row.Value, error) {
	s, set := a.Str(), b.Str()
	for s != "" && strings.IndexByte(set, s[0]) >= 0 {
		s = s[1:]
	}
	for s != "" && strings.IndexByte(set, s[len(s)-1]) >= 0 {
		s = s[:len(s)-1]
	}
	return row.NewBytes([]byte(s)), nil
}

func pad(left bool) func([]row.Value) (row.Value, error) {
	return func(args []row.Value) (row.Value, error) {
		s, n, fill := args[0].Str(), args[1].Int(), " "
		if len(args) > 2 {
			fill = args[2].Str()
		}
		if n > maxText/4 {
			return row.Null, errTooLarge
		}
		have := runes(s)
		if n <= have || fill == "" {
			return row.NewText(s[:characters(s, max(n, 0))]), nil
		}
		more := n - have
		text := strings.Repeat(fill, int(more/runes(fill)+1))
		text = text[:characters(text, more)]
		if left {
			return row.NewText(text + s), nil
		}
		return row.NewText(s + text), nil
	}
}

func leftText(a, b row.Value) (row.Value, error) {
	s, n := a.Str(), b.Int()
	if n < 0 {
		n = max(runes(s)+n, 0)
	}
	return row.NewText(s[:characters(s, n)]), nil
}

func rightText(a, b row.Value) (row.Value, error) {
	s, n := a.Str(), b.Int()
	if n == math.MinInt32 { // PostgreSQL's negation overflows
		return a, nil
	}
	if n < 0 {
		return row.NewText(s[characters(s, -n):]), nil
	}
	return row.NewText(s[characters(s, max(runes(s)-n, 0)):]), nil
}

func repeatText(a, b row.Value) (row.Value, error) {
	n := max(b.Int(), 0)
	if n*int64(len(a.Str())) > maxText {
		return row.Null, errTooLarge
	}
	return row.NewText(strings.Repeat(a.Str(), int(n))), nil
}

func reverseText(s string) string {
	out := []rune(s)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}

func initcap(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r) || unicode.IsDigit(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func ascii(s string) int64 {
	if s == "" {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(s)
	return int64(r)
}

func chr(a row.Value) (row.Value, error) {
	n := a.Int()
	switch {
	case n < 0:
		return row.Null, errs.SQL("22023", "character number must be positive")
	case n == 0:
		return row.Null, errs.SQL("54000", "null character not permitted")
	case n > unicode.MaxRune || n >= 0xD800 && n < 0xE000:
		return row.Null, errs.SQL("54000", "requested character too large for encoding: %d", n)
	}
	return row.NewText(string(rune(n))), nil
}

func quoteAny(nullText bool) binder {
	return func(types []row.Type, _ row.Type) evalFunc {
		return func(ctx *Ctx, args []row.Value) (row.Value, error) {
			if args[0].IsNull() {
				if nullText {
					return row.NewText("NULL"), nil
				}
				return row.Null, nil
			}
			s, err := OutputText(ctx, types[0], args[0])
			return row.NewText(quoteLiteral(s)), err
		}
	}
}

func normalizeText(args []row.Value) (row.Value, error) {
	form := "NFC"
	if len(args) > 1 {
		form = strings.ToUpper(args[1].Str())
	}
	forms := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}
	f, ok := forms[form]
	if !ok {
		return row.Null, errs.SQL("22023", "invalid normalization form: %s", form)
	}
	return row.NewText(f.String(args[0].Str())), nil
}

func bitLength(s string) int64  { return int64(len(s)) * 8 }
func byteLength(s string) int64 { return int64(len(s)) }

// strs holds the string and binary functions (PostgreSQL 9.4, 9.5).
var strs = []def{
	{"||(text,text) text", 0, concatText},
	{"||(bytea,bytea) bytea", 0, concatBytes},
	{"||(text,anynonarray) text", stable, binder(concatAny)},
	{"||(anynonarray,text) text", stable, binder(concatAny)},
	{"length(text) int4", 0, counts(runes)},
	{"length(bpchar) int4", 0, counts(func(s string) int64 { return runes(strings.TrimRight(s, " ")) })},
	{"length(bytea) int4", 0, counts(byteLength)},
	{"char_length(text) int4", 0, counts(runes)},
	{"char_length(bpchar) int4", 0, counts(func(s string) int64 { return runes(strings.TrimRight(s, " ")) })},
	{"character_length(text) int4", 0, counts(runes)},
	{"octet_length(text) int4", 0, counts(byteLength)},
	{"octet_length(bytea) int4", 0, counts(byteLength)},
	{"octet_length(bpchar) int4", 0, counts(byteLength)},
	{"bit_length(text) int4", 0, counts(bitLength)},
	{"bit_length(bytea) int4", 0, counts(bitLength)},
	{"lower(text) text", 0, texts(strings.ToLower)},
	{"upper(text) text", 0, texts(strings.ToUpper)},
	{"initcap(text) text", 0, texts(initcap)},
	{"reverse(text) text", 0, texts(reverseText)},
	{"substring(text,int4) text", 0, substring},
	{"substring(text,int4,int4) text", 0, substring},
	{"substring(text,text,text) text", 0, substringSimilar},
	{"substr(text,int4) text", 0, substring},
	{"substr(text,int4,int4) text", 0, substring},
	{"substring(bytea,int4) bytea", 0, substringBytes},
	{"substring(bytea,int4,int4) bytea", 0, substringBytes},
	{"substr(bytea,int4) bytea", 0, substringBytes},
	{"substr(bytea,int4,int4) bytea", 0, substringBytes},
	{"overlay(text,text,int4) text", 0, overlay},
	{"overlay(text,text,int4,int4) text", 0, overlay},
	{"position(text,text) int4", 0, position},
	{"position(bytea,bytea) int4", 0, positionBytes},
	{"strpos(text,text) int4", 0, position},
	{"replace(text,text,text) text", 0, replaceText},
	{"translate(text,text,text) text", 0, translate},
	{"split_part(text,text,int4) text", 0, splitPart},
	{"btrim(text) text", 0, trimWith(strings.Trim)},
	{"btrim(text,text) text", 0, trimWith(strings.Trim)},
	{"ltrim(text) text", 0, trimWith(strings.TrimLeft)},
	{"ltrim(text,text) text", 0, trimWith(strings.TrimLeft)},
	{"rtrim(text) text", 0, trimWith(strings.TrimRight)},
	{"rtrim(text,text) text", 0, trimWith(strings.TrimRight)},
	{"btrim(bytea,bytea) bytea", 0, trimBytes},
	{"lpad(text,int4) text", 0, pad(true)},
	{"lpad(text,int4,text) text", 0, pad(true)},
	{"rpad(text,int4) text", 0, pad(false)},
	{"rpad(text,int4,text) text", 0, pad(false)},
	{"left(text,int4) text", 0, leftText},
	{"right(text,int4) text", 0, rightText},
	{"repeat(text,int4) text", 0, repeatText},
	{"ascii(text) int4", 0, counts(ascii)},
	{"chr(int4) text", 0, chr},
	{"starts_with(text,text) bool", 0, func(a, b row.Value) (row.Value, error) { return row.NewBool(strings.HasPrefix(a.Str(), b.Str())), nil }},
	{"^@(text,text) bool", 0, func(a, b row.Value) (row.Value, error) { return row.NewBool(strings.HasPrefix(a.Str(), b.Str())), nil }},
	{"concat(variadic any) text", nullable | stable, binder(concat)},
	{"concat_ws(text,variadic any) text", nullable | stable, binder(concatWS)},
	{"format(text) text", nullable | stable, binder(formatText)},
	{"format(text,variadic any) text", nullable | stable, binder(formatText)},
	{"quote_ident(text) text", 0, texts(quoteIdent)},
	{"quote_literal(text) text", 0, texts(quoteLiteral)},
	{"quote_literal(anyelement) text", stable, quoteAny(false)},
	{"quote_nullable(text) text", nullable, quoteAny(true)},
	{"quote_nullable(anyelement) text", nullable | stable, quoteAny(true)},
	{"normalize(text) text", defaulted, normalizeText},
	{"normalize(text,text) text", 0, normalizeText},
	{"md5(text) text", 0, texts(md5Hex)},
	{"md5(bytea) text", 0, texts(md5Hex)},
	{"sha224(bytea) bytea", 0, sum(func(b []byte) []byte { s := sha256.Sum224(b); return s[:] })},
	{"sha256(bytea) bytea", 0, sum(func(b []byte) []byte { s := sha256.Sum256(b); return s[:] })},
	{"sha384(bytea) bytea", 0, sum(func(b []byte) []byte { s := sha512.Sum384(b); return s[:] })},
	{"sha512(bytea) bytea", 0, sum(func(b []byte) []byte { s := sha512.Sum512(b); return s[:] })},
	{"encode(bytea,text) text", 0, encode},
	{"decode(text,text) bytea", 0, decode},
	{"convert_from(bytea,name) text", stable, func(a, _ row.Value) (row.Value, error) { return row.ParseText(row.T(row.Text), a.Str()) }},
	{"convert_to(text,name) bytea", stable, func(a, _ row.Value) (row.Value, error) { return row.NewBytes([]byte(a.Str())), nil }},
	{"get_byte(bytea,int4) int4", 0, getByte},
	{"set_byte(bytea,int4,int4) bytea", 0, setByte},
	{"to_hex(int4) text", 0, toHex32},
	{"to_hex(int8) text", 0, toHex},
	{"string_to_array(text,text) _text", nullable, stringToArray},
	{"string_to_array(text,text,text) _text", nullable, stringToArray},
	{"string_to_table(text,text) text", nullable, setFunc{set: stringToTable}},
	{"string_to_table(text,text,text) text", nullable, setFunc{set: stringToTable}},
	{"parse_ident(text) _text", defaulted, parseIdent},
	{"parse_ident(text,bool) _text", 0, parseIdent},
}
