package kafka

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkProduce is franz-go producing records of 110 bytes of JSON into one partition, through the port of a server in
// a process of its own: records/s, and the server's CPU nanoseconds per record. MIRACLEDB_CPUPROFILE names a file for
// the server's CPU profile.
//
//	go test ./log/kafka -run '^$' -bench Produce -benchtime 3000000x
func BenchmarkProduce(b *testing.B) {
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{{"none", kgo.NoCompression()}, {"lz4", kgo.Lz4Compression()}} {
		b.Run(c.name, func(b *testing.B) {
			server := startProcess(b)
			client, err := kgo.NewClient(kgo.SeedBrokers(server.address), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("flights"),
				kgo.ProducerBatchCompression(c.codec), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(100_000))
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			var failed atomic.Int64
			ctx := context.Background()
			if err := client.ProduceSync(ctx, kgo.StringRecord("first")).FirstErr(); err != nil {
				b.Fatal(err)
			}
			before := server.cpu(b)
			b.ResetTimer()
			for i := range b.N {
				value := fmt.Appendf(make([]byte, 0, 120), `{"origin":"%s","dest":"LAX","delay":%d,"carrier":"UA","distance":%d,"flight_date":"2006-01-01T10:%02d","id":%d}`,
					"JFK", i%120, i%3000, i%60, i)
				client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Add(1)
					}
				})
			}
			if err := client.Flush(ctx); err != nil || failed.Load() > 0 {
				b.Fatal(err, failed.Load())
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64((server.cpu(b)-before).Nanoseconds())/float64(b.N), "server-cpu-ns/record")
		})
	}
}

// process is a server in a process of its own.
type process struct {
	address string
	cmd     *exec.Cmd
}

func startProcess(b *testing.B) *process {
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "MIRACLEDB_KAFKA_PROCESS=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if address, ok := strings.CutPrefix(scanner.Text(), "serving "); ok {
			go io.Copy(io.Discard, out)
			return &process{address, cmd}
		}
	}
	b.Fatal("the server did not start")
	return nil
}

// cpu is the user and system time that the server has used: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms.
func (p *process) cpu(b *testing.B) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Skip(err)
	}
	var user, system int64
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// TestServerProcess is the server of BenchmarkProduce, when started by it.
func TestServerProcess(t *testing.T) {
	if os.Getenv("MIRACLEDB_KAFKA_PROCESS") == "" {
		t.Skip("only as a child of BenchmarkProduce")
	}
	if path := os.Getenv("MIRACLEDB_CPUPROFILE"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	l, catalog := newLog(t, t.TempDir())
	s, err := Open(context.Background(), Options{Log: l, Catalog: catalog, ClusterID: "bench", NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	fmt.Println("serving", listener.Addr())
	if err := s.Serve(ctx, listener); err != nil {
		t.Fatal(err)
	}
}
