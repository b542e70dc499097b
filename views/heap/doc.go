// Package heap is the row store: rows of tables and of materialized views by key, and secondary indexes, in Pebble.
//
// Everything lives in one Pebble instance whose own WAL is off: the log is the WAL. One goroutine writes, a batch at a
// Position:
//
//	b, _ := store.Begin(pos)
//	old, existed, _ := b.Set(rel, key, row)
//	b.Commit()
//
// A Pebble batch enters one memtable as a whole, memtables reach disk in order, and the Position is a key of the batch:
// so what survives a power cut is the state after some batch, with exactly that batch's Position, and replay starts
// there. DurablePosition reads the key through an iterator that sees flushed tables only.
//
// Besides the rows, a batch writes one undo record per changed key: what was there before. They answer two questions
// about the kept past (above UndoFloor): what changed between two Positions (Changes), and what was there at an earlier
// one (Snapshot.AsOf). SetUndoFloor says what nobody needs any more.
//
// A relation without a key is a multiset: the whole encoded row is the key and the value holds how often it is there
// (Batch.AddWeight, SplitWeight).
//
// Reads of single rows do not take a Pebble snapshot (Store.Get); statements that read more use a Snapshot.
//
// docs/format/heap.md is the format. The package deliberately knows no types: keys are bytes in order-preserving
// encoding, rows are bytes, both made by internal/row; it knows no catalog, and who is asked for an index entry is
// the caller's business.
package heap
