package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func franz(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestFranz(t *testing.T) {
	l := newMemLog()
	address := serve(t, l, l)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	producer := franz(t, address, kgo.DefaultProduceTopic("t"))
	for i := range 1000 {
		producer.Produce(ctx, &kgo.Record{Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]kgo.Opt{{}, {kgo.ConsumerGroup("g")}} {
		consumer := franz(t, address, append(options, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		for n := 0; n < 1000; {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if want := fmt.Sprint(n); string(r.Value) != want {
					t.Fatalf("record %s, want %s", r.Value, want)
				}
				n++
			})
		}
		consumer.Close()
	}
	producer.Close()
}
