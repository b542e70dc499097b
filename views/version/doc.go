// Package version is what a statement reads: one Position and the snapshots of every store at it.
//
// The runner publishes a Version after each tick through a views.Latest; a statement acquires one, reads everything it
// names from it, and releases it. The package deliberately does not know who makes or reads versions.
package version
