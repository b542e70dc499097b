// Package jsonrow turns a record's JSON object into a row and a row into JSON, driven by the schema (DESIGN section 5).
//
// A Decoder is compiled from a schema once and then reads records without maps, reflection or allocation: it expects the
// fields in the schema's order, which is how programs write them, and looks a field up by hash when it comes elsewhere.
//
// What is read, for a column of type:
//
//	int2, int4, int8, oid   a number or a string with one; 5.0 and 5e0 are 5, 5.5 is a fault
//	float, numeric          a number, or a string in PostgreSQL's form ("NaN", "Infinity"); numeric is rounded to its scale
//	bool                    true, false, or a string in PostgreSQL's form ("t", "no")
//	text types              a string; a number or boolean gives its JSON text, an object or array is a fault
//	dates and times         a string, ISO 8601 or PostgreSQL's form; a number is a fault (epochs come in four units)
//	interval, uuid, bytea   a string in PostgreSQL's form (bytea "\\x00ff")
//	json, jsonb             any value, as it stands; a string is a JSON string
//	arrays                  a JSON array, nested for more dimensions, or a string in PostgreSQL's form
//
// null is NULL in every column. A field that no column has is checked as JSON and ignored; of equal names the last counts,
// but a fault in an earlier one is a fault. A missing field takes the column's default, else NULL. Bytes that are not one
// JSON object in UTF-8, nested too deep (limit.JSONDepth), or a NULL in a NOT NULL column, are faults.
//
// A fault is an *errs.Error with PostgreSQL's SQLSTATE; its text names the column. A record is taken as a whole or not at all.
//
// Out: numeric as a number with its scale, int64 as a number, NaN and the infinities as strings, timestamps in ISO 8601, bytea
// as "\\x…", arrays as arrays, json and jsonb inline. What AppendJSON writes a Decoder reads back equal.
//
// The package deliberately knows no topic, no table and no clock.
package jsonrow
