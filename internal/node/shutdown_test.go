package node_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// read is what the consumers of one test have read, by value.
type read struct {
	mu struct {
		sync.Mutex
		values map[string]int
	}
}

func (r *read) add(value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.values == nil {
		r.mu.values = map[string]int{}
	}
	r.mu.values[value]++
}

func (r *read) has(value string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.values[value] > 0
}

func kafkaClient(t *testing.T, address string, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond)}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseAllowingRebalance)
	return c
}

func createTopic(t *testing.T, c *kgo.Client, name string, partitions int32) {
	t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	q.Topics = append(q.Topics, topic)
	if _, err := q.RequestWith(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// A server is stopped while consumers wait in long fetches, a group is in the midst of a rebalance that one member holds up, and a
// producer produces without pause. It ends long before any of them would; what it has acknowledged is there after it; and the group goes on
// without waiting for the end of anybody's session.
func TestStopUnderGroups(t *testing.T) {
	const partitions, session = 4, 5 * time.Minute
	dir := filepath.Join(t.TempDir(), "data")
	s := nodetest.StartOn(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	producer := kafkaClient(t, s.Kafka, kgo.DefaultProduceTopic("t"), kgo.ProducerLinger(0))
	createTopic(t, producer, "t", partitions)

	var got read
	revoking, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	member := func(o ...kgo.Opt) {
		c := kafkaClient(t, s.Kafka, append([]kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.SessionTimeout(session), kgo.RebalanceTimeout(session),
			kgo.HeartbeatInterval(200 * time.Millisecond)}, o...)...)
		running.Go(func() {
			for ctx.Err() == nil {
				c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got.add(string(r.Value)) })
			}
		})
	}
	assigned := make(chan struct{}, 10)
	member(kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) {
			once.Do(func() {
				close(revoking)
				<-release
			})
		}))
	<-assigned
	time.Sleep(300 * time.Millisecond) // the fetches are under way

	// Its fetches wait for more bytes than there are. (The members of g may not wait so long: what a client has been given
	// since it sent a fetch, it asks for in the next.)
	other := kafkaClient(t, s.Kafka, kgo.ConsumerGroup("h"), kgo.ConsumeTopics("t"), kgo.FetchMaxWait(session), kgo.FetchMinBytes(64<<20))
	running.Go(func() {
		for ctx.Err() == nil {
			other.PollFetches(ctx)
		}
	})

	var acknowledged []string
	var mu sync.Mutex
	producing, stopProducing := context.WithCancel(ctx)
	defer stopProducing()
	running.Go(func() {
		for i := 0; producing.Err() == nil; i++ {
			value := fmt.Sprint(i)
			producer.Produce(ctx, kgo.StringRecord(value), func(_ *kgo.Record, err error) {
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("record %s: %v", value, err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				acknowledged = append(acknowledged, value)
			})
			time.Sleep(time.Millisecond)
		}
	})
	member() // waits for the first, which gives up nothing
	<-revoking
	time.Sleep(500 * time.Millisecond)

	began := time.Now()
	s.Stop(t)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the server took %v to end", took)
	} else {
		t.Logf("the server ended in %v", took)
	}
	began = time.Now()
	nodetest.StartWith(t, node.Config{Data: dir, Kafka: node.Address{HostPort: s.Kafka, Asked: true}})
	close(release)
	time.Sleep(time.Second)
	stopProducing()
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d records were acknowledged", len(acknowledged))
	for _, value := range acknowledged {
		for !got.has(value) {
			if time.Since(began) > session/2 {
				t.Fatalf("record %s was acknowledged and not read %v after the start", value, time.Since(began))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	t.Logf("all was read %v after the start", time.Since(began))
}
