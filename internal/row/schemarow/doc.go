// Package schemarow turns records whose schema is written elsewhere, Avro and Protobuf, into rows, as jsonrow does for JSON: from
// bytes to values, driven by both schemas, with no document in between.
//
// A Decoder is compiled for one writer's schema and one relation. Fields meet columns by name; a field without a column is
// passed over, a column without a field takes its default, else NULL: so a relation reads all versions of a subject, also those that
// are younger than it. Values are converted to the column's type as an INSERT would be, texts in PostgreSQL's form. What has
// structure goes into json, jsonb or (lists) array columns.
//
//	Avro      union: the value of its branch, null is NULL · enum: its symbol · date, time-*, timestamp-* (timestamptz),
//	          local-timestamp-* (timestamp), decimal, duration (interval), uuid · in json: records and maps are objects
//	Protobuf  a field that is not there: its default (0, "" or what the schema says) where the field has no presence, else missing ·
//	          enum: its name, or its number in an integer column · google.protobuf.Timestamp (timestamptz), Duration (interval),
//	          wrappers · in json: messages are objects of the fields that are set, by their names in the schema; Struct, Value
//
// A fault is an *errs.Error with PostgreSQL's SQLSTATE; a record is taken as a whole or not at all. Lengths are checked
// against the bytes that are there, nesting, items without bytes and the size of JSON against limits.
//
// The package deliberately knows no registry: which schema a record has been written with is told by its caller.
package schemarow
