package broker

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

func benchBatch(b *testing.B, records int) []byte {
	var builder record.Builder
	for i := range records {
		builder.Add(int64(i), nil, fmt.Appendf(nil, `{"flight":%d,"origin":"JFK","dest":"SFO","delay":%d,"carrier":"UA","date":"2006-01-01"}`, i, i%97))
	}
	p, err := builder.Build()
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkAppendBatches: batches of about 1 MiB to four partitions, many on their way: the disk's speed.
func BenchmarkAppendBatches(b *testing.B) {
	l, _ := start(b, Options{Dir: b.TempDir()})
	topic := logtest.CreateTopic(b, l, "a", 4, nil)
	p := benchBatch(b, 9500)
	b.SetBytes(int64(len(p)))
	ctx := context.Background()
	tickets := make([]*log.Ticket, 0, b.N)
	i := int32(0)
	b.ReportAllocs()
	for b.Loop() {
		batch := append([]byte(nil), p...)
		k, err := l.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID, Index: i % 4}, Batch: batch}}})
		if err != nil {
			b.Fatal(err)
		}
		tickets = append(tickets, k)
		i++
	}
	for _, k := range tickets {
		if err := k.Wait(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(9500*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkAppendOne: one record at a time from one client: one fdatasync each.
func BenchmarkAppendOne(b *testing.B) {
	l, _ := start(b, Options{Dir: b.TempDir()})
	topic := logtest.CreateTopic(b, l, "a", 1, nil)
	p := benchBatch(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := log.Commit(context.Background(), l, oneBatch(topic, append([]byte(nil), p...))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendGroup: one record at a time from 64 clients: the group commit.
func BenchmarkAppendGroup(b *testing.B) {
	l, _ := start(b, Options{Dir: b.TempDir()})
	topic := logtest.CreateTopic(b, l, "a", 1, nil)
	p := benchBatch(b, 1)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := log.Commit(context.Background(), l, oneBatch(topic, append([]byte(nil), p...))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReadFrom replays a log of 16 KiB batches from the segments.
func BenchmarkReadFrom(b *testing.B) {
	l, stop := start(b, Options{Dir: b.TempDir(), TailBytes: 1 << 20})
	topic := logtest.CreateTopic(b, l, "a", 1, nil)
	p := benchBatch(b, 150)
	const batches = 5000
	for i := range batches {
		k, err := l.Submit(context.Background(), oneBatch(topic, append([]byte(nil), p...)))
		if err == nil && i == batches-1 {
			err = k.Wait(context.Background())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := l.opts.Dir
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	l, _ = start(b, Options{Dir: dir})
	b.SetBytes(int64(len(p)) * batches)
	b.ResetTimer()
	for range b.N {
		if n := len(logtest.Entries(b, l, log.Position{})); n != batches+1 {
			b.Fatalf("%d entries", n)
		}
	}
	b.ReportMetric(float64(150*batches*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkOpen is the start after a clean end of a log with 3 million records.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	l, stop := start(b, Options{Dir: dir})
	topic := logtest.CreateTopic(b, l, "a", 4, nil)
	p := benchBatch(b, 500)
	for i := range 6000 {
		k, err := l.Submit(context.Background(), log.Append{Batches: []log.PartitionBatch{{
			Partition: log.Partition{Topic: topic.ID, Index: int32(i % 4)}, Batch: append([]byte(nil), p...),
		}}})
		if err == nil && i == 5999 {
			err = k.Wait(context.Background())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

// BenchmarkReplay is the start after a kill with nearly a whole journal file of one-record appends to replay.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	l, _ := start(b, Options{Dir: dir})
	topic := logtest.CreateTopic(b, l, "a", 1, nil)
	p := benchBatch(b, 1)
	const appends = 200_000
	for i := range appends {
		k, err := l.Submit(context.Background(), oneBatch(topic, append([]byte(nil), p...)))
		if err == nil && i == appends-1 {
			err = k.Wait(context.Background())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		b.StopTimer()
		killed := b.TempDir()
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		l, err := Open(Options{Dir: killed})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if l.End().Sequence != appends+1 {
			b.Fatal(l.End())
		}
		l.Close()
		b.StartTimer()
	}
}
