// Package runner makes the views follow the log: log → rows → heap → circuits → columnar → version.
//
// Two goroutines share the work so that a write is acknowledged without waiting for the views:
//
//   - The applier (applier.go) reads whole appends in order, decodes them (or takes the typed rows that SQL attached),
//     applies tables to the heap, and cuts ticks: the changes of every relation between two Positions.
//   - The follower (follower.go) takes the ticks one by one and steps columnar store, circuits and the views' heap,
//     then publishes a Version: everything a statement may read at one Position.
//
// Every store keeps its own Position and skips what it has. After a crash they may all stand at different places; replay
// starts at the lowest and ends a tick at every Position where one stands, so that each store is either behind a tick or
// past it. Changes of tables that the heap has already come from its undo records, never from its newest rows.
//
// A checkpoint (checkpoint.go) flushes the stores, writes every circuit's state at one Position and moves the log's pin.
// A circuit without a checkpoint, be it new or damaged, is synchronised: it computes its whole result at one Position and
// the difference to what the heap holds is applied.
//
// The log's cleaner asks here which row a record of a table's topic changed (compaction.go).
//
// This package is on a floor above processors and views because it is where they are driven; they still meet only in
// internal/delta. It deliberately knows no SQL text: it is given functions that compile codecs and circuits.
package runner
