// Package record reads and writes Kafka record batches, version 2 (magic 2, KIP-98): the one shape in which records are
// stored, sent and backed up.
//
// A batch is a header of HeaderSize bytes and its records, which may be compressed as a whole. The base offset and the
// leader epoch stand outside the CRC, so the log sets them in place (SetBaseOffset, SetLeaderEpoch) and never touches
// the records. Parse checks the header, the length and the CRC, and costs nothing per record.
//
// An Iterator walks the records of one batch after another. It owns the buffer that a compressed batch unfolds into and
// reuses it: what Next gives is valid until the next Reset. A Builder makes batches.
//
// A batch of 1 MiB may claim to unfold into gigabytes: limit.Decompressed bounds it for every codec.
//
// The package deliberately knows no offsets but those it is given, no topics, and no older message formats (magic 0 and
// 1 died with Kafka 4.0).
package record
