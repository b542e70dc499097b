package columnar

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// A stream of flights in ticks of 20,480 rows, on a disk, flushes included.
func BenchmarkApplyStream(b *testing.B) {
	recs := flights(b, 500_000)
	s := openStore(b, Options{FS: vfs.Default, Dir: b.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	seq, rows := uint64(0), int64(0)
	for b.Loop() {
		for i := 0; i < len(recs); i += 10 {
			seq++
			var changes []Change
			for _, rec := range recs[i:min(i+10, len(recs))] {
				changes = append(changes, Change{Relation: 5, Rows: rec})
				rows += rec.NumRows()
			}
			if err := s.Apply(at(seq), changes...); err != nil {
				b.Fatal(err)
			}
		}
	}
	cancel()
	<-done
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// A keyed relation of 1,000,000 rows in segments; each iteration updates a random one, 1,000 a tick.
func BenchmarkApplyUpdates(b *testing.B) {
	const rows = 1_000_000
	s := openStore(b, Options{FS: vfs.Default, Dir: b.TempDir(), RelationTail: 8 * limit.MiB})
	seq := uint64(0)
	apply := func(keys []int) {
		seq++
		rb := array.NewRecordBuilder(memory.DefaultAllocator, narrow)
		defer rb.Release()
		raw := make([][]byte, len(keys))
		for i, k := range keys {
			raw[i] = fmt.Appendf(nil, "key%08d", k)
			rb.Field(0).(*array.StringBuilder).BinaryBuilder.Append(raw[i])
			rb.Field(1).(*array.Int64Builder).Append(int64(seq))
		}
		if err := s.Apply(at(seq), Change{Relation: keyed, Rows: rb.NewRecord(), Keys: raw}); err != nil {
			b.Fatal(err)
		}
	}
	for first := 0; first < rows; first += 50_000 {
		keys := make([]int, 50_000)
		for i := range keys {
			keys[i] = first + i
		}
		apply(keys)
		if first%200_000 == 0 {
			s.Flush()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	r := rand.New(rand.NewPCG(1, 1))
	b.ResetTimer()
	for n := 0; n < b.N; n += 1000 {
		keys := make([]int, 1000)
		for i := range keys {
			keys[i] = r.IntN(rows)
		}
		apply(keys)
	}
	b.StopTimer()
	cancel()
	<-done
	s.Close()
}

// One row per tick: what a write costs here before it can be seen.
func BenchmarkApplyOneRow(b *testing.B) {
	s := openStore(b, Options{FS: vfs.Default, Dir: b.TempDir()})
	defer s.Close()
	recs := make([]arrow.Record, 100)
	for i := range recs {
		recs[i] = record([]string{fmt.Sprint("k", i)}, []int64{int64(i)})
	}
	seq := uint64(0)
	for b.Loop() {
		i := int(seq) % len(recs)
		seq++
		if err := s.Apply(at(seq), Change{Relation: keyed, Rows: recs[i], Keys: [][]byte{fmt.Appendf(nil, "k%d", i)}}); err != nil {
			b.Fatal(err)
		}
	}
}

// A snapshot of 1 M flights through Read, from a disk.
func BenchmarkRead(b *testing.B) {
	s := openStore(b, Options{FS: vfs.Default, Dir: b.TempDir()})
	defer s.Close()
	for i, rec := range flights(b, 1_000_000) {
		if err := s.Apply(at(uint64(i+1)), Change{Relation: 5, Rows: rec}); err != nil {
			b.Fatal(err)
		}
	}
	s.Flush()
	rows := int64(0)
	start := time.Now()
	for b.Loop() {
		snap, _ := s.Snapshot()
		r, _ := snap.Relation(5)
		err := r.Read(context.Background(), nil, func(rec arrow.Record) error { rows += rec.NumRows(); return nil })
		if err != nil {
			b.Fatal(err)
		}
		snap.Close()
	}
	b.ReportMetric(float64(rows)/time.Since(start).Seconds(), "rows/s")
}
