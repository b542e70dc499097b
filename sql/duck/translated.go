package duck

import "github.com/miracledb/miracledb/views/catalog"

// Translated is a plan as DuckDB's SQL. It may be run any number of times, at once too.
type Translated struct {
	// Fragments are the text; between Fragments[i] and Fragments[i+1] stands Scans[i].
	Fragments []string
	Scans     []Scan
	// Relations are what the scans refer to: Query wants one Source for each, in this order.
	Relations []*catalog.Relation
	// Fields are the result's columns.
	Fields []Field
}

// Scan reads columns of Relations[Relation]. In the text they are named c and their index.
type Scan struct {
	Relation int
	Columns  []int
}
