// Package bench runs whole scenarios against a server of its own, beside their peers, in one go and on the same data.
//
// A bench starts this program's serve in a temporary directory on free ports, speaks to it as any client does (Kafka,
// PostgreSQL and WebSocket protocols), and compares every answer with the peer's. The peer is the real thing: DuckDB from
// its own Python package, PostgreSQL 15 in a cluster of its own. What is compared by time runs in turn, several times, and
// the medians count.
//
// Memory is the resident memory of the server with its children, sampled from /proc: pages of mapped files are counted,
// and pages that two of the processes share are counted twice.
//
// The package deliberately knows no commands and no flags, and nothing of the server's inside.
package bench
