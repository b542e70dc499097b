package duck

import (
	"context"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/row"
)

func recordOf(columns []row.Column, rows []row.Row) arrow.Record {
	b := row.NewBuilder(nil, &row.Schema{Columns: columns})
	for _, r := range rows {
		b.AppendRow(r)
	}
	return b.NewRecord()
}

// TestStoredTypes sends every stored type through Arrow and compares.
func TestStoredTypes(t *testing.T) {
	e := start(t, Options{})
	cases := []struct {
		t    row.Type
		text []string
	}{
		{row.T(row.Bool), []string{"t", "f"}}, {row.T(row.Int2), []string{"-7"}}, {row.T(row.Oid), []string{"4000000000"}},
		{row.T(row.Float4), []string{"1.5", "NaN"}}, {row.T(row.Float8), []string{"-Infinity", "0.1"}},
		{row.NumericType(9, 2), []string{"1.50", "-9999999.99"}}, {row.NumericType(18, 4), []string{"12345678901234.5678"}},
		{row.NumericType(38, 10), []string{"1234567890123456789012345678.0123456789"}},
		{row.T(row.Numeric), []string{"1.500", "123456789012345678901234567890123456789012345"}},
		{row.T(row.Text), []string{"", "é"}}, {row.T(row.BPChar).WithTypMod(9), []string{"ab   "}}, {row.T(row.JSONB), []string{`{"a": 1}`}},
		{row.T(row.Bytea), []string{`\x00ff`}}, {row.T(row.UUID), []string{"f1234567-89ab-cdef-0123-456789abcdef"}},
		{row.T(row.Date), []string{"2024-02-29", "infinity", "-infinity"}}, {row.T(row.Time), []string{"23:59:59.999999"}},
		{row.T(row.TimeTZ), []string{"01:02:03+02"}}, {row.T(row.Timestamp), []string{"2001-01-01 00:00:00", "-infinity", "infinity"}},
		{row.T(row.TimestampTZ), []string{"2001-01-01 00:00:00+00"}}, {row.T(row.Interval), []string{"1 mon 2 days 00:00:03"}},
		{row.T(row.Int4).Array(), []string{"{1,NULL,3}"}},
	}
	for _, c := range cases {
		col := row.Column{Name: "v", Type: c.t}
		schema := &row.Schema{Columns: []row.Column{col}}
		var rows []row.Row
		for _, s := range append(c.text, "NULL") {
			v := row.Null
			if s != "NULL" {
				var err error
				if v, err = row.ParseText(c.t, s); err != nil {
					t.Fatal(c.t, err)
				}
			}
			rows = append(rows, row.Row{v})
		}
		src := &Source{Columns: schema.Columns, Inline: []Inline{{Records: []arrow.Record{recordOf(schema.Columns, rows)}}}}
		tr := sqlText("select c0 from %s t", []Scan{{0, []int{0}}}, c.t.OID)
		tr.Fields[0].Type = c.t
		got, err := all(context.Background(), e, tr, src)
		if err != nil || !slices.Equal(got, append(c.text, "NULL")) {
			t.Errorf("%s: got %q, %v, want %q", c.t, got, err, c.text)
		}
	}
}
