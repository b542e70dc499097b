// Package pgcatalog shows the catalog as PostgreSQL's own: pg_catalog and information_schema, for the clients that ask
// them what there is.
//
// Every system relation of PostgreSQL 15 is here with its columns, types, order and OID (columns.txt). Its rows are
// computed when it is scanned: from a catalog.Snapshot, from what the session tells about itself, from the registries of
// types and functions, and, where those lack a fact that PostgreSQL's clients join on (operators, casts, operator
// classes), from PostgreSQL's own rows cut down to what we have (rows.txt). A relation without a builder is empty because
// we have none of what it lists: triggers, rules, policies.
//
// How our relations appear:
//
//	table               relkind r, access method heap
//	stream              relkind r, access method columnar, its options as reloptions
//	materialized view   relkind m; its key is a unique index, since a view has no constraints
//	view                relkind v
//	raw topic           relkind f: its rows live outside SQL's tables and are read-only; its foreign server is the log
//	t__rejected         relkind f too, so that what migration tools list as tables is what users made
//
// The topics of our own workings (__time) are not listed. A hidden column (_rowid) is no column here, and a key made of one no key: the user declared none.
//
// The package does not know how the rows are filtered or joined, what privileges users have beyond owning everything,
// or how to execute anything.
package pgcatalog
