package external

import (
	"context"
	"slices"
	"sort"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/topics"
)

// fetchBytes is how much is asked of the cluster at once.
const fetchBytes = 4 << 20

func (l *Log) noteProducer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.ours[l.producer.who.ID], l.mu.epoch = true, l.producer.who.Epoch
}

// recover reads what the cluster has: __commits first, then the catalog's records that it names.
func (l *Log) recover(ctx context.Context) error {
	l.noteProducer()
	commits, next, err := l.readCommits(ctx, 0)
	if err != nil {
		return err
	}
	l.commits = next
	for _, c := range commits {
		if c.position.Sequence > 0 {
			if want := uint64(len(l.mu.index.commits)) + 1; c.position.Sequence != want || c.position.Epoch != epoch {
				return errs.New(errs.Corrupt, "%s has position %v where %d is due: two writers have used it", CommitsTopic, c.position, want)
			}
			l.mu.index.add(c)
		}
		l.applyLocked(c, nil)
	}
	if err := l.recoverTopics(ctx); err != nil {
		return err
	}
	q := &l.sequence
	q.mu.topics, q.mu.properties, q.mu.sequence = l.mu.topics.Clone(), l.mu.properties, uint64(len(l.mu.index.commits))
	if n := len(l.mu.index.commits); n > 0 {
		q.mu.time = l.mu.index.commits[n-1].time
	}
	for _, ps := range l.mu.index.partitions {
		ps.scanned = ps.mark
	}
	l.warn(ctx)
	return nil
}

// recoverTopics applies the catalog's records, and finishes what a crash has left of dropping topics.
func (l *Log) recoverTopics(ctx context.Context) error {
	p := log.Partition{Topic: log.CatalogTopicID}
	b, err := l.Bounds(p)
	if err != nil {
		return err
	}
	var gone []madeTopic
	for offset := b.Start; offset < b.End; {
		data, err := l.Read(ctx, p, offset, log.ReadLimit{MaxBytes: fetchBytes})
		if err != nil {
			return err
		}
		if len(data) == 0 {
			return errs.New(errs.Corrupt, "%s ends at offset %d, %s names records up to %d", log.CatalogTopic, offset, CommitsTopic, b.End)
		}
		for len(data) > 0 {
			h, rest, err := record.ParseChecked(data)
			if err != nil {
				return err
			}
			rs, err := topics.Records(nil, h)
			if err != nil {
				return err
			}
			gone = append(gone, l.applyLocked(commit{}, rs)...)
			data, offset = rest, h.LastOffset()+1
		}
	}
	for _, m := range gone {
		if err := l.remove(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// readCommits reads the committed records of CommitsTopic from an offset on, and gives the offset behind them.
func (l *Log) readCommits(ctx context.Context, from int64) (out []commit, next int64, err error) {
	at := l.opts.commitsPlace()
	var it record.Iterator
	for next = from; ; {
		got, err := l.cluster.fetchOne(ctx, at, next, true, fetchBytes)
		if err != nil {
			return nil, 0, err
		}
		if next == 0 && got.start > 0 {
			return nil, 0, errs.New(errs.Corrupt, "%s begins at offset %d: the cluster has cut what says where everything stands", CommitsTopic, got.start)
		}
		before := next
		err = committed(got, func(b record.Batch) error {
			if b.LastOffset() < next {
				return nil
			}
			if err := it.Reset(b); err != nil {
				return err
			}
			l.mu.Lock()
			l.mu.ours[b.ProducerID] = true
			l.mu.Unlock()
			for it.Next() {
				c, err := decodeCommit(it.Record().Value)
				if err != nil {
					return err
				}
				out = append(out, c)
			}
			return it.Err()
		}, &next)
		if err != nil {
			return nil, 0, err
		}
		if next == before {
			return out, next, nil
		}
	}
}

// committed visits the data batches of what a fetch of committed records gave, without those of aborted transactions, and
// moves next behind all of them.
func committed(got fetched, visit func(record.Batch) error, next *int64) error {
	aborted := slices.Clone(got.aborted)
	sort.Slice(aborted, func(i, j int) bool { return aborted[i].FirstOffset < aborted[j].FirstOffset })
	open := map[int64]bool{}
	return eachBatch(got.data, func(b record.Batch) error {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			open[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		var err error
		switch {
		case b.Control():
			delete(open, b.ProducerID)
		case b.Transactional() && open[b.ProducerID]:
		default:
			err = visit(b)
		}
		*next = max(*next, b.LastOffset()+1)
		return err
	})
}

// eachBatch visits the whole batches of a fetch's bytes, checked; the last one may be cut short.
func eachBatch(data []byte, visit func(record.Batch) error) error {
	for len(data) >= record.HeaderSize && record.Size(data) <= int64(len(data)) {
		b, rest, err := record.Parse(data)
		if err != nil {
			return errs.New(errs.Corrupt, "the cluster gives a damaged batch: %w", err)
		}
		if err := visit(b); err != nil {
			return err
		}
		data = rest
	}
	return nil
}
