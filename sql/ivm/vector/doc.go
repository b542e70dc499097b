// Package vector evaluates checked expressions over Arrow records, a column at a time.
//
// What circuits meet most (comparison, arithmetic and truncation of numbers, times and text, AND, OR, NOT, IS NULL, CASE,
// COALESCE, IN a list) has a loop of its own over int64, float64, bool and text columns. Every other expression, and every
// part of one, is computed row by row by expr.Compile's closures; the answer is the same by either way, and a test holds
// them together. A row on which a loop fails (overflow, division by zero) is given to the closure for its error.
//
// A part that SQL does not evaluate for a row (the branch of a CASE not taken, what follows a false in an AND) is not
// evaluated for that row here either.
//
// The package deliberately knows no plan and no circuit.
package vector
