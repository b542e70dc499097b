package plan

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// alterTable checks ALTER TABLE, and ALTER VIEW and MATERIALIZED VIEW in the grammar's same form.
func (a *analyzer) alterTable(n *pg.AlterTableStmt) (Statement, error) {
	tag := "ALTER " + objectWord(n.Objtype)
	r, err := a.altered(n.Relation, n.Objtype, n.MissingOk)
	if r == nil || err != nil {
		return &Utility{tag}, err
	}
	x := &alteration{definition: definition{a: a, rel: copyOf(r)}, out: &Alter{Old: r, What: tag}}
	x.out.New = x.rel
	changes := false
	for _, c := range n.Cmds {
		cmd := c.GetAlterTableCmd()
		changed, err := x.command(cmd)
		if err != nil {
			return nil, err
		}
		changes = changes || changed
	}
	if !changes {
		return &Utility{tag}, nil
	}
	return x.out, x.finishAlter()
}

// altered finds the relation that ALTER names; nil when it is missing and may be.
func (a *analyzer) altered(rv *pg.RangeVar, kind pg.ObjectType, missingOK bool) (*catalog.Relation, error) {
	r := a.lookup(rv.Schemaname, rv.Relname)
	if r == nil {
		if missingOK {
			return nil, nil
		}
		_, err := a.relation(rv)
		return nil, withoutPosition(err)
	}
	if err := r.System(); err != nil {
		return nil, err
	}
	is := relationWord(r.Kind)
	ok := true
	switch kind {
	case pg.ObjectType_OBJECT_VIEW:
		ok = is == "view"
	case pg.ObjectType_OBJECT_MATVIEW:
		ok = is == "materialized view"
	}
	if !ok {
		return nil, errs.SQL("42809", "%q is not a %s", r.Name, map[pg.ObjectType]string{pg.ObjectType_OBJECT_VIEW: "view",
			pg.ObjectType_OBJECT_MATVIEW: "materialized view"}[kind])
	}
	if r.Kind == catalog.Raw || r.Kind == catalog.Rejected {
		return nil, errs.SQL("42809", "cannot alter %s relation %q", r.Kind, r.Name)
	}
	return r, nil
}

// copyOf gives a relation that can be changed without changing r.
func copyOf(r *catalog.Relation) *catalog.Relation {
	c := *r
	c.Columns, c.Indexes, c.Checks = slices.Clone(r.Columns), slices.Clone(r.Indexes), slices.Clone(r.Checks)
	c.ForeignKeys, c.Key = slices.Clone(r.ForeignKeys), slices.Clone(r.Key)
	if r.Options != nil {
		c.Options = map[string]string{}
		for k, v := range r.Options {
			c.Options[k] = v
		}
	}
	return &c
}

// alteration is one ALTER statement on its way.
type alteration struct {
	definition
	out *Alter
}

// command applies one subcommand; changed is false when there is nothing to do.
func (x *alteration) command(c *pg.AlterTableCmd) (changed bool, err error) {
	if c.Subtype == pg.AlterTableType_AT_ChangeOwner {
		return false, nil
	}
	if x.rel.Kind != catalog.Table && x.rel.Kind != catalog.Stream && c.Subtype != pg.AlterTableType_AT_SetRelOptions {
		return false, errs.SQL("42809", "ALTER action %s cannot be performed on relation %q", actionWord(c.Subtype), x.rel.Name).
			WithDetail("This operation is not supported for %ss.", relationWord(x.rel.Kind))
	}
	switch c.Subtype {
	case pg.AlterTableType_AT_AddColumn:
		return x.addColumn(c)
	case pg.AlterTableType_AT_DropColumn:
		return x.dropColumn(c)
	case pg.AlterTableType_AT_ColumnDefault:
		return true, x.columnDefault(c)
	case pg.AlterTableType_AT_SetNotNull, pg.AlterTableType_AT_DropNotNull:
		return true, x.notNull(c)
	case pg.AlterTableType_AT_AlterColumnType:
		return true, x.columnType(c)
	case pg.AlterTableType_AT_AddConstraint:
		return true, x.addConstraint(c.Def.GetConstraint())
	case pg.AlterTableType_AT_DropConstraint:
		return x.dropConstraint(c)
	case pg.AlterTableType_AT_ValidateConstraint:
		return false, x.validate(c.Name)
	case pg.AlterTableType_AT_SetRelOptions, pg.AlterTableType_AT_ResetRelOptions:
		return true, x.setOptions(c)
	case pg.AlterTableType_AT_SetStatistics, pg.AlterTableType_AT_SetStorage, pg.AlterTableType_AT_SetCompression,
		pg.AlterTableType_AT_ClusterOn, pg.AlterTableType_AT_DropCluster, pg.AlterTableType_AT_SetLogged:
		return false, nil // about PostgreSQL's storage; no answer depends on it
	}
	return false, errs.SQL("0A000", "ALTER TABLE ... %s is not supported", actionWord(c.Subtype))
}

// actionWord names a subcommand.
func actionWord(t pg.AlterTableType) string {
	switch t {
	case pg.AlterTableType_AT_AddColumn:
		return "ADD COLUMN"
	case pg.AlterTableType_AT_DropColumn:
		return "DROP COLUMN"
	case pg.AlterTableType_AT_ColumnDefault:
		return "ALTER COLUMN ... SET DEFAULT"
	case pg.AlterTableType_AT_SetNotNull:
		return "ALTER COLUMN ... SET NOT NULL"
	case pg.AlterTableType_AT_DropNotNull:
		return "ALTER COLUMN ... DROP NOT NULL"
	case pg.AlterTableType_AT_AlterColumnType:
		return "ALTER COLUMN ... SET DATA TYPE"
	case pg.AlterTableType_AT_AddConstraint:
		return "ADD CONSTRAINT"
	case pg.AlterTableType_AT_DropConstraint:
		return "DROP CONSTRAINT"
	case pg.AlterTableType_AT_ValidateConstraint:
		return "VALIDATE CONSTRAINT"
	case pg.AlterTableType_AT_EnableRowSecurity, pg.AlterTableType_AT_ForceRowSecurity:
		return "ROW LEVEL SECURITY"
	case pg.AlterTableType_AT_AttachPartition, pg.AlterTableType_AT_DetachPartition:
		return "PARTITION"
	case pg.AlterTableType_AT_AddInherit, pg.AlterTableType_AT_DropInherit:
		return "INHERIT"
	case pg.AlterTableType_AT_AddIdentity, pg.AlterTableType_AT_SetIdentity, pg.AlterTableType_AT_DropIdentity:
		return "IDENTITY"
	case pg.AlterTableType_AT_SetUnLogged:
		return "SET UNLOGGED"
	}
	return "this action"
}

// find gives the index of a shown column (42703).
func (x *alteration) find(name string) (int, error) {
	i := columnIndex(x.rel, name)
	if i < 0 || x.rel.Columns[i].Hidden {
		return 0, errs.SQL("42703", "column %q of relation %q does not exist", name, x.rel.Name)
	}
	return i, nil
}

// addColumn appends a column: rows that are there have its default, which must be the same for all.
func (x *alteration) addColumn(c *pg.AlterTableCmd) (bool, error) {
	def := c.Def.GetColumnDef()
	if i := columnIndex(x.rel, def.Colname); i >= 0 && c.MissingOk {
		return false, nil
	}
	if len(x.rel.Columns) >= maxColumns {
		return false, errs.SQL("54011", "tables can have at most %d columns", maxColumns)
	}
	if err := x.column(def); err != nil {
		return false, err
	}
	col := &x.rel.Columns[len(x.rel.Columns)-1]
	if col.Default != "" && col.Const == nil {
		return false, errs.SQL("0A000", "ADD COLUMN with a default that is not a constant is not supported").
			WithHint("Add the column without it, UPDATE the rows, then ALTER COLUMN %s SET DEFAULT.", quoteName(col.Name))
	}
	col.Before = col.Const
	if col.NotNull && col.Const == nil {
		x.out.CheckNotNull = append(x.out.CheckNotNull, len(x.rel.Columns)-1)
	}
	return true, nil
}

func (x *alteration) dropColumn(c *pg.AlterTableCmd) (bool, error) {
	if c.MissingOk && columnIndex(x.rel, c.Name) < 0 {
		return false, nil
	}
	if _, err := x.find(c.Name); err != nil {
		return false, err
	}
	return false, errs.SQL("0A000", "DROP COLUMN is not supported").
		WithHint("Rows are kept as they were written. Leave the column out in a view, or create a new table and INSERT ... SELECT into it.")
}

func (x *alteration) columnDefault(c *pg.AlterTableCmd) error {
	i, err := x.find(c.Name)
	if err != nil {
		return err
	}
	col := &x.rel.Columns[i]
	if c.Def == nil {
		col.Default, col.Const = "", nil
		return nil
	}
	return withoutPosition(x.a.setDefault(col, c.Def))
}

func (x *alteration) notNull(c *pg.AlterTableCmd) error {
	i, err := x.find(c.Name)
	if err != nil {
		return err
	}
	col := &x.rel.Columns[i]
	if c.Subtype == pg.AlterTableType_AT_DropNotNull {
		if slices.Contains(x.rel.Key, i) {
			return errs.SQL("42P16", "column %q is in a primary key", c.Name)
		}
		col.NotNull = false
		return nil
	}
	if !col.NotNull {
		col.NotNull = true
		x.out.CheckNotNull = append(x.out.CheckNotNull, i)
	}
	return nil
}

// columnType changes a column's type where every row keeps its value: to a wider text.
func (x *alteration) columnType(c *pg.AlterTableCmd) error {
	i, err := x.find(c.Name)
	if err != nil {
		return err
	}
	def := c.Def.GetColumnDef()
	t, err := x.definition.columnType(def)
	if err != nil {
		return err
	}
	col := &x.rel.Columns[i]
	if def.RawDefault == nil && (t == col.Type || widerText(col.Type, t)) && len(x.a.o.Catalog.Dependents(x.rel.ID)) <= 1 {
		col.Type = t
		return nil
	}
	return errs.SQL("0A000", "changing the type of column %q from %s to %s is not supported", col.Name, col.Type, t).
		WithHint("Add a column of the new type and UPDATE it, or create a new table and INSERT ... SELECT into it.")
}

func widerText(from, to row.Type) bool {
	if family(from) != family(row.T(row.Text)) || family(to) != family(row.T(row.Text)) {
		return false
	}
	return to.Mod == 0 || from.Mod != 0 && from.Mod <= to.Mod
}

func (x *alteration) addConstraint(c *pg.Constraint) error {
	return x.constraint(c, nil)
}

// validate accepts VALIDATE CONSTRAINT of a constraint that holds already.
func (x *alteration) validate(name string) error {
	if !constraintOf(x.rel, name) {
		return errs.SQL("42704", "constraint %q of relation %q does not exist", name, x.rel.Name)
	}
	return nil
}

func (x *alteration) dropConstraint(c *pg.AlterTableCmd) (bool, error) {
	r := x.rel
	if n := slices.IndexFunc(r.Checks, func(k catalog.Check) bool { return k.Name == c.Name }); n >= 0 {
		r.Checks = slices.Delete(r.Checks, n, n+1)
		return true, nil
	}
	if n := slices.IndexFunc(r.ForeignKeys, func(k catalog.ForeignKey) bool { return k.Name == c.Name }); n >= 0 {
		r.ForeignKeys = slices.Delete(r.ForeignKeys, n, n+1)
		return true, nil
	}
	if n := slices.IndexFunc(r.Indexes, func(k catalog.Index) bool { return k.Constraint && k.Name == c.Name }); n >= 0 {
		r.Indexes = slices.Delete(r.Indexes, n, n+1)
		return true, nil
	}
	if r.Keyed() && !hiddenKey(r) && r.KeyName == c.Name {
		return false, errs.SQL("0A000", "dropping a primary key is not supported").
			WithHint("Rows are kept by their key. Create a new table and INSERT ... SELECT into it.")
	}
	if c.MissingOk {
		return false, nil
	}
	return false, errs.SQL("42704", "constraint %q of relation %q does not exist", c.Name, r.Name)
}

// fixedOptions are those that say what the topic holds: they stay as the table was created.
var fixedOptions = []string{"append_only", "topic", "format", "partitions", "event_time"}

func (x *alteration) setOptions(c *pg.AlterTableCmd) error {
	list := c.Def.GetList().GetItems()
	reset := c.Subtype == pg.AlterTableType_AT_ResetRelOptions
	for _, n := range list {
		if name := n.GetDefElem().GetDefname(); slices.Contains(fixedOptions, name) {
			return errs.SQL("0A000", "parameter %q cannot be changed", name).WithHint("It is given when the relation is created.")
		} else if reset {
			delete(x.rel.Options, name)
		}
	}
	if reset {
		return nil
	}
	set, err := x.a.optionsOf(list, x.rel.Kind)
	if err != nil {
		return err
	}
	if x.rel.Options == nil {
		x.rel.Options = map[string]string{}
	}
	for k, v := range set {
		x.rel.Options[k] = v
	}
	return eventTime(x.rel)
}

// finishAlter names the new constraints and notes what the rows that are there must be checked for.
func (x *alteration) finishAlter() error {
	old := x.out.Old
	hadKey, indexes, checks, foreign := hiddenKey(old), len(x.rel.Indexes), len(x.rel.Checks), len(x.rel.ForeignKeys)
	notNull := make([]bool, len(x.rel.Columns))
	for i, c := range x.rel.Columns {
		notNull[i] = c.NotNull
	}
	if err := x.finish(); err != nil {
		return err
	}
	x.out.AddedKey = hadKey && !hiddenKey(x.rel)
	for i, c := range x.rel.Columns {
		if c.NotNull && !notNull[i] {
			x.out.CheckNotNull = append(x.out.CheckNotNull, i)
		}
	}
	for i := indexes; i < len(x.rel.Indexes); i++ {
		x.out.CheckUnique = append(x.out.CheckUnique, i)
	}
	for i := checks; i < len(x.rel.Checks); i++ {
		if !x.checks[i-checks].SkipValidation {
			x.out.CheckRows = append(x.out.CheckRows, i)
		}
	}
	for i := foreign; i < len(x.rel.ForeignKeys); i++ {
		if !x.foreign[i-foreign].SkipValidation {
			x.out.CheckReferences = append(x.out.CheckReferences, i)
		}
	}
	return nil
}
