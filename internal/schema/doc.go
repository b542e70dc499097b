// Package schema reads the schemas of records: Avro, JSON Schema and Protobuf, in the forms in which clients of Confluent's
// Schema Registry write them, tells which texts are the same schema, and which schemas may follow each other.
//
// Parse bounds a text (bytes, nesting) before a library sees it, and never loads anything: what a schema refers to comes
// with it. Follow applies a registry's level to a subject's history, comparing schemas as a reader and a writer within a
// bounded number of steps.
//
//	avro.go       hamba/avro: parsing
//	protobuf.go   protocompile: text or base64 of a FileDescriptorProto; the printed text of the latter
//	json.go       santhosh-tekuri/jsonschema: validity
//	comparison.go pairs of schemas that have been compared, the work left, reasons with their places
//	*compat.go    what may change
//	frame.go      how a record names its schema (magic byte, id, message indexes)
//
// The package deliberately knows no subject, no id's owner and no log: see log/schemas.
package schema
