package tidy

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/testenv"
)

// TestCommands runs what README.md and docs/ tell a reader to type, page by page, against a server that has nothing in it:
//
//   - in a ```console block, a line "$ command" (lines that end in \ or begin with "> " go on) must exit with 0 and, where
//     output is shown, print it: "..." stands for anything, alone on a line for any number of lines;
//   - a ```sh block is a script that must exit with 0;
//   - <!-- test: skip reason --> just before a block leaves it out.
//
// Default ports, bin/miracledb and /tmp are the test's own.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and clients")
	}
	testenv.Kcat(t)
	for _, program := range []string{"psql", "curl"} {
		_, err := exec.LookPath(program)
		testenv.Need(t, program, err)
	}
	bin := testenv.Build(t, root, "./cmd/miracledb")
	for _, page := range pages(t) {
		if page != "README.md" && !strings.HasPrefix(page, "docs/") {
			continue
		}
		var found []block
		for _, b := range blocks(t, page) {
			if b.skip == "" && (b.lang == "console" || b.lang == "sh") {
				found = append(found, b)
			}
		}
		if len(found) > 0 {
			t.Run(page, func(t *testing.T) { runPage(t, bin, found) })
		} else if page == "README.md" {
			t.Error("README.md has no command that is tested")
		}
	}
}

func runPage(t *testing.T, bin string, found []block) {
	r := newReader(t, bin)
	for _, b := range found {
		if b.lang == "sh" {
			r.run(t, b.file, command{line: b.line, text: "set -e\n" + b.text})
			continue
		}
		cmds, err := session(b)
		if err != nil {
			t.Fatalf("%s:%v", b.file, err)
		}
		for _, c := range cmds {
			r.run(t, b.file, c)
		}
		if t.Failed() {
			return // what follows builds on it
		}
	}
}

// command is one command of a page and the output shown under it.
type command struct {
	line int
	text string
	want []string
}

// session cuts a console block into commands.
func session(b block) ([]command, error) {
	var cmds []command
	more := false // the last line was of a command
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		last := len(cmds) - 1
		switch {
		case more && strings.HasSuffix(cmds[last].text, "\\"):
			cmds[last].text += "\n" + line
		case more && strings.HasPrefix(line, "> "):
			cmds[last].text += "\n" + line[2:]
		case strings.HasPrefix(line, "$ "):
			cmds = append(cmds, command{line: b.line + i, text: line[2:]})
			more = true
		case last < 0:
			return nil, fmt.Errorf("%d: output before any command", b.line+i)
		default:
			cmds[last].want = append(cmds[last].want, line)
			more = false
		}
	}
	return cmds, nil
}

// reader is somebody who follows a page: a directory, a running server.
type reader struct {
	dir  string
	says *strings.Replacer // from the page's names to the test's
	env  []string
}

// serverStart bounds the start of an empty server, and its end.
const serverStart = 3 * time.Minute

func newReader(t *testing.T, bin string) *reader {
	t.Helper()
	r := &reader{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, filepath.Join(r.dir, "bin", "miracledb")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", "--data", "data", "--kafka", "127.0.0.1:0", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0")
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, said := make(chan []string, 1), make(chan string, 1)
	go listen(bufio.NewScanner(stderr), ready, said)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it is gone, which Wait tells
		kill := time.AfterFunc(serverStart, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		log := <-said
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the server said:\n%s", log)
		}
	})
	select {
	case a := <-ready:
		_, pgPort, _ := strings.Cut(a[1], ":")
		r.says = strings.NewReplacer("127.0.0.1:9092", a[0], "127.0.0.1:5432", a[1], "127.0.0.1:8080", a[2], "-p 5432", "-p "+pgPort,
			"/tmp/", t.TempDir()+"/")
		r.env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") }), "PGPORT="+pgPort,
			"LC_ALL=C.UTF-8", "PAGER=cat")
	case <-time.After(serverStart):
		t.Fatal("the server was not ready in time")
	}
	return r
}

var readyLine = regexp.MustCompile(`msg=ready kafka=(\S+) postgresql=(\S+) http=http://(\S+)`)

// listen reads what the server says to its end: the addresses as soon as it is ready, and all of it.
func listen(lines *bufio.Scanner, ready chan<- []string, said chan<- string) {
	var all strings.Builder
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			ready <- m[1:]
		}
	}
	said <- all.String()
}

func (r *reader) run(t *testing.T, file string, c command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", r.says.Replace(c.text))
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.dir, r.env, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s:%d: %s\n%v\n%s", file, c.line, c.text, err, out)
		return
	}
	want := r.says.Replace(strings.Join(c.want, "\n"))
	if len(c.want) > 0 && !matches(trimLines(want), trimLines(string(out))) {
		t.Errorf("%s:%d: %s\nprints\n%s\nnot\n%s", file, c.line, c.text, out, want)
	}
}

// trimLines gives the lines without the blanks at their ends and the empty ones at the text's end, which a page cannot show.
func trimLines(s string) []string {
	lines := strings.Split(strings.TrimRight(s, " \t\r\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	return lines
}

// matches compares output with what a page shows, in which "..." is anything.
func matches(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == "...":
		for i := range len(got) + 1 {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	case len(got) == 0:
		return false
	}
	line := `\A` + strings.ReplaceAll(regexp.QuoteMeta(want[0]), `\.\.\.`, `.*`) + `\z`
	return regexp.MustCompile(line).MatchString(got[0]) && matches(want[1:], got[1:])
}

// TestMatches: the test of the test.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb", "a\nb \n\n", true},
		{"a\nb", "a", false},
		{"a", "a\nb", false},
		{"a...c", "abc", true},
		{"a...c", "ab\nc", false},
		{"...", "", true},
		{"a\n...\nb", "a\nb", true},
		{"a\n...\nb", "a\n1\n2\nb", true},
		{"a\n...\nb", "a\n1\n2", false},
		{"a.c", "abc", false},
	} {
		if matches(trimLines(c.want), trimLines(c.got)) != c.ok {
			t.Errorf("%q shows %q: want %v", c.want, c.got, c.ok)
		}
	}
}
