package columnar

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/internal/vfs"
)

// everyType has a column of each type that can be stored, NOT NULL ones among them.
var everyType = arrow.NewSchema([]arrow.Field{
	{Name: "zz_first", Type: arrow.PrimitiveTypes.Int64},
	{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "i8", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "i16", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
	{Name: "i32", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "i64", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "u32", Type: arrow.PrimitiveTypes.Uint32, Nullable: true},
	{Name: "u64", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
	{Name: "f32", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "f64", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "s_not_null", Type: arrow.BinaryTypes.String},
	{Name: "bin", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "d", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "t", Type: arrow.FixedWidthTypes.Time64us, Nullable: true},
	{Name: "ts", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
	{Name: "tstz", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "dec9", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}, Nullable: true},
	{Name: "dec18", Type: &arrow.Decimal128Type{Precision: 18, Scale: 2}, Nullable: true},
	{Name: "dec38", Type: &arrow.Decimal128Type{Precision: 38, Scale: 4}, Nullable: true},
	{Name: "uuid", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}, Nullable: true,
		Metadata: arrow.NewMetadata([]string{"ARROW:extension:name"}, []string{"arrow.uuid"})},
	{Name: "iv", Type: arrow.FixedWidthTypes.MonthDayNanoInterval, Nullable: true},
	{Name: "li", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true},
	{Name: "ls", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
}, nil)

// randomRecord fills schema with n rows; a fifth of what may be null is.
func randomRecord(r *rand.Rand, schema *arrow.Schema, n int) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, f := range schema.Fields() {
		for range n {
			appendRandom(r, b.Field(i), f.Nullable)
		}
	}
	return b.NewRecord()
}

func appendRandom(r *rand.Rand, b array.Builder, nullable bool) {
	if nullable && r.IntN(5) == 0 {
		b.AppendNull()
		return
	}
	text := strings.Repeat("é", r.IntN(4)) + fmt.Sprint(r.IntN(50))
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int8Builder:
		b.Append(int8(r.Uint32()))
	case *array.Int16Builder:
		b.Append(int16(r.Uint32()))
	case *array.Int32Builder:
		b.Append(int32(r.Uint32()))
	case *array.Int64Builder:
		b.Append(int64(r.Uint64()))
	case *array.Uint32Builder:
		b.Append(r.Uint32())
	case *array.Uint64Builder:
		b.Append(r.Uint64())
	case *array.Float32Builder:
		b.Append([]float32{0, -1.5, float32(math.Inf(1)), 3e38}[r.IntN(4)])
	case *array.Float64Builder:
		b.Append(r.NormFloat64())
	case *array.StringBuilder:
		b.Append(text)
	case *array.BinaryBuilder:
		b.Append([]byte(text + "\x00\xff"))
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(40000) - 20000))
	case *array.Time64Builder:
		b.Append(arrow.Time64(r.Int64N(86_400_000_000)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64N(4e15) - 2e15))
	case *array.Decimal128Builder:
		v := decimal128.FromI64(r.Int64N(999_999_999) - 499_999_999)
		if b.Type().(*arrow.Decimal128Type).Precision > 18 {
			v = v.Mul(decimal128.FromI64(1e15))
		}
		b.Append(v)
	case *array.FixedSizeBinaryBuilder:
		v := make([]byte, 16)
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		b.Append(v)
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(arrow.MonthDayNanoInterval{Months: int32(r.IntN(100)), Days: -3, Nanoseconds: r.Int64()})
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			appendRandom(r, b.ValueBuilder(), true)
		}
	default:
		panic(fmt.Sprintf("%T", b))
	}
}

func writeSegment(t testing.TB, fs vfs.FS, path string, recs ...arrow.Record) int64 {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategory)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newSegmentWriter(f, recs[0].Schema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if err := w.write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func allColumns(s *arrow.Schema) (c []int) {
	for i := range s.NumFields() {
		c = append(c, i)
	}
	return c
}

func TestSegmentRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	fs := vfs.NewMem()
	whole := randomRecord(r, everyType, 5000)
	for _, cut := range [][2]int64{{0, 5000}, {777, 778}, {1, 4999}, {13, 2061}} {
		rec := whole.NewSlice(cut[0], cut[1])
		size := writeSegment(t, fs, "s.parquet", rec)
		s, err := openSegment(fs, "s.parquet", size, everyType)
		if err != nil {
			t.Fatal(err)
		}
		err = s.read(allColumns(everyType), func(first int64, got arrow.Record) error {
			for i := range int(got.NumCols()) {
				if !array.Equal(got.Column(i), rec.Column(i)) {
					t.Fatalf("column %s of rows %v:\n%v\nwant\n%v", everyType.Field(i).Name, cut, got.Column(i), rec.Column(i))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.close()
	}
}

// Row groups have DuckDB's size, whatever the records' sizes are.
func TestSegmentRowGroups(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	next := int64(0)
	var recs []arrow.Record
	for _, n := range []int{100_000, 100_000, 1, 150_000} {
		for range n {
			b.Field(0).(*array.Int64Builder).Append(next)
			next++
		}
		recs = append(recs, b.NewRecord())
	}
	fs := vfs.NewMem()
	s, err := openSegment(fs, "s", writeSegment(t, fs, "s", recs...), schema)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	want := int64(0)
	err = s.read([]int{0}, func(first int64, rec arrow.Record) error {
		if first != want {
			t.Fatalf("first row %d, want %d", first, want)
		}
		sizes = append(sizes, rec.NumRows())
		for _, v := range rec.Column(0).(*array.Int64).Int64Values() {
			if v != want {
				t.Fatalf("row %d holds %d", want, v)
			}
			want++
		}
		return nil
	})
	if err != nil || want != next || fmt.Sprint(sizes) != "[122880 122880 104241]" {
		t.Fatal(err, want, sizes)
	}
}

// A flipped bit anywhere in a segment is found before it is decoded, and so is a file cut short or missing.
func TestSegmentDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	fs := vfs.NewMem()
	f, err := createSumming(fs, "s")
	if err != nil {
		t.Fatal(err)
	}
	rec := randomRecord(r, everyType, 300)
	w, err := newSegmentWriter(f, everyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.write(rec)
	w.close()
	sum, err := f.finish()
	if err != nil || sum.verify(fs, "s") != nil {
		t.Fatal(err, sum.verify(fs, "s"))
	}
	file, _ := fs.Open("s")
	good := make([]byte, sum.Bytes)
	file.ReadAt(good, 0)
	file.Close()
	check := func(what string, bad []byte) {
		t.Helper()
		w, _ := fs.Create("bad", vfs.WriteCategory)
		w.Write(bad)
		w.Close()
		if err := sum.verify(fs, "bad"); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "bad is damaged") {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for range 2000 {
		bad := bytes.Clone(good)
		at := r.IntN(len(bad))
		bad[at] ^= 1 << r.IntN(8)
		check(fmt.Sprint("flip in byte ", at), bad)
	}
	check("cut", good[:len(good)-1])
	check("longer", append(good, 0))
	if err := sum.verify(fs, "missing"); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("missing: %v", err)
	}
}

func flights(t testing.TB, n int) []arrow.Record {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "date", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
		{Name: "delay", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "distance", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "origin", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "destination", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	r := rand.New(rand.NewPCG(1, 2))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	var recs []arrow.Record
	for i := range n {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(978307200000000 + int64(i)*5_000_000))
		b.Field(1).(*array.Int32Builder).Append(int32(r.IntN(200) - 30))
		b.Field(2).(*array.Int32Builder).Append(int32(r.IntN(2500)))
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("A%02d", r.IntN(230)%100))
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprintf("B%02d", r.IntN(230)%100))
		if i%2048 == 2047 || i == n-1 {
			recs = append(recs, b.NewRecord())
		}
	}
	return recs
}

func BenchmarkSegmentWrite(b *testing.B) {
	recs := flights(b, 500_000)
	for b.Loop() {
		w, err := newSegmentWriter(discard{}, recs[0].Schema(), nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, rec := range recs {
			if err := w.write(rec); err != nil {
				b.Fatal(err)
			}
		}
		w.close()
	}
	b.ReportMetric(500_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkSegmentRead(b *testing.B) {
	recs := flights(b, 500_000)
	fs := vfs.NewMem()
	size := writeSegment(b, fs, "s", recs...)
	schema := recs[0].Schema()
	for b.Loop() {
		s, err := openSegment(fs, "s", size, schema)
		if err != nil {
			b.Fatal(err)
		}
		err = s.read(allColumns(schema), func(int64, arrow.Record) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		s.close()
	}
	b.ReportMetric(500_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/500_000, "B/row")
}

// DuckDB reads a segment with the right types and values.
func TestDuckDBReadsSegment(t *testing.T) {
	python := testenv.PythonVenv(t, testenv.PythonDuckDB...)
	r := rand.New(rand.NewPCG(9, 1))
	rec := randomRecord(r, everyType, 3000)
	path := filepath.Join(t.TempDir(), "s.parquet")
	writeSegment(t, vfs.Default, path, rec)
	script := `
import duckdb, sys
c = duckdb.connect()
for name, typ, *_ in c.sql("describe select * from read_parquet('%s')" % sys.argv[1]).fetchall():
    n, = c.sql('select count("%s") from read_parquet(\'%s\')' % (name, sys.argv[1])).fetchone()
    print(name, typ, n)
print(c.sql("select sum(i64::hugeint), sum(dec38), sum(len(li)), sum(len(s)), min(ts), min(d), sum(u64), sum(dec9) from read_parquet('%s')" % sys.argv[1]).fetchone())
`
	out, err := exec.Command(python, "-c", script, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	types := map[string]string{"zz_first": "BIGINT", "b": "BOOLEAN", "i8": "TINYINT", "i16": "SMALLINT", "i32": "INTEGER", "i64": "BIGINT",
		"u32": "UINTEGER", "u64": "UBIGINT", "f32": "FLOAT", "f64": "DOUBLE", "s": "VARCHAR", "s_not_null": "VARCHAR", "bin": "BLOB",
		"d": "DATE", "t": "TIME", "ts": "TIMESTAMP", "tstz": "TIMESTAMP WITH TIME ZONE", "dec9": "DECIMAL(9,2)", "dec18": "DECIMAL(18,2)",
		"dec38": "DECIMAL(38,4)", "uuid": "UUID", "iv": "BLOB", "li": "BIGINT[]", "ls": "VARCHAR[]"}
	var want strings.Builder
	for i, f := range everyType.Fields() {
		fmt.Fprintln(&want, f.Name, types[f.Name], rec.Column(i).Len()-rec.Column(i).NullN())
	}
	if !strings.HasPrefix(string(out), want.String()) {
		t.Fatalf("DuckDB sees\n%s\nwant\n%s", out, want.String())
	}
	var sum decimal128.Num
	for i, a := 0, rec.Column(19).(*array.Decimal128); i < a.Len(); i++ {
		if a.IsValid(i) {
			sum = sum.Add(a.Value(i))
		}
	}
	if !strings.Contains(string(out), "Decimal('"+sum.ToString(4)+"')") {
		t.Fatalf("sum of dec38 is not %s:\n%s", sum.ToString(4), out)
	}
}
