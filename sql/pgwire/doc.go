// Package pgwire serves PostgreSQL's frontend/backend protocol 3.0 over a sql.Database.
//
//	server.go   listener, limits, life of connections
//	startup.go  SSLRequest, CancelRequest, StartupMessage, first ReadyForQuery
//	conn.go     the message loop: simple and extended protocol, skip until Sync
//	encode.go   RowDescription, DataRow, ErrorResponse into one buffer
//	copy.go     COPY in and out; copytext.go, copycsv.go, copybinary.go its formats
//
// Answers gather in one buffer that is written when the server is about to wait for the client, or when it is full: a
// pipelined batch costs one system call. Messages are read with pgx's pgproto3; every length passes limit.PGMessage first.
//
// Errors carry SQLSTATE and position. A fault of one connection, garbage bytes included, ends that connection alone.
//
// The package deliberately knows no SQL: what a statement means is the session's business.
package pgwire
