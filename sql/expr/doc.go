// Package expr holds SQL's scalar expressions: the typed tree, PostgreSQL's functions, operators, casts and the rules
// that choose between overloads, and evaluation over a row.
//
// The tree is the meeting point of three executors: the row executor evaluates it here, sql/ivm evaluates it over Arrow
// columns, sql/duck writes it as DuckDB SQL where DuckDB gives PostgreSQL's answer. One tree, one answer: a differential
// test holds them together with PostgreSQL.
//
// The package deliberately knows no relation, no plan (a subquery is an opaque Subplan) and no session beyond Env.
package expr
