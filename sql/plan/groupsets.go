package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
)

// maxSets is PostgreSQL's limit of grouping sets.
const maxSets = 4096

// groupSets checks the list of GROUP BY: the group expressions go into g; the sets are the product of those that each
// item gives. plain is set when there is but the one set of all.
func (q *selection) groupSets(g *grouping) (sets [][]int, plain bool, err error) {
	sets, plain = [][]int{{}}, true
	for _, n := range q.sel.GroupClause {
		plain = plain && n.GetGroupingSet() == nil
		of, err := q.groupItem(g, n)
		if err != nil {
			return nil, false, err
		}
		if len(sets)*len(of) > maxSets {
			return nil, false, errs.SQL("54001", "too many grouping sets present (maximum %d)", maxSets).At(q.a.pos(location(q.sel.GroupClause[0])))
		}
		var product [][]int
		for _, a := range sets {
			for _, b := range of {
				product = append(product, union(a, b))
			}
		}
		sets = product
	}
	if q.sel.GroupDistinct {
		sets = distinctSets(sets)
	}
	if len(g.groups) == 0 && len(sets) == 1 {
		plain = true // GROUP BY ()
	}
	return sets, plain, nil
}

func union(a, b []int) []int {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func distinctSets(sets [][]int) [][]int {
	var out [][]int
	for _, s := range sets {
		sorted := slices.Sorted(slices.Values(s))
		if !slices.ContainsFunc(out, func(have []int) bool { return slices.Equal(slices.Sorted(slices.Values(have)), sorted) }) {
			out = append(out, s)
		}
	}
	return out
}

// groupItem gives the sets of one item of GROUP BY.
func (q *selection) groupItem(g *grouping, n *pg.Node) ([][]int, error) {
	gs := n.GetGroupingSet()
	if gs == nil {
		set, err := q.groupElement(g, n)
		return [][]int{set}, err
	}
	switch gs.Kind {
	case pg.GroupingSetKind_GROUPING_SET_EMPTY:
		return [][]int{{}}, nil
	case pg.GroupingSetKind_GROUPING_SET_SETS:
		var out [][]int
		for _, c := range gs.Content {
			of, err := q.groupItem(g, c)
			if err != nil {
				return nil, err
			}
			out = append(out, of...)
		}
		return out, nil
	}
	elements := make([][]int, len(gs.Content))
	for i, c := range gs.Content {
		var err error
		if elements[i], err = q.groupElement(g, c); err != nil {
			return nil, err
		}
	}
	if gs.Kind == pg.GroupingSetKind_GROUPING_SET_CUBE {
		return q.cube(gs, elements)
	}
	var out [][]int // ROLLUP: all, then fewer and fewer
	for n := len(elements); n >= 0; n-- {
		var set []int
		for _, e := range elements[:n] {
			set = union(set, e)
		}
		out = append(out, set)
	}
	return out, nil
}

func (q *selection) cube(gs *pg.GroupingSet, elements [][]int) ([][]int, error) {
	if len(elements) > 12 {
		return nil, errs.SQL("54011", "CUBE is limited to 12 elements").At(q.a.pos(gs.Location))
	}
	var out [][]int
	for bits := 1<<len(elements) - 1; bits >= 0; bits-- {
		var set []int
		for i, e := range elements {
			if bits>>(len(elements)-1-i)&1 == 1 {
				set = union(set, e)
			}
		}
		out = append(out, set)
	}
	return out, nil
}

// groupElement gives the groups of an expression or, for (a, b), of several.
func (q *selection) groupElement(g *grouping, n *pg.Node) ([]int, error) {
	if r := n.GetRowExpr(); r != nil && r.RowFormat == pg.CoercionForm_COERCE_IMPLICIT_CAST {
		var out []int
		for _, arg := range r.Args {
			set, err := q.groupElement(g, arg)
			if err != nil {
				return nil, err
			}
			out = union(out, set)
		}
		return out, nil
	}
	if list := n.GetList(); list != nil {
		return q.groupElement(g, &pg.Node{Node: &pg.Node_RowExpr{RowExpr: &pg.RowExpr{Args: list.Items, RowFormat: pg.CoercionForm_COERCE_IMPLICIT_CAST}}})
	}
	e, err := q.groupExpr(n)
	if err != nil {
		return nil, err
	}
	return []int{g.add(e)}, nil
}

// groupExpr is an expression of GROUP BY; it needs no place in the SELECT list.
func (q *selection) groupExpr(n *pg.Node) (expr.Expr, error) {
	before := len(q.targets)
	i, err := q.find(n, "GROUP BY", inGroupBy)
	if err != nil {
		return nil, err
	}
	e := q.targets[i].expr
	q.targets = q.targets[:max(before, 0)]
	if err := hasEquality(e.Type()); err != nil {
		return nil, q.a.at(location(n), err)
	}
	return e, nil
}
