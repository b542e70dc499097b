package tidy

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const dependenciesFile = "../../docs/dependencies.md"

// required gives go.mod's modules, and whether go.mod says that one is there for others only.
func required(t *testing.T) (indirect map[string]bool) {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json", "../../go.mod").Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	indirect = map[string]bool{}
	for _, r := range mod.Require {
		indirect[r.Path] = r.Indirect
	}
	return indirect
}

// imported gives the modules that the code and its tests import, whatever go.mod says.
func imported(t *testing.T, modules map[string]bool) map[string]bool {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}
{{join .TestImports "\n"}}
{{join .XTestImports "\n"}}`, "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]bool{}
	for imp := range strings.FieldsSeq(string(out)) {
		best := ""
		for m := range modules {
			if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(best) {
				best = m
			}
		}
		if best != "" {
			found[best] = true
		}
	}
	return found
}

func TestDependenciesAreExplained(t *testing.T) {
	page, err := os.ReadFile(dependenciesFile)
	if err != nil {
		t.Fatal(err)
	}
	indirect := required(t)
	direct := imported(t, indirect)
	for m, ind := range indirect {
		if !ind {
			direct[m] = true
		}
	}
	for m := range direct {
		if !strings.Contains(string(page), "`"+m+"`") {
			t.Errorf("docs/dependencies.md does not say what %s is for", m)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|([^|]*\\S[^|]*)\\|([^|]*\\S[^|]*)\\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) == 0 {
		t.Error("docs/dependencies.md has no rows")
	}
	for _, row := range rows {
		if !direct[row[1]] {
			t.Errorf("docs/dependencies.md explains %s, which nothing uses", row[1])
		}
	}
}
