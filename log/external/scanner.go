package external

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// scanWait is how long a fetch waits for news, and so how late a new topic may be scanned first.
const scanWait = 200 * time.Millisecond

// scanner finds the records that other clients produce and orders them. It belongs to one goroutine.
type scanner struct {
	log   *Log
	scans int
	// commits is how far CommitsTopic is watched for the records of another writer.
	commits int64
	at      map[log.Partition]*scan
}

// scan is how far a partition is scanned; it is ahead of the index by what is queued.
type scan struct {
	next int64
	open map[int64]int64 // foreign transactions that go on: first offset by producer
}

func (s *scanner) run(ctx context.Context) error {
	for ctx.Err() == nil {
		parts, commits := s.partitions()
		byBroker := map[int32]map[place]int64{}
		for at, offset := range commits {
			broker, err := s.log.cluster.leader(ctx, at)
			if err != nil {
				s.log.cluster.forget()
				continue // the committer finds out when it lasts
			}
			if byBroker[broker] == nil {
				byBroker[broker] = map[place]int64{}
			}
			byBroker[broker][at] = offset
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		var all []fetched
		for broker, from := range byBroker {
			wg.Go(func() {
				got, err := s.log.cluster.fetch(ctx, broker, from, false, scanWait, fetchBytes)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					s.log.cluster.forget()
					return
				}
				all = append(all, got...)
			})
		}
		wg.Wait()
		if len(all) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(retryPause):
			}
		}
		for _, got := range all {
			if err := s.take(ctx, parts[got.place], got); err != nil {
				return err
			}
		}
	}
	return nil
}

// partitions are those to be scanned, and where; CommitsTopic too, for the records of another writer.
func (s *scanner) partitions() (map[place]log.Partition, map[place]int64) {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.at == nil || s.scans != l.mu.scans {
		s.at, s.scans = map[log.Partition]*scan{}, l.mu.scans
	}
	parts, from := map[place]log.Partition{}, map[place]int64{l.opts.commitsPlace(): s.commits}
	for id, t := range l.mu.topics.ByID {
		if t.Internal {
			continue
		}
		for i := range t.Partitions {
			p := log.Partition{Topic: id, Index: i}
			at := s.at[p]
			if at == nil {
				ps := l.mu.index.partition(p)
				at = &scan{next: ps.mark, open: maps.Clone(ps.open)}
				s.at[p] = at
			}
			if ps := l.mu.index.partition(p); ps.queued == 0 && len(at.open) == 0 && ps.mark > at.next {
				at.next = ps.mark // ours, with nothing between
			}
			there := place{l.opts.clusterTopic(t.Name), i}
			parts[there], from[there] = p, at.next
		}
	}
	return parts, from
}

// watch ends this log when another node has become the writer: an idle one would go on reading what is no longer the newest.
func (s *scanner) watch(got fetched) error {
	if got.err != nil {
		s.log.cluster.forget()
		return nil
	}
	return eachBatch(got.data, func(b record.Batch) error {
		s.commits = max(s.commits, b.LastOffset()+1)
		s.log.mu.RLock()
		defer s.log.mu.RUnlock()
		if !s.log.mu.ours[b.ProducerID] || !b.Control() && b.ProducerEpoch > s.log.mu.epoch {
			return fencedError(s.log.opts.transactionalID(), errs.New(errs.Conflict, "its epoch is %d", b.ProducerEpoch))
		}
		return nil
	})
}

// take orders what a fetch gave of a partition.
func (s *scanner) take(ctx context.Context, p log.Partition, got fetched) error {
	if got.place == s.log.opts.commitsPlace() {
		return s.watch(got)
	}
	at := s.at[p]
	if errors.Is(got.err, kerr.OffsetOutOfRange) && got.start > at.next {
		at.next = got.start // the cluster has given up what nobody has read
		return nil
	}
	if got.err != nil {
		s.log.cluster.forget()
		return nil
	}
	run := &foreignRun{partition: p}
	flush := func() error {
		err := s.order(ctx, run)
		run = &foreignRun{partition: p}
		return err
	}
	err := eachBatch(got.data, func(b record.Batch) error {
		if b.LastOffset() < at.next {
			return nil
		}
		defer func() { at.next = b.LastOffset() + 1 }()
		s.log.mu.RLock()
		ours := s.log.mu.ours[b.ProducerID] && (b.Transactional() || b.Control())
		s.log.mu.RUnlock()
		switch first, open := at.open[b.ProducerID]; {
		case ours:
			return nil
		case b.Control() && !open:
			return nil // of a transaction that wrote nothing here that is kept
		case b.Control():
			delete(at.open, b.ProducerID)
			if err := flush(); err != nil {
				return err
			}
			return s.orderEnd(ctx, p, b, first)
		}
		if len(run.data) > 0 && (run.transactional() || b.Transactional()) {
			if err := flush(); err != nil {
				return err
			}
		}
		if _, open := at.open[b.ProducerID]; b.Transactional() && !open {
			at.open[b.ProducerID] = b.BaseOffset
			run.opens = []opening{{b.ProducerID, b.BaseOffset}}
		}
		run.add(b)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if errors.Is(err, errRefused) { // what was ordered has been refused: begin again
		s.at = nil
		return nil
	}
	if err != nil {
		return err
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.scans == s.log.mu.scans {
		ps := s.log.mu.index.partition(p)
		ps.scanned = max(ps.scanned, at.next)
	}
	return nil
}

// foreignRun is batches of other producers that stand together: plain ones, or one of a transaction.
type foreignRun struct {
	partition log.Partition
	base, end int64
	data      []byte
	plain     []byte // those that take effect at once
	opens     []opening
}

func (r *foreignRun) transactional() bool { return len(r.plain) == 0 }

func (r *foreignRun) add(b record.Batch) {
	if len(r.data) == 0 {
		r.base = b.BaseOffset
	}
	p := foreignBatch(b)
	r.data, r.end = append(r.data, p...), b.LastOffset()+1
	if !b.Transactional() {
		r.plain = append(r.plain, p...)
	}
}

// order gives a run its Position, through the topic's hook when it has one.
func (s *scanner) order(ctx context.Context, r *foreignRun) error {
	if len(r.data) == 0 {
		return nil
	}
	ref := ref{kind: refForeign, partition: r.partition, base: r.base, count: r.end - r.base, opens: r.opens}
	batch := func(data []byte) []log.PartitionBatch {
		return []log.PartitionBatch{{Partition: r.partition, Batch: data, BaseOffset: r.base, Records: int32(r.end - r.base)}}
	}
	submit := func(a log.Append) (*log.Ticket, error) {
		return s.submit(ctx, log.Entry{Txn: a.Txn, Batches: batch(r.data), Attachment: a.Attachment}, ref)
	}
	if hook := s.log.hooks.Get(r.partition.Topic); hook != nil && len(r.plain) > 0 {
		called := false
		_, err := hook(ctx, log.Append{Batches: batch(r.plain)}, func(a log.Append) (*log.Ticket, error) {
			called = true
			return submit(a)
		})
		if called {
			return err
		}
		// The hook refuses what the cluster has acknowledged: it is ordered all the same, and its relation rejects it.
	}
	_, err := submit(log.Append{})
	return err
}

// orderEnd gives the end of a foreign transaction its Position: its records take effect with it.
func (s *scanner) orderEnd(ctx context.Context, p log.Partition, b record.Batch, first int64) error {
	var it record.Iterator
	commit := false
	if err := it.Reset(b); err == nil && it.Next() {
		k := it.Record().Key
		commit = len(k) >= 4 && k[3] == 1
	}
	r := ref{kind: refAbort, partition: p, base: b.BaseOffset, count: 1, producer: b.ProducerID, first: first}
	if commit {
		r.kind = refCommit
	}
	data, err := endBatch(b, r)
	if err != nil {
		return err
	}
	e := log.Entry{Batches: []log.PartitionBatch{{Partition: p, Batch: data, BaseOffset: r.base, Records: 1}}}
	if commit {
		e.Commits = []log.TxnRange{{Partition: p, Producer: r.producer, First: first, Marker: r.base}}
	}
	submit := func() (*log.Ticket, error) { return s.submit(ctx, e, r) }
	hook := s.log.hooks.Txn()
	if !commit || hook == nil || s.log.hooks.Get(p.Topic) == nil {
		_, err := submit()
		return err
	}
	batches, err := s.transaction(ctx, r)
	if err != nil {
		return err
	}
	called := false
	_, err = hook(ctx, batches, func() (*log.Ticket, error) {
		called = true
		return submit()
	})
	if !called && err != nil {
		_, err = submit()
	}
	return err
}

// transaction reads the records of a foreign transaction from the cluster: they need not be ordered yet.
func (s *scanner) transaction(ctx context.Context, r ref) (out []log.PartitionBatch, err error) {
	s.log.mu.RLock()
	from, _ := s.log.placeLocked(r.partition)
	s.log.mu.RUnlock()
	for next := r.first; next < r.base; {
		got, err := s.log.cluster.fetchOne(ctx, from, next, false, fetchBytes)
		if err != nil {
			return nil, err
		}
		before := next
		err = eachBatch(got.data, func(b record.Batch) error {
			if b.ProducerID == r.producer && b.Transactional() && !b.Control() && b.BaseOffset >= next && b.BaseOffset < r.base {
				out = append(out, log.PartitionBatch{Partition: r.partition, Batch: foreignBatch(b), BaseOffset: b.BaseOffset, Records: b.Offsets()})
			}
			next = b.LastOffset() + 1
			return nil
		})
		if err != nil {
			return nil, err
		}
		if next == before {
			break
		}
	}
	return out, nil
}

// submit orders one foreign entry.
func (s *scanner) submit(ctx context.Context, e log.Entry, r ref) (*log.Ticket, error) {
	l, q := s.log, &s.log.sequence
	it := &item{entry: e, refs: []ref{r}, foreign: true}
	for i := range e.Batches {
		it.size += int64(len(e.Batches[i].Batch))
	}
	// It does not wait for room: a hook may hold a lock that others need to make room. One fetch is what it can go over.
	if err := q.wait(ctx, func() bool { return true }); err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.scans != l.mu.scans {
		return nil, errRefused
	}
	l.mu.index.partition(r.partition).queued++
	q.placeLocked(it)
	return it.ticket, nil
}

// unordered gives the plain batches of other producers that stand below a batch of ours and will be ordered after it.
func (l *Log) unordered(ctx context.Context, s *sending, group []*item) (out []record.Batch, err error) {
	l.mu.RLock()
	next := int64(0)
	var foreign []stretch
	if ps := l.mu.index.partitions[s.partition]; ps != nil {
		next, foreign = ps.mark, ps.foreign[:len(ps.foreign):len(ps.foreign)]
	}
	l.mu.RUnlock()
	var before []stretch // what the group orders before it
	for _, it := range group {
		if it == s.spans[0].item {
			break
		}
		for _, r := range it.refs {
			if it.foreign && r.partition == s.partition && r.kind == refForeign {
				before = append(before, stretch{r, 0})
			}
		}
	}
	for next < s.base {
		got, err := l.cluster.fetchOne(ctx, s.at, next, false, fetchBytes)
		if err != nil {
			return nil, err
		}
		from := next
		err = eachBatch(got.data, func(b record.Batch) error {
			if b.BaseOffset < s.base && !b.Transactional() && !b.Control() && at(foreign, b.BaseOffset) == nil && at(before, b.BaseOffset) == nil {
				out = append(out, b)
			}
			next = b.LastOffset() + 1
			return nil
		})
		if err != nil {
			return nil, err
		}
		if next == from {
			break
		}
	}
	return out, nil
}
