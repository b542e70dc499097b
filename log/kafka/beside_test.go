package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
)

// besideKafka gives the addresses of brokers that should answer alike: ours, and under make conformance Apache Kafka's. Each has a
// topic t.
func besideKafka(t *testing.T, partitions int32) map[string]string {
	t.Helper()
	l, catalog := newLog(t)
	if _, err := catalog.CreateTopic(context.Background(), "t", partitions, nil); err != nil {
		t.Fatal(err)
	}
	brokers := map[string]string{"ours": serve(t, l, catalog)}
	if !testenv.Conformance() {
		return brokers
	}
	address := testenv.Kafka(t)
	brokers["Kafka"] = address
	p := dial(t, address)
	create := kmsg.NewPtrCreateTopicsRequest()
	create.SetVersion(5)
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: partitions, ReplicationFactor: 1}}
	if a := p.ask(create).(*kmsg.CreateTopicsResponse); a.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v", a)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	list.SetVersion(4)
	fill(list, log.Topic{})
	for begun := time.Now(); p.ask(list).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode != 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("Kafka's topic does not come")
		}
	}
	return brokers
}
