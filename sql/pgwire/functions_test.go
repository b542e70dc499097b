package pgwire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// TestAdvisoryLocks holds PostgreSQL's rules (13.3.5): strength, counting, the transaction's locks, waiting.
func TestAdvisoryLocks(t *testing.T) {
	s := nodetest.Start(t)
	a, b := s.Connect(t), s.Connect(t)
	for _, step := range []struct {
		conn        byte
		query, want string
	}{
		{'a', "select pg_try_advisory_lock(7)", "t"}, {'a', "select pg_try_advisory_lock(7)", "t"},
		{'b', "select pg_try_advisory_lock(7)", "f"}, {'b', "select pg_try_advisory_lock(0, 7)", "t"},
		{'a', "select pg_advisory_unlock(7)", "t"}, {'b', "select pg_try_advisory_lock(7)", "f"},
		{'a', "select pg_advisory_unlock(7)", "t"}, {'a', "select pg_advisory_unlock(7)", "f"},
		{'b', "select pg_try_advisory_lock_shared(7)", "t"}, {'a', "select pg_try_advisory_lock_shared(7)", "t"},
		{'a', "select pg_try_advisory_lock(7)", "f"}, {'a', "select pg_advisory_unlock_all()", ""},
		{'b', "select pg_advisory_unlock_shared(7)", "t"},
		{'a', "begin", ""}, {'a', "select pg_advisory_xact_lock(8)", ""}, {'b', "select pg_try_advisory_xact_lock(8)", "f"},
		{'a', "commit", ""}, {'b', "select pg_try_advisory_xact_lock(8)", "t"}, {'a', "select pg_try_advisory_lock(8)", "t"},
	} {
		conn := a
		if step.conn == 'b' {
			conn = b
		}
		if got := nodetest.Text(t, conn, step.query); got != step.want {
			t.Fatalf("%c: %s gave %q, want %q", step.conn, step.query, got, step.want)
		}
	}
	granted := make(chan error, 1)
	go func() {
		_, err := nodetest.TextErr(t.Context(), b, "select pg_advisory_lock(8)")
		granted <- err
	}()
	select {
	case err := <-granted:
		t.Fatalf("a held lock was granted: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-granted:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the lock of a session that ended is not free")
	}
}

// TestSessionFunctions holds what statements know and do about sessions.
func TestSessionFunctions(t *testing.T) {
	s := nodetest.Start(t)
	a, b := s.Connect(t), s.Connect(t)
	state := func(query string) string {
		t.Helper()
		_, err := nodetest.TextErr(t.Context(), a, query)
		var e *pgconn.PgError
		if !errors.As(err, &e) {
			return ""
		}
		return e.Code
	}
	nodetest.Exec(t, a, "set statement_timeout = '50ms'")
	if got := state("select pg_sleep(300)"); got != "57014" {
		t.Errorf("a sleep over statement_timeout ended with %q", got)
	}
	nodetest.Exec(t, a, "set statement_timeout = 0", "set lock_timeout = '50ms'")
	nodetest.Exec(t, b, "select pg_advisory_lock(1)")
	if got := state("select pg_advisory_lock(1)"); got != "55P03" {
		t.Errorf("a wait over lock_timeout ended with %q", got)
	}
	nodetest.Exec(t, b, "set application_name = 'other'", "begin")
	want := "idle in transaction|begin|f"
	if got := nodetest.Text(t, a, "select state, query, xact_start is null from pg_stat_activity where application_name = 'other'"); got != want {
		t.Errorf("pg_stat_activity says %q, want %q", got, want)
	}
	slept := make(chan string, 1)
	go func() { slept <- state("select pg_sleep(300)") }()
	cancelled := false
	for range 6000 {
		out := nodetest.Text(t, b, "select pg_cancel_backend(pid) from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()")
		if cancelled = out == "t"; cancelled {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := <-slept; !cancelled || got != "57014" {
		t.Errorf("a cancelled sleep ended with %q", got)
	}
	if got := nodetest.Text(t, b, "select pg_postmaster_start_time() <= now(), current_query() like 'select pg_post%', pg_cancel_backend(99999)"); got != "t|t|f" {
		t.Errorf("functions of the session gave %q", got)
	}
	if got := state("select has_table_privilege('nothing', 'select')"); got != "42P01" {
		t.Errorf("a privilege on a missing table is %q", got)
	}
	if got := nodetest.Text(t, b, "select setting, reset_val, source, context from pg_settings where name in ('application_name', 'server_version_num')"); !strings.HasPrefix(got, "other||session|user") {
		t.Errorf("pg_settings says %q", got)
	}
}
