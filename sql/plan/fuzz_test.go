package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

// FuzzAnalyze: a statement that parses is either refused with an error or has a plan without a leaf of the analyzer's own
// and without an undecided type; it never panics.
func FuzzAnalyze(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "! ")
			if filepath.Base(file) == "expressions.txt" {
				line = "SELECT " + line
			}
			f.Add(line)
		}
	}
	snapshot := catalog.New(&catalog.Relation{ID: 16384, Schema: "public", Name: "t", Kind: catalog.Table, Key: []int{0}, Columns: []catalog.Column{
		{Name: "id", Type: row.T(row.Int4), NotNull: true}, {Name: "a", Type: row.T(row.Text)}, {Name: "b", Type: row.T(row.Int4)},
		{Name: "c", Type: row.NumericType(10, 2)}, {Name: "d", Type: row.T(row.TimestampTZ), Default: "now()"}}}).Current()
	f.Fuzz(func(t *testing.T, sql string) {
		list, err := parse.Parse(sql)
		if err != nil {
			return
		}
		for _, st := range list {
			s, _, err := Analyze(st, Options{Catalog: snapshot, SearchPath: []string{"public"}})
			if err != nil {
				continue
			}
			if sel, ok := s.(*Select); ok {
				checkLeaves(t, sel.Query)
			}
		}
	})
}

func checkLeaves(t *testing.T, n Node) {
	for _, c := range n.Columns() {
		if c.Type.OID == 0 || c.Type.OID == row.Unknown {
			t.Errorf("column %s has no type", c.Name)
		}
	}
	WalkAll(n, func(e expr.Expr, _ int) {
		switch e := e.(type) {
		case *aggregateRef, *windowRef, *groupingRef:
			t.Errorf("a %T is left in the plan", e)
		case *expr.Param:
			if e.Typ.OID == 0 || e.Typ.OID == row.Unknown {
				t.Errorf("$%d has no type", e.N)
			}
		}
	})
}
