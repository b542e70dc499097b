// Package topics is what every Log makes of the records of its catalog topic: which topics there are, and which changes
// of them an append may ask for.
//
// It is a plain data structure: no lock, no file. It deliberately knows neither offsets nor who stores the records.
package topics
