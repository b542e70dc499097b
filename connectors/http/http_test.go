package http_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

func do(t *testing.T, s *nodetest.Server, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestQueryJSON(t *testing.T) {
	s := nodetest.Start(t)
	status, body := do(t, s, "POST", "/v1/query", `{"sql":"CREATE TABLE t (id int PRIMARY KEY, big bigint); INSERT INTO t VALUES (1, 9007199254740993), (2, NULL)"}`)
	if status != 200 {
		t.Fatal(status, body)
	}
	status, body = do(t, s, "POST", "/v1/query", `{"sql":"SELECT id, big FROM t WHERE id <= $1 ORDER BY id","params":[2]}`)
	var out struct {
		Results []struct {
			Command string
			Columns []struct{ Name, Type string }
			Rows    []json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	r := out.Results[0]
	if r.Command != "SELECT 2" || len(r.Columns) != 2 || r.Columns[1].Type != "bigint" ||
		string(r.Rows[0]) != `{"id":1,"big":"9007199254740993"}` || string(r.Rows[1]) != `{"id":2,"big":null}` {
		t.Fatal(body)
	}
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		`{"sql":"SELEC 1"}`:                  {400, "42601"},
		`{"sql":"SELECT * FROM absent"}`:     {404, "42P01"},
		`{"sql":"INSERT INTO t VALUES (1)"}`: {409, "23505"},
		`{"sql":`:                            {400, ""},
		`{}`:                                 {422, "sql"},
		`{"sql":"SELECT $1::int"}`:           {400, ""},
	} {
		status, got := do(t, s, "POST", "/v1/query", body)
		if status != want.status || !strings.Contains(got, want.text) {
			t.Errorf("%s: %d %s, want %d with %q", body, status, got, want.status, want.text)
		}
	}
}

func TestSchemaBrowser(t *testing.T) {
	s := nodetest.Start(t)
	do(t, s, "POST", "/v1/query", `{"sql":"CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL); CREATE MATERIALIZED VIEW mv AS SELECT count(*) n FROM t"}`)
	status, body := do(t, s, "GET", "/v1/schema", "")
	for _, want := range []string{`"name":"t"`, `"name":"mv"`, `"materialized view"`, `"integer"`} {
		if status != 200 || !strings.Contains(body, want) {
			t.Fatalf("%d, no %s in %s", status, want, body)
		}
	}
}

func TestDoors(t *testing.T) {
	s := nodetest.Start(t)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "miracledb_log_sequence", "/openapi.json": "/v1/query"} {
		if status, body := do(t, s, "GET", path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	if status, _ := do(t, s, "GET", "/v1/absent", ""); status != 404 {
		t.Errorf("an unknown path: %d", status)
	}
}

// The document is made from the routes: what it names is served, and what is served under /v1 by it is named.
func TestOpenAPIFromRoutes(t *testing.T) {
	s := nodetest.Start(t)
	status, body := do(t, s, "GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || status != 200 || !strings.HasPrefix(doc.OpenAPI, "3.") {
		t.Fatal(status, err, doc.OpenAPI)
	}
	for _, path := range []string{"/v1/query", "/v1/schema", "/v1/backups"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is served and not documented", path)
		}
	}
	for path, methods := range doc.Paths {
		path = strings.NewReplacer("{topic}", "__catalog", "{key}", "x").Replace(path)
		for method := range methods {
			if status, _ := do(t, s, strings.ToUpper(method), path, "{}"); status == 404 || status == 405 {
				t.Errorf("%s %s is documented and answers %d", method, path, status)
			}
		}
	}
}
