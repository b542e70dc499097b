// Package sql is the contract between the doors that speak SQL (sql/pgwire, connectors/http) and the session that runs
// it: Database → Session → Statement → Result.
//
// A statement goes through sql/parse (PostgreSQL's grammar), sql/plan (names, types, one typed plan), and one of three
// executors: sql/exec over the heap, sql/duck over the columnar store, or a circuit (sql/ivm) for a materialized view.
// Writes go through sql/txn, which orders and appends them: sql never writes a view, the views follow the log.
//
// The contract deliberately knows no wire format: values are row.Values, and the door encodes them.
package sql
