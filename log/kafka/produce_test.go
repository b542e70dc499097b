package kafka

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// The partitions of a topic in one request are one append; what is refused for one of them refuses none of the others.
func TestProducePartitionsTogether(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx := context.Background()
	topic, err := catalog.CreateTopic(ctx, "t", 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	numbered := func(sequence int32) []byte {
		var b record.Builder
		b.Producer(7, 0, sequence)
		b.Add(1, nil, []byte("v"))
		p, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ask := func(sequences ...int32) []kmsg.ProduceResponseTopicPartition {
		q := produce(9, "t", 0, nil)
		q.Topics[0].Partitions = nil
		for i, s := range sequences {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = int32(i%3), numbered(s)
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, p)
		}
		return dial(t, address).ask(q).(*kmsg.ProduceResponse).Topics[0].Partitions
	}
	for i, step := range []struct {
		sequences []int32
		offsets   []int64 // -1: refused
		appends   uint64
	}{
		{[]int32{0, 0, 0}, []int64{0, 0, 0}, 1},
		{[]int32{1, 5, 1}, []int64{1, -1, 1}, 2},
		{[]int32{1, 1, 1}, []int64{1, 1, 1}, 1}, // two of them are retries
		{[]int32{1, 1, 1}, []int64{1, 1, 1}, 0},
		{[]int32{2, 2, 2, 3}, []int64{2, 2, 2, 3}, 2},
	} {
		before := l.End()
		got := ask(step.sequences...)
		if len(got) != len(step.sequences) {
			t.Fatalf("step %d: %d answers", i, len(got))
		}
		for j, p := range got {
			want := error(nil)
			if step.offsets[j] < 0 {
				want = kerr.OutOfOrderSequenceNumber
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != want || p.BaseOffset != step.offsets[j] {
				t.Errorf("step %d, partition %d: offset %d, %v", i, p.Partition, p.BaseOffset, err)
			}
		}
		if n := l.End().Sequence - before.Sequence; n != step.appends {
			t.Errorf("step %d: %d appends", i, n)
		}
	}
	for i := range int32(3) {
		bounds, err := l.Bounds(log.Partition{Topic: topic.ID, Index: i})
		if want := []int64{4, 3, 3}[i]; err != nil || bounds.End != want {
			t.Errorf("partition %d ends at %d, %v", i, bounds.End, err)
		}
	}
}
