package broker

import (
	"slices"

	"github.com/miracledb/miracledb/log"
)

// Producers gives the idempotent producers that a partition remembers, by id.
func (b *Broker) Producers(p log.Partition) []log.ActiveProducer {
	d := b.durable
	d.mu.RLock()
	defer d.mu.RUnlock()
	ps := d.mu.state.partitions[p]
	if ps == nil {
		return nil
	}
	out := make([]log.ActiveProducer, 0, len(ps.producers))
	for id, k := range ps.producers {
		one := log.ActiveProducer{ID: id, Epoch: k.epoch, Time: unixNano(k.time), TxnStart: -1,
			LastSequence: k.batches[len(k.batches)-1].last}
		if first, open := ps.open[id]; open {
			one.TxnStart = first
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b log.ActiveProducer) int { return int(a.ID - b.ID) })
	return out
}

// Size is the bytes of a partition's segments.
func (b *Broker) Size(p log.Partition) (size int64) {
	if store := b.durable.store(p); store != nil {
		infos, _ := store.Segments()
		for _, s := range infos {
			size += s.Size
		}
	}
	return size
}

// Volume tells where the log is, and how many bytes its volume has in all and free; -1: not known.
func (b *Broker) Volume() (dir string, total, free int64) {
	usage, err := b.opts.FS.GetDiskUsage(b.opts.Dir)
	if err != nil {
		return b.opts.Dir, -1, -1
	}
	return b.opts.Dir, int64(usage.TotalBytes), int64(usage.AvailBytes)
}
