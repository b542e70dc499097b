package plan

import (
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
)

// missingColumn is the error for a column that does not exist, with PostgreSQL's guess at what was meant.
func (a *analyzer) missingColumn(s *scope, relation, name string, loc int32) error {
	e := errs.SQL("42703", "column %q does not exist", name).At(a.pos(loc))
	if relation != "" {
		e = errs.SQL("42703", "column %s.%s does not exist", relation, name).At(a.pos(loc))
	}
	g := guess{name: name, distance: maxDistance + 1}
	for _, l := range levels(s) {
		for _, it := range l.items {
			if it.isJoin {
				continue
			}
			penalty := 0
			if relation != "" {
				penalty = levenshtein(relation, it.alias, maxDistance+1)
			}
			if g.scan(it, penalty) {
				return e.WithHint("There is a column named %q in table %q, but it cannot be referenced from this part of the query.", name, it.alias)
			}
		}
	}
	switch {
	case g.first == nil:
	case g.second == nil:
		e = e.WithHint("Perhaps you meant to reference the column \"%s.%s\".", g.first.alias, g.firstName)
	default:
		e = e.WithHint("Perhaps you meant to reference the column \"%s.%s\" or the column \"%s.%s\".",
			g.first.alias, g.firstName, g.second.alias, g.secondName)
	}
	return e
}

// maxDistance is PostgreSQL's MAX_FUZZY_DISTANCE.
const maxDistance = 3

// guess is PostgreSQL's FuzzyAttrMatchState: the one or two nearest columns.
type guess struct {
	name                  string
	distance              int
	first, second         *item
	firstName, secondName string
}

// scan compares an item's columns; true: one has exactly the name, and is merely out of sight.
func (g *guess) scan(it *item, penalty int) bool {
	exact := false
	for i := range it.columns {
		c := it.columns[i].Name
		exact = exact || c == g.name && penalty == 0
		g.consider(it, c, penalty)
	}
	return exact
}

func (g *guess) consider(it *item, column string, penalty int) {
	if penalty > g.distance || g.name == "" {
		return
	}
	d := levenshtein(column, g.name, g.distance+1-penalty)
	if d > len(g.name)/2 { // more than half is different
		return
	}
	d += penalty
	switch {
	case d < g.distance:
		g.distance = d
		g.first, g.firstName, g.second, g.secondName = it, column, nil, ""
	case d > g.distance:
	case g.second != nil: // too many: none is good
		g.first, g.second, g.distance = nil, nil, d-1
	case g.first != nil:
		g.second, g.secondName = it, column
	case g.distance <= maxDistance:
		g.first, g.firstName = it, column
	}
}

// levenshtein is the edit distance of two names, or some number above limit when it is greater.
func levenshtein(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if utf8.RuneCountInString(a) == 0 {
		return len(y)
	}
	prev := make([]int, len(y)+1)
	next := make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range x {
		next[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			next[j+1] = min(prev[j+1]+1, next[j]+1, prev[j]+cost)
		}
		prev, next = next, prev
	}
	if prev[len(y)] > limit {
		return limit + 1
	}
	return prev[len(y)]
}
