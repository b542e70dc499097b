// Package plan turns a parsed statement into a checked, typed plan: names resolved against one catalog snapshot, types
// by PostgreSQL's rules, every implicit cast written out, permissions left to whoever runs it.
//
// plan.go holds the relational operators, statement.go the statements. expression.go starts where an expression does:
// operator.go, call.go, aggregate.go, sublink.go and subscript.go check its kinds, coerce.go gives values their types,
// place.go says what may stand where. Analysis is a pure function of (parse tree,
// catalog snapshot, parameter types, search path): it reads no data and no clock, so a plan may be cached by text and
// catalog version.
//
// The package deliberately does not choose an executor: the session's router does.
package plan
