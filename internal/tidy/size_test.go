package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A file much over maxFile lines or a function over maxFunc needs a written reason: a comment that contains
// "tidy: long" in the file (for its length) or in the function's doc comment or first lines.
const (
	maxFile = 500
	maxFunc = 70
	slack   = 1.2 // "not much over"
	excuse  = "tidy: long"
)

func TestSizes(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checkSizes(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkSizes(t *testing.T, path string) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
	if err != nil {
		t.Error(err)
		return
	}
	if ast.IsGenerated(f) {
		return
	}
	excused := func(from, to token.Pos) bool {
		for _, c := range f.Comments {
			if c.Pos() >= from && c.End() <= to && strings.Contains(c.Text(), excuse) {
				return true
			}
		}
		return false
	}
	if n := fset.Position(f.End()).Line; float64(n) > maxFile*slack && !excused(f.FileStart, f.FileEnd) {
		t.Errorf("%s has %d lines, over %d: split it, or say why with a comment %q", path, n, maxFile, excuse+": ...")
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		from := fn.Pos()
		if fn.Doc != nil {
			from = fn.Doc.Pos()
		}
		n := fset.Position(fn.End()).Line - fset.Position(fn.Body.Pos()).Line
		if float64(n) > maxFunc*slack && !excused(from, fn.End()) {
			t.Errorf("%s: %s has %d lines, over %d", fset.Position(fn.Pos()), fn.Name.Name, n, maxFunc)
		}
	}
}
