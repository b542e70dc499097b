package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// rowID is the hidden key column of a table without a primary key (sql/ingest fills it for produced records).
var rowID = catalog.Column{Name: "_rowid", Type: row.T(row.UUID), NotNull: true, Default: "gen_random_uuid()", Hidden: true}

// maxColumns is PostgreSQL's MaxHeapAttributeNumber.
const maxColumns = 1600

// createTable checks CREATE TABLE.
func (a *analyzer) createTable(n *pg.CreateStmt) (Statement, error) {
	if err := a.plainTable(n); err != nil {
		return nil, err
	}
	schema, err := a.creation(n.Relation)
	if err != nil {
		return nil, err
	}
	rel, err := a.newTable(schema, n.Relation.Relname, n.Options)
	if err != nil {
		return nil, err
	}
	d := &definition{a: a, rel: rel, creating: true}
	for _, el := range n.TableElts {
		switch t := el.Node.(type) {
		case *pg.Node_ColumnDef:
			err = d.column(t.ColumnDef)
		case *pg.Node_Constraint:
			err = d.constraint(t.Constraint, nil)
		case *pg.Node_TableLikeClause:
			err = d.like(t.TableLikeClause)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	return &CreateRelation{Relation: rel, IfNotExists: n.IfNotExists}, a.complete(rel)
}

// plainTable refuses the forms of CREATE TABLE that there are none of.
func (a *analyzer) plainTable(n *pg.CreateStmt) error {
	switch {
	case n.Partspec != nil:
		return errs.SQL("0A000", "PARTITION BY is not supported").At(a.pos(n.Partspec.Location)).
			WithHint("Spread the table's topic: WITH (partitions = ...).")
	case n.Partbound != nil:
		return errs.SQL("0A000", "PARTITION OF is not supported")
	case len(n.InhRelations) > 0:
		return errs.SQL("0A000", "INHERITS is not supported")
	case n.OfTypename != nil:
		return errs.SQL("0A000", "typed tables are not supported")
	}
	return a.defaultStorage(n.AccessMethod, n.Tablespacename)
}

// defaultStorage refuses storage that is not the only one there is.
func (a *analyzer) defaultStorage(method, tablespace string) error {
	if method != "" && method != "heap" {
		return errs.SQL("42704", "access method %q does not exist", method)
	}
	if tablespace != "" && tablespace != "pg_default" {
		return errs.SQL("42704", "tablespace %q does not exist", tablespace)
	}
	return nil
}

// newTable is a table or stream without columns yet.
func (a *analyzer) newTable(schema, name string, options []*pg.Node) (*catalog.Relation, error) {
	rel := &catalog.Relation{Schema: schema, Name: name, Kind: catalog.Table}
	stream, err := isStream(options)
	if err != nil {
		return nil, err
	}
	if stream {
		rel.Kind = catalog.Stream
	}
	if rel.Options, err = a.optionsOf(options, rel.Kind); err != nil {
		return nil, err
	}
	if rel.TopicName = rel.Options["topic"]; rel.TopicName == "" {
		rel.TopicName = topicName(schema, name)
	}
	return rel, a.freeName(schema, name)
}

// freeName fails when an index has the name; another relation of the name is the session's matter (IF NOT EXISTS).
func (a *analyzer) freeName(schema, name string) error {
	if _, taken := a.findIndex(schema, name); taken {
		return errs.SQL("42P07", "relation %q already exists", name)
	}
	return nil
}

// topicName is the topic of a relation that names none.
func topicName(schema, name string) string {
	if schema == "public" {
		return name
	}
	return schema + "." + name
}

// complete gives a new table its hidden key, when it has none, and checks what needs all columns.
func (a *analyzer) complete(rel *catalog.Relation) error {
	if len(rel.Columns) > maxColumns {
		return errs.SQL("54011", "tables can have at most %d columns", maxColumns)
	}
	if rel.Kind == catalog.Table && !rel.Keyed() {
		rel.Key = []int{len(rel.Columns)}
		rel.Columns = append(rel.Columns, rowID)
	}
	return eventTime(rel)
}

// definition gathers the columns and constraints of a table that is created or altered.
type definition struct {
	a   *analyzer
	rel *catalog.Relation
	// creating is set for CREATE TABLE: a foreign key may then refer to the table itself, which has no id yet.
	creating bool
	keys     []keyDefinition
	checks   []*pg.Constraint
	foreign  []*pg.Constraint
	likes    []likeCheck
}

// keyDefinition is a PRIMARY KEY or UNIQUE constraint, or an index that LIKE copies.
type keyDefinition struct {
	primary bool
	// plain is an index that is no constraint; unique says what kind.
	plain, unique bool

	name    string
	columns []string
	loc     int32
}

// column adds a column with its constraints.
func (d *definition) column(n *pg.ColumnDef) error {
	if err := d.freeColumn(n.Colname); err != nil {
		return err
	}
	t, err := d.columnType(n)
	if err != nil {
		return err
	}
	d.rel.Columns = append(d.rel.Columns, catalog.Column{Name: n.Colname, Type: t, NotNull: n.IsNotNull})
	var seen columnState
	for _, c := range n.Constraints {
		if err := d.columnConstraint(c.GetConstraint(), &seen); err != nil {
			return err
		}
	}
	return nil
}

// freeColumn fails when a column of the name cannot be added.
func (d *definition) freeColumn(name string) error {
	switch name {
	case "tableoid", "cmax", "xmax", "cmin", "xmin", "ctid":
		return errs.SQL("42701", "column name %q conflicts with a system column name", name)
	}
	if strings.HasPrefix(name, rowID.Name) {
		return errs.SQL("42701", "column name %q conflicts with a system column name", name).
			WithDetail("Names that begin with %q are reserved.", rowID.Name)
	}
	if columnIndex(d.rel, name) < 0 {
		return nil
	}
	if d.creating {
		return errs.SQL("42701", "column %q specified more than once", name)
	}
	return errs.SQL("42701", "column %q of relation %q already exists", name, d.rel.Name)
}

// serials are the types that stand for a sequence.
var serials = map[string]bool{"serial": true, "serial2": true, "serial4": true, "serial8": true, "bigserial": true, "smallserial": true}

func noSequences(what string) *errs.Error {
	return errs.SQL("0A000", "%s is not supported: there are no sequences", what).
		WithHint("Give the ids yourself, or use a column of type uuid with DEFAULT gen_random_uuid().")
}

func (d *definition) columnType(n *pg.ColumnDef) (row.Type, error) {
	if len(n.TypeName.GetNames()) == 1 && serials[lastName(n.TypeName.Names)] {
		return row.Type{}, noSequences("type " + lastName(n.TypeName.Names)).At(d.a.pos(n.TypeName.Location))
	}
	t, err := d.a.typeName(n.TypeName)
	if err != nil {
		return t, err
	}
	if pseudo(t) {
		return t, errs.SQL("42P16", "column %q has pseudo-type %s", n.Colname, baseName(t))
	}
	if n.CollClause != nil {
		return t, d.a.collation(n.CollClause.Collname, n.CollClause.Location, t)
	}
	return t, nil
}

// pseudo reports whether no column may have the type.
func pseudo(t row.Type) bool {
	switch t.OID {
	case row.Record, row.Void, row.Unknown, row.AnyArray, expr.AnyOID:
		return true
	}
	return false
}

// collation accepts the one collation that there is, byte order, under its names.
func (a *analyzer) collation(list []*pg.Node, loc int32, t row.Type) error {
	switch row.ElementOf(t.OID) {
	case row.Text, row.VarChar, row.BPChar, row.Name:
	default:
		switch t.OID {
		case row.Text, row.VarChar, row.BPChar, row.Name:
		default:
			return errs.SQL("42804", "collations are not supported by type %s", baseName(t)).At(a.pos(loc))
		}
	}
	switch n := lastName(list); n {
	case "default", "C", "POSIX", "C.UTF-8", "ucs_basic":
		return nil
	default:
		return errs.SQL("42704", "collation %q for encoding \"UTF8\" does not exist", n).At(a.pos(loc)).
			WithHint("Texts are ordered by their bytes: COLLATE \"C\".")
	}
}

// columnState is what a column's constraints have said so far.
type columnState struct{ null, notNull, hasDefault bool }

func (d *definition) columnConstraint(c *pg.Constraint, seen *columnState) error {
	a, col := d.a, &d.rel.Columns[len(d.rel.Columns)-1]
	switch c.Contype {
	case pg.ConstrType_CONSTR_NULL, pg.ConstrType_CONSTR_NOTNULL:
		not := c.Contype == pg.ConstrType_CONSTR_NOTNULL
		if not && seen.null || !not && seen.notNull {
			return errs.SQL("42601", "conflicting NULL/NOT NULL declarations for column %q of table %q", col.Name, d.rel.Name).At(a.pos(c.Location))
		}
		seen.null, seen.notNull = seen.null || !not, seen.notNull || not
		col.NotNull = col.NotNull || not
		return nil
	case pg.ConstrType_CONSTR_DEFAULT:
		if seen.hasDefault {
			return errs.SQL("42601", "multiple default values specified for column %q of table %q", col.Name, d.rel.Name).At(a.pos(c.Location))
		}
		seen.hasDefault = true
		return d.placed(a.setDefault(col, c.RawExpr))
	case pg.ConstrType_CONSTR_IDENTITY:
		return noSequences("GENERATED AS IDENTITY").At(a.pos(c.Location))
	case pg.ConstrType_CONSTR_GENERATED:
		return errs.SQL("0A000", "generated columns are not supported").At(a.pos(c.Location)).
			WithHint("Compute the column in a view.")
	}
	return d.constraint(c, []string{col.Name})
}

// setDefault checks a default and notes it with the column; NULL is none.
func (a *analyzer) setDefault(c *catalog.Column, n *pg.Node) error {
	e, err := a.expression(nil, n, inDefault)
	if err != nil {
		return err
	}
	if t := e.Type(); !expr.CanCast(t.OID, c.Type.OID, expr.Assignment) {
		return errs.SQL("42804", "column %q is of type %s but default expression is of type %s", c.Name, baseName(c.Type), baseName(t)).
			WithHint("You will need to rewrite or cast the expression.")
	}
	if e, err = a.assign(e, c, location(n)); err != nil {
		return err
	}
	if len(a.params) > 0 {
		return errs.SQL("42P02", "there is no parameter $%d", len(a.params)).At(a.pos(location(n)))
	}
	c.Default, c.Const = "", nil
	if k, ok := expr.Fold(e).(*expr.Const); ok {
		if k.Value.IsNull() {
			return nil
		}
		text := string(row.AppendText(nil, c.Type, k.Value))
		c.Const = &text
	}
	c.Default, err = exprText(n)
	return err
}

// constraint notes a constraint; on is the column that it stands at, nil for one of the table.
func (d *definition) constraint(c *pg.Constraint, on []string) error {
	a := d.a
	switch c.Contype {
	case pg.ConstrType_CONSTR_CHECK:
		d.checks = append(d.checks, c)
	case pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE:
		return d.key(c, on)
	case pg.ConstrType_CONSTR_FOREIGN:
		if len(on) > 0 {
			c.FkAttrs = []*pg.Node{pg.MakeStrNode(on[0])}
		}
		d.foreign = append(d.foreign, c)
	case pg.ConstrType_CONSTR_EXCLUSION:
		return errs.SQL("0A000", "EXCLUDE constraints are not supported").At(a.pos(c.Location))
	case pg.ConstrType_CONSTR_ATTR_DEFERRED:
		return a.deferred(c)
	}
	if c.Initdeferred {
		return a.deferred(c)
	}
	return nil
}

func (a *analyzer) deferred(c *pg.Constraint) error {
	return errs.SQL("0A000", "INITIALLY DEFERRED is not supported: every constraint is checked at once").At(a.pos(c.Location))
}

func (d *definition) key(c *pg.Constraint, on []string) error {
	a := d.a
	word := "UNIQUE"
	if c.Contype == pg.ConstrType_CONSTR_PRIMARY {
		word = "PRIMARY KEY"
	}
	switch {
	case d.rel.Kind == catalog.Stream:
		return errs.SQL("0A000", "%s is not supported on a stream", word).At(a.pos(c.Location)).
			WithDetail("The rows of an append-only relation have no identity.").WithHint("Leave out append_only.")
	case c.Indexname != "":
		return errs.SQL("0A000", "%s USING INDEX is not supported", word).At(a.pos(c.Location))
	case len(c.Including) > 0:
		return errs.SQL("0A000", "INCLUDE is not supported").At(a.pos(c.Location))
	case c.NullsNotDistinct:
		return errs.SQL("0A000", "NULLS NOT DISTINCT is not supported").At(a.pos(c.Location))
	case c.Initdeferred:
		return a.deferred(c)
	}
	k := keyDefinition{primary: word == "PRIMARY KEY", name: c.Conname, columns: names(c.Keys), loc: c.Location}
	if len(on) > 0 {
		k.columns = on
	}
	if k.primary {
		if err := d.primaryColumns(k); err != nil {
			return err
		}
		for _, have := range d.keys {
			if have.primary {
				return d.secondKey(k)
			}
		}
		if d.rel.Keyed() && !hiddenKey(d.rel) {
			return d.secondKey(k)
		}
	}
	d.keys = append(d.keys, k)
	return nil
}

// placed is an error of an expression: PostgreSQL no longer knows the text when ALTER checks it.
func (d *definition) placed(err error) error {
	if d.creating {
		return err
	}
	return withoutPosition(err)
}

// primaryColumns looks first, as ALTER does, whether the columns of a new primary key are there.
func (d *definition) primaryColumns(k keyDefinition) error {
	for _, name := range k.columns {
		if i := columnIndex(d.rel, name); !d.creating && (i < 0 || d.rel.Columns[i].Hidden) {
			return errs.SQL("42703", "column %q of relation %q does not exist", name, d.rel.Name)
		}
	}
	return nil
}

func (d *definition) secondKey(k keyDefinition) error {
	e := errs.SQL("42P16", "multiple primary keys for table %q are not allowed", d.rel.Name)
	if d.creating {
		e = e.At(d.a.pos(k.loc))
	}
	return e
}
