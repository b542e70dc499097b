// Package anomaly checks a history of what clients of a partitioned log did and were told, for the anomalies of Jepsen's
// Kafka workload (jepsen/src/jepsen/tests/kafka.clj): lost writes, aborted reads, inconsistent offsets, duplicates, polls and
// sends that go back or leave something out, and cycles of dependencies (Adya's G0 and G1c).
//
// Every value is written once. Offsets that anybody saw make each partition's order of versions; what an operation read and
// wrote makes the edges between operations. Kafka's transactions are atomic and not isolated, so cycles that need an edge
// from write to write (G0, and G1c with one) are no fault of theirs: a caller says which kinds it forbids.
//
// The package deliberately knows no protocol, and no anti-dependencies (G2).
package anomaly
