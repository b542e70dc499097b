package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/record"
)

// A fetch that waits for records of a topic is answered when the topic is dropped, as Kafka's is: its client is to look for another one.
func TestParkedFetchOfDroppedTopic(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	for version, code := range map[int16]int16{11: kerr.UnknownTopicOrPartition.Code, 13: kerr.UnknownTopicID.Code} {
		topic, err := catalog.CreateTopic(context.Background(), "gone", 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := dial(t, address)
		q := fetchRequest("gone", 0, time.Hour) // receive does not wait for so long
		q.SetVersion(version)
		q.Topics[0].TopicID = topic.ID
		p.send(q)
		time.Sleep(100 * time.Millisecond) // it waits, perhaps; an answer to one that came too late is the same
		if err := catalog.DropTopic(context.Background(), topic); err != nil {
			t.Fatal(err)
		}
		a := q.ResponseKind().(*kmsg.FetchResponse)
		p.receive(a, 1)
		if got := a.Topics[0].Partitions[0].ErrorCode; got != code {
			t.Errorf("version %d: code %d, want %d", version, got, code)
		}
	}
}

// A fetch of no partition has nothing to wait for: Java ends its sessions by one when it closes, and waits for the answer.
func TestFetchOfNothing(t *testing.T) {
	l, catalog := newLog(t)
	catalog.CreateTopic(context.Background(), "t", 1, nil)
	p := dial(t, serve(t, l, catalog))
	q := fetchRequest("t", 0, 0)
	q.SessionEpoch = firstEpoch
	session := p.ask(q).(*kmsg.FetchResponse).SessionID
	for name, change := range map[string]func(q *kmsg.FetchRequest){
		"no topics":     func(q *kmsg.FetchRequest) { q.Topics = nil },
		"no partitions": func(q *kmsg.FetchRequest) { q.Topics[0].Partitions = nil },
		"the end of a session": func(q *kmsg.FetchRequest) {
			q.Topics, q.SessionID, q.SessionEpoch = nil, session, finalEpoch
		},
	} {
		q := fetchRequest("t", 0, time.Hour) // receive does not wait for so long
		change(q)
		if a := p.ask(q).(*kmsg.FetchResponse); a.ErrorCode != 0 {
			t.Errorf("%s: code %d", name, a.ErrorCode)
		}
	}
}

// Who asks for no bytes at all gets a batch (KIP-74).
func TestFetchMaxBytesOfNothing(t *testing.T) {
	l, catalog := newLog(t)
	catalog.CreateTopic(context.Background(), "t", 1, nil)
	p := dial(t, serve(t, l, catalog))
	one := batch(t, record.None, "value")
	for range 2 {
		p.ask(produce(9, "t", 0, batch(t, record.None, "value")))
	}
	for _, maximum := range []int32{0, -1} {
		q := fetchRequest("t", 0, 0)
		q.MaxBytes = maximum
		if a := p.ask(q).(*kmsg.FetchResponse); len(a.Topics[0].Partitions[0].RecordBatches) != len(one) {
			t.Errorf("max_bytes %d: %d bytes, want one batch of %d", maximum, len(a.Topics[0].Partitions[0].RecordBatches), len(one))
		}
	}
}
