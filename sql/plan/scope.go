package plan

import (
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// leftSide says what a scope of a join's left side is to the right side.
type leftSide uint8

const (
	notLeft leftSide = iota
	leftOpen
	// leftClosed cannot be referenced: the right side is not lateral.
	leftClosed
	// leftOuter cannot be referenced because the join is RIGHT or FULL.
	leftOuter
)

// queryLevel is one query level: everything its FROM names, visible or not, for hints.
type queryLevel struct{ items []*item }

// newScope is an empty scope of a new query level.
func newScope(outer *scope) *scope { return &scope{outer: outer, level: &queryLevel{}} }

// closed gives a chain of scopes in which the left sides of a level's joins cannot be referenced.
func closed(s *scope, l *queryLevel) *scope {
	if s == nil || s.left == notLeft || s.level != l {
		return s
	}
	c := *s
	c.left, c.outer = leftClosed, closed(s.outer, l)
	return &c
}

// lastOfLevel reports whether the next scope outwards belongs to another level: a join's left side and what is left of the
// join are one level of the query.
func (s *scope) lastOfLevel() bool {
	return s.left == notLeft || s.outer == nil || s.outer.left == notLeft || s.outer.level != s.level
}

// relationScope is the scope of one relation's columns at offset 0.
func relationScope(r *catalog.Relation, alias string, outer *scope) *scope {
	s := newScope(outer)
	it := relationItem(r, alias)
	s.items, s.level.items = []*item{it}, []*item{it}
	return s
}

// relationItem is what a relation offers under an alias ("": its name).
func relationItem(r *catalog.Relation, alias string) *item {
	it := &item{alias: alias, relation: r}
	if alias == "" {
		it.alias, it.schema = r.Name, r.Schema
	}
	it.columns = namedColumns(relationColumns(r))
	for i := range it.columns {
		it.columns[i].unlisted = r.Columns[i].Hidden
	}
	it.label()
	return it
}

// relationColumns are a relation's columns as a Scan gives them.
func relationColumns(r *catalog.Relation) []Column {
	cols := make([]Column, len(r.Columns))
	for i, c := range r.Columns {
		cols[i] = Column{Name: c.Name, Type: c.Type, Relation: uint32(r.ID), Attribute: int16(i + 1)}
	}
	return cols
}

// namedColumns are item columns that stand at 0.. in the input row.
func namedColumns(cols []Column) []itemColumn {
	out := make([]itemColumn, len(cols))
	for i, c := range cols {
		out[i] = itemColumn{Column: c, expr: &expr.Column{Index: i, Typ: c.Type, Name: c.Name}}
	}
	return out
}

// label gives the item's plain columns their qualified names, for EXPLAIN and errors.
func (it *item) label() {
	for i := range it.columns {
		c, ok := it.columns[i].expr.(*expr.Column)
		if !ok || it.alias == "" {
			continue
		}
		named := *c
		named.Name = it.alias + "." + it.columns[i].Name
		it.columns[i].expr = &named
	}
}

// shifted gives the item with its columns further right in the input row.
func (it *item) shifted(by int) *item {
	if by == 0 {
		return it
	}
	c := *it
	c.columns = slices.Clone(it.columns)
	for i := range c.columns {
		c.columns[i].expr = shift(c.columns[i].expr, by)
	}
	return &c
}

// find looks for a column by name.
func (it *item) find(name string) (found *itemColumn, ambiguous bool) {
	for i := range it.columns {
		if c := &it.columns[i]; c.Name == name {
			if found != nil {
				return found, true
			}
			found = c
		}
	}
	return found, false
}

// reference is the item column as an expression from depth levels further in. It notes where it stands.
func (a *analyzer) reference(c *itemColumn, depth int, loc int32) expr.Expr {
	return expr.Rewrite(c.expr, func(e expr.Expr) expr.Expr {
		col, ok := e.(*expr.Column)
		if !ok {
			return e
		}
		out := a.locate(&expr.Column{Depth: col.Depth + depth, Index: col.Index, Typ: col.Typ, Name: col.Name}, loc)
		if c.Fields != nil {
			a.records[out] = c.Fields.Columns
		}
		return out
	})
}

// locate notes where a column stands.
func (a *analyzer) locate(c *expr.Column, loc int32) *expr.Column {
	a.locations[c] = loc
	return c
}

// column resolves a column reference (one to four names) in a scope and the ones around it: Column expressions with their
// Depth, a Coalesce for a merged column, a Record for a whole row. 42703, 42702, 42P01 with PostgreSQL's hints.
func (a *analyzer) column(s *scope, names []string, loc int32) (expr.Expr, error) {
	switch len(names) {
	case 1:
		return a.unqualified(s, names[0], loc)
	case 2:
		return a.qualified(s, "", names[0], names[1], loc)
	case 3:
		return a.qualified(s, names[0], names[1], names[2], loc)
	case 4:
		return a.qualified(s, names[1], names[2], names[3], loc)
	}
	return nil, errs.SQL("42601", "improper qualified name (too many dotted names): %s", strings.Join(names, ".")).At(a.pos(loc))
}

// unqualified looks for a column of that name, from the innermost level outwards, then for a relation: its whole row.
func (a *analyzer) unqualified(s *scope, name string, loc int32) (expr.Expr, error) {
	depth := 0
	var found expr.Expr
	for at := s; at != nil; at = at.outer {
		if at.namesOnly {
			continue
		}
		for _, it := range at.items {
			if it.hidden {
				continue
			}
			c, ambiguous := it.find(name)
			if c == nil || at.left == leftClosed {
				continue
			}
			if ambiguous || found != nil {
				return nil, errs.SQL("42702", "column reference %q is ambiguous", name).At(a.pos(loc))
			}
			if at.left == leftOuter {
				return nil, a.outerSide(it, loc)
			}
			found = a.reference(c, depth, loc)
		}
		if found != nil && at.lastOfLevel() {
			return found, nil
		}
		depth++
	}
	it, depth, err := a.lookupItem(s, "", name, loc)
	if err != nil {
		return nil, err
	}
	if it != nil {
		return a.wholeRow(it, depth, loc), nil
	}
	if s != nil && name == tableOID && len(s.items) == 1 && s.items[0].stored() {
		return s.items[0].tableOID(), nil
	}
	return nil, a.missingColumn(s, "", name, loc)
}

// tableOID is the system column that says which relation a row is of: psql and pg_dump join catalogs by it.
const tableOID = "tableoid"

// stored reports whether the item is a relation whose rows have system columns.
func (it *item) stored() bool { return it.relation != nil && it.relation.Kind != catalog.View }

// tableOID is the relation's OID. On the empty side of an outer join PostgreSQL gives NULL, which is not worth a column
// in every row here.
func (it *item) tableOID() expr.Expr {
	return &expr.Const{Value: row.NewInt(int64(it.relation.ID)), Typ: row.T(row.Oid)}
}

// outerSide is the error for a lateral reference to the left side of a RIGHT or FULL join.
func (a *analyzer) outerSide(it *item, loc int32) error {
	return errs.SQL("42P10", "invalid reference to FROM-clause entry for table %q", it.alias).
		WithDetail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.").At(a.pos(loc))
}

// lookupItem finds what FROM names, from the innermost level outwards; nil when nothing does.
func (a *analyzer) lookupItem(s *scope, schema, name string, loc int32) (*item, int, error) {
	depth, foundDepth := 0, 0
	var found *item
	for at := s; at != nil; at = at.outer {
		if at.namesOnly {
			continue
		}
		for _, it := range at.items {
			if it.alias != name || schema != "" && it.schema != schema || at.left == leftClosed {
				continue
			}
			if found != nil {
				return nil, 0, errs.SQL("42P09", "table reference %q is ambiguous", name).At(a.pos(loc))
			}
			if at.left == leftOuter {
				return nil, 0, a.outerSide(it, loc)
			}
			found, foundDepth = it, depth
		}
		if found != nil && at.lastOfLevel() {
			return found, foundDepth, nil
		}
		depth++
	}
	return nil, 0, nil
}

// wholeRow is a row of an item as one value.
func (a *analyzer) wholeRow(it *item, depth int, loc int32) expr.Expr {
	r := &expr.Record{}
	for i := range it.columns {
		if c := &it.columns[i]; !c.unlisted {
			r.Fields = append(r.Fields, a.reference(c, depth, loc))
			r.Names = append(r.Names, c.Name)
		}
	}
	return r
}

func (a *analyzer) qualified(s *scope, schema, relation, name string, loc int32) (expr.Expr, error) {
	it, depth, err := a.lookupItem(s, schema, relation, loc)
	if err != nil {
		return nil, err
	}
	if it == nil {
		return nil, a.missingItem(s, schema, relation, loc)
	}
	c, ambiguous := it.find(name)
	if ambiguous {
		return nil, errs.SQL("42702", "column reference %q is ambiguous", name).At(a.pos(loc))
	}
	if c == nil && name == tableOID && it.stored() {
		return it.tableOID(), nil
	}
	if c == nil {
		return nil, a.missingColumn(s, relation, name, loc)
	}
	return a.reference(c, depth, loc), nil
}

// missingItem is the error for a name that no visible FROM item has.
func (a *analyzer) missingItem(s *scope, schema, name string, loc int32) error {
	it := a.anyItem(s, schema, name)
	if it == nil {
		return errs.SQL("42P01", "missing FROM-clause entry for table %q", name).At(a.pos(loc))
	}
	e := errs.SQL("42P01", "invalid reference to FROM-clause entry for table %q", name).At(a.pos(loc))
	if it.alias != name {
		if visible, _, err := a.lookupItem(s, "", it.alias, loc); err == nil && visible != nil && visible.relation == it.relation && visible.binding == it.binding {
			return e.WithHint("Perhaps you meant to reference the table alias %q.", it.alias)
		}
	}
	return e.WithHint("There is an entry for table %q, but it cannot be referenced from this part of the query.", it.alias)
}

// anyItem finds an item by alias or by its relation, visible or not.
func (a *analyzer) anyItem(s *scope, schema, name string) *item {
	named, _ := a.lookupRelation(schema, name)
	var with *Binding
	if schema == "" {
		with = lookupBinding(s, name)
	}
	for _, l := range levels(s) {
		for _, it := range l.items {
			if it.alias == name && it.alias != "" || with != nil && it.binding == with || with == nil && named != nil && it.relation == named {
				return it
			}
		}
	}
	return nil
}

// levels are the query levels around, innermost first.
func levels(s *scope) []*queryLevel {
	var out []*queryLevel
	for at := s; at != nil; at = at.outer {
		if at.level != nil && (len(out) == 0 || out[len(out)-1] != at.level) {
			out = append(out, at.level)
		}
	}
	return out
}
