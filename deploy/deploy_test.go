package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/testenv"
)

const unitFile = "miracledb.service"

// What the unit says of the machine that it is for.
const (
	installed = "/usr/bin/miracledb"
	state     = "/var/lib/miracledb"
)

// maxExposure is systemd's score of what the service could still do to the machine, times ten: 0 is nothing, 100 anything.
const maxExposure = 20

func unit(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// value gives a setting that the unit must have.
func value(t *testing.T, key string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(unit(t))
	if m == nil {
		t.Fatalf("the unit has no %s", key)
	}
	return m[1]
}

// systemd's own checker finds nothing to say, and little that the service could do to the machine.
func TestUnitVerifies(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	testenv.Need(t, "systemd-analyze (apt-get install systemd)", err)
	check := func(text string, args ...string) (string, error) {
		path := filepath.Join(t.TempDir(), unitFile)
		// The checker looks for the program.
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, installed, "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, append(args, path)...).CombinedOutput()
		var own []string // it tells of the machine's other units too
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, unitFile) {
				own = append(own, line)
			}
		}
		return strings.Join(own, ""), err
	}
	if out, err := check(unit(t), "verify", "--man=no"); out != "" || err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, _ := check(unit(t)+"\n[Service]\nProtectSytem=strict\n", "verify", "--man=no"); out == "" {
		t.Error("systemd-analyze verify accepts a key that does not exist")
	}
	if out, err := check(unit(t), "security", "--offline=true", "--threshold="+strconv.Itoa(maxExposure)); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// The command of ExecStart serves, with the engine's process, without privileges, and a stop ends it cleanly in the time that
// the unit gives it.
func TestUnitRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts a server")
	}
	// Not t.TempDir, which only its owner may enter.
	dir, err := os.MkdirTemp("", "mdbunit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "miracledb") // where nobody may run it
	if out, err := exec.Command("cp", testenv.Build(t, "..", "./cmd/miracledb"), bin).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := strings.NewReplacer(installed, bin, state, filepath.Join(dir, "state")).Replace(value(t, "ExecStart"))
	args := append(unprivileged(t, dir), strings.Fields(command)...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "MIRACLEDB_KAFKA=127.0.0.1:0", "MIRACLEDB_PG=127.0.0.1:0", "MIRACLEDB_HTTP=127.0.0.1:0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop, err := time.ParseDuration(value(t, "TimeoutStopSec"))
	if err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(stop, func() { _ = cmd.Process.Kill() }) // Wait tells of it
	defer kill.Stop()
	lines := bufio.NewScanner(stderr)
	address := ready(t, lines)
	query(t, address)
	kill.Reset(stop)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// unprivileged gives the command before the command that takes privileges away; as root it also becomes nobody, who then
// owns dir.
func unprivileged(t *testing.T, dir string) []string {
	t.Helper()
	args := []string{"setpriv", "--no-new-privs"}
	if os.Getuid() != 0 {
		return args
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return append(args, "--reuid="+u.Uid, "--regid="+u.Gid, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")
}

// ready reads what the server says until it tells its HTTP address.
func ready(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	var all strings.Builder
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if m := regexp.MustCompile(`msg=ready .*http=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("the server was never ready: %v\n%s", lines.Err(), all.String())
	return ""
}

// query lets the analytical engine count.
func query(t *testing.T, address string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"sql": `CREATE TABLE f (k text, v int) WITH (append_only);
		INSERT INTO f VALUES ('a', 1), ('a', 2), ('b', 4);
		SET miracledb.route = 'analytic';
		SELECT k, sum(v) AS s FROM f GROUP BY k ORDER BY k`})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(address+"/v1/query", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`{"k":"a","s":"3"},{"k":"b","s":"4"}`)) {
		t.Errorf("%s %v\n%s", resp.Status, err, answer)
	}
}
