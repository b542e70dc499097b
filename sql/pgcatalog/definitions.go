package pgcatalog

import (
	"strings"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// definitionFunctions give objects' definitions as SQL.
var definitionFunctions = map[string]function{
	"pg_get_viewdef":       viewDefinition,
	"pg_get_indexdef":      indexDefinition,
	"pg_get_constraintdef": constraintDefinition,
	// An expression is held as its text.
	"pg_get_expr": func(_ *describer, args []row.Value) (row.Value, error) { return args[0], nil },
	"pg_index_column_has_property": func(d *describer, args []row.Value) (row.Value, error) {
		x, ok := d.index(id(args[0]))
		if !ok || args[1].Int() < 1 || args[1].Int() > int64(len(x.columns)) {
			return row.Null, nil
		}
		return property(args[2], "asc", "nulls_last", "orderable", "returnable", "search_array", "search_nulls")(
			"desc", "nulls_first", "distance_orderable"), nil
	},
	"pg_index_has_property": func(d *describer, args []row.Value) (row.Value, error) {
		if _, ok := d.index(id(args[0])); !ok {
			return row.Null, nil
		}
		return property(args[1], "index_scan", "backward_scan")("clusterable", "bitmap_scan"), nil
	},
	"pg_indexam_has_property": func(_ *describer, args []row.Value) (row.Value, error) {
		if args[0].Int() != btreeOID {
			return row.Null, nil
		}
		return property(args[1], "can_order", "can_unique", "can_multi_col")("can_exclude", "can_include"), nil
	},
}

// property answers whether a property is among those that hold; NULL: it is not known.
func property(name row.Value, holds ...string) func(not ...string) row.Value {
	return func(not ...string) row.Value {
		low := strings.ToLower(name.Str())
		for _, p := range holds {
			if p == low {
				return boolean(true)
			}
		}
		for _, p := range not {
			if p == low {
				return boolean(false)
			}
		}
		return row.Null
	}
}

// pretty reads the last argument of a ...def function.
func pretty(args []row.Value, i int) bool {
	return len(args) > i && args[i].Kind() == row.KindBool && args[i].Bool()
}

func viewDefinition(d *describer, args []row.Value) (row.Value, error) {
	oid := args[0]
	if oid.Kind() == row.KindText {
		var err error
		if oid, err = relationIn(d, args[:1]); err != nil {
			return row.Null, err
		}
		if oid.IsNull() {
			return row.Null, errs.SQL("42P01", "relation \"%s\" does not exist", args[0].Str())
		}
	}
	r := d.relation(oid)
	if r == nil {
		return row.Null, nil
	}
	return some(definition(r)), nil
}

// definition is a view's query as its owner wrote it, in the form of pg_get_viewdef; "" for what is no view.
func definition(r *catalog.Relation) string {
	if r.Query == "" {
		return ""
	}
	return " " + strings.TrimRight(strings.TrimSpace(r.Query), "; \n\t") + ";"
}

func indexDefinition(d *describer, args []row.Value) (row.Value, error) {
	x, ok := d.index(id(args[0]))
	if !ok {
		return row.Null, nil
	}
	if len(args) > 1 && args[1].Int() != 0 {
		if n := args[1].Int(); n >= 1 && n <= int64(len(x.columns)) {
			return text(quote(x.rel.Columns[x.columns[n-1]].Name)), nil
		}
		return text(""), nil
	}
	table := quote(x.rel.Schema) + "." + quote(x.rel.Name)
	if pretty(args, 2) {
		table = d.name(x.rel.Schema, x.rel.Name)
	}
	return text(x.definition(table)), nil
}

// definition is the statement that makes the index.
func (x *index) definition(table string) string {
	unique := ""
	if x.unique {
		unique = "UNIQUE "
	}
	return "CREATE " + unique + "INDEX " + quote(x.name) + " ON " + table + " USING btree (" + quoted(columnNames(x.rel, x.columns)) + ")"
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}

func constraintDefinition(d *describer, args []row.Value) (row.Value, error) {
	oid := id(args[0])
	r, ok := objectsOf(d.snapshot).constraints[oid]
	if !ok {
		return row.Null, nil
	}
	return some(d.constraintOf(r, oid, pretty(args, 1))), nil
}

func (d *describer) constraintOf(r *catalog.Relation, oid delta.RelationID, pretty bool) string {
	for _, x := range indexesOf(r) {
		switch {
		case x.constraintID() != oid || !x.constraint:
		case x.primary:
			return "PRIMARY KEY (" + quoted(columnNames(r, x.columns)) + ")"
		default:
			return "UNIQUE (" + quoted(columnNames(r, x.columns)) + ")"
		}
	}
	for _, x := range r.Checks {
		if x.ID == oid {
			if pretty {
				return "CHECK (" + x.Expr + ")"
			}
			return "CHECK ((" + x.Expr + "))"
		}
	}
	for _, x := range r.ForeignKeys {
		if t, ok := d.snapshot.ByID(x.Table); ok && x.ID == oid {
			return "FOREIGN KEY (" + quoted(columnNames(r, x.Columns)) + ") REFERENCES " + d.name(t.Schema, t.Name) +
				"(" + quoted(columnNames(t, x.Referred)) + ")"
		}
	}
	return ""
}
