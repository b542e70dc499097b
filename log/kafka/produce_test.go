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

// Who may write to a topic may not write to the transactions of others in it.
func TestProduceToOthersTransaction(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	ann, eve := &txnPeer{peer: dial(t, address), id: "ann"}, &txnPeer{peer: dial(t, address), id: "eve"}
	for _, p := range []*txnPeer{ann, eve} {
		if code := p.init(4); code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	var b record.Builder
	b.Producer(ann.producer.ID, ann.producer.Epoch, 0)
	b.MarkTransactional()
	b.Add(1, nil, []byte("forged"))
	forged, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id   *string
		want *kerr.Error
	}{{nil, kerr.TransactionalIDAuthorizationFailed}, {&eve.id, kerr.InvalidProducerIDMapping}, {kmsg.StringPtr("nobody"), kerr.InvalidProducerIDMapping}, {&ann.id, nil}} {
		q := produce(12, "t", 0, append([]byte{}, forged...))
		q.TransactionID = c.id
		code := eve.ask(q).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		if got := kerr.TypedErrorForCode(code); got != c.want {
			t.Errorf("as %v: %v, want %v", c.id, got, c.want)
		}
	}
}

// What a request names again is told once.
func TestNamedAgain(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog, func(o *Options) { o.InflightBytes = 1 << 20 }))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p.ask(produce(9, "t", 0, batch(t, record.None, "v")))
	m := kmsg.NewPtrMetadataRequest()
	m.SetVersion(9)
	name := "t"
	for range 100 {
		one := kmsg.NewMetadataRequestTopic()
		one.Topic = &name
		m.Topics = append(m.Topics, one)
	}
	if a := p.ask(m).(*kmsg.MetadataResponse); len(a.Topics) != 1 {
		t.Errorf("Metadata tells %d topics", len(a.Topics))
	}
	d := kmsg.NewPtrDescribeGroupsRequest()
	d.SetVersion(5)
	d.Groups = []string{"g", "h", "g"}
	if a := p.ask(d).(*kmsg.DescribeGroupsResponse); len(a.Groups) != 2 {
		t.Errorf("DescribeGroups tells %d groups", len(a.Groups))
	}
	lo := kmsg.NewPtrListOffsetsRequest()
	lo.SetVersion(4)
	one := kmsg.NewListOffsetsRequestTopicPartition()
	one.Timestamp, one.CurrentLeaderEpoch = latest, -1
	lo.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{one, one}}}
	if a := p.ask(lo).(*kmsg.ListOffsetsResponse).Topics[0].Partitions; len(a) != 1 || a[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("ListOffsets: %+v", a)
	}
	f := fetchRequest("t", 0, 0)
	for len(f.Topics[0].Partitions) < 2000 {
		f.Topics[0].Partitions = append(f.Topics[0].Partitions, f.Topics[0].Partitions[0])
	}
	if a := p.ask(f).(*kmsg.FetchResponse).Topics[0].Partitions; len(a) != 1 || len(a[0].RecordBatches) == 0 {
		t.Errorf("Fetch tells %d partitions", len(a))
	}
}

// A fetch of many small batches holds little more than it answers.
func TestSmallBatches(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog, func(o *Options) { o.InflightBytes = 1 << 20 }))
	const n = 500
	if _, err := catalog.CreateTopic(context.Background(), "t", n, nil); err != nil {
		t.Fatal(err)
	}
	f := fetchRequest("t", 0, 0)
	one := f.Topics[0].Partitions[0]
	f.Topics[0].Partitions = nil
	q := produce(9, "t", 0, nil)
	q.Topics[0].Partitions = nil
	for i := range int32(n) {
		one.Partition, one.PartitionMaxBytes = i, 1 // the batch is larger
		f.Topics[0].Partitions = append(f.Topics[0].Partitions, one)
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{Partition: i, Records: batch(t, record.None, "v")})
	}
	p.ask(q)
	got := 0
	for _, one := range p.ask(f).(*kmsg.FetchResponse).Topics[0].Partitions {
		got += len(one.RecordBatches)
	}
	if got < 60*n || got > 80*n {
		t.Errorf("fetched %d bytes", got)
	}
}
