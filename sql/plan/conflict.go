package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// onConflict checks INSERT ... ON CONFLICT.
func (a *analyzer) onConflict(n *pg.InsertStmt, r *catalog.Relation, outer *scope) (*OnConflict, error) {
	c := n.OnConflictClause
	out := &OnConflict{Nothing: c.Action == pg.OnConflictAction_ONCONFLICT_NOTHING}
	var err error
	if c.Infer != nil {
		if out.Columns, err = a.arbiter(r, c.Infer, outer); err != nil {
			return nil, err
		}
	} else if !out.Nothing {
		return nil, errs.SQL("42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name").
			At(a.pos(c.Location)).WithHint("For example, ON CONFLICT (column_name).")
	}
	if out.Nothing {
		return out, nil
	}
	s := relationScope(r, aliasOf(n.Relation), outer)
	excluded := relationItem(r, "excluded").shifted(len(r.Columns))
	s.items, s.level.items = append(s.items, excluded), append(s.level.items, excluded)
	if out.Set, err = a.assignments(s, r, c.TargetList); err != nil {
		return nil, err
	}
	if c.WhereClause != nil {
		out.Where, err = a.condition(s, c.WhereClause, inWhere, "argument of WHERE")
	}
	return out, err
}

// arbiter finds the unique key that a conflict target names.
func (a *analyzer) arbiter(r *catalog.Relation, infer *pg.InferClause, outer *scope) ([]int, error) {
	if infer.Conname != "" {
		if r.Keyed() && !hiddenKey(r) && r.KeyName == infer.Conname {
			return r.Key, nil
		}
		for _, x := range r.Indexes {
			if x.Constraint && x.Name == infer.Conname {
				return x.Columns, nil
			}
		}
		return nil, errs.SQL("42704", "constraint %q for table %q does not exist", infer.Conname, r.Name)
	}
	var columns []int
	plain := true
	for _, n := range infer.IndexElems {
		el := n.GetIndexElem()
		if el.Expr != nil {
			if _, err := a.expression(relationScope(r, r.Name, outer), el.Expr, inIndex); err != nil {
				return nil, err
			}
			plain = false
			continue
		}
		i := columnIndex(r, el.Name)
		if i < 0 {
			return nil, errs.SQL("42703", "column %q does not exist", el.Name).At(a.pos(infer.Location))
		}
		if !slices.Contains(columns, i) {
			columns = append(columns, i)
		}
	}
	if infer.WhereClause != nil { // a whole index serves any predicate
		if _, err := a.condition(relationScope(r, r.Name, outer), infer.WhereClause, inWhere, "argument of WHERE"); err != nil {
			return nil, err
		}
	}
	if plain {
		for _, key := range uniqueKeys(r) {
			if sameSet(key, columns) {
				return key, nil
			}
		}
	}
	return nil, errs.SQL("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification")
}

// hiddenKey reports whether a relation's key is its _rowid: no constraint of its DDL.
func hiddenKey(r *catalog.Relation) bool { return len(r.Key) == 1 && r.Columns[r.Key[0]].Hidden }

// uniqueKeys lists the columns of a relation's unique keys that its DDL declared.
func uniqueKeys(r *catalog.Relation) [][]int {
	var out [][]int
	if r.Keyed() && !hiddenKey(r) {
		out = append(out, r.Key)
	}
	for _, x := range r.Indexes {
		if x.Unique {
			out = append(out, x.Columns)
		}
	}
	return out
}

func sameSet(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}
