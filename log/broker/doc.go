// Package broker is the embedded Log: durable on one node, ordered by one sequencer.
//
// An append goes through four stages, each with its own type:
//
//	Submit ─▶ sequencer ─▶ committer ─▶ durable ─▶ applier
//	          checks,      journal      readers    segments,
//	          offsets,     write+sync   see it     commit index,
//	          Position     (group)                 checkpoints
//
// The sequencer holds the state that every ordered append leads to (topics, next offsets, producers) and gives an append
// its place before it is durable. The committer takes all that waits, writes one journal entry, syncs once and completes
// the tickets. The durable stage holds the same state as of the durable end, and the newest entries in memory. The
// applier writes them behind to segments and commit index; at each new journal file it syncs those, writes a state
// snapshot and releases the journal files that recovery no longer needs.
//
// Open loads the snapshot, opens segments and commit index at the sizes it names, and replays the journal from the place
// it names. So a start costs the journal since the last checkpoint, whatever the size of the log.
//
// Memory is bounded: entries not yet in segments take at most Options.TailBytes, after which Submit waits for the disk.
//
// Beside these runs the cleaner: retention and compaction decide on a goroutine of their own, what they decide is an event
// in the journal or a file beside the old ones, and old files go after the snapshot that no longer names them.
//
// Kafka transactions are events too (an id's producer, its partitions, its offsets), checked where appends are ordered;
// the end of one is a single append.
//
// A failed fsync ends the broker: Run returns the error, the appends in the failed group are of unknown outcome, every
// other one is refused. A full disk does not: the appends that did not fit are refused with errs.Unavailable and nothing
// of them remains, reads go on, and appends work again when there is room.
//
// DESIGN.md in the parent directory has the file map and what is not obvious. The package deliberately knows no Kafka
// requests, no SQL, and nothing inside a record but those of the catalog topic.
package broker
