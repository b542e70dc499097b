// Package aborted remembers the aborted transactions of one partition on the disk, in the order of their markers: who reads
// committed records asks which of the producers' records between two offsets to leave out, and compaction asks the same.
//
// An Index is a queue of slots of SlotSize bytes, in files that are named by the marker of their first slot: transactions
// come at its end, and are forgotten from its front (Forget) by whole files. Each slot says below which offset no transaction
// has records that ended after it (Kafka's last stable offset in a .txnindex), so that a reader knows when it has met all that
// concern him. In memory are 24 bytes for every stride slots of the files that were asked.
//
// It is written, synced and recovered like the segments that it stands beside: behind the journal, opened at a State that was
// synced, written again from there on.
//
// docs/format/aborted.md draws the format. The package deliberately does not read segments.
package aborted
