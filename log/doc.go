// Package log is the contract of the log: the partitioned, durable, totally ordered sequence of appends that everything
// else in MiracleDB is computed from.
//
// Three things hold for every implementation, and log/logtest proves them:
//
//   - An append is atomic over all the partitions it names, and is acknowledged only once it is durable.
//   - Every append gets the next Position. Reading from a Position gives whole appends in their first order.
//   - Within a partition, offsets are dense per append and never change.
//
// log/external keeps the contract over a Kafka cluster. log/broker is the embedded implementation: a journal that all partitions share (log/journal, one fsync for all of
// them), one set of segment files per partition (log/segment), and an index of appends (log/commits). log/kafka serves
// the Kafka protocol over any Log. log/record reads and writes Kafka record batches.
//
// The log deliberately knows no SQL types, no schema and no relation. A topic may have an admission hook (Admit), which
// is how a produce to a table's topic meets the sequencer above.
package log
