// Package commits is the index of appends: for every one its Position, term and index, commit time, transaction id and
// the batches it wrote, with their place in the segments. Segments alone hold neither the boundary of an append nor the
// order between partitions; with this index replay, --to-timestamp and as-of are exact.
//
// An append is a slot of SlotSize bytes, so the one with a sequence is found by arithmetic and the one at a time by
// binary search, without an index in memory. What an append writes beyond one batch stands in an overflow file beside.
// Files are named by the first sequence in them. Appends whose records are all gone leave full files (Thin); what is left
// of such a file is found by binary search, and the Position of an append that has left is still told.
//
// It is written, synced and recovered like the segments: behind the journal, from memory, opened at a State that was
// synced, written again from there on.
//
// docs/format/commits.md draws the format. The package deliberately does not read segments.
package commits
