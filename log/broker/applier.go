package broker

import (
	"context"
	"fmt"
	"math"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/aborted"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/keys"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/segment"
)

const (
	// applyBytes is how much is written to segments before readers and waiters hear of it.
	applyBytes = 8 << 20
	// applyPace is how long small appends gather before they are written, so that a thousand of them to one partition
	// are one write; they are in the journal and in memory anyway.
	applyPace = 20 * time.Millisecond
	// fullRetry is how often a full disk is tried again.
	fullRetry = 250 * time.Millisecond
)

// checkpoint is a state to be saved once segments have everything up to its sequence.
type checkpoint struct {
	sequence uint64
	state    []byte // encoded
	place    journal.Place
	dropped  []droppedTopic
}

// applier writes durable entries behind to segments and commit index, and makes checkpoints.
type applier struct {
	opts    Options
	dirs    directories
	durable *durable
	commits *commits.Index
	journal *journal.Journal
	budget  *budget
	pins    *pins
	keys    *keyIndex
	kept    func() uint64 // see Broker.kept
	wake    chan struct{}

	// Of the applying goroutine:
	stores   map[log.Partition]*segment.Store
	touched  map[log.Partition]*segment.Store
	newDirs  bool
	number   uint64        // of the last snapshot
	appended uint64        // sequence up to which entries were handed to stores and index
	refs     []commits.Ref // of the entry after it, whose batches are partly handed over
	keyBatch *keys.Batch   // nil: nothing to add
	keyIter  record.Iterator
	rolls    map[log.TopicID]roll
	rollsOf  uint64 // state.changes at which rolls was made
	finishAt func() *checkpoint
	// Files given up, no longer named by the next snapshot:
	given     segment.Retired
	thinned   []commits.Retired
	forgotten aborted.Retired
	// removals counts the times that segments were given up or written anew.
	removals atomic.Uint64

	mu struct {
		sync.Mutex
		tasks       []task
		checkpoints []*checkpoint
		cleaned     map[log.Partition]cleaned
		ended       bool
		clean       bool
	}
}

// roll is when the partitions of a topic begin new segments.
type roll struct {
	bytes int64 // 0: the default
	age   time.Duration
	keys  bool // the topic has a key index
}

// refresh brings rolls and the key index up to date with the topics' settings.
func (a *applier) refresh() error {
	a.durable.mu.RLock()
	s := a.durable.mu.state
	if a.rolls != nil && s.changes == a.rollsOf {
		a.durable.mu.RUnlock()
		return nil
	}
	indexed := map[log.Partition]bool{}
	a.rolls, a.rollsOf = make(map[log.TopicID]roll, len(s.topics.ByID)), s.changes
	for id, t := range s.topics.ByID {
		r := roll{age: time.Duration(min(t.Number("segment.ms"), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond}
		if _, set := t.Config["segment.bytes"]; set {
			r.bytes = t.Number("segment.bytes")
		}
		if r.keys = t.Enabled(log.ConfigKeyIndex); r.keys {
			for i := range t.Partitions {
				indexed[log.Partition{Topic: id, Index: i}] = true
			}
		}
		a.rolls[id] = r
	}
	a.durable.mu.RUnlock()
	if err := a.keys.follow(indexed); err != nil {
		a.rolls = nil // again with the next try
		return err
	}
	return nil
}

func (a *applier) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *applier) checkpoint(c *checkpoint) {
	a.mu.Lock()
	// A newer one stands in for one that has not begun.
	if n := len(a.mu.checkpoints); n > 1 {
		a.mu.checkpoints = a.mu.checkpoints[:n-1]
	}
	a.mu.checkpoints = append(a.mu.checkpoints, c)
	a.mu.Unlock()
	a.poke()
}

// finish lets run end once everything is applied; clean adds a last checkpoint.
func (a *applier) finish(clean bool) {
	a.mu.Lock()
	a.mu.ended, a.mu.clean = true, clean
	a.mu.Unlock()
	a.poke()
}

func (a *applier) next() (c *checkpoint, ended, clean bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.mu.checkpoints) > 0 {
		c = a.mu.checkpoints[0]
	}
	return c, a.mu.ended, a.mu.clean
}

// task is something that the cleaner has done between two pieces of applying.
type task struct {
	run  func() error
	done chan error
}

// do runs f on the applying goroutine, when everything applied is flushed, and waits for it.
func (a *applier) do(ctx context.Context, f func() error) error {
	t := task{f, make(chan error, 1)}
	a.mu.Lock()
	a.mu.tasks = append(a.mu.tasks, t)
	a.mu.Unlock()
	a.poke()
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *applier) runTasks() {
	a.mu.Lock()
	tasks := a.mu.tasks
	a.mu.tasks = nil
	a.mu.Unlock()
	for _, t := range tasks {
		t.done <- t.run()
	}
}

// replace puts a compacted file in the place of the ones that it was made of. ok is false when they are the Store's no more, or
// the file is not wanted any more.
func (a *applier) replace(ctx context.Context, store *segment.Store, r *segment.Rewritten, cleaned int64, wanted func() bool) (ok bool, err error) {
	replaced := false
	err = a.do(ctx, func() error {
		var gone segment.Retired
		if wanted() {
			gone, replaced = store.Replace(r, cleaned)
		} else {
			gone = r.GiveUp()
		}
		a.given = append(a.given, gone...)
		a.removals.Add(1)
		return nil
	})
	if err != nil {
		return false, err // ctx may have ended before it was done
	}
	return replaced, nil
}

// thin puts a thinned file of the commit index in the place of the ones that it was made of.
func (a *applier) thin(ctx context.Context, t *commits.Thinned) error {
	return a.do(ctx, func() error {
		a.thinned = append(a.thinned, a.commits.Replace(t))
		return nil
	})
}

func (a *applier) pop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.checkpoints = a.mu.checkpoints[1:]
}

// run applies until finish. A full disk, or the want of a file descriptor, makes it wait, any other fault ends it.
func (a *applier) run() error {
	pace := time.NewTimer(applyPace)
	defer pace.Stop()
	for {
		a.runTasks()
		c, ended, clean := a.next()
		if c == nil && !ended && a.budget.taken() < min(applyBytes, a.budget.limit)/2 {
			pace.Reset(applyPace)
			<-pace.C
			_, ended, clean = a.next()
		}
		if err := a.step(); err != nil {
			if !noRoom(err) {
				return err
			}
			if ended {
				return nil // the journal has everything
			}
			a.budget.full(roomError(a.opts.Dir, "%w", err))
			time.Sleep(fullRetry)
			continue
		}
		a.budget.full(nil)
		if more := a.pending(); more {
			continue
		}
		if ended {
			if clean {
				err := a.save(a.finishAt())
				if err != nil && noRoom(err) {
					err = nil
				}
				return err
			}
			return nil
		}
		<-a.wake
	}
}

// pending reports whether there is something to apply or to save.
func (a *applier) pending() bool {
	c, _, _ := a.next()
	return c != nil || len(a.durable.unapplied(1)) > 0
}

// step applies a piece, up to the next checkpoint, and saves that when it is reached.
func (a *applier) step() error {
	entries := a.durable.unapplied(applyBytes)
	// Asked after the entries: a checkpoint that was cut before one of them is known by now, and must not hold it.
	c, _, _ := a.next()
	if c != nil {
		n := sort.Search(len(entries), func(i int) bool { return entries[i].entry.Position.Sequence > c.sequence })
		entries = entries[:n]
	}
	if len(entries) > 0 {
		if err := a.apply(entries); err != nil {
			return err
		}
	}
	if c == nil {
		return nil
	}
	a.durable.mu.RLock()
	reached := a.durable.mu.applied >= c.sequence
	a.durable.mu.RUnlock()
	if !reached {
		return nil
	}
	if err := a.save(c); err != nil {
		return err
	}
	a.pop()
	return nil
}

// apply writes entries. Begun again after a full disk it goes on where it stopped.
func (a *applier) apply(entries []tailEntry) error {
	if err := a.refresh(); err != nil {
		return err
	}
	size := int64(0)
	for i := range entries {
		size += entries[i].size
		if sequence := entries[i].entry.Position.Sequence; sequence > a.appended {
			if err := a.applyOne(&entries[i]); err != nil {
				return err
			}
			a.appended, a.refs = sequence, a.refs[:0]
		}
	}
	if err := a.flush(); err != nil {
		return err
	}
	a.durable.setApplied(entries[len(entries)-1].entry.Position.Sequence)
	a.budget.release(size)
	return nil
}

func (a *applier) applyOne(t *tailEntry) error {
	e := &t.entry
	for i := len(a.refs); i < len(e.Batches); i++ {
		pb := &e.Batches[i]
		store, err := a.store(pb.Partition)
		if err != nil {
			return err
		}
		a.touched[pb.Partition] = store
		roll := a.rolls[pb.Partition.Topic]
		place, err := store.Append(segment.Batch{
			Bytes: pb.Batch, Base: pb.BaseOffset, Records: pb.Records,
			MaxTimestamp: t.parts[i].maxTimestamp, Sequence: e.Position.Sequence,
			Time: e.Time.UnixNano(), MaxBytes: roll.bytes, MaxAge: roll.age,
		})
		if err == nil && roll.keys {
			err = a.addKeys(pb)
		}
		if err != nil {
			return err
		}
		a.refs = append(a.refs, commits.Ref{
			Partition: pb.Partition, Base: pb.BaseOffset, Records: pb.Records,
			Position: place.Position, Bytes: uint32(len(pb.Batch)),
		})
	}
	return a.commits.Append(commits.Commit{
		Position: e.Position, Term: e.Term, Index: e.Index, Time: e.Time, Txn: e.Txn, Refs: a.refs,
	})
}

// addKeys adds the keys of a batch to the key index.
func (a *applier) addKeys(pb *log.PartitionBatch) error {
	if a.keyBatch == nil {
		x, _ := a.keys.get(pb.Partition)
		a.keyBatch = x.Batch()
	}
	return addKeys(a.keyBatch, pb.Partition, pb.Batch, &a.keyIter)
}

// flush lets readers see what was applied, the segments before the indexes that point into them.
func (a *applier) flush() error {
	if b := a.keyBatch; b != nil {
		a.keyBatch = nil
		if err := b.Commit(); err != nil {
			return err
		}
	}
	for p, store := range a.touched {
		if err := store.Flush(); err != nil {
			return err
		}
		if err := a.keepAborted(p, store); err != nil {
			return err
		}
	}
	clear(a.touched)
	return a.commits.Flush()
}

// store gives the partition's segments, made at its first batch.
func (a *applier) store(p log.Partition) (*segment.Store, error) {
	if s := a.stores[p]; s != nil {
		return s, nil
	}
	s, err := segment.Open(a.opts.segments(a.dirs, p), segment.State{})
	if err != nil {
		return nil, err
	}
	a.adopt(p, s)
	a.newDirs = true
	return s, nil
}

func (a *applier) adopt(p log.Partition, s *segment.Store) {
	a.stores[p] = s
	a.durable.mu.Lock()
	defer a.durable.mu.Unlock()
	a.durable.viewLocked(p).store = s
}

// save makes the checkpoint durable: files first, then the snapshot that names their sizes, then what it makes
// unnecessary goes.
func (a *applier) save(c *checkpoint) error {
	gone := a.purgeable(c)
	a.given = append(a.given, a.retire()...)
	a.forgetAborted()
	for p, store := range a.stores {
		if !gone[p.Topic] && store.Dirty() {
			if err := store.Sync(); err != nil {
				return err
			}
		}
	}
	if a.newDirs {
		if err := vfs.SyncDir(a.opts.FS, a.dirs.partitions); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		a.newDirs = false
	}
	if err := a.commits.Sync(); err != nil {
		return err
	}
	trimmed, err := a.keys.sync()
	if err != nil {
		return err
	}
	s := snapshot{journal: c.place, pins: a.pins.all(), commits: a.commits.State(), segments: map[log.Partition]segment.State{}}
	for p, store := range a.stores {
		if !gone[p.Topic] {
			s.segments[p] = store.State()
		}
	}
	if err := saveSnapshot(a.opts.FS, a.dirs.state, a.number+1, s.encode(c.state)); err != nil {
		return err
	}
	a.number++
	a.noteCleaned(&s, trimmed)
	if err := a.journal.Release(c.place); err != nil {
		return err
	}
	if err := a.given.Remove(); err != nil {
		return err
	}
	a.given = nil
	for _, files := range a.thinned {
		if err := files.Remove(); err != nil {
			return err
		}
	}
	a.thinned = nil
	if err := a.forgotten.Remove(); err != nil {
		return err
	}
	a.forgotten = nil
	return a.purge(gone)
}

// cleaned says that neither the segments of a partition nor its part of the key index, nil: it has none, have anything of an
// aborted transaction that ended below an offset. No restart goes back behind that.
type cleaned struct {
	below int64
	keys  *keyed
}

// noteCleaned remembers up to where compaction has come in the snapshot that was saved.
func (a *applier) noteCleaned(s *snapshot, trimmed map[log.Partition]keys.Mark) {
	all := map[log.Partition]cleaned{}
	for p, st := range s.segments {
		one := cleaned{below: st.Cleaned}
		if _, one.keys = a.keys.get(p); one.keys != nil {
			one.below = min(one.below, trimmed[p].Clean)
		}
		if one.below > 0 {
			all[p] = one
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.cleaned = all
}

// cleanedTo gives what the last snapshot of this run has of cleaned partitions.
func (a *applier) cleanedTo() map[log.Partition]cleaned {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.cleaned
}

// retire gives up the segments below the starts of their partitions that nobody who holds a pin has to see. Replay moves
// the starts again when the process ends before the snapshot.
func (a *applier) retire() (gone segment.Retired) {
	starts := map[*segment.Store]int64{}
	a.durable.mu.RLock()
	for p, store := range a.stores {
		if ps := a.durable.mu.state.partitions[p]; ps != nil && ps.start > 0 {
			starts[store] = ps.start
		}
	}
	a.durable.mu.RUnlock()
	kept := a.kept()
	for store, start := range starts {
		gone = append(gone, store.Retire(start, kept)...)
	}
	if len(gone) > 0 {
		a.removals.Add(1)
	}
	return gone
}

// purgeable are the dropped topics that nobody who holds a pin still has to see.
func (a *applier) purgeable(c *checkpoint) map[log.TopicID]bool {
	gone := map[log.TopicID]bool{}
	lowest, pinned := a.pins.lowest()
	for _, d := range c.dropped {
		if !pinned || d.at.Sequence <= lowest.Sequence {
			gone[d.topic.ID] = true
		}
	}
	return gone
}

// purge deletes the files of topics that the saved snapshot no longer names.
func (a *applier) purge(gone map[log.TopicID]bool) error {
	if len(gone) == 0 {
		return nil
	}
	for p, store := range a.stores {
		if !gone[p.Topic] {
			continue
		}
		a.durable.mu.Lock()
		delete(a.durable.mu.partitions, p)
		a.durable.mu.Unlock()
		if err := store.Remove(); err != nil {
			return err
		}
		delete(a.stores, p)
	}
	a.removals.Add(1)
	a.durable.mu.Lock()
	defer a.durable.mu.Unlock()
	rest := a.durable.mu.state.dropped[:0]
	for _, d := range a.durable.mu.state.dropped {
		if !gone[d.topic.ID] {
			rest = append(rest, d)
		}
	}
	a.durable.mu.state.dropped = rest
	return nil
}

func (a *applier) closeStores() error {
	var first error
	for _, s := range a.stores {
		if err := s.Close(); first == nil {
			first = err
		}
	}
	return first
}
