package session

import (
	"context"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// statementContext is the context of the running statement.
func (s *Session) statementContext() context.Context {
	s.running.Lock()
	defer s.running.Unlock()
	if s.running.ctx == nil {
		return context.Background()
	}
	return s.running.ctx
}

// call answers the functions that are about sessions; ok is false for others.
func (s *Session) call(function string, args []row.Value) (v row.Value, ok bool, err error) {
	switch function {
	case "pg_sleep":
		return row.NewText(""), true, s.sleep(args[0].Float())
	case "pg_cancel_backend":
		return s.signal(args[0].Int(), errs.SQL("57014", "canceling statement due to user request")), true, nil
	case "pg_terminate_backend":
		return s.signal(args[0].Int(), errs.SQL("57P01", "terminating connection due to administrator command")), true, nil
	case "pg_postmaster_start_time", "pg_conf_load_time":
		return row.NewTimestamp(s.db.started.UnixMicro()), true, nil
	case "current_query":
		s.running.Lock()
		defer s.running.Unlock()
		return row.NewText(s.running.seen.Query), true, nil
	case "pg_blocking_pids":
		return row.NewList([]row.Value{}), true, nil
	case "pg_export_snapshot":
		return row.Null, true, errs.SQL("0A000", "snapshots cannot be exported")
	}
	if strings.HasPrefix(function, "pg_advisory_") || strings.HasPrefix(function, "pg_try_advisory_") {
		v, err = s.advisory(function, args)
		return v, true, err
	}
	return row.Null, false, nil
}

// signal ends another session's running statement with err; false, with a warning, when there is no such session.
func (s *Session) signal(pid int64, err error) row.Value {
	s.db.mu.Lock()
	other := s.db.mu.sessions[int32(pid)]
	s.db.mu.Unlock()
	if other == nil {
		s.warn("01000", "PID %d is not a PostgreSQL backend process", pid)
		return row.NewBool(false)
	}
	other.interrupt(err)
	return row.NewBool(true)
}
