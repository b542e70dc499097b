package plan

import (
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/views/catalog"
)

// Statement is one checked SQL statement.
type Statement interface {
	// Tag is the command tag's first word(s): SELECT, INSERT, CREATE TABLE...
	Tag() string
}

// Select is a query.
type Select struct{ Query Node }

// Insert appends rows. Source gives one column per entry of Columns; every other column takes Defaults.
type Insert struct {
	Table   *catalog.Relation
	Columns []int
	Source  Node
	// Defaults has one expression per column of Table that the source does not give (nil: NULL).
	Defaults []expr.Expr
	Conflict *OnConflict
	// Returning is evaluated over the new row (all columns of Table); nil: no rows are returned.
	Returning     []expr.Expr
	ReturningCols []Column
	With          []*Binding
}

// OnConflict is INSERT ... ON CONFLICT. Set expressions and Where see the existing row's columns, then EXCLUDED's.
type OnConflict struct {
	// Columns is the conflict target's unique key (indexes of Table's columns); nil: any unique key (DO NOTHING only).
	Columns []int
	Nothing bool
	Set     []SetColumn
	Where   expr.Expr
}

// SetColumn assigns an expression to a column.
type SetColumn struct {
	Column int
	Expr   expr.Expr
}

// Update changes the rows of Table that Source yields: Source's columns are Table's columns, then those of FROM; a row
// of the table that is yielded several times is changed once.
type Update struct {
	Table         *catalog.Relation
	Source        Node
	Set           []SetColumn // over Source's columns
	Returning     []expr.Expr // over the new row's columns, then those of FROM
	ReturningCols []Column
	With          []*Binding
}

// Delete removes the rows of Table that Source yields (Table's columns, then those of USING).
type Delete struct {
	Table         *catalog.Relation
	Source        Node
	Returning     []expr.Expr // over Source's columns
	ReturningCols []Column
	With          []*Binding
}

// Copy is COPY FROM STDIN or TO STDOUT.
type Copy struct {
	Table   *catalog.Relation // nil for COPY (query) TO
	Columns []int
	Query   Node // COPY TO: what to send
	From    bool
	Format  string // text, csv, binary
	// Options by PostgreSQL's lower-case names: delimiter, null, header, quote, escape, freeze, encoding...
	Options  map[string]string
	Defaults []expr.Expr // COPY FROM: as Insert.Defaults
}

// CreateRelation is CREATE TABLE, MATERIALIZED VIEW, VIEW, and CREATE TABLE AS: Relation has no id yet.
type CreateRelation struct {
	Relation    *catalog.Relation
	IfNotExists bool
	// Replace is CREATE OR REPLACE VIEW.
	Replace bool
	// Query is the checked query of a view or CREATE TABLE AS.
	Query Node
	// Fill is set when the new table is filled from Query (CREATE TABLE AS).
	Fill      bool
	WithData  bool
	Temporary bool
}

// CreateIndex is CREATE INDEX.
type CreateIndex struct {
	Table       *catalog.Relation
	Index       catalog.Index
	IfNotExists bool
}

// Drop is DROP TABLE, VIEW, MATERIALIZED VIEW, INDEX. Missing names with IF EXISTS are in Missing.
type Drop struct {
	What      string // TABLE, VIEW, MATERIALIZED VIEW, INDEX, SCHEMA
	Relations []*catalog.Relation
	Indexes   []IndexRef
	Schemas   []string
	Missing   []string
	Cascade   bool
}

// IndexRef is an index of a table.
type IndexRef struct {
	Table *catalog.Relation
	Index catalog.Index
}

// Alter is ALTER TABLE and its kin: the relation as it is to be.
type Alter struct {
	Old, New *catalog.Relation
	What     string // the command tag: ALTER TABLE, ALTER VIEW...
	// AddedKey is set by ADD PRIMARY KEY: rows must be checked and rekeyed.
	AddedKey bool
	// CheckNotNull lists columns (of New) that became NOT NULL and must be checked.
	CheckNotNull []int
	// CheckUnique lists the indexes, CheckRows the checks and CheckReferences the foreign keys of New that the rows which
	// are there must be checked for.
	CheckUnique, CheckRows, CheckReferences []int
}

// Truncate empties tables.
type Truncate struct{ Tables []*catalog.Relation }

// CreateSchema is CREATE SCHEMA.
type CreateSchema struct {
	Name        string
	IfNotExists bool
}

// Comment is COMMENT ON TABLE or COLUMN (Column -1: the table).
type Comment struct {
	Relation *catalog.Relation
	Column   int
	Text     string
}

// TransactionKind is the kind of a Transaction statement.
type TransactionKind uint8

// The kinds.
const (
	Begin TransactionKind = iota
	Commit
	Rollback
	Savepoint
	ReleaseSavepoint
	RollbackTo
)

// Transaction is BEGIN, COMMIT, ROLLBACK, SAVEPOINT...
type Transaction struct {
	Kind      TransactionKind
	Name      string // savepoint
	Isolation string // "", read committed, repeatable read, serializable
	ReadOnly  *bool
	Chain     bool
}

// Set is SET, RESET (Default) and SET LOCAL; Name "" with Default is RESET ALL.
type Set struct {
	Name    string
	Value   string
	Local   bool
	Default bool
	Reset   bool // said as RESET
	// Next is the second of two: SET TRANSACTION ISOLATION LEVEL ... READ ONLY.
	Next *Set
}

// Show is SHOW; Name "all" lists every setting.
type Show struct{ Name string }

// Explain is EXPLAIN of a statement.
type Explain struct {
	Statement Statement
	Analyze   bool
	Options   map[string]string
}

// Prepare, Execute and Deallocate are SQL's own prepared statements; Text is the statement's text.
type Prepare struct {
	Name  string
	Types []row.Type
	Text  string
}

// Execute runs a Prepare.
type Execute struct {
	Name string
	Args []expr.Expr
}

// Deallocate forgets a Prepare; Name "" is all.
type Deallocate struct{ Name string }

// DeclareCursor, Fetch and CloseCursor are SQL's cursors.
type DeclareCursor struct {
	Name  string
	Query Node
	Hold  bool
}

// Fetch reads from a cursor; Count < 0 is all. Move skips instead.
type Fetch struct {
	Name  string
	Count int64
	Move  bool
}

// CloseCursor closes a cursor; Name "" is all.
type CloseCursor struct{ Name string }

// Lock is LOCK TABLE.
type Lock struct{ Tables []*catalog.Relation }

// Refresh is REFRESH MATERIALIZED VIEW: a view follows by itself, so it only waits until the view is current.
type Refresh struct{ View *catalog.Relation }

// Discard is DISCARD ALL|PLANS|TEMP|SEQUENCES.
type Discard struct{ What string }

// Utility is accepted and does nothing here: VACUUM, ANALYZE, CHECKPOINT, LISTEN, UNLISTEN, NOTIFY, GRANT...; Word is
// its tag.
type Utility struct{ Word string }

func (*Select) Tag() string        { return "SELECT" }
func (*Insert) Tag() string        { return "INSERT" }
func (*Update) Tag() string        { return "UPDATE" }
func (*Delete) Tag() string        { return "DELETE" }
func (*Copy) Tag() string          { return "COPY" }
func (*CreateIndex) Tag() string   { return "CREATE INDEX" }
func (s *Drop) Tag() string        { return "DROP " + s.What }
func (s *Alter) Tag() string       { return s.What }
func (*Truncate) Tag() string      { return "TRUNCATE TABLE" }
func (*CreateSchema) Tag() string  { return "CREATE SCHEMA" }
func (*Comment) Tag() string       { return "COMMENT" }
func (*Show) Tag() string          { return "SHOW" }
func (*Explain) Tag() string       { return "EXPLAIN" }
func (*Prepare) Tag() string       { return "PREPARE" }
func (*Execute) Tag() string       { return "EXECUTE" }
func (*DeclareCursor) Tag() string { return "DECLARE CURSOR" }
func (*Fetch) Tag() string         { return "FETCH" }
func (*Lock) Tag() string          { return "LOCK TABLE" }
func (*Refresh) Tag() string       { return "REFRESH MATERIALIZED VIEW" }
func (s *Discard) Tag() string     { return "DISCARD " + s.What }
func (s *Utility) Tag() string     { return s.Word }

// Tag depends on the kind of relation.
func (s *CreateRelation) Tag() string {
	switch s.Relation.Kind {
	case catalog.MaterializedView:
		return "CREATE MATERIALIZED VIEW"
	case catalog.View:
		return "CREATE VIEW"
	}
	if s.Fill {
		return "SELECT"
	}
	return "CREATE TABLE"
}

// Tag depends on the form.
func (s *Set) Tag() string {
	if s.Reset {
		return "RESET"
	}
	return "SET"
}

// Tag tells whether all are meant.
func (s *Deallocate) Tag() string {
	if s.Name == "" {
		return "DEALLOCATE ALL"
	}
	return "DEALLOCATE"
}

// Tag tells whether all are meant.
func (s *CloseCursor) Tag() string {
	if s.Name == "" {
		return "CLOSE CURSOR ALL"
	}
	return "CLOSE CURSOR"
}

// Tag depends on the kind.
func (s *Transaction) Tag() string {
	return [...]string{"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "ROLLBACK"}[s.Kind]
}
