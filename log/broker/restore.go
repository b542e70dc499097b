package broker

import (
	"context"
	"iter"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/log/topics"
)

// restoredProducerGap is left free above the highest producer id that a restored record names: ids that had been given
// out and not written with must not be given again.
const restoredProducerGap = 1 << 20

// Restore builds a new log in opts.Dir out of entries in their first order, as ReadFrom gave them, with the same
// Positions, offsets, times, terms and indexes. What is appended after it is in the next epoch, with a higher leader
// epoch. It returns the last Position restored.
//
// The first entry may be any (history below it is then thinned); from there on sequences are dense. A restore that did
// not end leaves a directory that Open refuses. Errors: Exists (there is a log), Invalid (entries that do not follow
// each other), and whatever entries gives.
func Restore(ctx context.Context, opts Options, entries iter.Seq2[log.Entry, error]) (end log.Position, err error) {
	if err := opts.Validate(); err != nil {
		return end, err
	}
	opts = opts.withDefaults()
	dirs := opts.directories()
	lock, err := prepare(opts.FS, dirs)
	if err != nil {
		return end, err
	}
	defer lock.Close()
	for _, dir := range []string{dirs.state, dirs.journal, dirs.partitions, dirs.commits} {
		if names, err := opts.FS.List(dir); err != nil || len(names) > 0 {
			return end, errs.New(errs.Exists, "there is a log in %s: restore into a new directory", opts.Dir)
		}
	}
	b := assemble(opts, dirs, newState(), map[string]log.Position{})
	if b.commits, err = commits.Open(opts.commits(dirs), commits.State{}); err != nil {
		return end, err
	}
	b.applier.commits = b.commits
	r := restoring{broker: b}
	defer func() {
		b.commits.Close()
		b.applier.closeStores()
		b.keys.close()
		if b.journal != nil {
			b.journal.Close()
		}
	}()
	for e, err := range entries {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = r.add(e)
		}
		if err != nil {
			return end, err
		}
	}
	return r.finish()
}

type restoring struct {
	broker      *Broker
	begun       bool
	index       uint64
	producerIDs int64
	unflushed   int64
}

func (r *restoring) add(e log.Entry) error {
	s := r.broker.durable.mu.state
	p := e.Position
	switch {
	case !r.begun:
		if p.Epoch == 0 || p.Sequence == 0 {
			return errs.New(errs.Invalid, "restore: %v is no position of an append", p)
		}
		r.begun = true
		s.epoch, s.epochs, s.sequence = p.Epoch, []epochStart{{p.Epoch, p.Sequence}}, p.Sequence-1
	case p.Sequence != s.sequence+1 || p.Epoch < s.epoch:
		return errs.New(errs.Invalid, "restore: append %v follows %d/%d", p, s.epoch, s.sequence)
	case p.Epoch > s.epoch:
		s.epoch = p.Epoch
		s.epochs = append(s.epochs, epochStart{p.Epoch, p.Sequence})
	}
	if e.Time.UnixNano() < s.time {
		return errs.New(errs.Invalid, "restore: append %v is at %v, earlier than the one before", p, e.Time)
	}
	s.term, r.index = max(s.term, e.Term), max(r.index, e.Index)
	e.Batches = slices.Clone(e.Batches) // inspect fills in what it finds
	it := &item{entry: e, parts: make([]part, len(e.Batches))}
	for i := range e.Batches {
		if err := r.batch(it, i); err != nil {
			return errs.New(errs.KindOf(err), "restore: append %v: %w", p, err)
		}
	}
	if err := r.topics(it); err != nil {
		return errs.New(errs.KindOf(err), "restore: append %v: %w", p, err)
	}
	s.apply(it)
	if err := r.broker.applier.refresh(); err != nil {
		return err
	}
	if err := r.broker.applier.applyOne(&tailEntry{it.entry, it.parts, it.size}); err != nil {
		return err
	}
	r.broker.applier.appended, r.broker.applier.refs = p.Sequence, r.broker.applier.refs[:0]
	if r.unflushed += it.size; r.unflushed > applyBytes {
		r.unflushed = 0
		return r.broker.applier.flush()
	}
	return nil
}

// batch checks one batch against the offsets restored so far.
func (r *restoring) batch(it *item, i int) error {
	taken := it.entry.Batches[i].Records
	if err := it.inspectBatch(i, record.Parse, kept); err != nil {
		return err
	}
	pb := &it.entry.Batches[i]
	first, err := record.ParseHeader(pb.Batch)
	if err != nil {
		return err
	}
	// Compaction may have taken records, and whole record batches, out.
	if end := first.BaseOffset + int64(pb.Records); first.BaseOffset < pb.BaseOffset || end > pb.BaseOffset+int64(taken) {
		return errs.New(errs.Invalid, "batches of offsets %d to %d are said to be at %d", first.BaseOffset, end, pb.BaseOffset)
	}
	pb.Records = taken
	if id := it.parts[i].producer.id; id >= r.producerIDs {
		r.producerIDs = id + 1
	}
	return nil
}

// topics checks that the batches fit the partitions, counting the topics that the same append makes.
func (r *restoring) topics(it *item) error {
	s := r.broker.durable.mu.state
	o := topics.Overlay{Set: s.topics}
	for i := range it.topics {
		if err := o.Check(&it.topics[i]); err != nil {
			return err
		}
	}
	for i := range it.entry.Batches {
		pb := &it.entry.Batches[i]
		if !o.Exists(pb.Partition) {
			return admission.UnknownPartition(pb.Partition)
		}
		ps := s.partitions[pb.Partition]
		switch {
		case ps == nil:
		case ps.next == 0 && ps.start == 0:
			ps.start, ps.clean = pb.BaseOffset, pb.BaseOffset // the beginning of what was kept
		case pb.BaseOffset < ps.next:
			return errs.New(errs.Invalid, "offset %d of %s partition %d, which ends at %d", pb.BaseOffset, pb.Partition.Topic, pb.Partition.Index, ps.next)
		}
	}
	return nil
}

// finish opens the next epoch and makes everything durable.
func (r *restoring) finish() (log.Position, error) {
	b, s := r.broker, r.broker.durable.mu.state
	end := b.durable.end()
	s.epoch++
	s.term++
	s.epochs = append(s.epochs, epochStart{s.epoch, s.sequence + 1})
	s.producerIDs = r.producerIDs + restoredProducerGap
	s.abandonTxns()
	b.applier.touchAborted()
	if err := b.applier.flush(); err != nil {
		return log.Position{}, err
	}
	b.durable.mu.applied = s.sequence
	var err error
	b.journal, err = journal.Open(journal.Options{FS: b.opts.FS, Dir: b.dirs.journal, FileSize: b.opts.JournalFileSize, FirstIndex: r.index + 1},
		journal.Place{}, func(journal.Entry) error { return nil })
	if err != nil {
		return log.Position{}, err
	}
	b.applier.journal = b.journal
	if err := b.applier.save(b.cut()); err != nil {
		return log.Position{}, err
	}
	return end, nil
}
