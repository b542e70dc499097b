// Package duck is the analytical engine: DuckDB in a child process of the same binary, and the translation of checked
// plans into its SQL.
//
// Why a process: DuckDB's memory_limit does not cover results and large values, an internal error invalidates the whole
// instance, and memory that it cannot get ends the process. In a child all this costs the queries in flight, never the
// log. The child has its own memory limit from the operating system (RLIMIT_DATA), dies with its parent (parent-death
// signal, and end of file on its socket), and can read no file outside the directories that it was given.
//
// The story of a query:
//
//	Translate(plan)           SQL in fragments; between two fragments stands the scan of a relation
//	Engine.Query(t, sources)  takes an idle slot (a socket pair with one DuckDB connection at its other end), sends the
//	                          fragments and, per relation, what this snapshot of it consists of (Source)
//	child                     puts the relations into the text: read_parquet over segments, our own table function over
//	                          tail and inline batches, a bitset function for deleted rows; runs it, streaming
//	Rows                      decodes raw column buffers into typed batches; a slow reader stops the child by the
//	                          socket's own flow control
//
// The parent decides every snapshot: the child never reads a current length. What is immutable (segments, sealed
// batches, deletion bitmaps under a version) is cached in the child and named by key afterwards; a child that has lost
// it answers so, and gets it again.
//
// Translation is an allow-list: every function, operator, cast and node has an entry that says how DuckDB gives exactly
// PostgreSQL's answer. What has none is *Unsupported, and the row executor takes the statement. A value that DuckDB's
// numbers cannot hold (numeric above 38 digits) is *Unsupported too, found while running.
//
// The package deliberately knows no session, no catalog and no store: whoever calls it turns a snapshot into Sources.
package duck
