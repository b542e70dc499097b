package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/backup"
)

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// The whole way: a server is backed up while it runs, goes wrong, and comes back as of the moment before.
func TestBackupAndRestore(t *testing.T) {
	data, stop := server(t)
	repo := "file://" + filepath.Join(t.TempDir(), "repo")
	must(t, "sql", `CREATE TABLE accounts (id int PRIMARY KEY, balance int); CREATE MATERIALIZED VIEW total AS SELECT sum(balance) AS s FROM accounts`)
	must(t, "sql", `INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 50) i`)
	first := decode[backup.Summary](t, must(t, "backup", "create", "--repo", repo, "--json"))
	must(t, "sql", `UPDATE accounts SET balance = 200 WHERE id = 7`)
	time.Sleep(20 * time.Millisecond)
	good := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(20 * time.Millisecond)
	must(t, "sql", `DELETE FROM accounts`)
	second := decode[backup.Summary](t, must(t, "backup", "create", "--repo", repo, "--json"))
	if second.Previous != first.ID || second.NewBlocks != 1 {
		t.Fatalf("%+v", second)
	}
	if out := must(t, "backup", "list", "--repo", repo); !strings.Contains(out, first.ID) || !strings.Contains(out, second.ID) || !strings.Contains(out, "incremental") {
		t.Fatal(out)
	}
	if code, _, fault := call(t, "backup", "create", "--repo", repo, "--data", data); code != 1 || !strings.Contains(fault, "hint: Stop it") {
		t.Fatal(code, fault)
	}
	stop()
	if out := must(t, "backup", "create", "--repo", repo, "--data", data); !strings.Contains(out, "0 blocks new") && !strings.Contains(out, "1 block new") {
		t.Fatal(out)
	}
	if out := must(t, "backup", "verify", "--repo", repo, "--level", "sandbox"); !strings.Contains(out, "was restored up to") {
		t.Fatal(out)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	args := []string{"restore", "--repo", repo, "--data", restored, "--to-timestamp", good}
	dry := decode[backup.Result](t, must(t, append(args, "--dry-run", "--json")...))
	if _, err := os.Stat(restored); !dry.DryRun || err == nil {
		t.Fatalf("%+v, %v", dry, err)
	}
	r := decode[backup.Result](t, must(t, append(args, "--json")...))
	if r.Position != dry.Position || r.Appends != dry.Appends || r.ClusterID != first.ClusterID {
		t.Fatalf("%+v after %+v", r, dry)
	}
	if code, _, fault := call(t, args...); code != 1 || !strings.Contains(fault, "is not empty") {
		t.Fatal(code, fault)
	}
	serverOn(t, restored)
	if out := must(t, "sql", "--json", `SELECT count(*), sum(balance), max(balance) FROM accounts`); !strings.Contains(out, "5100") || !strings.Contains(out, "200") {
		t.Fatal(out)
	}
	if out := must(t, "sql", "--json", `SELECT s FROM total`); !strings.Contains(out, "5100") {
		t.Fatal(out)
	}
	must(t, "sql", `INSERT INTO accounts VALUES (51, 1)`)
	third := decode[backup.Summary](t, must(t, "backup", "create", "--repo", repo, "--json"))
	if third.Previous != first.ID || third.To.Epoch != first.To.Epoch+1 {
		t.Fatalf("the branch goes on from %q at %v", third.Previous, third.To)
	}
	gone := decode[backup.Pruned](t, must(t, "backup", "prune", "--repo", repo, "--keep", "1", "--json"))
	if len(gone.Backups) != 3 {
		t.Fatalf("%+v", gone)
	}
	if out := must(t, "backup", "verify", "--repo", repo, "--json"); !strings.Contains(out, `"faults": []`) || !strings.Contains(out, `"backups": 1`) {
		t.Fatal(out)
	}
}

func TestBackupFaults(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"backup create", 2, "needs --repo"},
		{"backup create --repo r --data d --server http://x", 2, "give one of them"},
		{"backup create --repo r --server http://127.0.0.1:1", 1, "hint: Start one"},
		{"backup create --repo " + dir + " --data /nonexistent", 1, "hint: Name the server's data directory"},
		{"backup list --repo s3://bucket", 1, "s3 is not supported yet"},
		{"backup verify --repo r --level deep", 2, "hint: Use quick, full or sandbox"},
		{"backup prune --repo r --older-than soon", 2, "is no age"},
		{"backup prune --repo r --keep -1", 2, "want 0 or more"},
		{"restore --repo r", 2, "needs --data"},
		{"restore --repo r --data d", 2, "hint: Give one of"},
		{"restore --repo r --data d --to-latest --to-offset a/0=1", 2, "2 are given"},
		{"restore --repo r --data d --to-offset a", 2, "hint: Write topic/partition=offset"},
		{"restore --data d --to-latest", 2, "needs --repo"},
		{"restore --repo " + dir + " --data " + dir + "/new --to-latest", 1, "there are no backups"},
	} {
		code, _, fault := call(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(fault, c.says) {
			t.Errorf("%q: exit status %d, %q; want %d, %q", c.args, code, fault, c.code, c.says)
		}
	}
	server(t)
	if code, _, fault := call(t, "backup", "create", "--repo", "gs://bucket"); code != 1 || !strings.Contains(fault, "gs is not supported yet") || !strings.Contains(fault, "hint: Use a directory") {
		t.Error(code, fault)
	}
	if code, _, fault := call(t, "backup", "create", "--repo", "/proc/nowhere"); code != 1 || !strings.Contains(fault, "/proc/nowhere") {
		t.Error(code, fault)
	}
}

func TestDamagedRepository(t *testing.T) {
	_, stop := server(t)
	must(t, "topic", "create", "t")
	repo := filepath.Join(t.TempDir(), "repo")
	must(t, "backup", "create", "--repo", repo)
	stop()
	blocks, err := filepath.Glob(filepath.Join(repo, "blocks", "*", "*"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	if err := os.WriteFile(blocks[0], []byte("damage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, fault := call(t, "backup", "verify", "--repo", repo, "--level", "quick"); code != 1 || !strings.Contains(out, "damage: block ") || !strings.Contains(fault, "hint:") {
		t.Fatal(code, out, fault)
	}
	data := filepath.Join(t.TempDir(), "data")
	if code, _, fault := call(t, "restore", "--repo", repo, "--data", data, "--to-latest"); code != 1 || !strings.Contains(fault, "block ") {
		t.Fatal(code, fault)
	}
	if _, err := os.Stat(data); err == nil {
		t.Fatal("the data directory is there")
	}
}

func TestParseAge(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "30d": 720 * time.Hour, "12h": 12 * time.Hour, "0d": 0} {
		if got, err := parseAge(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"x", "-1d", "1.5d", "-3h", "99999999d"} {
		if _, err := parseAge(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
