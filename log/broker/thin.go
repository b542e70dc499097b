package broker

import (
	"context"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/commits"
)

// thinGroups bounds the files of the commit index that one pass of the cleaner reads, at 12 MiB each.
const thinGroups = 4

// thinner is how far the cleaner has come with the commit index.
type thinner struct {
	next uint64 // sequence where the round goes on; 0: none is under way
	seen uint64 // applier.removals when the round began
}

// thin takes out of the commit index the appends of which no segment has anything any more: the records went by retention,
// DeleteRecords, compaction or with their topic. Readers are told that those appends are thinned. A round begins when
// segments have lost something since the last one, and goes on over many passes.
func (c *cleaner) thin(ctx context.Context) error {
	b, t := c.broker, &c.thinner
	if removals := b.applier.removals.Load(); t.next == 0 {
		if removals == t.seen {
			return nil
		}
		t.next, t.seen = 1, removals
	}
	left := remains{durable: b.durable, limit: min(b.kept(), b.durable.appliedTo()), known: map[log.Partition]gap{}}
	for range thinGroups {
		thinned, next, err := b.commits.Thin(t.next, func(c commits.Commit) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			return left.of(&c)
		})
		t.next = next
		if err != nil {
			t.next = 0 // damage: readers get it; the next round meets it again
			return err
		}
		if thinned != nil {
			if err := b.applier.thin(ctx, thinned); err != nil {
				return err
			}
			b.requestCheckpoint() // after which the old files go
		}
		if next == 0 {
			break
		}
	}
	return nil
}

// remains tells whether anything is left of appends that are asked for in their order.
type remains struct {
	durable *durable
	// limit is the sequence from which on all is taken to be there: pins hold it, or segments may not have it yet.
	limit uint64
	known map[log.Partition]gap
}

// gap is a range of offsets of which a partition has nothing.
type gap struct{ from, to int64 }

func (r *remains) of(c *commits.Commit) (bool, error) {
	if c.Position.Sequence >= r.limit {
		return true, nil
	}
	for _, ref := range c.Refs {
		next := ref.Base + int64(ref.Records)
		if g := r.known[ref.Partition]; g.from <= ref.Base && next <= g.to {
			continue
		}
		store := r.durable.store(ref.Partition)
		if store == nil {
			continue // of a topic that is gone
		}
		left, ok, err := store.Left(ref.Base)
		if err != nil || ok && left < next {
			return true, err
		}
		if ok {
			r.known[ref.Partition] = gap{ref.Base, left}
		}
	}
	return false, nil
}
