package broker

import (
	"fmt"
	"io"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/segment"
)

// Open recovers the log in opts.Dir, or makes a new one. Errors: Invalid (options), Unavailable (another process has
// it), Corrupt (damage, with file and range: nothing was changed), Unsupported (a newer format).
func Open(opts Options) (*Broker, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	dirs := opts.directories()
	lock, err := prepare(opts.FS, dirs)
	if err != nil {
		return nil, err
	}
	b, err := recoverLog(opts, dirs)
	if err != nil {
		lock.Close()
		return nil, err
	}
	b.lock = lock
	return b, nil
}

// prepare makes the directories and takes the lock.
func prepare(fs vfs.FS, dirs directories) (io.Closer, error) {
	for _, dir := range []string{dirs.root, dirs.journal, dirs.partitions, dirs.commits, dirs.state} {
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			return nil, errs.New(errs.Unavailable, "log: %w", err)
		}
	}
	for _, dir := range []string{dirs.root, fs.PathDir(dirs.root)} {
		if err := vfs.SyncDir(fs, dir); err != nil {
			return nil, errs.New(errs.Unavailable, "log: %s: %w", dir, err)
		}
	}
	lock, err := fs.Lock(fs.PathJoin(dirs.root, "LOCK"))
	if vfs.Scarce(err) {
		return nil, errs.New(errs.Unavailable, "log: the lock of %s: %w", dirs.root, err)
	}
	if err != nil {
		return nil, errs.New(errs.Unavailable, "the log in %s is used by another process: %w", dirs.root, err)
	}
	return lock, nil
}

func recoverLog(opts Options, dirs directories) (_ *Broker, err error) {
	snap, err := loadSnapshot(opts.FS, dirs.state)
	if err != nil {
		return nil, err
	}
	if snap == nil {
		if err := checkUnbegun(opts, dirs); err != nil {
			return nil, err
		}
		snap = &snapshot{state: newState(), pins: map[string]log.Position{}}
	}
	b := assemble(opts, dirs, snap.state, snap.pins)
	defer func() {
		if err != nil && b.commits != nil {
			b.commits.Close()
			b.applier.closeStores()
			b.keys.close()
		}
	}()
	b.applier.number = snap.number
	if err := b.openFiles(snap); err != nil {
		return nil, err
	}
	if err := b.replay(snap); err != nil {
		return nil, err
	}
	b.sequence = newSequencer(b.durable.mu.state.clone(), opts.Clock, b.keys, b.durable.appliedTo)
	b.sequence.mu.pending.hasAborted = b.durable.hasAborted
	return b, nil
}

// checkUnbegun tells a log that has made no checkpoint yet from one that has lost its state, and from a restore that was
// cut short: those have partitions and no journal from its first entry on (journal.Open finds the other half). A new one must
// have room.
func checkUnbegun(opts Options, dirs directories) error {
	fs := opts.FS
	journals, err := fs.List(dirs.journal)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	partitions, err := fs.List(dirs.partitions)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if len(journals) == 0 && len(partitions) > 0 {
		return errs.New(errs.Corrupt, "the log in %s has data and no state: a restore was cut short, or files are missing", dirs.root).
			WithHint("Remove the directory and restore again.")
	}
	if len(journals) == 0 {
		return (&space{opts: &opts}).forNew()
	}
	return nil
}

// assemble wires the stages around a state.
func assemble(opts Options, dirs directories, s *state, held map[string]log.Position) *Broker {
	b := &Broker{opts: opts, dirs: dirs, durable: newDurable(s, int64(opts.TailBytes)/keptShare), budget: newBudget(int64(opts.TailBytes)), pins: newPins(held)}
	b.space.opts = &b.opts
	b.keys = newKeyIndex(opts.FS, dirs.keys)
	b.applier = &applier{
		opts: opts, dirs: dirs, durable: b.durable, budget: b.budget, pins: b.pins,
		wake: make(chan struct{}, 1), stores: map[log.Partition]*segment.Store{}, touched: map[log.Partition]*segment.Store{},
		appended: s.sequence, finishAt: b.cut, kept: b.kept, keys: b.keys,
	}
	b.cleaner = &cleaner{broker: b, every: opts.CleanInterval, clock: opts.Clock, damaged: map[log.Partition]bool{},
		told: map[log.Partition]string{}, fences: map[log.Partition]map[int64]lastWrite{}}
	return b
}

// openFiles opens commit index and segments at the sizes that the snapshot names, and deletes what is left of topics
// that it no longer names.
func (b *Broker) openFiles(snap *snapshot) (err error) {
	b.commits, err = commits.Open(b.opts.commits(b.dirs), snap.commits)
	if err != nil {
		return err
	}
	if err := b.commits.Sweep(); err != nil {
		return err
	}
	b.applier.commits = b.commits
	for p, st := range snap.segments {
		store, err := segment.Open(b.opts.segments(b.dirs, p), st)
		if err != nil {
			return err
		}
		b.applier.adopt(p, store)
		if err := store.Sweep(); err != nil {
			return err
		}
	}
	b.applier.touchAborted()
	if b.keys.exists() {
		if err := b.keys.open(); err != nil {
			return err
		}
	}
	if err := b.applier.refresh(); err != nil {
		return err
	}
	s := b.durable.mu.state
	rest := s.dropped[:0]
	for _, d := range s.dropped {
		kept := false
		for i := range d.topic.Partitions {
			kept = kept || b.applier.stores[log.Partition{Topic: d.topic.ID, Index: i}] != nil
		}
		if kept {
			rest = append(rest, d) // a pin held it
			continue
		}
		if err := b.removeFiles(d.topic.ID); err != nil {
			return err
		}
	}
	s.dropped = rest
	return nil
}

func (b *Broker) removeFiles(id log.TopicID) error {
	names, err := b.opts.FS.List(b.dirs.partitions)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, id.String()+"-") {
			if err := b.opts.FS.RemoveAll(b.opts.FS.PathJoin(b.dirs.partitions, name)); err != nil {
				return fmt.Errorf("log: %w", err)
			}
		}
	}
	return nil
}

// replay takes in the journal from the snapshot on: state, segments and commit index.
func (b *Broker) replay(snap *snapshot) (err error) {
	var hidden pieces
	unflushed := int64(0)
	b.journal, err = journal.Open(journal.Options{FS: b.opts.FS, Dir: b.dirs.journal, FileSize: b.opts.JournalFileSize}, snap.journal,
		func(je journal.Entry) error {
			err := decodeBody(je.Payload, func(kind byte, e log.Entry, ev event) error {
				if ev != nil {
					ev.apply(b.durable.mu.state)
					return nil
				}
				e, whole := hidden.add(kind, e)
				if !whole {
					return nil
				}
				e.Term, e.Index = je.Term, je.Index
				size, err := b.replayEntry(e)
				unflushed += size
				return err
			})
			if err == nil && unflushed > applyBytes {
				// The payload is gone after this call, and buffers hold copies; flush bounds them.
				unflushed = 0
				err = b.applier.flush()
			}
			if err != nil {
				return errs.New(errs.KindOf(err), "journal entry %d: %w", je.Index, err)
			}
			return nil
		})
	if err != nil {
		return err
	}
	b.applier.journal = b.journal
	if err := b.applier.flush(); err != nil {
		b.journal.Close()
		return err
	}
	b.durable.mu.applied = b.durable.mu.state.sequence
	return nil
}

func (b *Broker) replayEntry(e log.Entry) (int64, error) {
	s := b.durable.mu.state
	if e.Position.Sequence != s.sequence+1 || e.Position.Epoch != s.epoch {
		return 0, errs.New(errs.Corrupt, "append %v follows %d/%d", e.Position, s.epoch, s.sequence)
	}
	it, err := recovered(e)
	if err != nil {
		return 0, err
	}
	for i := range e.Batches {
		pb := &e.Batches[i]
		if ps := s.partitions[pb.Partition]; ps != nil && pb.BaseOffset < ps.next {
			return 0, errs.New(errs.Corrupt, "append %v writes offset %d of %s partition %d, which ends at %d",
				e.Position, pb.BaseOffset, pb.Partition.Topic, pb.Partition.Index, ps.next)
		}
	}
	s.apply(it)
	if err := b.applier.refresh(); err != nil {
		return 0, err
	}
	if err := b.applier.applyOne(&tailEntry{it.entry, it.parts, it.size}); err != nil {
		return 0, err
	}
	b.applier.appended, b.applier.refs = e.Position.Sequence, b.applier.refs[:0]
	return it.size, nil
}
