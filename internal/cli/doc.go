// Package cli is the command line: one file per command, each with an example in its help, --json where it prints data,
// and exit codes 0 (done), 1 (failed), 2 (wrong usage). Errors say what to do.
//
// serve runs a node; the other commands are clients of a running one, or work on files.
package cli
