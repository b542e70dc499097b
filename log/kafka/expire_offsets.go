package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/group"
)

const (
	// offsetsRetention is how long committed offsets that nobody uses are kept unless the Options say otherwise
	// (offsets.retention.minutes=10080).
	offsetsRetention = 7 * 24 * time.Hour
	// offsetsCheck is how often they are looked for (offsets.retention.check.interval.ms=600000).
	offsetsCheck = 10 * time.Minute
)

// expire is expireOffsets for who runs the coordinator.
func (c *coordinator) expire(ctx context.Context) {
	if err := c.expireOffsets(ctx); err != nil && ctx.Err() == nil {
		c.report(errs.New(errs.KindOf(err), "kafka: forgetting offsets that nobody uses, tried again in %v: %w", offsetsCheck, err))
	}
}

// expireOffsets forgets the offsets that nobody has used for the retention, durably (KIP-211): those of a group without members
// since it has been so, or since they were committed where that is later; of one with members those in topics that no member
// reads, since they were committed. Offsets of topics that are gone go at once. What fails now is done the next time.
func (c *coordinator) expireOffsets(ctx context.Context) error {
	for _, g := range c.list() {
		err := c.forget(ctx, g.Name, func(d group.Group, offsets []group.Offset) ([]group.Offset, error) {
			if c.mu.ending[d.Name] > 0 {
				return nil, nil // a transaction is about to bring newer ones
			}
			return slices.DeleteFunc(offsets, c.kept(d)), nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && c.describe(g.Name).State != group.Dead {
			return err
		}
	}
	return nil
}

// kept tells which offsets of a group have not expired. The caller holds mu.
func (c *coordinator) kept(d group.Group) func(group.Offset) bool {
	limit := c.clock.Now().Add(-c.retention)
	var read []string
	known := false
	if d.State != group.Empty {
		read, known = c.subscriptions(d)
	}
	return func(o group.Offset) bool {
		topic, ok := c.log.Topic(o.Topic)
		switch since := time.UnixMilli(o.Time); {
		case !ok || o.TopicID != [16]byte{} && o.TopicID != topic.ID:
			return false
		case d.State == group.Empty:
			return since.After(limit) || d.Emptied.After(limit)
		case !known || slices.Contains(read, o.Topic):
			return true
		default:
			return since.After(limit)
		}
	}
}
