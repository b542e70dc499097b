package duck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"github.com/miracledb/miracledb/internal/row"
)

// testRow is a row of the test relation: a number, and everything else computed from it.
type testRow struct {
	ID   int64   `parquet:"id"`
	K    int32   `parquet:"k"`
	X    float64 `parquet:"x"`
	Name *string `parquet:"name,optional"`
}

var testColumns = []row.Column{{Name: "id", Type: row.T(row.Int8)}, {Name: "k", Type: row.T(row.Int4)},
	{Name: "x", Type: row.T(row.Float8)}, {Name: "name", Type: row.T(row.Text)}}

func rowOf(id int64) testRow {
	r := testRow{ID: id, K: int32(id % 7), X: float64(id) / 2}
	if id%5 != 0 {
		s := fmt.Sprintf("n%d", id)
		if id%3 == 0 {
			s += strings.Repeat("-long", 5)
		}
		r.Name = &s
	}
	return r
}

func writeSegment(t testing.TB, path string, from, to int64) {
	t.Helper()
	rows := make([]testRow, 0, to-from)
	for id := from; id < to; id++ {
		rows = append(rows, rowOf(id))
	}
	if err := parquet.WriteFile(path, rows, parquet.Compression(&parquet.Zstd)); err != nil {
		t.Fatal(err)
	}
}

func testSchema() *arrow.Schema {
	return row.ArrowSchema(&row.Schema{Columns: testColumns})
}

func record(from, to int64) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, testSchema())
	for id := from; id < to; id++ {
		r := rowOf(id)
		b.Field(0).(*array.Int64Builder).Append(r.ID)
		b.Field(1).(*array.Int32Builder).Append(r.K)
		b.Field(2).(*array.Float64Builder).Append(r.X)
		if r.Name == nil {
			b.Field(3).AppendNull()
		} else {
			b.Field(3).(*array.StringBuilder).Append(*r.Name)
		}
	}
	return b.NewRecord()
}

// tailFile writes batches of the given ends and gives the file's size after each.
func tailFile(t testing.TB, path string, from int64, ends ...int64) (sizes []int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := ipc.NewWriter(f, ipc.WithSchema(testSchema()))
	for _, end := range ends {
		if err := w.Write(record(from, end)); err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		sizes, from = append(sizes, info.Size()), end
	}
	return sizes
}

func bitmap(rows ...uint32) *roaring.Bitmap { return roaring.BitmapOf(rows...) }

// check runs queries over the source and compares with the rows that must be in it.
func check(t *testing.T, e *Engine, name string, s *Source, want []int64) {
	t.Helper()
	ctx := context.Background()
	var sum, kSum, named int64
	groups := map[int32]int64{}
	for _, id := range want {
		r := rowOf(id)
		sum += id
		kSum += int64(r.K)
		groups[r.K]++
		if r.Name != nil {
			named++
		}
	}
	one := func(q, w string, columns []int, types ...row.OID) {
		t.Helper()
		got, err := all(ctx, e, sqlText(q, []Scan{{0, columns}}, types...), s)
		if err != nil || len(got) != 1 || got[0] != w {
			t.Errorf("%s: %s: got %q, %v, want %s", name, q, got, err, w)
		}
	}
	one("select count(*) from %s t", fmt.Sprint(len(want)), nil, row.Int8)
	one("select coalesce(sum(c0), 0)::bigint, coalesce(sum(c1), 0)::bigint, count(c3) from %s t", fmt.Sprintf("%d|%d|%d", sum, kSum, named), []int{0, 1, 3}, row.Int8, row.Int8, row.Int8)
	// Projections in another order than stored, filters on columns that are not shown.
	one("select count(c3) from %s t where c0 >= 0 and c3 is not null", fmt.Sprint(named), []int{3, 0}, row.Int8)
	one("select count(*) from %s t where c3 <> 'n' || c0 || case when c0 % 3 = 0 then '-long-long-long-long-long' else '' end", "0", []int{0, 3}, row.Int8)
	one("select count(*) from %s t where c2 <> c0 / 2.0 or c1 <> c0 % 7", "0", []int{0, 1, 2}, row.Int8)
	if len(want) > 0 {
		id := want[len(want)/2]
		r := rowOf(id)
		nm := "NULL"
		if r.Name != nil {
			nm = *r.Name
		}
		one(fmt.Sprintf("select c3, c1 from %%s t where c0 = %d", id), fmt.Sprintf("%s|%d", nm, r.K), []int{0, 1, 3}, row.Text, row.Int4)
	}
	got, err := all(ctx, e, sqlText("select c1, count(*) from %s t group by c1 order by c1", []Scan{{0, []int{1}}}, row.Int4, row.Int8), s)
	if err != nil || len(got) != len(groups) {
		t.Errorf("%s: groups %q, %v", name, got, err)
	}
	for _, g := range got {
		var k, n int64
		fmt.Sscanf(g, "%d|%d", &k, &n)
		if groups[int32(k)] != n {
			t.Errorf("%s: group %d has %d, want %d", name, k, n, groups[int32(k)])
		}
	}
	// A self-join over chunks: where a batch of the wrong size crashes.
	j, err := all(ctx, e, sqlText("select count(*) from %s a join %s b on a.c0 = b.c0", []Scan{{0, []int{0}}, {0, []int{0}}}, row.Int8), s)
	if err != nil || len(j) != 1 || j[0] != fmt.Sprint(len(want)) {
		t.Errorf("%s: self-join %q, %v, want %d", name, j, err, len(want))
	}
}

func ids(from, to int64, without ...int64) []int64 {
	var s []int64
	for id := from; id < to; id++ {
		if !slices.Contains(without, id) {
			s = append(s, id)
		}
	}
	return s
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	e := start(t, Options{Directories: []string{dir}})
	a, b, tail := filepath.Join(dir, "a.parquet"), filepath.Join(dir, "b's.parquet"), filepath.Join(dir, "tail.arrow")
	writeSegment(t, a, 0, 5000)
	writeSegment(t, b, 5000, 9000)
	sizes := tailFile(t, tail, 9000, 9001, 11048, 11049, 12000)

	check(t, e, "nothing", &Source{Columns: testColumns}, nil)
	check(t, e, "segments", &Source{Columns: testColumns, Segments: []Segment{{Path: a, Rows: 5000}, {Path: b, Rows: 4000}}}, ids(0, 9000))
	dead := bitmap(0, 77, 2048, 4999)
	check(t, e, "segments with deletes", &Source{Columns: testColumns, Segments: []Segment{{Path: a, Rows: 5000, Deleted: Deleted{dead, 1}},
		{Path: b, Rows: 4000}}}, ids(0, 9000, 0, 77, 2048, 4999))
	for i, rows := range []int64{1, 2048, 2049, 3000} {
		check(t, e, fmt.Sprintf("tail of %d", rows), &Source{Columns: testColumns, Tails: []Tail{{Path: tail, Bytes: sizes[i], Rows: rows}}}, ids(9000, 9000+rows))
	}
	// Prefixes, later ones first known: the child must not show what it has read for another snapshot.
	for _, rows := range []int64{3000, 2, 2047, 1} {
		check(t, e, fmt.Sprintf("prefix of %d", rows), &Source{Columns: testColumns, Tails: []Tail{{Path: tail, Bytes: sizes[3], Rows: rows}}}, ids(9000, 9000+rows))
	}
	whole := roaring.New()
	whole.AddRange(1, 2048)
	check(t, e, "a dead batch", &Source{Columns: testColumns, Tails: []Tail{{Path: tail, Bytes: sizes[3], Rows: 3000, Deleted: Deleted{whole, 7}}}},
		append(ids(9000, 9001), ids(11048, 12000)...))
	rec := record(20000, 25000)
	slice := rec.NewSlice(777, 4100)
	check(t, e, "inline", &Source{Columns: testColumns, Inline: []Inline{{Records: []arrow.Record{slice}}}}, ids(20777, 24100))
	all := &Source{Columns: testColumns,
		Segments: []Segment{{Path: a, Rows: 5000, Deleted: Deleted{dead, 1}}, {Path: b, Rows: 4000, Deleted: Deleted{bitmap(3), 0}}},
		Tails:    []Tail{{Path: tail, Bytes: sizes[3], Rows: 3000, Deleted: Deleted{bitmap(5), 9}}},
		Inline:   []Inline{{Records: []arrow.Record{slice}, CacheKey: "x1", Deleted: Deleted{bitmap(0), 0}}}}
	want := append(ids(0, 12000, 0, 77, 2048, 4999, 5003, 9005), ids(20778, 24100)...)
	for range 2 { // the second time from the child's caches
		check(t, e, "everything", all, want)
	}
	// A child that lost its caches asks for what it needs.
	kill(t, e)
	check(t, e, "everything, new child", all, want)
	e.current(context.Background())
	e.mu.Lock()
	e.mu.process.knows("inline:x2")
	e.mu.Unlock()
	check(t, e, "forgotten key", &Source{Columns: testColumns, Inline: []Inline{{Records: []arrow.Record{slice}, CacheKey: "x2"}}}, ids(20777, 24100))
}

func TestMissingColumn(t *testing.T) {
	dir := t.TempDir()
	e := start(t, Options{Directories: []string{dir}})
	a, b := filepath.Join(dir, "a.parquet"), filepath.Join(dir, "b.parquet")
	writeSegment(t, a, 0, 10)
	writeSegment(t, b, 10, 20)
	s := &Source{Columns: []row.Column{{Name: "renamed", Type: row.T(row.Int8)}, {Name: "added", Type: row.T(row.Int4)}, {Name: "k", Type: row.T(row.Int8)}},
		Segments: []Segment{{Path: a, Rows: 10, Columns: []string{"id", "", "k"}, Deleted: Deleted{bitmap(1), 1}}, {Path: b, Rows: 10, Columns: []string{"id", "k", "k"}}}}
	got, err := all(context.Background(), e, sqlText("select sum(c0)::bigint, count(c1), sum(c2)::bigint from %s t", []Scan{{0, []int{0, 1, 2}}}, row.Int8, row.Int8, row.Int8), s)
	if err != nil || got[0] != "189|10|56" {
		t.Errorf("got %q, %v", got, err)
	}
}
