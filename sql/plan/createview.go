package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// createView checks CREATE [OR REPLACE] VIEW.
func (a *analyzer) createView(n *pg.ViewStmt) (Statement, error) {
	if n.WithCheckOption != pg.ViewCheckOption_NO_CHECK_OPTION && n.WithCheckOption != pg.ViewCheckOption_VIEW_CHECK_OPTION_UNDEFINED {
		return nil, errs.SQL("0A000", "WITH CHECK OPTION is not supported: views are not updatable")
	}
	if n.View.Relpersistence == "u" {
		return nil, errs.SQL("42601", "views cannot be unlogged because they do not have storage")
	}
	schema, err := a.creation(n.View)
	if err != nil {
		return nil, withoutPosition(err)
	}
	rel := &catalog.Relation{Schema: schema, Name: n.View.Relname, Kind: catalog.View}
	if rel.Options, err = a.optionsOf(n.Options, catalog.View); err != nil {
		return nil, err
	}
	q, err := a.viewQuery(rel, n.Query, names(n.Aliases), "CREATE VIEW specifies more column names than columns")
	if err != nil {
		return nil, err
	}
	return &CreateRelation{Relation: rel, Replace: n.Replace, Query: q}, a.freeName(schema, rel.Name)
}

// createTableAs checks CREATE TABLE AS and CREATE MATERIALIZED VIEW.
func (a *analyzer) createTableAs(n *pg.CreateTableAsStmt) (Statement, error) {
	if n.Objtype == pg.ObjectType_OBJECT_MATVIEW {
		return a.createMaterializedView(n)
	}
	sel := n.Query.GetSelectStmt()
	if sel == nil {
		return nil, errs.SQL("0A000", "CREATE TABLE AS EXECUTE is not supported").WithHint("Use the query itself.")
	}
	return a.filledTable(n.Into, sel, n.IfNotExists)
}

func (a *analyzer) createMaterializedView(n *pg.CreateTableAsStmt) (Statement, error) {
	into := n.Into
	if into.SkipData {
		return nil, errs.SQL("0A000", "WITH NO DATA is not supported: a materialized view is always kept current")
	}
	if into.Rel.Relpersistence == "u" {
		return nil, errs.SQL("0A000", "materialized views cannot be unlogged")
	}
	schema, err := a.creation(into.Rel)
	if err != nil {
		return nil, withoutPosition(err)
	}
	if err := a.defaultStorage(into.AccessMethod, into.TableSpaceName); err != nil {
		return nil, err
	}
	rel := &catalog.Relation{Schema: schema, Name: into.Rel.Relname, Kind: catalog.MaterializedView}
	if rel.Options, err = a.optionsOf(into.Options, rel.Kind); err != nil {
		return nil, err
	}
	q, err := a.viewQuery(rel, n.Query, names(into.ColNames), "too many column names were specified")
	if err != nil {
		return nil, err
	}
	return &CreateRelation{Relation: rel, IfNotExists: n.IfNotExists, Replace: a.st.Replace, Query: q, WithData: true}, a.freeName(schema, rel.Name)
}

// viewQuery checks a view's query and notes its text, its columns and what it reads with the relation.
func (a *analyzer) viewQuery(rel *catalog.Relation, query *pg.Node, aliases []string, tooMany string) (Node, error) {
	sel := query.GetSelectStmt()
	if sel == nil {
		return nil, errs.SQL("0A000", "a view's query must be a SELECT or VALUES")
	}
	if intoOf(sel) != nil {
		if rel.Kind == catalog.View {
			return nil, errs.SQL("0A000", "views must not contain SELECT INTO")
		}
		return nil, errs.SQL("42601", "SELECT INTO is not allowed here").At(a.pos(intoOf(sel).Rel.Location))
	}
	a.stars = map[int32]string{}
	q, err := a.query(sel, nil, nil)
	if err != nil {
		return nil, err
	}
	if len(a.params) > 0 {
		return nil, errs.SQL("42P02", "there is no parameter $%d", len(a.params)).At(a.pos(a.firstParam(query)))
	}
	if modifies(q) {
		if rel.Kind == catalog.View {
			return nil, errs.SQL("0A000", "views must not contain data-modifying statements in WITH")
		}
		return nil, errs.SQL("0A000", "materialized views must not use data-modifying statements in WITH")
	}
	if err := namedColumnsOf(rel, q, aliases, tooMany); err != nil {
		return nil, err
	}
	rel.Query, rel.DependsOn, err = a.queryText(query)
	if err != nil {
		return nil, err
	}
	scanned(q, func(r *catalog.Relation) { rel.DependsOn = appendID(rel.DependsOn, r.ID) })
	return q, nil
}

// scanned calls visit for every relation that a plan reads, subqueries included.
func scanned(n Node, visit func(*catalog.Relation)) {
	list := func(n Node) {
		Walk(n, func(n Node) bool {
			if s, ok := n.(*Scan); ok {
				visit(s.Relation)
			}
			return true
		})
	}
	list(n)
	WalkAll(n, func(e expr.Expr, _ int) {
		if s, ok := e.(*expr.Subquery); ok {
			list(s.Plan.(Node))
		}
	})
}

// modifies reports whether a query writes, in its WITH.
func modifies(n Node) bool {
	w, ok := n.(*With)
	if !ok {
		return false
	}
	for _, b := range w.Bindings {
		if b.Modify != nil {
			return true
		}
	}
	return false
}

// namedColumnsOf gives a relation the columns of a query, under the names given first.
func namedColumnsOf(rel *catalog.Relation, q Node, aliases []string, tooMany string) error {
	cols := q.Columns()
	if len(aliases) > len(cols) {
		return errs.SQL("42601", "%s", tooMany)
	}
	for i, c := range cols {
		if i < len(aliases) {
			c.Name = aliases[i]
		}
		if columnIndex(rel, c.Name) >= 0 {
			return errs.SQL("42701", "column %q specified more than once", c.Name)
		}
		if pseudo(c.Type) {
			return errs.SQL("42P16", "column %q has pseudo-type %s", c.Name, baseName(c.Type))
		}
		rel.Columns = append(rel.Columns, catalog.Column{Name: c.Name, Type: c.Type})
	}
	return nil
}

// intoOf is the INTO of a SELECT: that of its leftmost part.
func intoOf(sel *pg.SelectStmt) *pg.IntoClause {
	for sel.GetLarg() != nil {
		sel = sel.Larg
	}
	return sel.GetIntoClause()
}

// selectInto checks SELECT ... INTO, which is CREATE TABLE AS.
func (a *analyzer) selectInto(sel *pg.SelectStmt, into *pg.IntoClause) (Statement, error) {
	left := sel
	for left.GetLarg() != nil {
		left = left.Larg
	}
	left.IntoClause = nil
	s, err := a.filledTable(into, sel, false)
	left.IntoClause = into // the tree is the caller's
	return s, err
}

// filledTable checks a table that a query fills.
func (a *analyzer) filledTable(into *pg.IntoClause, sel *pg.SelectStmt, ifNotExists bool) (Statement, error) {
	schema, err := a.creation(into.Rel)
	if err != nil {
		return nil, withoutPosition(err)
	}
	if err := a.defaultStorage(into.AccessMethod, into.TableSpaceName); err != nil {
		return nil, err
	}
	q, err := a.query(sel, nil, nil)
	if err != nil {
		return nil, err
	}
	rel, err := a.newTable(schema, into.Rel.Relname, into.Options)
	if err != nil {
		return nil, err
	}
	if err := namedColumnsOf(rel, q, names(into.ColNames), "too many column names were specified"); err != nil {
		return nil, err
	}
	for _, c := range rel.Columns {
		if err := (&definition{a: a, rel: &catalog.Relation{}, creating: true}).freeColumn(c.Name); err != nil {
			return nil, err
		}
	}
	return &CreateRelation{Relation: rel, IfNotExists: ifNotExists, Query: q, Fill: true, WithData: !into.SkipData}, a.complete(rel)
}
