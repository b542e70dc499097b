// Package external is the log on a Kafka or Redpanda cluster: the contract of package log over topics of the cluster.
//
// One writer, fenced by a transactional id, puts what was submitted into one Kafka transaction at a time. The transaction's
// last records go to the topic __commits, one for each append: which offsets of which partitions it has, and its Position.
// What __commits does not name was not appended. Records that other clients produce are found by a scanner and named in
// __commits too: so the order of Positions is the order of __commits, for ever, whoever wrote the records.
//
// DESIGN.md says who orders what, what a crash leaves, what a zombie can do, and what is lost against log/broker. The package
// deliberately keeps nothing on the disk: the cluster has it.
package external
