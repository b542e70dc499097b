package pgcatalog

import (
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

func upper(s string) string { return strings.ToUpper(s) }

// constraint is a constraint as information_schema has it: NOT NULL is a CHECK there.
type constraint struct {
	name, kind string
	columns    []int
	clause     string
	// foreign key only
	table    *catalog.Relation
	referred []int
}

func (c *scan) constraintsOf(r *catalog.Relation) []constraint {
	var out []constraint
	for _, x := range indexesOf(r) {
		switch {
		case x.primary:
			out = append(out, constraint{name: x.name, kind: "PRIMARY KEY", columns: x.columns})
		case x.constraint:
			out = append(out, constraint{name: x.name, kind: "UNIQUE", columns: x.columns})
		}
	}
	for _, x := range r.ForeignKeys {
		if t, ok := c.snapshot.ByID(x.Table); ok {
			out = append(out, constraint{name: x.Name, kind: "FOREIGN KEY", columns: x.Columns, table: t, referred: x.Referred})
		}
	}
	for _, x := range r.Checks {
		k := constraint{name: x.Name, kind: "CHECK", clause: "((" + x.Expr + "))"}
		named := mentioned(r, x.Expr)
		for i, n := range attributes(r) {
			if slices.Contains(named, n) {
				k.columns = append(k.columns, i)
			}
		}
		out = append(out, k)
	}
	if relkind(r) != 'r' && relkind(r) != 'f' {
		return out
	}
	for i, n := range attributes(r) {
		if n != 0 && r.Columns[i].NotNull {
			name := decimal(namespaceOf(c.snapshot, r)) + "_" + decimal(r.ID) + "_" + decimal(n) + "_not_null"
			out = append(out, constraint{name: name, kind: "CHECK", clause: r.Columns[i].Name + " IS NOT NULL"})
		}
	}
	return out
}

// eachConstraint calls f with each constraint and the columns that name it.
func (c *scan) eachConstraint(f func(r *catalog.Relation, k constraint, named fields)) {
	for _, r := range c.over {
		for _, k := range c.constraintsOf(r) {
			f(r, k, fields{"constraint_catalog": c.here(), "constraint_schema": text(r.Schema), "constraint_name": text(k.name)})
		}
	}
}

func (c *scan) inTable(f fields, r *catalog.Relation) {
	f["table_catalog"], f["table_schema"], f["table_name"] = c.here(), text(r.Schema), text(r.Name)
}

func isTableConstraints(c *scan) {
	c.eachConstraint(func(r *catalog.Relation, k constraint, f fields) {
		c.inTable(f, r)
		f["constraint_type"], f["enforced"] = text(k.kind), yesNo(true)
		f["is_deferrable"], f["initially_deferred"] = yesNo(false), yesNo(false)
		if k.kind == "UNIQUE" {
			f["nulls_distinct"] = yesNo(true)
		}
		c.add(f)
	})
}

func isKeyColumnUsage(c *scan) {
	c.eachConstraint(func(r *catalog.Relation, k constraint, f fields) {
		if k.kind == "CHECK" {
			return
		}
		c.inTable(f, r)
		for i, col := range k.columns {
			f["column_name"], f["ordinal_position"] = text(r.Columns[col].Name), num(i+1)
			f["position_in_unique_constraint"] = row.Null
			if k.table != nil {
				f["position_in_unique_constraint"] = num(uniquePosition(k, i))
			}
			c.add(f)
		}
	})
}

// uniquePosition is where a foreign key's column stands in the key that it refers to.
func uniquePosition(k constraint, i int) int {
	for _, x := range indexesOf(k.table) {
		if x.id == referredIndex(k.table, k.referred) {
			return slices.Index(x.columns, k.referred[i]) + 1
		}
	}
	return i + 1
}

func isReferentialConstraints(c *scan) {
	c.eachConstraint(func(_ *catalog.Relation, k constraint, f fields) {
		if k.table == nil {
			return
		}
		for _, x := range indexesOf(k.table) {
			if x.id == referredIndex(k.table, k.referred) && x.constraint {
				f["unique_constraint_catalog"], f["unique_constraint_schema"] = c.here(), text(k.table.Schema)
				f["unique_constraint_name"] = text(x.name)
			}
		}
		f["match_option"], f["update_rule"], f["delete_rule"] = text("NONE"), text("NO ACTION"), text("NO ACTION")
		c.add(f)
	})
}

func isConstraintColumnUsage(c *scan) {
	c.eachConstraint(func(r *catalog.Relation, k constraint, f fields) {
		columns := k.columns
		if k.table != nil {
			r, columns = k.table, k.referred
		}
		c.inTable(f, r)
		for _, col := range columns {
			f["column_name"] = text(r.Columns[col].Name)
			c.add(f)
		}
	})
}

func isConstraintTableUsage(c *scan) {
	c.eachConstraint(func(r *catalog.Relation, k constraint, f fields) {
		if k.kind == "CHECK" {
			return
		}
		if k.table != nil {
			r = k.table
		}
		c.inTable(f, r)
		c.add(f)
	})
}

func isCheckConstraints(c *scan) {
	c.eachConstraint(func(_ *catalog.Relation, k constraint, f fields) {
		if k.kind == "CHECK" {
			f["check_clause"] = text(k.clause)
			c.add(f)
		}
	})
}

func isViewTableUsage(c *scan) {
	for _, r := range c.users() {
		if r.Kind != catalog.View {
			continue
		}
		for _, on := range r.DependsOn {
			if t, ok := c.snapshot.ByID(on); ok {
				f := fields{"view_catalog": c.here(), "view_schema": text(r.Schema), "view_name": text(r.Name)}
				c.inTable(f, t)
				c.add(f)
			}
		}
	}
}
