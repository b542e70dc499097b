package log

// Rows is what compaction asks about a table's topic: which row a record changes is not told by its key's bytes, and a
// record that was rejected changes none.
type Rows interface {
	// Names gives for each record of a data batch that takes effect at a Position the name of the row that it changes; nil:
	// the record stays where it is, and takes the place of no other.
	Names(p Partition, batch []byte, at Position) ([][]byte, error)
	// Alike tells whether a record has the same name wherever it takes effect from a to b.
	Alike(a, b Position) bool
	// Forgets tells whether a deletion that was written at a Position may be forgotten once its partition has nothing older with
	// its name.
	Forgets(at Position) bool
}
