package views

import (
	"github.com/miracledb/miracledb/internal/delta"
)

// Store is what heap and columnar have in common: what the node's recovery, checkpoints and backup need of both.
type Store interface {
	// Position is the last Position applied and visible to readers.
	Position() delta.Position
	// DurablePosition is the Position the store would open at after a power cut now.
	DurablePosition() delta.Position
	// Flush makes everything applied so far durable: afterwards DurablePosition is at least what Position was when
	// Flush was called.
	Flush() error
	// Close makes the applied state durable and frees all. Snapshots must be closed before.
	Close() error
}

// Snapshot is an unchanging view of a store at one Position, for one reader or several. Close it exactly once.
type Snapshot interface {
	Position() delta.Position
	Close() error
}
