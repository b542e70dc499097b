package pgcatalog

import (
	"testing"

	"github.com/miracledb/miracledb/internal/row"
)

// TestRowsHaveTheirColumnsTypes scans every relation: widths, kinds and NOT NULL must hold.
func TestRowsHaveTheirColumnsTypes(t *testing.T) {
	s := sample(t)
	for _, rel := range Relations() {
		rows, err := Rows(s, rel)
		if err != nil {
			t.Errorf("%s: %v", rel.Name, err)
		}
		for _, r := range rows {
			if len(r) != len(rel.Columns) {
				t.Fatalf("%s: a row of %d values for %d columns", rel.Name, len(r), len(rel.Columns))
			}
			for i, v := range r {
				col := rel.Columns[i]
				switch {
				case v.IsNull() && col.NotNull:
					t.Fatalf("%s.%s is NULL in %v", rel.Name, col.Name, r)
				case !v.IsNull() && v.Kind() != row.KindOf(col.Type.OID):
					t.Fatalf("%s.%s of type %s holds kind %d", rel.Name, col.Name, col.Type, v.Kind())
				}
			}
		}
	}
}
