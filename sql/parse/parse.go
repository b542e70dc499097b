package parse

import (
	"errors"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"

	"github.com/miracledb/miracledb/internal/errs"
)

// Statement is one parsed statement.
type Statement struct {
	// Source is the whole text that was parsed; the tree's locations are byte offsets in it.
	Source string
	// Offset and End are the statement's own part of Source, spaces and comments around it left out.
	Offset, End int
	Tree        *pg.Node
	// Replace is set by CREATE OR REPLACE MATERIALIZED VIEW, which PostgreSQL's grammar lacks.
	Replace bool
}

// Text is the statement's own text.
func (s *Statement) Text() string { return s.Source[s.Offset:s.End] }

// EndsBlock reports whether the statement is COMMIT or ROLLBACK: allowed in a failed transaction.
func (s *Statement) EndsBlock() bool {
	t := s.Tree.GetTransactionStmt()
	if t == nil {
		return false
	}
	switch t.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK,
		pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		return true
	}
	return false
}

// Position turns a tree's location into a 1-based character position in Source; 0: unknown.
func (s *Statement) Position(location int32) int {
	if location < 0 || int(location) > len(s.Source) {
		return 0
	}
	return utf8.RuneCountInString(s.Source[:location]) + 1
}

// Slice is the text from one location up to another, trimmed.
func (s *Statement) Slice(from, to int32) string {
	if from < 0 || to < from || int(to) > len(s.Source) {
		return ""
	}
	return strings.TrimSpace(s.Source[from:to])
}

// Parse checks a text's limits and splits it into its statements; an empty text gives none.
//
// Errors: 42601 with its position in text, 54001 for a passed limit, 22021 for bytes that are no text.
func Parse(text string) ([]*Statement, error) {
	if err := Check(text); err != nil {
		return nil, err
	}
	sql, replaced := withoutReplace(text)
	tree, err := pg.Parse(sql)
	if err != nil {
		return nil, syntaxError(err)
	}
	out := make([]*Statement, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		from := int(raw.StmtLocation)
		to := len(text)
		if raw.StmtLen > 0 {
			to = from + int(raw.StmtLen)
		}
		s := &Statement{Source: text, Tree: raw.Stmt}
		s.Offset, s.End = bounds(text, from, to)
		for _, at := range replaced {
			s.Replace = s.Replace || at >= from && at < to
		}
		out = append(out, s)
	}
	return out, nil
}

// bounds narrows from..to to the first and last token.
func bounds(text string, from, to int) (int, int) {
	z := scanner{s: text[:to], pos: from}
	first := z.next()
	last := first
	for t := first; t.kind != end; t = z.next() {
		last = t
	}
	return first.start, last.end
}

// withoutReplace blanks OR REPLACE in CREATE OR REPLACE MATERIALIZED VIEW and tells where it stood.
func withoutReplace(sql string) (string, []int) {
	if !containsFold(sql, "materialized") || !containsFold(sql, "replace") {
		return sql, nil
	}
	var places []int
	z := scanner{s: sql}
	out := []byte(sql)
	for {
		t := z.next()
		if t.kind == end {
			return string(out), places
		}
		if !wordIs(sql, t, "create") {
			continue
		}
		p := z
		or, replace, materialized := p.next(), p.next(), p.next()
		if wordIs(sql, or, "or") && wordIs(sql, replace, "replace") && wordIs(sql, materialized, "materialized") {
			places = append(places, t.start)
			for i := or.start; i < replace.end; i++ {
				if !isSpace(out[i]) {
					out[i] = ' '
				}
			}
		}
	}
}

func wordIs(sql string, t token, want string) bool {
	return t.kind == word && strings.EqualFold(sql[t.start:t.end], want)
}

func containsFold(s, lowerWord string) bool {
	for i := 0; i+len(lowerWord) <= len(s); i++ {
		if s[i]|0x20 == lowerWord[0] && strings.EqualFold(s[i:i+len(lowerWord)], lowerWord) {
			return true
		}
	}
	return false
}

func syntaxError(err error) error {
	var e *parser.Error
	if !errors.As(err, &e) {
		// The tree is deeper than the protobuf decoder goes.
		return tooComplex("the statement is nested too deeply").WithHint("Split the statement.")
	}
	msg := e.Message
	state := "42601"
	switch {
	case strings.HasPrefix(msg, "frame "):
		state = "42P20"
	case strings.HasPrefix(msg, "memory exhausted"), strings.Contains(msg, "stack depth limit"):
		state = "54001"
	case strings.Contains(msg, "not implemented") || strings.Contains(msg, "not supported"):
		state = "0A000"
	}
	return errs.SQL(state, "%s", msg).At(e.Cursorpos) // which pg_query counts in characters, from 1
}
