package session

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/duck"
	"github.com/miracledb/miracledb/sql/pgcatalog"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

// DatabaseName is the one database of a node.
const DatabaseName = "miracledb"

// Options are the parts that sessions work with.
type Options struct {
	Log       log.Log
	Catalog   *catalog.Catalog
	Tables    *heap.Store // rows of tables
	Views     *heap.Store // rows of materialized views
	Versions  *views.Latest[*version.Version]
	Sequencer *txn.Sequencer
	// Engine is the analytical engine; nil: every query goes to the row executor.
	Engine *duck.Engine
	Clock  clock.Clock
	// Applied waits until the tables' heap has applied p.
	Applied func(ctx context.Context, p log.Position) error
	// Circuit tells how a view is maintained, for EXPLAIN; ok is false when it is not running.
	Circuit func(id delta.RelationID) (text string, ok bool)
	// MaxTransaction bounds the rows that a transaction changes, in bytes of keys and values; 0: an eighth of the
	// machine's memory.
	MaxTransaction limit.Bytes
	// CanonicalKeys makes tables that demand them: see catalog.Relation. A log on a Kafka cluster needs it.
	CanonicalKeys bool
	// MaxSessions bounds open sessions; 0: 1000.
	MaxSessions int
}

// Database opens sessions. It implements sql.Database.
type Database struct {
	o        Options
	plans    *planCache
	images   images
	nextPID  atomic.Int32
	started  time.Time
	advisory *advisoryLocks
	mu       struct {
		sync.Mutex
		sessions map[int32]*Session
	}
}

var _ sql.Database = (*Database)(nil)

// New makes a database over its parts.
func New(o Options) *Database {
	if o.MaxSessions == 0 {
		o.MaxSessions = 1000
	}
	if o.MaxTransaction == 0 {
		o.MaxTransaction = limit.Machine() / 8
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	d := &Database{o: o, plans: newPlanCache(), started: o.Clock.Now(), advisory: newAdvisoryLocks()}
	d.mu.sessions = map[int32]*Session{}
	return d
}

// Open starts a session.
func (d *Database) Open(ctx context.Context, o sql.Options) (sql.Session, error) {
	if o.Database != "" && o.Database != DatabaseName && o.Database != "postgres" {
		return nil, errs.SQL("3D000", "database %q does not exist", o.Database).WithHint("The database is %q.", DatabaseName)
	}
	s := &Session{db: d, user: o.User, remote: o.Remote, settings: newSettings(), started: d.o.Clock.Now(),
		statements: map[string]*prepared{}, cursors: map[string]*cursor{}}
	var secret [4]byte
	_, _ = rand.Read(secret[:])
	s.secret = binary.BigEndian.Uint32(secret[:])
	s.pid = d.nextPID.Add(1)
	s.settings.values["session_authorization"] = o.User
	for name, value := range o.Settings {
		if name == "user" || name == "database" || name == "replication" {
			continue
		}
		if err := s.settings.set(name, value, false, false); err != nil && errs.KindOf(err) != errs.Invalid {
			return nil, err
		}
	}
	s.running.seen.State = "idle"
	s.running.seen.Application, _ = s.settings.get("application_name")
	for i := range settingList {
		s.settings.changed = append(s.settings.changed, lower(settingList[i].name))
	}
	// What was acknowledged to anyone before this session began is seen by it in views too.
	s.seen = d.o.Log.End()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.sessions) >= d.o.MaxSessions {
		return nil, errs.SQL("53300", "sorry, too many clients already")
	}
	d.mu.sessions[s.pid] = s
	return s, nil
}

// Cancel asks a session's running statement to end.
func (d *Database) Cancel(pid int32, secret uint32) {
	d.mu.Lock()
	s := d.mu.sessions[pid]
	d.mu.Unlock()
	if s != nil && s.secret == secret {
		s.interrupt(errs.SQL("57014", "canceling statement due to user request"))
	}
}

func (d *Database) forget(s *Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.sessions, s.pid)
}

// Activities lists the open sessions.
func (d *Database) Activities() []pgcatalog.Activity {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []pgcatalog.Activity
	for _, s := range d.mu.sessions {
		list = append(list, s.activity())
	}
	return list
}
