package backup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// benchSource is a log of n MiB or so: flights as JSON, in batches of 512 records.
func benchSource(b *testing.B, n int) (l *broker.Broker, bytes int64) {
	b.Helper()
	l, err := broker.Open(broker.Options{Dir: filepath.Join(b.TempDir(), LogFolder)})
	if err != nil {
		b.Fatal(err)
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }()
	b.Cleanup(func() {
		cancel()
		<-done
		_ = l.Close()
	})
	topic := logtest.CreateTopic(b, l, "flights", 4, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	airports := []string{"JFK", "SFO", "ORD", "ATL", "LAX", "DEN", "DFW", "SEA"}
	var tickets []*log.Ticket
	for i := int32(0); bytes < int64(n)<<20; i++ {
		var batch record.Builder
		for range 512 {
			batch.Add(1, nil, fmt.Appendf(nil, `{"date":"2001-01-%02d %02d:%02d","delay":%d,"distance":%d,"origin":"%s","destination":"%s"}`,
				1+rng.IntN(31), rng.IntN(24), rng.IntN(60), rng.IntN(200)-20, 100+rng.IntN(2500), airports[rng.IntN(8)], airports[rng.IntN(8)]))
		}
		p, err := batch.Build()
		if err != nil {
			b.Fatal(err)
		}
		bytes += int64(len(p))
		k, err := l.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID, Index: i % 4}, Batch: p}}})
		if err != nil {
			b.Fatal(err)
		}
		tickets = append(tickets, k)
	}
	for _, k := range tickets {
		if err := k.Wait(ctx); err != nil {
			b.Fatal(err)
		}
	}
	return l, bytes
}

// processor reports how many MB a second of processor time does: what a loaded machine does not blur.
func processor(b *testing.B, size int64) (report func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() {
		b.ReportMetric(float64(size)*float64(b.N)/1e6/(used()-before).Seconds(), "MB/cpu-s")
	}
}

func BenchmarkCreate(b *testing.B) {
	l, size := benchSource(b, 256)
	b.SetBytes(size)
	b.ReportAllocs()
	defer processor(b, size)()
	for b.Loop() {
		m, err := Create(ctx, CreateOptions{Log: l, Store: NewDirectory(vfs.Default, b.TempDir())})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(m.Raw)/float64(m.Stored), "ratio")
	}
}

// BenchmarkIncremental: a backup of 256 MiB to which one append came.
func BenchmarkIncremental(b *testing.B) {
	l, _ := benchSource(b, 256)
	o := CreateOptions{Log: l, Store: NewDirectory(vfs.Default, b.TempDir())}
	if _, err := Create(ctx, o); err != nil {
		b.Fatal(err)
	}
	topic, _ := l.Topic("flights")
	for b.Loop() {
		if _, err := log.Commit(ctx, l, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: logtest.Batch(b, 1, "x")}}}); err != nil {
			b.Fatal(err)
		}
		if m, err := Create(ctx, o); err != nil || m.NewBlocks != 1 {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore(b *testing.B) {
	l, size := benchSource(b, 256)
	store := NewDirectory(vfs.Default, b.TempDir())
	if _, err := Create(ctx, CreateOptions{Log: l, Store: store}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	defer processor(b, size)()
	for b.Loop() {
		if _, err := Restore(ctx, RestoreOptions{Store: store, Data: filepath.Join(b.TempDir(), "data"), Target: Target{Latest: true}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyFull(b *testing.B) {
	l, size := benchSource(b, 256)
	store := NewDirectory(vfs.Default, b.TempDir())
	if _, err := Create(ctx, CreateOptions{Log: l, Store: store}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	defer processor(b, size)()
	for b.Loop() {
		if r, err := Verify(ctx, store, Full, nil); err != nil || len(r.Faults) > 0 {
			b.Fatal(err, r)
		}
	}
}
