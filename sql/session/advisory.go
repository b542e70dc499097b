package session

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// advisoryKey is what an advisory lock is on: one 64-bit number, or two of 32 bits, which are another space.
type advisoryKey struct {
	n    int64
	pair bool
}

// hold counts how often a session has one lock, by its life and strength (PostgreSQL 13.3.5): each must be given back.
type hold struct{ session, sessionShared, tx, txShared int }

func (h *hold) exclusive() bool { return h.session+h.tx > 0 }
func (h *hold) empty() bool     { return *h == hold{} }

// advisoryLocks are the advisory locks of a database. They are in memory only: they die with their sessions.
type advisoryLocks struct {
	mu struct {
		sync.Mutex
		held map[advisoryKey]map[*Session]*hold
		// freed is closed, and made anew, when a lock is given back.
		freed chan struct{}
	}
}

func newAdvisoryLocks() *advisoryLocks {
	l := &advisoryLocks{}
	l.mu.held = map[advisoryKey]map[*Session]*hold{}
	l.mu.freed = make(chan struct{})
	return l
}

// take gives the lock if nobody else holds it in the way; else a channel that is closed when it may be free.
func (l *advisoryLocks) take(s *Session, k advisoryKey, shared, tx bool) (wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, h := range l.mu.held[k] {
		if other != s && (!shared || h.exclusive()) {
			return l.mu.freed
		}
	}
	if l.mu.held[k] == nil {
		l.mu.held[k] = map[*Session]*hold{}
	}
	h := l.mu.held[k][s]
	if h == nil {
		h = &hold{}
		l.mu.held[k][s] = h
	}
	*h.count(shared, tx)++
	return nil
}

func (h *hold) count(shared, tx bool) *int {
	switch {
	case tx && shared:
		return &h.txShared
	case tx:
		return &h.tx
	case shared:
		return &h.sessionShared
	}
	return &h.session
}

// give gives a session's lock back once; false: it was not held.
func (l *advisoryLocks) give(s *Session, k advisoryKey, shared bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.mu.held[k][s]
	if h == nil || *h.count(shared, false) == 0 {
		return false
	}
	*h.count(shared, false)--
	l.settle(s, k, h)
	return true
}

// settle forgets a hold that counts nothing, and wakes who waits. mu is held.
func (l *advisoryLocks) settle(s *Session, k advisoryKey, h *hold) {
	if h.empty() {
		delete(l.mu.held[k], s)
		if len(l.mu.held[k]) == 0 {
			delete(l.mu.held, k)
		}
	}
	close(l.mu.freed)
	l.mu.freed = make(chan struct{})
}

// release gives back what a session holds: its transaction's locks, or those of the session.
func (l *advisoryLocks) release(s *Session, tx bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, sessions := range l.mu.held {
		h := sessions[s]
		if h == nil {
			continue
		}
		if tx {
			h.tx, h.txShared = 0, 0
		} else {
			h.session, h.sessionShared = 0, 0
		}
		l.settle(s, k, h)
	}
}

// wait takes the lock as soon as it can be had. Errors: 55P03 after lock_timeout, and what ended the statement.
func (l *advisoryLocks) wait(ctx context.Context, s *Session, k advisoryKey, shared, tx bool) error {
	if d := s.lockTimeout(); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errs.SQL("55P03", "canceling statement due to lock timeout"))
		defer cancel()
	}
	for {
		freed := l.take(s, k, shared, tx)
		if freed == nil {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// advisory answers pg_advisory_lock and its kin, by name.
func (s *Session) advisory(function string, args []row.Value) (row.Value, error) {
	l := s.db.advisory
	if function == "pg_advisory_unlock_all" {
		l.release(s, false)
		return row.NewText(""), nil
	}
	k := advisoryKey{n: args[0].Int()}
	if len(args) == 2 {
		k = advisoryKey{n: args[0].Int()<<32 | args[1].Int()&0xFFFFFFFF, pair: true}
	}
	shared, tx := strings.HasSuffix(function, "_shared"), strings.Contains(function, "_xact_")
	s.advisoryTx = s.advisoryTx || tx
	switch {
	case strings.HasPrefix(function, "pg_advisory_unlock"):
		ok := l.give(s, k, shared)
		if !ok {
			s.warn("01000", "you don't own a lock of type %s", map[bool]string{true: "ShareLock", false: "ExclusiveLock"}[shared])
		}
		return row.NewBool(ok), nil
	case strings.HasPrefix(function, "pg_try_"):
		return row.NewBool(l.take(s, k, shared, tx) == nil), nil
	}
	return row.NewText(""), l.wait(s.statementContext(), s, k, shared, tx)
}

// sleep is pg_sleep.
func (s *Session) sleep(seconds float64) error {
	ctx := s.statementContext()
	t := time.NewTimer(time.Duration(min(max(seconds, 0), 1e9) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
