package expr

import (
	"time"

	"github.com/miracledb/miracledb/internal/row"
)

// FuncKind says where a function may stand.
type FuncKind uint8

// The kinds (pg_proc.prokind; a set-returning function is a function with proretset).
const (
	ScalarFunc FuncKind = iota
	AggregateFunc
	WindowFunc
	SetFunc
)

// Volatility follows pg_proc.provolatile. Only immutable and stable functions may be folded within a statement; a
// materialized view takes immutable ones (and now() by way of the log's time).
type Volatility uint8

// The volatilities.
const (
	Immutable Volatility = iota
	Stable
	Volatile
)

// Func is one overload of a function or operator. Funcs are unique: compare pointers.
type Func struct {
	OID  row.OID // our own or PostgreSQL's pg_proc oid; for pg_proc
	Name string
	Args []row.OID
	// Variadic, when not 0, is the element type of any number of further arguments.
	Variadic row.OID
	// Ret is the result type; AnyArray and friends have been resolved in Call.Typ.
	Ret    row.OID
	Kind   FuncKind
	Volat  Volatility
	Strict bool // NULL when an argument is NULL, without calling Eval

	// Eval computes a scalar function. Args are never changed and may be kept.
	Eval func(ctx *Ctx, args []row.Value) (row.Value, error)
	// Set computes a set-returning function: the rows it returns (one Value per column of its result).
	Set func(ctx *Ctx, args []row.Value) ([]row.Row, error)
	// SetColumns are the names and types of Set's columns.
	SetColumns []row.Column
	// Aggregate makes the state of an aggregate or of a window function over a frame.
	Aggregate func() Accumulator

	// What the registry adds: forms without a slice of arguments, and forms that know a call's types (Bind...).
	eval1         func(a row.Value) (row.Value, error)
	eval2         func(a, b row.Value) (row.Value, error)
	bind          binder
	bindSet       func(args []row.Type, result row.Type) func(ctx *Ctx, args []row.Value) ([]row.Row, error)
	bindAggregate aggregate
}

// Accumulator is the state of one aggregate over one group.
type Accumulator interface {
	// Add takes one row's arguments; strict aggregates are not called with NULLs.
	Add(ctx *Ctx, args []row.Value) error
	// Result is the aggregate of what was added; it may be called more than once.
	Result(ctx *Ctx) (row.Value, error)
}

// Ctx is what evaluation may know beside the row.
type Ctx struct {
	// Params are the values of $1...
	Params []row.Value
	// Now is the transaction's start, StatementTime the statement's (now(), statement_timestamp()).
	Now, StatementTime time.Time
	// Clock gives clock_timestamp(); nil: StatementTime.
	Clock    func() time.Time
	Location *time.Location
	// Outer holds the rows of the surrounding query levels, innermost last: Depth 1 is the last.
	Outer []row.Row
	// Check gives an error when the statement is to end. Whatever makes a large value calls it; nil: it never is.
	Check func() error
	// Run executes a Subplan with the outer rows of this Ctx (and the current row pushed by the caller), calling emit
	// for each row until it returns false. The executor sets it.
	Run func(ctx *Ctx, p Subplan, emit func(row.Row) (bool, error)) error
	// Env answers what only a session knows: settings, names, privileges. Nil in views and in constraints.
	Env Env
}

// Env is the session as functions see it (current_setting, regclass, pg_get_viewdef...).
type Env interface {
	Database() string
	User() string
	BackendPID() int32
	SearchPath() []string
	Setting(name string) (string, bool)
	SetSetting(name, value string, local bool) error
	// Describe answers catalog functions by PostgreSQL's function name with their evaluated arguments, such as
	// ("pg_get_viewdef", oid); ok is false when it has no such object (the function then returns NULL).
	Describe(function string, args []row.Value) (v row.Value, ok bool, err error)
}
