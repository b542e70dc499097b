package pgcatalog

import (
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

func pgTables(c *scan) {
	for _, r := range c.over {
		if relkind(r) == 'r' {
			c.add(fields{"schemaname": text(r.Schema), "tablename": text(r.Name), "tableowner": text(Owner),
				"hasindexes": boolean(len(indexesOf(r)) > 0), "hasrules": boolean(false), "hastriggers": boolean(c.hasTriggers(r)),
				"rowsecurity": boolean(false)})
		}
	}
}

func pgViews(c *scan) {
	for _, r := range c.over {
		if relkind(r) == 'v' {
			c.add(fields{"schemaname": text(r.Schema), "viewname": text(r.Name), "viewowner": text(Owner), "definition": text(definition(r))})
		}
	}
}

func pgMatviews(c *scan) {
	for _, r := range c.users() {
		if relkind(r) == 'm' {
			c.add(fields{"schemaname": text(r.Schema), "matviewname": text(r.Name), "matviewowner": text(Owner),
				"hasindexes": boolean(len(indexesOf(r)) > 0), "ispopulated": boolean(true), "definition": text(definition(r))})
		}
	}
}

func pgIndexes(c *scan) {
	for _, r := range c.users() {
		for _, x := range indexesOf(r) {
			c.add(fields{"schemaname": text(r.Schema), "tablename": text(r.Name), "indexname": text(x.name),
				"indexdef": text(x.definition(quote(r.Schema) + "." + quote(r.Name)))})
		}
	}
}

func pgDescription(c *scan) {
	given(c)
	for _, r := range c.users() {
		if s := comment(c.snapshot, r); s != "" {
			c.add(fields{"objoid": num(r.ID), "classoid": num(classOID), "description": text(s)})
		}
		for i, col := range visibleColumns(r) {
			if col.Comment != "" {
				c.add(fields{"objoid": num(r.ID), "classoid": num(classOID), "objsubid": num(i + 1), "description": text(col.Comment)})
			}
		}
	}
}

// pgRewrite has the rule of each view: clients find by it which relations a view reads.
func pgRewrite(c *scan) {
	for _, r := range c.users() {
		if r.Kind == catalog.View || r.Kind == catalog.MaterializedView {
			c.add(fields{"oid": num(ruleOID(r)), "rulename": text("_RETURN"), "ev_class": num(r.ID), "ev_type": char('1'),
				"ev_enabled": char('O'), "is_instead": boolean(true), "ev_qual": text("<>"), "ev_action": text("<>")})
		}
	}
}

func pgDepend(c *scan) {
	type object struct {
		class int
		oid   delta.RelationID
		sub   int16
	}
	depend := func(o, on object, kind byte) {
		c.add(fields{"classid": num(o.class), "objid": num(o.oid), "objsubid": num(o.sub), "refclassid": num(on.class),
			"refobjid": num(on.oid), "refobjsubid": num(on.sub), "deptype": char(kind)})
	}
	for _, r := range c.users() {
		relation := object{classOID, r.ID, 0}
		depend(relation, object{namespaceOID, namespaceOf(c.snapshot, r), 0}, 'n')
		for i, col := range visibleColumns(r) {
			if n := int16(i + 1); col.Default != "" {
				depend(object{attrdefOID, delta.RelationID(defaultOID(r, n)), 0}, object{classOID, r.ID, n}, 'a')
			}
		}
		for _, x := range indexesOf(r) {
			on := func(o object, kind byte) {
				for _, n := range attnums(r, x.columns) {
					depend(o, object{classOID, r.ID, n}, kind)
				}
			}
			if x.constraint {
				depend(object{classOID, x.id, 0}, object{constraintOID, x.constraintID(), 0}, 'i')
				on(object{constraintOID, x.constraintID(), 0}, 'a')
			} else {
				on(object{classOID, x.id, 0}, 'a')
			}
		}
		for _, x := range r.Checks {
			depend(object{constraintOID, x.ID, 0}, relation, 'a')
		}
		for _, x := range r.ForeignKeys {
			depend(object{constraintOID, x.ID, 0}, relation, 'a')
			depend(object{constraintOID, x.ID, 0}, object{classOID, x.Table, 0}, 'n')
		}
		switch r.Kind {
		case catalog.View, catalog.MaterializedView:
			rule := object{rewriteOID, ruleOID(r), 0}
			depend(rule, relation, 'i')
			for _, on := range r.DependsOn {
				depend(rule, object{classOID, on, 0}, 'n')
			}
		case catalog.Rejected:
			depend(relation, object{foreignServerOID, serverOID, 0}, 'n')
			if _, ok := c.snapshot.ByID(r.Of); ok {
				depend(relation, object{classOID, r.Of, 0}, 'a')
			}
		case catalog.Raw:
			depend(relation, object{foreignServerOID, serverOID, 0}, 'n')
		}
	}
}

func pgStatTables(c *scan) {
	for _, r := range c.over {
		kind := relkind(r)
		system := r.Kind == catalog.System
		if kind != 'r' && kind != 'm' || system && c.rel.Name == "pg_stat_user_tables" || !system && c.rel.Name == "pg_stat_sys_tables" {
			continue
		}
		f := fields{"relid": num(r.ID), "schemaname": text(r.Schema), "relname": text(r.Name)}
		for _, col := range c.rel.Columns[3:] {
			if col.Type.OID == row.Int8 {
				f[col.Name] = num(0)
			}
		}
		if !system {
			f["n_live_tup"] = num(c.stored(r).rows)
		}
		c.add(f)
	}
}

func pgStatIndexes(c *scan) {
	for _, r := range c.users() {
		for _, x := range indexesOf(r) {
			c.add(fields{"relid": num(r.ID), "indexrelid": num(x.id), "schemaname": text(r.Schema), "relname": text(r.Name),
				"indexrelname": text(x.name), "idx_scan": num(0), "idx_tup_read": num(0), "idx_tup_fetch": num(0)})
		}
	}
}

// Raw topics and rejected records are foreign tables of the one foreign server there is: the log.

const foreignServerOID = 1417

func (c *scan) foreign() []*catalog.Relation {
	var out []*catalog.Relation
	for _, r := range c.users() {
		if relkind(r) == 'f' {
			out = append(out, r)
		}
	}
	return out
}

func pgForeignDataWrapper(c *scan) {
	c.add(fields{"oid": num(wrapperOID), "fdwname": text("miracledb_log"), "fdwowner": num(ownerOID)})
}

func pgForeignServer(c *scan) {
	c.add(fields{"oid": num(serverOID), "srvname": text("log"), "srvowner": num(ownerOID), "srvfdw": num(wrapperOID)})
}

func pgForeignTable(c *scan) {
	for _, r := range c.foreign() {
		option := "topic=" + r.TopicName
		if t, ok := c.snapshot.ByID(r.Of); ok && r.Kind == catalog.Rejected {
			option = "rejected_by=" + t.Name
		}
		c.add(fields{"ftrelid": num(r.ID), "ftserver": num(serverOID), "ftoptions": texts([]string{option})})
	}
}
