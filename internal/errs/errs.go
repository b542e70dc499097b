// Package errs is the closed set of error kinds that cross package borders.
//
// An error is made where the fault is understood, wrapped with the operation on its way up, and mapped exactly once
// at each edge: to a SQLSTATE by sql/pgwire, to a Kafka error code by log/kafka, to an HTTP status by connectors.
// What the user reads is Message (what happened, to which object) and Hint (what to do).
//
// It deliberately knows no protocol: SQLSTATE is carried as text because PostgreSQL's users program against it, and
// a kind alone would lose the difference between 42601 and 42703.
package errs

import (
	"errors"
	"fmt"
)

// Kind says what sort of fault an error is, and so what the caller may do about it.
type Kind uint8

// The kinds. A new one needs a mapping at every edge.
const (
	Internal    Kind = iota // our fault; nothing the caller can do
	Invalid                 // the request is malformed or out of range; never succeeds as it is
	NotFound                // the named object does not exist
	Exists                  // the named object exists already
	Conflict                // lost a race (expectation, serialization, fencing); retry from a new read
	Constraint              // data breaks a declared constraint
	Limit                   // a named limit was passed
	Unsupported             // not built; SQLSTATE 0A000, HTTP 404
	Denied                  // not allowed
	Unavailable             // not now: starting, stopping, recovering, disk full; retry later
	Canceled                // the caller went away or a deadline passed
	Corrupt                 // bytes that were known durable are damaged (DESIGN rule 2)
	Unknown                 // the outcome is not known (08007): the write may or may not be durable
)

var kindNames = [...]string{"internal", "invalid", "not found", "exists", "conflict", "constraint", "limit",
	"unsupported", "denied", "unavailable", "canceled", "corrupt", "unknown outcome"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is an error with a kind. The PostgreSQL fields follow PostgreSQL 55.8 (error and notice message fields); they
// are empty outside SQL.
type Error struct {
	Kind    Kind
	State   string // SQLSTATE; empty: the edge chooses by Kind
	Message string
	Detail  string
	Hint    string

	Position   int // 1-based character position in the statement's text, 0: none
	Schema     string
	Table      string
	Column     string
	DataType   string
	Constraint string

	Err error // cause
}

func (e *Error) Error() string {
	if e.Err != nil && e.Message != "" {
		if _, ok := e.Err.(hidden); ok {
			return e.Message
		}
		return e.Message + ": " + e.Err.Error()
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of kind k. %w verbs keep their causes.
func New(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	if _, several := err.(interface{ Unwrap() []error }); several {
		cause = err
	}
	return &Error{Kind: k, Message: err.Error(), Err: hidden{cause}.orNil()}
}

// SQL makes an error with a SQLSTATE; its kind follows the state's class.
func SQL(state, format string, args ...any) *Error {
	return &Error{Kind: kindOfState(state), State: state, Message: fmt.Sprintf(format, args...)}
}

// At sets the 1-based character position in the statement's text.
func (e *Error) At(position int) *Error { e.Position = position; return e }

// WithHint sets the hint: what the user should do.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithDetail sets the detail line.
func (e *Error) WithDetail(format string, args ...any) *Error {
	e.Detail = fmt.Sprintf(format, args...)
	return e
}

// KindOf gives the kind of err: that of the first *Error in its chain, Internal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err has kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// hidden keeps a cause reachable by errors.Is and As without printing it a second time.
type hidden struct{ err error }

func (h hidden) orNil() error {
	if h.err == nil {
		return nil
	}
	return h
}
func (h hidden) Error() string { return "" }
func (h hidden) Unwrap() error { return h.err }

func kindOfState(state string) Kind {
	if len(state) != 5 {
		return Internal
	}
	if state == "08P01" { // protocol violation
		return Invalid
	}
	switch state[:2] {
	case "0A":
		return Unsupported
	case "23":
		return Constraint
	case "28":
		return Denied
	case "40", "55":
		return Conflict
	case "53", "54":
		return Limit
	case "57", "08":
		return Unavailable
	case "XX":
		return Internal
	}
	switch state {
	case "42P01", "42703", "42883", "42704", "3F000", "26000":
		return NotFound
	case "42P07", "42710", "42701", "42P06":
		return Exists
	case "42501":
		return Denied
	}
	return Invalid
}
