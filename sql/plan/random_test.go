package plan_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/sql/plan"
)

// generator writes random queries over the tables of the test's schema. Every column that it speaks of is an int4, so that
// any two can be compared.
type generator struct {
	r     *rand.Rand
	names int
	depth int
}

// column is "alias.name".
type column = string

func (g *generator) pick(list []string) string { return list[g.r.IntN(len(list))] }

func (g *generator) alias() string {
	g.names++
	return fmt.Sprintf("t%d", g.names)
}

var intColumns = map[string][]string{"people": {"id", "boss"}, "orders": {"id", "person"}, "items": {"order_id", "line"}, "plain": {"a"},
	"empty": {"id"}, "other.people": {"id"}}

// table gives an item of FROM and its columns. outer are the columns to the left and around that it may refer to.
func (g *generator) table(outer []column) (string, []column) {
	a := g.alias()
	if g.depth < 2 && g.r.IntN(4) == 0 {
		g.depth++
		defer func() { g.depth-- }()
		lateral, visible := "", []column(nil)
		if g.r.IntN(2) == 0 {
			lateral, visible = "lateral ", outer
		}
		text, n := g.query(visible, 1+g.r.IntN(3))
		names, cols := make([]string, n), make([]column, n)
		for i := range names {
			names[i] = fmt.Sprintf("c%d", i)
			cols[i] = a + "." + names[i]
		}
		return fmt.Sprintf("%s(%s) as %s(%s)", lateral, text, a, strings.Join(names, ", ")), cols
	}
	names := []string{"people", "people", "orders", "orders", "items", "plain", "empty", "other.people"}
	name := g.pick(names)
	var cols []column
	for _, c := range intColumns[name] {
		cols = append(cols, a+"."+c)
	}
	return name + " " + a, cols
}

// from gives a FROM list and its columns.
func (g *generator) from(outer []column) (string, []column) {
	text, cols := g.table(outer)
	for range g.r.IntN(3) {
		kind := g.pick([]string{"join", "join", "left join", "right join", "full join", ",", "cross join"})
		visible := slices.Concat(outer, cols)
		if kind == "right join" || kind == "full join" {
			visible = outer
		}
		right, more := g.table(visible)
		own := slices.Concat(cols, more)
		switch kind {
		case ",", "cross join":
			text = fmt.Sprintf("%s cross join %s", text, right)
		case "full join": // PostgreSQL needs an equality
			text = fmt.Sprintf("%s full join %s on %s = %s", text, right, g.pick(cols), g.pick(more))
		default:
			on := fmt.Sprintf("%s = %s", g.pick(cols), g.pick(more))
			if g.r.IntN(2) == 0 {
				on += " and " + g.condition(own, outer)
			}
			text = fmt.Sprintf("%s %s %s on %s", text, kind, right, on)
		}
		cols = own
	}
	return text, cols
}

func (g *generator) value(cols, outer []column) string {
	switch g.r.IntN(9) {
	case 0:
		return strconv.Itoa(g.r.IntN(30))
	case 1:
		return fmt.Sprintf("(%s + %d)", g.pick(cols), g.r.IntN(4))
	case 2:
		return fmt.Sprintf("coalesce(%s, %s)", g.pick(cols), g.value(cols, outer))
	case 3:
		if len(outer) > 0 {
			return g.pick(outer)
		}
	case 4:
		return fmt.Sprintf("case when %s then %s end", g.condition(cols, nil), g.pick(cols))
	case 5:
		if g.depth < 2 {
			g.depth++
			defer func() { g.depth-- }()
			text, cols2 := g.from(nil)
			return fmt.Sprintf("(select %s(%s)::int from %s where %s)", g.pick([]string{"max", "min", "count", "sum"}), g.pick(cols2), text,
				g.condition(cols2, slices.Concat(cols, outer)))
		}
	}
	return g.pick(cols)
}

func (g *generator) condition(cols, outer []column) string {
	switch g.r.IntN(14) {
	case 0:
		return fmt.Sprintf("(%s and %s)", g.condition(cols, outer), g.condition(cols, outer))
	case 1:
		return fmt.Sprintf("(%s or %s)", g.condition(cols, outer), g.condition(cols, outer))
	case 2:
		return fmt.Sprintf("not %s", g.condition(cols, outer))
	case 3:
		return g.value(cols, outer) + g.pick([]string{" is null", " is not null"})
	case 4, 5:
		if g.depth < 2 {
			return g.exists(cols, outer)
		}
	case 6, 7:
		return fmt.Sprintf("%s = %d", g.pick(cols), g.r.IntN(12))
	case 8:
		return fmt.Sprintf("%s in (1, 3, 5, %d)", g.pick(cols), g.r.IntN(30))
	case 9:
		return fmt.Sprintf("%s is distinct from %s", g.value(cols, outer), g.value(cols, outer))
	}
	return fmt.Sprintf("%s %s %s", g.value(cols, outer), g.pick([]string{"=", "=", "<", ">=", "<>"}), g.value(cols, outer))
}

func (g *generator) exists(cols, outer []column) string {
	g.depth++
	defer func() { g.depth-- }()
	visible := slices.Concat(cols, outer)
	not := g.pick([]string{"", "not "})
	if g.r.IntN(3) == 0 {
		text, _ := g.query(visible, 1)
		return fmt.Sprintf("%s %sin (%s)", g.value(cols, nil), not, text)
	}
	text, own := g.from(nil)
	return fmt.Sprintf("%sexists (select %s from %s where %s = %s and %s)", not, g.pick(own), text, g.pick(own), g.pick(visible), g.condition(own, visible))
}

// query gives a query of n columns.
func (g *generator) query(outer []column, n int) (string, int) {
	if g.depth < 2 && g.r.IntN(8) == 0 {
		g.depth++
		defer func() { g.depth-- }()
		l, _ := g.query(outer, n)
		r, _ := g.query(outer, n)
		op := g.pick([]string{"union", "union all", "intersect", "except", "except all"})
		return fmt.Sprintf("(%s) %s (%s)", l, op, r), n
	}
	text, cols := g.from(nil)
	list := make([]string, n)
	where := g.condition(cols, outer)
	if g.r.IntN(3) == 0 {
		return g.grouped(text, where, cols, outer, n), n
	}
	for i := range list {
		list[i] = g.value(cols, outer)
	}
	if g.r.IntN(6) == 0 {
		list[0] = fmt.Sprintf("(count(*) over (partition by %s))::int", g.pick(cols))
	}
	distinct := g.pick([]string{"", "", "", "distinct "})
	return fmt.Sprintf("select %s%s from %s where %s", distinct, strings.Join(list, ", "), text, where), n
}

func (g *generator) grouped(text, where string, cols, outer []column, n int) string {
	keys := []string{g.pick(cols)}
	if g.r.IntN(2) == 0 {
		keys = append(keys, g.pick(cols))
	}
	list := make([]string, n)
	for i := range list {
		list[i] = g.pick(keys)
		if g.r.IntN(2) == 0 {
			list[i] = fmt.Sprintf("%s(%s)::int", g.pick([]string{"count", "max", "sum", "count"}), g.pick(cols))
		}
	}
	by := strings.Join(keys, ", ")
	if g.r.IntN(4) == 0 {
		by = "rollup(" + by + ")"
	}
	return fmt.Sprintf("select %s from %s where %s group by %s having %s", strings.Join(list, ", "), text, where, by, g.condition(keys, outer))
}

func (g *generator) statement() string {
	n := 1 + g.r.IntN(3)
	if g.r.IntN(5) > 0 {
		text, _ := g.query(nil, n)
		return text
	}
	g.depth++
	inner, _ := g.query(nil, 2)
	g.depth--
	text, cols := g.from(nil)
	cols = append(cols, "w.x", "w.y")
	return fmt.Sprintf("with w(x, y) as (%s) select %s, %s from %s %s w on %s where %s", inner, g.value(cols, nil), g.value(cols, nil), text,
		g.pick([]string{"join", "left join"}), g.pick(cols)+" = w.x", g.condition(cols, nil))
}

// beyond says that a query was too much for the row executor: a product of tables that PostgreSQL does not hold in memory,
// or nested subqueries for every row.
func beyond(a answer) bool { return strings.HasPrefix(a[0], "ERROR 53200") || a[0] == tooSlow }

// TestRandomQueries holds random queries against PostgreSQL, as analyzed and as optimized. MIRACLEDB_TEST_QUERIES is their
// number, MIRACLEDB_TEST_SEED the first one's seed.
func TestRandomQueries(t *testing.T) {
	count, seed := 40, uint64(1)
	if s := os.Getenv("MIRACLEDB_TEST_QUERIES"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("MIRACLEDB_TEST_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	w := newWorld(t)
	w.theirs("set statement_timeout = 300", false)
	ran, rows := 0, 0
	for i := range count {
		g := &generator{r: rand.New(rand.NewPCG(seed+uint64(i), 7))}
		sql := g.statement()
		theirs := w.theirs(sql, false)
		if strings.HasPrefix(theirs[0], "ERROR 57014") || len(theirs) > 20000 {
			continue
		}
		n, err := w.analyze(sql)
		if err != nil {
			compare(t, fmt.Sprintf("seed %d: ", seed+uint64(i)), sql, ourError(err), theirs, nil)
			continue
		}
		optimized := plan.Optimize(n)
		ours := w.run(optimized, false)
		if beyond(ours) {
			continue
		}
		compare(t, fmt.Sprintf("seed %d, optimized: ", seed+uint64(i)), sql, ours, theirs, optimized)
		joins := plan.Decorrelate(optimized)
		if ours = w.run(joins, false); !beyond(ours) {
			compare(t, fmt.Sprintf("seed %d, decorrelated: ", seed+uint64(i)), sql, ours, theirs, joins)
		}
		ran++
		rows += len(theirs) - 1
		if t.Failed() && ran > 5 {
			return
		}
	}
	t.Logf("%d queries, %d rows", ran, rows)
}
