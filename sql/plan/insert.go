package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// writeVerb says what a statement does to its target, for errors.
type writeVerb uint8

const (
	inserting writeVerb = iota
	updating
	deleting
	truncating
	copying
)

// writable finds the relation that a statement writes.
//
// Errors: 42P01, 42809 for rows that are computed, 55000 for a view, 0A000 for changes of a stream, 42501 for the system's.
func (a *analyzer) writable(rv *pg.RangeVar, verb writeVerb) (*catalog.Relation, error) {
	r, err := a.relation(rv)
	if verb == truncating || verb == copying {
		err = withoutPosition(err)
	}
	if err != nil {
		return nil, err
	}
	if f := r.Options["format"]; (f == "avro" || f == "protobuf") && (verb == inserting || verb == updating || verb == copying) {
		return nil, errs.SQL("0A000", "cannot write rows of %q: its records are %s", r.Name, f).
			WithHint("Produce them with a Kafka client and its serializer. DELETE works.")
	}
	switch r.Kind {
	case catalog.Table:
		return r, nil
	case catalog.Stream:
		if verb == inserting || verb == copying {
			return r, nil
		}
		return nil, errs.SQL("0A000", "cannot %s stream %q", [...]string{"insert into", "update", "delete from", "truncate", "copy to"}[verb], r.Name).
			WithHint("A stream is append-only.")
	case catalog.View:
		if verb == updating || verb == inserting || verb == deleting {
			return nil, viewNotWritable(r, verb)
		}
	case catalog.System:
		return nil, r.System()
	}
	switch {
	case verb == truncating:
		return nil, errs.SQL("42809", "%q is not a table", r.Name)
	case verb == copying:
		e := errs.SQL("42809", "cannot copy to %s %q", r.Kind, r.Name)
		if r.Kind == catalog.View {
			e = e.WithHint("Copy to the table that the view reads.")
		}
		return nil, e
	case r.Kind == catalog.Raw:
		return nil, errs.SQL("42809", "cannot change raw topic %q", r.Name).
			WithHint("Declare its schema first: CREATE TABLE ... WITH (append_only, topic = '%s').", r.TopicName)
	case r.Kind == catalog.Rejected:
		return nil, errs.SQL("42809", "cannot change relation %q", r.Name).
			WithDetail("It holds the records that could not enter their table.")
	}
	return nil, errs.SQL("42809", "cannot change %s %q", r.Kind, r.Name)
}

func viewNotWritable(r *catalog.Relation, verb writeVerb) error {
	what := [...]string{"insert into", "update", "delete from"}[verb]
	return errs.SQL("55000", "cannot %s view %q", what, r.Name).
		WithDetail("Views are not automatically updatable.").WithHint("Change the table that the view reads.")
}

// insert checks INSERT; outer has the WITH bindings around, nil for none.
func (a *analyzer) insert(n *pg.InsertStmt, outer *scope) (*Insert, error) {
	out := &Insert{}
	var err error
	if out.With, outer, err = a.with(n.WithClause, outer); err != nil {
		return nil, err
	}
	if out.Table, err = a.writable(n.Relation, inserting); err != nil {
		return nil, err
	}
	given, err := a.insertColumns(out.Table, n.Cols)
	if err != nil {
		return nil, err
	}
	if err := a.insertSource(out, n, given, outer); err != nil {
		return nil, err
	}
	if out.Defaults, err = a.defaults(out.Table, out.Columns); err != nil {
		return nil, err
	}
	if n.OnConflictClause != nil {
		if out.Conflict, err = a.onConflict(n, out.Table, outer); err != nil {
			return nil, err
		}
	}
	s := relationScope(out.Table, aliasOf(n.Relation), outer)
	out.Returning, out.ReturningCols, err = a.returning(s, n.ReturningList)
	return out, err
}

// aliasOf is the alias of a target, "" for none.
func aliasOf(rv *pg.RangeVar) string {
	if rv.Alias != nil {
		return rv.Alias.Aliasname
	}
	return ""
}

// returning checks a RETURNING list; nil for none.
func (a *analyzer) returning(s *scope, list []*pg.Node) ([]expr.Expr, []Column, error) {
	if len(list) == 0 {
		return nil, nil, nil
	}
	es, cols, err := a.targets(s, list, inReturning)
	if err != nil {
		return nil, nil, err
	}
	for i := range es {
		es[i] = a.settle(es[i])
		cols[i].Type = es[i].Type()
	}
	return es, cols, nil
}

// targetColumn is a column that INSERT or UPDATE names.
type targetColumn struct {
	index int
	loc   int32
}

// insertColumns resolves INSERT's column list; without one it is every column that is shown.
func (a *analyzer) insertColumns(r *catalog.Relation, list []*pg.Node) ([]targetColumn, error) {
	var out []targetColumn
	if len(list) == 0 {
		for i := range r.Columns {
			if !r.Columns[i].Hidden {
				out = append(out, targetColumn{i, -1})
			}
		}
		return out, nil
	}
	for _, n := range list {
		t := n.GetResTarget()
		c, err := a.targetColumn(r, t)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o targetColumn) bool { return o.index == c.index }) {
			return nil, errs.SQL("42701", "column %q specified more than once", t.Name).At(a.pos(t.Location))
		}
		out = append(out, c)
	}
	return out, nil
}

// targetColumn finds the column that a ResTarget assigns to.
func (a *analyzer) targetColumn(r *catalog.Relation, t *pg.ResTarget) (targetColumn, error) {
	i := columnIndex(r, t.Name)
	if i < 0 {
		return targetColumn{}, errs.SQL("42703", "column %q of relation %q does not exist", t.Name, r.Name).At(a.pos(t.Location))
	}
	if r.Columns[i].Hidden {
		return targetColumn{}, errs.SQL("0A000", "cannot assign to system column %q", t.Name).At(a.pos(t.Location))
	}
	if len(t.Indirection) > 0 {
		return targetColumn{}, errs.SQL("0A000", "assignment to a part of column %q is not supported", t.Name).At(a.pos(t.Location)).
			WithHint("Assign the whole value.")
	}
	return targetColumn{i, t.Location}, nil
}

// columnIndex finds a column by name, -1 for none.
func columnIndex(r *catalog.Relation, name string) int {
	return slices.IndexFunc(r.Columns, func(c catalog.Column) bool { return c.Name == name })
}

// insertSource checks what INSERT's rows come from.
func (a *analyzer) insertSource(out *Insert, n *pg.InsertStmt, given []targetColumn, outer *scope) error {
	if n.SelectStmt == nil { // DEFAULT VALUES
		out.Source = &Values{Rows: [][]expr.Expr{nil}}
		return nil
	}
	sel := n.SelectStmt.GetSelectStmt()
	if plainValues(sel) {
		return a.insertValues(out, sel, given, len(n.Cols) > 0, outer)
	}
	want := make([]row.Type, len(given))
	for i, c := range given {
		want[i] = out.Table.Columns[c.index].Type
	}
	q, err := a.query(sel, outer, want)
	if err != nil {
		return err
	}
	cols := q.Columns()
	if err := a.sameWidth(given, len(cols), len(n.Cols) > 0, func(i int) int32 { return targetLocation(sel, i) }); err != nil {
		return err
	}
	exprs := make([]expr.Expr, len(cols))
	changed := false
	for i, c := range cols {
		var e expr.Expr = &expr.Column{Index: i, Typ: c.Type, Name: c.Name}
		col := &out.Table.Columns[given[i].index]
		if exprs[i], err = a.assign(e, col, targetLocation(sel, i)); err != nil {
			return err
		}
		changed = changed || exprs[i] != e
	}
	out.Columns, out.Source = indexesOf(given[:len(cols)]), q
	if changed {
		out.Source = &Project{Output{someColumns(out.Table, out.Columns)}, q, exprs}
	}
	return nil
}

// plainValues reports whether a query is a bare VALUES list, where DEFAULT may stand.
func plainValues(sel *pg.SelectStmt) bool {
	return len(sel.GetValuesLists()) > 0 && sel.WithClause == nil && len(sel.SortClause) == 0 && sel.LimitCount == nil &&
		sel.LimitOffset == nil && len(sel.LockingClause) == 0
}

func (a *analyzer) insertValues(out *Insert, sel *pg.SelectStmt, given []targetColumn, listed bool, outer *scope) error {
	// The table's columns cannot be used here, but an error tells that they exist.
	outer = newScope(outer)
	outer.level.items = []*item{relationItem(out.Table, "")}
	v := &Values{}
	width := -1
	for _, l := range sel.ValuesLists {
		items := l.GetList().GetItems()
		if width >= 0 && len(items) != width {
			return errs.SQL("42601", "VALUES lists must all be the same length").At(a.pos(location(items[0])))
		}
		width = len(items)
	}
	for n, l := range sel.ValuesLists {
		items := l.GetList().GetItems()
		if n == 0 {
			if err := a.sameWidth(given, width, listed, func(i int) int32 { return location(items[i]) }); err != nil {
				return withRowHint(err, items, len(given))
			}
			given = given[:width]
			out.Columns = indexesOf(given)
		}
		rowOf := make([]expr.Expr, width)
		for i, item := range items {
			var err error
			if rowOf[i], err = a.cell(out.Table, given[i].index, item, outer, inValues); err != nil {
				return err
			}
		}
		v.Rows = append(v.Rows, rowOf)
	}
	v.Cols = someColumns(out.Table, out.Columns)
	out.Source = v
	return nil
}

// withRowHint explains INSERT INTO t (a, b) VALUES ((1, 2)).
func withRowHint(err error, items []*pg.Node, want int) error {
	e, ok := err.(*errs.Error)
	if ok && len(items) == 1 && len(items[0].GetRowExpr().GetArgs()) == want {
		return e.WithHint("The insertion source is a row expression containing the same number of columns expected by the INSERT. " +
			"Did you accidentally use extra parentheses?")
	}
	return err
}

// sameWidth compares the number of columns to fill with that of the values; fewer values are allowed without a list.
func (a *analyzer) sameWidth(given []targetColumn, width int, listed bool, loc func(int) int32) error {
	if width > len(given) {
		return errs.SQL("42601", "INSERT has more expressions than target columns").At(a.pos(loc(len(given))))
	}
	if listed && width < len(given) {
		return errs.SQL("42601", "INSERT has more target columns than expressions").At(a.pos(given[width].loc))
	}
	return nil
}

// cell checks the value for one column of an INSERT or UPDATE, which may be DEFAULT.
func (a *analyzer) cell(r *catalog.Relation, column int, n *pg.Node, s *scope, in place) (expr.Expr, error) {
	c := &r.Columns[column]
	if n.GetSetToDefault() != nil {
		e, err := a.defaultOf(r, c)
		if e == nil && err == nil {
			e = &expr.Const{Value: row.Null, Typ: c.Type}
		}
		return e, err
	}
	e, err := a.expression(s, n, in)
	if err != nil {
		return nil, err
	}
	return a.assign(e, c, location(n))
}

// assign converts a value to the type of the column that it is assigned to (42804).
func (a *analyzer) assign(e expr.Expr, c *catalog.Column, loc int32) (expr.Expr, error) {
	return a.coerce(e, c.Type, expr.Assignment, loc, "column \""+c.Name+"\"")
}

// defaultOf is the checked default of a column, nil for none.
func (a *analyzer) defaultOf(r *catalog.Relation, c *catalog.Column) (expr.Expr, error) {
	if c.Default == "" {
		return nil, nil
	}
	if c.Const != nil {
		v, err := row.ParseText(c.Type, *c.Const)
		if err != nil {
			return nil, errs.New(errs.Corrupt, "default of %s.%s: %w", r.Name, c.Name, err)
		}
		return &expr.Const{Value: v, Typ: c.Type}, nil
	}
	e, err := analyzeText(c.Default, nil, func(own *analyzer, s *scope, n *pg.Node) (expr.Expr, error) {
		e, err := own.expression(s, n, inDefault)
		if err != nil {
			return nil, err
		}
		return own.assign(e, c, location(n))
	})
	if err != nil {
		return nil, errs.New(errs.Corrupt, "default of %s.%s: %w", r.Name, c.Name, err)
	}
	return e, nil
}

// defaults are the defaults of the columns that are not given, one entry per column.
func (a *analyzer) defaults(r *catalog.Relation, given []int) ([]expr.Expr, error) {
	out := make([]expr.Expr, len(r.Columns))
	for i := range r.Columns {
		if slices.Contains(given, i) {
			continue
		}
		var err error
		if out[i], err = a.defaultOf(r, &r.Columns[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func indexesOf(cs []targetColumn) []int {
	out := make([]int, len(cs))
	for i, c := range cs {
		out[i] = c.index
	}
	return out
}

// someColumns are some columns of a relation as output columns.
func someColumns(r *catalog.Relation, indexes []int) []Column {
	out := make([]Column, len(indexes))
	for i, at := range indexes {
		c := r.Columns[at]
		out[i] = Column{Name: c.Name, Type: c.Type, Relation: uint32(r.ID), Attribute: int16(at + 1)}
	}
	return out
}

// targetLocation is the place of output column i of a query in the text, when it is simple to tell.
func targetLocation(sel *pg.SelectStmt, i int) int32 {
	for sel.GetLarg() != nil {
		sel = sel.Larg
	}
	if i < len(sel.GetTargetList()) {
		return location(sel.TargetList[i].GetResTarget().GetVal())
	}
	return -1
}
