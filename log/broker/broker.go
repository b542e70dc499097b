package broker

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
)

// Broker is the embedded log. Open recovers, Run makes appends durable until its context ends, Close lets go of the
// files. Appends that are submitted before Run wait for it.
type Broker struct {
	opts     Options
	dirs     directories
	lock     io.Closer
	journal  *journal.Journal
	commits  *commits.Index
	sequence *sequencer
	durable  *durable
	budget   *budget
	applier  *applier
	notify   admission.Notifications
	hooks    admission.Hooks
	ids      producerIDs
	pins     *pins
	cleaner  *cleaner
	keys     *keyIndex
	space    space
	running  atomic.Bool
	wanted   atomic.Bool // a checkpoint
	closing  sync.Once
}

var _ log.Log = (*Broker)(nil)

// directories are the parts of the data directory.
type directories struct{ root, journal, partitions, commits, state, keys string }

func (o Options) directories() directories {
	join := o.FS.PathJoin
	return directories{o.Dir, join(o.Dir, "journal"), join(o.Dir, "partitions"), join(o.Dir, "commits"), join(o.Dir, "state"), join(o.Dir, "keys")}
}

// Submit: see log.Log. It waits, as long as ctx lasts, when the disk cannot follow (Options.TailBytes).
func (b *Broker) Submit(ctx context.Context, a log.Append) (*log.Ticket, error) {
	it, err := inspect(a)
	if err != nil {
		return nil, err
	}
	if room := batchRoom(b.journal.MaxPayload()); it.largest > room {
		return nil, errs.New(errs.Limit, "%w: a record batch of %d bytes, over the limit of %v", log.ErrTooLarge, it.largest, limit.Bytes(room))
	}
	if err := b.space.check(); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, it, a.Expect); err != nil {
		return nil, err
	}
	size := it.size
	if err := b.budget.acquire(ctx, size); err != nil {
		return nil, err
	}
	ticket, fresh, err := b.sequence.submit(it, a.Expect)
	if err != nil || !fresh {
		b.budget.release(size)
		return ticket, err
	}
	if it.size != size {
		b.budget.release(size - it.size)
	}
	return ticket, nil
}

// Produce: see log.Log.
func (b *Broker) Produce(ctx context.Context, a log.Append) (*log.Ticket, error) {
	return b.hooks.Produce(ctx, b, a)
}

// Admit: see log.Log.
func (b *Broker) Admit(topic log.TopicID, hook log.AdmissionHook) { b.hooks.Set(topic, hook) }

// Notify: see log.Log.
func (b *Broker) Notify(ps []log.Partition, ch chan<- struct{}) (cancel func()) {
	return b.notify.Add(ps, ch)
}

// End: see log.Log.
func (b *Broker) End() log.Position { return b.durable.end() }

// Topics: see log.Log.
func (b *Broker) Topics() []log.Topic { return b.durable.topics() }

// Topic: see log.Log.
func (b *Broker) Topic(name string) (log.Topic, bool) { return b.durable.topic(name) }

// TopicByID: see log.Log.
func (b *Broker) TopicByID(id log.TopicID) (log.Topic, bool) { return b.durable.topicByID(id) }

// Bounds: see log.Log.
func (b *Broker) Bounds(p log.Partition) (log.Bounds, error) { return b.durable.bounds(p) }

// LeaderEpoch is the epoch that Kafka clients are told for every partition: it grows with a restore or a new leader, and
// never goes back.
func (b *Broker) LeaderEpoch() int32 {
	b.durable.mu.RLock()
	defer b.durable.mu.RUnlock()
	return int32(b.durable.mu.state.term)
}

// Pin: see log.Log. Pins survive a restart from the next checkpoint on. Errors: ErrHistoryThinned when p is not in this
// log's history.
func (b *Broker) Pin(holder string, p log.Position) error {
	b.durable.mu.RLock()
	holds := b.durable.mu.state.holds(p)
	b.durable.mu.RUnlock()
	if !holds {
		return errs.New(errs.NotFound, "%w: position %v is not in this log's history", log.ErrHistoryThinned, p)
	}
	b.pins.set(holder, p)
	return nil
}

// Unpin: see log.Log.
func (b *Broker) Unpin(holder string) { b.pins.remove(holder) }

// Run makes appends durable until ctx ends, and then what was submitted before; it returns nil after a clean end, and
// the cause when the disk failed (DESIGN rule 2): then the process must start again and recover. It may be called once.
func (b *Broker) Run(ctx context.Context) error {
	if b.running.Swap(true) {
		return errs.New(errs.Internal, "the log is run twice")
	}
	applied := make(chan error, 1)
	failed := make(chan struct{})
	go func() {
		err := b.applier.run()
		if err != nil {
			b.fail(err)
			close(failed)
		}
		applied <- err
	}()
	cleaning, stopCleaning := context.WithCancel(ctx)
	var cleaned sync.WaitGroup
	cleaned.Go(func() { b.cleaner.run(cleaning) })
	cleaned.Go(func() { b.space.run(cleaning) })
	cleaned.Go(func() { b.expireTxns(cleaning) })
	cleaned.Go(func() { b.buildKeys(cleaning) })
	err := b.commitLoop(ctx, failed)
	stopCleaning()
	stopping := errs.New(errs.Unavailable, "the log is stopping")
	if err != nil {
		b.fail(err)
	} else {
		b.fail(stopping)
	}
	cleaned.Wait()
	b.applier.finish(err == nil)
	if aerr := <-applied; aerr != nil {
		err = aerr
	}
	return err
}

// fail refuses everything from now on and lets everybody go who waits.
func (b *Broker) fail(cause error) {
	if !errs.Is(cause, errs.Unavailable) {
		cause = errs.New(errs.Unavailable, "the log has stopped: %w", cause)
	}
	b.sequence.abandon(cause)
	b.budget.fail(cause)
	b.durable.stop(cause)
}

// Close lets go of the files and the lock. Run must have returned.
func (b *Broker) Close() error {
	var first error
	b.closing.Do(func() {
		b.fail(errs.New(errs.Unavailable, "the log is closed"))
		keep := func(err error) {
			if first == nil {
				first = err
			}
		}
		keep(b.journal.Close())
		keep(b.commits.Close())
		keep(b.applier.closeStores())
		keep(b.keys.close())
		keep(b.lock.Close())
	})
	return first
}
