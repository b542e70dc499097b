// Package registry is the schema registry's door: Confluent's REST API over log/schemas.
//
// The server mounts it under /registry of its HTTP address, so a client's base URL is http://127.0.0.1:8080/registry: the
// API's own paths (/schemas, /config) would meet the server's. Served are
//
//	/schemas, /schemas/types, /schemas/ids/{id} with /schema, /subjects, /versions
//	/subjects, /subjects/{subject}, .../versions, .../versions/{version} with /schema, /referencedby
//	/compatibility/subjects/{subject}/versions and .../{version}
//	/config, /mode, and both of a subject
//	/contexts, /v1/metadata/id, /v1/metadata/version
//
// with the error codes of the API (schemas.Code). Contexts, metadata, rules, aliases, tags, encryption and guids are not
// there: a schema that has rules is refused, because they would not be kept.
//
// The package deliberately decides nothing: what may be registered is in log/schemas.
package registry
