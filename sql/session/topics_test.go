package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/logtest"
)

// alter sets one setting of a topic beside those it has, and its partitions.
func alter(t *testing.T, s *nodetest.Server, name, setting, value string, partitions int32) error {
	t.Helper()
	topic, ok := s.Log.Topic(name)
	if !ok {
		t.Fatalf("no topic %s", name)
	}
	return s.Database.AlterTopic(context.Background(), topic, func(t *log.Topic) error {
		config := map[string]string{setting: value}
		for have, value := range t.Config {
			if have != setting {
				config[have] = value
			}
		}
		t.Config, t.Partitions = config, partitions
		return nil
	})
}

func TestAlterTopic(t *testing.T) {
	s := nodetest.Start(t)
	ctx := context.Background()
	if _, err := s.Database.CreateTopic(ctx, "raw", 1, map[string]string{"retention.ms": "1000"}); err != nil {
		t.Fatal(err)
	}
	if err := alter(t, s, "raw", "segment.ms", "5000", 3); err != nil {
		t.Fatal(err)
	}
	topic, _ := s.Log.Topic("raw")
	if topic.Partitions != 3 || topic.Setting("segment.ms") != "5000" || topic.Setting("retention.ms") != "1000" {
		t.Errorf("%+v", topic)
	}
	if err := alter(t, s, "raw", "cleanup.policy", "sometimes", 3); !errs.Is(err, errs.Invalid) {
		t.Errorf("a wrong value: %v", err)
	}
	if err := alter(t, s, "raw", "segment.ms", "1", 2); !errs.Is(err, errs.Invalid) {
		t.Errorf("fewer partitions: %v", err)
	}
}

// Nothing cuts a table's rows; what a Kafka client has set stays over DDL.
func TestAlterTopicOfTable(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE rows (id int PRIMARY KEY)", "CREATE TABLE events (id int) WITH (append_only)")
	for _, name := range []string{"events", "rows"} {
		if err := alter(t, s, name, "segment.ms", "5000", 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := alter(t, s, "events", "retention.ms", "9", 3); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{"delete", "compact,delete"} {
		if err := alter(t, s, "rows", "cleanup.policy", policy, 3); !errors.Is(err, log.ErrInvalidConfig) {
			t.Errorf("cutting the topic of a table by %s: %v", policy, err)
		}
	}
	nodetest.Exec(t, c, "INSERT INTO rows SELECT generate_series(1, 100)", "ALTER TABLE rows ADD COLUMN v int")
	topic, _ := s.Log.Topic("rows")
	if cut, compact := topic.Cleanup(); cut || compact || topic.Partitions != 3 || topic.Setting("segment.ms") != "5000" {
		t.Errorf("%+v", topic)
	}
}

// A table's topic is compacted if asked, but for tables whose rows stand or fall with others.
func TestCompactTopicOfTable(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE plain (id int PRIMARY KEY)", "CREATE TABLE owner (id int PRIMARY KEY)",
		"CREATE TABLE child (id int PRIMARY KEY, o int REFERENCES owner)", "CREATE TABLE sole (id int PRIMARY KEY, v int UNIQUE)")
	policy := func(name string) (cut, compact bool) {
		topic, _ := s.Log.Topic(name)
		return topic.Cleanup()
	}
	for name, says := range map[string]string{"owner": `table "child" refers to it`, "child": "UNIQUE or FOREIGN KEY", "sole": "UNIQUE or FOREIGN KEY"} {
		if err := alter(t, s, name, "cleanup.policy", "compact", 1); !errors.Is(err, log.ErrInvalidConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := alter(t, s, "plain", "cleanup.policy", "compact", 1); err != nil {
		t.Fatal(err)
	}
	nodetest.Exec(t, c, "ALTER TABLE plain ADD COLUMN v int", "CREATE UNIQUE INDEX pv ON plain (v)")
	if err := alter(t, s, "plain", "segment.ms", "5000", 1); err != nil {
		t.Errorf("another setting, once there is a constraint: %v", err)
	}
	if cut, compact := policy("plain"); cut || !compact {
		t.Errorf("cut %t, compacted %t", cut, compact)
	}
	topic, _ := s.Log.Topic("plain")
	err := s.Database.AlterTopic(t.Context(), topic, func(t *log.Topic) error {
		t.Config = nil // as AlterConfigs and --delete-config take settings away
		return nil
	})
	if cut, compact := policy("plain"); err != nil || cut || compact {
		t.Errorf("taken back: %v, cut %t, compacted %t", err, cut, compact)
	}
}

// A Kafka transaction over tables and streams is seen whole by SQL, when it commits, and not at all when it aborts; a SQL
// transaction whose row it replaces ends with 40001.
func TestKafkaTransactions(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE a (id int PRIMARY KEY, v int)", "CREATE TABLE b (id int PRIMARY KEY, v int)",
		"CREATE TABLE e (v int) WITH (append_only)",
		"CREATE MATERIALIZED VIEW sums AS SELECT (SELECT sum(v) FROM a) AS a, (SELECT sum(v) FROM b) AS b")
	p, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.TransactionalID("tx"), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	transfer := func(id, v int, commit bool) {
		t.Helper()
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for topic, sign := range map[string]int{"a": 1, "b": -1, "e": 1} {
			r := &kgo.Record{Topic: topic, Key: fmt.Append(nil, id), Value: fmt.Appendf(nil, `{"id":%d,"v":%d}`, id, sign*v)}
			if topic == "e" {
				r.Key, r.Value = nil, fmt.Appendf(nil, `{"v":%d}`, v)
			}
			if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
	}
	all := "SELECT (SELECT count(*) FROM a) || ' ' || (SELECT coalesce(sum(v), 0) FROM a) || ' ' || (SELECT coalesce(sum(v), 0) FROM b) || ' ' || (SELECT count(*) FROM e)"
	transfer(1, 10, true)
	nodetest.Eventually(t, c, all, "1 10 -10 1")
	transfer(2, 5, false)
	transfer(1, 11, true)
	nodetest.Eventually(t, c, all, "1 11 -11 2")
	nodetest.Eventually(t, c, "SELECT a || ' ' || b FROM sums", "11 -11")
	other := s.Connect(t)
	nodetest.Exec(t, other, "BEGIN", "UPDATE a SET v = v + 100 WHERE id = 1")
	transfer(1, 12, true)
	if _, err := other.Exec(t.Context(), "COMMIT"); code(err) != "40001" {
		t.Errorf("the commit over a produced row: %v", err)
	}
	nodetest.Eventually(t, c, all, "1 12 -12 3")
	// Records produced before the schema: what was aborted, or goes on, is no row.
	for _, commit := range []bool{true, false, true} {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: "late", Value: fmt.Appendf(nil, `{"v":%d}`, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
	}
	nodetest.Eventually(t, c, "SELECT count(*) FROM late", "6")
	nodetest.Exec(t, c, "CREATE TABLE past (v int) WITH (append_only, topic = 'late')")
	nodetest.Eventually(t, c, "SELECT count(*) FROM past", "6")
}

// A topic may begin within a batch: neither who reads it raw nor a schema that is laid over it meets the records that were deleted.
// What a schema that was there before has taken, it keeps.
func TestSchemaOverCutTopic(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	for _, name := range []string{"cut", "early"} {
		topic, err := s.Database.CreateTopic(t.Context(), name, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name == "early" {
			nodetest.Exec(t, c, "CREATE TABLE early (v int) WITH (append_only, topic = 'early')")
		}
		p := log.Partition{Topic: topic.ID}
		for range 2 {
			batch := logtest.Batch(t, 1, `{"v":1}`, `{"v":2}`, `{"v":3}`)
			if _, err := log.Commit(t.Context(), s.Log, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: batch}}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Log.(*broker.Broker).DeleteRecords(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
	}
	nodetest.Eventually(t, c, "SELECT string_agg(_value, ' ' ORDER BY _offset) FROM cut", `{"v":2} {"v":3} {"v":1} {"v":2} {"v":3}`)
	nodetest.Exec(t, c, "CREATE TABLE past (v int) WITH (append_only, topic = 'cut')")
	nodetest.Eventually(t, c, "SELECT string_agg(v::text, ' ' ORDER BY v) FROM past", "1 2 2 3 3")
	nodetest.Eventually(t, c, "SELECT string_agg(v::text, ' ' ORDER BY v) FROM early", "1 1 2 2 3 3")
}

// The same within a transaction, whose records take effect behind the cut.
func TestSchemaOverCutTransaction(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	topic, err := s.Database.CreateTopic(t.Context(), "cut", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("cut"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := k.ProduceSync(t.Context(), &kgo.Record{Value: fmt.Appendf(nil, `{"v":%d}`, i+1)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Log.(*broker.Broker).DeleteRecords(t.Context(), log.Partition{Topic: topic.ID}, 1); err != nil {
		t.Fatal(err)
	}
	nodetest.Exec(t, c, "CREATE TABLE past (v int) WITH (append_only, topic = 'cut')")
	nodetest.Eventually(t, c, "SELECT string_agg(v::text, ' ' ORDER BY v) FROM past", "2 3")
}

// With miracledb.read = latest a table shows every record that Kafka has acknowledged, as views and the analytical engine do.
func TestLatestReadsTables(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY)", "SET miracledb.read = 'latest'", "SET miracledb.route = 'row'")
	k, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for i := range 200 {
		if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, `{"id": %d}`, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if got := nodetest.Text(t, c, fmt.Sprintf("SELECT id FROM t WHERE id = %d", i)); got != fmt.Sprint(i) {
			t.Fatalf("record %d is not there: %q", i, got)
		}
	}
}
