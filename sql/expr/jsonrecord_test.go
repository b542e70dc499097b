package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

func TestRecordFromJSON(t *testing.T) {
	varchar, _ := row.WithModifiers(row.VarChar, []int32{2})
	columns := []row.Column{{Name: "a", Type: row.T(row.Int4)}, {Name: "b", Type: row.T(row.Text)}, {Name: "c", Type: row.T(1007)},
		{Name: "d", Type: row.T(row.JSONB)}, {Name: "e", Type: varchar}}
	for _, c := range []struct{ function, in, want string }{ // as PostgreSQL 15 answers
		{"json_to_record", `{"a": "1", "b": {"x": 1}, "c": [1, "2", null], "d": {"y" : 2}}`, `1|{"x": 1}|{1,2,NULL}|{"y": 2}|NULL`},
		{"json_to_record", `{"a": null, "b": null, "c": null, "d": null}`, `NULL|NULL|NULL|NULL|NULL`},
		{"json_to_record", `{"c": "{3,4}", "b": true, "e": "xy"}`, `NULL|true|{3,4}|NULL|xy`},
		{"json_to_record", `{"e": "xyz"}`, `22001`},
		{"json_to_record", `{"a": "x"}`, `22P02`},
		{"json_to_record", `{"c": 1}`, `22P02`},
		{"json_to_record", `[]`, `22023`},
		{"jsonb_to_recordset", `[{"a": 1}, {"a": 2, "b": "z"}, {}]`, `1|NULL|NULL|NULL|NULL; 2|z|NULL|NULL|NULL; NULL|NULL|NULL|NULL|NULL`},
		{"jsonb_to_recordset", `{}`, `22023`},
		{"jsonb_to_recordset", `[1]`, `22023`},
		{"jsonb_to_recordset", `[]`, ``},
	} {
		f, err := RecordFromJSON(c.function, columns)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := f.Set(&Ctx{}, []row.Value{row.NewText(c.in)})
		var out []string
		for _, r := range rows {
			var fields []string
			for i, v := range r {
				if v.IsNull() {
					fields = append(fields, "NULL")
				} else {
					fields = append(fields, v.Text(columns[i].Type))
				}
			}
			out = append(out, strings.Join(fields, "|"))
		}
		got := strings.Join(out, "; ")
		var e *errs.Error
		if errors.As(err, &e) {
			got = e.State
		}
		if got != c.want {
			t.Errorf("%s(%s) = %s, want %s (%v)", c.function, c.in, got, c.want, fmt.Sprint(err))
		}
	}
}
