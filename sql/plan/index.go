package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// createIndex checks CREATE INDEX.
func (a *analyzer) createIndex(n *pg.IndexStmt) (Statement, error) {
	r, err := a.relation(n.Relation)
	if err != nil {
		return nil, withoutPosition(err)
	}
	if err := a.plainIndex(r, n); err != nil {
		return nil, err
	}
	if len(n.IndexParams) > maxKeyColumns {
		return nil, errs.SQL("54011", "cannot use more than %d columns in an index", maxKeyColumns)
	}
	x := catalog.Index{Name: n.Idxname, Unique: n.Unique}
	for _, p := range n.IndexParams {
		i, err := a.indexColumn(r, p.GetIndexElem())
		if err != nil {
			return nil, err
		}
		x.Columns = append(x.Columns, i)
	}
	if x.Name == "" {
		var columns []string
		for _, i := range x.Columns {
			columns = append(columns, r.Columns[i].Name)
		}
		x.Name = chooseName(r.Name, indexAddition(columns), "idx", func(name string) bool {
			return a.relationTaken(r.Schema, name)
		})
	} else if _, taken := a.o.Catalog.Lookup(r.Schema, x.Name); taken && !n.IfNotExists {
		return nil, errs.SQL("42P07", "relation %q already exists", x.Name)
	}
	return &CreateIndex{Table: r, Index: x, IfNotExists: n.IfNotExists}, nil
}

// plainIndex refuses the relations and forms that there are no indexes for.
func (a *analyzer) plainIndex(r *catalog.Relation, n *pg.IndexStmt) error {
	switch r.Kind {
	case catalog.Table:
	case catalog.View:
		return errs.SQL("42809", "cannot create index on relation %q", r.Name).WithDetail("This operation is not supported for views.")
	case catalog.System:
		return r.System()
	default:
		return errs.SQL("0A000", "cannot create an index on %s %q", r.Kind, r.Name).WithDetail("Only tables have secondary indexes.")
	}
	unsupported := func(what string) error { return errs.SQL("0A000", "%s is not supported", what) }
	switch n.AccessMethod {
	case "", "btree", "hash":
	case "gin", "gist", "spgist", "brin":
		return unsupported("an index USING " + n.AccessMethod)
	default:
		return errs.SQL("42704", "access method %q does not exist", n.AccessMethod)
	}
	if n.AccessMethod == "hash" && n.Unique {
		return errs.SQL("0A000", "access method \"hash\" does not support unique indexes")
	}
	switch {
	case n.WhereClause != nil:
		return unsupported("a partial index")
	case len(n.IndexIncludingParams) > 0:
		return unsupported("INCLUDE")
	case n.NullsNotDistinct:
		return unsupported("NULLS NOT DISTINCT")
	}
	for _, o := range n.Options {
		if name := o.GetDefElem().GetDefname(); name != "fillfactor" && name != "deduplicate_items" {
			return errs.SQL("22023", "unrecognized parameter %q", name)
		}
	}
	return a.defaultStorage("", n.TableSpace)
}

// indexColumn is the column of one index key. Its direction does not matter: an index is read both ways and decides no
// answer.
func (a *analyzer) indexColumn(r *catalog.Relation, el *pg.IndexElem) (int, error) {
	if el.Expr != nil {
		if _, err := a.expression(relationScope(r, "", nil), el.Expr, inIndex); err != nil {
			return 0, err
		}
		return 0, errs.SQL("0A000", "an index on an expression is not supported").
			WithHint("Index the columns, or compute the expression in a materialized view.")
	}
	i := columnIndex(r, el.Name)
	if i < 0 || r.Columns[i].Hidden {
		return 0, errs.SQL("42703", "column %q does not exist", el.Name)
	}
	t := r.Columns[i].Type
	if len(el.Collation) > 0 {
		if err := a.collation(el.Collation, -1, t); err != nil {
			return 0, err
		}
	}
	if len(el.Opclass) > 0 && !strings.HasSuffix(lastName(el.Opclass), "_ops") {
		return 0, errs.SQL("42704", "operator class %q does not exist for access method \"btree\"", lastName(el.Opclass))
	}
	return i, indexable(row.T(t.OID))
}
