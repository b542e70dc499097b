package pgcatalog

import (
	"fmt"
	"strconv"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

var (
	quoteIdent = expr.Lookup("quote_ident", row.Text)
	parseIdent = expr.Lookup("parse_ident", row.Text)
)

// quote is an identifier as it can be typed.
func quote(name string) string {
	v, err := quoteIdent.Eval(&expr.Ctx{}, []row.Value{text(name)})
	if err != nil {
		return name
	}
	return v.Str()
}

// names splits a qualified name. Error: 42602.
func names(s string) ([]string, error) {
	v, err := parseIdent.Eval(&expr.Ctx{}, []row.Value{text(s)})
	if err != nil {
		return nil, errs.SQL("42602", "invalid name syntax")
	}
	var out []string
	for _, x := range v.List() {
		out = append(out, x.Str())
	}
	return out, nil
}

// relationIn reads a relation's or index's name; NULL: there is none.
func relationIn(d *describer, args []row.Value) (row.Value, error) {
	parts, err := names(args[0].Str())
	if err != nil {
		return row.Null, err
	}
	if len(parts) == 3 && parts[0] == d.session.Database() {
		parts = parts[1:]
	}
	schemas, name := d.path(), parts[len(parts)-1]
	switch len(parts) {
	case 1:
	case 2:
		schemas = parts[:1]
	default:
		return row.Null, errs.SQL("42601", "improper relation name (too many dotted names): %s", args[0].Str())
	}
	for _, s := range schemas {
		if oid, ok := d.named(s, name); ok {
			return num(oid), nil
		}
	}
	return row.Null, nil
}

var nameFunctions = map[string]function{
	"regclassin": relationIn,
	"regclassout": func(d *describer, args []row.Value) (row.Value, error) {
		if r := d.relation(args[0]); r != nil {
			return text(d.name(r.Schema, r.Name)), nil
		}
		if x, ok := d.index(id(args[0])); ok {
			return text(d.name(x.rel.Schema, x.name)), nil
		}
		return row.Null, nil
	},
	"regnamespacein": func(d *describer, args []row.Value) (row.Value, error) {
		parts, err := names(args[0].Str())
		if err != nil || len(parts) != 1 {
			return row.Null, errs.SQL("42602", "invalid name syntax")
		}
		if n, ok := d.snapshot.Namespace(parts[0]); ok {
			return num(n.ID), nil
		}
		return row.Null, nil
	},
	"regnamespaceout": func(d *describer, args []row.Value) (row.Value, error) {
		for _, n := range d.snapshot.Namespaces() {
			if n.ID == id(args[0]) {
				return text(quote(n.Name)), nil
			}
		}
		return row.Null, nil
	},
	"regrolein": func(d *describer, args []row.Value) (row.Value, error) {
		parts, err := names(args[0].Str())
		if err != nil || len(parts) != 1 {
			return row.Null, errs.SQL("42602", "invalid name syntax")
		}
		for _, r := range roles(d.session) {
			if r.name == parts[0] {
				return num(r.oid), nil
			}
		}
		return row.Null, nil
	},
	"regroleout": func(d *describer, args []row.Value) (row.Value, error) {
		for _, r := range roles(d.session) {
			if r.oid == args[0].Int() {
				return text(quote(r.name)), nil
			}
		}
		return row.Null, nil
	},
	"pg_get_userbyid": func(d *describer, args []row.Value) (row.Value, error) {
		if args[0].Int() == ownerOID {
			return text(Owner), nil
		}
		for _, r := range roles(d.session) {
			if r.oid == args[0].Int() {
				return text(r.name), nil
			}
		}
		return text(fmt.Sprintf("unknown (OID=%d)", args[0].Int())), nil
	},
	"regtypein": func(_ *describer, args []row.Value) (row.Value, error) {
		parts, err := names(args[0].Str())
		if err != nil {
			return row.Null, err
		}
		if len(parts) == 1 || len(parts) == 2 && parts[0] == "pg_catalog" {
			for i := range row.Types {
				if row.Types[i].Name == parts[len(parts)-1] {
					return num(row.Types[i].OID), nil
				}
			}
		}
		return row.Null, nil
	},
	"obj_description": func(d *describer, args []row.Value) (row.Value, error) {
		if len(args) > 1 && args[1].Str() != "pg_class" {
			return builtinDescription(args[1].Str(), args[0].Int()), nil
		}
		if r := d.relation(args[0]); r != nil {
			return some(comment(d.snapshot, r)), nil
		}
		return row.Null, nil
	},
	"col_description": func(d *describer, args []row.Value) (row.Value, error) {
		if r := d.relation(args[0]); r != nil {
			if columns, n := visibleColumns(r), args[1].Int(); n >= 1 && n <= int64(len(columns)) {
				return some(columns[n-1].Comment), nil
			}
		}
		return row.Null, nil
	},
	"has_table_privilege":      tablePrivilege,
	"has_any_column_privilege": tablePrivilege,
	"has_schema_privilege": func(d *describer, args []row.Value) (row.Value, error) {
		schema := args[len(args)-2]
		if schema.Kind() != row.KindText {
			return row.Null, nil
		}
		if _, ok := d.snapshot.Namespace(schema.Str()); !ok {
			return row.Null, errs.SQL("3F000", "schema \"%s\" does not exist", schema.Str())
		}
		return boolean(true), nil
	},
	"shobj_description": func(*describer, []row.Value) (row.Value, error) { return row.Null, nil },
}

// tablePrivilege refuses tables that are not there; users may do everything with those that are.
func tablePrivilege(d *describer, args []row.Value) (row.Value, error) {
	table := args[len(args)-2]
	if table.Kind() != row.KindText {
		return row.Null, nil
	}
	oid, err := relationIn(d, []row.Value{table})
	if err == nil && oid.IsNull() {
		err = errs.SQL("42P01", "relation \"%s\" does not exist", table.Str())
	}
	return boolean(true), err
}

// visibleFunctions say whether an object is found by its bare name. All objects but relations are in pg_catalog.
var visibleFunctions = map[string]function{
	"pg_table_is_visible": func(d *describer, args []row.Value) (row.Value, error) {
		if r := d.relation(args[0]); r != nil {
			return boolean(d.visible(r.Schema, r.Name)), nil
		}
		if x, ok := d.index(id(args[0])); ok {
			return boolean(d.visible(x.rel.Schema, x.name)), nil
		}
		return row.Null, nil
	},
	"pg_relation_is_publishable": func(d *describer, args []row.Value) (row.Value, error) {
		r := d.relation(args[0])
		if r == nil {
			return row.Null, nil
		}
		return boolean(r.Kind == catalog.Table || r.Kind == catalog.Stream), nil
	},
	"pg_relation_is_updatable": func(d *describer, args []row.Value) (row.Value, error) {
		const insert, update, remove = 8, 4, 16
		if r := d.relation(args[0]); r != nil {
			switch r.Kind {
			case catalog.Table:
				return num(insert | update | remove), nil
			case catalog.Stream:
				return num(insert), nil
			}
		}
		return num(0), nil
	},
	"pg_column_is_updatable": func(d *describer, args []row.Value) (row.Value, error) {
		r := d.relation(args[0])
		return boolean(r != nil && r.Kind == catalog.Table && args[1].Int() > 0), nil
	},
	"pg_get_replica_identity_index": func(d *describer, args []row.Value) (row.Value, error) {
		if r := d.relation(args[0]); r != nil {
			for _, x := range indexesOf(r) {
				if x.primary {
					return num(x.id), nil
				}
			}
		}
		return row.Null, nil
	},
	"pg_relation_filenode": func(d *describer, args []row.Value) (row.Value, error) {
		if r := d.relation(args[0]); r != nil && (relkind(r) == 'r' || relkind(r) == 'm') {
			return num(r.ID), nil
		}
		if x, ok := d.index(id(args[0])); ok {
			return num(x.id), nil
		}
		return row.Null, nil
	},
}

// role is a user. Until roles are made, there are the owner of everything and whoever else is connected.
type role struct {
	oid  int64
	name string
}

func roles(s Session) []role {
	out := []role{{ownerOID, Owner}}
	known := map[string]bool{Owner: true}
	add := func(name string) {
		if name != "" && !known[name] {
			known[name] = true
			out = append(out, role{roleOID(name), name})
		}
	}
	add(s.User())
	for _, a := range s.Activities() {
		add(a.User)
	}
	return out
}

// roleOID numbers a user by name, so that the number is the same in every session and statement.
func roleOID(name string) int64 {
	h := uint32(2166136261) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int64(h | 1<<31)
}

// decimal is a number's text.
func decimal[T integer](n T) string { return strconv.FormatInt(int64(n), 10) }
