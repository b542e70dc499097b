package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLag(t *testing.T) {
	if testing.Short() {
		t.Skip("five seconds of records at fixed times")
	}
	ctx, dir := t.Context(), t.TempDir()
	own, _, err := startServer(ctx, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer own.kill()
	topic, err := (&broker{address: own.kafka}).topic(ctx, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromSend, fromAck, err := lags(ctx, own.kafka, topic)
	if err != nil || len(fromSend) != lagRecords || len(fromAck) != lagRecords {
		t.Fatal(len(fromSend), len(fromAck), err)
	}
	for i := range fromSend {
		if fromSend[i] <= 0 || fromAck[i] < 0 || fromAck[i] >= fromSend[i] {
			t.Fatalf("record %d: %v from send, %v from acknowledgement", i, fromSend[i], fromAck[i])
		}
	}
	began := time.Now()
	syncs, err := (&logBench{dir: dir}).syncs(20, 5*time.Millisecond)
	if took := time.Since(began); err != nil || len(syncs) != 20 || took < 95*time.Millisecond {
		t.Errorf("%d in %v, %v", len(syncs), took, err)
	}
	if _, _, err := lags(ctx, own.kafka, "not there"); err == nil || !strings.Contains(err.Error(), "UNKNOWN_TOPIC") {
		t.Errorf("no topic: %v", err)
	}
}

// An answer with more than was sent, or without the partition, is a fault and no lag.
func TestLagTake(t *testing.T) {
	answer := func(change func(*kmsg.FetchResponse)) []byte {
		a := kmsg.NewPtrFetchResponse()
		a.Version = 11
		p := kmsg.NewFetchResponseTopicPartition()
		for range 2 {
			batch, _, err := readyBatch(lagValue, 0)
			if err != nil {
				t.Fatal(err)
			}
			batch[7] = byte(len(p.RecordBatches) / len(batch)) // the base offset
			p.RecordBatches = append(p.RecordBatches, batch...)
		}
		a.Topics = []kmsg.FetchResponseTopic{{Topic: "t", Partitions: []kmsg.FetchResponseTopicPartition{p}}}
		if change != nil {
			change(a)
		}
		return a.AppendTo(make([]byte, 4))
	}
	at := time.Now()
	l := &lagging{sent: make([]time.Time, 2)}
	if next, err := l.take(answer(nil), at, 0); err != nil || next != 2 || len(l.had) != 2 || l.had[1] != at {
		t.Errorf("%d, %v, %v", next, err, l.had)
	}
	l = &lagging{sent: make([]time.Time, 1)}
	if _, err := l.take(answer(nil), at, 0); err == nil {
		t.Error("more came than was sent")
	}
	if _, err := l.take(answer(func(a *kmsg.FetchResponse) { a.Topics = nil }), at, 0); err == nil {
		t.Error("nothing came")
	}
}
