package external

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/topics"
)

const (
	// groupBytes and groupItems bound one Kafka transaction, but for an append that is larger.
	groupBytes = int64(16 * limit.MiB)
	groupItems = 4096
	// faultTime is how long the cluster may fail before this log stops: who waits for a commit waits that long.
	faultTime = 2 * time.Minute
)

// errRefused says that a group may not be written: a foreign record came between.
var errRefused = errs.New(errs.Conflict, "a record that another client produced came first")

// commitLoop writes groups until ctx ends, and then what is left.
func (l *Log) commitLoop(ctx context.Context, failed <-chan struct{}) error {
	base := context.WithoutCancel(ctx)
	for {
		group := l.sequence.take(groupBytes, groupItems)
		if len(group) == 0 {
			if ctx.Err() != nil {
				return nil
			}
			select {
			case <-l.sequence.wake:
			case <-ctx.Done():
			case <-failed:
				return nil
			}
			continue
		}
		if err := l.commitGroup(base, group); err != nil {
			for _, it := range group {
				it.ticket.Complete(errs.New(errs.Unknown, "the outcome of the append is not known: %w", err))
			}
			return err
		}
	}
}

// commitGroup writes a group as one Kafka transaction, again and again until it is there or this log must stop.
func (l *Log) commitGroup(ctx context.Context, group []*item) error {
	started := time.Now()
	for {
		g := &transaction{log: l, items: group}
		err := g.run(ctx)
		switch {
		case err == nil:
			l.noteProducer()
			l.publish(ctx, group, g.commits, true)
			return nil
		case errors.Is(err, log.ErrProducerFenced):
			return err
		case errors.Is(err, errRefused):
			if err := l.producer.end(ctx, false); err != nil {
				if err := l.producer.begin(ctx); err != nil {
					return err
				}
			}
			l.noteProducer()
			l.refuse(group, err)
			return nil
		}
		// Whatever it was: end the transaction, and see whether it took effect.
		if berr := l.producer.begin(ctx); berr != nil {
			if errors.Is(berr, log.ErrProducerFenced) || time.Since(started) > faultTime {
				return errors.Join(berr, err)
			}
			continue
		}
		l.noteProducer()
		commits, next, rerr := l.readCommits(ctx, l.commits)
		switch {
		case rerr == nil && len(commits) > 0: // it did, and it can be no other's
			l.commits = next
			l.publish(ctx, group, commits, false)
			return nil
		case time.Since(started) > faultTime:
			return errs.New(errs.Unavailable, "the Kafka cluster fails for over %v: %w", faultTime, errors.Join(rerr, err))
		}
		time.Sleep(retryPause)
	}
}

// refuse fails a group and everything ordered behind it: it may have been made from what the group wrote.
func (l *Log) refuse(group []*item, cause error) {
	l.mu.Lock()
	set, properties, end := l.mu.topics.Clone(), l.mu.properties, l.endLocked()
	for _, ps := range l.mu.index.partitions {
		ps.queued, ps.scanned = 0, ps.mark
	}
	l.mu.scans++ // the scanner begins again where the log is
	l.mu.Unlock()
	for _, it := range append(group, l.sequence.revert(set, properties, end)...) {
		it.ticket.Complete(cause)
	}
}

// transaction is one group on its way.
type transaction struct {
	log      *Log
	items    []*item
	sendings []*sending
	commits  []commit
}

func (g *transaction) run(ctx context.Context) error {
	l := g.log
	if err := g.pack(); err != nil {
		return err
	}
	// One batch of each partition at a time.
	for left := g.sendings; len(left) > 0; {
		now, later := map[place][]byte{}, []*sending(nil)
		round := map[place]*sending{}
		for _, s := range left {
			if round[s.at] != nil {
				later = append(later, s)
				continue
			}
			round[s.at], now[s.at] = s, s.batch
		}
		got, err := l.producer.produce(ctx, now)
		if err != nil {
			return err
		}
		for at, s := range round {
			s.base = got[at].base
			record.SetBaseOffset(s.batch, s.base)
			if got[at].appendTime >= 0 {
				record.SetLogAppendTime(s.batch, got[at].appendTime)
			}
		}
		left = later
	}
	if err := g.place(ctx); err != nil {
		return err
	}
	next, err := l.writeCommits(ctx, g.commits)
	if err != nil {
		return err
	}
	if err := l.producer.end(ctx, true); err != nil {
		return err
	}
	l.commits = next
	return nil
}

// pack makes the batches for the cluster.
func (g *transaction) pack() error {
	l := g.log
	packers := map[log.Partition]*packer{}
	var order []log.Partition
	for _, it := range g.items {
		if it.foreign {
			continue
		}
		for i := range it.entry.Batches {
			p := it.entry.Batches[i].Partition
			k := packers[p]
			if k == nil {
				k = &packer{}
				packers[p] = k
				order = append(order, p)
			}
			if err := k.add(it, i); err != nil {
				return err
			}
		}
	}
	names := g.names()
	for _, p := range order {
		k := packers[p]
		if err := k.flush(); err != nil {
			return err
		}
		name, ok := names[p.Topic]
		if !ok {
			l.mu.RLock()
			at, known := l.placeLocked(p)
			l.mu.RUnlock()
			if !known {
				continue // dropped by an append before it in the group
			}
			name = at.topic
		}
		for _, s := range k.out {
			s.at, s.partition = place{name, p.Index}, p
			g.sendings = append(g.sendings, s)
		}
	}
	return nil
}

// names are those of the topics that the group makes.
func (g *transaction) names() map[log.TopicID]string {
	out := map[log.TopicID]string{}
	for _, it := range g.items {
		for _, r := range it.topics {
			if id, err := topics.ParseID(r.ID); err == nil && !r.Dropped {
				out[id] = g.log.opts.clusterTopic(r.Name)
			}
		}
	}
	return out
}

// place says of each append where it stands, once the offsets are known, and refuses what may not stand there.
func (g *transaction) place(ctx context.Context) error {
	l := g.log
	refs, offsets := map[*item][]ref{}, map[*item][]int64{}
	clean := map[log.Partition]int64{} // offset up to which everything is ordered once this group is
	for _, it := range g.items {
		offsets[it] = make([]int64, len(it.entry.Batches))
		for i := range offsets[it] {
			offsets[it][i] = -1
		}
	}
	for _, s := range g.sendings {
		follows, again := clean[s.partition]
		kind := refOwn
		if again && follows == s.base || !again && l.ordered(s, g.items) {
			kind = refOwnClean
		} else if err := g.between(ctx, s); err != nil {
			return err
		}
		at := s.base
		for _, sp := range s.spans {
			if offsets[sp.item][sp.batch] < 0 {
				offsets[sp.item][sp.batch] = at
			}
			rs := refs[sp.item]
			if n := len(rs); n > 0 && rs[n-1].partition == s.partition && rs[n-1].end() == at && rs[n-1].kind == kind {
				rs[n-1].count += sp.count
			} else {
				rs = append(rs, ref{kind: kind, partition: s.partition, base: at, count: sp.count})
			}
			refs[sp.item] = rs
			at += sp.count
		}
		if clean[s.partition] = -1; kind == refOwnClean {
			clean[s.partition] = at
		}
	}
	for it, rs := range refs {
		it.placed = it.placed[:0]
		for _, r := range rs {
			pb := log.PartitionBatch{Partition: r.partition, BaseOffset: r.base, Records: int32(r.count)}
			for _, s := range g.sendings {
				if s.partition != r.partition || s.base >= r.end() {
					continue
				}
				b, err := record.ParseHeader(s.batch)
				if err != nil {
					return err
				}
				if b.LastOffset() < r.base {
					continue
				}
				p, err := plain(b, r.base, r.end())
				if err != nil {
					return err
				}
				pb.Batch = append(pb.Batch, p...)
			}
			it.placed = append(it.placed, pb)
		}
	}
	g.commits = g.commits[:0]
	for _, it := range g.items {
		if !it.foreign {
			it.refs = refs[it]
			copy(it.offsets, offsets[it])
		}
		g.commits = append(g.commits, commit{position: it.entry.Position, time: it.entry.Time.UnixNano(), txn: it.entry.Txn, refs: it.refs,
			made: it.made, properties: it.properties})
	}
	return nil
}

// between looks at what stands between what is ordered and a batch of ours. An append with a condition on the next offset is
// refused when there is a foreign record, and one whose keys a foreign record of a table has.
func (g *transaction) between(ctx context.Context, s *sending) error {
	conditional := false
	for _, sp := range s.spans {
		for _, e := range sp.item.expect {
			conditional = conditional || e.Partition == s.partition && e.NextOffset >= 0
		}
	}
	hooked := g.log.hooks.Get(s.partition.Topic) != nil
	if !conditional && !hooked {
		return nil
	}
	foreign, err := g.log.unordered(ctx, s, g.items)
	if err != nil || len(foreign) == 0 {
		return err
	}
	if conditional {
		return errs.New(errs.Conflict, "%w: %w", log.ErrExpectation, errRefused)
	}
	b, err := record.ParseHeader(s.batch)
	if err != nil {
		return err
	}
	ours, err := keysOf(map[string]bool{}, b)
	if err != nil {
		return err
	}
	for _, b := range foreign {
		theirs, err := keysOf(map[string]bool{}, b)
		if err != nil {
			continue // its reader reports it
		}
		for key := range theirs {
			if ours[key] {
				return errRefused
			}
		}
	}
	return nil
}

// keysOf adds the keys of a batch's records to a set.
func keysOf(keys map[string]bool, b record.Batch) (map[string]bool, error) {
	var it record.Iterator
	if err := it.Reset(b); err != nil {
		return keys, err
	}
	for it.Next() {
		if k := it.Record().Key; k != nil {
			keys[string(k)] = true
		}
	}
	return keys, it.Err()
}

// ordered reports whether everything below a batch of ours is ordered, at the latest by the group itself.
func (l *Log) ordered(s *sending, group []*item) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	ps := l.mu.index.partitions[s.partition]
	if ps == nil {
		return s.base == 0
	}
	queued := ps.queued
	for _, it := range group {
		for _, r := range it.refs {
			if it.foreign && r.partition == s.partition {
				queued--
			}
		}
	}
	if queued > 0 {
		return false
	}
	seen := max(ps.mark, ps.scanned)
	if seen >= s.base {
		return true
	}
	// Our last transaction has ended, so that its marker is there: one offset between can be nothing else.
	n := len(ps.own)
	return n > 0 && ps.own[n-1].end() == seen && seen+1 == s.base
}

// writeCommits writes the group's records of CommitsTopic and gives the offset behind them.
func (l *Log) writeCommits(ctx context.Context, commits []commit) (next int64, err error) {
	var b record.Builder
	var p []byte
	send := func() error {
		if b.Count() == 0 {
			return nil
		}
		n := int64(b.Count())
		batch, err := b.Build()
		if err != nil {
			return err
		}
		at := l.opts.commitsPlace()
		got, err := l.producer.produce(ctx, map[place][]byte{at: batch})
		next = got[at].base + n
		return err
	}
	for i := range commits {
		p = commits[i].encode(p[:0])
		if b.Count() > 0 && b.Size()+len(p) > maxBatch {
			if err := send(); err != nil {
				return 0, err
			}
		}
		b.Add(commits[i].time/1e6, binary.BigEndian.AppendUint64(nil, commits[i].position.Sequence), p)
	}
	return next, send()
}

// publish lets readers see a group that is in the cluster, and completes its tickets.
//
// fresh is false when it was another try than the last that took effect: readers then read it from the cluster.
func (l *Log) publish(ctx context.Context, group []*item, commits []commit, fresh bool) {
	var gone []madeTopic
	l.mu.Lock()
	if !fresh {
		l.mu.tail, l.mu.tailBytes = nil, 0
	}
	for i, it := range group {
		c := commits[i]
		if it.isAppend() {
			l.mu.index.add(c)
			it.refs = c.refs
			if fresh {
				l.addTailLocked(it)
			} else {
				it.locate()
			}
			if it.foreign {
				for _, r := range it.refs {
					l.mu.index.partition(r.partition).queued--
				}
			}
		}
		gone = append(gone, l.applyLocked(c, it.topics)...)
	}
	close(l.mu.changed)
	l.mu.changed = make(chan struct{})
	l.mu.Unlock()
	for _, m := range gone {
		_ = l.remove(ctx, m) // else at the next start
	}
	l.sequence.done(group)
	for _, it := range group {
		it.ticket.Complete(nil)
		l.notify.Send(&it.entry)
	}
}

// applyLocked takes what an append says of topics and properties in, and gives the topics of the cluster that went.
func (l *Log) applyLocked(c commit, rs []log.TopicRecord) (gone []madeTopic) {
	for _, m := range c.made {
		l.mu.made[m.id] = m
	}
	for _, r := range rs {
		before := l.mu.topics.Apply(r)
		if !r.Dropped || before == nil {
			continue
		}
		if m, ok := l.mu.made[before.ID]; ok {
			gone = append(gone, m)
		}
		for i := range before.Partitions {
			delete(l.mu.index.partitions, log.Partition{Topic: before.ID, Index: i})
		}
	}
	if c.properties != nil {
		l.mu.properties = l.mu.properties.With(c.properties)
	}
	return gone
}

// addTailLocked keeps an entry in memory for readers at the end. The batches of ours are made anew from what was sent, so that
// a reader sees now what it sees after a restart.
func (l *Log) addTailLocked(it *item) {
	e := &it.entry
	if !it.foreign {
		e.Batches = it.placed
	}
	l.mu.tail = append(l.mu.tail, e)
	l.mu.tailBytes += it.size
	for l.mu.tailBytes > int64(l.opts.TailBytes) && len(l.mu.tail) > 1 {
		for i := range l.mu.tail[0].Batches {
			l.mu.tailBytes -= int64(len(l.mu.tail[0].Batches[i].Batch))
		}
		l.mu.tail[0] = nil
		l.mu.tail = l.mu.tail[1:]
	}
}
