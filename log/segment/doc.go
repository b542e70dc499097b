// Package segment keeps the records of one partition: plain Kafka record batches, as the client sent them, in files that
// are named by their first offset.
//
// A Store is written behind the journal, from memory, by one goroutine (Append, Flush), and synced before the journal
// that holds the same bytes is given up (Sync). Until then a crash may leave anything in the files; recovery opens the
// Store at a State that was synced and writes again what came after. Files are therefore never cut: what is behind the
// State's size is not there.
//
// Beside each file of batches stands a sparse index: one entry about every IndexInterval bytes, or every SequenceStride
// appends of the whole log, with the file position, the highest timestamp before it, and the sequence of the append. So
// it answers three questions: where is an offset, which is the first record at or after a time, and around which append
// was an offset written.
//
// The aborted transactions that ended in the partition stand beside, in the same life (package aborted).
//
// Every batch read is checked by its CRC: a mismatch is errs.Corrupt with the file and the range.
//
// docs/format/segment.md draws the format. The package deliberately knows nothing of topics, of what is durable, and of
// the order between partitions.
package segment
