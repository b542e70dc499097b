// Package wire is what the parent and the DuckDB child say to each other: frames, the query message, and the raw columns
// of results. Both ends are the same binary; the version in Hello only catches a mistake in starting the child.
//
// It deliberately knows neither DuckDB nor PostgreSQL's types.
package wire
