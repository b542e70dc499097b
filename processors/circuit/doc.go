// Package circuit is the graph of operators of one materialized view, and its tick.
//
// A Graph is built from the inputs up: a node's inputs exist before it, so the order of nodes is a topological order and
// the graph has no cycle. A wire may feed several nodes. Circuit runs the nodes in their order, once a tick, consolidates
// what the last one gives, and counts positions.
//
// A checkpoint is the version of the format, a hash of the plan, the Position, and each stateful operator's section, all
// under checksums (docs/format/circuit.md).
//
// The package deliberately does not know where deltas come from or where the view is kept.
package circuit
