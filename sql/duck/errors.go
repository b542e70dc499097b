package duck

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// Unsupported says that DuckDB cannot give exactly PostgreSQL's answer: the row executor must take the statement. It
// comes from Translate, or from Query before the first row.
type Unsupported struct{ Reason string }

func (u *Unsupported) Error() string { return "not for the analytical engine: " + u.Reason }

// DuckDB's error types that are told apart (duckdb_error_type of duckdb.h).
const (
	typeOutOfRange  = 1
	typeConversion  = 2
	typeInterrupt   = 29
	typeFatal       = 30
	typeInternal    = 31
	typeOutOfMemory = 33
)

// raised begins the message of an error that our own SQL or functions raise: "mdb:SQLSTATE:message".
const raised = "Invalid Input Error: mdb:"

// fatal reports whether the DuckDB instance is of no more use.
func fatal(f wire.Failure) bool {
	return f.Type == typeFatal || f.Type == typeInternal || strings.HasPrefix(f.Message, "INTERNAL Error") ||
		strings.HasPrefix(f.Message, "FATAL Error")
}

// translateError turns a DuckDB error into PostgreSQL's. What it does not recognise is Unsupported: the row executor then
// gives PostgreSQL's answer or its error.
func translateError(f wire.Failure) error {
	if text, ok := strings.CutPrefix(f.Message, raised); ok {
		state, message, _ := strings.Cut(text, ":")
		message, _, _ = strings.Cut(message, "\n")
		if len(state) != 5 || state == "range" {
			return &Unsupported{Reason: message + " beyond DuckDB's numbers"}
		}
		return errs.SQL(state, "%s", message)
	}
	switch f.Type {
	case typeOutOfRange, typeConversion:
		if e := outOfRange(f.Message); e != nil {
			return e
		}
	case typeOutOfMemory:
		return errs.SQL("53200", "out of memory").WithDetail("%s", firstLine(f.Message)).
			WithHint("The query needs more memory than the analytical engine may take; raise its limit or narrow the query.")
	}
	if fatal(f) {
		return errs.New(errs.Internal, "the analytical engine failed and is restarted: %s", firstLine(f.Message))
	}
	return &Unsupported{Reason: firstLine(f.Message)}
}

// outOfRange recognises an overflow of PostgreSQL's integer types. DECIMAL and INT128 are not among them: numeric has no
// such limits.
func outOfRange(m string) error {
	if !strings.HasPrefix(m, "Out of Range Error: Overflow in ") &&
		!strings.Contains(m, "is out of range for the destination type ") {
		return nil
	}
	kind := m
	if i := strings.Index(m, "destination type "); i >= 0 {
		kind = m[i:]
	}
	for _, t := range [...]struct{ duck, pg string }{{"INT16", "smallint"}, {"INT32", "integer"}, {"INT64", "bigint"}} {
		if strings.Contains(kind, t.duck) {
			return errs.SQL("22003", "%s out of range", t.pg)
		}
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
