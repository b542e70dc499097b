package session

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/sql/pgcatalog"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/version"
)

// Session is one client's conversation. It implements sql.Session.
type Session struct {
	db       *Database
	pid      int32
	secret   uint32
	user     string
	remote   string
	started  time.Time
	settings *settings
	location *time.Location
	notices  []sql.Notice

	// seen is the newest Position that this session has written or read: views are read at or after it.
	seen log.Position

	tx       *txn.Tx
	block    bool // in an explicit transaction block
	failed   bool
	readOnly bool
	txStart  time.Time
	// overlay is the catalog with this transaction's own definitions; nil: none.
	overlay *catalog.Snapshot
	// pinned is the version that a REPEATABLE READ or SERIALIZABLE transaction reads.
	pinned *views.Held[*version.Version]

	// advisoryTx is set once the transaction took an advisory lock.
	advisoryTx bool

	statements map[string]*prepared
	cursors    map[string]*cursor

	running struct {
		sync.Mutex
		cancel context.CancelCauseFunc
		ctx    context.Context // nil: no statement runs
		// seen is what others may know of the session (pg_stat_activity): its fields belong to its own goroutine.
		seen pgcatalog.Activity
	}
}

var _ sql.Session = (*Session)(nil)

// Key is what a cancel request needs.
func (s *Session) Key() (int32, uint32) { return s.pid, s.secret }

// Parse splits a text into its statements.
func (s *Session) Parse(text string) ([]sql.Statement, error) {
	list, err := parse.Parse(text)
	if err != nil {
		return nil, err
	}
	out := make([]sql.Statement, len(list))
	for i, st := range list {
		out[i] = st
	}
	return out, nil
}

// Status is the state to report.
func (s *Session) Status() sql.TxStatus {
	switch {
	case !s.block:
		return sql.Idle
	case s.failed:
		return sql.FailedTx
	}
	return sql.InTx
}

// Setting reads a run-time setting.
func (s *Session) Setting(name string) (string, bool) { return s.settings.get(name) }

// Reports gives the reported settings that changed.
func (s *Session) Reports() []sql.Setting { return s.settings.reports() }

// Notices gives the notices raised since the last call.
func (s *Session) Notices() []sql.Notice {
	n := s.notices
	s.notices = nil
	return n
}

func (s *Session) notice(state, format string, args ...any) {
	e := errs.SQL(state, format, args...)
	s.notices = append(s.notices, sql.Notice{Severity: "NOTICE", State: state, Message: e.Message})
}

func (s *Session) warn(state, format string, args ...any) {
	s.notice(state, format, args...)
	s.notices[len(s.notices)-1].Severity = "WARNING"
}

// Location is the session's time zone.
func (s *Session) Location() *time.Location {
	name, _ := s.settings.get("timezone")
	if s.location == nil || s.location.String() != name {
		if loc, err := expr.Zone(name); err == nil {
			s.location = loc
		} else {
			s.location = time.UTC
		}
	}
	return s.location
}

// Close rolls back what is open.
func (s *Session) Close() error {
	s.interrupt(errs.SQL("57P01", "the connection was closed"))
	s.endTx(false)
	s.closeCursors(true)
	s.db.advisory.release(s, false)
	s.db.forget(s)
	return nil
}

// interrupt ends the running statement with err.
func (s *Session) interrupt(err error) {
	s.running.Lock()
	defer s.running.Unlock()
	if s.running.cancel != nil {
		s.running.cancel(err)
	}
}

// watch makes the context of one statement: Cancel and statement_timeout end it. done must be called.
func (s *Session) watch(ctx context.Context, query string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() bool { return true }
	if v, _ := s.settings.get("statement_timeout"); v != "0" {
		if d, err := parseDuration(v); err == nil && d > 0 {
			t := time.AfterFunc(d, func() { cancel(errs.SQL("57014", "canceling statement due to statement timeout")) })
			stop = t.Stop
		}
	}
	s.running.Lock()
	s.running.cancel, s.running.ctx = cancel, ctx
	a := &s.running.seen
	a.Application, _ = s.settings.get("application_name")
	a.State, a.Query, a.QueryStarted = "active", query, s.db.o.Clock.Now()
	if s.tx == nil {
		a.TxStarted = a.QueryStarted
	}
	s.running.Unlock()
	return ctx, func() {
		stop()
		s.running.Lock()
		s.running.cancel, s.running.ctx = nil, nil
		switch a := &s.running.seen; {
		case s.failed:
			a.State = "idle in transaction (aborted)"
		case s.block:
			a.State, a.TxStarted = "idle in transaction", s.txStart
		default:
			a.State, a.TxStarted = "idle", time.Time{}
		}
		s.running.Unlock()
		cancel(nil)
	}
}

func (s *Session) activity() pgcatalog.Activity {
	s.running.Lock()
	defer s.running.Unlock()
	a := s.running.seen
	a.PID, a.User, a.Remote, a.Started = s.pid, s.user, s.remote, s.started
	return a
}

// snapshot is the catalog that the next statement sees.
func (s *Session) snapshot() *catalog.Snapshot {
	if s.overlay != nil {
		return s.overlay
	}
	return s.db.o.Catalog.Current()
}

// begin makes sure that a transaction is open.
func (s *Session) begin() *txn.Tx {
	if s.tx == nil {
		name, _ := s.settings.get("default_transaction_isolation")
		s.tx = s.db.o.Sequencer.Begin(isolation(name))
		s.txStart = s.db.o.Clock.Now()
		v, _ := s.settings.get("default_transaction_read_only")
		s.readOnly = v == "on"
		s.settings.begin()
	}
	return s.tx
}

// read notes with the transaction that it has read rel; who reads a view has read what it is made from.
func (s *Session) read(rel *catalog.Relation) {
	if s.tx == nil || s.tx.Isolation != txn.Serializable {
		return
	}
	s.tx.Read(rel.ID)
	for _, id := range rel.DependsOn {
		if from, ok := s.snapshot().ByID(id); ok {
			s.read(from)
		}
	}
}

func isolation(name string) txn.Isolation {
	switch strings.ToLower(name) {
	case "repeatable read":
		return txn.RepeatableRead
	case "serializable":
		return txn.Serializable
	}
	return txn.ReadCommitted
}

// Sync ends the implicit transaction.
func (s *Session) Sync(ctx context.Context) error {
	switch {
	case s.block:
		return nil
	case s.tx == nil:
		s.releaseAdvisory()
		return nil
	}
	return s.commit(ctx)
}

// commit ends the transaction; what it wrote is durable and applied afterwards.
func (s *Session) commit(ctx context.Context) error {
	tx := s.tx
	if tx == nil || s.failed {
		s.endTx(false)
		return nil
	}
	defined := tx.Records()
	pos, err := tx.Commit(ctx, s.txStart)
	s.endTx(err == nil)
	if err != nil {
		return err
	}
	if s.seen.Less(pos) {
		s.seen = pos
	}
	return s.awaitDefined(ctx, defined, pos)
}

// releaseAdvisory gives back the advisory locks of the transaction.
func (s *Session) releaseAdvisory() {
	if s.advisoryTx {
		s.advisoryTx = false
		s.db.advisory.release(s, true)
	}
}

// endTx forgets the transaction.
func (s *Session) endTx(committed bool) {
	if s.tx != nil && !committed {
		s.tx.Rollback()
	}
	s.tx, s.block, s.failed, s.overlay, s.readOnly = nil, false, false, nil, false
	if s.pinned != nil {
		_ = s.pinned.Release()
		s.pinned = nil
	}
	s.settings.end(committed)
	s.closeCursors(false)
	s.releaseAdvisory()
}

// fail notes that a statement failed: an explicit block stays open and refuses what follows. It holds nobody up, unless it may come
// back to a savepoint.
func (s *Session) fail() {
	if !s.block {
		s.endTx(false)
		return
	}
	s.failed = true
	if !s.tx.HasSavepoint() {
		s.tx.Rollback()
		s.releaseAdvisory()
	}
}

func lower(name string) string { return strings.ToLower(name) }

// context of expression evaluation.
func (s *Session) expression(args []row.Value) *expr.Ctx {
	now := s.txStart
	if now.IsZero() || s.tx == nil {
		now = s.db.o.Clock.Now()
	}
	return &expr.Ctx{Params: args, Now: now, StatementTime: s.db.o.Clock.Now(), Clock: s.db.o.Clock.Now,
		Location: s.Location(), Env: &environment{s}}
}
