// Package session runs SQL statements: it is the only place where parser, planner, executors, transactions and stores
// meet.
//
//	session.go   Database and Session: the contract of package sql
//	prepare.go   text → plan, cached by text and catalog version
//	execute.go   one statement, by its kind
//	route.go     which executor answers a query, and why (EXPLAIN says it)
//	source.go    what the row executor reads: the newest rows, a version, or a transaction's own
//	analytic.go  what the analytical engine reads
//	write.go     INSERT, UPDATE, DELETE, COPY FROM: locks, re-checks, constraints
//	define.go    DDL: catalog records
//	settings.go  SET and SHOW
//
// Consistency (DESIGN section 7): a statement on tables alone that the row executor answers reads the newest
// applied rows: SQL's writes are acknowledged once they are, Kafka's a moment earlier.
// One that the analytical engine answers waits for a version at or after the durable end at its start. One that names a
// materialized view reads everything at one version at or after the session's Position, which its own commits and every
// version it reads move forward.
package session
