// Package backup copies the log to a repository and builds a log again from it, as it was at any append.
//
//	log ──ReadFrom──▶ blocks (zstd, named by their SHA-256) ──▶ repository ──▶ entries up to a cut ──▶ broker.Restore
//	                  manifest (written last)               ──▶
//
// A backup is the log itself: every append with its Position, commit time and transaction, in order, cut into blocks of
// about 4 MiB. The catalog and the committed offsets of consumer groups are topics of the log, so they are in it. Tables
// and views are functions of the log and are computed again after a restore.
//
// A manifest names every block that its state needs, so no backup depends on another one. An incremental backup takes
// over the list of the one before and adds blocks for what was appended since. A backup counts once its manifest is
// there; one that was cut short leaves blocks that nothing names, which Prune removes.
//
// Create, List, Verify, Prune and Restore work on a Store: four operations on named objects, and a lock that keeps
// writers apart. Directory is the one built; object stores fit the same interface and format.
//
// docs/format/backup.md draws the format, DESIGN.md says why it is so. The package deliberately knows no SQL, no view and
// nothing of a data directory beyond where the log is in it.
package backup
