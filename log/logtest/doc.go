// Package logtest is the suite that every Log must pass: an append is atomic, durable when acknowledged and in one total
// order; offsets are dense and never change; what a reader sees before a restart it sees after it.
//
// An implementation says with a Capability list what it can do; the suite prints what it skips, so that a gap is seen.
//
// It deliberately tests through the contract only. Crashes, disk faults and formats are each implementation's own tests.
package logtest
