package kafka

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/log"
)

func TestDeleteRecords(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx := context.Background()
	for name, policy := range map[string]string{"t": "delete", "table": "", "compact": "compact"} {
		if _, err := catalog.CreateTopic(ctx, name, 1, map[string]string{"cleanup.policy": policy}); err != nil {
			t.Fatal(err)
		}
	}
	client := franz(t, address)
	admin := kadm.NewClient(client)
	for i := range 10 {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte{byte(i)}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		topic  string
		before int64
		low    int64
		err    *kerr.Error
	}{{"t", 4, 4, nil}, {"t", 2, 4, nil}, {"t", 11, -1, kerr.OffsetOutOfRange}, {"table", 0, -1, kerr.PolicyViolation}, {"compact", 0, -1, kerr.PolicyViolation}} {
		offsets := kadm.Offsets{}
		offsets.AddOffset(c.topic, 0, c.before, -1)
		got, err := admin.DeleteRecords(ctx, offsets)
		if err != nil {
			t.Fatal(err)
		}
		if one := got[c.topic][0]; one.LowWatermark != c.low || c.err == nil && one.Err != nil || c.err != nil && one.Err != c.err {
			t.Errorf("%+v: %+v", c, one)
		}
	}
	start, err := admin.ListStartOffsets(ctx, "t")
	if err != nil || start["t"][0].Offset != 4 {
		t.Errorf("the topic starts at %+v, %v", start, err)
	}
	// A consumer from below the start begins at it.
	consumer := franz(t, address, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(1)}}), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if fetches := consumer.PollFetches(ctx); fetches.Err() != nil || fetches.Records()[0].Offset != 4 {
		t.Errorf("consumed from %+v, %v", fetches.Records()[0], fetches.Err())
	}
	// Kafka's own tool deletes the rest.
	file := filepath.Join(t.TempDir(), "offsets.json")
	if err := os.WriteFile(file, []byte(`{"partitions":[{"topic":"t","partition":0,"offset":-1}],"version":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	out := strings.Join(java(t, nil, "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", address, "--offset-json-file", file), "\n")
	if !strings.Contains(out, "low_watermark: 10") {
		t.Error(out)
	}
}

// What is asked of committed records is answered below the last stable offset, which is never below what was deleted: a consumer
// who is sent there would be sent back.
func TestListOffsetsOfAnOpenTransaction(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	topic, err := catalog.CreateTopic(context.Background(), "t", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &txnPeer{peer: dial(t, address), id: "id"}
	if code := p.init(4); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	p.add("t", 0)
	p.produce(9, "t", 0, "a", "b", "c")
	at := func(time int64, isolation int8) int64 {
		t.Helper()
		offset, _, err := (&Server{log: l}).offsetAt(log.Partition{Topic: topic.ID}, time, 7, isolation)
		if err != nil {
			t.Fatal(err)
		}
		return offset
	}
	if got := at(maxTimestamp, 0); got < 0 {
		t.Errorf("the newest record is at %d", got)
	}
	for _, time := range []int64{maxTimestamp, 0} {
		if got := at(time, readCommitted); got != -1 {
			t.Errorf("time %d of committed records: offset %d", time, got)
		}
	}
	if _, err := l.DeleteRecords(context.Background(), log.Partition{Topic: topic.ID}, 2); err != nil {
		t.Fatal(err)
	}
	if got := latestOf(p.peer, "t", readCommitted); got != 2 {
		t.Errorf("committed records end at %d, and the partition begins at 2", got)
	}
	p.end(3, true)
	if got := at(maxTimestamp, readCommitted); got < 2 {
		t.Errorf("the newest committed record is at %d", got)
	}
}
