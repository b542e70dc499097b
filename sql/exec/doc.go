// Package exec is the row executor: it runs a plan over rows, pulled in batches from below.
//
// Prepare compiles a plan once: expressions to closures, conditions over a scan to bounds on its key or an index, an
// order that a key has already to no sort at all. What comes out is immutable and shared by sessions. Run opens it on a
// Source, which is one snapshot of the relations, with one session's expr.Ctx.
//
// File map: source.go is what the package needs from below; prepare.go compiles, run.go runs; access.go chooses bounds;
// scan.go, simple.go, join.go, aggregate.go, window.go, sort.go, sets.go and with.go are the operators; hash.go holds the
// hash tables over rows.
//
// Rows are never changed once made, so operators pass them on and keep them. A batch (the slice of rows) belongs to the
// operator that made it until it is asked for the next.
//
// What operators hold is counted against MemoryBudget: beyond it a statement ends with 53200 instead of taking the
// server's memory.
//
// The package deliberately knows no transaction, no lock table and no storage format: a Source brings rows, and locks
// those it is asked to lock. It writes nothing.
package exec
