// Package op holds the operators of circuits.
//
//	Map, Filter, Union       no state
//	Join                     inner, left, right, full, semi and anti; equal keys and a condition
//	Aggregate                counts, sums, extremes, folds per group; DISTINCT and FILTER
//	Multiplicity             DISTINCT, UNION, INTERSECT, EXCEPT: a function of how often a row stands in each input
//	TopK                     the first rows of each group in an order: LIMIT, DISTINCT ON, row_number() <= k
//	Constant                 rows that are there from the first tick on
//	Recompute                a whole query again each tick, and the difference
//
// An operator gets its input as it is, with weights not added up, and gives a batch in which it has added up what it could
// cheaply. Rows of a table that are inserted and deleted within one tick may come in any order: weights may be below zero
// in between, at the end of a tick never.
//
// SQL enters as functions over records (Func, Predicate) and as columns that a Map has computed: keys, arguments, filters,
// order. "Normal form" means that equal bytes are SQL's equality (state.NewKeyCodec).
//
// The package deliberately does not know expressions or types of SQL beyond their Arrow form.
package op
