package exec

import (
	"slices"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// access is how a scan finds its rows: bounds on the primary key or an index.
type access struct {
	index *catalog.Index // nil: the primary key
	equal []expr.Expr    // values of the first columns
	// in, when not nil, is an array of values for the column after equal.
	in        expr.Expr
	low, high *boundExpr
	// rest is the condition that the bounds do not cover; nil: none.
	rest expr.Expr
}

type boundExpr struct {
	e         expr.Expr
	exclusive bool
}

// condition is a conjunct "column op value" whose value does not depend on the row.
type condition struct {
	conjunct int // index among the conjuncts
	column   int
	op       string // = < <= > >= and "in"
	value    expr.Expr
}

// bounded reports whether bounds can be asked of a relation.
func bounded(rel *catalog.Relation) bool {
	return (rel.Kind == catalog.Table || rel.Kind == catalog.MaterializedView) && len(rel.Key) > 0
}

// chooseAccess finds the best bounds for a condition over a scan; nil when there are none.
func chooseAccess(rel *catalog.Relation, cond expr.Expr) *access {
	if cond == nil || !bounded(rel) {
		return nil
	}
	conjuncts := conjunctsOf(cond)
	var conds []condition
	for i, e := range conjuncts {
		if c, ok := conditionOf(rel, e); ok {
			c.conjunct = i
			conds = append(conds, c)
		}
	}
	best, bestScore := (*access)(nil), 0
	consider := func(index *catalog.Index, key []int, unique bool) {
		a, score, used := match(key, conds, unique)
		if score <= bestScore {
			return
		}
		a.index = index
		var rest []expr.Expr
		for i, e := range conjuncts {
			if !slices.Contains(used, i) {
				rest = append(rest, e)
			}
		}
		switch len(rest) {
		case 0:
		case 1:
			a.rest = rest[0]
		default:
			a.rest = &expr.And{Args: rest}
		}
		best, bestScore = a, score
	}
	consider(nil, rel.Key, true)
	for i := range rel.Indexes {
		consider(&rel.Indexes[i], rel.Indexes[i].Columns, rel.Indexes[i].Unique)
	}
	return best
}

// match uses the conditions on the first columns of a key: equalities, then one list or range.
func match(key []int, conds []condition, unique bool) (a *access, score int, used []int) {
	a = &access{}
	for _, column := range key {
		found := false
		for _, c := range conds {
			if c.column == column && c.op == "=" {
				a.equal = append(a.equal, c.value)
				used = append(used, c.conjunct)
				found = true
				break
			}
		}
		if found {
			score += 10
			continue
		}
		for _, c := range conds {
			if c.column != column {
				continue
			}
			switch {
			case c.op == "in" && a.in == nil && a.low == nil && a.high == nil:
				a.in = c.value
				score += 8
			case (c.op == ">" || c.op == ">=") && a.low == nil && a.in == nil:
				a.low = &boundExpr{c.value, c.op == ">"}
				score += 3
			case (c.op == "<" || c.op == "<=") && a.high == nil && a.in == nil:
				a.high = &boundExpr{c.value, c.op == "<"}
				score += 3
			default:
				continue
			}
			used = append(used, c.conjunct)
		}
		break
	}
	if unique && len(a.equal) == len(key) {
		score += 100
	}
	if score > 0 && unique {
		score++ // the primary key and unique indexes win over equals
	}
	return a, score, used
}

func conjunctsOf(e expr.Expr) []expr.Expr {
	if and, ok := e.(*expr.And); ok {
		var out []expr.Expr
		for _, a := range and.Args {
			out = append(out, conjunctsOf(a)...)
		}
		return out
	}
	return []expr.Expr{e}
}

var mirrored = map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func conditionOf(rel *catalog.Relation, e expr.Expr) (condition, bool) {
	switch e := e.(type) {
	case *expr.Call:
		if len(e.Args) != 2 || mirrored[e.Func.Name] == "" {
			return condition{}, false
		}
		for side := range 2 {
			column, ok := keyColumn(e.Args[side])
			other := e.Args[1-side]
			if !ok || !fixed(other) || !comparable(rel.Columns[column].Type, other.Type()) {
				continue
			}
			op := e.Func.Name
			if side == 1 {
				op = mirrored[op]
			}
			return condition{column: column, op: op, value: other}, true
		}
	case *expr.AnyAll:
		column, ok := keyColumn(e.Left)
		elem := row.T(row.ElementOf(e.Array.Type().OID))
		if ok && !e.All && e.Op.Name == "=" && fixed(e.Array) && comparable(rel.Columns[column].Type, elem) {
			return condition{column: column, op: "in", value: e.Array}, true
		}
	}
	return condition{}, false
}

// keyColumn is the column that an expression is, seen through casts that change nothing.
func keyColumn(e expr.Expr) (int, bool) {
	if c, ok := e.(*expr.Cast); ok && c.To.OID == row.Text && c.To.Mod == 0 {
		if from := c.Arg.Type().OID; from == row.VarChar || from == row.Name {
			e = c.Arg
		}
	}
	c, ok := e.(*expr.Column)
	if !ok || c.Depth != 0 {
		return 0, false
	}
	return c.Index, true
}

// comparable reports whether values of another type have the same order and key encoding as the column's.
func comparable(column, other row.Type) bool {
	if column.OID == other.OID {
		return column.OID != row.JSON
	}
	if column.OID == row.BPChar || other.OID == row.BPChar || column.OID == row.JSONB || other.OID == row.JSONB {
		return false
	}
	k := row.KindOf(column.OID)
	if k != row.KindOf(other.OID) {
		return false
	}
	switch k {
	case row.KindInt:
		return true
	case row.KindText:
		text := []row.OID{row.Text, row.VarChar, row.Name}
		return slices.Contains(text, column.OID) && slices.Contains(text, other.OID)
	}
	return false
}

// fixed reports whether an expression has one value for the whole scan.
func fixed(e expr.Expr) bool {
	ok := true
	walk(e, func(e expr.Expr) error {
		switch e := e.(type) {
		case *expr.Column:
			ok = ok && e.Depth > 0
		case *expr.Call:
			ok = ok && e.Func.Volat != expr.Volatile
		case *expr.Subquery:
			ok = ok && !e.Correlated
		}
		return nil
	})
	return ok
}

// ordered reports whether a scan by a gives the order of keys, and whether that is in reverse.
func (a *access) ordered(rel *catalog.Relation, keys []plan.SortKey) (reverse, ok bool) {
	key := rel.Key
	skip := 0
	if a != nil {
		if a.in != nil {
			return false, false
		}
		if a.index != nil {
			key = a.index.Columns
		}
		skip = len(a.equal)
	}
	at := skip
	for i, k := range keys {
		column, isColumn := keyColumn(k.Expr)
		if !isColumn {
			return false, false
		}
		if slices.Contains(key[:skip], column) {
			continue // one value only
		}
		if at >= len(key) || key[at] != column || k.NullsFirst != k.Desc && !rel.Columns[column].NotNull {
			return false, false
		}
		if at == skip {
			reverse = k.Desc
		} else if k.Desc != reverse {
			return false, false
		}
		at++
		if i+1 < len(keys) && at == len(key) && (a == nil || a.index == nil) {
			return reverse, true // the key is unique: what follows orders nothing
		}
	}
	return reverse, true
}

// neededColumns are the columns that expressions over a scan read; nil: all.
func neededColumns(lists ...[]expr.Expr) []int {
	out := []int{}
	all := false
	for _, list := range lists {
		for _, e := range list {
			walk(e, func(e expr.Expr) error {
				switch e := e.(type) {
				case *expr.Column:
					if e.Depth == 0 && !slices.Contains(out, e.Index) {
						out = append(out, e.Index)
					}
				case *expr.Subquery:
					all = all || e.Correlated
				}
				return nil
			})
		}
	}
	if all {
		return nil
	}
	slices.Sort(out)
	return out
}
