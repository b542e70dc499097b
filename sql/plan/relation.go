package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

// relation finds a relation by name (42P01), along the search path.
func (a *analyzer) relation(rv *pg.RangeVar) (*catalog.Relation, error) {
	if r, ok := a.lookupRelation(rv.Schemaname, rv.Relname); ok {
		return r, nil
	}
	name := rv.Relname
	if rv.Schemaname != "" {
		name = rv.Schemaname + "." + name
	}
	return nil, errs.SQL("42P01", "relation %q does not exist", name).At(a.pos(rv.Location))
}

// lookupRelation finds a relation in a schema or, with none, along the search path, where pg_catalog comes first unless
// it is named. A view's query means the relations that it was made of.
func (a *analyzer) lookupRelation(schema, name string) (*catalog.Relation, bool) {
	if v := a.view; v != nil {
		for _, id := range v.DependsOn {
			if r, ok := a.o.Catalog.ByID(id); ok && r.Name == name && (schema == "" || r.Schema == schema) {
				return r, true
			}
		}
	}
	if schema != "" {
		return a.o.Catalog.Lookup(schema, name)
	}
	path := a.o.SearchPath
	if !slices.Contains(path, "pg_catalog") {
		path = append([]string{"pg_catalog"}, path...)
	}
	for _, schema := range path {
		if r, ok := a.o.Catalog.Lookup(schema, name); ok {
			return r, true
		}
	}
	return nil, false
}

// maxViews bounds views inside views.
const maxViews = 100

// expandView checks a view's query and gives it the view's column names.
func (a *analyzer) expandView(r *catalog.Relation) (Node, error) {
	if a.nesting >= maxViews {
		return nil, errs.SQL("42P17", "infinite recursion detected in rules for relation %q", r.Name)
	}
	sts, err := parse.Parse(r.Query)
	if err != nil || len(sts) != 1 || sts[0].Tree.GetSelectStmt() == nil {
		return nil, errs.SQL("XX000", "view %q has no valid query: %v", r.Name, err)
	}
	inner := newAnalyzer(sts[0], a.o)
	inner.params = nil
	if !slices.Contains(a.o.SearchPath, r.Schema) {
		inner.o.SearchPath = append(slices.Clip(a.o.SearchPath), r.Schema)
	}
	inner.view, inner.nesting = r, a.nesting+1
	n, err := inner.query(sts[0].Tree.GetSelectStmt(), nil, nil)
	if err != nil {
		return nil, inView(r, err)
	}
	return a.named(n, r)
}

// inView takes the position, which is one in the view's text, from an error.
func inView(r *catalog.Relation, err error) error {
	if e, ok := err.(*errs.Error); ok {
		c := *e
		c.Position = 0
		return &c
	}
	return err
}

// named gives a view's query the view's column names. Columns that were added to a table since belong to no view: a query
// has at least as many columns as its view.
func (a *analyzer) named(n Node, r *catalog.Relation) (Node, error) {
	cols := n.Columns()
	if len(cols) < len(r.Columns) {
		return nil, errs.SQL("XX000", "the query of view %q has %d columns instead of %d", r.Name, len(cols), len(r.Columns))
	}
	p := &Project{Input: n}
	for i, c := range relationColumns(r) {
		c.Type = cols[i].Type
		p.Cols = append(p.Cols, c)
		p.Exprs = append(p.Exprs, namedColumns(cols)[i].expr)
	}
	return p, nil
}
