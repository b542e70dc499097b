package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/log"
)

type appended struct {
	Position string
	Time     time.Time
	Records  []struct {
		Topic     string
		Partition int32
		Offset    int64
	}
	Errors []struct {
		Location, Message string
		Value             struct{ Actual int64 }
	}
}

func appendTo(t *testing.T, s *nodetest.Server, want int, body string) (a appended) {
	t.Helper()
	status, text := do(t, s, "POST", "/v1/append", body)
	if status != want {
		t.Fatalf("%s: %d %s, want %d", body, status, text, want)
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(text, err)
	}
	return a
}

func makeTopic(t *testing.T, s *nodetest.Server, name string, partitions int32, config map[string]string) {
	t.Helper()
	if _, err := s.Database.CreateTopic(context.Background(), name, partitions, config); err != nil {
		t.Fatal(err)
	}
}

// Records of several topics go in together, on conditions; a refusal says what holds instead and writes nothing.
func TestAppend(t *testing.T) {
	s := nodetest.Start(t)
	makeTopic(t, s, "orders", 4, map[string]string{log.ConfigKeyIndex: "true"})
	makeTopic(t, s, "audit", 1, nil)
	do(t, s, "POST", "/v1/query", `{"sql":"CREATE TABLE stock (id int PRIMARY KEY, n int); CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM stock"}`)
	first := appendTo(t, s, 200, `{"records":[{"topic":"orders","key":"o1","value":{"state":"new"}},{"topic":"audit","value_text":"made o1"},
		{"topic":"stock","key":"1","value":{"id":1,"n":5}},{"topic":"orders","key":"o1","value":{"state":"paid"}}],
		"expect":[{"topic":"orders","key":"o1","last_offset":-1},{"topic":"audit","partition":0,"next_offset":0}]}`)
	if len(first.Records) != 4 || first.Records[0].Offset != 0 || first.Records[3].Offset != 1 || first.Records[0].Partition != first.Records[3].Partition {
		t.Fatalf("%+v", first)
	}
	refused := appendTo(t, s, 409, `{"records":[{"topic":"audit","value_text":"never"}],
		"expect":[{"topic":"audit","next_offset":0},{"topic":"audit","next_offset":1},{"topic":"orders","key":"o1","last_offset":0}]}`)
	if len(refused.Errors) != 2 || refused.Errors[0].Location != "expect[0]" || refused.Errors[0].Value.Actual != 1 ||
		refused.Errors[1].Location != "expect[2]" || refused.Errors[1].Value.Actual != 1 {
		t.Fatalf("%+v", refused)
	}
	second := appendTo(t, s, 200, `{"records":[{"topic":"orders","key":"o1"}],"expect":[{"topic":"orders","key":"o1","last_offset":1}]}`)
	if second.Records[0].Offset != 2 {
		t.Fatalf("%+v", second)
	}
	for body, want := range map[string]int{
		`{"records":[]}`: 422, `{"records":[{"topic":"absent"}]}`: 404, `{"records":[{"topic":"__catalog","value_text":"x"}]}`: 403,
		`{"records":[{"topic":"audit","partition":7}]}`:                                                           404,
		`{"records":[{"topic":"audit"}],"expect":[{"topic":"audit","key":"x"}]}`:                                  400,
		`{"records":[{"topic":"audit"}],"expect":[{"topic":"audit","key":"x","last_offset":-1}]}`:                 400,
		`{"records":[{"topic":"audit"}],"expect":[{"topic":"audit","partition":1000,"next_offset":0}]}`:           404,
		`{"records":[{"topic":"audit"},{"topic":"orders","partition":-2}]}`:                                       422,
		`{"records":[{"topic":"audit","value":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}]}`: 400,
	} {
		if status, text := do(t, s, "POST", "/v1/append", body); status != want {
			t.Errorf("%.100s: %d %.300s, want %d", body, status, text, want)
		}
	}
	if b, err := s.Log.Bounds(partition(t, s, "audit", 0)); err != nil || b.End != 1 {
		t.Fatalf("audit: %+v, %v", b, err)
	}
	// The table's view is there once the append is visible.
	status, text := do(t, s, "GET", "/v1/wait?timeout=20&position="+url.QueryEscape(first.Position), "")
	if status != 200 {
		t.Fatal(status, text)
	}
	if _, text := do(t, s, "POST", "/v1/query", `{"sql":"SELECT n FROM total"}`); !strings.Contains(text, `{"n":"5"}`) {
		t.Fatal(text)
	}
	if status, text := do(t, s, "GET", "/v1/wait?timeout=0.05&position=1/999999", ""); status != 504 {
		t.Fatal(status, text)
	}
	if status, _ := do(t, s, "GET", "/v1/wait?position=x", ""); status != 400 {
		t.Fatal(status)
	}
}

func partition(t *testing.T, s *nodetest.Server, topic string, index int32) log.Partition {
	t.Helper()
	found, ok := s.Log.Topic(topic)
	if !ok {
		t.Fatalf("no topic %s", topic)
	}
	return log.Partition{Topic: found.ID, Index: index}
}

// A key's last record and its history, now and as of an instant.
func TestKeys(t *testing.T) {
	s := nodetest.Start(t)
	makeTopic(t, s, "k", 3, map[string]string{log.ConfigKeyIndex: "true"})
	makeTopic(t, s, "plain", 1, nil)
	var times []time.Time
	for i := range 5 {
		a := appendTo(t, s, 200, fmt.Sprintf(`{"records":[{"topic":"k","key":"a/b","value":%d,"headers":{"n":"%d"}},{"topic":"k","key":"other","value":%d},{"topic":"k","partition":%d,"value_base64":"/w=="}]}`, i, i, i, i%3))
		times = append(times, a.Time)
		time.Sleep(2 * time.Millisecond)
	}
	get := func(path string, want int, into any) {
		t.Helper()
		status, text := do(t, s, "GET", path, "")
		if status != want {
			t.Fatalf("%s: %d %s, want %d", path, status, text, want)
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(text, err)
		}
	}
	var one struct {
		Key     string
		Value   json.RawMessage
		Offset  int64
		Headers map[string]string
	}
	get("/v1/topics/k/keys/a%2Fb", 200, &one)
	if one.Key != "a/b" || string(one.Value) != "4" || one.Headers["n"] != "4" {
		t.Fatalf("%+v", one)
	}
	get("/v1/topics/k/keys/a%2Fb?as_of="+url.QueryEscape(times[2].Format(time.RFC3339Nano)), 200, &one)
	if string(one.Value) != "2" {
		t.Fatalf("%+v", one)
	}
	var all struct {
		Records []struct {
			Value     json.RawMessage
			Offset    int64
			Partition int32
		}
	}
	values := func() (out []string) {
		for _, r := range all.Records {
			out = append(out, string(r.Value))
		}
		return out
	}
	get("/v1/topics/k/keys/a%2Fb/history?limit=3", 200, &all)
	if got := fmt.Sprint(values()); got != "[4 3 2]" {
		t.Fatal(got)
	}
	get(fmt.Sprintf("/v1/topics/k/keys/a%%2Fb/history?partition=%d&before=%d", all.Records[2].Partition, all.Records[2].Offset), 200, &all)
	if got := fmt.Sprint(values()); got != "[1 0]" {
		t.Fatal(got)
	}
	var where struct {
		TopicID string `json:"topic_id"`
		Offsets []int64
	}
	get(fmt.Sprintf("/v1/topics/k/key-offsets?key=a%%2Fb&partition=%d&limit=2&before=%d", all.Records[0].Partition, all.Records[0].Offset+1), 200, &where)
	if p := partition(t, s, "k", 0); where.TopicID != p.Topic.String() || !slices.Equal(where.Offsets, []int64{all.Records[0].Offset, all.Records[1].Offset}) {
		t.Fatalf("%+v, records are %+v", where, all)
	}
	get("/v1/topics/k/key-offsets", 200, &where)
	if len(where.Offsets) != 0 {
		t.Fatalf("%+v", where)
	}
	var cut struct {
		Position   string
		Partitions []struct{ Start, End, Stable int64 }
	}
	records := func() (n int64) {
		for _, p := range cut.Partitions {
			n += p.End - p.Start
		}
		return n
	}
	get("/v1/topics/k", 200, &cut)
	if len(cut.Partitions) != 3 || records() != 15 {
		t.Fatalf("%+v", cut)
	}
	get("/v1/topics/k?as_of="+url.QueryEscape(times[1].Format(time.RFC3339Nano)), 200, &cut)
	if records() != 6 {
		t.Fatalf("%+v", cut)
	}
	var none any
	get("/v1/topics/k/keys/absent", 404, &none)
	get("/v1/topics/absent/keys/a", 404, &none)
	get("/v1/topics/plain/keys/a", 400, &none)
	get("/v1/topics/k/keys/a?partition=3", 404, &none)
	get("/v1/topics/plain/key-offsets?key=a", 400, &none)
	get("/v1/topics/k/key-offsets?key=a&partition=3", 404, &none)
	get("/v1/topics/k/keys/a?as_of=yesterday", 422, &none)
}
