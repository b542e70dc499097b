package pgcatalog

import (
	"math"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// here is the database's name: the catalog of every object in information_schema.
func (c *scan) here() row.Value { return text(c.session.Database()) }

// tableType is information_schema's word for a relation. PostgreSQL leaves materialized views out of information_schema;
// here they are what most users have, so they stand in it under their own word.
func tableType(r *catalog.Relation) string {
	switch relkind(r) {
	case 'v':
		return "VIEW"
	case 'm':
		return "MATERIALIZED VIEW"
	case 'f':
		return "FOREIGN"
	}
	return "BASE TABLE"
}

func insertable(r *catalog.Relation) bool { return r.Kind == catalog.Table || r.Kind == catalog.Stream }

func isTables(c *scan) {
	for _, r := range c.over {
		c.add(fields{"table_catalog": c.here(), "table_schema": text(r.Schema), "table_name": text(r.Name),
			"table_type": text(tableType(r)), "is_insertable_into": yesNo(insertable(r)), "is_typed": yesNo(false)})
	}
}

func isSchemata(c *scan) {
	for _, n := range c.snapshot.Namespaces() {
		c.add(fields{"catalog_name": c.here(), "schema_name": text(n.Name), "schema_owner": text(Owner)})
	}
}

func isViews(c *scan) {
	for _, r := range c.over {
		if relkind(r) == 'v' {
			no := yesNo(false)
			c.add(fields{"table_catalog": c.here(), "table_schema": text(r.Schema), "table_name": text(r.Name),
				"view_definition": some(definition(r)), "check_option": text("NONE"), "is_updatable": no, "is_insertable_into": no,
				"is_trigger_updatable": no, "is_trigger_deletable": no, "is_trigger_insertable_into": no})
		}
	}
}

func isColumns(c *scan) {
	for _, r := range c.over {
		for i, col := range visibleColumns(r) {
			f := c.typeFields(col.Type)
			f["table_catalog"], f["table_schema"], f["table_name"] = c.here(), text(r.Schema), text(r.Name)
			f["column_name"], f["ordinal_position"], f["column_default"] = text(col.Name), num(i+1), some(col.Default)
			f["is_nullable"], f["dtd_identifier"] = yesNo(!notNull(r, col)), text(decimal(i+1))
			f["is_self_referencing"], f["is_identity"], f["identity_cycle"] = yesNo(false), yesNo(false), yesNo(false)
			f["is_generated"], f["is_updatable"] = text("NEVER"), yesNo(insertable(r))
			c.add(f)
		}
	}
}

// typeFields are the columns that columns, parameters and element_types share.
func (c *scan) typeFields(t row.Type) fields {
	f := fields{"data_type": text(dataType(t)), "udt_catalog": c.here(), "udt_schema": text("pg_catalog")}
	if info, ok := row.Info(t.OID); ok {
		f["udt_name"] = text(info.Name)
	}
	precision := func(bits, radix, scale int) {
		f["numeric_precision"], f["numeric_precision_radix"] = num(bits), num(radix)
		if scale >= 0 {
			f["numeric_scale"] = num(scale)
		}
	}
	switch t.OID {
	case row.Text, row.VarChar, row.BPChar:
		f["character_octet_length"] = num(1 << 30)
		if n, ok := t.Length(); ok && t.OID != row.Text {
			f["character_maximum_length"] = num(n)
			f["character_octet_length"] = num(min(int64(n)*4, math.MaxInt32))
		}
	case row.Int2:
		precision(16, 2, 0)
	case row.Int4:
		precision(32, 2, 0)
	case row.Int8:
		precision(64, 2, 0)
	case row.Float4:
		precision(24, 2, -1)
	case row.Float8:
		precision(53, 2, -1)
	case row.Numeric:
		f["numeric_precision_radix"] = num(10)
		if p, s, ok := t.PrecisionScale(); ok {
			precision(int(p), 10, int(s))
		}
	case row.Date:
		f["datetime_precision"] = num(0)
	case row.Time, row.TimeTZ, row.Timestamp, row.TimestampTZ:
		f["datetime_precision"] = num(6)
		if t.Mod != 0 {
			f["datetime_precision"] = num(t.TypMod())
		}
	case row.Interval:
		f["datetime_precision"] = num(6)
		if p := t.TypMod() & 0xFFFF; t.Mod != 0 && p != 0xFFFF {
			f["datetime_precision"] = num(p)
		}
		if name := t.String(); len(name) > len("interval ") && name[8] == ' ' {
			f["interval_type"] = text(upper(name[9:]))
		}
	}
	return f
}

func dataType(t row.Type) string {
	if row.IsArray(t.OID) && t.OID != row.Int2Vector && t.OID != row.OidVector {
		return "ARRAY"
	}
	return expr.TypeName(t.OID)
}

func isElementTypes(c *scan) {
	for _, r := range c.over {
		for i, col := range visibleColumns(r) {
			e := row.T(col.Type.Element().OID)
			if dataType(col.Type) != "ARRAY" {
				continue
			}
			info, _ := row.Info(e.OID)
			c.add(fields{"object_catalog": c.here(), "object_schema": text(r.Schema), "object_name": text(r.Name),
				"object_type": text("TABLE"), "collection_type_identifier": text(decimal(i + 1)), "data_type": text(dataType(e)),
				"udt_catalog": c.here(), "udt_schema": text("pg_catalog"), "udt_name": text(info.Name),
				"dtd_identifier": text("a" + decimal(i+1))})
		}
	}
}

func isCatalogName(c *scan) { c.add(fields{"catalog_name": c.here()}) }

func isCharacterSets(c *scan) {
	c.add(fields{"character_set_name": text("UTF8"), "character_repertoire": text("UCS"), "form_of_use": text("UTF8"),
		"default_collate_catalog": c.here()})
}

func isCollations(c *scan) {
	for _, name := range []string{"default", "C", "POSIX"} {
		c.add(fields{"collation_catalog": c.here(), "collation_schema": text("pg_catalog"), "collation_name": text(name),
			"pad_attribute": text("NO PAD")})
	}
}

func isEnabledRoles(c *scan) {
	for _, r := range roles(c.session) {
		c.add(fields{"role_name": text(r.name)})
	}
}

// isTablePrivileges: the owner may do what a relation allows.
func isTablePrivileges(c *scan) {
	for _, r := range c.users() {
		privileges := []string{"SELECT", "REFERENCES", "TRIGGER"}
		if insertable(r) {
			privileges = append(privileges, "INSERT")
		}
		if r.Kind == catalog.Table {
			privileges = append(privileges, "UPDATE", "DELETE", "TRUNCATE")
		}
		for _, p := range privileges {
			c.add(fields{"grantor": text(Owner), "grantee": text(Owner), "table_catalog": c.here(), "table_schema": text(r.Schema),
				"table_name": text(r.Name), "privilege_type": text(p), "is_grantable": yesNo(true), "with_hierarchy": yesNo(p == "SELECT")})
		}
	}
}

func isColumnPrivileges(c *scan) {
	for _, r := range c.users() {
		for _, col := range visibleColumns(r) {
			privileges := []string{"SELECT", "REFERENCES"}
			if insertable(r) {
				privileges = append(privileges, "INSERT")
			}
			if r.Kind == catalog.Table {
				privileges = append(privileges, "UPDATE")
			}
			for _, p := range privileges {
				c.add(fields{"grantor": text(Owner), "grantee": text(Owner), "table_catalog": c.here(), "table_schema": text(r.Schema),
					"table_name": text(r.Name), "column_name": text(col.Name), "privilege_type": text(p), "is_grantable": yesNo(true)})
			}
		}
	}
}

func isForeignTables(c *scan) {
	for _, r := range c.foreign() {
		c.add(fields{"foreign_table_catalog": c.here(), "foreign_table_schema": text(r.Schema), "foreign_table_name": text(r.Name),
			"foreign_server_catalog": c.here(), "foreign_server_name": text("log")})
	}
}

func isForeignServers(c *scan) {
	c.add(fields{"foreign_server_catalog": c.here(), "foreign_server_name": text("log"), "foreign_data_wrapper_catalog": c.here(),
		"foreign_data_wrapper_name": text("miracledb_log"), "authorization_identifier": text(Owner)})
}
