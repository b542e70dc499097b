package http_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	doorhttp "github.com/miracledb/miracledb/connectors/http"
	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func TestBackup(t *testing.T) {
	s := nodetest.Start(t)
	if status, body := do(t, s, "POST", "/v1/query", `{"sql":"CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)"}`); status != 200 {
		t.Fatal(status, body)
	}
	status, body := do(t, s, "POST", "/v1/backups", `{"repo":"`+filepath.Join(t.TempDir(), "repo")+`"}`)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	var last doorhttp.BackupEvent
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	if last.Backup == nil || last.Backup.To.Position != s.Log.End() || last.Backup.ClusterID == "" || last.Backup.Tool == "" {
		t.Fatal(body)
	}
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		`{"repo":""}`:              {422, "repo"},
		`{"repo":"s3://b"}`:        {404, "s3 is not supported yet"},
		`{"repo":"file://h/x"}`:    {400, "three slashes"},
		`{}`:                       {422, "repo"},
		`{"repo":"/proc/nowhere"}`: {200, `"error":"`},
	} {
		if status, text := do(t, s, "POST", "/v1/backups", body); status != want.status || !strings.Contains(text, want.text) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

// A web page of another origin can send a form or a text without asking first: it must not be taken for JSON.
func TestBackupNeedsJSON(t *testing.T) {
	s := nodetest.Start(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.HTTP+"/v1/backups", strings.NewReader(`{"repo":"`+filepath.Join(t.TempDir(), "repo")+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode < 400 {
			t.Errorf("%s: %d %s %v", kind, resp.StatusCode, body, err)
		}
	}
}
