package kafka

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/broker/brokertest"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// newLog runs a broker for the test: on a disk in memory, or in dir.
func newLog(t testing.TB, dir ...string) (*broker.Broker, Catalog) {
	t.Helper()
	o := brokertest.InMemory()
	if len(dir) > 0 {
		o.FS, o.Dir = vfs.Default, dir[0]
	}
	b := brokertest.Start(t, o)
	return b, logCatalog{b}
}

// logCatalog is the least that a Catalog must do: append a record of each change to __catalog.
type logCatalog struct{ log log.Log }

func (c logCatalog) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	id := logtest.NewTopicID()
	if err := c.append(ctx, log.TopicRecord{ID: id.String(), Name: name, Partitions: partitions, Config: config}); err != nil {
		return log.Topic{}, err
	}
	topic, ok := c.log.TopicByID(id)
	if !ok {
		return topic, errs.New(errs.Internal, "topic %s is not there after its record is durable", name)
	}
	return topic, nil
}

func (c logCatalog) AlterTopic(ctx context.Context, topic log.Topic, change func(*log.Topic) error) error {
	t, ok := c.log.TopicByID(topic.ID)
	if !ok {
		return errs.New(errs.NotFound, "%w: topic %s", log.ErrUnknownPartition, topic.Name)
	}
	if err := change(&t); err != nil {
		return err
	}
	return c.append(ctx, log.TopicRecord{ID: t.ID.String(), Name: t.Name, Partitions: t.Partitions, Config: t.Config})
}

func (c logCatalog) DropTopic(ctx context.Context, topic log.Topic) error {
	return c.append(ctx, log.TopicRecord{ID: topic.ID.String(), Name: topic.Name, Partitions: topic.Partitions, Dropped: true})
}

func (c logCatalog) append(ctx context.Context, r log.TopicRecord) error {
	value, err := json.Marshal(log.CatalogRecord{Topic: &r})
	if err != nil {
		return err
	}
	var b record.Builder
	b.Add(0, []byte(r.ID+"/1"), value)
	batch, err := b.Build()
	if err != nil {
		return err
	}
	_, err = log.Commit(ctx, c.log, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: log.CatalogTopicID}, Batch: batch}}})
	return err
}
