package plan

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// drop checks DROP of relations, indexes and schemas.
func (a *analyzer) drop(n *pg.DropStmt) (Statement, error) {
	out := &Drop{What: objectWord(n.RemoveType), Cascade: n.Behavior == pg.DropBehavior_DROP_CASCADE}
	if out.What == "" {
		return a.dropNothing(n)
	}
	for _, o := range n.Objects {
		path := names(o.GetList().GetItems())
		if len(path) == 0 {
			path = []string{o.GetString_().GetSval()}
		}
		if err := a.dropOne(out, n, path); err != nil {
			return nil, err
		}
	}
	if out.Cascade {
		return out, a.cascade(out)
	}
	return out, a.restrict(out)
}

// dropNothing answers DROP of the kinds of objects that there are none of: IF EXISTS is true.
func (a *analyzer) dropNothing(n *pg.DropStmt) (Statement, error) {
	word := map[pg.ObjectType]string{pg.ObjectType_OBJECT_SEQUENCE: "SEQUENCE", pg.ObjectType_OBJECT_TYPE: "TYPE",
		pg.ObjectType_OBJECT_DOMAIN: "DOMAIN", pg.ObjectType_OBJECT_FUNCTION: "FUNCTION", pg.ObjectType_OBJECT_PROCEDURE: "PROCEDURE",
		pg.ObjectType_OBJECT_TRIGGER: "TRIGGER", pg.ObjectType_OBJECT_EXTENSION: "EXTENSION"}[n.RemoveType]
	if word == "" || !n.MissingOk {
		return nil, errs.SQL("0A000", "%s is not supported", a.firstWords())
	}
	return &Utility{"DROP " + word}, nil
}

func (a *analyzer) dropOne(out *Drop, n *pg.DropStmt, path []string) error {
	name := path[len(path)-1]
	rv := rangeVar(path)
	missing := func(state string) error {
		if n.MissingOk {
			out.Missing = append(out.Missing, name)
			return nil
		}
		return errs.SQL(state, "%s %q does not exist", strings.ToLower(out.What), name)
	}
	switch out.What {
	case "SCHEMA":
		if _, ok := a.o.Catalog.Namespace(name); !ok {
			return missing("3F000")
		}
		out.Schemas = append(out.Schemas, name)
		return nil
	case "INDEX":
		return a.dropIndex(out, rv, missing)
	}
	if _, ok := a.o.Catalog.Namespace(rv.Schemaname); !ok && rv.Schemaname != "" && !n.MissingOk {
		return errs.SQL("3F000", "schema %q does not exist", rv.Schemaname)
	}
	r := a.lookup(rv.Schemaname, rv.Relname)
	if r == nil {
		if _, ok := a.findIndex(rv.Schemaname, rv.Relname); ok {
			return wrongKind(name, out.What, "INDEX")
		}
		return missing("42P01")
	}
	if err := r.System(); err != nil {
		return err
	}
	if kind := strings.ToUpper(relationWord(r.Kind)); kind != out.What {
		return wrongKind(name, out.What, kind)
	}
	if !slices.Contains(out.Relations, r) {
		out.Relations = append(out.Relations, r)
	}
	return nil
}

func (a *analyzer) dropIndex(out *Drop, rv *pg.RangeVar, missing func(string) error) error {
	ref, ok := a.findIndex(rv.Schemaname, rv.Relname)
	if !ok {
		if r := a.lookup(rv.Schemaname, rv.Relname); r != nil {
			return wrongKind(rv.Relname, "INDEX", strings.ToUpper(relationWord(r.Kind)))
		}
		return missing("42704")
	}
	if ref.Index.Constraint {
		return errs.SQL("2BP01", "cannot drop index %s because constraint %s on table %s requires it", ref.Index.Name, ref.Index.Name, ref.Table.Name).
			WithHint("You can drop constraint %s on table %s instead.", ref.Index.Name, ref.Table.Name)
	}
	out.Indexes = append(out.Indexes, ref)
	return nil
}

// wrongKind is the error for an object that is of another kind than a statement says.
func wrongKind(name, want, kind string) error {
	article := "a "
	if want == "INDEX" {
		article = "an "
	}
	hint := "Use DROP " + kind + " to remove a " + strings.ToLower(kind) + "."
	if kind == "INDEX" {
		hint = "Use DROP INDEX to remove an index."
	}
	return errs.SQL("42809", "%q is not %s%s", name, article, strings.ToLower(want)).WithHint("%s", hint)
}

// dependent is something that needs a relation.
type dependent struct {
	text string // "view v", "constraint c on table t"
	of   *catalog.Relation
}

// dependents lists what needs a relation and is not dropped with it, what depends on that too.
func (a *analyzer) dependents(r *catalog.Relation, gone []*catalog.Relation) (out []dependent) {
	seen := slices.Clone(gone)
	var visit func(r *catalog.Relation)
	visit = func(r *catalog.Relation) {
		for _, v := range a.o.Catalog.Dependents(r.ID) {
			if v.Kind == catalog.Rejected || slices.Contains(seen, v) {
				continue
			}
			seen = append(seen, v)
			out = append(out, dependent{relationWord(v.Kind) + " " + v.Name, r})
			visit(v)
		}
	}
	for _, c := range a.o.Catalog.Relations() {
		for _, fk := range c.ForeignKeys {
			if fk.Table == r.ID && c.ID != r.ID && !slices.Contains(gone, c) {
				out = append(out, dependent{"constraint " + fk.Name + " on table " + c.Name, r})
			}
		}
	}
	visit(r)
	return out
}

// maxReported bounds the dependents that an error lists (MAX_REPORTED_DEPS).
const maxReported = 100

// restrict fails when anything depends on what is dropped.
func (a *analyzer) restrict(d *Drop) error {
	var lines []string
	for _, r := range d.Relations {
		for _, dep := range a.dependents(r, d.Relations) {
			if len(lines) < maxReported {
				lines = append(lines, dep.text+" depends on "+relationWord(dep.of.Kind)+" "+dep.of.Name)
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	what := "desired object(s)"
	if len(d.Relations) == 1 {
		what = relationWord(d.Relations[0].Kind) + " " + d.Relations[0].Name
	}
	return errs.SQL("2BP01", "cannot drop %s because other objects depend on it", what).
		WithDetail("%s", strings.Join(lines, "\n")).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
}

// cascade refuses to drop a table that another one's foreign key refers to: the other table stays and would change.
func (a *analyzer) cascade(d *Drop) error {
	for _, r := range d.Relations {
		for _, c := range a.o.Catalog.Relations() {
			for _, fk := range c.ForeignKeys {
				if fk.Table == r.ID && c.ID != r.ID && !slices.Contains(d.Relations, c) {
					return errs.SQL("0A000", "DROP ... CASCADE does not drop constraint %s on table %s", fk.Name, c.Name).
						WithHint("ALTER TABLE %s DROP CONSTRAINT %s first.", quoteName(c.Name), quoteName(fk.Name))
				}
			}
		}
	}
	return nil
}

// truncate checks TRUNCATE.
func (a *analyzer) truncate(n *pg.TruncateStmt) (Statement, error) {
	out := &Truncate{}
	for _, o := range n.Relations {
		r, err := a.writable(o.GetRangeVar(), truncating)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out.Tables, r) {
			out.Tables = append(out.Tables, r)
		}
	}
	for i := 0; i < len(out.Tables); i++ { // the list grows with CASCADE
		r := out.Tables[i]
		for _, c := range a.o.Catalog.Relations() {
			refers := slices.ContainsFunc(c.ForeignKeys, func(fk catalog.ForeignKey) bool { return fk.Table == r.ID })
			if !refers || slices.Contains(out.Tables, c) {
				continue
			}
			if n.Behavior != pg.DropBehavior_DROP_CASCADE {
				return nil, errs.SQL("0A000", "cannot truncate a table referenced in a foreign key constraint").
					WithDetail("Table %q references %q.", c.Name, r.Name).
					WithHint("Truncate table %q at the same time, or use TRUNCATE ... CASCADE.", c.Name)
			}
			out.Tables = append(out.Tables, c)
		}
	}
	out.Tables = referringFirst(out.Tables)
	return out, nil
}

// referringFirst orders tables so that one that refers to another is emptied before it.
func referringFirst(tables []*catalog.Relation) []*catalog.Relation {
	var out []*catalog.Relation
	seen := map[*catalog.Relation]bool{}
	var visit func(r *catalog.Relation)
	visit = func(r *catalog.Relation) {
		if seen[r] {
			return
		}
		seen[r] = true
		for _, c := range tables {
			if slices.ContainsFunc(c.ForeignKeys, func(fk catalog.ForeignKey) bool { return fk.Table == r.ID }) {
				visit(c)
			}
		}
		out = append(out, r)
	}
	for _, r := range tables {
		visit(r)
	}
	return out
}
