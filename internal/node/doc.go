// Package node is the composition root: it opens every part of a server in the right order, wires them, runs them and
// closes them.
//
//	log → tables' heap, views' heap, columnar → catalog, runner → sequencer, sessions → doors
//
// Open recovers and starts nothing; Run owns every goroutine; Close lets go. Run stops in the opposite order: first the
// doors (clients are told), then what follows the log, last the log itself, so that what was accepted is finished.
//
// This is where the pieces that may not know each other meet: the runner's functions that compile SQL, the sequencer's
// admission hooks on topics, the Kafka server's catalog. It is also where errors end: below it they are returned, here
// they are logged.
package node
