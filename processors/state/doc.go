// Package state holds what operators remember between ticks, in flat memory.
//
//	Arena        byte strings in large chunks, addressed by 4-byte Refs, freed by size class
//	Table        a hash table from byte strings to dense ids: 8-byte slots of (hash, id), linear probing
//	Codec        Arrow rows to byte strings and back, column by column
//	Arrangement  a multimap from key to weighted rows, with a degree per row: the two sides of a join
//	Ordered      many small ordered multisets: extremes under retraction, top-k
//	Writer, Reader  the checkpoint form of all of these, with a checksum per section
//
// Values that belong to a key are the owner's own slices, indexed by the key's id. Ids are reused after Delete, so owners
// delete only at the end of a tick, and reset what they hold for the id.
//
// No Go map and no pointer per entry: the garbage collector's marking does not grow with the state, and a million random
// updates take 13–30 ns each where a Go map takes 60–130 (reference/processors.md, 3.5; BenchmarkTableUpdate).
//
// A state that outgrows its addresses (32 GiB of bytes or 2^32-2 entries in one structure) panics with an errs.Limit error,
// which the circuit's tick turns into its own error.
//
// The package deliberately knows neither weights' meaning nor what a row is made for.
package state
