// Package columnar is the column store: what scans, joins and aggregates read.
//
// A relation is a list of immutable Parquet segments and a tail. New rows enter the tail as Arrow records; every 2,048
// of them are sealed, written as one Arrow IPC message to the tail file (which the analytical engine's process maps) and
// kept in memory; the few that remain open go inline with a query. A flush turns a tail into a segment in the background:
// the tail is frozen, a new one takes over, the live rows of the frozen one are written, the manifest is replaced, and only then the
// frozen tail goes. Readers are never blocked: they hold versions, and a file is removed when no version names it.
//
// A row that is replaced or deleted is marked dead where it stands (a bitmap per segment and tail); nothing is updated in
// place. Where a key's row stands is found in the tail's hash map or in the segments' key files (sorted hashes, written
// with the segment, mapped). A key file is part of its segment, so the index is right after every crash by construction; an
// index in the heap's Pebble would be ahead of or behind the manifest and would need an undo of its own.
// A flush folds in small segments and those with many dead rows, so compaction is not a second mechanism.
//
// One goroutine, the applier, calls Apply once per tick with everything that changed. The store stands at one Position
// while it runs; on disk each relation has its own, that of its last flush. After a restart the applier replays from
// DurablePosition and ends a tick at each of Positions; what a relation already has is skipped here.
//
// docs/format/columnar.md is the format. The package deliberately knows no SQL, no catalog and no DuckDB: a relation is an
// Arrow schema and keys are bytes.
package columnar
