// Package schemas is the schema registry's state: which schema stands in which version of which subject, and under which id.
//
// All of it is what the records of one topic say, `_schemas` (log.SchemasTopic), in the format of Confluent's Schema Registry,
// so that a registry's topic that was copied here can be read, and ours by a registry:
//
//	records.go    bytes of records
//	state.go      the state, a function of the records up to an offset: stepped, without a clock or a log
//	store.go      reading the topic up to its end; one write after another, each conditional on the offset that was read
//	register.go   what the operations decide: register, look up, delete, levels and modes
//	turn.go       how many are at work at once
//	admission.go  topics that want records with a schema
//	errors.go     why they refuse, with the codes of the API
//
// An id means for ever what it meant first. The topic's config is compact, as a registry asks, with a min.compaction.lag.ms
// of for ever: its records are what the bytes of other topics mean, and are kept as long as those can be read again. So
// Writer(id, position), the schema of an id that was registered before an append, is a function of the log.
//
// Schemas are read and compared without a lock, of what was read under it (basis); a write happens only if that is still so.
//
// The package deliberately knows no HTTP (connectors/registry) and no relation (sql/ingest).
package schemas
