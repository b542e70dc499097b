package tidy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/testenv"
)

func diagrams(t *testing.T) []block {
	t.Helper()
	var found []block
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if b.lang == "mermaid" {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("no page draws anything: ARCHITECTURE.md must")
	}
	return found
}

// TestMermaidParses puts every diagram through Mermaid's own parser.
func TestMermaidParses(t *testing.T) {
	found := diagrams(t)
	texts := make([]string, len(found))
	for i, b := range found {
		texts[i] = b.text
	}
	// The test of the test: a parser that accepts anything proves nothing.
	texts = append(texts, "flowchart LR\n  a[open --> b\n")
	faults := parseMermaid(t, texts)
	if faults[len(found)] == nil {
		t.Error("Mermaid accepts an unclosed bracket")
	}
	for i, b := range found {
		if faults[i] != nil {
			t.Errorf("%s:%d: %s", b.file, b.line, *faults[i])
		}
	}
}

// parseMermaid gives each diagram's fault, or nil.
func parseMermaid(t *testing.T, texts []string) []*string {
	t.Helper()
	node, dir := testenv.NodeModules(t, testenv.Mermaid...)
	script, err := os.ReadFile("testdata/mermaid.mjs")
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "--input-type=module", "-e", string(script))
	cmd.Dir = dir // where imports are resolved
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	var faults []*string
	if err := json.Unmarshal(out, &faults); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(faults) != len(texts) {
		t.Fatalf("%d answers for %d diagrams", len(faults), len(texts))
	}
	return faults
}

// TestMermaidShape checks what can be seen without Mermaid: the kind, brackets, and that what opens is closed.
func TestMermaidShape(t *testing.T) {
	for _, b := range diagrams(t) {
		if err := mermaidShape(b.text); err != nil {
			t.Errorf("%s:%d: %v", b.file, b.line, err)
		}
	}
	for _, bad := range []string{"", "flowchrat LR\n", "flowchart LR\n a[x --> b\n", "flowchart LR\n a --> b)\n",
		"flowchart LR\n subgraph s\n a --> b\n", "sequenceDiagram\n loop x\n A->>B: y\n", "sequenceDiagram\n end\n"} {
		if mermaidShape(bad) == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

var mermaidKinds = []string{"flowchart", "graph", "sequenceDiagram", "stateDiagram-v2", "erDiagram", "classDiagram", "gantt", "timeline"}

// mermaidOpens are the words that an "end" closes, by kind.
var mermaidOpens = map[string][]string{
	"flowchart":       {"subgraph"},
	"graph":           {"subgraph"},
	"sequenceDiagram": {"loop", "alt", "opt", "par", "critical", "break", "rect", "box"},
}

func mermaidShape(text string) error {
	kind, open := "", 0
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "%%") {
			continue
		}
		if kind == "" {
			kind = words[0]
			if !slices.Contains(mermaidKinds, kind) {
				return fmt.Errorf("%q is no kind of diagram", kind)
			}
			continue
		}
		opens := mermaidOpens[kind]
		switch {
		case slices.Contains(opens, words[0]):
			open++
		case words[0] == "end" && len(opens) > 0:
			open--
		}
		if open < 0 {
			return fmt.Errorf("an end that closes nothing")
		}
		if kind == "flowchart" || kind == "graph" {
			if err := brackets(line); err != nil {
				return err
			}
		}
	}
	switch {
	case kind == "":
		return fmt.Errorf("empty diagram")
	case open > 0:
		return fmt.Errorf("%d blocks have no end", open)
	}
	return nil
}

// brackets checks that a line's brackets outside quotes pair up; > opens the flag shape, and is an arrow's head as well.
func brackets(line string) error {
	var stack []byte
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("([{", c) >= 0:
			stack = append(stack, c)
		case strings.IndexByte(")]}", c) >= 0:
			if len(stack) == 0 || strings.IndexByte("([{", stack[len(stack)-1]) != strings.IndexByte(")]}", c) {
				return fmt.Errorf("%q closes nothing in %q", c, strings.TrimSpace(line))
			}
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) > 0 || quoted {
		return fmt.Errorf("something is not closed in %q", strings.TrimSpace(line))
	}
	return nil
}
