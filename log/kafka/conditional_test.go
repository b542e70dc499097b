package kafka

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// A record's header may say what it expects, on a topic that has opted in: a batch with one that does not hold is refused
// with INVALID_RECORD, and from Produce 8 on each such record is named.
func TestConditionalProduce(t *testing.T) {
	l, catalog := newLog(t)
	_, err := catalog.CreateTopic(context.Background(), "c", 1, map[string]string{log.ConfigKeyIndex: "true", log.ConfigConditional: "true"})
	if err != nil {
		t.Fatal(err)
	}
	p := dial(t, serve(t, l, catalog))
	send := func(version int16, conditions ...string) *kmsg.ProduceResponseTopicPartition {
		var b record.Builder
		b.Codec = record.Zstd
		for _, c := range conditions {
			b.Add(time.Now().UnixMilli(), []byte("key"), []byte("v"), record.Header{Key: []byte(log.HeaderKeyOffset), Value: []byte(c)})
		}
		data, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return &p.ask(produce(version, "c", 0, data)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	}
	if a := send(9, "-1"); a.ErrorCode != 0 || a.BaseOffset != 0 {
		t.Fatalf("%+v", a)
	}
	a := send(9, "0", "0", "2", "-1")
	var named []int32
	for _, e := range a.ErrorRecords {
		named = append(named, e.RelativeOffset)
	}
	if a.ErrorCode != kerr.InvalidRecord.Code || !slices.Equal(named, []int32{1, 3}) || a.ErrorMessage == nil ||
		a.ErrorRecords[1].ErrorMessage == nil || *a.ErrorRecords[1].ErrorMessage != "the key's last record is at offset 3, expected none" {
		t.Fatalf("%+v", a)
	}
	if a := send(7, "-1"); a.ErrorCode != kerr.InvalidRecord.Code {
		t.Fatalf("%+v", a)
	}
	if a := send(9, "nonsense"); a.ErrorCode != kerr.InvalidRecord.Code || len(a.ErrorRecords) != 1 {
		t.Fatalf("%+v", a)
	}
	if a := send(9, "0", "1"); a.ErrorCode != 0 || a.BaseOffset != 1 {
		t.Fatalf("%+v", a)
	}
}
