package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaGo is segmentio's client. It has no idempotent producer and no transactional one.
type kafkaGo struct {
	bootstrap string
	client    *kafka.Client
}

func newKafkaGo(bootstrap string) kafkaGo {
	return kafkaGo{bootstrap, &kafka.Client{Addr: kafka.TCP(bootstrap)}}
}

var kafkaGoCodecs = map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

func (c kafkaGo) admin(ctx context.Context, topic string) (r topicReport, err error) {
	create := func() error {
		a, err := c.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 3, ReplicationFactor: 1,
			ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: retentionMillis}}}}})
		if err != nil {
			return err
		}
		return a.Errors[topic]
	}
	if err := create(); err != nil {
		return r, err
	}
	r.Again = errors.Is(create(), kafka.TopicAlreadyExists)
	described, err := c.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return r, err
	}
	r.Partitions = len(described.Topics[0].Partitions)
	settings, err := c.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}}}})
	if err != nil {
		return r, err
	}
	for _, s := range settings.Resources[0].ConfigEntries {
		r.Retention = s.ConfigValue
	}
	deleted, err := c.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return r, err
	}
	if err := deleted.Errors[topic]; err != nil {
		return r, err
	}
	// Not the client, which answers from memory.
	conn, err := kafka.DialContext(ctx, "tcp", c.bootstrap)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	left, err := conn.ReadPartitions()
	r.Deleted = !slices.ContainsFunc(left, func(p kafka.Partition) bool { return p.Topic == topic })
	return r, err
}

func (c kafkaGo) produce(ctx context.Context, codec, topic string, count int) error {
	w := &kafka.Writer{Addr: kafka.TCP(c.bootstrap), Topic: topic, Compression: kafkaGoCodecs[codec], RequiredAcks: kafka.RequireAll, BatchSize: count}
	var batch []kafka.Message
	for i := range count {
		key, value := produced("kafkago", i)
		batch = append(batch, kafka.Message{Key: []byte(key), Value: value, Headers: []kafka.Header{{Key: "client", Value: []byte("kafkago")}}})
	}
	return errors.Join(w.WriteMessages(ctx, batch...), w.Close())
}

func (c kafkaGo) consume(ctx context.Context, topic string, count int) (got []message, err error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{c.bootstrap}, Topic: topic, MaxBytes: 1 << 20,
		MaxWait: 200 * time.Millisecond}) // Close waits for the fetch that is out
	defer r.Close()
	if err := r.SetOffset(kafka.FirstOffset); err != nil {
		return nil, err
	}
	for len(got) < count {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return nil, err
		}
		got = append(got, fromKafkaGo(m))
	}
	return got, nil
}

func fromKafkaGo(m kafka.Message) message {
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	return consumed(m.Key, m.Value, headers)
}

func (c kafkaGo) group(ctx context.Context, topic, group string, count int) (got []message, err error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{c.bootstrap}, Topic: topic, GroupID: group, StartOffset: kafka.FirstOffset, MaxBytes: 1 << 20})
	var last kafka.Message
	for len(got) < count {
		if last, err = r.FetchMessage(ctx); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		got = append(got, fromKafkaGo(last))
	}
	return got, errors.Join(r.CommitMessages(ctx, last), r.Close())
}
