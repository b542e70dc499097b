package registry_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

// tables are what testclients/serializers.py produces into.
var tables = []string{
	`CREATE TABLE avro_table (id bigint PRIMARY KEY, who text, price numeric(10,2), at timestamptz, day date, tags text[], extra jsonb, kind text, note text DEFAULT 'missing')
		WITH (format = 'avro')`,
	`CREATE TABLE avro_stream (id int NOT NULL, who varchar(10), price numeric, at timestamp, day text, tags jsonb, extra json, kind text, note text, gone int DEFAULT 5)
		WITH (append_only, format = 'avro')`,
	`CREATE TABLE proto_table (id bigint PRIMARY KEY, who text, count int, ratio float8, at timestamptz, tags text[], kind text, numbers int[], parent jsonb)
		WITH (format = 'protobuf')`,
	`CREATE TABLE json_table (id int PRIMARY KEY, who text, price numeric)`,
}

// produced is what must be in them, and in views over them.
var produced = map[string]string{
	"SELECT * FROM avro_table ORDER BY id": `1|ann|12.50|2001-02-03 04:05:06+00|2001-02-03|{x,y}|{"a": {"n": 5}}|B|missing` + "\n" +
		`2||12.50|2001-02-03 04:05:06+00|2001-02-03|{}|{"a": {"n": 5}}|B|new`,
	"SELECT id, who, price, at, day, tags, extra, kind, note, gone FROM avro_stream ORDER BY id": `1|ann|12.50|2001-02-03 04:05:06|2001-02-03|["x", "y"]|{"a":{"n":5}}|B||5` + "\n" +
		`2||12.50|2001-02-03 04:05:06|2001-02-03|[]|{"a":{"n":5}}|B|new|5` + "\n" + `3|ann|-0.01|2001-02-03 04:05:06|2001-02-03|["x", "y"]|{"a":{"n":5}}|B||5`,
	"SELECT * FROM proto_table ORDER BY id":             `1|ann|7|0.5|2001-02-03 04:05:06.5+00|{x,y}|BIG|{-1,300}|{"id": 9, "parent": {"who": "root"}}` + "\n" + `2||0|0||{}|NONE|{}|`,
	"SELECT * FROM json_table":                          `1|ann|1.5`,
	"SELECT who, n FROM by_who ORDER BY who NULLS LAST": "ann|1\n|1",
	"SELECT count(*) FROM avro_table__rejected":         "0",
	"SELECT count(*) FROM avro_stream__rejected":        "0",
	"SELECT count(*), sum(price) FROM avro_stream":      "3|24.99",
	"SELECT count(*) FROM proto_table__rejected":        "0",
	"SELECT count(*) FROM json_table__rejected":         "0",
}

// The serializers of confluent-kafka produce into tables that psql reads; their own consumers read the topics. After a restart, and
// after the views were computed anew, the rows are the same.
func TestConfluentPython(t *testing.T) {
	python := testenv.PythonVenv(t, testenv.PythonRegistry...)
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, tables...)
	nodetest.Exec(t, c, `CREATE MATERIALIZED VIEW by_who AS SELECT who, count(*) n FROM avro_table GROUP BY who`)
	out, err := exec.CommandContext(t.Context(), python, "testclients/serializers.py", s.Kafka, "http://"+s.HTTP+"/registry").CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Fatalf("%v\n%s", err, out)
	}
	check := func() {
		t.Helper()
		c := s.Connect(t)
		nodetest.Exec(t, c, "SET miracledb.read = 'latest'")
		for query, want := range produced {
			if got := nodetest.Text(t, c, query); got != want {
				t.Errorf("%s\n%s\nnot\n%s", query, got, want)
			}
		}
	}
	check()
	s.Stop(t)
	s = nodetest.StartOn(t, s.Data)
	check()
}
