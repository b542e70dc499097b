// Package parse turns SQL text into PostgreSQL's own parse trees, statement by statement.
//
// The grammar is PostgreSQL 17's, by pg_query: C code without a stack guard, in which "1+1+…" with 64,000 terms ends the
// process. So no text reaches it before a linear scan (guard.go) has bounded what the C code recurses on: bytes, depth of
// brackets, and operators, casts, prefixes and joins in one expression (DESIGN rule 8). The scan reads strings, quoted
// names, dollar quotes and comments as PostgreSQL's scanner does, so that what looks like text to one looks like text
// to the other. Text that C would read otherwise than we do (a NUL byte, bytes that are not UTF-8) is refused.
//
// Errors are PostgreSQL's own message with SQLSTATE 42601 and a position in characters; a passed limit is 54001.
//
// The package deliberately knows no names, types or plans: that is sql/plan.
package parse
