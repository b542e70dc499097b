package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/record"
)

// compacting are tables whose topics are compacted, with what is computed of them.
var compacting = []string{"a", "b", "c"}

func createCompacted(t *testing.T, s *nodetest.Server, c *pgx.Conn) {
	nodetest.Exec(t, c, "CREATE TABLE a (id int PRIMARY KEY, v int CHECK (v >= 0), at timestamp DEFAULT now())",
		"CREATE TABLE b (id text PRIMARY KEY, v int) WITH (partitions = '3')", "CREATE TABLE c (v int)",
		"CREATE MATERIALIZED VIEW sums AS SELECT v % 7 AS g, count(*) AS n, sum(id) AS s FROM a GROUP BY 1",
		"CREATE MATERIALIZED VIEW pairs AS SELECT a.id, a.v, c.v AS w FROM a JOIN c ON a.v = c.v",
		"CREATE MATERIALIZED VIEW faults AS SELECT reason, count(*) AS n FROM a__rejected GROUP BY 1")
	produceTo(t, s, "", func(p *kgo.Client) { // keyless: not taken any more once the topic is compacted
		for i := range 40 {
			write(t, p, &kgo.Record{Topic: "c", Value: fmt.Appendf(nil, `{"v": %d}`, i)})
			write(t, p, &kgo.Record{Topic: "a", Value: fmt.Appendf(nil, `{"id": %d, "v": %d}`, i%20, i)})
		}
	})
	for _, name := range compacting {
		compactTopic(t, s, name)
	}
}

func compactTopic(t *testing.T, s *nodetest.Server, name string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var changes []kadm.AlterConfig
	for k, v := range map[string]string{"cleanup.policy": "compact", "segment.bytes": "3000", "segment.ms": "50", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0"} {
		changes = append(changes, kadm.AlterConfig{Name: k, Value: &v})
	}
	done, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), changes, name)
	if err != nil || done[0].Err != nil {
		t.Fatal(err, done)
	}
}

func produceTo(t *testing.T, s *nodetest.Server, txn string, f func(*kgo.Client)) {
	t.Helper()
	options := []kgo.Opt{kgo.SeedBrokers(s.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if txn != "" {
		options = append(options, kgo.TransactionalID(txn))
	}
	p, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f(p)
}

func write(t *testing.T, p *kgo.Client, rs ...*kgo.Record) {
	t.Helper()
	if err := p.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// randomRecord is one of table a or b: a row, a deletion, or a fault, its key spelt in one of several ways.
func randomRecord(r *rand.Rand) *kgo.Record {
	id, v := r.IntN(25), r.IntN(50)
	if r.IntN(3) == 0 {
		rec := &kgo.Record{Topic: "b", Partition: r.Int32N(3), Key: fmt.Appendf(nil, `"k%d"`, id), Value: fmt.Appendf(nil, `{"id": "k%d", "v": %d}`, id, v)}
		if r.IntN(3) == 0 {
			rec.Value = nil
		}
		return rec
	}
	rec := &kgo.Record{Topic: "a", Key: fmt.Append(nil, id), Value: fmt.Appendf(nil, `{"id": %d, "v": %d}`, id, v)}
	if r.IntN(2) == 0 {
		rec.Key = fmt.Appendf(nil, `{ "id":  %d}`, id)
	}
	switch r.IntN(12) {
	case 0:
		rec.Value = fmt.Appendf(nil, `{"id": %d, "v": -1}`, id)
	case 1:
		rec.Value = fmt.Appendf(nil, `{"id": %d, "v": "none"}`, id)
	case 2:
		rec.Value = fmt.Appendf(nil, `{"id": %d, "v": 1}`, id+1)
	case 3, 4, 5:
		rec.Value = nil
	}
	return rec
}

// churn changes the tables by SQL and by Kafka, in transactions and out of them; the outcome of some is decided after records that
// were written later.
func churn(t *testing.T, s *nodetest.Server, r *rand.Rand, steps int) {
	c := s.Connect(t)
	sql := func(statements ...string) {
		for _, one := range statements {
			_, err := c.Exec(t.Context(), one)
			var refused *pgconn.PgError
			if errors.As(err, &refused) && refused.Code == "23505" { // while b has a unique index
				nodetest.Exec(t, c, "ROLLBACK")
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", one, err)
			}
		}
	}
	begin := func(p *kgo.Client) {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(p *kgo.Client) {
		if err := p.EndTransaction(context.Background(), kgo.TransactionEndTry(r.IntN(3) > 0)); err != nil {
			t.Fatal(err)
		}
	}
	produceTo(t, s, "", func(plain *kgo.Client) {
		produceTo(t, s, "one", func(one *kgo.Client) {
			produceTo(t, s, "two", func(two *kgo.Client) {
				for range steps {
					id, v := r.IntN(25), r.IntN(48)
					switch r.IntN(9) {
					case 0:
						sql(fmt.Sprintf("INSERT INTO a (id, v) VALUES (%d, %d) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v", id, v))
					case 1:
						sql("BEGIN", fmt.Sprintf("DELETE FROM a WHERE id = %d", id), fmt.Sprintf("UPDATE b SET v = v + 1 WHERE v < %d", v),
							fmt.Sprintf("INSERT INTO c VALUES (%d)", v), []string{"COMMIT", "ROLLBACK"}[r.IntN(2)])
					case 2:
						sql(fmt.Sprintf("DELETE FROM c WHERE v = %d", v))
					case 3, 4, 5, 6:
						for range 1 + r.IntN(6) {
							write(t, plain, randomRecord(r))
						}
					default:
						begin(one)
						write(t, one, randomRecord(r), randomRecord(r))
						begin(two)
						write(t, plain, randomRecord(r))
						write(t, two, randomRecord(r))
						end(one)
						write(t, plain, randomRecord(r))
						end(two)
					}
				}
			})
		})
	})
}

// contents are all rows of the model.
func contents(t *testing.T, s *nodetest.Server) string {
	t.Helper()
	c := s.Connect(t)
	nodetest.Exec(t, c, "SET miracledb.read = 'latest'")
	var all strings.Builder
	for _, what := range []string{"* FROM sums", "* FROM pairs", "* FROM faults", "* FROM a", "* FROM b", "_rowid, v FROM c", // views wait for all
		"reason, _key, _value, _partition, _offset FROM a__rejected", "reason, _key, _value, _partition, _offset FROM b__rejected"} {
		fmt.Fprintf(&all, "%s:\n%s\n", what, sorted(nodetest.Text(t, c, "SELECT "+what)))
	}
	return all.String()
}

// difference gives the lines that only one of two texts has.
func difference(got, want string) string {
	var out strings.Builder
	for _, side := range []struct{ what, in, of string }{{"got ", got, want}, {"want", want, got}} {
		for line := range strings.SplitSeq(side.in, "\n") {
			if !strings.Contains("\n"+side.of, "\n"+line+"\n") {
				fmt.Fprintf(&out, "%s %s\n", side.what, line)
			}
		}
	}
	return out.String()
}

// records counts the records of a topic that are left.
func records(t *testing.T, l log.Log, name string) (left, ever int64) {
	t.Helper()
	topic, ok := l.Topic(name)
	if !ok {
		t.Fatalf("no topic %s", name)
	}
	for i := range topic.Partitions {
		p := log.Partition{Topic: topic.ID, Index: i}
		b, err := l.Bounds(p)
		if err != nil {
			t.Fatal(err)
		}
		ever += b.End
		r := record.NewReader(l, p, b.Start, b.End)
		for r.Next(t.Context()) {
			if b := r.Batch(); !b.Control() {
				left += int64(b.Count)
			}
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
	}
	return left, ever
}

// startCleaning starts a server with small files, whose log's clock is ahead and whose cleaner hardly rests.
func startCleaning(t *testing.T, dir string, ahead time.Duration) *nodetest.Server {
	return nodetest.StartWith(t, node.Config{Data: dir, Log: broker.Options{JournalFileSize: 256 * limit.KiB, TailBytes: 64 * limit.KiB,
		CleanInterval: 20 * time.Millisecond, Clock: nodetest.Ahead(ahead)}})
}

// shrinks waits until compaction has left at most so many percent of the records of a topic.
func shrinks(t *testing.T, s *nodetest.Server, name string, percent int64) {
	t.Helper()
	left, ever := records(t, s.Log, name)
	for range 3000 {
		if left <= ever*percent/100 {
			break
		}
		time.Sleep(100 * time.Millisecond) // the cleaner may not have had its turn
		left, ever = records(t, s.Log, name)
	}
	t.Logf("%s: %d of %d records are left", name, left, ever)
	if left > ever*percent/100 {
		t.Errorf("%s: %d of %d records are left", name, left, ever)
	}
}

// rebuilt gives the rows as they are computed from the log alone.
func rebuilt(t *testing.T, dir string, contents func(*testing.T, *nodetest.Server) string) string {
	t.Helper()
	apart := filepath.Join(t.TempDir(), "data")
	copyTree(t, dir, apart)
	for _, store := range []string{"tables", "views", "columnar", "circuits", "engine"} {
		if err := os.RemoveAll(filepath.Join(apart, store)); err != nil {
			t.Fatal(err)
		}
	}
	s := nodetest.StartOn(t, apart)
	defer s.Stop(t)
	return contents(t, s)
}

// Tables whose topics are compacted have the same rows, views and rejected records when they are computed anew from what is left:
// over random changes and definitions, and kills while the cleaner works.
func TestCompactedTables(t *testing.T) {
	seeds, rounds := 1, 6
	if testenv.Conformance() {
		seeds, rounds = 10, 12
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			dir := filepath.Join(t.TempDir(), "data")
			ahead := time.Duration(0)
			open := func() *nodetest.Server {
				ahead += log.MaxTxnTimeout + time.Minute // what transactions may still commit is not compacted
				t.Setenv(nodetest.AheadEnv, ahead.String())
				return startCleaning(t, dir, ahead)
			}
			s := open()
			createCompacted(t, s, s.Connect(t))
			definitions := []string{"ALTER TABLE a ADD COLUMN w int DEFAULT 3", "", "ALTER TABLE a ADD CHECK (v < 48)"}
			for round := range rounds {
				churn(t, s, r, 40)
				if round < len(definitions) {
					if c := s.Connect(t); round != 1 {
						nodetest.Exec(t, c, "DELETE FROM a WHERE v >= 48", definitions[round])
					} else {
						nodetest.Exec(t, c, "DELETE FROM b WHERE v > 10", "DELETE FROM b WHERE id IN (SELECT x.id FROM b x JOIN b y ON x.v = y.v AND x.id > y.id)", "CREATE UNIQUE INDEX bu ON b (v)")
						churn(t, s, r, 10)
						nodetest.Exec(t, c, "DROP INDEX bu")
					}
				}
				churn(t, s, r, 10)
				want := contents(t, s)
				s.Stop(t) // a checkpoint: what was written before it may be compacted
				for range 3 {
					ahead += log.MaxTxnTimeout + time.Minute
					t.Setenv(nodetest.AheadEnv, ahead.String())
					p := nodetest.StartProcess(t, dir)
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
					p.Kill()
				}
				s = open()
				time.Sleep(300 * time.Millisecond)
				if got := contents(t, s); got != want {
					t.Fatalf("round %d: after restarts\n%s", round, difference(got, want))
				}
				s.Stop(t)
				if got := rebuilt(t, dir, contents); got != want {
					t.Fatalf("round %d: computed anew\n%s", round, difference(got, want))
				}
				s = open()
			}
			for _, name := range compacting {
				shrinks(t, s, name, 90)
			}
			s.Stop(t)
		})
	}
}
