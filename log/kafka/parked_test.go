package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
)

// parking is a log that tells when a fetch is about to wait.
type parking struct {
	*broker.Broker
	waits chan struct{}
}

func (p parking) Notify(ps []log.Partition, ch chan<- struct{}) (cancel func()) {
	cancel = p.Broker.Notify(ps, ch)
	if ps[0].Topic != log.CatalogTopicID { // for that the server waits all the time
		p.waits <- struct{}{}
	}
	return cancel
}

// A fetch that waits for records of a topic is answered when the topic is dropped, as Kafka's is, by id too: its client is to look
// for another one.
func TestParkedFetchOfDroppedTopic(t *testing.T) {
	b, catalog := newLog(t)
	l := parking{b, make(chan struct{}, 1)}
	address := serve(t, l, catalog)
	for _, version := range []int16{11, 13} {
		topic, err := catalog.CreateTopic(context.Background(), "gone", 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := dial(t, address)
		q := fetchRequest("gone", 0, time.Hour) // receive does not wait for so long
		q.SetVersion(version)
		q.Topics[0].TopicID = topic.ID
		p.send(q)
		<-l.waits
		if err := catalog.DropTopic(context.Background(), topic); err != nil {
			t.Fatal(err)
		}
		a := q.ResponseKind().(*kmsg.FetchResponse)
		p.receive(a, 1)
		if got := a.Topics[0].Partitions[0].ErrorCode; got != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("version %d: code %d", version, got)
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
