package tidy

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// block is a fenced block of a Markdown page.
type block struct {
	file string // relative to the root
	line int    // of its first line of text
	lang string
	text string
	skip string // the reason of a <!-- test: skip reason --> before it
}

// pages gives the repository's Markdown files, relative to the root.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			rel, err := filepath.Rel(root, path)
			found = append(found, rel)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// blocks gives a page's fenced blocks. A fence that is not closed is an error: the rest of the page would be code.
func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	var b *block
	fence, skip := "", ""
	for i, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case b != nil && trimmed == fence:
			found = append(found, *b)
			b = nil
		case b != nil:
			b.text += line + "\n"
		case strings.HasPrefix(trimmed, "```"):
			lang := strings.TrimLeft(trimmed, "`")
			fence = trimmed[:len(trimmed)-len(lang)]
			b = &block{file: file, line: i + 2, lang: strings.TrimSpace(lang), skip: skip}
			skip = ""
		case trimmed != "":
			skip = ""
			if reason, ok := strings.CutPrefix(trimmed, "<!-- test: skip "); ok {
				skip = strings.TrimSuffix(reason, " -->")
			}
		}
	}
	if b != nil {
		t.Errorf("%s:%d: this block is not closed", file, b.line-1)
	}
	return found
}
