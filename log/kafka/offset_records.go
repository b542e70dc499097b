package kafka

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/group"
	"github.com/miracledb/miracledb/log/record"
)

// Versions of Kafka's own formats in __consumer_offsets (OffsetCommitKey.json, OffsetCommitValue.json): value 4 is the
// first that names the topic's incarnation.
const (
	offsetKeyVersion   = 1
	offsetValueVersion = 4
)

// offsetBatch encodes committed offsets as a record batch, a record for each.
func offsetBatch(store group.Store) ([]byte, error) {
	var b record.Builder
	for _, o := range store.Offsets {
		key, value := offsetRecord(store.Group, o)
		b.Add(o.Time, key, value)
	}
	return b.Build()
}

func offsetRecord(name string, o group.Offset) (k, v []byte) {
	key := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: name, Topic: o.Topic, Partition: o.Partition}
	value := kmsg.NewOffsetCommitValue()
	value.Version, value.Offset, value.LeaderEpoch = offsetValueVersion, o.Offset, o.LeaderEpoch
	value.Metadata, value.CommitTimestamp, value.TopicID = o.Metadata, o.Time, o.TopicID
	return key.AppendTo(nil), value.AppendTo(nil)
}

// tombstoneBatch makes the records that forget committed offsets.
func tombstoneBatch(name string, offsets []group.Offset, now int64) ([]byte, error) {
	var b record.Builder
	for _, o := range offsets {
		key := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: name, Topic: o.Topic, Partition: o.Partition}
		b.Add(now, key.AppendTo(nil), nil)
	}
	return b.Build()
}

// replay loads what __consumer_offsets holds.
func (c *coordinator) replay(ctx context.Context) error {
	topic, ok := c.log.Topic(log.OffsetsTopic)
	if !ok {
		return nil
	}
	p := log.Partition{Topic: topic.ID}
	bounds, err := c.log.Bounds(p)
	if err != nil {
		return errs.New(errs.KindOf(err), "kafka: replaying %s: %w", log.OffsetsTopic, err)
	}
	var it record.Iterator
	r := record.NewReader(c.log, p, bounds.Start, bounds.End)
	for err == nil && r.Next(ctx) {
		if err = it.Reset(r.Batch()); err != nil {
			break
		}
		for it.Next() {
			c.load(it.Record())
		}
		err = it.Err()
	}
	if err == nil {
		err = r.Err()
	}
	switch {
	case errors.Is(err, log.ErrCorruptBatch):
		return errs.New(errs.Corrupt, "kafka: replaying %s at offset %d: %w", log.OffsetsTopic, r.Offset(), err)
	case err != nil:
		return errs.New(errs.KindOf(err), "kafka: replaying %s at offset %d: %w", log.OffsetsTopic, r.Offset(), err)
	case r.Offset() < bounds.End:
		return errs.New(errs.Corrupt, "kafka: %s ends at offset %d, not %d", log.OffsetsTopic, r.Offset(), bounds.End)
	}
	return nil
}

// load takes one record in. Keys of other versions are group metadata that a Kafka broker would have written: not ours.
func (c *coordinator) load(r record.Record) {
	if len(r.Key) < 2 || binary.BigEndian.Uint16(r.Key) > offsetKeyVersion {
		return
	}
	key, value := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
	if key.ReadFrom(r.Key) != nil {
		return
	}
	if r.Value == nil {
		c.mu.machine.Unload(key.Group, key.Topic, key.Partition, r.Offset)
		return
	}
	if value.ReadFrom(r.Value) != nil {
		return
	}
	c.mu.machine.Load(key.Group, group.Offset{Topic: key.Topic, TopicID: value.TopicID, Partition: key.Partition, Offset: value.Offset,
		LeaderEpoch: value.LeaderEpoch, Metadata: value.Metadata, Time: value.CommitTimestamp}, r.Offset)
}
