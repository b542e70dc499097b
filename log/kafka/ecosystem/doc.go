// Package ecosystem has the conformance tests that run the programs of Apache Kafka's own distribution against a whole
// server: Kafka Streams, Kafka Connect, MirrorMaker 2. Applications are killed, and the server too.
package ecosystem
