package session_test

import (
	"testing"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// A block in which a statement failed holds no lock any more, as PostgreSQL's, unless there is a savepoint to come back to.
func TestFailedBlockHoldsNoLocks(t *testing.T) {
	s := nodetest.Start(t)
	a, b := s.Connect(t), s.Connect(t)
	nodetest.Exec(t, a, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10)")
	fails := func(query, want string) {
		t.Helper()
		if _, err := b.Exec(t.Context(), query); code(err) != want {
			t.Fatalf("%s: %v, want %s", query, err, want)
		}
	}
	nodetest.Exec(t, b, "BEGIN", "UPDATE t SET v = 11 WHERE id = 1", "SELECT pg_advisory_xact_lock(1)")
	fails("SELECT 1/0", "22012")
	nodetest.Exec(t, a, "SET lock_timeout = '1min'", "UPDATE t SET v = v + 10 WHERE id = 1", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)")
	fails("SELECT v FROM t", "25P02")
	fails("ROLLBACK TO s", "3B001")
	nodetest.Exec(t, b, "COMMIT") // is a ROLLBACK
	if got := nodetest.Text(t, b, "SELECT v FROM t"); got != "20" {
		t.Fatalf("after the block: %s", got)
	}

	nodetest.Exec(t, b, "BEGIN", "UPDATE t SET v = v + 1 WHERE id = 1", "SAVEPOINT s")
	fails("SELECT 1/0", "22012")
	nodetest.Exec(t, a, "SET lock_timeout = '100ms'")
	if _, err := a.Exec(t.Context(), "UPDATE t SET v = 0 WHERE id = 1"); code(err) != "55P03" {
		t.Fatalf("the lock of a block with a savepoint: %v", err)
	}
	nodetest.Exec(t, b, "ROLLBACK TO s", "COMMIT")
	if got := nodetest.Text(t, b, "SELECT v FROM t"); got != "21" {
		t.Fatalf("after the savepoint: %s", got)
	}
}
