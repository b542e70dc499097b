package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
)

type saramaClient struct{ bootstrap string }

var saramaCodecs = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}

// config is that of an idempotent producer and a consumer from the beginning that commits when it says so.
func (c saramaClient) config() *sarama.Config {
	o := sarama.NewConfig()
	o.Version = sarama.MaxVersion
	o.Producer.Idempotent, o.Net.MaxOpenRequests = true, 1
	o.Producer.RequiredAcks, o.Producer.Return.Successes = sarama.WaitForAll, true
	o.Consumer.Offsets.Initial, o.Consumer.Offsets.AutoCommit.Enable = sarama.OffsetOldest, false
	o.Consumer.IsolationLevel = sarama.ReadCommitted
	return o
}

func (c saramaClient) admin(_ context.Context, topic string) (r topicReport, err error) {
	admin, err := sarama.NewClusterAdmin([]string{c.bootstrap}, c.config())
	if err != nil {
		return r, err
	}
	defer admin.Close()
	retention := retentionMillis
	detail := sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention}}
	if err := admin.CreateTopic(topic, &detail, false); err != nil {
		return r, err
	}
	r.Again = errors.Is(admin.CreateTopic(topic, &detail, false), sarama.ErrTopicAlreadyExists)
	described, err := admin.DescribeTopics([]string{topic})
	if err != nil {
		return r, err
	}
	r.Partitions = len(described[0].Partitions)
	settings, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
	if err != nil {
		return r, err
	}
	for _, s := range settings {
		r.Retention = s.Value
	}
	if err := admin.DeleteTopic(topic); err != nil {
		return r, err
	}
	topics, err := admin.ListTopics()
	_, left := topics[topic]
	r.Deleted = !left
	return r, err
}

func (c saramaClient) produce(_ context.Context, codec, topic string, count int) error {
	o := c.config()
	o.Producer.Compression = saramaCodecs[codec]
	producer, err := sarama.NewSyncProducer([]string{c.bootstrap}, o)
	if err != nil {
		return err
	}
	defer producer.Close()
	var batch []*sarama.ProducerMessage
	for i := range count {
		key, value := produced("sarama", i)
		m := &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key),
			Headers: []sarama.RecordHeader{{Key: []byte("client"), Value: []byte("sarama")}}}
		if value != nil {
			m.Value = sarama.ByteEncoder(value)
		}
		batch = append(batch, m)
	}
	return producer.SendMessages(batch)
}

func fromSarama(m *sarama.ConsumerMessage) message {
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[string(h.Key)] = string(h.Value)
	}
	return consumed(m.Key, m.Value, headers)
}

func (c saramaClient) consume(ctx context.Context, topic string, count int) (got []message, err error) {
	consumer, err := sarama.NewConsumer([]string{c.bootstrap}, c.config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer partition.Close()
	for len(got) < count {
		select {
		case m := <-partition.Messages():
			got = append(got, fromSarama(m))
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d records came", len(got), count)
		}
	}
	return got, nil
}

// handler takes count records of one session, commits behind the last, and ends the session.
type handler struct {
	count int
	got   []message
	end   context.CancelFunc
}

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.got = append(h.got, fromSarama(m))
		session.MarkMessage(m, "")
		if len(h.got) == h.count {
			session.Commit()
			h.end()
			return nil
		}
	}
	return nil
}

func (c saramaClient) group(ctx context.Context, topic, name string, count int) ([]message, error) {
	group, err := sarama.NewConsumerGroup([]string{c.bootstrap}, name, c.config())
	if err != nil {
		return nil, err
	}
	session, end := context.WithCancel(ctx)
	h := &handler{count: count, end: end}
	for len(h.got) < count && err == nil {
		err = group.Consume(session, []string{topic}, h)
	}
	end()
	if len(h.got) == count && errors.Is(err, context.Canceled) {
		err = nil
	}
	return h.got, errors.Join(err, group.Close())
}

func (c saramaClient) transaction(ctx context.Context, topic, group string) ([]message, error) {
	o := c.config()
	o.Producer.Transaction.ID = "sarama"
	producer, err := sarama.NewSyncProducer([]string{c.bootstrap}, o)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	for i := range 6 {
		if err := producer.BeginTxn(); err != nil {
			return nil, err
		}
		var batch []*sarama.ProducerMessage
		for j := range 5 {
			batch = append(batch, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprintf("%d-%d", i, j))})
		}
		if err := producer.SendMessages(batch); err != nil {
			return nil, err
		}
		offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: int64(i + 1)}}}
		if err := producer.AddOffsetsToTxn(offsets, group); err != nil {
			return nil, err
		}
		end := producer.CommitTxn
		if i%2 == 1 {
			end = producer.AbortTxn
		}
		if err := end(); err != nil {
			return nil, err
		}
	}
	got, err := c.consume(ctx, topic, 15)
	for _, m := range got {
		if m.Value == nil || strings.HasPrefix(*m.Value, "1-") {
			return got, errors.New("an aborted record came")
		}
	}
	return got, err
}
