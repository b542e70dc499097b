package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// password writes a password file.
func password(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// The first user closes the door; whoever knows a password opens it; users survive a restart.
func TestUsers(t *testing.T) {
	data, stop := server(t)
	root, ann := password(t, "root secret"), password(t, "ann's")
	must(t, "topic", "create", "t")
	if code, _, says := call(t, "user", "create", "miracledb", "--new-password-file", root); code != 0 {
		t.Fatal(says)
	}
	if code, _, _ := call(t, "topic", "list"); code == 0 {
		t.Error("came in without a user")
	}
	stop()
	stop = serverOn(t, data)
	defer stop()
	if code, _, says := call(t, "topic", "list", "--user", "miracledb", "--password-file", ann); code != 1 || !strings.Contains(says, "wrong user name or password") {
		t.Errorf("a wrong password: %d %s", code, says)
	}
	t.Setenv("MIRACLEDB_USER", "miracledb")
	t.Setenv("MIRACLEDB_PASSWORD", "root secret")
	must(t, "user", "create", "ann", "--new-password-file", ann)
	if out := must(t, "user", "list", "--json"); !strings.Contains(out, `"name": "ann"`) || !strings.Contains(out, `"SCRAM-SHA-512": 8192`) {
		t.Errorf("user list: %s", out)
	}
	must(t, "user", "delete", "ann")
	if code, _, says := call(t, "user", "delete", "ann"); code != 1 || !strings.Contains(says, `there is no user "ann"`) {
		t.Errorf("deleted twice: %d %s", code, says)
	}
	if out := must(t, "topic", "list"); !strings.Contains(out, "t ") {
		t.Errorf("topic list: %s", out)
	}
}

func TestBootstrapUser(t *testing.T) {
	s := nodetest.StartWith(t, node.Config{BootstrapUser: "first", BootstrapPassword: "secret"})
	t.Setenv("MIRACLEDB_KAFKA", s.Kafka)
	if code, _, _ := call(t, "topic", "list"); code == 0 {
		t.Error("came in without a user")
	}
	must(t, "topic", "list", "--user", "first", "--password-file", password(t, "secret"))
}
