package ivm

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

var flights = &catalog.Relation{ID: 10, Name: "flights", Kind: catalog.Stream, Columns: []catalog.Column{
	{Name: "date", Type: row.T(row.Timestamp)}, {Name: "delay", Type: row.T(row.Int4)}, {Name: "distance", Type: row.T(row.Int4)},
	{Name: "origin", Type: row.T(row.Text)}, {Name: "destination", Type: row.T(row.Text)}}}

var airports = &catalog.Relation{ID: 11, Name: "airports", Kind: catalog.Table, Key: []int{0}, Columns: []catalog.Column{
	{Name: "iata", Type: row.T(row.Text)}, {Name: "state", Type: row.T(row.Text)}}}

// flightViews are the three views of the first issue.
func flightViews() []plan.Node {
	f, a := scan(flights), scan(airports)
	j := &plan.Join{Left: f, Right: a, LeftKeys: []expr.Expr{name(f, "origin")}, RightKeys: []expr.Expr{name(a, "iata")},
		Eq: []*expr.Func{expr.Lookup("=", row.Text, row.Text)}}
	j.Cols = append(append([]plan.Column(nil), f.Columns()...), a.Columns()...)
	return []plan.Node{
		aggregate(f, []expr.Expr{name(f, "origin")}, agg("count"), agg("avg", name(f, "delay")), agg("sum", name(f, "delay"))),
		aggregate(f, []expr.Expr{name(f, "origin"), name(f, "destination")}, agg("count"), agg("avg", name(f, "delay")), agg("max", name(f, "delay"))),
		aggregate(j, []expr.Expr{call("date_trunc", str("hour"), name(j, "date")), name(j, "state")}, agg("count")),
	}
}

// flightBatches gives the real flights where the file is there, else as many generated ones.
func flightBatches(tb testing.TB, rows, batch int) []arrow.Record {
	b := row.NewBuilder(nil, flights.RowSchema())
	var out []arrow.Record
	add := func(ts int64, delay, distance int32, origin, destination string) {
		b.AppendRow(row.Row{row.NewTimestamp(ts), row.NewInt(int64(delay)), row.NewInt(int64(distance)), row.NewText(origin), row.NewText(destination)})
		if b.Len() == batch {
			out = append(out, b.NewRecord())
		}
	}
	file, err := os.Open("/work/shared/data/flights-3m.parquet")
	if err != nil {
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range rows {
			o, d := rng.IntN(230), rng.IntN(30)
			add(978307200e6+int64(i)*5e6, int32(rng.NormFloat64()*30), 500, fmt.Sprintf("A%02d", o), fmt.Sprintf("B%02d", (o*7+d)%230))
		}
		return out
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	pf, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		tb.Fatal(err)
	}
	r := parquet.NewReader(pf)
	defer r.Close()
	index := map[string]int{}
	for i, c := range pf.Schema().Columns() {
		index[c[0]] = i
	}
	buf := make([]parquet.Row, 1024)
	for n := 0; n < rows; {
		k, err := r.ReadRows(buf)
		for _, v := range buf[:k] {
			ts := v[index["date"]].Int64()
			for ts > 1e16 || ts != 0 && ts < 1e14 { // nanoseconds or milliseconds
				if ts > 1e16 {
					ts /= 1000
				} else {
					ts *= 1000
				}
			}
			add(ts, int32(v[index["delay"]].Int64()), int32(v[index["distance"]].Int64()), v[index["origin"]].String(), v[index["destination"]].String())
			n++
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

func airportRecord(tb testing.TB) arrow.Record {
	b := row.NewBuilder(nil, airports.RowSchema())
	file, err := os.Open("/work/shared/data/airports.csv")
	if err != nil {
		for i := range 230 {
			b.AppendRow(row.Row{row.NewText(fmt.Sprintf("A%02d", i)), row.NewText(fmt.Sprintf("S%d", i%50))})
		}
		return b.NewRecord()
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	for _, l := range lines[1:] {
		b.AppendRow(row.Row{row.NewText(l[0]), row.NewText(l[3])})
	}
	return b.NewRecord()
}

// processorTime is what the process has used of all processors, the collector's share with it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFlights feeds three million flights in ticks of 16 k rows to the three views; ns/event is for all three.
func BenchmarkFlights(b *testing.B) {
	batches := flightBatches(b, 3_000_000, 16384)
	ports := airportRecord(b)
	for range b.N {
		var ps []*Program
		for i, n := range flightViews() {
			p, err := Compile(n, Options{View: delta.RelationID(100 + i)})
			if err != nil {
				b.Fatal(err)
			}
			ps = append(ps, p)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		cpu := processorTime()
		times := make([]time.Duration, len(ps))
		events, out := 0, 0
		for t, rec := range batches {
			in := map[delta.RelationID]delta.Delta{10: {Rows: rec}}
			if t == 0 {
				in[11] = delta.Delta{Rows: ports}
			}
			events += int(rec.NumRows())
			for i, p := range ps {
				start := time.Now()
				d, err := p.Circuit.Step(context.Background(), in, delta.Position{Sequence: uint64(t + 1)})
				if err != nil {
					b.Fatal(err)
				}
				times[i] += time.Since(start)
				out += d.Len()
				d.Release()
			}
		}
		b.ReportMetric(float64((processorTime()-cpu).Nanoseconds())/float64(events), "cpu-ns/event")
		runtime.GC()
		runtime.ReadMemStats(&after)
		var total time.Duration
		for i, d := range times {
			b.ReportMetric(float64(d.Nanoseconds())/float64(events), fmt.Sprintf("ns/event-view%d", i+1))
			total += d
		}
		b.ReportMetric(float64(total.Nanoseconds())/float64(events), "ns/event")
		b.ReportMetric(float64(out)/float64(events), "out/event")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-state")
		if testing.Verbose() {
			for _, p := range ps {
				b.Log("\n" + Explain(p))
			}
		}
		runtime.KeepAlive(ps)
	}
}
