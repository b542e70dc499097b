package duck

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/miracledb/miracledb/internal/row"
)

var flightColumns = []row.Column{{Name: "date", Type: row.T(row.Timestamp)}, {Name: "delay", Type: row.T(row.Int8)},
	{Name: "distance", Type: row.T(row.Int8)}, {Name: "origin", Type: row.T(row.Text)}, {Name: "destination", Type: row.T(row.Text)}}

// flights gives the 3 M flights as one segment of 122,880-row groups, written by the writer that the columnar store uses.
func flights(b *testing.B) *Source {
	b.Helper()
	const original = "/work/shared/data/flights-3m.parquet"
	if _, err := os.Stat(original); err != nil {
		b.Skip("no flights: ", err)
	}
	path := filepath.Join(os.TempDir(), "miracledb-flights-122880.parquet")
	if _, err := os.Stat(path); err != nil {
		rewrite(b, original, path)
	}
	return &Source{Name: "flights", Columns: flightColumns, Segments: []Segment{{Path: path, Rows: 3_000_000}}}
}

func rewrite(b *testing.B, from, to string) {
	in, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	r := parquet.NewReader(in)
	out, err := os.Create(to + ".part")
	if err != nil {
		b.Fatal(err)
	}
	w := parquet.NewWriter(out, r.Schema(), parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(122_880))
	if _, err := parquet.CopyRows(w, r); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(w.Close(), out.Close(), os.Rename(to+".part", to)); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFlights(b *testing.B) {
	src := flights(b)
	e := start(b, Options{Directories: []string{os.TempDir()}})
	for _, c := range []struct {
		name, sql string
		columns   []int
		types     []row.OID
	}{
		{"GroupByOrigin", "select c3, count(*), avg(c1) from %s t group by c3", []int{1, 3}, []row.OID{row.Text, row.Int8, row.Float8}},
		{"GroupByPair", "select c3, c4, sum(c2) from %s t group by 1, 2", []int{2, 3, 4}, []row.OID{row.Text, row.Text, row.Numeric}},
		{"Sum", "select count(*), sum(c1) from %s t", []int{1}, []row.OID{row.Int8, row.Numeric}},
		{"Filter", "select sum(c1) from %s t where c3 = 'ATL'", []int{1, 3}, []row.OID{row.Numeric}},
	} {
		b.Run(c.name, func(b *testing.B) {
			tr := sqlText(c.sql, []Scan{{0, c.columns}}, c.types...)
			for b.Loop() {
				if _, err := all(context.Background(), e, tr, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSelectStar moves 1 M rows of 5 columns into row.Values.
func BenchmarkSelectStar(b *testing.B) {
	src := flights(b)
	e := start(b, Options{Directories: []string{os.TempDir()}})
	tr := sqlText("select * from %s t limit 1000000", []Scan{{0, []int{0, 1, 2, 3, 4}}}, row.Timestamp, row.Int8, row.Int8, row.Text, row.Text)
	for _, raw := range []bool{true, false} {
		name := map[bool]string{true: "Batches", false: "Rows"}[raw]
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				r, err := e.Query(context.Background(), tr, []*Source{src})
				if err != nil {
					b.Fatal(err)
				}
				for n = 0; ; {
					batch, err := r.NextBatch()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					n += batch.Len()
					if raw {
						continue
					}
					if _, err := batch.AppendRows(nil); err != nil {
						b.Fatal(err)
					}
				}
				r.Close()
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func BenchmarkSelectOne(b *testing.B) {
	e := start(b, Options{})
	tr := sqlText("select 1", nil, row.Int4)
	for b.Loop() {
		if _, err := all(context.Background(), e, tr); err != nil {
			b.Fatal(err)
		}
	}
}
