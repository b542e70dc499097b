package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func TestMain(m *testing.M) {
	nodetest.Main(m)
}

// call runs a command line.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, fault bytes.Buffer
	code = Main(t.Context(), args, &out, &fault)
	return code, out.String(), fault.String()
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, fault := call(t, args...)
	if code != 0 {
		t.Fatalf("%v: exit status %d: %s", args, code, fault)
	}
	return out
}

// server runs a node whose addresses the commands find in the environment; stop ends it.
func server(t *testing.T) (data string, stop func()) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	return data, serverOn(t, data)
}

// serverOn runs a node on a data directory.
func serverOn(t *testing.T, data string) (stop func()) {
	t.Helper()
	s := nodetest.StartOn(t, data)
	t.Setenv("MIRACLEDB_KAFKA", s.Kafka)
	t.Setenv("MIRACLEDB_PG", s.PG)
	t.Setenv("MIRACLEDB_HTTP", s.HTTP)
	return func() { s.Stop(t) }
}

// Every command has an example, and wrong usage is told from failure.
func TestCommands(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no summary", c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(newRoot())
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", 0, ""},
		{"nonsense", 2, `there is no command "nonsense"`},
		{"topic nonsense", 2, `has no command "nonsense"`},
		{"topic create", 2, "takes one argument, TOPIC"},
		{"topic list --nonsense", 2, "unknown flag"},
		{"topic create t --config x", 2, "not name=value"},
		{"consume t --from yesterday", 2, "neither an offset nor a time"},
		{"sql a b", 2, "takes one statement"},
		{"config x", 2, "takes no arguments"},
		{"topic list --brokers 127.0.0.1:1", 1, "hint: Start one with `miracledb serve`"},
		{"sql --pg 127.0.0.1:1 x", 1, "no PostgreSQL server answers"},
		{"log check --data /nonexistent", 1, "hint: Name the server's data directory"},
		{"log dump --data /nonexistent", 1, "there is no log"},
		{"produce t --file /nonexistent --brokers 127.0.0.1:1", 1, "no such file"},
		{"serve --data /nonexistent/x --brokers 127.0.0.1:1 --brokers-user u", 1, "hint: --brokers-user with --brokers-password-file"},
		{"serve --data /nonexistent/x --brokers 127.0.0.1:1 --kafka-auth required", 1, "does not go with --kafka-auth"},
		{"serve --data /nonexistent/x --brokers-user u", 1, "name it with --brokers"},
		{"config --config /nonexistent", 1, "configuration file"},
	} {
		code, _, fault := call(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(fault, c.says) {
			t.Errorf("%q: exit status %d, %q; want %d, %q", c.args, code, fault, c.code, c.says)
		}
	}
}

// How the server comes into a Kafka cluster: the password comes from a file or the environment, never from the command line.
func TestClusterSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--brokers", "a:1,b:2", "--brokers-name", "orders", "--brokers-tls-ca", "ca.pem", "--brokers-tls-cert", "c.pem", "--brokers-tls-key", "k.pem",
		"--brokers-user", "db", "--brokers-sasl-mechanism", "SCRAM-SHA-512"}
	t.Setenv("MIRACLEDB_BROKERS_PASSWORD", "of the environment")
	for password, more := range map[string][]string{"of the environment": nil, "of the file": {"--brokers-password-file", file}} {
		cmd := newServe()
		if err := cmd.ParseFlags(append(slices.Clone(flags), more...)); err != nil {
			t.Fatal(err)
		}
		var c node.Config
		s, err := loadSettings(cmd)
		if err == nil {
			err = s.apply(&c)
		}
		want := node.Cluster{Name: "orders", TLS: certs.Client{CA: "ca.pem", Cert: "c.pem", Key: "k.pem"}, User: "db", Password: password, Mechanism: "SCRAM-SHA-512"}
		if err != nil || c.Cluster != want || !slices.Equal(c.Brokers, []string{"a:1", "b:2"}) {
			t.Errorf("%+v, %v, want %+v", c.Cluster, err, want)
		}
	}
}

func TestTopicsRecordsAndLog(t *testing.T) {
	data, stop := server(t)
	must(t, "topic", "create", "people", "--partitions", "2", "--config", "retention.ms=1000000")
	file := filepath.Join(t.TempDir(), "people.jsonl")
	lines := `{"id": 1, "name": "Ada"}` + "\n\n" + `{"id": 2, "name": "Grace"}` + "\n"
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "produce", "people", "--file", file, "--key", "name", "--json"); !strings.Contains(out, `"records": 2`) {
		t.Errorf("produce: %s", out)
	}
	var one consumed
	if err := json.Unmarshal([]byte(must(t, "consume", "people", "--key", "Ada", "--json")), &one); err != nil {
		t.Fatal(err)
	}
	if one.Key == nil || *one.Key != "Ada" || string(one.Value) != `{"id":1,"name":"Ada"}` {
		t.Errorf("consumed %+v", one)
	}
	if out := must(t, "consume", "people"); strings.Count(out, "\n") != 2 || !strings.Contains(out, `{"id": 2, "name": "Grace"}`) {
		t.Errorf("consume: %q", out)
	}
	if out := must(t, "consume", "people", "--from", time.Now().Add(time.Hour).Format(time.RFC3339)); out != "" {
		t.Errorf("consume from later: %q", out)
	}
	if code, _, fault := call(t, "consume", "people", "--from", "99"); code != 1 || !strings.Contains(fault, "--from is 99") {
		t.Errorf("consume past the end: %d %s", code, fault)
	}
	var list []topic
	if err := json.Unmarshal([]byte(must(t, "topic", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != "people" || list[0].Records != 2 || len(list[0].Partitions) != 2 {
		t.Errorf("topics %+v", list)
	}
	if out := must(t, "topic", "describe", "people"); !strings.Contains(out, "retention.ms = 1000000") {
		t.Errorf("describe: %s", out)
	}
	if out := must(t, "group", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("groups: %s", out)
	}
	if code, _, fault := call(t, "group", "describe", "g"); code != 1 || !strings.Contains(fault, `no group "g"`) {
		t.Errorf("group describe: %d %s", code, fault)
	}
	if code, _, fault := call(t, "log", "check", "--data", data); code != 1 || !strings.Contains(fault, "Stop the server") {
		t.Errorf("check of a log in use: %d %s", code, fault)
	}
	stop()
	if out := must(t, "log", "check", "--data", data, "--json"); !strings.Contains(out, `"faults": []`) {
		t.Errorf("check: %s", out)
	}
	if out := must(t, "log", "dump", "--data", data, "--topic", "people"); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"Ada" {"id": 1`) {
		t.Errorf("dump: %s", out)
	}
}

func TestSQL(t *testing.T) {
	server(t)
	file := filepath.Join(t.TempDir(), "x.sql")
	text := "CREATE TABLE people (id int PRIMARY KEY, name text);\nINSERT INTO people VALUES (1, 'Ada; or not'), (2, NULL);"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, fault := call(t, "sql", "-f", file); code != 0 || fault != "CREATE TABLE\nINSERT 0 2\n" {
		t.Fatalf("file: %d %s", code, fault)
	}
	want := "id  name\n--  -----------\n 1  Ada; or not\n 2\n(2 rows)\n"
	if out := must(t, "sql", "SELECT * FROM people ORDER BY id"); out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	wantJSON := `{"n":"2","last":2,"t":"2001-02-03T04:05:06","ok":true,"none":null}` + "\n"
	query := "SELECT count(*) AS n, max(id) AS last, timestamp '2001-02-03 04:05:06' AS t, true AS ok, NULL AS none FROM people"
	if out := must(t, "sql", "--json", query); out != wantJSON {
		t.Errorf("got %s want %s", out, wantJSON)
	}
	code, _, fault := call(t, "sql", "SELECT nme FROM people")
	if code != 1 || !strings.Contains(fault, "SQLSTATE 42703") || !strings.Contains(fault, "line 1: SELECT nme FROM people\n               ^") {
		t.Errorf("unknown column: %d %s", code, fault)
	}
	if err := os.WriteFile(file, []byte("SELECT 1;\nSELEC 2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, fault := call(t, "sql", "-f", file); code != 1 || out != "" || !strings.Contains(fault, "line 2: SELEC 2") {
		t.Errorf("file that does not parse: %d %q %s", code, out, fault)
	}
}

func TestKeyOf(t *testing.T) {
	for _, c := range []struct{ line, fields, want, fault string }{
		{`{"a": "x", "b": 7}`, "a", `x`, ""},
		{`{"a": "x", "b": 7}`, "b", `7`, ""},
		{`{"a": "{x"}`, "a", `"{x"`, ""},
		{`{"a": "x", "b": 7}`, "b,a", `{"b":7,"a":"x"}`, ""},
		{`{"a": null}`, "a", "", "no field"},
		{`[1]`, "a", "", "needs JSON objects"},
	} {
		got, err := keyOf([]byte(c.line), strings.Split(c.fields, ","))
		if string(got) != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("keyOf(%s, %s) = %s, %v; want %s %s", c.line, c.fields, got, err, c.want, c.fault)
		}
	}
}

func TestPlace(t *testing.T) {
	if got, want := place("select\n\tä + x", 13), "\nline 2: \tä + x\n        \t    ^"; got != want {
		t.Errorf("place:%q\nwant:%q", got, want)
	}
	if got := place("x", 9); got != "" {
		t.Errorf("outside the text: %q", got)
	}
}

func TestTable(t *testing.T) {
	tab := table{header: []string{"n", "größe"}, right: []bool{true}}
	tab.add("10", "ä")
	tab.add("1", "x y z")
	var b bytes.Buffer
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	want := " n  größe\n--  -----\n10  ä\n 1  x y z\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
