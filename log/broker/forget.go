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
	var forgets []abortedForgotten
	cleaned := b.applier.cleanedTo()
	for p, one := range cleaned {
		below := min(one.below, b.durable.tailBegin(p))
		known, _, err := b.durable.abortedIn(p, 0, below, 1)
		if err != nil {
			return err
		}
		if len(known) > 0 && known[0].Last < below {
			forgets = append(forgets, abortedForgotten{p, below})
		}
	}
	if len(forgets) == 0 {
		return nil
	}
	err := b.change(ctx, func(s *state) (events []event, err error) {
		for _, f := range forgets {
			// A key index that is built since then may have their records from the tail.
			if _, present := b.keys.get(f.partition); s.partitions[f.partition] != nil && present == cleaned[f.partition].keys {
				events = append(events, f)
			}
		}
		return events, nil
	})
	if err == nil {
		b.requestCheckpoint() // with which they leave the disk
	}
	return err
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
