package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/node"
)

// output is a writer that a test may read while a command writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// What `make run` runs: a view that is alive, three commands to try, and a clean end; and it can be started again on what it
// left.
func TestDemo(t *testing.T) {
	free := node.Address{HostPort: "127.0.0.1:0", Asked: true}
	c := node.Config{Data: filepath.Join(t.TempDir(), "data"), Kafka: free, PG: free, HTTP: free}
	airport := regexp.MustCompile(`(?m)^  [A-Z]{3} +[1-9]\d* +-?\d`) // which ones are the first is the machine's speed
	for range 2 {
		var out, errOut output
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		done := make(chan error, 1)
		go func() { done <- demo(ctx, c, 2000, &out, &errOut) }()
		for !strings.Contains(out.String(), "  origin ") && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"kcat -b 127.0.0.1:", "psql -h 127.0.0.1 -p ", "curl -N 'http://127.0.0.1:", "Stop with Ctrl-C", "kept in"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s%s", want, out.String(), errOut.String())
			}
		}
		if !airport.MatchString(out.String()) {
			t.Errorf("no airport in\n%s%s", out.String(), errOut.String())
		}
	}
}
