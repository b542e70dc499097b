package node_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// views of the crash and model tests: every class of aggregate, a join, a filter, a view over a view, one without key.
var modelViews = map[string]string{
	"sums":    "SELECT g, count(*) n, sum(v) s, min(v) lo, max(v) hi, count(DISTINCT v) d FROM t GROUP BY g",
	"joined":  "SELECT t.id, t.v, u.name FROM t JOIN u ON t.g = u.g",
	"named":   "SELECT name, count(*) n, sum(v) s FROM t JOIN u ON t.g = u.g GROUP BY name",
	"large":   "SELECT id, v * 2 AS twice FROM t WHERE v > 50",
	"bag":     "SELECT v % 3 AS r, g FROM t",
	"oversum": "SELECT n, count(*) c FROM sums GROUP BY n",
	"events":  "SELECT k, count(*) n, max(at) last FROM e GROUP BY k",
}

var modelTables = []string{
	"CREATE TABLE t (id int PRIMARY KEY, g int, v int)",
	"CREATE TABLE u (g int PRIMARY KEY, name text)",
	"CREATE TABLE e (k text, at int) WITH (append_only, partitions = 3)",
	"INSERT INTO u SELECT g, 'n' || g % 3 FROM generate_series(0, 6) g",
}

func createModel(t *testing.T, c *pgx.Conn) {
	t.Helper()
	nodetest.Exec(t, c, modelTables...)
	names := slices.Sorted(maps.Keys(modelViews))
	for _, v := range names {
		if v != "oversum" {
			nodetest.Exec(t, c, "CREATE MATERIALIZED VIEW "+v+" AS "+modelViews[v])
		}
	}
	nodetest.Exec(t, c, "CREATE MATERIALIZED VIEW oversum AS "+modelViews["oversum"])
}

// checkModel holds every view against its query, by the row executor and by DuckDB.
func checkModel(t *testing.T, c *pgx.Conn, when string) {
	t.Helper()
	nodetest.Exec(t, c, "SET miracledb.read = 'latest'")
	for v, query := range modelViews {
		got := sorted(nodetest.Text(t, c, "SELECT * FROM "+v))
		for _, route := range []string{"row", "analytic"} {
			nodetest.Exec(t, c, "SET miracledb.route = '"+route+"'")
			if want := sorted(nodetest.Text(t, c, query)); got != want {
				t.Fatalf("%s: view %s is not its query (%s):\n%s\nwant\n%s", when, v, route, got, want)
			}
		}
		nodetest.Exec(t, c, "RESET miracledb.route")
	}
}

func sorted(lines string) string {
	l := strings.Split(lines, "\n")
	slices.Sort(l)
	return strings.Join(l, "\n")
}

// Random inserts, updates and deletes, alone and in transactions: after each step every view equals its query.
func TestViewsEqualQueries(t *testing.T) {
	seeds, steps := 1, 120
	if testenv.Conformance() {
		seeds, steps = 10, 500
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			s := nodetest.Start(t)
			c := s.Connect(t)
			createModel(t, c)
			for i := range steps {
				var done []string
				for range 1 + r.IntN(4) {
					done = append(done, randomWrite(r))
				}
				if r.IntN(3) == 0 {
					done = append(append([]string{"BEGIN"}, done...), []string{"COMMIT", "ROLLBACK"}[r.IntN(2)])
				}
				nodetest.Exec(t, c, done...)
				if i%10 == 9 {
					checkModel(t, c, fmt.Sprintf("step %d, after %q", i, done))
				}
			}
		})
	}
}

// randomWrite changes rows of the model, those of t below id 1,000.
func randomWrite(r *rand.Rand) string {
	id, g, v := r.IntN(60), r.IntN(8), r.IntN(100)
	switch r.IntN(8) {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO t VALUES (%d, %d, %d) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v, g = EXCLUDED.g", id, g, v)
	case 2:
		return fmt.Sprintf("INSERT INTO t SELECT x, %d, x %% 97 FROM generate_series(%d, %d) x ON CONFLICT DO NOTHING", g, id, id+r.IntN(20))
	case 3:
		return fmt.Sprintf("UPDATE t SET v = v + %d WHERE g = %d AND id < 1000", v, g)
	case 4:
		return fmt.Sprintf("UPDATE t SET g = %d, id = id + 100 WHERE id = %d AND NOT EXISTS (SELECT 1 FROM t x WHERE x.id = t.id + 100)", g, id)
	case 5:
		return fmt.Sprintf("DELETE FROM t WHERE id %% 13 = %d AND id < 1000", r.IntN(13))
	case 6:
		return fmt.Sprintf("INSERT INTO u VALUES (%d, 'n%d') ON CONFLICT (g) DO UPDATE SET name = EXCLUDED.name", g, r.IntN(4))
	}
	return fmt.Sprintf("INSERT INTO e VALUES ('k%d', %d), ('k%d', NULL)", r.IntN(3), v, r.IntN(3))
}

// A server is killed at random under load, with its stores at different Positions: what was acknowledged is there once, and the
// views equal their queries.
func TestKillRecovery(t *testing.T) {
	if testing.Short() {
		t.Skip("kills take a while")
	}
	kills := 4
	if testenv.Conformance() {
		kills = 40
	}
	dir := filepath.Join(t.TempDir(), "data")
	p := nodetest.StartProcess(t, dir)
	createModel(t, p.Connect(t))
	acked := &acknowledged{events: map[string]bool{}, rows: map[int]int{}}
	for kill := range kills {
		load(t, p, acked, kill)
		p = nodetest.StartProcess(t, dir)
		c := p.Connect(t)
		when := fmt.Sprintf("after kill %d", kill)
		acked.check(t, c, when)
		checkModel(t, c, when)
	}
}

// acknowledged is what clients were told is durable.
type acknowledged struct {
	sync.Mutex
	events map[string]bool // values of e.at by Kafka producers; SQL's random rows have a key k…
	rows   map[int]int     // t's rows by id above 1,000
}

func load(t *testing.T, p *nodetest.Process, a *acknowledged, round int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Add(2)
		go func() { defer wg.Done(); produceEvents(ctx, p, a, round, w) }()
		go func() { defer wg.Done(); writeRows(ctx, p, a, round, w) }()
	}
	time.Sleep(time.Duration(300+rand.IntN(1500)) * time.Millisecond)
	p.Kill()
	cancel()
	wg.Wait()
	t.Logf("round %d: %d events and %d rows acknowledged", round, len(a.events), len(a.rows))
}

func produceEvents(ctx context.Context, p *nodetest.Process, a *acknowledged, round, worker int) {
	c, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka), kgo.ProducerLinger(time.Millisecond), kgo.RecordRetries(2),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.DefaultProduceTopic("e"))
	if err != nil {
		return
	}
	defer c.Close() // fails what is under way: its outcome is not known
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("w%d", worker)
		at := round*1_000_000 + worker*100_000 + i
		c.Produce(ctx, &kgo.Record{Value: fmt.Appendf(nil, `{"k":%q,"at":%d}`, key, at)}, func(_ *kgo.Record, err error) {
			if err == nil {
				a.Lock()
				a.events[fmt.Sprint(at)] = true
				a.Unlock()
			}
		})
		if i%20 == 19 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func writeRows(ctx context.Context, p *nodetest.Process, a *acknowledged, round, worker int) {
	c, err := pgx.Connect(ctx, "postgres://miracledb@"+p.PG+"/miracledb?sslmode=disable")
	if err != nil {
		return
	}
	defer func() { _ = c.Close(context.Background()) }()
	for i := 0; ctx.Err() == nil; i++ {
		id, v := 1000+worker*100+i%50, round*100_000+i
		_, err := c.Exec(ctx, "INSERT INTO t VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v", id, i%7, v)
		if err != nil {
			return
		}
		a.Lock()
		a.rows[id] = v
		a.Unlock()
	}
}

func (a *acknowledged) check(t *testing.T, c *pgx.Conn, when string) {
	t.Helper()
	nodetest.Exec(t, c, "SET miracledb.read = 'latest'")
	there := map[string]int{}
	for _, at := range strings.Split(nodetest.Text(t, c, "SELECT at FROM e WHERE k NOT LIKE 'k%'"), "\n") {
		there[at]++
	}
	for at := range a.events {
		if there[at] != 1 {
			t.Fatalf("%s: the acknowledged event %s is there %d times", when, at, there[at])
		}
	}
	for at, n := range there {
		if n != 1 {
			t.Fatalf("%s: event %s is there %d times", when, at, n)
		}
	}
	rows := map[int]int{}
	for _, line := range strings.Split(nodetest.Text(t, c, "SELECT id, v FROM t WHERE id >= 1000"), "\n") {
		var id, v int
		if _, err := fmt.Sscanf(line, "%d|%d", &id, &v); err == nil {
			rows[id] = v
		}
	}
	for id, v := range a.rows {
		if rows[id] < v { // a later write may be durable without its acknowledgement
			t.Fatalf("%s: row %d has %d, and %d was acknowledged", when, id, rows[id], v)
		}
	}
}

// A clean stop leaves nothing to replay, and what was there is there.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := nodetest.StartOn(t, dir)
	c := s.Connect(t)
	createModel(t, c)
	nodetest.Exec(t, c, "INSERT INTO t SELECT x, x % 8, x FROM generate_series(1, 3000) x", "INSERT INTO e VALUES ('a', 1)",
		"CREATE INDEX ON t (g)", "CREATE VIEW small AS SELECT * FROM t WHERE id < 3")
	for i := range 3 {
		_ = c.Close(t.Context())
		s.Stop(t)
		s = nodetest.StartOn(t, dir)
		c = s.Connect(t)
		checkModel(t, c, fmt.Sprintf("restart %d", i))
		if got := nodetest.Text(t, c, "SELECT id FROM small ORDER BY id"); got != "1\n2" {
			t.Fatal(got)
		}
		nodetest.Exec(t, c, fmt.Sprintf("INSERT INTO t VALUES (%d, 1, 1)", 10_000+i))
	}
}

// A server whose circuits are lost starts with its stores at different Positions, each of them ahead of the others once: every view
// is its query afterwards.
func TestStoresApart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := nodetest.StartOn(t, dir)
	r := rand.New(rand.NewPCG(5, 6))
	c := s.Connect(t)
	createModel(t, c)
	write := func(c *pgx.Conn) {
		for range 60 {
			nodetest.Exec(t, c, randomWrite(r))
		}
	}
	write(c)
	s.Stop(t)
	stores := []string{"tables", "views", "columnar"}
	old := t.TempDir()
	for _, store := range stores {
		copyTree(t, filepath.Join(dir, store), filepath.Join(old, store))
	}
	s = nodetest.StartOn(t, dir)
	c = s.Connect(t)
	write(c)
	for i := range 1500 { // more than a tick takes
		nodetest.Exec(t, c, fmt.Sprintf("INSERT INTO e VALUES ('k%d', %d)", i%3, i))
	}
	s.Stop(t)
	for behind := range 1<<len(stores) - 1 {
		name, apart := "behind:", filepath.Join(t.TempDir(), "data")
		copyTree(t, dir, apart)
		for _, lost := range []string{"circuits", "engine"} {
			if err := os.RemoveAll(filepath.Join(apart, lost)); err != nil {
				t.Fatal(err)
			}
		}
		for i, store := range stores {
			if behind&(1<<i) == 0 {
				continue
			}
			name += " " + store
			if err := os.RemoveAll(filepath.Join(apart, store)); err != nil {
				t.Fatal(err)
			}
			copyTree(t, filepath.Join(old, store), filepath.Join(apart, store))
		}
		s := nodetest.StartOn(t, apart)
		checkModel(t, s.Connect(t), name)
		s.Stop(t)
	}
}

// Rows and a change of their table's columns that are applied together are rows of the old shape and of the new one.
func TestRowsBeforeAlter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := nodetest.StartOn(t, dir)
	nodetest.Exec(t, s.Connect(t), "CREATE TABLE t (id int PRIMARY KEY, v int)", "CREATE MATERIALIZED VIEW sums AS SELECT v % 3 AS g, count(*) AS n FROM t GROUP BY 1",
		"INSERT INTO t SELECT x, x FROM generate_series(1, 9) x", "UPDATE t SET v = v + 1", "ALTER TABLE t ADD COLUMN w int DEFAULT 7", "UPDATE t SET w = v WHERE id < 3",
		"BEGIN", "DELETE FROM t WHERE id = 9", "ALTER TABLE t ADD COLUMN x text", "INSERT INTO t (id, v, x) VALUES (10, 1, 'x')", "COMMIT")
	s.Stop(t)
	for _, store := range []string{"tables", "views", "columnar", "circuits", "engine"} {
		if err := os.RemoveAll(filepath.Join(dir, store)); err != nil {
			t.Fatal(err)
		}
	}
	c := nodetest.StartOn(t, dir).Connect(t)
	for _, route := range []string{"row", "analytic"} {
		nodetest.Exec(t, c, "SET miracledb.route = '"+route+"'")
		if got := nodetest.Text(t, c, "SELECT count(*), sum(v), max(x) FROM t"); got != "9|45|x" {
			t.Errorf("%s: %s", route, got)
		}
	}
	if got := sorted(nodetest.Text(t, c, "SELECT * FROM sums")); got != "0|3\n1|3\n2|3" {
		t.Errorf("%q", got)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
