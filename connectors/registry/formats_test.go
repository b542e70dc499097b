package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/schema"
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

func record(t testing.TB, schemaID int32, id int, s string) []byte {
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
		produce(t, k, topic, record(t, 1, 1, "before"), []byte(`{"id": 2, "s": "JSON"}`), []byte{0, 0}, []byte{})
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
		produce(t, k, topic, record(t, 1, 3, "after"), record(t, int32(other.ID), 4, "of another type"), record(t, 99, 5, "unknown"),
			record(t, 1, 6, "cut")[:8], record(t, 1, 7, "after"), append(record(t, 1, 8, "long"), 0))
	}
	// What is registered stays known when its subject is gone.
	for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
		if _, err := registry.DeleteSubject(t.Context(), "r", how); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{"early", "late"} {
		produce(t, k, topic, record(t, 1, 9, "after the end"))
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
	nodetest.Exec(t, c, `CREATE TABLE r (id bigint PRIMARY KEY, s text) WITH (format = 'avro', on_fault = 'refuse')`)
	if _, err := client(t, s.HTTP).CreateSchema(t.Context(), "r-value", sr.Schema{Schema: idText}); err != nil {
		t.Fatal(err)
	}
	produce(t, k, "r", record(t, 1, 1, "a"), record(t, 1, 2, "b"))
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
	err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "r", Value: record(t, 7, 3, "c")}).FirstErr()
	if err == nil || !strings.Contains(fmt.Sprint(err), "INVALID_RECORD") {
		t.Errorf("an unknown schema: %v", err)
	}
}
