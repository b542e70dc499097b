package node_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// What a burst of records took goes back to the system within seconds after it.
func TestMemoryIsReturned(t *testing.T) {
	p := nodetest.StartProcess(t, filepath.Join(t.TempDir(), "data"))
	before := anonymous(t, p.Pid())
	k, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(60_000),
		kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	value := make([]byte, 50_000)
	_, _ = rand.Read(value)
	for range 3000 {
		k.Produce(t.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	burst, now := anonymous(t, p.Pid()), 0
	if burst < before+60 {
		t.Skipf("%d MiB before and %d after 150 MB of records: nothing to give back", before, burst)
	}
	for range 120 {
		// The tail for readers at the end, 32 MiB, stays.
		if now = anonymous(t, p.Pid()); now < before+60 {
			t.Logf("%d MiB before, %d MiB after 150 MB of records, %d MiB a moment later", before, burst, now)
			return
		}
		time.Sleep(time.Second)
	}
	t.Errorf("%d MiB before, %d MiB after 150 MB of records, and still %d MiB", before, burst, now)
}

// anonymous is the resident memory of a process beside mapped files, in MiB.
func anonymous(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "RssAnon:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}
