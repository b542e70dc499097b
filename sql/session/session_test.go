package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return fmt.Sprint(err)
}

// produce appends records (value, or key and value) to a topic and waits for all.
func produce(t *testing.T, s *nodetest.Server, topic string, records ...[2]string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, r := range records {
		rec := &kgo.Record{Topic: topic, Value: []byte(r[1])}
		if r[0] != "" {
			rec.Key = []byte(r[0])
		}
		if r[1] == "" {
			rec.Value = nil
		}
		if err := c.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestViewFollowsWrites(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE orders (id int PRIMARY KEY, customer text, amount int)",
		"CREATE TABLE customers (name text PRIMARY KEY, city text)",
		"INSERT INTO orders VALUES (1, 'ann', 10), (2, 'bob', 20)",
		"INSERT INTO customers VALUES ('ann', 'Bonn'), ('bob', 'Linz')",
		`CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) n, sum(amount) total, min(amount) low, max(amount) high,
		 avg(amount) mean, count(DISTINCT customer) who FROM orders JOIN customers ON customer = name GROUP BY city`)
	const q = "SELECT city, n, total, low, high, round(mean, 2), who FROM by_city ORDER BY city"
	for _, step := range []struct{ sql, want string }{
		{"SELECT 1", "Bonn|1|10|10|10|10.00|1\nLinz|1|20|20|20|20.00|1"},
		{"INSERT INTO orders VALUES (3, 'ann', 40), (4, 'nobody', 5)", "Bonn|2|50|10|40|25.00|1\nLinz|1|20|20|20|20.00|1"},
		{"UPDATE orders SET amount = 11 WHERE id = 3", "Bonn|2|21|10|11|10.50|1\nLinz|1|20|20|20|20.00|1"},
		{"DELETE FROM orders WHERE id = 1", "Bonn|1|11|11|11|11.00|1\nLinz|1|20|20|20|20.00|1"},
		{"UPDATE customers SET city = 'Bonn' WHERE name = 'bob'", "Bonn|2|31|11|20|15.50|2"},
		{"DELETE FROM customers", ""},
		{"INSERT INTO customers VALUES ('nobody', 'Nowhere')", "Nowhere|1|5|5|5|5.00|1"},
	} {
		nodetest.Exec(t, c, step.sql)
		if got := nodetest.Text(t, c, q); got != step.want {
			t.Fatalf("after %s:\n%s\nwant\n%s", step.sql, got, step.want)
		}
	}
}

func TestRejectedRecords(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, n int CHECK (n > 0), u int UNIQUE)")
	produce(t, s, "t",
		[2]string{"1", `{"id":1,"v":"good","n":1,"u":1}`},
		[2]string{"", `{"id":2,"v":"no key","n":"2"}`},
		[2]string{"", `not json`},
		[2]string{"", `{"id":3,"n":1}`},
		[2]string{"", `{"id":4,"v":"check","n":-1}`},
		[2]string{"", `{"id":5,"v":"twice","n":1,"u":1}`},
		[2]string{"", "{\"id\":6,\"v\":\"\xff\"}"},
		[2]string{"1", ``},
		[2]string{"", `{"id":7,"v":"later","n":3,"u":1,"other":true}`})
	nodetest.Eventually(t, c, "SELECT id, v, n, u FROM t ORDER BY id", "2|no key|2|\n7|later|3|1")
	nodetest.Eventually(t, c, "SELECT count(*) FROM t__rejected", "5")
	if got := nodetest.Text(t, c, "SELECT _offset, _value FROM t__rejected ORDER BY _offset LIMIT 2"); got != "2|not json\n3|{\"id\":3,\"n\":1}" {
		t.Fatal(got)
	}
	t.Log(nodetest.Text(t, c, "SELECT reason FROM t__rejected ORDER BY _offset"))
}

func TestRawTopicThenSchema(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	produce(t, s, "clicks", [2]string{"a", `{"page":"/","ms":5}`}, [2]string{"", `broken`})
	nodetest.Eventually(t, c, `SELECT _key, _value, _partition, _offset FROM clicks ORDER BY 4`, "a|{\"page\":\"/\",\"ms\":5}|0|0\n|broken|0|1")
	nodetest.Exec(t, c, "CREATE TABLE clicks (page text, ms int) WITH (append_only)",
		"CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) n FROM clicks GROUP BY page")
	if got := nodetest.Text(t, c, "SELECT * FROM clicks"); got != "/|5" {
		t.Fatalf("the stream's past: %q", got)
	}
	if got := nodetest.Text(t, c, "SELECT _offset FROM clicks__rejected"); got != "1" {
		t.Fatalf("its rejected records: %q", got)
	}
	produce(t, s, "clicks", [2]string{"", `{"page":"/","ms":6}`})
	nodetest.Eventually(t, c, "SELECT * FROM pages", "/|2")
}

func TestConcurrentWritesMVCC(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE counter (id int PRIMARY KEY, n int)", "INSERT INTO counter VALUES (1, 0)")
	const writers, each = 100, 5
	var wg sync.WaitGroup
	failed := make(chan error, writers)
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w, err := pgx.Connect(context.Background(), s.DSN())
			if err != nil {
				failed <- err
				return
			}
			defer func() { _ = w.Close(context.Background()) }()
			for range each {
				if _, err := w.Exec(context.Background(), "UPDATE counter SET n = n + 1 WHERE id = 1"); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	if got := nodetest.Text(t, c, "SELECT n FROM counter"); got != fmt.Sprint(writers*each) {
		t.Fatalf("%d increments by %d writers left %s", writers*each, writers, got)
	}
}

func TestIsolation(t *testing.T) {
	s := nodetest.Start(t)
	a, b := s.Connect(t), s.Connect(t)
	nodetest.Exec(t, a, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10), (2, 20)")

	// READ COMMITTED: a writer waits for the row and then sees the newest.
	nodetest.Exec(t, a, "BEGIN", "UPDATE t SET v = v + 1 WHERE id = 1")
	if got := nodetest.Text(t, b, "SELECT v FROM t WHERE id = 1"); got != "10" {
		t.Fatalf("a dirty read: %s", got)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Exec(context.Background(), "UPDATE t SET v = v * 2 WHERE id = 1")
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("the second writer did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if got := nodetest.Text(t, a, "SELECT v FROM t WHERE id = 1"); got != "11" {
		t.Fatalf("its own write: %s", got)
	}
	nodetest.Exec(t, a, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := nodetest.Text(t, a, "SELECT v FROM t WHERE id = 1"); got != "22" {
		t.Fatalf("after both: %s", got)
	}

	// REPEATABLE READ: one snapshot, and the first committer wins.
	nodetest.Exec(t, a, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	if got := nodetest.Text(t, a, "SELECT sum(v) FROM t"); got != "42" {
		t.Fatal(got)
	}
	nodetest.Exec(t, b, "UPDATE t SET v = 0 WHERE id = 2")
	if got := nodetest.Text(t, a, "SELECT sum(v) FROM t"); got != "42" {
		t.Fatalf("the snapshot moved: %s", got)
	}
	if _, err := a.Exec(t.Context(), "UPDATE t SET v = 1 WHERE id = 2"); code(err) != "40001" {
		t.Fatalf("a lost update was let through: %v", err)
	}
	nodetest.Exec(t, a, "ROLLBACK")

	// Deadlocks end one of the two.
	nodetest.Exec(t, a, "BEGIN", "UPDATE t SET v = 1 WHERE id = 1")
	nodetest.Exec(t, b, "BEGIN", "UPDATE t SET v = 1 WHERE id = 2")
	go func() {
		_, err := b.Exec(context.Background(), "UPDATE t SET v = 1 WHERE id = 1")
		done <- err
	}()
	time.Sleep(100 * time.Millisecond)
	_, err := a.Exec(t.Context(), "UPDATE t SET v = 1 WHERE id = 2")
	nodetest.Exec(t, a, "ROLLBACK")
	other := <-done
	if (code(err) == "40P01") == (code(other) == "40P01") {
		t.Fatalf("a deadlock gave %v and %v", err, other)
	}
	nodetest.Exec(t, b, "ROLLBACK")
}

// Two SERIALIZABLE transactions that each read what the other writes do not both commit, whoever read for them.
func TestWriteSkew(t *testing.T) {
	s := nodetest.Start(t)
	a, b := s.Connect(t), s.Connect(t)
	nodetest.Exec(t, a, "CREATE TABLE x (id int PRIMARY KEY, n int)", "CREATE TABLE y (id int PRIMARY KEY, n int)",
		"CREATE MATERIALIZED VIEW xs AS SELECT sum(n) AS n FROM x", "CREATE MATERIALIZED VIEW ys AS SELECT sum(n) AS n FROM y")
	for i, reads := range [][2]string{{"SELECT sum(n) FROM x", "SELECT sum(n) FROM y"}, {"SELECT n FROM xs", "SELECT n FROM ys"}} {
		for k, route := range []string{"row", "analytic"} {
			for _, c := range []*pgx.Conn{a, b} {
				nodetest.Exec(t, c, "SET miracledb.route = '"+route+"'", "BEGIN ISOLATION LEVEL SERIALIZABLE")
			}
			nodetest.Text(t, a, reads[0])
			nodetest.Text(t, b, reads[1])
			nodetest.Exec(t, a, fmt.Sprintf("INSERT INTO y VALUES (%d, 1)", 2*i+k), "COMMIT")
			_, err := b.Exec(t.Context(), fmt.Sprintf("INSERT INTO x VALUES (%d, 1)", 2*i+k))
			if err == nil {
				_, err = b.Exec(t.Context(), "COMMIT")
			}
			if code(err) != "40001" {
				t.Errorf("%s, %s: the second of them: %v", reads[0], route, err)
			}
			_, _ = b.Exec(t.Context(), "ROLLBACK")
		}
	}
}

func TestSavepointsAndDDLInTransactions(t *testing.T) {
	s := nodetest.Start(t)
	a, b := s.Connect(t), s.Connect(t)
	nodetest.Exec(t, a, "BEGIN", "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)", "SAVEPOINT s",
		"INSERT INTO t VALUES (2)", "ROLLBACK TO s", "INSERT INTO t VALUES (3)")
	if got := nodetest.Text(t, a, "SELECT id FROM t ORDER BY id"); got != "1\n3" {
		t.Fatalf("inside: %q", got)
	}
	if _, err := nodetest.TextErr(t.Context(), b, "SELECT * FROM t"); code(err) != "42P01" {
		t.Fatalf("another session sees the table: %v", err)
	}
	nodetest.Exec(t, a, "COMMIT")
	if got := nodetest.Text(t, b, "SELECT id FROM t ORDER BY id"); got != "1\n3" {
		t.Fatalf("after the commit: %q", got)
	}
	nodetest.Exec(t, a, "BEGIN", "DROP TABLE t", "ROLLBACK")
	if got := nodetest.Text(t, b, "SELECT count(*) FROM t"); got != "2" {
		t.Fatal(got)
	}
}

func TestUpsertAndReturning(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'none', n int)")
	for _, step := range []struct{ sql, want string }{
		{"INSERT INTO t (id, n) VALUES (1, 1), (2, 2) RETURNING id, v, n + 1", "1|none|2\n2|none|3"},
		{"INSERT INTO t VALUES (1, 'x', 5) ON CONFLICT (id) DO UPDATE SET n = t.n + EXCLUDED.n, v = EXCLUDED.v RETURNING *", "1|x|6"},
		{"INSERT INTO t VALUES (1, 'y', 5), (3, 'z', 0) ON CONFLICT DO NOTHING RETURNING id", "3"},
		{"UPDATE t SET (v, n) = ('q', n * 10) WHERE id > 1 RETURNING id, v, n", "2|q|20\n3|q|0"},
		{"UPDATE t SET n = (SELECT max(n) FROM t) WHERE id = 3 RETURNING n", "20"},
		{"UPDATE t SET n = s.k FROM (VALUES (1, 100), (2, 200)) s(i, k) WHERE t.id = s.i RETURNING t.id, s.k", "1|100\n2|200"},
		{"WITH gone AS (DELETE FROM t WHERE id < 3 RETURNING *) SELECT count(*), sum(n) FROM gone", "2|300"},
		{"DELETE FROM t RETURNING id, v, n", "3|q|20"},
		{"SELECT count(*) FROM t", "0"},
	} {
		if got := nodetest.Text(t, c, step.sql); got != step.want {
			t.Fatalf("%s\ngot  %q\nwant %q", step.sql, got, step.want)
		}
	}
}

func TestTableWithoutKey(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (a int, b text)", "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'y')",
		"CREATE MATERIALIZED VIEW v AS SELECT a, count(*) n FROM t GROUP BY a")
	produce(t, s, "t", [2]string{"", `{"a":1,"b":"k"}`})
	nodetest.Eventually(t, c, "SELECT * FROM v ORDER BY a", "1|3\n2|1")
	nodetest.Exec(t, c, "UPDATE t SET a = 3 WHERE b = 'x'", "DELETE FROM t WHERE a = 2")
	if got := nodetest.Text(t, c, "SELECT * FROM t ORDER BY a, b"); got != "1|k\n3|x\n3|x" {
		t.Fatal(got)
	}
	nodetest.Eventually(t, c, "SELECT * FROM v ORDER BY a", "1|1\n3|2")
}

// Records without any key each make a row, however they are batched, and the same rows after a replay.
func TestKeylessRecordsOfSeveralBatches(t *testing.T) {
	dir := t.TempDir()
	s := nodetest.StartOn(t, dir)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (a int, at timestamptz DEFAULT now())")
	for range 3 {
		produce(t, s, "t", [2]string{"", `{"a":1}`}, [2]string{"", `{"a":2}`})
	}
	nodetest.Eventually(t, c, "SELECT a, count(*) FROM t GROUP BY a ORDER BY a", "1|3\n2|3")
	before := nodetest.Text(t, c, "SELECT _rowid, at FROM t ORDER BY 1")
	_ = c.Close(t.Context())
	s.Stop(t)
	c = nodetest.StartOn(t, dir).Connect(t)
	if after := nodetest.Text(t, c, "SELECT _rowid, at FROM t ORDER BY 1"); after != before {
		t.Fatalf("after a restart\n%s\nbefore\n%s", after, before)
	}
}

// What a savepoint's rollback undoes holds no unique entry any more, and what it gives back is taken again.
func TestUniqueAfterRollbackToSavepoint(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, e text UNIQUE)", "INSERT INTO t VALUES (0, 'x')",
		"BEGIN", "SAVEPOINT s", "UPDATE t SET e = 'y' WHERE id = 0", "INSERT INTO t VALUES (1, 'x')", "ROLLBACK TO s")
	if _, err := c.Exec(t.Context(), "INSERT INTO t VALUES (2, 'x')"); code(err) != "23505" {
		t.Fatalf("a duplicate after ROLLBACK TO: %v", err)
	}
}

func TestAlterTable(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)",
		"ALTER TABLE t ADD COLUMN v text DEFAULT 'd', ADD COLUMN n int", "INSERT INTO t VALUES (2, 'w', 3)",
		"CREATE INDEX ON t (v)", "ALTER TABLE t ADD COLUMN late int DEFAULT 7, ALTER COLUMN v SET DEFAULT 'e'")
	if got := nodetest.Text(t, c, "SELECT * FROM t ORDER BY id"); got != "1|d||7\n2|w|3|7" {
		t.Fatal(got)
	}
	if got := nodetest.Text(t, c, "SELECT id FROM t WHERE v = 'd'"); got != "1" {
		t.Fatal(got)
	}
	nodetest.Exec(t, c, "SET miracledb.route = 'analytic'")
	if got := nodetest.Text(t, c, "SELECT * FROM t ORDER BY id"); got != "1|d||7\n2|w|3|7" {
		t.Fatalf("in the column store: %q", got)
	}
}

// Rows that a transaction wrote before its own ALTER TABLE get the columns that it adds, and lose them with it.
func TestAlterTableAfterWrites(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (0, 0)",
		"CREATE TABLE s (n int) WITH (append_only)",
		"BEGIN", "INSERT INTO t VALUES (1, 1)", "UPDATE t SET n = 5 WHERE id = 0", "INSERT INTO s VALUES (1)",
		"SAVEPOINT p", "ALTER TABLE t ADD COLUMN x int DEFAULT 1", "UPDATE t SET x = 3 WHERE id = 1", "ROLLBACK TO p",
		"UPDATE t SET n = n + 1 WHERE id = 1", "ALTER TABLE t ADD COLUMN c int DEFAULT 7", "ALTER TABLE s ADD COLUMN c int DEFAULT 7",
		"INSERT INTO t VALUES (2, 2, 2)", "UPDATE t SET c = 9 WHERE id = 1", "INSERT INTO s VALUES (2, 2)", "COMMIT")
	for _, route := range []string{"row", "analytic"} {
		nodetest.Exec(t, c, "SET miracledb.route = '"+route+"'")
		if got := nodetest.Text(t, c, "SELECT * FROM t ORDER BY id"); got != "0|5|7\n1|2|9\n2|2|2" {
			t.Fatalf("%s: %q", route, got)
		}
		if got := nodetest.Text(t, c, "SELECT * FROM s ORDER BY n"); got != "1|7\n2|2" {
			t.Fatalf("%s: %q", route, got)
		}
	}
}

// Writers that meet ALTER TABLE succeed or are told to retry; the server follows, with all that it acknowledged.
func TestAlterTableBesideWriters(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, n int)")
	done := make(chan struct{})
	var wg sync.WaitGroup
	var written atomic.Int64
	for w := range 4 {
		wc := s.Connect(t)
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				_, err := wc.Exec(context.Background(), fmt.Sprintf("INSERT INTO t (id, n) VALUES (%d, 1); UPDATE t SET n = 2 WHERE id = %[1]d", w*1000000+i))
				if err == nil {
					written.Add(1)
				} else if code(err) != "40001" {
					t.Errorf("a writer: %v", err)
					return
				}
			}
		})
	}
	for i := range 10 {
		nodetest.Exec(t, c, fmt.Sprintf("ALTER TABLE t ADD COLUMN c%d int DEFAULT %[1]d", i))
		time.Sleep(20 * time.Millisecond)
	}
	close(done)
	wg.Wait()
	want := fmt.Sprintf("%d|%[1]d", written.Load())
	for _, route := range []string{"row", "analytic"} {
		nodetest.Exec(t, c, "SET miracledb.route = '"+route+"'")
		if got := nodetest.Text(t, c, "SELECT count(*), count(*) FILTER (WHERE n = 2 AND c9 = 9) FROM t"); got != want {
			t.Errorf("%s has %q, acknowledged were %q", route, got, want)
		}
	}
}

// A statement's own rows are seen by the next one on every route.
func TestReadYourWrites(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE MATERIALIZED VIEW v AS SELECT count(*) n FROM t")
	for i := range 50 {
		nodetest.Exec(t, c, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		want := fmt.Sprint(i + 1)
		for _, q := range []string{"SELECT count(*) FROM t", "SELECT n FROM v"} {
			if got := nodetest.Text(t, c, q); got != want {
				t.Fatalf("%s after %s writes: %s", q, want, got)
			}
		}
	}
}

func TestExplainView(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, g int)", "CREATE MATERIALIZED VIEW v AS SELECT g, count(*) FROM t GROUP BY g")
	got := nodetest.Text(t, c, "EXPLAIN SELECT * FROM v")
	if !strings.Contains(got, "incremental") {
		t.Fatalf("EXPLAIN of a view:\n%s", got)
	}
}

// A transaction that would take too much memory ends with an error; the server and its other sessions do not notice.
func TestTransactionLimit(t *testing.T) {
	s := nodetest.StartWith(t, node.Config{MaxTransaction: limit.MiB})
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g")
	if _, err := c.Exec(t.Context(), "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1000, 9000) g"); code(err) != "53200" {
		t.Fatalf("8 MB in a transaction of 1 MiB: %v", err)
	}
	if got := nodetest.Text(t, c, "SELECT count(*) FROM t"); got != "100" {
		t.Fatal(got)
	}
}
