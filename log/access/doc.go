// Package access is who may come in and what they may do: users with their SCRAM keys, ACLs and quotas, over the
// properties of a log.
//
// All of it is a function of the log's Properties. A Store makes of each Properties a Snapshot to look things up in, and
// writes changes back by ChangeProperties, each decided against the newest state. Nothing is kept beside the log.
//
//	log.Properties ──▶ Store.Current: Snapshot ──▶ who is it, may they
//	       ▲                                              │
//	       └───────────── Store.Alter… ◀──────────────────┘
//
// A password is never stored: a credential holds the salted keys of RFC 5802, from which nobody can come in. The PLAIN
// mechanism is checked against the same keys.
//
// The package deliberately knows no protocol: tokens of an Exchange come without frames, and who is refused is told by an
// error that the edge has a code for. PostgreSQL's roles are to be the same users.
package access
