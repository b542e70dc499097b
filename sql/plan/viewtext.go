package plan

import (
	"slices"
	"sort"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

// queryText is the text of the query of CREATE VIEW or MATERIALIZED VIEW as it means the same under any search path and
// after columns were added to what it reads: relations have their schema, and * is written out. With it come the ids of
// the relations that it names.
func (a *analyzer) queryText(query *pg.Node) (string, []delta.RelationID, error) {
	from, to, err := a.queryBounds()
	if err != nil {
		return "", nil, err
	}
	w := &nameWalker{a: a}
	w.walk(query.ProtoReflect(), nil)
	for loc, columns := range a.stars {
		w.edits = append(w.edits, edit{int(loc), a.starEnd(int(loc)), columns})
	}
	sort.Slice(w.edits, func(i, j int) bool { return w.edits[i].from < w.edits[j].from })
	src := a.st.Source
	var b strings.Builder
	at := from
	for _, e := range w.edits {
		if e.from < at || e.to > to {
			continue // part of a view's query inside, whose places are those of another text
		}
		b.WriteString(src[at:e.from])
		b.WriteString(e.text)
		at = e.to
	}
	b.WriteString(src[at:to])
	return strings.TrimSpace(b.String()), w.ids, nil
}

// edit replaces a part of the statement's text.
type edit struct {
	from, to int
	text     string
}

// nameWalker finds the relations that a parse tree names and WITH names do not hide.
type nameWalker struct {
	a     *analyzer
	edits []edit
	ids   []delta.RelationID
}

// walk visits a tree with the WITH names in force.
func (w *nameWalker) walk(m protoreflect.Message, hidden []string) {
	switch t := m.Interface().(type) {
	case *pg.RangeVar:
		w.name(t, hidden)
		return
	case *pg.LockingClause: // OF names aliases
		return
	case *pg.SelectStmt:
		hidden = w.bindings(t.WithClause, hidden)
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			if f.Name() != "with_clause" {
				w.field(f, v, hidden)
			}
			return true
		})
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		w.field(f, v, hidden)
		return true
	})
}

func (w *nameWalker) field(f protoreflect.FieldDescriptor, v protoreflect.Value, hidden []string) {
	if f.Kind() != protoreflect.MessageKind {
		return
	}
	if !f.IsList() {
		w.walk(v.Message(), hidden)
		return
	}
	for l, i := v.List(), 0; i < l.Len(); i++ {
		w.walk(l.Get(i).Message(), hidden)
	}
}

// bindings visits a WITH clause and gives the names in force after it.
func (w *nameWalker) bindings(with *pg.WithClause, hidden []string) []string {
	var own []string
	for _, n := range with.GetCtes() {
		own = append(own, n.GetCommonTableExpr().Ctename)
	}
	inner := slices.Clip(hidden)
	if with.GetRecursive() {
		inner = append(inner, own...)
	}
	for i, n := range with.GetCtes() {
		w.walk(n.GetCommonTableExpr().Ctequery.ProtoReflect(), inner)
		if !with.Recursive {
			inner = append(slices.Clip(inner), own[i])
		}
	}
	return append(slices.Clip(hidden), own...)
}

func (w *nameWalker) name(rv *pg.RangeVar, hidden []string) {
	if rv.Schemaname == "" && slices.Contains(hidden, rv.Relname) {
		return
	}
	r := w.a.lookup(rv.Schemaname, rv.Relname)
	if r == nil {
		return
	}
	w.ids = appendID(w.ids, r.ID)
	if rv.Schemaname == "" {
		w.edits = append(w.edits, edit{int(rv.Location), int(rv.Location), quoteName(r.Schema) + "."})
	}
}

func appendID(ids []delta.RelationID, id delta.RelationID) []delta.RelationID {
	if slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}

// firstParam is where a tree has its first parameter, -1: none.
func (a *analyzer) firstParam(n *pg.Node) int32 {
	at := int32(-1)
	var walk func(m protoreflect.Message)
	walk = func(m protoreflect.Message) {
		if p, ok := m.Interface().(*pg.ParamRef); ok && (at < 0 || p.Location < at) {
			at = p.Location
		}
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case f.Kind() != protoreflect.MessageKind:
			case f.IsList():
				for l, i := v.List(), 0; i < l.Len(); i++ {
					walk(l.Get(i).Message())
				}
			default:
				walk(v.Message())
			}
			return true
		})
	}
	walk(n.ProtoReflect())
	return at
}

// queryBounds finds the query of CREATE ... AS query [WITH ...]: what follows the first AS that is in no parentheses (no
// name before it can be the word, which is reserved), up to WITH DATA.
func (a *analyzer) queryBounds() (from, to int, err error) {
	words, err := a.outerTokens()
	if err != nil {
		return 0, 0, err
	}
	for i, w := range words {
		if w.word == "as" {
			words = words[i:]
			break
		}
	}
	if len(words) == 0 || words[0].word != "as" {
		return 0, 0, errs.New(errs.Internal, "no AS in %.80q", a.st.Text())
	}
	from, to = words[0].to, a.st.End
	if n := len(words); n > 2 && words[n-1].word == "data" && words[n-2].word == "with" {
		to = words[n-2].from
	}
	return from, to, nil
}

// outerToken is a token of the statement that is in no parentheses; word is its lower-case text.
type outerToken struct {
	word     string
	from, to int // in Source
}

func (a *analyzer) outerTokens() ([]outerToken, error) {
	scan, err := pg.Scan(a.st.Source)
	if err != nil {
		return nil, errs.SQL("42601", "%v", err)
	}
	var out []outerToken
	depth := 0
	for _, t := range scan.Tokens {
		from, to := int(t.Start), int(t.End)
		if from < a.st.Offset || to > a.st.End {
			continue
		}
		text := a.st.Source[from:to]
		switch text {
		case "(":
			depth++
		case ")":
			depth--
		default:
			if depth == 0 && t.Token != pg.Token_SQL_COMMENT && t.Token != pg.Token_C_COMMENT {
				out = append(out, outerToken{strings.ToLower(text), from, to})
			}
		}
	}
	return out, nil
}

// starEnd is the end of * or t.* that starts at a place in the source.
func (a *analyzer) starEnd(from int) int {
	for i := from; i < len(a.st.Source); i++ {
		switch a.st.Source[i] {
		case '*':
			return i + 1
		case '"': // a quoted name may hold a star
			if n := strings.IndexByte(a.st.Source[i+1:], '"'); n >= 0 {
				i += n + 1
			}
		}
	}
	return from
}

// noteStar notes what the * at a place stands for: the columns of some items.
func (a *analyzer) noteStar(s *scope, items []*item, loc int32) {
	if a.stars == nil {
		return
	}
	var list []string
	for _, it := range items {
		for i := range it.columns {
			if !it.hidden && !it.columns[i].unlisted {
				list = append(list, starName(s, it, &it.columns[i]))
			}
		}
	}
	a.stars[loc] = strings.Join(list, ", ")
}

// starName is how a column of an item is said: by the alias of the item, or of the side of a join that it comes from.
func starName(s *scope, it *item, c *itemColumn) string {
	if it.alias != "" {
		return quoteName(it.alias) + "." + quoteName(c.Name)
	}
	own, ok := c.expr.(*expr.Column)
	for i := 0; ok && i < len(s.items); i++ {
		side := s.items[i]
		for j := range side.columns {
			if x, plain := side.columns[j].expr.(*expr.Column); plain && x.Index == own.Index && side.alias != "" {
				return quoteName(side.alias) + "." + quoteName(side.columns[j].Name)
			}
		}
	}
	return quoteName(c.Name)
}

// quoteName writes a name as SQL.
func quoteName(s string) string {
	plain := s != ""
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '$')) {
			plain = false
		}
	}
	if plain && !keyword(s) {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// keyword reports whether the grammar gives a word a meaning.
func keyword(s string) bool {
	scan, err := pg.Scan(s)
	return err != nil || len(scan.Tokens) != 1 || scan.Tokens[0].KeywordKind != pg.KeywordKind_NO_KEYWORD
}
