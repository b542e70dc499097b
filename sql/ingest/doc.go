// Package ingest is the border between a relation's rows and its topic's records, in both directions.
//
// A Codec belongs to one version of one relation. It decodes what Kafka clients produced (JSON values driven by the
// schema, keys in every spelling) into typed rows, and says which records are faults and why: a fault is data too, it
// stands in t__rejected. An Encoder writes what SQL changed as records, with the canonical key, and keeps the typed form
// beside them so that nobody decodes them again.
//
// Avro and Protobuf values, and keys of any relation, name the schema that they were written with by an id (writers.go). A schema
// counts when it was registered before the append that the record takes effect with; else the record is a fault, for ever: waiting
// for a schema would stop everybody, and a clock would decide. Rows that SQL writes are JSON: relations of the other formats
// refuse SQL's rows (sql/plan) and take its deletes.
//
// Decoding is a function of the record, its place (partition, offset, timestamp, Position) and the relation's version, and of
// nothing else: a replay gives the same rows and the same faults. What depends on other rows (UNIQUE, FOREIGN KEY) is
// checked where the prefix is known, in the applier.
//
// The package deliberately knows no transaction and no store.
package ingest
