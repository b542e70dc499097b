package tidy

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/miracledb/miracledb/"

// rows lists the packages floor by floor, and on each floor from left to right: a package imports lower floors, its own
// tree's root, and packages left of it. "tree/..." stands for a package and all below it.
var rows = [][]string{
	{"internal/errs", "internal/limit", "internal/clock", "internal/vfs", "internal/certs", "internal/testenv/...", "internal/tidy"},
	{"internal/schema", "internal/row", "internal/row/...", "internal/delta"},
	{"log", "log/record", "log/topics", "log/admission", "log/aborted", "log/segment", "log/journal", "log/commits", "log/keys", "log/broker", "log/broker/brokertest", "log/external", "log/logtest", "log/anomaly", "log/group", "log/access", "log/schemas", "log/kafka", "log/kafka/ecosystem"},
	{"processors", "processors/state", "processors/op", "processors/circuit"},
	{"views", "views/catalog", "views/heap", "views/columnar", "views/version", "views/viewstest"},
	{"sql", "sql/parse", "sql/expr", "sql/plan", "sql/ingest", "sql/ivm/vector", "sql/ivm", "sql/exec", "sql/txn", "sql/duck/...", "sql/pgcatalog", "sql/session", "sql/pgwire"},
	{"backup"},
	{"connectors/...", "features/..."},
	{"deploy", "internal/runner", "internal/node", "internal/node/nodetest", "internal/bench", "internal/cli"},
	{"cmd/..."},
}

// never is what processors and views may not see of each other, though they stand on different rows here.
var never = [][2]string{{"processors", "views"}, {"views", "processors"}}

// only lists modules that may be imported in few places (tests may import anything).
var only = map[string][]string{
	"github.com/duckdb/":                   {"sql/duck"},
	"github.com/twmb/franz-go/pkg/kgo":     {"log/external", "internal/cli", "internal/bench"},
	"github.com/twmb/franz-go/pkg/kadm":    {"log/external", "internal/cli", "internal/bench"},
	"github.com/cockroachdb/pebble/v2/vfs": {"internal/vfs"},
	"github.com/pganalyze/pg_query_go":     {"sql/parse", "sql/plan"},
	"log/slog":                             {"internal/node", "connectors", "cmd", "internal/cli"},
	"github.com/cockroachdb/pebble/v2":     {"views/heap", "log/keys", "internal/vfs"},
	"github.com/prometheus/client_golang":  {"internal/node", "connectors/http"},
	module + "features":                    {"internal/node", "cmd"}, // so that each can be deleted
}

// banned is imported nowhere but in tests.
var banned = map[string]string{
	"log":          "use errors, and log/slog where logging is allowed",
	"database/sql": "tests only, as stdsql",
}

type goPackage struct {
	ImportPath, Dir, Doc string
	GoFiles, Imports     []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// place gives the floor and column of a package; -1 when it stands nowhere.
func place(pkg string) (floor, column int) {
	floor, column = -1, -1
	for f, r := range rows {
		for c, name := range r {
			tree, all := strings.CutSuffix(name, "/...")
			if pkg == name || all && (pkg == tree || strings.HasPrefix(pkg, tree+"/")) {
				return f, c
			}
		}
	}
	return floor, column
}

func within(pkg string, places []string) bool {
	return slices.ContainsFunc(places, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

func tree(pkg string) string { t, _, _ := strings.Cut(pkg, "/"); return t }

func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		floor, column := place(pkg)
		if floor < 0 {
			t.Errorf("%s has no place in the floors: see internal/tidy and ARCHITECTURE.md", pkg)
			continue
		}
		for _, imp := range p.Imports {
			checkModule(t, pkg, imp)
			if !strings.HasPrefix(imp, module) {
				continue
			}
			dep := strings.TrimPrefix(imp, module)
			f, c := place(dep)
			switch {
			case dep == "internal/testenv" && !within(pkg, []string{dep}):
				t.Errorf("%s imports %s outside a test", pkg, dep)
			case f > floor, f == floor && c > column:
				t.Errorf("%s (floor %d) imports %s (floor %d), which stands above it or to its right", pkg, floor, dep, f)
			}
			for _, n := range never {
				if tree(pkg) == n[0] && tree(dep) == n[1] {
					t.Errorf("%s imports %s: they meet in internal/delta", pkg, dep)
				}
			}
		}
	}
}

// A place that no package has keeps nothing in order.
func TestEveryPlaceIsTaken(t *testing.T) {
	all := packages(t)
	for _, name := range slices.Concat(rows...) {
		tree := strings.TrimSuffix(name, "/...")
		if !slices.ContainsFunc(all, func(p goPackage) bool { return within(strings.TrimPrefix(p.ImportPath, module), []string{tree}) }) {
			t.Errorf("there is no package %s", name)
		}
	}
}

func checkModule(t *testing.T, pkg, imp string) {
	t.Helper()
	if why, bad := banned[imp]; bad {
		t.Errorf("%s imports %q: %s", pkg, imp, why)
	}
	for mod, places := range only {
		if (imp == mod || strings.HasPrefix(imp, strings.TrimSuffix(mod, "/")+"/")) && !within(pkg, places) {
			t.Errorf("%s imports %s, which only %v may", pkg, imp, places)
		}
	}
}

func TestEveryPackageTellsItsStory(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, p := range packages(t) {
		name := p.ImportPath[strings.LastIndexByte(p.ImportPath, '/')+1:]
		switch name {
		case "util", "utils", "common", "helper", "helpers", "manager", "base", "v2", "misc":
			t.Errorf("%s: a package says what it is for", p.ImportPath)
		}
	}
}
