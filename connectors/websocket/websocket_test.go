package websocket_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

type frame struct {
	Type, Op, Token, Message string
	Before, After            map[string]any
}

// short is a frame without its token.
func (f frame) short() string {
	b, _ := json.Marshal(f.Before)
	a, _ := json.Marshal(f.After)
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", f.Type, f.Op, b, a))
}

type subscriber struct {
	t    *testing.T
	conn *websocket.Conn
	ctx  context.Context
	last frame
}

func subscribe(t *testing.T, s *nodetest.Server, query string) *subscriber {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, "ws://"+s.HTTP+"/v1/subscribe?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &subscriber{t: t, conn: conn, ctx: ctx}
}

func (s *subscriber) next() frame {
	s.t.Helper()
	_, b, err := s.conn.Read(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.last = frame{}
	if err := json.Unmarshal(b, &s.last); err != nil {
		s.t.Fatalf("%s: %v", b, err)
	}
	return s.last
}

// want reads as many frames that are no progress.
func (s *subscriber) want(want ...string) {
	s.t.Helper()
	for _, w := range want {
		f := s.next()
		for f.Type == "progress" {
			f = s.next()
		}
		if f.short() != w {
			s.t.Fatalf("got  %s\nwant %s", f.short(), w)
		}
	}
}

func TestWebSocketChanges(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, big bigint, n numeric(10,2))",
		"CREATE MATERIALIZED VIEW v AS SELECT id > 0 AS all_of_them, count(*) n, sum(big) total FROM t GROUP BY 1", "INSERT INTO t VALUES (1, 9007199254740993, 1.5)")
	sub := subscribe(t, s, "relation=t")
	if f := sub.next(); f.Type != "progress" || f.Token == "" {
		t.Fatalf("the first frame: %+v", f)
	}
	view := subscribe(t, s, "relation=v&snapshot=true")
	view.want(`snapshot  null {"all_of_them":true,"n":"1","total":"9007199254740993"}`)

	nodetest.Exec(t, c, "INSERT INTO t VALUES (2, 5, 2)")
	sub.want(`change insert null {"big":"5","id":2,"n":"2.00"}`)
	view.want(`change update {"all_of_them":true,"n":"1","total":"9007199254740993"} {"all_of_them":true,"n":"2","total":"9007199254740998"}`)
	nodetest.Exec(t, c, "UPDATE t SET n = 3 WHERE id = 2")
	sub.want(`change update {"big":"5","id":2,"n":"2.00"} {"big":"5","id":2,"n":"3.00"}`)
	token := sub.last.Token
	nodetest.Exec(t, c, "DELETE FROM t WHERE id = 1")
	sub.want(`change delete {"big":"9007199254740993","id":1,"n":"1.50"} null`)
	view.want(`change update {"all_of_them":true,"n":"2","total":"9007199254740998"} {"all_of_them":true,"n":"1","total":"5"}`)

	// From a token nothing is missing and nothing comes twice, across a restart of the client.
	again := subscribe(t, s, "relation=t&from="+token)
	again.want(`change delete {"big":"9007199254740993","id":1,"n":"1.50"} null`)
	nodetest.Exec(t, c, "INSERT INTO t VALUES (9, 9, 9)")
	again.want(`change insert null {"big":"9","id":9,"n":"9.00"}`)
}

func TestResumeAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := nodetest.StartOn(t, dir)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE MATERIALIZED VIEW v AS SELECT count(*) n FROM t")
	sub := subscribe(t, s, "relation=v")
	sub.next()
	nodetest.Exec(t, c, "INSERT INTO t VALUES (1)")
	// A view without a key has no row that could be updated.
	sub.want(`change delete {"n":"0"} null`, `change insert null {"n":"1"}`)
	token := sub.last.Token
	nodetest.Exec(t, c, "INSERT INTO t VALUES (2)")
	_ = c.Close(t.Context())
	s.Stop(t)
	s = nodetest.StartOn(t, dir)
	again := subscribe(t, s, "relation=v&from="+token)
	again.want(`change delete {"n":"1"} null`, `change insert null {"n":"2"}`)
}

func TestEventStream(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE clicks (page text, ms int) WITH (append_only)")
	produce(t, s, "clicks", `{"page":"/","ms":1}`)
	nodetest.Text(t, c, "SELECT count(*) FROM clicks") // a version with the record
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP+"/v1/subscribe?relation=clicks&snapshot=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatal(ct)
	}
	sc := bufio.NewScanner(resp.Body)
	data := func() (f frame) {
		for sc.Scan() {
			if b, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(b), &f); err != nil {
					t.Fatal(err)
				}
				if f.Type != "progress" {
					return f
				}
			}
		}
		t.Fatal(sc.Err())
		return f
	}
	if f := data(); f.short() != `snapshot  null {"ms":1,"page":"/"}` {
		t.Fatal(f.short())
	}
	produce(t, s, "clicks", `{"page":"/b","ms":2}`)
	if f := data(); f.short() != `change insert null {"ms":2,"page":"/b"}` {
		t.Fatal(f.short())
	}
}

func TestRefusals(t *testing.T) {
	s := nodetest.Start(t)
	for query, want := range map[string]int{"relation=absent": 404, "": 400, "relation=pg_catalog.pg_class": 400} {
		resp, err := http.Get("http://" + s.HTTP + "/v1/subscribe?" + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", query, resp.StatusCode, want)
		}
	}
	nodetest.Exec(t, s.Connect(t), "CREATE TABLE t (id int PRIMARY KEY)")
	sub := subscribe(t, s, "relation=t&from=banana")
	if f := sub.next(); f.Type != "error" {
		t.Fatalf("a bad token: %+v", f)
	}
}

// A subscriber that reads nothing holds up neither writers nor other subscribers.
func TestSlowReader(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	subscribe(t, s, "relation=t&snapshot=true") // never read
	quick := subscribe(t, s, "relation=t")
	quick.next()
	for i := range 200 {
		nodetest.Exec(t, c, fmt.Sprintf("INSERT INTO t VALUES (%d, repeat('x', 100000))", i))
		if f := quick.next(); f.Op != "insert" || f.After["id"] != float64(i) {
			t.Fatalf("after insert %d: %s %v", i, f.Op, f.After["id"])
		}
	}
}

func produce(t *testing.T, s *nodetest.Server, topic, value string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
