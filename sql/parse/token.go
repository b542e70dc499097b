package parse

// kind is the sort of a token as the guard sees it.
type kind uint8

const (
	end kind = iota
	word
	quotedName
	text     // a string, bit string or dollar-quoted string
	number   // a number or $1
	operator // one or more operator characters, ::, :=, =>
	open     // ( or [
	closing  // ) or ]
	comma
	semicolon
	other
)

// scanner cuts SQL text into tokens as PostgreSQL's scan.l does, far enough to know where strings and comments end.
type scanner struct {
	s   string
	pos int
}

type token struct {
	kind       kind
	start, end int
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isNameStart(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isName(c byte) bool { return isNameStart(c) || isDigit(c) || c == '$' }

func isOperator(c byte) bool {
	switch c {
	case '~', '!', '@', '#', '^', '&', '|', '`', '?', '+', '-', '*', '/', '%', '<', '>', '=':
		return true
	}
	return false
}

func (z *scanner) at(i int) byte {
	if i < len(z.s) {
		return z.s[i]
	}
	return 0
}

// next gives the next token; spaces and comments are skipped.
func (z *scanner) next() token {
	z.skip()
	start := z.pos
	if start >= len(z.s) {
		return token{end, start, start}
	}
	k := z.token(z.s[start])
	return token{k, start, z.pos}
}

func (z *scanner) token(c byte) kind {
	switch {
	case c == '\'':
		z.quoted(false)
		return text
	case c == '"':
		z.name()
		return quotedName
	case isNameStart(c):
		return z.word(c)
	case isDigit(c) || c == '.' && isDigit(z.at(z.pos+1)):
		z.number()
		return number
	case c == '$':
		return z.dollar()
	case c == '(' || c == '[':
		z.pos++
		return open
	case c == ')' || c == ']':
		z.pos++
		return closing
	case c == ',':
		z.pos++
		return comma
	case c == ';':
		z.pos++
		return semicolon
	case c == ':':
		z.pos++
		if n := z.at(z.pos); n == ':' || n == '=' {
			z.pos++
			return operator
		}
		return other
	case isOperator(c):
		z.operator()
		return operator
	}
	z.pos++
	return other
}

// skip passes spaces and comments; /* */ nests.
func (z *scanner) skip() {
	for z.pos < len(z.s) {
		switch {
		case isSpace(z.s[z.pos]):
			z.pos++
		case z.s[z.pos] == '-' && z.at(z.pos+1) == '-':
			z.line()
		case z.s[z.pos] == '/' && z.at(z.pos+1) == '*':
			z.comment()
		default:
			return
		}
	}
}

func (z *scanner) line() {
	for z.pos < len(z.s) && z.s[z.pos] != '\n' && z.s[z.pos] != '\r' {
		z.pos++
	}
}

func (z *scanner) comment() {
	depth := 0
	for z.pos < len(z.s) {
		switch {
		case z.s[z.pos] == '/' && z.at(z.pos+1) == '*':
			depth++
			z.pos += 2
		case z.s[z.pos] == '*' && z.at(z.pos+1) == '/':
			depth--
			z.pos += 2
			if depth == 0 {
				return
			}
		default:
			z.pos++
		}
	}
}

// word reads a name or keyword, or the string that a prefix letter begins.
func (z *scanner) word(c byte) kind {
	switch n := z.at(z.pos + 1); {
	case n == '\'' && (c|0x20 == 'e' || c|0x20 == 'b' || c|0x20 == 'x' || c|0x20 == 'n'):
		z.pos++
		z.quoted(c|0x20 == 'e')
		return text
	case n == '&' && c|0x20 == 'u' && z.at(z.pos+2) == '\'':
		z.pos += 2
		z.quoted(false)
		return text
	case n == '&' && c|0x20 == 'u' && z.at(z.pos+2) == '"':
		z.pos += 2
		z.name()
		return quotedName
	}
	for z.pos < len(z.s) && isName(z.s[z.pos]) {
		z.pos++
	}
	return word
}

// quoted reads a string that stands at its opening quote, with the pieces that continue it on further lines.
func (z *scanner) quoted(escapes bool) {
	z.pos++
	for z.pos < len(z.s) {
		c := z.s[z.pos]
		z.pos++
		switch {
		case c == '\\' && escapes && z.pos < len(z.s):
			z.pos++
		case c == '\'' && z.at(z.pos) == '\'':
			z.pos++
		case c == '\'' && !z.continued():
			return
		}
	}
}

// continued passes white space with a newline in it and the quote of a continuing piece.
func (z *scanner) continued() bool {
	p, newline := scanner{z.s, z.pos}, false
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; {
		case c == '\n' || c == '\r':
			newline = true
			p.pos++
		case isSpace(c):
			p.pos++
		case c == '-' && p.at(p.pos+1) == '-':
			p.line()
		case c == '\'' && newline:
			z.pos = p.pos + 1
			return true
		default:
			return false
		}
	}
	return false
}

func (z *scanner) name() {
	z.pos++
	for z.pos < len(z.s) {
		c := z.s[z.pos]
		z.pos++
		if c != '"' {
			continue
		}
		if z.at(z.pos) != '"' {
			return
		}
		z.pos++
	}
}

func (z *scanner) number() {
	for z.pos < len(z.s) && (isName(z.s[z.pos]) && z.s[z.pos] != '$' || z.s[z.pos] == '.') {
		if e := z.s[z.pos] | 0x20; e == 'e' && (z.at(z.pos+1) == '-' || z.at(z.pos+1) == '+') && isDigit(z.at(z.pos+2)) {
			z.pos++
		}
		if z.s[z.pos] == '.' && z.at(z.pos+1) == '.' {
			return
		}
		z.pos++
	}
}

// dollar reads $1 or a dollar-quoted string.
func (z *scanner) dollar() kind {
	i := z.pos + 1
	if isDigit(z.at(i)) {
		for isDigit(z.at(i)) {
			i++
		}
		z.pos = i
		return number
	}
	if isNameStart(z.at(i)) {
		for isNameStart(z.at(i)) || isDigit(z.at(i)) {
			i++
		}
	}
	if z.at(i) != '$' {
		z.pos++
		return other
	}
	tag := z.s[z.pos : i+1]
	for j := i + 1; j < len(z.s); j++ {
		if z.s[j] == '$' && len(z.s)-j >= len(tag) && z.s[j:j+len(tag)] == tag {
			z.pos = j + len(tag)
			return text
		}
	}
	z.pos = len(z.s)
	return text
}

// operator reads a run of operator characters; one ends before a comment begins.
func (z *scanner) operator() {
	z.pos++
	for z.pos < len(z.s) && isOperator(z.s[z.pos]) {
		if c, n := z.s[z.pos], z.at(z.pos+1); c == '-' && n == '-' || c == '/' && n == '*' {
			return
		}
		z.pos++
	}
}
