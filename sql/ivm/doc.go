// Package ivm turns the plan of a materialized view into a circuit.
//
// No query is refused. A plan whose operators all have an incremental form becomes a circuit of them (Incremental); any
// other is run as a whole again after each change of its relations, by a function that the caller gives, and compared with
// its last result (Recompute). Program says which and why, and Explain shows the operators with the size of their state.
//
// On the way down each operator asks its inputs only for the columns that it needs, and cheap functions of one side of a
// join (date_trunc, time_bucket, extract...) are computed below it, so that the join keeps hours and not instants. Keys go
// into the operators in a normal form, in which equal bytes are PostgreSQL's equality.
//
// What an answer may depend on beside the rows is fixed: the time zone is UTC. Queries that call now() or another function
// of the moment or of the session are recomputed with every tick.
//
// The package deliberately does not know where deltas come from, and it executes no plan itself.
package ivm
