package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

func producer(t testing.TB, addr string) *kgo.Client {
	t.Helper()
	k, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func produce(t testing.TB, k *kgo.Client, topic string, values ...[]byte) {
	t.Helper()
	for _, v := range values {
		if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: v}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

const idText = `{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"s","type":"string"}]}`

func frame(t testing.TB, schemaID int32, id int, s string) []byte {
	t.Helper()
	b, err := avro.Marshal(avro.MustParse(idText), map[string]any{"id": id, "s": s})
	if err != nil {
		t.Fatal(err)
	}
	return append(schema.AppendFrame(nil, schemaID), b...)
}

// A record whose schema was not registered before it is a fault, and stays one: for a relation that was there, for one that is
// declared later, and for both after a crash whose stores stood at different Positions.
func TestSchemasCountFromTheirRegistrationOn(t *testing.T) {
	dir := t.TempDir()
	p := nodetest.StartProcess(t, dir)
	k := producer(t, p.Kafka)
	c := p.Connect(t)
	ddl := func(name string) string {
		return `CREATE TABLE ` + name + ` (id bigint PRIMARY KEY, s text) WITH (format = 'avro')`
	}
	nodetest.Exec(t, c, ddl("early"), `CREATE MATERIALIZED VIEW by_s AS SELECT s, count(*) n FROM early GROUP BY s`)
	registry := client(t, p.HTTP)
	for _, topic := range []string{"early", "late"} {
		produce(t, k, topic, frame(t, 1, 1, "before"), []byte(`{"id": 2, "s": "JSON"}`), []byte{0, 0}, []byte{})
	}
	x, err := registry.CreateSchema(t.Context(), "r", sr.Schema{Schema: idText})
	if err != nil || x.ID != 1 {
		t.Fatal(x.ID, err)
	}
	other, err := registry.CreateSchema(t.Context(), "p", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message M { int64 id = 1; }`})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"early", "late"} {
		produce(t, k, topic, frame(t, 1, 3, "after"), frame(t, int32(other.ID), 4, "of another type"), frame(t, 99, 5, "unknown"),
			frame(t, 1, 6, "cut")[:8], frame(t, 1, 7, "after"), append(frame(t, 1, 8, "long"), 0))
	}
	// What is registered stays known when its subject is gone.
	for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
		if _, err := registry.DeleteSubject(t.Context(), "r", how); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{"early", "late"} {
		produce(t, k, topic, frame(t, 1, 9, "after the end"))
	}
	nodetest.Exec(t, c, ddl("late"))
	const rows = "3|after\n7|after\n9|after the end"
	check := func(p *nodetest.Process) {
		t.Helper()
		c := p.Connect(t)
		nodetest.Exec(t, c, "SET miracledb.read = 'latest'")
		var rejected [2]string
		for i, name := range []string{"early", "late"} {
			if got := nodetest.Text(t, c, "SELECT * FROM "+name+" ORDER BY id"); got != rows {
				t.Errorf("%s:\n%s\nwant\n%s", name, got, rows)
			}
			rejected[i] = nodetest.Text(t, c, "SELECT _offset, reason FROM "+name+"__rejected ORDER BY _offset")
		}
		if rejected[0] != rejected[1] || strings.Count(rejected[0], "\n") != 7 || !strings.HasPrefix(rejected[0], "0|schema id 1 is not registered\n") {
			t.Errorf("rejected:\n%s\nand, declared later,\n%s", rejected[0], rejected[1])
		}
		if got := nodetest.Text(t, c, "SELECT s, n FROM by_s ORDER BY s"); got != "after|2\nafter the end|1" {
			t.Errorf("the view:\n%s", got)
		}
	}
	check(p)
	p.Kill()
	check(nodetest.StartProcess(t, dir))
}

// SQL cannot write what has no JSON, and can delete it; on_fault = 'refuse' tells the producer.
func TestWritesOfOtherFormats(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	k := producer(t, s.Kafka)
	nodetest.Exec(t, c, `CREATE TABLE r (id bigint PRIMARY KEY, s text) WITH (format = 'avro', on_fault = 'refuse')`, "SET miracledb.read = 'latest'")
	if _, err := client(t, s.HTTP).CreateSchema(t.Context(), "r-value", sr.Schema{Schema: idText}); err != nil {
		t.Fatal(err)
	}
	produce(t, k, "r", frame(t, 1, 1, "a"), frame(t, 1, 2, "b"))
	for _, st := range []string{`INSERT INTO r VALUES (3, 'c')`, `UPDATE r SET s = 'x'`, `INSERT INTO r VALUES (1, 'c') ON CONFLICT (id) DO UPDATE SET s = 'x'`,
		`WITH w AS (UPDATE r SET s = 'y' RETURNING id) SELECT * FROM w`} {
		if _, err := c.Exec(t.Context(), st); err == nil || !strings.Contains(err.Error(), "0A000") {
			t.Errorf("%s: %v", st, err)
		}
	}
	nodetest.Exec(t, c, `DELETE FROM r WHERE id = 1`)
	if got := nodetest.Text(t, c, `SELECT * FROM r`); got != "2|b" {
		t.Errorf("after the delete: %s", got)
	}
	err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "r", Value: frame(t, 7, 3, "c")}).FirstErr()
	if err == nil || !strings.Contains(fmt.Sprint(err), "INVALID_RECORD") {
		t.Errorf("an unknown schema: %v", err)
	}
}

// on_fault = 'refuse' tells transactional producers too, at produce; where it is not set the record is rejected with the commit.
func TestTransactionsAreRefused(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, `CREATE TABLE strict (id bigint PRIMARY KEY) WITH (on_fault = 'refuse')`)
	nodetest.Exec(t, c, `CREATE TABLE lax (id bigint PRIMARY KEY)`, "SET miracledb.read = 'latest'")
	k, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.TransactionalID("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	try := func(topic, value string, end kgo.TransactionEndTry) error {
		t.Helper()
		if err := k.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produced := k.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
		if err := k.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		return produced
	}
	if err := try("strict", `{"id": "no number"}`, kgo.TryAbort); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("a record that does not fit: %v", err)
	}
	for value, topic := range map[string]string{`{"id": 1}`: "strict", `{"id": 2}`: "lax", `{"id": "no number"}`: "lax"} {
		if err := try(topic, value, kgo.TryCommit); err != nil {
			t.Errorf("%s to %s: %v", value, topic, err)
		}
	}
	for query, want := range map[string]string{`SELECT id FROM strict`: "1", `SELECT id FROM lax`: "2",
		`SELECT count(*) FROM strict__rejected`: "0", `SELECT count(*) FROM lax__rejected`: "1"} {
		if got := nodetest.Text(t, c, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// A topic that wants schemas does not get others by a transaction either: a table's topic, and one that is no table's.
func TestTransactionsWantSchemas(t *testing.T) {
	s := nodetest.Start(t)
	nodetest.Exec(t, s.Connect(t), `CREATE TABLE tab (id bigint PRIMARY KEY, s text) WITH (format = 'avro')`)
	yes := "true"
	admin := kadm.NewClient(producer(t, s.Kafka))
	if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{log.ConfigValueValidation: &yes}, "strict"); err != nil {
		t.Fatal(err)
	}
	if r, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: log.ConfigValueValidation, Value: &yes}}, "tab"); err != nil || r[0].Err != nil {
		t.Fatal(r, err)
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.TransactionalID("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for _, topic := range []string{"strict", "tab"} {
		if err := k.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		err := k.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("{}")}).FirstErr()
		if !errors.Is(err, kerr.InvalidRecord) {
			t.Errorf("%s: %v", topic, err)
		}
		if err := k.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	}
}

// A topic that wants schemas refuses a batch with each record that names none of its subject, and takes others; a table's topic
// too, and after a change of the config, and after a restart.
func TestTopicsThatWantSchemas(t *testing.T) {
	s := nodetest.Start(t)
	k := producer(t, s.Kafka)
	admin := kadm.NewClient(k)
	yes, strategy := "true", log.SubjectOfTopicAndRecord
	if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{log.ConfigValueValidation: &yes}, "strict"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{log.ConfigKeyValidation: &yes, log.ConfigKeySubject: &strategy}, "keys"); err != nil {
		t.Fatal(err)
	}
	nodetest.Exec(t, s.Connect(t), `CREATE TABLE tab (id bigint PRIMARY KEY, s text) WITH (format = 'avro')`)
	registry := client(t, s.HTTP)
	for _, subject := range []string{"strict-value", "tab-value", "keys-r", "elsewhere"} {
		text := idText
		if subject == "elsewhere" {
			text = `"int"`
		}
		if _, err := registry.CreateSchema(t.Context(), subject, sr.Schema{Schema: text}); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(topic string, records ...[2][]byte) kmsg.ProduceResponseTopicPartition {
		t.Helper()
		var b record.Builder
		for _, r := range records {
			b.Add(1, r[0], r[1])
		}
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		q := kmsg.NewPtrProduceRequest()
		q.Acks, q.TimeoutMillis = -1, 10_000
		found, _ := s.Log.Topic(topic)
		q.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, TopicID: found.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch}}}}
		r, err := q.RequestWith(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		return r.Topics[0].Partitions[0]
	}
	value := func(b []byte) [2][]byte { return [2][]byte{nil, b} }
	good, elsewhere, unknown, plain := value(frame(t, 1, 1, "a")), value(frame(t, 2, 1, "a")), value(frame(t, 77, 1, "a")), value([]byte("{}"))
	check := func(topic string) {
		t.Helper()
		if a := answer(topic, good, value(nil)); a.ErrorCode != 0 && topic != "tab" {
			t.Errorf("%s: a good batch: %v", topic, *a.ErrorMessage)
		}
		a := answer(topic, good, elsewhere, unknown, good, plain)
		if a.ErrorCode != kerr.InvalidRecord.Code || len(a.ErrorRecords) != 3 {
			t.Fatalf("%s: %d %+v", topic, a.ErrorCode, a.ErrorRecords)
		}
		for i, want := range []struct {
			index int32
			text  string
		}{{1, "id 2, which is not registered under subject " + topic + "-value"}, {2, "id 77, which"}, {4, "does not begin with a schema id"}} {
			if e := a.ErrorRecords[i]; e.RelativeOffset != want.index || !strings.Contains(*e.ErrorMessage, want.text) {
				t.Errorf("%s: record %d: %s", topic, e.RelativeOffset, *e.ErrorMessage)
			}
		}
	}
	check("strict")
	if a := answer("tab", unknown); a.ErrorCode != 0 {
		t.Errorf("a table that does not want schemas: %v", *a.ErrorMessage)
	}
	if r, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: log.ConfigValueValidation, Value: &yes}}, "tab"); err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	check("tab")
	if a := answer("keys", [2][]byte{good[1], []byte("anything")}, [2][]byte{nil, nil}); a.ErrorCode != 0 {
		t.Errorf("a good key: %v", *a.ErrorMessage)
	}
	if a := answer("keys", [2][]byte{elsewhere[1], nil}); a.ErrorCode != kerr.InvalidRecord.Code {
		t.Errorf("a key of another subject: %d", a.ErrorCode)
	}
	s.Stop(t)
	s = nodetest.StartOn(t, s.Data)
	k = producer(t, s.Kafka)
	check("strict")
	check("tab")
}
