package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

func rowsOf(keys ...string) *Rows {
	r := &Rows{}
	r.Reset(len(keys))
	for i, k := range keys {
		r.Data = append(r.Data, k...)
		r.Offsets[i+1] = uint32(len(r.Data))
	}
	r.Hash()
	return r
}

// reload sends a state through its checkpoint.
func reload(t *testing.T, save func(*Writer), load func(*Reader)) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	save(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&b)
	load(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 0 {
		t.Fatalf("%d bytes of the section were not read", b.Len())
	}
}

func TestTableAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var table Table
	want := map[string]uint32{}
	for round := range 300 {
		var keys []string
		for range rng.IntN(40) + 1 {
			keys = append(keys, fmt.Sprint(rng.IntN(400))+string(bytes.Repeat([]byte("x"), rng.IntN(3)*rng.IntN(400))))
		}
		rows, ids := rowsOf(keys...), make([]uint32, len(keys))
		if round%3 == 0 {
			table.Lookup(rows, ids)
			for i, k := range keys {
				if id, ok := want[k]; ok && ids[i] != id || !ok && ids[i] != None {
					t.Fatalf("lookup of %q: %d, want %d %v", k, ids[i], id, ok)
				}
			}
			continue
		}
		table.Upsert(rows, ids)
		for i, k := range keys {
			if id, ok := want[k]; ok && id != ids[i] {
				t.Fatalf("%q had id %d, now %d", k, id, ids[i])
			}
			want[k] = ids[i]
			if got := string(table.Key(ids[i])); got != k {
				t.Fatalf("id %d is %q, want %q", ids[i], got, k)
			}
		}
		for k, id := range want {
			if rng.IntN(4) == 0 {
				table.Delete(id)
				delete(want, k)
			}
		}
		if table.Len() != len(want) {
			t.Fatalf("%d keys, want %d", table.Len(), len(want))
		}
		if round%50 == 49 {
			var again Table
			reload(t, table.Checkpoint, again.Restore)
			table = again
		}
	}
}

func TestOrderedAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var o Ordered
	roots := make([]uint32, 3)
	want := []map[string]int64{{}, {}, {}}
	for round := range 20000 {
		g := rng.IntN(3)
		key := fmt.Sprint(rng.IntN(300))
		if rng.IntN(2) == 0 {
			key = "a common start of keys " + key
		}
		w := int64(1)
		if want[g][key] > 0 && rng.IntN(2) == 0 {
			w = -1
		}
		roots[g] = o.Add(roots[g], []byte(key), w)
		if want[g][key] += w; want[g][key] == 0 {
			delete(want[g], key)
		}
		if round%1000 == 999 {
			var keys, got []string
			for k := range want[g] {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			o.Ascend(roots[g], func(n uint32, count int64) bool {
				k := string(o.AppendKey(nil, n))
				if got = append(got, k); want[g][k] != count {
					t.Fatalf("%q stands %d times, want %d", k, count, want[g][k])
				}
				return true
			})
			if !slices.Equal(keys, got) {
				t.Fatalf("keys %q, want %q", got, keys)
			}
			last, _ := o.Last(roots[g], nil)
			if string(last) != keys[len(keys)-1] {
				t.Fatalf("last %q, want %q", last, keys[len(keys)-1])
			}
			var again Ordered
			reload(t, o.Checkpoint, again.Restore)
			o = again
		}
	}
	for g := range roots {
		o.Clear(roots[g])
	}
	if o.Len() != 0 {
		t.Fatalf("%d nodes are left", o.Len())
	}
}

func TestArrangementAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var a Arrangement
	want := map[string]map[string]int64{}
	for round := range 2000 {
		n := rng.IntN(20) + 1
		var keys, rows []string
		var weights []int64
		for range n {
			k, r := fmt.Sprint(rng.IntN(20)), fmt.Sprint(rng.IntN(10))
			w := int64(1)
			if want[k][r] > 0 && rng.IntN(2) == 0 {
				w = -1
			}
			if want[k] == nil {
				want[k] = map[string]int64{}
			}
			want[k][r] += w
			keys, rows, weights = append(keys, k), append(rows, "\x00\x00\x00\x00"+r), append(weights, w)
		}
		a.Update(rowsOf(keys...), rowsOf(rows...), weights, make([]uint32, n))
		a.Sweep()
		entries := 0
		for k, rs := range want {
			id := make([]uint32, 1)
			a.Lookup(rowsOf(k), id)
			got := map[string]int64{}
			if id[0] != None {
				for e := a.First(id[0]); e != None; e = a.Next(e) {
					got[string(a.Row(e)[RowPrefix:])] = a.Weight(e)
				}
			}
			for r, w := range rs {
				if w == 0 {
					delete(rs, r)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(rs) {
				t.Fatalf("round %d key %s: %v, want %v", round, k, got, rs)
			}
			entries += len(rs)
		}
		if a.Len() != entries {
			t.Fatalf("%d entries, want %d", a.Len(), entries)
		}
		if round%200 == 199 {
			var again Arrangement
			reload(t, a.Checkpoint, again.Restore)
			a = again
		}
	}
}

// testSchema has each kind of field.
var testSchema = arrow.NewSchema([]arrow.Field{
	{Name: "i", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "d", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true}, {Name: "y", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "n", Type: arrow.FixedWidthTypes.MonthDayNanoInterval, Nullable: true},
	{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true}, {Name: "h", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
}, nil)

func randomRecord(rng *rand.Rand, n int) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, testSchema)
	for range n {
		for i, f := range testSchema.Fields() {
			if rng.IntN(4) == 0 {
				b.Field(i).AppendNull()
				continue
			}
			switch fb := b.Field(i).(type) {
			case *array.StringBuilder:
				fb.Append(string(bytes.Repeat([]byte("é"), rng.IntN(4)*rng.IntN(60))))
			case *array.BinaryBuilder:
				fb.Append(bytes.Repeat([]byte{0, 1}, rng.IntN(4)))
			case *array.Float64Builder:
				fb.Append(rng.NormFloat64())
			case *array.BooleanBuilder:
				fb.Append(rng.IntN(2) == 0)
			case *array.MonthDayNanoIntervalBuilder:
				fb.Append(arrow.MonthDayNanoInterval{Months: rng.Int32(), Days: 3, Nanoseconds: rng.Int64()})
			case *array.TimestampBuilder:
				fb.Append(arrow.Timestamp(rng.Int64()))
			default:
				if err := fb.AppendValueFromString(fmt.Sprint(rng.IntN(9))); err != nil {
					panic(f.Name + err.Error())
				}
			}
		}
	}
	return b.NewRecord()
}

func TestCodecKeepsRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	c, err := NewCodec(testSchema, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		whole := randomRecord(rng, 40)
		rec := whole.NewSlice(3, 37) // offsets in every buffer
		var rows Rows
		c.Encode(rec.Columns(), 2, 30, &rows)
		cols := c.Decode(rows.Len(), rows.Row)
		got := array.NewRecord(testSchema, cols, int64(rows.Len()))
		if want := rec.NewSlice(2, 30); !array.RecordEqual(got, want) {
			t.Fatalf("decoded\n%v\nwant\n%v", got, want)
		}
	}
}

func TestKeyCodecFollowsSQL(t *testing.T) {
	s := arrow.NewSchema([]arrow.Field{{Name: "f", Type: arrow.PrimitiveTypes.Float64}}, nil)
	c, _ := NewKeyCodec(s, 0)
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	nan := uint64(0x7ff8000000000123)
	b.AppendValues([]float64{0, negativeZero(), fromBits(nan), fromBits(nan + 1)}, nil)
	var rows Rows
	c.Encode([]arrow.Array{b.NewArray()}, 0, 4, &rows)
	if string(rows.Row(0)) != string(rows.Row(1)) || string(rows.Row(2)) != string(rows.Row(3)) {
		t.Fatal("equal floats have different keys")
	}
}

// FuzzRestore: any bytes are an error or a state in which every reference is inside, never a panic or a large allocation.
func FuzzRestore(f *testing.F) {
	var a Arrangement
	a.Update(rowsOf("k", "l"), rowsOf("\x00\x00\x00\x00r", "\x00\x00\x00\x00s"), nil, make([]uint32, 2))
	var o Ordered
	root := o.Add(o.Add(0, []byte("a long key of twenty"), 1), []byte("b"), 2)
	var b bytes.Buffer
	w := NewWriter(&b)
	a.Checkpoint(w)
	o.Checkpoint(w)
	w.Uint(uint64(root))
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		var a Arrangement
		var o Ordered
		a.Restore(r)
		o.Restore(r)
		root := uint32(r.Uint(None))
		if r.Err() != nil || !o.Valid(root) {
			return
		}
		// The checksum is not looked at: what passes must be safe without it.
		for id := range uint32(a.keys.IDs()) {
			if a.keys.Has(id) {
				for e := a.First(id); e != None; e = a.Next(e) {
					_ = a.Row(e)
				}
			}
		}
		o.Ascend(root, func(n uint32, _ int64) bool { _ = o.AppendKey(nil, n); return true })
	})
}

func BenchmarkTableUpdate(b *testing.B) {
	const keys, batch = 1 << 20, 8192
	rng := rand.New(rand.NewPCG(9, 9))
	var table Table
	batches := make([]*Rows, 64)
	for i := range batches {
		r := &Rows{}
		r.Reset(batch)
		for j := range batch {
			r.Data = binary.LittleEndian.AppendUint64(r.Data, uint64(rng.IntN(keys)))
			r.Offsets[j+1] = uint32(len(r.Data))
		}
		r.Hash()
		batches[i] = r
	}
	ids := make([]uint32, batch)
	all := &Rows{}
	for from := 0; from < keys; from += batch {
		all.Reset(batch)
		for j := range batch {
			all.Data = binary.LittleEndian.AppendUint64(all.Data, uint64(from+j))
			all.Offsets[j+1] = uint32(len(all.Data))
		}
		all.Hash()
		table.Upsert(all, ids)
	}
	sums := make([]int64, table.IDs())
	b.ResetTimer()
	for i := range b.N {
		r := batches[i%len(batches)]
		r.Hash()
		table.Upsert(r, ids)
		for _, id := range ids {
			sums[id]++
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/row")
}

func negativeZero() float64 { return math.Copysign(0, -1) }

func fromBits(u uint64) float64 { return math.Float64frombits(u) }

// BenchmarkMapUpdate is the same with a Go map: the machine's measure.
func BenchmarkMapUpdate(b *testing.B) {
	const keys, batch = 1 << 20, 8192
	rng := rand.New(rand.NewPCG(9, 9))
	sums := map[int64]int64{}
	for i := range int64(keys) {
		sums[i] = 0
	}
	b.ResetTimer()
	for range b.N {
		for range batch {
			sums[int64(rng.IntN(keys))]++
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/row")
}
