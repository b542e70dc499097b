package sql

import (
	"context"
	"time"

	"github.com/miracledb/miracledb/internal/row"
)

// Database opens sessions.
type Database interface {
	// Open starts a session. Errors: 3D000 (no such database), 28000 (no such user), 53300 (too many), 57P03 (not ready).
	Open(ctx context.Context, o Options) (Session, error)
	// Cancel asks the statement that the session with this key is running to end with 57014; a wrong key does nothing.
	Cancel(pid int32, secret uint32)
}

// Options are what a client says when it connects.
type Options struct {
	User     string
	Database string
	Remote   string
	// Settings are the startup parameters by their PostgreSQL names (application_name, TimeZone, options...).
	Settings map[string]string
}

// TxStatus is the transaction state that ReadyForQuery reports.
type TxStatus byte

// The states.
const (
	Idle     TxStatus = 'I'
	InTx     TxStatus = 'T'
	FailedTx TxStatus = 'E'
)

// Session is one client's conversation. Its methods are called by one goroutine, except Cancel of the Database.
type Session interface {
	// Key is what CancelRequest needs.
	Key() (pid int32, secret uint32)

	// Parse splits a text into its statements. A syntax error is 42601 with its position in text; an empty text gives
	// none. Each Statement remembers its own part of the text.
	Parse(text string) ([]Statement, error)

	// Prepare checks and plans a statement; types are those the client declared (zero OID: infer).
	Prepare(ctx context.Context, s Statement, types []row.Type) (Prepared, error)

	// Execute runs a prepared statement. Outside a transaction block it runs in an implicit one that ends at Sync: the
	// write is durable, and visible as DESIGN section 7 says, when Sync returns. An error puts the block in FailedTx.
	Execute(ctx context.Context, p Prepared, args []row.Value) (Result, error)

	// Sync ends the implicit transaction, if there is one: commits it, or rolls it back when a statement failed.
	Sync(ctx context.Context) error

	// Status is the state to report.
	Status() TxStatus

	// Setting reads a run-time setting (SHOW).
	Setting(name string) (string, bool)
	// Reports gives the settings to be reported (ParameterStatus) that changed since the last call; at first all.
	Reports() []Setting
	// Notices gives the notices raised since the last call.
	Notices() []Notice
	// Location is the session's time zone, for text output of timestamptz.
	Location() *time.Location
	// Cursor gives the columns of a cursor that SQL's DECLARE opened: it is a portal of that name.
	Cursor(name string) ([]Column, bool)
	// Objects are those of the catalog, for text forms of reg* types.
	row.Objects

	// Close rolls back what is open.
	Close() error
}

// Setting is a run-time setting and its value.
type Setting struct{ Name, Value string }

// Notice is a message that is no error.
type Notice struct {
	Severity string // NOTICE, WARNING, INFO
	State    string
	Message  string
	Detail   string
	Hint     string
}

// Statement is one parsed statement.
type Statement interface {
	// Text is the statement's own text.
	Text() string
	// EndsBlock reports whether it is COMMIT or ROLLBACK: allowed in a failed transaction.
	EndsBlock() bool
}

// Column describes one column of a result.
type Column struct {
	Name string
	Type row.Type
	// Table and Attribute name the table column that this is; zero for an expression.
	Table     uint32
	Attribute int16
}

// Prepared is a checked statement with its parameters' and result's types.
type Prepared interface {
	Params() []row.Type
	// Columns is nil when the statement returns no rows.
	Columns() []Column
	Statement() Statement
}

// Result is a running statement: a stream of batches of rows, or a COPY.
type Result interface {
	// Columns is nil when no rows are returned.
	Columns() []Column
	// Next gives the next rows, at least one, or io.EOF. The rows are valid until the next call.
	Next(ctx context.Context) ([]row.Row, error)
	// Tag is the command tag, complete once Next has given io.EOF: "SELECT 5", "INSERT 0 1", "CREATE TABLE".
	Tag() string
	// Copy is not nil when the statement is a COPY: the door sends (Out) or feeds (In) its rows in the format asked for.
	Copy() *Copy
	// Close ends the statement early; its writes stay in the transaction.
	Close() error
}

// CopyFormat is the format of a COPY with PostgreSQL's options, defaults filled in.
type CopyFormat struct {
	Format       string // text, csv, binary
	Delimiter    byte
	Null         string
	Header       bool
	HeaderTest   bool // HEADER MATCH
	Quote        byte
	Escape       byte
	ForceQuote   map[string]bool // column names; "*" for all
	ForceNull    map[string]bool
	ForceNotNull map[string]bool
}

// Copy is a COPY in progress. For COPY TO the rows come from Result.Next.
type Copy struct {
	In      bool
	Format  CopyFormat
	Columns []Column
	// Write takes rows of Columns (COPY FROM); Done ends it well and makes the Result's Tag; Fail abandons it.
	Write func(ctx context.Context, rows []row.Row) error
	Done  func(ctx context.Context) error
	Fail  func(err error)
}
