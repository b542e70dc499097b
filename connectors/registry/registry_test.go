package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/miracledb/miracledb/connectors/registry"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// call sends one request and gives status and body.
func call(t testing.TB, base, method, path, body string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", registry.ContentType)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("Content-Type"); got != registry.ContentType {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	return r.StatusCode, strings.TrimSpace(string(b))
}

// TestAPI replays testdata/*.txt. Each line of a case is a request "METHOD PATH [BODY]"; a body that is not an object is a
// schema of the type named before it.
func TestAPI(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := nodetest.Start(t)
		base := "http://" + s.HTTP + "/registry"
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "restart" {
				s.Stop(t)
				s = nodetest.StartOn(t, s.Data)
				base = "http://" + s.HTTP + "/registry"
				return "ok"
			}
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				f := strings.SplitN(strings.TrimSpace(line), " ", 3)
				body := ""
				if len(f) == 3 {
					body = f[2]
					for _, typ := range []string{"AVRO", "JSON", "PROTOBUF"} {
						if text, ok := strings.CutPrefix(body, typ+" "); ok {
							b, err := json.Marshal(map[string]string{"schemaType": typ, "schema": text})
							if err != nil {
								t.Fatal(err)
							}
							body = string(b)
						}
					}
				}
				status, answer := call(t, base, f[0], f[1], body)
				fmt.Fprintf(&out, "%d %s\n", status, answer)
			}
			return out.String()
		})
	})
}

// Many clients at once: an id for each schema, none twice, and all of it there after a restart.
func TestConcurrentRegistrations(t *testing.T) {
	s := nodetest.Start(t)
	c := client(t, s.HTTP)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string][]int{}
	for i := range 16 {
		wg.Go(func() {
			for n := range 10 {
				text := fmt.Sprintf(`{"type":"record","name":"r%d","fields":[]}`, n+(i%4)*10)
				x, err := c.CreateSchema(t.Context(), fmt.Sprintf("s%d-value", i), sr.Schema{Schema: text})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids[text] = append(ids[text], x.ID)
				mu.Unlock()
				if err := c.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatNone}, fmt.Sprintf("s%d-value", i))[0].Err; err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for text, list := range ids {
		slices.Sort(list)
		if list = slices.Compact(list); len(list) != 1 || seen[list[0]] {
			t.Errorf("%s has the ids %v, which others have too or are several", text, list)
		}
		seen[list[0]] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d ids, want 40", len(seen))
	}
	before, err := c.AllSchemas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	s = nodetest.StartOn(t, s.Data)
	after, err := client(t, s.HTTP).AllSchemas(t.Context())
	if err != nil || len(after) != 160 || !slices.EqualFunc(before, after, func(a, b sr.SubjectSchema) bool {
		return a.Subject == b.Subject && a.Version == b.Version && a.ID == b.ID && a.Schema.Schema == b.Schema.Schema
	}) {
		t.Errorf("after a restart: %d schemas, before: %d (%v)", len(after), len(before), err)
	}
}

func client(t testing.TB, addr string) *sr.Client {
	t.Helper()
	c, err := sr.NewClient(sr.URLs("http://" + addr + "/registry"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// franz-go's registry client, operation by operation.
func TestFranzClient(t *testing.T) {
	s := nodetest.Start(t)
	c, ctx := client(t, s.HTTP), t.Context()
	types, err := c.SupportedTypes(ctx)
	if err != nil || len(types) != 3 {
		t.Fatal(types, err)
	}
	base, err := c.CreateSchema(ctx, "base", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message Base { int32 id = 1; }`})
	if err != nil {
		t.Fatal(err)
	}
	user, err := c.CreateSchema(ctx, "user", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; import "base.proto"; message User { Base base = 1; }`,
		References: []sr.SchemaReference{{Name: "base.proto", Subject: "base", Version: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if user.ID == base.ID {
		t.Error("two schemas have one id")
	}
	if refs, err := c.SchemaReferences(ctx, "base", 1); err != nil || len(refs) != 1 || refs[0].Subject != "user" {
		t.Errorf("references: %v %v", refs, err)
	}
	got, err := c.SchemaByID(ctx, user.ID)
	if err != nil || len(got.References) != 1 || got.Type != sr.TypeProtobuf {
		t.Errorf("by id: %+v %v", got, err)
	}
	if again, err := c.LookupSchema(ctx, "user", got); err != nil || again.ID != user.ID {
		t.Errorf("lookup: %+v %v", again, err)
	}
	var refused *sr.ResponseError
	if _, err := c.DeleteSubject(ctx, "base", sr.SoftDelete); !errors.As(err, &refused) || refused.ErrorCode != 42206 {
		t.Errorf("deleting what is referred to: %v", err)
	}
	if usages, err := c.SchemaUsagesByID(ctx, user.ID); err != nil || len(usages) != 1 || usages[0].Subject != "user" {
		t.Errorf("usages: %v %v", usages, err)
	}
	if r := c.SetMode(ctx, sr.ModeReadOnly, "user"); r[0].Err != nil {
		t.Error(r[0].Err)
	}
	if _, err := c.DeleteSubject(ctx, "user", sr.SoftDelete); !errors.As(err, &refused) || refused.ErrorCode != 42205 {
		t.Errorf("deleting what is read-only: %v", err)
	}
	if r := c.ResetMode(ctx, "user"); r[0].Err != nil {
		t.Error(r[0].Err)
	}
	for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
		if vs, err := c.DeleteSubject(ctx, "user", how); err != nil || !slices.Equal(vs, []int{1}) {
			t.Errorf("delete %v: %v %v", how, vs, err)
		}
	}
	if _, err := c.SchemaByID(ctx, user.ID); !errors.As(err, &refused) || refused.ErrorCode != 40403 {
		t.Errorf("by id after the end: %v", err)
	}
	if r := c.Compatibility(ctx, "base"); r[0].Err != nil && !errors.As(r[0].Err, &refused) {
		t.Error(r[0].Err)
	}
	if r := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, "base"); r[0].Err != nil {
		t.Error(r[0].Err)
	}
	bad, err := c.CheckCompatibility(ctx, "base", -1, sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message Base { string id = 1; }`})
	if err != nil || bad.Is {
		t.Errorf("compatibility: %+v %v", bad, err)
	}
}

// What a registry of Confluent's has written is read, in a topic that a client copies.
func TestConfluentsTopicIsRead(t *testing.T) {
	s := nodetest.Start(t)
	k, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	compact := "compact"
	if _, err := kadm.NewClient(k).CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compact}, "_schemas"); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]string{
		{`{"keytype":"NOOP","magic":0}`, ""},
		{`{"keytype":"SCHEMA","subject":"a-value","version":1,"magic":1}`, `{"subject":"a-value","version":1,"id":7,"md5":"x","schema":"\"string\"","deleted":false}`},
		{`{"keytype":"CONFIG","subject":null,"magic":0}`, `{"subject":null,"compatibilityLevel":"FULL"}`},
		{`not json`, `{`}, {`{"keytype":"SCHEMA","subject":"b","version":-1,"magic":1}`, `{"subject":"b","version":-1,"id":0}`},
		{`{"keytype":"SCHEMA","subject":"p","version":3,"magic":1}`, `{"subject":"p","version":3,"id":9,"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";","deleted":false}`},
		{`{"keytype":"DELETE_SUBJECT","subject":"p","magic":0}`, `{"subject":"p","version":3}`},
	} {
		rec := &kgo.Record{Topic: "_schemas", Key: []byte(r[0]), Value: []byte(r[1])}
		if r[1] == "" {
			rec.Value = nil
		}
		if err := k.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	base := "http://" + s.HTTP + "/registry"
	for path, want := range map[string]string{
		"/subjects":                      `200 ["a-value"]`,
		"/subjects?deleted=true":         `200 ["a-value","p"]`,
		"/config":                        `200 {"compatibilityLevel":"FULL"}`,
		"/schemas/ids/7":                 `200 {"schema":"\"string\""}`,
		"/subjects/p/versions?deleted=1": `404 {"error_code":40401,"message":"Subject 'p' not found."}`,
	} {
		if status, body := call(t, base, "GET", path, ""); fmt.Sprintf("%d %s", status, body) != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	if status, body := call(t, base, "POST", "/subjects/a-value/versions", `{"schema":"\"bytes\""}`); status != 200 || !strings.Contains(body, `"id":10`) {
		t.Errorf("the next schema: %d %s", status, body)
	}
	r, err := kadm.NewClient(k).DeleteTopics(context.Background(), "_schemas")
	if err != nil || r["_schemas"].Err == nil {
		t.Errorf("_schemas could be deleted: %v %v", r, err)
	}
}

// The API under hostile requests: an error with a code, and the server goes on.
func TestHostileRequests(t *testing.T) {
	s := nodetest.Start(t)
	base := "http://" + s.HTTP + "/registry"
	text := func(typ, schema string) string {
		b, err := json.Marshal(map[string]string{"schemaType": typ, "schema": schema})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	deep := strings.Repeat(`{"type":"array","items":`, 100_000) + `"int"` + strings.Repeat("}", 100_000)
	for name, body := range map[string]string{
		"not JSON":        "{",
		"empty":           "",
		"deep Avro":       text("AVRO", deep[:400_000]),
		"deep JSON":       text("JSON", strings.Repeat(`{"not":`, 60_000)+"true"+strings.Repeat("}", 60_000)),
		"deep Protobuf":   text("PROTOBUF", strings.Repeat("message M {", 40_000)),
		"large":           text("AVRO", `"`+strings.Repeat("x", 600_000)+`"`),
		"larger":          text("AVRO", `"`+strings.Repeat("x", 5_000_000)+`"`),
		"foreign import":  text("PROTOBUF", `syntax = "proto3"; import "/etc/passwd"; message M {}`),
		"foreign $ref":    text("JSON", `{"$ref":"file:///etc/passwd"}`),
		"endless $ref":    text("JSON", `{"$ref":"#"}`) + " ",
		"unknown type":    text("XML", "<a/>"),
		"no reference":    `{"schema":"\"x\"","references":[{"name":"x","subject":"none","version":1}]}`,
		"huge references": `{"schema":"\"int\"","references":[` + strings.Repeat(`{"name":"x","subject":"s","version":1},`, 5000) + `{}]}`,
		"fixed bomb":      text("AVRO", `{"type":"fixed","name":"f","size":-1}`),
		"rules":           `{"schema":"\"int\"","ruleSet":{"domainRules":[]}}`,
	} {
		status, answer := call(t, base, "POST", "/subjects/hostile/versions", body)
		if status < 400 && name != "endless $ref" && name != "fixed bomb" || status >= 500 {
			t.Errorf("%s: %d %.200s", name, status, answer)
		}
	}
	if status, _ := call(t, base, "GET", "/nothing/here", ""); status != 404 {
		t.Errorf("an unknown path: %d", status)
	}
	if status, answer := call(t, base, "POST", "/subjects/fine/versions", text("AVRO", `"int"`)); status != 200 {
		t.Errorf("after all that: %d %s", status, answer)
	}
}

// Stock clients read that a request is too large: one that asks before it sends, and one that sends all before it reads.
func TestLargeRequests(t *testing.T) {
	s := nodetest.Start(t)
	url := "http://" + s.HTTP + "/registry/subjects/s/versions"
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte(`{"schema":"`+strings.Repeat("x", 15<<20)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const program = `import sys, urllib.request, urllib.error
try: urllib.request.urlopen(sys.argv[1], open(sys.argv[2], "rb").read())
except urllib.error.HTTPError as e: print(e.code, e.read().decode())`
	for _, args := range [][]string{
		{"curl", "-sS", "-w", "%{http_code} %{size_upload}", "--data-binary", "@" + file, url},
		{"curl", "-sS", "-w", "%{http_code}", "-H", "Expect:", "--data-binary", "@" + file, url},
		{"curl", "-sS", "-w", "%{http_code}", "-H", "Transfer-Encoding: chunked", "--data-binary", "@" + file, url},
		{"python3", "-c", program, url, file},
	} {
		_, err := exec.LookPath(args[0])
		testenv.Need(t, args[0], err)
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "413") || !strings.Contains(string(out), `{"error_code":413,"message":"the request has more than 2097152 bytes"}`) {
			t.Errorf("%q: %v %.300s", args[0:4], err, out)
		}
	}
}
