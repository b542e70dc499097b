// Package testenv gives tests the real programs that they run against: a PostgreSQL 15 server, kcat, Apache Kafka's own
// tools, a Python and a Node.js with pinned packages.
//
// What can be installed without root is installed on first use into one cache directory ($MIRACLEDB_TEST_CACHE, else
// miracledb-test in the user's cache directory) and found there afterwards; `go run ./internal/testenv/install` fills it
// ahead of time. What needs the system's package manager (postgresql-15, kcat, a JDK with Maven, python3-venv, Node.js
// with npm) is only looked for: .ci/run installs it.
//
// A component that cannot be had skips the test with the reason and the way to get it. Where CI=true it fails the test
// instead, so that a green run has really run it. `go test -short` never installs.
//
// Disk is an ext4 file system whose power can be cut. It takes root and loop devices, which nobody can install: without them
// its tests skip in CI too.
//
// The package deliberately knows nothing of MiracleDB: it starts other people's programs.
package testenv
