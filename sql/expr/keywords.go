package expr

import (
	_ "embed"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
)

// keywordsText is pg_get_keywords of PostgreSQL 15: word, catcode, barelabel.
//
//go:embed keywords.txt
var keywordsText string

var keywordDescriptions = map[string]string{
	"U": "unreserved", "C": "unreserved (cannot be function or type name)",
	"T": "reserved (can be function or type name)", "R": "reserved",
}

// reservedWords are the keywords that a name must be quoted to be: catcode other than U.
var keywords, reservedWords = func() (rows []row.Row, reserved map[string]bool) {
	reserved = map[string]bool{}
	for line := range strings.Lines(keywordsText) {
		f := strings.Fields(line)
		if f[1] != "U" {
			reserved[f[0]] = true
		}
		label := "requires AS"
		if f[2] == "t" {
			label = "can be bare label"
		}
		rows = append(rows, row.Row{row.NewText(f[0]), row.NewText(f[1]), row.NewBool(f[2] == "t"),
			row.NewText(keywordDescriptions[f[1]]), row.NewText(label)})
	}
	return rows, reserved
}()

func keywordRows(*Ctx, []row.Value) ([]row.Row, error) { return keywords, nil }
