package expr

import (
	"strings"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// likeMatch is LIKE: % is any run, _ one character, escape takes the next one as it is (0: none).
func likeMatch(s, pattern string, escape rune) (bool, error) {
	// back and backS are where to go on when a match after the last % fails.
	back, backS := -1, 0
	p, i := 0, 0
	for i < len(s) || p < len(pattern) {
		if p < len(pattern) {
			c, n := utf8.DecodeRuneInString(pattern[p:])
			switch {
			case escape != 0 && c == escape:
				if p+n >= len(pattern) {
					return false, errs.SQL("22025", "LIKE pattern must not end with escape character")
				}
				lc, ln := utf8.DecodeRuneInString(pattern[p+n:])
				if sc, sn := utf8.DecodeRuneInString(s[i:]); i < len(s) && sc == lc {
					p, i = p+n+ln, i+sn
					continue
				}
			case c == '%':
				p += n
				back, backS = p, i
				if p == len(pattern) {
					return true, nil
				}
				continue
			case c == '_':
				if i < len(s) {
					_, sn := utf8.DecodeRuneInString(s[i:])
					p, i = p+n, i+sn
					continue
				}
			default:
				if i < len(s) && strings.HasPrefix(s[i:], pattern[p:p+n]) {
					p, i = p+n, i+n
					continue
				}
			}
		}
		if back < 0 || backS >= len(s) {
			return false, nil
		}
		_, n := utf8.DecodeRuneInString(s[backS:])
		backS += n
		p, i = back, backS
	}
	return true, nil
}

func like(negated bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		ok, err := likeMatch(a.Str(), b.Str(), '\\')
		return row.NewBool(ok != negated), err
	}
}

// likeBytes matches byte by byte: each byte is taken for the character of its number.
func likeBytes(negated bool) binaryFunc {
	widen := func(s string) string {
		out := make([]rune, len(s))
		for i := range len(s) {
			out[i] = rune(s[i])
		}
		return string(out)
	}
	return func(a, b row.Value) (row.Value, error) {
		ok, err := likeMatch(widen(a.Str()), widen(b.Str()), '\\')
		return row.NewBool(ok != negated), err
	}
}

func ilike(negated bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		ok, err := likeMatch(strings.ToLower(a.Str()), strings.ToLower(b.Str()), '\\')
		return row.NewBool(ok != negated), err
	}
}

// likeEscape rewrites a pattern with another escape character to one with backslash.
func likeEscape(a, b row.Value) (row.Value, error) {
	pattern, escape := a.Str(), b.Str()
	if utf8.RuneCountInString(escape) > 1 {
		return row.Null, errs.SQL("22025", "invalid escape string").WithHint("Escape string must be empty or one character.")
	}
	if escape == "\\" {
		return a, nil
	}
	var out strings.Builder
	for i := 0; i < len(pattern); {
		_, n := utf8.DecodeRuneInString(pattern[i:])
		switch c := pattern[i : i+n]; {
		case escape != "" && c == escape:
			out.WriteByte('\\')
			if i += n; i < len(pattern) {
				_, n = utf8.DecodeRuneInString(pattern[i:])
				out.WriteString(pattern[i : i+n])
			}
		case c == "\\":
			out.WriteString("\\\\")
		default:
			out.WriteString(c)
		}
		i += n
	}
	return row.NewText(out.String()), nil
}

// similarEscape turns a SIMILAR TO pattern into a regular expression, as similar_to_escape does.
func similarEscape(args []row.Value) (row.Value, error) {
	pattern, escape := args[0].Str(), "\\"
	if len(args) > 1 {
		escape = args[1].Str()
	}
	if utf8.RuneCountInString(escape) > 1 {
		return row.Null, errs.SQL("22025", "invalid escape string").WithHint("Escape string must be empty or one character.")
	}
	var out strings.Builder
	out.WriteString("^(?:")
	// #" twice (with # as the escape) encloses what SUBSTRING gives; what stands before is as short as can be.
	wild, separators := ".*", 0
	if strings.Contains(pattern, escape+`"`) {
		wild = ".*?"
	}
	inClass, afterEscape := false, false
	for _, c := range pattern {
		s := string(c)
		switch {
		case afterEscape && c == '"' && !inClass:
			if separators == 2 {
				return row.Null, errs.SQL("2200C", "SQL regular expression may not contain more than two escape-double-quote separators")
			}
			out.WriteString([]string{")(", ")(?:"}[separators])
			wild, afterEscape = ".*", false
			separators++
		case afterEscape:
			out.WriteString("\\" + s)
			afterEscape = false
		case s == escape:
			afterEscape = true
		case inClass:
			if c == '\\' {
				out.WriteByte('\\')
			}
			out.WriteString(s)
			inClass = c != ']'
		case c == '[':
			out.WriteString(s)
			inClass = true
		case c == '%':
			out.WriteString(wild)
		case c == '_':
			out.WriteByte('.')
		case c == '(':
			out.WriteString("(?:")
		case strings.ContainsRune("\\.^$", c):
			out.WriteString("\\" + s)
		default:
			out.WriteString(s)
		}
	}
	out.WriteString(")$")
	return row.NewText(out.String()), nil
}

func patternDefs() []def {
	var defs []def
	for _, t := range []string{"text", "name", "bpchar"} {
		defs = append(defs,
			def{"~~(" + t + ",text) bool", 0, like(false)}, def{"!~~(" + t + ",text) bool", 0, like(true)},
			def{"~~*(" + t + ",text) bool", 0, ilike(false)}, def{"!~~*(" + t + ",text) bool", 0, ilike(true)},
			def{"~(" + t + ",text) bool", 0, regexMatch("", false)}, def{"!~(" + t + ",text) bool", 0, regexMatch("", true)},
			def{"~*(" + t + ",text) bool", 0, regexMatch("i", false)}, def{"!~*(" + t + ",text) bool", 0, regexMatch("i", true)})
	}
	return append(defs, []def{
		{"~~(bytea,bytea) bool", 0, likeBytes(false)},
		{"!~~(bytea,bytea) bool", 0, likeBytes(true)},
		{"like(text,text) bool", 0, like(false)},
		{"notlike(text,text) bool", 0, like(true)},
		{"like_escape(text,text) text", 0, likeEscape},
		{"similar_to_escape(text) text", 0, similarEscape},
		{"similar_to_escape(text,text) text", 0, similarEscape},
		{"substring(text,text) text", 0, substringRegexp},
		{"regexp_replace(text,text,text) text", 0, regexpReplace},
		{"regexp_replace(text,text,text,text) text", 0, regexpReplace},
		{"regexp_replace(text,text,text,int4) text", 0, regexpReplaceFrom},
		{"regexp_replace(text,text,text,int4,int4) text", 0, regexpReplaceFrom},
		{"regexp_replace(text,text,text,int4,int4,text) text", 0, regexpReplaceFrom},
		{"regexp_match(text,text) _text", 0, regexpMatch},
		{"regexp_match(text,text,text) _text", 0, regexpMatch},
		{"regexp_matches(text,text) _text", 0, setFunc{set: regexpMatches}},
		{"regexp_matches(text,text,text) _text", 0, setFunc{set: regexpMatches}},
		{"regexp_split_to_array(text,text) _text", 0, regexpSplitArray},
		{"regexp_split_to_array(text,text,text) _text", 0, regexpSplitArray},
		{"regexp_split_to_table(text,text) text", 0, setFunc{set: regexpSplitTable}},
		{"regexp_split_to_table(text,text,text) text", 0, setFunc{set: regexpSplitTable}},
		{"regexp_count(text,text) int4", 0, regexpCount},
		{"regexp_count(text,text,int4) int4", 0, regexpCount},
		{"regexp_count(text,text,int4,text) int4", 0, regexpCount},
		{"regexp_like(text,text) bool", 0, regexpLike},
		{"regexp_like(text,text,text) bool", 0, regexpLike},
		{"regexp_substr(text,text) text", 0, regexpSubstr},
		{"regexp_substr(text,text,int4) text", 0, regexpSubstr},
		{"regexp_substr(text,text,int4,int4) text", 0, regexpSubstr},
		{"regexp_substr(text,text,int4,int4,text) text", 0, regexpSubstr},
		{"regexp_substr(text,text,int4,int4,text,int4) text", 0, regexpSubstr},
		{"regexp_instr(text,text) int4", 0, regexpInstr},
		{"regexp_instr(text,text,int4) int4", 0, regexpInstr},
		{"regexp_instr(text,text,int4,int4) int4", 0, regexpInstr},
		{"regexp_instr(text,text,int4,int4,int4) int4", 0, regexpInstr},
		{"regexp_instr(text,text,int4,int4,int4,text) int4", 0, regexpInstr},
	}...)
}

// runes counts characters.
func runes(s string) int64 { return int64(utf8.RuneCountInString(s)) }

// quoteIdent quotes a name when it needs it.
func quoteIdent(s string) string {
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c == '_' || i > 0 && (c >= '0' && c <= '9')) {
			plain = false
			break
		}
	}
	if plain && !reservedWords[s] {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

func quoteLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}
