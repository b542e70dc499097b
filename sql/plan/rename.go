package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// rename checks ALTER ... RENAME of relations, columns, constraints and indexes.
func (a *analyzer) rename(n *pg.RenameStmt) (Statement, error) {
	switch n.RenameType {
	case pg.ObjectType_OBJECT_INDEX:
		return a.renameIndex(n)
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW:
		return a.renameRelation(n)
	case pg.ObjectType_OBJECT_COLUMN:
		return a.renameColumn(n)
	case pg.ObjectType_OBJECT_TABCONSTRAINT:
		return a.renameConstraint(n)
	}
	return nil, errs.SQL("0A000", "%s is not supported", a.firstWords())
}

func (a *analyzer) renameRelation(n *pg.RenameStmt) (Statement, error) {
	tag := "ALTER " + objectWord(n.RenameType)
	if _, ok := a.findIndex(n.Relation.Schemaname, n.Relation.Relname); ok && a.lookup(n.Relation.Schemaname, n.Relation.Relname) == nil {
		return a.renameIndex(n) // as in PostgreSQL, where an index is a relation
	}
	r, err := a.altered(n.Relation, n.RenameType, n.MissingOk)
	if r == nil || err != nil {
		return &Utility{tag}, err
	}
	if a.relationTaken(r.Schema, n.Newname) {
		return nil, errs.SQL("42P07", "relation %q already exists", n.Newname)
	}
	if err := a.unread(r, "rename"); err != nil {
		return nil, err
	}
	next := copyOf(r)
	next.Name = n.Newname
	return &Alter{Old: r, New: next, What: tag}, nil
}

// unread fails when a view reads a relation: its query has the names in its text.
func (a *analyzer) unread(r *catalog.Relation, what string) error {
	for _, v := range a.o.Catalog.Dependents(r.ID) {
		if v.Kind != catalog.Rejected {
			return errs.SQL("0A000", "cannot %s %s %q because %s %q reads it", what, relationWord(r.Kind), r.Name, relationWord(v.Kind), v.Name).
				WithHint("Drop the view and create it again.")
		}
	}
	return nil
}

func (a *analyzer) renameColumn(n *pg.RenameStmt) (Statement, error) {
	tag := "ALTER " + objectWord(n.RelationType)
	r, err := a.altered(n.Relation, n.RelationType, n.MissingOk)
	if r == nil || err != nil {
		return &Utility{tag}, err
	}
	d := &definition{a: a, rel: r}
	i := columnIndex(r, n.Subname)
	if i < 0 || r.Columns[i].Hidden {
		return nil, errs.SQL("42703", "column %q does not exist", n.Subname)
	}
	if err := d.freeColumn(n.Newname); err != nil {
		return nil, err
	}
	if err := a.unread(r, "rename a column of"); err != nil {
		return nil, err
	}
	if r.Kind == catalog.Table || r.Kind == catalog.Stream {
		// The records in the topic have the old name as their field.
		return nil, errs.SQL("0A000", "renaming a column of %s %q is not supported", r.Kind, r.Name).
			WithDetail("The records of its topic name the field %q.", n.Subname).
			WithHint("Give it another name in a view.")
	}
	next := copyOf(r)
	next.Columns[i].Name = n.Newname
	return &Alter{Old: r, New: next, What: tag}, nil
}

func (a *analyzer) renameConstraint(n *pg.RenameStmt) (Statement, error) {
	r, err := a.altered(n.Relation, n.RelationType, n.MissingOk)
	if r == nil || err != nil {
		return &Utility{"ALTER TABLE"}, err
	}
	if !constraintOf(r, n.Subname) {
		return nil, errs.SQL("42704", "constraint %q for table %q does not exist", n.Subname, r.Name)
	}
	if constraintOf(r, n.Newname) {
		return nil, errs.SQL("42710", "constraint %q for relation %q already exists", n.Newname, r.Name)
	}
	return &Alter{Old: r, New: renamedConstraint(r, n.Subname, n.Newname), What: "ALTER TABLE"}, nil
}

// renamedConstraint gives the constraint or index of a name another one.
func renamedConstraint(r *catalog.Relation, from, to string) *catalog.Relation {
	next := copyOf(r)
	if next.KeyName == from {
		next.KeyName = to
	}
	for i := range next.Indexes {
		if next.Indexes[i].Name == from {
			next.Indexes[i].Name = to
		}
	}
	for i := range next.Checks {
		if next.Checks[i].Name == from {
			next.Checks[i].Name = to
		}
	}
	for i := range next.ForeignKeys {
		if next.ForeignKeys[i].Name == from {
			next.ForeignKeys[i].Name = to
		}
	}
	return next
}

func (a *analyzer) renameIndex(n *pg.RenameStmt) (Statement, error) {
	ref, ok := a.findIndex(n.Relation.Schemaname, n.Relation.Relname)
	if !ok {
		if r := a.lookup(n.Relation.Schemaname, n.Relation.Relname); r != nil {
			return nil, errs.SQL("42809", "%q is not an index", r.Name)
		}
		if n.MissingOk {
			return &Utility{"ALTER INDEX"}, nil
		}
		_, err := a.relation(n.Relation)
		return nil, withoutPosition(err)
	}
	if a.relationTaken(ref.Table.Schema, n.Newname) {
		return nil, errs.SQL("42P07", "relation %q already exists", n.Newname)
	}
	return &Alter{Old: ref.Table, New: renamedConstraint(ref.Table, ref.Index.Name, n.Newname), What: "ALTER " + objectWord(n.RenameType)}, nil
}

// setSchema checks ALTER ... SET SCHEMA.
func (a *analyzer) setSchema(n *pg.AlterObjectSchemaStmt) (Statement, error) {
	word := objectWord(n.ObjectType)
	if word == "" || n.Relation == nil {
		return nil, errs.SQL("0A000", "%s is not supported", a.firstWords())
	}
	r, err := a.altered(n.Relation, n.ObjectType, n.MissingOk)
	if r == nil || err != nil {
		return &Utility{"ALTER " + word}, err
	}
	if _, ok := a.o.Catalog.Namespace(n.Newschema); !ok {
		return nil, errs.SQL("3F000", "schema %q does not exist", n.Newschema)
	}
	if err := a.userSchema(n.Newschema, r.Name); err != nil {
		return nil, err
	}
	if r.Schema == n.Newschema {
		return &Utility{"ALTER " + word}, nil
	}
	if a.relationTaken(n.Newschema, r.Name) {
		return nil, errs.SQL("42P07", "relation %q already exists in schema %q", r.Name, n.Newschema)
	}
	if err := a.unread(r, "move"); err != nil {
		return nil, err
	}
	next := copyOf(r)
	next.Schema = n.Newschema
	return &Alter{Old: r, New: next, What: "ALTER " + word}, nil
}

// createSchema checks CREATE SCHEMA.
func (a *analyzer) createSchema(n *pg.CreateSchemaStmt) (Statement, error) {
	name := n.Schemaname
	if name == "" {
		if name = n.Authrole.GetRolename(); name == "" {
			return nil, errs.SQL("0A000", "CREATE SCHEMA without a name is not supported")
		}
	}
	if len(n.SchemaElts) > 0 {
		return nil, errs.SQL("0A000", "CREATE SCHEMA with elements is not supported").WithHint("Create them by statements of their own.")
	}
	if strings.HasPrefix(name, "pg_") {
		return nil, errs.SQL("42939", "unacceptable schema name %q", name).WithDetail(`The prefix "pg_" is reserved for system schemas.`)
	}
	return &CreateSchema{name, n.IfNotExists}, nil
}

// comment checks COMMENT ON relations and columns.
func (a *analyzer) comment(n *pg.CommentStmt) (Statement, error) {
	path := names(n.Object.GetList().GetItems())
	column := ""
	switch n.Objtype {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW:
	case pg.ObjectType_OBJECT_COLUMN:
		if len(path) < 2 {
			return nil, errs.SQL("42601", "column name must be qualified")
		}
		column, path = path[len(path)-1], path[:len(path)-1]
	default:
		return nil, errs.SQL("0A000", "COMMENT ON this kind of object is not supported")
	}
	r, err := a.relation(rangeVar(path))
	if err != nil {
		return nil, err
	}
	if err := r.System(); err != nil {
		return nil, err
	}
	if column == "" {
		if is := relationWord(r.Kind); !strings.EqualFold(is, objectWord(n.Objtype)) {
			want := strings.ToLower(objectWord(n.Objtype))
			return nil, errs.SQL("42809", "%q is not a %s", r.Name, want)
		}
		return &Comment{r, -1, n.Comment}, nil
	}
	i := columnIndex(r, column)
	if i < 0 {
		return nil, errs.SQL("42703", "column %q of relation %q does not exist", column, r.Name)
	}
	return &Comment{r, i, n.Comment}, nil
}

// refresh checks REFRESH MATERIALIZED VIEW.
func (a *analyzer) refresh(n *pg.RefreshMatViewStmt) (Statement, error) {
	r, err := a.relation(n.Relation)
	if err != nil {
		return nil, withoutPosition(err)
	}
	if r.Kind != catalog.MaterializedView {
		return nil, errs.SQL("0A000", "%q is not a materialized view", r.Name)
	}
	if n.SkipData {
		return nil, errs.SQL("0A000", "WITH NO DATA is not supported: a materialized view is always kept current")
	}
	return &Refresh{r}, nil
}
