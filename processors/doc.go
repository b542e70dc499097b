// Package processors turns changes of relations into changes of views.
//
// The model is DBSP's (Budiu and others, VLDB 2023): a view is a circuit, a directed acyclic graph of operators. Its wires
// carry Z-sets, rows with integer weights, as Arrow columns. One tick cuts all inputs at one log Position; each operator
// maps the tick's input deltas to an output delta and updates its state, so that the sum of all output deltas is at every
// tick what the query would answer over the log's prefix.
//
//	processors          the contract: Batch, Operator, Circuit
//	processors/state    keyed state: flat hash tables, byte arenas, ordered multisets, checkpoints of them
//	processors/op       the operators: map, filter, join, aggregate, distinct, set operations, top-k, recompute
//	processors/circuit  the graph of operators and its tick
//
// Everything here is a stepped state machine: inputs in, effects out. No goroutine, no clock, no file and no random source
// is inside, so the same history gives the same view under any cut into ticks and across restarts. Time reaches a circuit
// as rows of a relation.
//
// It deliberately knows no SQL and no storage: computations of a query (expressions, conditions) enter operators as
// functions over Arrow records, and who keeps a checkpoint's bytes is the caller's business.
package processors
