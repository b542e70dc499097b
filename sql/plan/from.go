package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// source is a part of FROM: an operator and what it offers by name.
type source struct {
	node  Node
	items []*item
	// tables are the base tables among what was joined, by the name in sight or not.
	tables []*item
}

// from checks a FROM list: the input node (nil for an empty list) and its scope.
func (a *analyzer) from(list []*pg.Node, outer *scope) (Node, *scope, error) {
	s := newScope(outer)
	var left *source
	for _, n := range list {
		right, lateral, err := a.right(n, left, s.level, outer, leftOpen)
		if err != nil {
			return nil, nil, err
		}
		if left == nil {
			left = right
			continue
		}
		if left, err = a.joined(Inner, left, right, lateral, nil); err != nil {
			return nil, nil, err
		}
	}
	if left == nil {
		return nil, s, nil
	}
	s.items, s.tables = left.items, left.tables
	return left.node, s, nil
}

// right checks the right side of a join (left is nil for the first item of FROM) and tells whether it is lateral.
func (a *analyzer) right(n *pg.Node, left *source, l *queryLevel, outer *scope, kind leftSide) (*source, bool, error) {
	around := a.inside(outer)
	if left != nil {
		around = &scope{outer: outer, items: left.items, level: l, left: kind}
	}
	src, err := a.source(n, l, around)
	if err != nil || left == nil {
		return src, false, err
	}
	if reaches(src.node, 1) {
		return src, true, nil
	}
	src.node = dropLevel(src.node)
	return src, false, nil
}

// inside is the scope around a query that is part of another one, whose scope around may be none.
func (a *analyzer) inside(outer *scope) *scope {
	if outer == nil {
		return &scope{outer: a.base, namesOnly: true}
	}
	return outer
}

// reaches reports whether a plan has a column of the query level at a distance around it.
func reaches(n Node, distance int) bool {
	found := false
	WalkAll(n, func(e expr.Expr, depth int) {
		if c, ok := e.(*expr.Column); ok && c.Depth == depth+distance {
			found = true
		}
	})
	return found
}

// joined joins two sides; the condition is over both sides' columns.
func (a *analyzer) joined(kind JoinKind, left, right *source, lateral bool, cond expr.Expr) (*source, error) {
	width := len(left.node.Columns())
	j := &Join{Kind: kind, Left: left.node, Right: right.node, Cond: cond, Lateral: lateral}
	j.Cols = append(append(j.Cols, left.node.Columns()...), right.node.Columns()...)
	out := &source{node: j, items: append([]*item(nil), left.items...)}
	for _, it := range right.items {
		if err := conflict(left.items, it); err != nil {
			return nil, err
		}
		out.items = append(out.items, it.shifted(width))
	}
	out.tables = append(out.tables, left.tables...)
	for _, it := range right.tables {
		out.tables = append(out.tables, it.shifted(width))
	}
	return out, nil
}

// conflict is 42712 when an item's name is taken; two relations of one name in different schemas are told apart.
func conflict(items []*item, it *item) error {
	for _, other := range items {
		if it.alias == "" || other.alias != it.alias {
			continue
		}
		if it.schema != "" && other.schema != "" && it.schema != other.schema {
			continue
		}
		return errs.SQL("42712", "table name %q specified more than once", it.alias)
	}
	return nil
}

// source checks one item of FROM in the scopes around it.
func (a *analyzer) source(n *pg.Node, l *queryLevel, around *scope) (*source, error) {
	switch t := n.Node.(type) {
	case *pg.Node_RangeVar:
		return a.rangeVar(t.RangeVar, l, around)
	case *pg.Node_RangeSubselect:
		return a.rangeSubselect(t.RangeSubselect, l, around)
	case *pg.Node_RangeFunction:
		return a.rangeFunction(t.RangeFunction, l, around)
	case *pg.Node_JoinExpr:
		return a.join(t.JoinExpr, l, around)
	case *pg.Node_RangeTableSample:
		return nil, errs.SQL("0A000", "TABLESAMPLE is not supported").At(a.pos(t.RangeTableSample.Location))
	case *pg.Node_RangeTableFunc:
		return nil, errs.SQL("0A000", "XMLTABLE is not supported").At(a.pos(t.RangeTableFunc.Location))
	}
	return nil, errs.SQL("0A000", "this form of FROM is not supported")
}

// item makes a source of one item, whose columns an alias may rename.
func (a *analyzer) item(n Node, it *item, alias *pg.Alias, l *queryLevel) (*source, error) {
	if it.columns == nil {
		it.columns = namedColumns(n.Columns())
	}
	if err := rename(it, alias); err != nil {
		return nil, err
	}
	it.label()
	l.items = append(l.items, it)
	src := &source{node: n, items: []*item{it}}
	if it.relation != nil && it.relation.Kind == catalog.Table {
		src.tables = src.items
	}
	return src, nil
}

// rename applies the column list of an alias: it names the listed columns from the first on.
func rename(it *item, alias *pg.Alias) error {
	if alias == nil {
		return nil
	}
	at := 0
	for _, n := range alias.Colnames {
		for at < len(it.columns) && it.columns[at].unlisted {
			at++
		}
		if at >= len(it.columns) {
			have := 0
			for _, c := range it.columns {
				if !c.unlisted {
					have++
				}
			}
			return errs.SQL("42P10", "table %q has %d columns available but %d columns specified", it.alias, have, len(alias.Colnames))
		}
		it.columns[at].Name = n.GetString_().Sval
		at++
	}
	return nil
}

func (a *analyzer) rangeVar(rv *pg.RangeVar, l *queryLevel, around *scope) (*source, error) {
	alias := ""
	if rv.Alias != nil {
		alias = rv.Alias.Aliasname
	}
	if rv.Schemaname == "" {
		b, err := a.reading(around, rv)
		if err != nil {
			return nil, err
		}
		if b != nil {
			it := &item{alias: rv.Relname, binding: b}
			if alias != "" {
				it.alias = alias
			}
			return a.item(&CTEScan{Output{b.Cols}, b}, it, rv.Alias, l)
		}
	}
	r, err := a.relation(rv)
	if err != nil {
		return nil, a.laterHint(around, rv, err)
	}
	it := relationItem(r, alias)
	if r.Kind == catalog.View {
		n, err := a.expandView(r)
		if err != nil {
			return nil, err
		}
		it.columns = nil
		return a.item(n, it, rv.Alias, l)
	}
	n := &Scan{Output: Output{relationColumns(r)}, Relation: r, Alias: it.alias}
	return a.item(n, it, rv.Alias, l)
}

func (a *analyzer) rangeSubselect(rs *pg.RangeSubselect, l *queryLevel, around *scope) (*source, error) {
	if !rs.Lateral {
		around = closed(around, l)
	}
	n, err := a.query(rs.Subquery.GetSelectStmt(), around, nil)
	if err != nil {
		return nil, err
	}
	it := &item{}
	if rs.Alias != nil {
		it.alias = rs.Alias.Aliasname
	}
	return a.item(n, it, rs.Alias, l)
}

// rangeFunction checks functions in FROM. Their arguments may refer to what stands to the left, LATERAL or not.
func (a *analyzer) rangeFunction(rf *pg.RangeFunction, l *queryLevel, around *scope) (*source, error) {
	s := newScope(around)
	f := &Function{Ordinality: rf.Ordinality}
	defs := rf.Coldeflist
	calls, err := functionsOf(rf)
	if err != nil {
		return nil, err
	}
	for _, call := range calls {
		if len(call.defs) > 0 {
			defs = call.defs
		}
		e, cols, err := a.functionCall(s, call.node, defs)
		if err != nil {
			return nil, err
		}
		if len(calls) == 1 && rf.Alias != nil && len(cols) == 1 && cols[0].Name == outputName(call.node) {
			cols[0].Name = rf.Alias.Aliasname // a function of one column is named as a whole
		}
		f.Calls = append(f.Calls, e)
		f.Cols = append(f.Cols, cols...)
	}
	if rf.Ordinality {
		f.Cols = append(f.Cols, Column{Name: "ordinality", Type: row.T(row.Int8)})
	}
	it := &item{}
	if rf.Alias != nil {
		it.alias = rf.Alias.Aliasname
	} else if len(calls) > 0 {
		it.alias = outputName(calls[0].node)
	}
	return a.item(f, it, rf.Alias, l)
}

// rangeCall is one function of ROWS FROM with its column definition list.
type rangeCall struct {
	node *pg.Node
	defs []*pg.Node
}

// functionsOf are the functions of an item; unnest of several arrays is one function for each.
func functionsOf(rf *pg.RangeFunction) ([]rangeCall, error) {
	var out []rangeCall
	for _, n := range rf.Functions {
		items := n.GetList().Items
		call := rangeCall{node: items[0]}
		if len(items) > 1 {
			call.defs = items[1].GetList().GetItems()
		}
		fc := call.node.GetFuncCall()
		if fc == nil || len(fc.Funcname) != 1 || fc.Funcname[0].GetString_().Sval != "unnest" || len(fc.Args) < 2 || fc.FuncVariadic {
			out = append(out, call)
			continue
		}
		for _, arg := range fc.Args {
			one := &pg.FuncCall{Funcname: fc.Funcname, Args: []*pg.Node{arg}, Location: fc.Location, Funcformat: fc.Funcformat}
			out = append(out, rangeCall{node: &pg.Node{Node: &pg.Node_FuncCall{FuncCall: one}}})
		}
	}
	if len(out) > 1 && len(rf.Coldeflist) > 0 {
		return nil, errs.SQL("42601", "ROWS FROM() with multiple functions cannot have a column definition list").
			WithHint("Put a separate column definition list for each function inside ROWS FROM().")
	}
	return out, nil
}
