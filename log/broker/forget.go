package broker

import (
	"context"

	"github.com/miracledb/miracledb/log"
)

// forget lets the aborted transactions go of which compaction has left no record, as Kafka's cleaner drops them from the
// transaction index. Nobody may meet those records any more: neither a reader who asks from now on (the memory tail begins
// behind them), nor one after a restart (a snapshot names the compacted segments and the trimmed key index), nor one who is
// reading (log.Log.Aborted is asked before).
func (c *cleaner) forget(ctx context.Context) error {
	b := c.broker
	cleaned := b.applier.cleanedTo()
	return b.change(ctx, func(s *state) (events []event, err error) {
		for p, one := range cleaned {
			ps := s.partitions[p]
			if ps == nil || len(ps.aborted) == 0 {
				continue
			}
			if _, present := b.keys.get(p); present != one.keys {
				continue // one that is built since then may have them from the tail
			}
			if below := min(one.below, b.durable.tailBegin(p)); ps.aborted[0].last < below {
				events = append(events, abortedForgotten{p, below})
			}
		}
		return events, nil
	})
}

// tailBegin is the offset of the first record of a partition that readers get from memory; the next one when there is none.
func (d *durable) tailBegin(p log.Partition) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if v := d.mu.partitions[p]; v != nil && len(v.tail) > 0 {
		return v.tail[0].base
	}
	return d.mu.state.next(p)
}
