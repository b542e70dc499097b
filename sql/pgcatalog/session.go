package pgcatalog

import (
	"time"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/views/catalog"
)

// Session is what the system relations may know of the session that reads them.
type Session interface {
	Snapshot() *catalog.Snapshot
	User() string
	Database() string
	SearchPath() []string
	// Settings are all run-time settings with the session's values.
	Settings() []Setting
	// Activities has one entry per open session.
	Activities() []Activity
	// Stats estimates a relation's rows, and the bytes that it takes on disk.
	Stats(id delta.RelationID) (rows, bytes int64)
}

// Setting is one run-time setting. What PostgreSQL has too is described by its words when Description is empty.
type Setting struct {
	Name, Value string
	// Default is the value after RESET.
	Default                     string
	Unit, Category, Description string
	// Fixed settings cannot be changed in a session.
	Fixed bool
}

// Activity is an open session.
type Activity struct {
	PID               int32
	User, Application string
	// Remote is the client's address as host:port, "" when it is not known.
	Remote string
	// Started is when the session began, TxStarted and QueryStarted when its transaction and newest statement did; zero:
	// there is none.
	Started, TxStarted, QueryStarted time.Time
	// State is active, idle, "idle in transaction" or "idle in transaction (aborted)".
	State string
	Query string
	// WaitType and Wait say what an active session waits for (Lock, relation...).
	WaitType, Wait string
}
