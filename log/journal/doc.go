// Package journal is the one sequential file set that every partition of a node shares: what is in it after Sync is
// durable, and nothing is acknowledged before.
//
// A journal is a chain of entries over numbered files of one size. Each entry carries a CRC, its term and index (so that
// Raft can replicate it later in the same format), the CRC of the entry before it (the chain), the salt of its file, and
// the place up to which the journal was synced when the entry was written. The last is what tells a power cut from
// damage: see Open.
//
// Files are zero-filled ahead of use and recycled under a new salt, so that in the steady state a sync changes no
// metadata. The header of a file names where the file before it ends, and is synced before the first entry goes in; a
// file is left only when all of it is synced. So only the last file can have a torn tail.
//
// What remains of a failed or torn write is never erased: the next entry overwrites its beginning, and the chain makes
// whatever valid-looking entry stands behind it unacceptable.
//
// An error of Sync is final (DESIGN rule 2): the journal refuses everything after it. A failed Write (disk full) is not:
// the entry is not in the journal and Write may be tried again.
//
// docs/format/journal.md draws the format. The package deliberately knows nothing of what an entry holds.
package journal
