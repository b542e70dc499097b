// Package keys is the index of keys that a topic may ask for (miracle.key.index): for every record of a partition the
// SHA-256 of its key and its offset, so that the last record of a key and its history are found without a scan.
//
// SHA-256 names a key: all names have one length whatever the keys are, and two keys of one name are not to be found, so
// that equality of names is equality of keys.
//
// It is derived: an entry says no more than the segments do, entries may be added again in any order, and an index that
// is missing or damaged is built anew from the records. It is a Pebble of its own, without a WAL (the journal is one),
// flushed before the snapshot that replay begins from, and made by the first topic that asks for it: a log without such a
// topic has none.
//
// docs/format/keys.md draws the format. The package deliberately knows nothing of topics' settings, of transactions'
// outcomes, and of which offsets a partition still keeps.
package keys
