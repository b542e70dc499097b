package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// finish checks and names the constraints, in PostgreSQL's order: checks, the primary key, unique ones, foreign keys.
func (d *definition) finish() error {
	for _, l := range d.likes {
		d.rel.Checks = append(d.rel.Checks, catalog.Check{Name: l.name, Expr: l.text})
	}
	for _, c := range d.checks {
		if err := d.check(c); err != nil {
			return err
		}
	}
	slices.SortStableFunc(d.keys, func(x, y keyDefinition) int {
		switch {
		case x.primary == y.primary:
			return 0
		case x.primary:
			return -1
		}
		return 1
	})
	if err := d.resolveKeys(); err != nil {
		return err
	}
	for _, c := range d.foreign {
		if err := d.foreignKey(c); err != nil {
			return err
		}
	}
	return nil
}

// constraintTaken reports whether a new constraint cannot have the name.
func (d *definition) constraintTaken(name string) bool {
	return constraintOf(d.rel, name) || d.a.constraintTaken(d.rel.Schema, name)
}

// indexTaken reports whether a new index cannot have the name.
func (d *definition) indexTaken(name string) bool {
	if name == d.rel.Name || slices.ContainsFunc(d.rel.Indexes, func(x catalog.Index) bool { return x.Name == name }) {
		return true
	}
	return d.a.relationTaken(d.rel.Schema, name) || d.constraintTaken(name)
}

func (d *definition) check(c *pg.Constraint) error {
	a := d.a
	e, err := a.condition(relationScope(d.rel, "", nil), c.RawExpr, inCheck, "argument of CHECK")
	if err != nil {
		return d.placed(err)
	}
	if len(a.params) > 0 {
		return errs.SQL("42P02", "there is no parameter $%d", len(a.params)).At(a.pos(location(c.RawExpr)))
	}
	name := c.Conname
	if name == "" {
		name = chooseName(d.rel.Name, d.onlyColumn(e), "check", d.constraintTaken)
	} else if constraintOf(d.rel, name) {
		if d.creating {
			return errs.SQL("42710", "check constraint %q already exists", name)
		}
		return errs.SQL("42710", "constraint %q for relation %q already exists", name, d.rel.Name)
	}
	text, err := exprText(c.RawExpr)
	d.rel.Checks = append(d.rel.Checks, catalog.Check{Name: name, Expr: text})
	return err
}

// onlyColumn names the one column that an expression uses, "" when it uses none or several.
func (d *definition) onlyColumn(e expr.Expr) string {
	found := -1
	several := false
	expr.Walk(e, func(e expr.Expr) bool {
		if c, ok := e.(*expr.Column); ok && c.Depth == 0 {
			several = several || found >= 0 && found != c.Index
			found = c.Index
		}
		return true
	})
	if several || found < 0 {
		return ""
	}
	return d.rel.Columns[found].Name
}

func (d *definition) resolveKeys() error {
	type resolved struct {
		keyDefinition
		at []int
	}
	var keys []resolved
	for _, k := range d.keys {
		at, err := d.keyColumns(k)
		if err != nil {
			return err
		}
		// A UNIQUE that says what an earlier key says is the same index (transformIndexConstraints).
		same := slices.IndexFunc(keys, func(o resolved) bool { return slices.Equal(o.at, at) && !k.plain && !o.plain })
		if same < 0 {
			keys = append(keys, resolved{k, at})
		} else if keys[same].name == "" {
			keys[same].name = k.name
		}
	}
	for _, k := range keys {
		if err := d.addKey(k.keyDefinition, k.at); err != nil {
			return err
		}
	}
	return nil
}

// addKey gives the table a key under its name.
func (d *definition) addKey(k keyDefinition, at []int) error {
	name := k.name
	switch {
	case name != "":
		if d.indexTaken(name) {
			if d.constraintTaken(name) && !d.a.relationTaken(d.rel.Schema, name) {
				return errs.SQL("42710", "constraint %q for relation %q already exists", name, d.rel.Name)
			}
			return errs.SQL("42P07", "relation %q already exists", name)
		}
	case k.primary:
		name = chooseName(d.rel.Name, "", "pkey", d.indexTaken)
	case k.plain:
		name = chooseName(d.rel.Name, indexAddition(k.columns), "idx", d.indexTaken)
	default:
		name = chooseName(d.rel.Name, indexAddition(k.columns), "key", d.indexTaken)
	}
	if k.primary {
		d.rel.Key, d.rel.KeyName = at, name
		return nil
	}
	d.rel.Indexes = append(d.rel.Indexes, catalog.Index{Name: name, Columns: at, Unique: !k.plain || k.unique, Constraint: !k.plain})
	return nil
}

// maxKeyColumns is PostgreSQL's INDEX_MAX_KEYS.
const maxKeyColumns = 32

// keyColumns finds the columns of a key; those of a primary key become NOT NULL.
func (d *definition) keyColumns(k keyDefinition) ([]int, error) {
	word := "unique"
	if k.primary {
		word = "primary key"
	}
	var at []int
	for _, name := range k.columns {
		i := columnIndex(d.rel, name)
		if i < 0 || d.rel.Columns[i].Hidden {
			return nil, d.placed(errs.SQL("42703", "column %q named in key does not exist", name).At(d.a.pos(k.loc)))
		}
		if slices.Contains(at, i) {
			return nil, errs.SQL("42701", "column %q appears twice in %s constraint", name, word).At(d.a.pos(k.loc))
		}
		if err := indexable(d.rel.Columns[i].Type); err != nil {
			return nil, err
		}
		if k.primary {
			d.rel.Columns[i].NotNull = true
		}
		at = append(at, i)
	}
	if len(at) > maxKeyColumns {
		return nil, errs.SQL("54011", "cannot use more than %d columns in an index", maxKeyColumns)
	}
	return at, nil
}

// indexable fails for a type without an order.
func indexable(t row.Type) error {
	if ordered(t) {
		return nil
	}
	return errs.SQL("42704", "data type %s has no default operator class for access method \"btree\"", baseName(t)).
		WithHint("You must specify an operator class for the index or define a default operator class for the data type.")
}

// foreignKey checks REFERENCES.
func (d *definition) foreignKey(c *pg.Constraint) error {
	if err := d.plainForeignKey(c); err != nil {
		return err
	}
	parent, err := d.referred(c.Pktable)
	if err != nil {
		return err
	}
	fk := catalog.ForeignKey{Name: c.Conname, Table: parent.ID}
	for _, name := range names(c.FkAttrs) {
		i := columnIndex(d.rel, name)
		if i < 0 {
			return errs.SQL("42703", "column %q referenced in foreign key constraint does not exist", name)
		}
		fk.Columns = append(fk.Columns, i)
	}
	if fk.Referred, err = referredColumns(parent, c); err != nil {
		return err
	}
	if len(fk.Referred) != len(fk.Columns) {
		return errs.SQL("42830", "number of referencing and referenced columns for foreign key disagree")
	}
	if fk.Name == "" {
		fk.Name = chooseName(d.rel.Name, indexAddition(names(c.FkAttrs)), "fkey", d.constraintTaken)
	} else if constraintOf(d.rel, fk.Name) {
		return errs.SQL("42710", "constraint %q for relation %q already exists", fk.Name, d.rel.Name)
	}
	for n, i := range fk.Columns {
		if err := d.sameFamily(&fk, d.rel.Columns[i], parent.Columns[fk.Referred[n]]); err != nil {
			return err
		}
	}
	d.rel.ForeignKeys = append(d.rel.ForeignKeys, fk)
	return nil
}

func (d *definition) plainForeignKey(c *pg.Constraint) error {
	a := d.a
	if d.rel.Kind == catalog.Stream {
		return errs.SQL("0A000", "REFERENCES is not supported on a stream").At(a.pos(c.Location))
	}
	for _, action := range []struct{ on, code string }{{"DELETE", c.FkDelAction}, {"UPDATE", c.FkUpdAction}} {
		word := map[string]string{"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}[action.code]
		if word != "" {
			return errs.SQL("0A000", "ON %s %s is not supported", action.on, word).At(a.pos(c.Location)).
				WithHint("Change the referring rows in the same transaction.")
		}
	}
	switch c.FkMatchtype {
	case "f":
		return errs.SQL("0A000", "MATCH FULL is not supported").At(a.pos(c.Location))
	case "p":
		return errs.SQL("0A000", "MATCH PARTIAL not yet implemented").At(a.pos(c.Location))
	}
	return nil
}

// referred finds the table that a foreign key refers to.
func (d *definition) referred(rv *pg.RangeVar) (*catalog.Relation, error) {
	if d.creating && rv.Relname == d.rel.Name && (rv.Schemaname == "" || rv.Schemaname == d.rel.Schema) {
		return d.rel, nil
	}
	parent := d.a.lookup(rv.Schemaname, rv.Relname)
	if parent == nil {
		_, err := d.a.relation(rv)
		return nil, withoutPosition(err)
	}
	if !d.creating && parent.ID == d.rel.ID {
		return d.rel, nil
	}
	if parent.Kind != catalog.Table {
		return nil, errs.SQL("42809", "referenced relation %q is not a table", parent.Name)
	}
	return parent, nil
}

// withoutPosition is an error as PostgreSQL raises it in a later phase, where the text is no longer known.
func withoutPosition(err error) error {
	if e, ok := err.(*errs.Error); ok {
		c := *e
		c.Position = 0
		return &c
	}
	return err
}

// referredColumns are the columns of the parent's primary key in the order of the foreign key's.
func referredColumns(parent *catalog.Relation, c *pg.Constraint) ([]int, error) {
	hasKey := parent.Keyed() && !hiddenKey(parent)
	if len(c.PkAttrs) == 0 {
		if !hasKey {
			return nil, errs.SQL("42704", "there is no primary key for referenced table %q", parent.Name)
		}
		return parent.Key, nil
	}
	var at []int
	for _, name := range names(c.PkAttrs) {
		i := columnIndex(parent, name)
		if i < 0 {
			return nil, errs.SQL("42703", "column %q referenced in foreign key constraint does not exist", name)
		}
		at = append(at, i)
	}
	if len(at) != len(c.FkAttrs) {
		return nil, errs.SQL("42830", "number of referencing and referenced columns for foreign key disagree")
	}
	if hasKey && sameSet(parent.Key, at) {
		return at, nil
	}
	for _, key := range uniqueKeys(parent) {
		if sameSet(key, at) {
			return nil, errs.SQL("0A000", "a foreign key to a UNIQUE constraint is not supported").
				WithHint("Refer to the primary key of %q.", parent.Name)
		}
	}
	return nil, errs.SQL("42830", "there is no unique constraint matching given keys for referenced table %q", parent.Name)
}

// sameFamily fails when values of the two columns of a foreign key are not kept alike: the referring value is looked up
// as it is.
func (d *definition) sameFamily(fk *catalog.ForeignKey, child, parent catalog.Column) error {
	if child.Type.OID == parent.Type.OID || family(child.Type) != 0 && family(child.Type) == family(parent.Type) {
		return nil
	}
	if _, _, err := expr.Equality(child.Type, parent.Type); err != nil {
		return errs.SQL("42804", "foreign key constraint %q cannot be implemented", fk.Name).
			WithDetail("Key columns %q and %q are of incompatible types: %s and %s.", child.Name, parent.Name, baseName(child.Type), baseName(parent.Type))
	}
	return errs.SQL("0A000", "foreign key constraint %q is not supported between types %s and %s", fk.Name, baseName(child.Type), baseName(parent.Type)).
		WithHint("Give column %q the type %s.", child.Name, baseName(parent.Type))
}

// family groups the types whose values are kept alike; 0: only with itself.
func family(t row.Type) int {
	switch t.OID {
	case row.Int2, row.Int4, row.Int8:
		return 1
	case row.Text, row.VarChar:
		return 2
	}
	return 0
}
