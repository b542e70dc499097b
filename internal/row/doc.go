// Package row holds what a row is: PostgreSQL's types, values, schemas, and every form that a value takes on its way
// through the system: text and binary (the PostgreSQL wire), JSON (a record's value), Arrow (deltas and segments), an
// order-preserving key (the heap) and a compact row (the heap).
//
// One type has one text form and one meaning everywhere, PostgreSQL's; the tests hold the forms equal.
//
// The package deliberately knows no expression, no relation and no catalog.
package row
