// Package txn orders the writes to tables. One node has one Sequencer; DESIGN section 6 is its rule book.
//
// A transaction (Tx) gathers row changes in memory, each under a row lock. Commit takes the sequencer's mutex, checks
// what must hold, submits one append to the log, shows the rows as pending to the writers that come after, lets go of
// the locks, and only then waits for the disk: a hot row is limited by the mutex, not by one commit per fsync. The next
// writer may build on a pending row, because its own entry comes later in the same journal and cannot be durable
// without it; everybody else reads durable rows.
//
// A record produced by a Kafka client into a table's topic takes its place in the same order (Admit): it waits for no
// lock, and a transaction that had locked the row it replaces ends with 40001.
//
// The locks are a stepped state machine (locks.go): no goroutine, no clock. The package deliberately does not know SQL
// text, plans or how a row is encoded in a record: sql/ingest does.
package txn
