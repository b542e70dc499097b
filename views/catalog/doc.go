// Package catalog knows which relation has which shape at which Position: names → schemas.
//
// The catalog is a topic (log.CatalogTopic), keyed by "<object id>/<version>" and never compacted. A Catalog applies its
// records in log order, like any other view, and publishes an immutable Snapshot after each. A record carries two
// independent parts: "topic", which the log itself reads to create or drop the topic, and "relation" or "namespace",
// which are read here; so CREATE TABLE, its topic and the first rows can be one append.
//
// Ids are never reused: the next one follows the highest ever seen, dropped objects included.
//
// The package deliberately does not know SQL text: queries, defaults and checks are stored as text and compiled above.
package catalog
