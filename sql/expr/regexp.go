package expr

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// regexpCacheSize bounds the compiled expressions that are kept.
const regexpCacheSize = 256

var regexps struct {
	sync.RWMutex
	m map[string]*regexp.Regexp
}

// compileRegexp compiles a POSIX advanced regular expression with PostgreSQL's flags. What RE2 cannot do (back references,
// look-around) is 0A000; a malformed one 2201B.
func compileRegexp(pattern, flags string) (*regexp.Regexp, error) {
	key := flags + "/" + pattern
	regexps.RLock()
	re := regexps.m[key]
	regexps.RUnlock()
	if re != nil {
		return re, nil
	}
	prefix, literal, expanded := "s", false, false // in PostgreSQL . matches a newline
	for _, f := range flags {
		switch f {
		case 'i':
			prefix += "i"
		case 'c':
			prefix = strings.ReplaceAll(prefix, "i", "")
		case 'n', 'm':
			prefix = strings.ReplaceAll(prefix, "s", "") + "m"
		case 'p':
			prefix = strings.ReplaceAll(prefix, "s", "")
		case 'w':
			prefix += "m"
		case 's', 't', 'e':
		case 'q':
			literal = true
		case 'x':
			expanded = true
		default:
			return nil, errs.SQL("22023", "invalid regular expression option: \"%c\"", f)
		}
	}
	if expanded {
		pattern = collapse(pattern)
	}
	var translated string
	if strings.HasPrefix(pattern, "***=") {
		literal, pattern = true, pattern[4:]
	}
	if literal {
		translated = regexp.QuoteMeta(pattern)
	} else {
		t, err := translateRegexp(strings.TrimPrefix(pattern, "***:"))
		if err != nil {
			return nil, err
		}
		translated = t
	}
	re, err := regexp.Compile("(?" + prefix + ":" + translated + ")")
	if err != nil {
		var reason string
		if e, ok := err.(*syntax.Error); ok {
			reason = string(e.Code)
			if e.Code == syntax.ErrInvalidPerlOp || e.Code == syntax.ErrInvalidEscape {
				return nil, errs.SQL("0A000", "this kind of regular expression is not supported: %s", pattern)
			}
		}
		return nil, errs.SQL("2201B", "invalid regular expression: %s", reason)
	}
	regexps.Lock()
	if regexps.m == nil || len(regexps.m) >= regexpCacheSize {
		regexps.m = map[string]*regexp.Regexp{}
	}
	regexps.m[key] = re
	regexps.Unlock()
	return re, nil
}

// collapse drops blanks and comments of expanded syntax.
func collapse(p string) string {
	var out strings.Builder
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && i+1 < len(p):
			out.WriteString(p[i : i+2])
			i++
		case c == '[':
			end := max(bracketEnd(p, i), i)
			out.WriteString(p[i : end+1])
			i = end
		case c == '#':
			for i < len(p) && p[i] != '\n' {
				i++
			}
		case c == ' ' || c >= '\t' && c <= '\r':
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// translateRegexp writes PostgreSQL's ARE escapes as RE2's.
func translateRegexp(p string) (string, error) {
	if strings.HasPrefix(p, "(?") && len(p) > 2 && p[2] >= 'a' && p[2] <= 'z' { // embedded options: (?i)
		end := strings.IndexByte(p, ')')
		if end > 0 {
			options := strings.NewReplacer("c", "", "s", "", "e", "", "n", "m", "p", "", "t", "", "w", "m").Replace(p[2:end])
			rest, err := translateRegexp(p[end+1:])
			if options != "" {
				return "(?" + options + ")" + rest, err
			}
			return rest, err
		}
	}
	var out strings.Builder
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\\' && i+1 < len(p):
			i++
			switch e := p[i]; {
			case e == 'm':
				out.WriteString(`\b`)
			case e == 'M' || e == 'y':
				out.WriteString(`\b`)
			case e == 'Y':
				out.WriteString(`\B`)
			case e == 'Z':
				out.WriteString(`\z`)
			case e == 'A', e == 'd', e == 'D', e == 's', e == 'S', e == 'w', e == 'W', e == 'n', e == 't', e == 'r', e == 'f', e == 'v', e == 'a', e == 'x':
				out.WriteByte('\\')
				out.WriteByte(e)
			case e == 'e':
				out.WriteString(`\x1b`)
			case e == 'u' && i+4 < len(p):
				out.WriteString(`\x{` + p[i+1:i+5] + "}")
				i += 4
			case e >= '1' && e <= '9':
				return "", errs.SQL("0A000", "back references in regular expressions are not supported")
			case e < 0x80 && !(e|0x20 >= 'a' && e|0x20 <= 'z') && !(e >= '0' && e <= '9'):
				out.WriteByte('\\')
				out.WriteByte(e)
			case e >= 0x80:
				out.WriteByte(e)
			default:
				return "", errs.SQL("2201B", "invalid regular expression: invalid escape \\ sequence")
			}
		case c == '[':
			end := bracketEnd(p, i)
			if end < 0 {
				return "", errs.SQL("2201B", "invalid regular expression: brackets [] not balanced")
			}
			class := p[i : end+1]
			out.WriteString(escapeClass(class))
			i = end
		case c == '(' && strings.HasPrefix(p[i:], "(?") && i+2 < len(p) && (p[i+2] == '=' || p[i+2] == '!' || p[i+2] == '<'):
			return "", errs.SQL("0A000", "look-around in regular expressions is not supported")
		case c == '{' && (i+1 >= len(p) || p[i+1] < '0' || p[i+1] > '9'):
			out.WriteString(`\{`)
		case c == '*' && i == 0:
			return "", errs.SQL("2201B", "invalid regular expression: quantifier operand invalid")
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), nil
}

// bracketEnd is the index of the ] that closes the class opened at i.
func bracketEnd(p string, i int) int {
	j := i + 1
	if j < len(p) && p[j] == '^' {
		j++
	}
	if j < len(p) && p[j] == ']' {
		j++
	}
	for ; j < len(p); j++ {
		switch {
		case p[j] == '\\':
			j++
		case p[j] == '[' && j+1 < len(p) && (p[j+1] == ':' || p[j+1] == '.' || p[j+1] == '='):
			if end := strings.Index(p[j+2:], string(p[j+1])+"]"); end >= 0 {
				j += end + 3
			}
		case p[j] == ']':
			return j
		}
	}
	return -1
}

// escapeClass escapes what RE2 would read in a class and POSIX does not: a [ and a leading ].
func escapeClass(class string) string {
	var out strings.Builder
	out.WriteByte('[')
	i := 1
	if i < len(class) && class[i] == '^' {
		out.WriteByte('^')
		i++
	}
	if i < len(class)-1 && class[i] == ']' {
		out.WriteString(`\]`)
		i++
	}
	for ; i < len(class)-1; i++ {
		if class[i] == '[' && !strings.HasPrefix(class[i:], "[:") {
			out.WriteString(`\[`)
			continue
		}
		if class[i] == '[' {
			end := strings.Index(class[i:], ":]")
			if end > 0 {
				out.WriteString(class[i : i+end+2])
				i += end + 1
				continue
			}
		}
		if class[i] == '\\' && i+1 < len(class)-1 {
			out.WriteString(class[i : i+2])
			i++
			continue
		}
		out.WriteByte(class[i])
	}
	out.WriteByte(']')
	return out.String()
}

func regexMatch(flags string, negated bool) binaryFunc {
	return func(a, b row.Value) (row.Value, error) {
		re, err := compileRegexp(b.Str(), flags)
		if err != nil {
			return row.Null, err
		}
		return row.NewBool(re.MatchString(a.Str()) != negated), nil
	}
}

// regexpFlags takes g out of a flags argument.
func regexpFlags(args []row.Value, i int) (flags string, global bool) {
	if i < len(args) {
		flags = args[i].Str()
	}
	return strings.ReplaceAll(flags, "g", ""), strings.Contains(flags, "g")
}

// substringRegexp is substring(text from pattern): the first group, or the whole match.
func substringRegexp(a, b row.Value) (row.Value, error) {
	re, err := compileRegexp(b.Str(), "")
	if err != nil {
		return row.Null, err
	}
	return group(a.Str(), re.FindStringSubmatchIndex(a.Str()), re.NumSubexp()), nil
}

func group(s string, m []int, groups int) row.Value {
	if m == nil {
		return row.Null
	}
	if groups > 0 {
		if m[2] < 0 {
			return row.Null
		}
		return row.NewText(s[m[2]:m[3]])
	}
	return row.NewText(s[m[0]:m[1]])
}

// replacement expands \1, \& and \\ of regexp_replace.
func replacement(dst *strings.Builder, template, s string, m []int) {
	for i := 0; i < len(template); i++ {
		if template[i] != '\\' || i+1 >= len(template) {
			dst.WriteByte(template[i])
			continue
		}
		i++
		switch c := template[i]; {
		case c == '&':
			dst.WriteString(s[m[0]:m[1]])
		case c >= '1' && c <= '9':
			if g := int(c - '0'); 2*g+1 < len(m) && m[2*g] >= 0 {
				dst.WriteString(s[m[2*g]:m[2*g+1]])
			}
		case c == '\\':
			dst.WriteByte('\\')
		default:
			dst.WriteByte('\\')
			dst.WriteByte(c)
		}
	}
}

func replaceMatches(s string, re *regexp.Regexp, template string, start, nth int) string {
	var out strings.Builder
	last := 0
	count := 0
	for _, m := range re.FindAllStringSubmatchIndex(s[start:], -1) {
		count++
		if nth > 0 && count != nth {
			continue
		}
		for i := range m {
			if m[i] >= 0 {
				m[i] += start
			}
		}
		out.WriteString(s[last:m[0]])
		replacement(&out, template, s, m)
		last = m[1]
		if nth > 0 {
			break
		}
	}
	out.WriteString(s[last:])
	return out.String()
}

func regexpReplace(args []row.Value) (row.Value, error) {
	flags, global := regexpFlags(args, 3)
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil {
		return row.Null, err
	}
	nth := 1
	if global {
		nth = 0
	}
	return row.NewText(replaceMatches(args[0].Str(), re, args[2].Str(), 0, nth)), nil
}

// regexpReplaceFrom is regexp_replace(text, pattern, replacement, start [, n [, flags]]).
func regexpReplaceFrom(args []row.Value) (row.Value, error) {
	start, err := startAt(args[0].Str(), args[3].Int())
	if err != nil {
		return row.Null, err
	}
	nth := 1
	if len(args) > 4 {
		if nth = int(args[4].Int()); nth < 0 {
			return row.Null, badParameter("n", args[4].Int())
		}
	}
	flags, global := regexpFlags(args, 5)
	if len(args) < 5 && global {
		nth = 0
	}
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil || start < 0 {
		return args[0], err
	}
	return row.NewText(replaceMatches(args[0].Str(), re, args[2].Str(), start, nth)), nil
}

func badParameter(name string, n int64) error {
	return errs.SQL("22023", "invalid value for parameter \"%s\": %d", name, n)
}

// startAt is the byte index of the n-th character, from 1; -1: past the end.
func startAt(s string, n int64) (int, error) {
	if n < 1 {
		return 0, badParameter("start", n)
	}
	i := 0
	for ; n > 1 && i < len(s); n-- {
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	if n > 1 {
		return -1, nil
	}
	return i, nil
}

func submatches(s string, m []int) row.Value {
	if len(m) == 2 {
		return row.NewList([]row.Value{row.NewText(s[m[0]:m[1]])})
	}
	out := make([]row.Value, 0, len(m)/2-1)
	for i := 2; i < len(m); i += 2 {
		if m[i] < 0 {
			out = append(out, row.Null)
		} else {
			out = append(out, row.NewText(s[m[i]:m[i+1]]))
		}
	}
	return row.NewList(out)
}

func regexpMatch(args []row.Value) (row.Value, error) {
	flags, global := regexpFlags(args, 2)
	if global {
		return row.Null, errs.SQL("22023", "regexp_match() does not support the \"global\" option").
			WithHint("Use the regexp_matches function instead.")
	}
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil {
		return row.Null, err
	}
	m := re.FindStringSubmatchIndex(args[0].Str())
	if m == nil {
		return row.Null, nil
	}
	return submatches(args[0].Str(), m), nil
}

func regexpMatches(_ *Ctx, args []row.Value) ([]row.Row, error) {
	flags, global := regexpFlags(args, 2)
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil {
		return nil, err
	}
	n := 1
	if global {
		n = -1
	}
	var out []row.Row
	for _, m := range re.FindAllStringSubmatchIndex(args[0].Str(), n) {
		out = append(out, row.Row{submatches(args[0].Str(), m)})
	}
	return out, nil
}

func splitRegexp(args []row.Value) ([]row.Value, error) {
	flags, global := regexpFlags(args, 2)
	if global {
		return nil, errs.SQL("22023", "regexp_split_to_array() does not support the \"global\" option")
	}
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil {
		return nil, err
	}
	s := args[0].Str()
	var out []row.Value
	last := 0
	for _, m := range re.FindAllStringIndex(s, -1) {
		if m[1] == m[0] && (m[0] == 0 || m[0] == len(s) || m[0] == last) && m[0] == last {
			continue
		}
		if m[1] == m[0] && m[0] == len(s) {
			continue
		}
		out = append(out, row.NewText(s[last:m[0]]))
		last = m[1]
	}
	return append(out, row.NewText(s[last:])), nil
}

func regexpSplitArray(args []row.Value) (row.Value, error) {
	list, err := splitRegexp(args)
	return row.NewList(list), err
}

func regexpSplitTable(_ *Ctx, args []row.Value) ([]row.Row, error) {
	list, err := splitRegexp(args)
	return rowsOf(list), err
}

func rowsOf(list []row.Value) []row.Row {
	out := make([]row.Row, len(list))
	for i := range list {
		out[i] = row.Row(list[i : i+1 : i+1])
	}
	return out
}

func regexpCount(args []row.Value) (row.Value, error) {
	start := 0
	var err error
	if len(args) > 2 {
		if start, err = startAt(args[0].Str(), args[2].Int()); err != nil {
			return row.Null, err
		}
	}
	flags, _ := regexpFlags(args, 3)
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil || start < 0 {
		return row.NewInt(0), err
	}
	return row.NewInt(int64(len(re.FindAllStringIndex(args[0].Str()[start:], -1)))), nil
}

func regexpLike(args []row.Value) (row.Value, error) {
	flags, _ := regexpFlags(args, 2)
	return regexMatch(flags, false)(args[0], args[1])
}

// nthMatch finds match n from start: arguments text, pattern, start, n.
func nthMatch(args []row.Value, flagsAt int) (s string, m []int, groups int, err error) {
	s = args[0].Str()
	start, nth := 0, 1
	if len(args) > 2 {
		if start, err = startAt(s, args[2].Int()); err != nil {
			return "", nil, 0, err
		}
	}
	if len(args) > 3 {
		if nth = int(args[3].Int()); nth < 1 {
			return "", nil, 0, badParameter("n", args[3].Int())
		}
	}
	flags, _ := regexpFlags(args, flagsAt)
	re, err := compileRegexp(args[1].Str(), flags)
	if err != nil || start < 0 {
		return "", nil, 0, err
	}
	all := re.FindAllStringSubmatchIndex(s[start:], nth)
	if len(all) < nth {
		return s, nil, re.NumSubexp(), nil
	}
	m = all[nth-1]
	for i := range m {
		if m[i] >= 0 {
			m[i] += start
		}
	}
	return s, m, re.NumSubexp(), nil
}

func regexpSubstr(args []row.Value) (row.Value, error) {
	if len(args) > 5 && args[5].Int() < 0 {
		return row.Null, badParameter("subexpr", args[5].Int())
	}
	s, m, _, err := nthMatch(args, 4)
	if err != nil || m == nil {
		return row.Null, err
	}
	g := 0
	if len(args) > 5 {
		g = int(args[5].Int())
	}
	if 2*g+1 >= len(m) || m[2*g] < 0 {
		return row.Null, nil
	}
	return row.NewText(s[m[2*g]:m[2*g+1]]), nil
}

func regexpInstr(args []row.Value) (row.Value, error) {
	if len(args) > 4 && args[4].Int() != 0 && args[4].Int() != 1 {
		return row.Null, badParameter("endoption", args[4].Int())
	}
	s, m, _, err := nthMatch(args, 5)
	if err != nil || m == nil {
		return row.NewInt(0), err
	}
	at := m[0]
	if len(args) > 4 && args[4].Int() == 1 {
		at = m[1]
	}
	return row.NewInt(int64(utf8.RuneCountInString(s[:at])) + 1), nil
}

// patterns holds pattern matching (PostgreSQL 9.7).
var patterns = patternDefs()
