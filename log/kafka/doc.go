// Package kafka serves the Kafka protocol over any log.Log: what stock Kafka clients of the last ten years talk to.
//
// The profile is Kafka 3.9's for the keys of the table in keys.go, one file per key. A connection has two goroutines. The
// reader takes frames, decodes them, and submits produced batches to the log at once, in their order of arrival. The
// writer answers in the order of the requests: a produce when its batches are durable, everything else by serving it when
// its turn comes. So one connection has many batches on their way to the disk, and yet a fetch that follows a produce on a
// connection sees it.
//
//	frame → reader ── produce: Log.Produce, tickets ──▶ queue ──▶ writer: wait for tickets, answer
//	              └── all others: decoded request ────▶ queue ──▶ writer: serve, answer
//
// Record batches pass through untouched: produce checks each batch's header and CRC and hands the log the very bytes that
// came in, fetch writes the log's bytes to the socket (net.Buffers). Nothing is done per record.
//
// Consumer groups are log/group's state machine; coordinator.go drives it, stores committed offsets as records of
// __consumer_offsets in Kafka's own format, and replays them in Open.
//
// Every length that a client writes passes a limit before memory is taken for it: frames grow as their bytes arrive
// under a budget of the whole server, and decoding has a budget of its own (frame.go). Bad bytes cost their own
// connection only.
//
// Topics are catalog objects: they are made and dropped through the Catalog of the Options, which gives them ids that are
// never used twice.
//
// Open recovers; Serve owns all goroutines and returns when the last one has ended, so that there is nothing to close.
//
// The package deliberately knows no SQL and no schema (a topic's admission hook stands behind
// Log.Produce), keeps nothing of transactions (they are the log's), and knows no other broker: it is the leader of everything.
package kafka
