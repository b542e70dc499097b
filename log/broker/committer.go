package broker

import (
	"context"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// idleMark is how long the journal is idle before it notes that its last entry was synced.
const idleMark = 100 * time.Millisecond

// commitLoop is the committer: it takes what waits, writes it as one journal entry, syncs once, completes the tickets.
// While it syncs, the next group gathers.
func (b *Broker) commitLoop(ctx context.Context, failed <-chan struct{}) error {
	var buffer []byte
	idle := time.NewTimer(idleMark)
	defer idle.Stop()
	marked := true
	for {
		for items := b.sequence.take(); len(items) > 0; {
			n, err := b.commitGroup(items, &buffer)
			if err != nil {
				return err
			}
			items, marked = items[n:], false
			if len(items) == 0 {
				items = b.sequence.take()
			}
			select {
			case <-failed:
				b.refuse(items, errs.New(errs.Unavailable, "the log has stopped"))
				return nil
			default:
			}
		}
		if b.wanted.CompareAndSwap(true, false) {
			b.sequence.expire()
			b.applier.checkpoint(b.cut())
		}
		idle.Reset(idleMark)
		select {
		case <-b.sequence.wake:
		case <-idle.C:
			if !marked {
				// Not synced: it only helps to tell damage from a torn tail.
				if err := b.journal.Mark(b.term()); err != nil && !noRoom(err) {
					return err
				}
				marked = true
			}
			select {
			case <-b.sequence.wake:
			case <-ctx.Done():
				return b.commitRest(&buffer)
			case <-failed:
				return nil
			}
		case <-ctx.Done():
			return b.commitRest(&buffer)
		case <-failed:
			return nil
		}
	}
}

// commitRest ends the journal cleanly: what was submitted before the end is written, and a mark behind it.
func (b *Broker) commitRest(buffer *[]byte) error {
	b.sequence.close(errs.New(errs.Unavailable, "the log is stopping"))
	for items := b.sequence.take(); len(items) > 0; {
		n, err := b.commitGroup(items, buffer)
		if err != nil {
			return err
		}
		items = items[n:]
	}
	if err := b.journal.Mark(b.term()); err != nil && !noRoom(err) {
		return err
	}
	return b.journal.Sync()
}

func (b *Broker) term() uint64 { return b.durable.mu.state.term } // set at Open only

// commitGroup makes the first n items durable, or on a full disk, or without file descriptors, refuses all of them.
func (b *Broker) commitGroup(items []*item, buffer *[]byte) (n int, err error) {
	place := b.journal.End()
	n, err = b.writeGroup(items, buffer)
	if err == nil {
		err = b.journal.Sync()
	}
	index := b.journal.End().Index - 1
	switch {
	case err != nil && noRoom(err):
		b.revert(items, roomError(b.opts.Dir, "nothing was written: %w", err))
		return len(items), nil
	case err != nil:
		// The sync may have done its work: nobody knows (08007).
		unknown := errs.New(errs.Unknown, "the outcome of the write is not known: %w", err)
		for _, it := range items[:n] {
			it.ticket.Complete(unknown)
		}
		b.refuse(items[n:], errs.New(errs.Unavailable, "the log has stopped: %w", err))
		return 0, err
	}
	group := items[:n]
	last := uint64(0)
	for _, it := range group {
		it.entry.Term, it.entry.Index = b.term(), index
		last = max(last, it.entry.Position.Sequence)
	}
	b.durable.commit(group)
	for _, it := range group {
		it.ticket.Complete(nil)
	}
	b.sequence.done(last)
	for _, it := range group {
		b.notify.Send(&it.entry)
	}
	b.applier.poke()
	if b.journal.End().File != place.File {
		b.sequence.expire()
		b.applier.checkpoint(b.cut())
	}
	return n, nil
}

// cut takes the durable state at the end of the journal: what a checkpoint will save.
func (b *Broker) cut() *checkpoint {
	b.durable.mu.Lock()
	defer b.durable.mu.Unlock()
	s := b.durable.mu.state
	s.expire()
	var e encoder
	s.encode(&e)
	c := &checkpoint{sequence: s.sequence, state: e.p, place: b.journal.End()}
	c.dropped = append(c.dropped, s.dropped...)
	return c
}

// writeGroup writes one entry with as many items as fit, or the entries of one item that is larger than an entry.
func (b *Broker) writeGroup(items []*item, buffer *[]byte) (n int, err error) {
	room := b.journal.MaxPayload() - 1
	if encodedSize(items[0]) > room {
		return 1, b.writeLarge(items[0], buffer)
	}
	p := newBody(*buffer)
	for size := 0; n < len(items); n++ {
		if size += encodedSize(items[n]); size > room {
			break
		}
		p = encodeItem(p, items[n])
	}
	*buffer = p
	return n, b.journal.Write(b.term(), p)
}

func (b *Broker) writeLarge(it *item, buffer *[]byte) error {
	groups, err := split(it, batchRoom(b.journal.MaxPayload())-len(it.encoded))
	if err != nil {
		return err
	}
	for i, batches := range groups {
		kind := byte(kindPart)
		switch i {
		case 0:
			kind = kindFirstPart
		case len(groups) - 1:
			kind = kindLastPart
		}
		p := newBody(*buffer)
		if kind == kindLastPart {
			p = append(p, it.encoded...) // what completes the append brings its events
		}
		*buffer = encodeAppend(p, kind, &it.entry, batches)
		if err := b.journal.Write(b.term(), *buffer); err != nil {
			return err
		}
	}
	return nil
}

// revert undoes what the sequencer ordered and a full disk refused.
func (b *Broker) revert(items []*item, cause error) {
	b.durable.mu.RLock()
	s := b.durable.mu.state.clone()
	b.durable.mu.RUnlock()
	items = append(items, b.sequence.revert(s, cause)...)
	b.refuse(items, cause)
}

func (b *Broker) refuse(items []*item, cause error) {
	for _, it := range items {
		b.budget.release(it.size)
		it.ticket.Complete(cause)
	}
}

// noRoom says that err is a full disk or the want of a file descriptor: what was begun is taken back, and may be begun again.
func noRoom(err error) bool {
	// A failed sync is no full disk, whatever its cause: what it left behind is not known.
	return vfs.Scarce(err) && !errs.Is(err, errs.Unavailable)
}
