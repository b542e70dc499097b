// Package websocket lets clients follow the changes of a table, stream, view or topic: over WebSocket, and as server-sent
// events for curl -N.
//
//	GET /v1/subscribe?relation=NAME[&snapshot=true][&from=TOKEN]
//
// A subscription pulls: it waits for a version newer than the last one it told of, asks the stores what changed between
// the two, and writes that. A slow reader therefore holds nothing but its own goroutine; when it comes back it gets the
// difference to the newest version, however many ticks lie between. Changes of tables and views come from the heap's undo
// records, those of streams and topics from the log.
//
// A token is a Position. The frames of one version carry the token of the version before but for the last, which carries
// the new one: resuming at any token that was seen loses nothing and never splits a transaction. A token older than what
// is kept gets must_resnapshot.
//
// The package deliberately knows no SQL text.
package websocket
