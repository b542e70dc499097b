// Package views is the contract of the stores that hold what was computed from the log: views/heap (rows by key, in
// Pebble) and views/columnar (Arrow tails and Parquet segments).
//
// A store is a function of a log prefix. It stands at one Position, which it keeps in the same atomic write as its data,
// and it never knows more or less than that prefix. Three positions matter:
//
//	Position          what has been applied; readers see it
//	DurablePosition   what would be left if the machine stopped now; never above Position
//	log end           what has been acknowledged; never below any store's Position
//
// # One writer
//
// One goroutine, the applier, writes a store; any number read it. The applier hands every append (or a group of
// appends, a tick) with the Position of its last one. What a store already has, it skips, so after a restart the applier
// reads the log from the lowest DurablePosition of all stores and hands everything to everybody. The rule that makes
// this exact: while it replays, a tick ends at every Position where some store stands (Positions), so no tick is half
// known to a store.
//
// # Heap and columnar
//
// The heap is applied by the runner before a commit by SQL is acknowledged; columnar and the circuits follow once a tick.
// Their Positions differ, while running and more so after a crash. The heap keeps an undo record for each change above
// its undo floor, so what changed between two Positions (Changes) and what was there at an earlier one (AsOf) is exact for
// whoever lags behind: nobody computes a delta from the newest row.
//
// Statements that read several relations need them at one Position: the runner publishes a version after each tick
// (Latest), which holds a snapshot of each store; the version a reader acquired stays readable until it is released.
//
// The package deliberately knows no SQL, no circuit and no record format: keys and rows are bytes made by internal/row,
// columns are Arrow's.
package views
