package parse

import (
	"strings"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
)

// nesting are the words that make an expression, a join or a set operation one level deeper, as an operator does.
var nesting = map[string]bool{
	"and": true, "or": true, "not": true, "is": true, "isnull": true, "notnull": true, "like": true, "ilike": true,
	"similar": true, "between": true, "in": true, "case": true, "collate": true, "at": true, "overlaps": true,
	"union": true, "intersect": true, "except": true, "join": true, "operator": true, "escape": true, "else": true,
	"explain": true, "select": true, "array": true, "setof": true, "any": true, "all": true, "some": true,
}

// longestNesting is the length of the longest word in nesting.
const longestNesting = 9

// level counts within one pair of brackets.
type level struct {
	current int // nesting of the element since the last comma, its own brackets' included
	deepest int // the most of the elements before
}

// Check refuses text that the C parser must not see. It takes one pass.
//
// The measure of an element (what stands between two commas of one bracket) is its operators plus the measure of each
// bracket in it; the C code's recursion on a tree is bounded by the sum over the brackets that enclose it.
func Check(sql string) error {
	if limit.Bytes(len(sql)) > limit.SQLText {
		return errs.SQL("54001", "statement of %d bytes is over the limit of %s", len(sql), limit.SQLText)
	}
	if i := strings.IndexByte(sql, 0); i >= 0 {
		return errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\": 0x00").At(utf8.RuneCountInString(sql[:i]) + 1)
	}
	if !utf8.ValidString(sql) {
		return errs.SQL("22021", "invalid byte sequence for encoding \"UTF8\"")
	}
	z := scanner{s: sql}
	levels := make([]level, 1, 32)
	total := 0
	for {
		t := z.next()
		top := &levels[len(levels)-1]
		switch t.kind {
		case end:
			return nil
		case operator:
			// "- - -" without spaces is one token here and may be several prefixes there: count every character.
			total += t.end - t.start
			top.current += t.end - t.start
		case word:
			if n := t.end - t.start; n <= longestNesting && nesting[lower(sql[t.start:t.end])] {
				total++
				top.current++
			}
		case comma:
			total -= top.current
			top.deepest, top.current = max(top.deepest, top.current), 0
		case semicolon:
			levels, total = levels[:1], 0
			levels[0] = level{}
		case open:
			levels = append(levels, level{})
			if len(levels) > limit.SQLBrackets {
				return tooComplex("brackets are nested deeper than %d", limit.SQLBrackets).At(utf8.RuneCountInString(sql[:t.start]) + 1)
			}
		case closing:
			if len(levels) == 1 {
				continue // the parser says what is wrong
			}
			inner := max(top.deepest, top.current)
			total += inner - top.current
			levels = levels[:len(levels)-1]
			levels[len(levels)-1].current += inner
		}
		if total > limit.SQLOperators {
			return tooComplex("more than %d operators in one expression", limit.SQLOperators).At(utf8.RuneCountInString(sql[:t.start]) + 1)
		}
	}
}

func tooComplex(format string, args ...any) *errs.Error {
	return errs.SQL("54001", "statement too complex: "+format, args...).WithHint(
		"Use IN (list), = ANY (array) or VALUES instead of a long chain of operators.")
}

func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

// Fingerprint gives a key under which equal statements meet: comments dropped, spaces made one, words in lower case.
// Literals and quoted names are kept, so texts of one fingerprint mean the same.
func Fingerprint(sql string) string {
	z := scanner{s: sql}
	b := make([]byte, 0, len(sql))
	for {
		t := z.next()
		if t.kind == end {
			return string(b)
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		if t.kind == word {
			for _, c := range []byte(sql[t.start:t.end]) {
				if c >= 'A' && c <= 'Z' {
					c += 32
				}
				b = append(b, c)
			}
			continue
		}
		b = append(b, sql[t.start:t.end]...)
	}
}
