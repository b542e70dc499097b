package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTopicAlter(t *testing.T) {
	server(t)
	must(t, "topic", "create", "a", "--config", "retention.ms=1000000", "--config", "segment.bytes=100000")
	must(t, "topic", "alter", "a", "--config", "retention.ms=5000", "--config", "cleanup.policy=compact", "--unset", "segment.bytes", "--partitions", "3")
	out := must(t, "topic", "describe", "a")
	for _, want := range []string{"retention.ms = 5000", "cleanup.policy = compact", "\n        2 "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if strings.Contains(out, "segment.bytes") {
		t.Error(out)
	}
	for args, want := range map[string]string{
		"a --partitions 2":               "not changed",
		"a --config nonsense=1":          "nonsense",
		"a --config retention.ms=x":      "retention.ms",
		"absent --partitions 2":          `no topic "absent"`,
		"absent --config retention.ms=1": `no topic "absent"`,
	} {
		if code, _, fault := call(t, append([]string{"topic", "alter"}, strings.Fields(args)...)...); code != 1 || !strings.Contains(fault, want) {
			t.Errorf("%s: %d %s", args, code, fault)
		}
	}
	if code, _, fault := call(t, "topic", "alter", "a"); code != 2 || !strings.Contains(fault, "nothing to change") {
		t.Errorf("%d %s", code, fault)
	}
}

// A topic as of an instant ends where it ended then, in all partitions.
func TestConsumeAsOf(t *testing.T) {
	server(t)
	must(t, "topic", "create", "a", "--partitions", "3")
	file := filepath.Join(t.TempDir(), "lines")
	write := func(from, to int) {
		var lines strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&lines, "{\"id\": \"k%d\", \"n\": %d}\n", i%5, i)
		}
		if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		must(t, "produce", "a", "--file", file, "--key", "id")
	}
	write(0, 20)
	at := time.Now()
	time.Sleep(5 * time.Millisecond)
	write(20, 50)
	instant := at.Format(time.RFC3339Nano)
	if n := strings.Count(must(t, "consume", "a", "--as-of", instant), "\n"); n != 20 {
		t.Errorf("%d records as of then", n)
	}
	if n := strings.Count(must(t, "consume", "a", "--as-of", instant, "--key", "k1"), "\n"); n != 4 {
		t.Errorf("%d records of k1 as of then", n)
	}
	if n := strings.Count(must(t, "consume", "a"), "\n"); n != 50 {
		t.Errorf("%d records now", n)
	}
	if out := must(t, "consume", "a", "--as-of", at.Add(-time.Hour).Format(time.RFC3339)); out != "" {
		t.Errorf("before there was anything: %s", out)
	}
	if code, _, fault := call(t, "consume", "a", "--as-of", instant, "--follow"); code != 2 || !strings.Contains(fault, "--follow") {
		t.Errorf("%d %s", code, fault)
	}
	if code, _, fault := call(t, "consume", "a", "--as-of", instant, "--server", "http://127.0.0.1:1"); code != 1 || !strings.Contains(fault, "no server answers") {
		t.Errorf("%d %s", code, fault)
	}
	http.DefaultClient.CloseIdleConnections()
}
