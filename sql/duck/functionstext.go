package duck

import (
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func addTexts() {
	add("$1 || $2", "||(text,text)", "||(bytea,bytea)")
	add("CAST(length($1) AS INTEGER)", "length(text)", "char_length(text)", "character_length(text)")
	add("CAST(length(rtrim($1, ' ')) AS INTEGER)", "length(bpchar)", "char_length(bpchar)")
	add("CAST(strlen($1) AS INTEGER)", "octet_length(text)")
	add("CAST(octet_length($1) AS INTEGER)", "octet_length(bytea)", "length(bytea)")
	add("CAST(strpos($1, $2) AS INTEGER)", "strpos(text,text)", "position(text,text)")
	add("starts_with($1, $2)", "starts_with(text,text)", "^@(text,text)")
	add("trim($1, ' ')", "btrim(text)")
	add("ltrim($1, ' ')", "ltrim(text)")
	add("rtrim($1, ' ')", "rtrim(text)")
	add("md5($1)", "md5(text)")
	addFunc(ascii("lower"), "lower(text)")
	addFunc(ascii("upper"), "upper(text)")
	addFunc(substring, "substring(text,int4)", "substring(text,int4,int4)", "substr(text,int4)", "substr(text,int4,int4)")
	addFunc(cut("left"), "left(text,int4)")
	addFunc(cut("right"), "right(text,int4)")
	addFunc(replace, "replace(text,text,text)")
	addFunc(like("LIKE", "like_escape"), "~~(text,text)", "~~(name,text)", "~~(bpchar,text)", "like(text,text)")
	addFunc(like("NOT LIKE", "not_like_escape"), "!~~(text,text)", "!~~(name,text)", "!~~(bpchar,text)", "notlike(text,text)")
	addFunc(regex(""), "~(text,text)", "~(name,text)")
	addFunc(regex("NOT "), "!~(text,text)", "!~(name,text)")
}

// ascii folds case in ASCII only, which is what both do alike: other letters go to the row executor.
func ascii(f string) func(*translator, []value, []expr.Expr) value {
	return func(_ *translator, args []value, _ []expr.Expr) value {
		return value{sql: fill("CASE WHEN strlen($1) = length($1) THEN "+f+"($1) WHEN $1 IS NULL THEN NULL ELSE error('mdb:range:letters') END", args), raises: true}
	}
}

// constants gives the arguments from number i on, when all are constants.
func constants(t *translator, es []expr.Expr, i int) []row.Value {
	var out []row.Value
	for ; i < len(es); i++ {
		v, ok := t.constant(es[i])
		if !ok || v.IsNull() {
			fail("a computed argument")
		}
		out = append(out, v)
	}
	return out
}

// substring: a start below 1 counts from the end in DuckDB, and from before the beginning in PostgreSQL.
func substring(t *translator, args []value, es []expr.Expr) value {
	c := constants(t, es, 1)
	if len(c) == 0 || c[0].Int() < 1 || len(c) > 1 && c[1].Int() < 0 {
		fail("substring from before the beginning")
	}
	if len(args) == 2 {
		return value{sql: fill("substring($1, $2)", args)}
	}
	return value{sql: fill("substring($1, $2, $3)", args)}
}

func cut(f string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value {
		if c := constants(t, es, 1); len(c) != 1 || c[0].Int() < 0 {
			fail("%s with a negative length", f)
		}
		return value{sql: fill(f+"($1, $2)", args)}
	}
}

// replace of an empty string is the string in PostgreSQL; of a constant both agree.
func replace(t *translator, args []value, es []expr.Expr) value {
	if len(es) != 3 {
		fail("replace")
	}
	if v, ok := t.constant(es[1]); !ok || v.IsNull() || v.Str() == "" {
		fail("replace of a computed string")
	}
	return value{sql: fill("replace($1, $2, $3)", args)}
}

// like: PostgreSQL's escape character is the backslash, DuckDB has none unless told.
func like(op, escaped string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value {
		if len(es) == 2 {
			if p, ok := t.constant(es[1]); ok && !p.IsNull() && !strings.Contains(p.Str(), `\`) {
				return value{sql: fill("$1 "+op+" $2", args)}
			}
		}
		return value{sql: fill(escaped+`($1, $2, '\')`, args)}
	}
}

// regex takes patterns that mean the same in RE2 and in PostgreSQL: literals, classes without brackets inside, anchors,
// groups, greedy repetition.
func regex(not string) func(*translator, []value, []expr.Expr) value {
	return func(t *translator, args []value, es []expr.Expr) value {
		if len(es) != 2 {
			fail("a regular expression")
		}
		p, ok := t.constant(es[1])
		if !ok || p.IsNull() || !plainRegex(p.Str()) {
			fail("a regular expression that the two engines may read differently")
		}
		// s: a dot matches a newline in PostgreSQL.
		return value{sql: fill(not+"regexp_matches($1, $2, 's')", args)}
	}
}

func plainRegex(p string) bool {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c >= 0x80 || c < ' ':
			return false
		case c == '\\':
			if i++; i >= len(p) || !strings.ContainsRune(`.*+?()[]{}|^$\-/`, rune(p[i])) {
				return false
			}
		case c == '{' || c == '}':
			return false
		case c == '(':
			if depth++; i+1 < len(p) && (p[i+1] == '?' || p[i+1] == '*') {
				return false
			}
		case c == ')':
			if depth--; depth < 0 {
				return false
			}
		case c == '*' || c == '+' || c == '?':
			if i == 0 || strings.IndexByte("(|^*+?", p[i-1]) >= 0 && (i < 2 || p[i-2] != '\\') {
				return false
			}
		case c == '[':
			end := strings.IndexByte(p[i+1:], ']')
			if end <= 0 || strings.ContainsAny(p[i+1:i+1+end], `[\:.=&~`) || p[i+1:i+1+end] == "^" {
				return false
			}
			i += end + 1
		}
	}
	return depth == 0
}
