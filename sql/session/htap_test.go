package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// A row inserted by SQL is in the column store that the analytical engine reads.
func TestWritePropagatesToColumnar(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
		"UPDATE t SET v = 'B' WHERE id = 2", "DELETE FROM t WHERE id = 3", "SET miracledb.route = 'analytic'")
	if got := nodetest.Text(t, c, "SELECT id, v FROM t ORDER BY id"); got != "1|a\n2|B" {
		t.Fatalf("through the analytical engine: %q", got)
	}
	if why := nodetest.Text(t, c, "EXPLAIN SELECT id, v FROM t ORDER BY id"); !strings.Contains(why, "analytical engine") {
		t.Fatalf("the query did not go to the engine:\n%s", why)
	}
}

func TestReadRoutingOLTP(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, grp int)", "INSERT INTO t SELECT g, g % 10 FROM generate_series(1, 10000) g")
	if why := nodetest.Text(t, c, "EXPLAIN SELECT * FROM t WHERE id = 77"); !strings.Contains(why, "row executor") {
		t.Fatalf("a point read:\n%s", why)
	}
	if got := nodetest.Text(t, c, "SELECT * FROM t WHERE id = 77"); got != "77|7" {
		t.Fatal(got)
	}
}

func TestReadRoutingOLAP(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, grp int)", "INSERT INTO t SELECT g, g % 10 FROM generate_series(1, 10000) g")
	if why := nodetest.Text(t, c, "EXPLAIN SELECT grp, count(*) FROM t GROUP BY grp"); !strings.Contains(why, "analytical engine") {
		t.Fatalf("an aggregate over 10,000 rows:\n%s", why)
	}
	if got := nodetest.Text(t, c, "SELECT grp, count(*) FROM t GROUP BY grp ORDER BY grp LIMIT 2"); got != "0|1000\n1|1000" {
		t.Fatal(got)
	}
}

// A write is in the column store within 100 ms: so much longer than another a query takes that comes after a write (medians, of the
// best of some rounds; machines pause).
func TestSyncLatency(t *testing.T) {
	s := nodetest.Start(t)
	w, r := s.Connect(t), s.Connect(t)
	nodetest.Exec(t, w, "CREATE TABLE t (id int PRIMARY KEY)")
	nodetest.Exec(t, r, "SET miracledb.route = 'analytic'")
	nodetest.Text(t, r, "SELECT count(*) FROM t") // the engine's first query is its start
	rows := 0
	query := func() time.Duration {
		start := time.Now()
		if got := nodetest.Text(t, r, "SELECT count(*) FROM t"); got != fmt.Sprint(rows) {
			t.Fatalf("after %d writes the column store has %s", rows, got)
		}
		return time.Since(start)
	}
	best := time.Hour
	for round := 0; round < 5 && best > 100*time.Millisecond; round++ {
		var after, again []time.Duration
		for range 21 {
			nodetest.Exec(t, w, fmt.Sprintf("INSERT INTO t VALUES (%d)", rows))
			rows++
			after, again = append(after, query()), append(again, query())
		}
		slices.Sort(after)
		slices.Sort(again)
		best = min(best, after[len(after)/2]-again[len(again)/2])
	}
	t.Logf("median lag: %v", best)
	if best > 100*time.Millisecond {
		t.Errorf("median lag: %v", best)
	}
}
