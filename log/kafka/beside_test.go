package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
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
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: partitions, ReplicationFactor: 1,
		Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: kmsg.StringPtr("-1")}}}} // a test's records are of 1970
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

// beside is a broker that is asked the same as another.
type beside struct {
	*peer
	ids   map[string][16]byte // of topics
	epoch int32               // of the leader of topic t
}

// besideCase is a request in some versions and what answers it.
type besideCase struct {
	name     string
	versions []int16
	ask      func(b *beside, version int16) kmsg.Request
	want     string
}

// Strange requests get the answers that Apache Kafka 4.3.1 gives. Not compared is what no client looks at: the order of an answer's
// parts, topics without partitions, and what stands beside a code.
func TestBesideKafka(t *testing.T) {
	for broker, address := range besideKafka(t, 2) {
		b := &beside{peer: dial(t, address), ids: map[string][16]byte{}}
		b.prepare()
		for _, c := range slices.Concat(besideFetch(), besideOffsets(), besideTopics(), besideGroups(), besideTxns()) {
			for _, version := range c.versions {
				q := c.ask(b, version)
				q.SetVersion(version)
				if got := b.text(b.ask(q)); got != c.want {
					t.Errorf("%s, %s, version %d:\n got %s\nwant %s", broker, c.name, version, got, c.want)
				}
			}
		}
	}
}

// prepare puts two batches of 3 and 2 records into t/0, makes a topic u, and one that it drops.
func (b *beside) prepare() {
	b.t.Helper()
	b.create("u")
	b.create("dropped")
	b.drop("dropped")
	b.ids["none"] = [16]byte{9}
	t := b.metadata("t")
	b.ids["t"], b.epoch = t.TopicID, t.Partitions[0].LeaderEpoch
	for _, values := range [][]string{{"a", "b", "c"}, {"d", "e"}} {
		if a := b.ask(produce(9, "t", 0, batch(b.t, record.None, values...))).(*kmsg.ProduceResponse); a.Topics[0].Partitions[0].ErrorCode != 0 {
			b.t.Fatalf("%+v", a)
		}
	}
	b.until("coordinators are there", func() bool {
		for kind, key := range []string{"g", "warm"} {
			q := kmsg.NewPtrFindCoordinatorRequest()
			q.SetVersion(1)
			q.CoordinatorType, q.CoordinatorKey = int8(kind), key
			if b.ask(q).(*kmsg.FindCoordinatorResponse).ErrorCode != 0 {
				return false
			}
		}
		offsets, init := offsetsOf("g")(b, 5), kmsg.NewPtrInitProducerIDRequest()
		offsets.SetVersion(5)
		init.TransactionalID, init.TransactionTimeoutMillis = kmsg.StringPtr("warm"), 60_000
		return b.ask(offsets).(*kmsg.OffsetFetchResponse).ErrorCode == 0 && b.ask(init).(*kmsg.InitProducerIDResponse).ErrorCode == 0
	})
}

func (b *beside) metadata(topic string) kmsg.MetadataResponseTopic {
	q := kmsg.NewPtrMetadataRequest()
	q.SetVersion(12)
	q.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	return b.ask(q).(*kmsg.MetadataResponse).Topics[0]
}

// create makes a topic of two partitions, and waits until it has its leader.
func (b *beside) create(topic string) {
	b.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.SetVersion(7)
	q.TimeoutMillis = 60_000
	q.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: 2, ReplicationFactor: 1}}
	a := b.ask(q).(*kmsg.CreateTopicsResponse).Topics[0]
	if a.ErrorCode != 0 {
		b.t.Fatalf("%+v", a)
	}
	b.ids[topic] = a.TopicID
	fetch := b.fetch(topic)
	fetch.SetVersion(17)
	fetch.MaxWaitMillis = 0
	b.until("topic "+topic+" is there", func() bool {
		return b.ask(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode == 0
	})
}

// drop drops a topic, and waits until it is gone.
func (b *beside) drop(topic string) {
	b.t.Helper()
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.SetVersion(6)
	q.TimeoutMillis = 60_000
	q.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &topic}}
	b.ask(q)
	b.until("topic "+topic+" is gone", func() bool { return b.metadata(topic).ErrorCode == kerr.UnknownTopicOrPartition.Code })
}

func (b *beside) until(what string, done func() bool) {
	b.t.Helper()
	for begun := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			b.t.Fatalf("it does not come that %s", what)
		}
	}
}

func code(c int16) string {
	if c == 0 {
		return ""
	}
	return kerr.TypedErrorForCode(c).Message
}

// topic is a topic's name, also where an answer gives its id alone.
func (b *beside) topic(name string, id [16]byte) string {
	for known, one := range b.ids {
		if name == "" && id == one {
			return known
		}
	}
	return name
}

// text writes an answer as what clients look at, its parts in order of their texts.
func (b *beside) text(a kmsg.Response) string {
	var all []string
	part := func(topic string, partition int32, c int16, rest string, args ...any) {
		s := fmt.Sprintf("%s/%d ", topic, partition)
		if c != 0 {
			s += code(c)
		} else {
			s += fmt.Sprintf(rest, args...)
		}
		all = append(all, strings.TrimSpace(s))
	}
	whole := ""
	switch a := a.(type) {
	case *kmsg.FetchResponse:
		whole = b.fetched(a, part)
	case *kmsg.ListOffsetsResponse:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "%d at %d", p.Offset, p.Timestamp)
			}
		}
	case *kmsg.OffsetForLeaderEpochResponse:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "%d ends at %d", p.LeaderEpoch, p.EndOffset)
			}
		}
	case *kmsg.DeleteRecordsResponse:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "from %d", p.LowWatermark)
			}
		}
	case *kmsg.DescribeLogDirsResponse:
		for _, t := range a.Dirs[0].Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, 0, "of %d", p.Size)
			}
		}
	case *kmsg.DescribeProducersResponse:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "%d", len(p.ActiveProducers))
			}
		}
	case *kmsg.MetadataResponse:
		for _, t := range a.Topics {
			part(b.topic(text(t.Topic), t.TopicID), int32(len(t.Partitions)), t.ErrorCode, "")
		}
	case *kmsg.OffsetCommitResponse:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "")
			}
		}
	case *kmsg.OffsetDeleteResponse:
		whole = code(a.ErrorCode)
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "")
			}
		}
	case *kmsg.DeleteGroupsResponse:
		for _, g := range a.Groups {
			part(g.Group, 0, g.ErrorCode, "")
		}
	case *kmsg.OffsetFetchResponse:
		whole = code(a.ErrorCode)
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				part(t.Topic, p.Partition, p.ErrorCode, "%d%s", p.Offset, text(p.Metadata))
			}
		}
	case *kmsg.InitProducerIDResponse:
		whole = code(a.ErrorCode)
	case *kmsg.DescribeTransactionsResponse:
		for _, t := range a.TransactionStates {
			part(t.TransactionalID, 0, t.ErrorCode, "%s", t.State)
		}
	case *kmsg.ListTransactionsResponse:
		slices.Sort(a.UnknownStateFilters)
		whole = code(a.ErrorCode) + strings.Join(a.UnknownStateFilters, " ")
	default:
		b.t.Fatalf("no text for %T", a)
	}
	slices.Sort(all)
	return strings.Trim(whole+" "+strings.Join(all, ", "), " ")
}
