// Package worker is the DuckDB child process: it opens one in-memory database, takes sockets over the control socket,
// and answers on each one query at a time with streamed raw columns.
//
//	engine.h, query.c, encode.c   running a statement and writing its chunks as raw columns
//	functions.c                   mdb_batches (table function), mdb_deleted, mdb_quotient (PostgreSQL's numeric division)
//	main.go, slot.go              the process and its conversations
//	relation.go                   putting a snapshot's parts into the text of a query
//	batches.go, cache.go          Arrow batches converted to DuckDB chunks; what is kept between queries, by key
//
// Non-obvious: a batch has at most 2048 rows (a larger chunk crashes joins); a chunk's Arrow memory hangs on its first
// column, so the chunk is kept, never single vectors; FetchChunk gives NULL for the end and for an error.
//
// The package deliberately trusts its parent: the messages come from the same binary, over a socket nobody else has.
package worker
