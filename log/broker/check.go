package broker

import (
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/aborted"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/keys"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/segment"
)

// Report is what Check found.
type Report struct {
	// End is the newest append.
	End log.Position
	// Appends, Partitions and Bytes say how much was read: in the commit index, and the segments.
	Appends    uint64
	Partitions int
	Bytes      int64
	// JournalEntries is how many entries recovery would replay.
	JournalEntries int
	// Aborted is how many aborted transactions are remembered.
	Aborted int
	// Faults are errs.Corrupt errors, each with its file and the range of bytes.
	Faults []error
}

// Check reads every file of the log in opts.Dir and reports all damage with its exact place. It changes nothing; no
// process may have the log open. The error says that it could not be done.
func Check(opts Options) (Report, error) {
	if err := opts.Validate(); err != nil {
		return Report{}, err
	}
	opts = opts.withDefaults()
	dirs := opts.directories()
	if _, err := opts.FS.Stat(dirs.state); err != nil {
		return Report{}, errs.New(errs.NotFound, "there is no log in %s: %w", opts.Dir, err)
	}
	lock, err := opts.FS.Lock(opts.FS.PathJoin(dirs.root, "LOCK"))
	if err != nil {
		return Report{}, errs.New(errs.Unavailable, "the log in %s is used by another process: %w", dirs.root, err)
	}
	defer lock.Close()
	var r Report
	r.check(opts, dirs)
	return r, nil
}

func (r *Report) fault(err error) { r.Faults = append(r.Faults, err) }

func (r *Report) check(opts Options, dirs directories) {
	snap, err := loadSnapshot(opts.FS, dirs.state)
	if err != nil {
		r.fault(err)
		return
	}
	if snap == nil {
		snap = &snapshot{state: newState()}
	}
	r.End = log.Position{Epoch: snap.state.epochAt(snap.state.sequence), Sequence: snap.state.sequence}
	stores := r.checkSegments(opts, dirs, snap)
	r.checkCommits(opts, dirs, snap, stores)
	r.checkJournal(opts, dirs, snap)
	if _, err := opts.FS.Stat(dirs.keys); err == nil {
		r.checkKeys(opts, dirs)
	}
	for _, s := range stores {
		s.Close()
	}
}

func (r *Report) checkSegments(opts Options, dirs directories, snap *snapshot) map[log.Partition]*segment.Store {
	stores := map[log.Partition]*segment.Store{}
	for p, st := range snap.segments {
		store, err := segment.Open(opts.segments(dirs, p), st)
		if err != nil {
			r.fault(err)
			continue
		}
		stores[p] = store
		r.Partitions++
		for _, one := range st.Segments {
			r.Bytes += one.Size
		}
		r.checkStore(store, p)
	}
	return stores
}

// checkStore reads all of a partition, and looks for each marker that aborts a transaction among the aborted transactions. Those
// before the oldest of these may have been forgotten.
func (r *Report) checkStore(store *segment.Store, p log.Partition) {
	var ends []int64
	store.Aborted().Check(r.fault, func(t aborted.Txn) {
		r.Aborted++
		ends = append(ends, t.Last)
	})
	whole := len(r.Faults) == 0
	store.Check(r.fault, func(b record.Batch) {
		if !whole || len(ends) == 0 || b.BaseOffset < ends[0] {
			return
		}
		if _, commit, ok := record.Marker(b, p); !ok || commit {
			return
		}
		if _, found := slices.BinarySearch(ends, b.BaseOffset); !found {
			r.fault(errs.New(errs.Corrupt, "%s partition %d: the transaction that offset %d aborts is not among the aborted ones", p.Topic, p.Index, b.BaseOffset))
		}
	})
}

// checkCommits compares the index of appends with what the segments hold.
func (r *Report) checkCommits(opts Options, dirs directories, snap *snapshot, stores map[log.Partition]*segment.Store) {
	index, err := commits.Open(opts.commits(dirs), snap.commits)
	if err != nil {
		r.fault(err)
		return
	}
	defer index.Close()
	next := map[log.Partition]int64{}
	through := map[log.Partition]uint64{} // the sequence up to which next holds
	thinned := uint64(0)                  // sequence of the newest append that has left the index
	var last commits.Commit
	index.Check(r.fault, func(c commits.Commit) {
		r.Appends++
		if last.Position.Sequence != 0 && (c.Time.Before(last.Time) || c.Index < last.Index) {
			r.fault(errs.New(errs.Corrupt, "commit index: append %v is earlier than the one before", c.Position))
		}
		last = c
		if c.Thinned {
			thinned = c.Position.Sequence
		}
		for _, ref := range c.Refs {
			if at, seen := next[ref.Partition]; seen && (ref.Base < at || ref.Base > at && thinned < through[ref.Partition]) {
				r.fault(errs.New(errs.Corrupt, "commit index: append %v writes offset %d of %s partition %d, which ends at %d",
					c.Position, ref.Base, ref.Partition.Topic, ref.Partition.Index, at))
			}
			next[ref.Partition], through[ref.Partition] = ref.Base+int64(ref.Records), c.Position.Sequence
		}
	})
	for p, store := range stores {
		if at, seen := next[p]; seen && (at > store.End() || at < store.End() && thinned < through[p]) {
			r.fault(errs.New(errs.Corrupt, "commit index: %s partition %d ends at offset %d, its segments at %d", p.Topic, p.Index, at, store.End()))
		}
	}
	if _, end := index.Bounds(); r.Appends > 0 && end != snap.state.sequence+1 {
		r.fault(errs.New(errs.Corrupt, "commit index ends at append %d, want %d", end-1, snap.state.sequence))
	}
}

// checkKeys reads the key index. Damage there loses nothing: Open builds it anew.
func (r *Report) checkKeys(opts Options, dirs directories) {
	x, err := keys.Open(keys.Options{FS: opts.FS, Dir: dirs.keys, ReadOnly: true})
	if err == nil {
		err = x.Check()
		if cerr := x.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		r.fault(err)
	}
}

func (r *Report) checkJournal(opts Options, dirs directories, snap *snapshot) {
	names, err := opts.FS.List(dirs.journal)
	if err != nil || len(names) == 0 {
		if snap.number > 0 {
			r.fault(errs.New(errs.Corrupt, "journal %s is missing", dirs.journal))
		}
		return
	}
	var hidden pieces
	_, err = journal.Verify(journal.Options{FS: opts.FS, Dir: dirs.journal}, snap.journal, func(je journal.Entry) error {
		r.JournalEntries++
		return decodeBody(je.Payload, func(kind byte, e log.Entry, ev event) error {
			if ev != nil {
				return nil
			}
			e, whole := hidden.add(kind, e)
			if !whole {
				return nil
			}
			if _, err := recovered(e); err != nil {
				return err
			}
			r.End = e.Position
			return nil
		})
	})
	if err != nil {
		r.fault(err)
	}
}
