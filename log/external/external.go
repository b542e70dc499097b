package external

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/topics"
)

// CommitsTopic has one record for each append: its order is the order of Positions.
const CommitsTopic = "__commits"

// epoch is that of every Position: a cluster is not restored to an earlier one.
const epoch = 1

// Options configure a Log. All but Brokers have defaults.
type Options struct {
	// Brokers are addresses (host:port) of some of the cluster's brokers.
	Brokers []string
	// Name is the database's in the cluster: two logs with one name fence each other, those with different names share a cluster,
	// as the names of their internal topics and their transactional ids end with it. Default DefaultName.
	Name string
	// Follow is told which cluster it is before anything is asked to change there; its error is Open's.
	Follow func(clusterID string) error
	// Warn is told what the cluster's settings take from the durability of what is acknowledged, and from topics; it must not wait.
	Warn func(text string)
	// Clock gives the commit times. Default: the system's.
	Clock clock.Clock
	// TailBytes bounds the entries kept in memory for readers at the end. Default 64 MiB.
	TailBytes limit.Bytes
	// QueueBytes bounds what is submitted and not yet in the cluster. Default 64 MiB.
	QueueBytes limit.Bytes
	// Security is how the log comes into the cluster.
	Security Security
}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, DefaultName)
	o.TailBytes = cmp.Or(o.TailBytes, 64*limit.MiB)
	o.QueueBytes = cmp.Or(o.QueueBytes, 64*limit.MiB)
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Follow == nil {
		o.Follow = func(string) error { return nil }
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return o
}

// Log is the log on a cluster. Open fences an earlier writer and recovers, Run writes until its context ends.
type Log struct {
	opts     Options
	cluster  *cluster
	producer *producer
	hooks    admission.Hooks
	notify   admission.Notifications
	sequence sequencer
	running  atomic.Bool
	commits  int64 // next offset of CommitsTopic; the committer's

	mu struct {
		sync.RWMutex
		index      index
		topics     topics.Set
		made       map[log.TopicID]madeTopic
		ours       map[int64]bool // producer ids of this log, now and before
		properties *log.Properties
		epoch      int16        // of our producer
		scans      int          // begun anew
		tail       []*log.Entry // the newest, dense up to the end
		tailBytes  int64
		changed    chan struct{} // closed when the end moves
		stopped    error         // why it will not move again
		pins       map[string]log.Position
	}
}

var _ log.Log = (*Log)(nil)

// Open connects, becomes the writer, and reads what the cluster has. Errors: Unavailable (the cluster does not answer),
// Corrupt (__commits is not ours).
func Open(ctx context.Context, o Options) (_ *Log, err error) {
	o = o.withDefaults()
	if len(o.Brokers) == 0 {
		return nil, errs.New(errs.Invalid, "no brokers are named")
	}
	if err := errors.Join(CheckName(o.Name), o.Security.Validate()); err != nil {
		return nil, err
	}
	l := &Log{opts: o}
	l.sequence.init(o)
	l.mu.index, l.mu.topics, l.mu.made = newIndex(), topics.NewSet(), map[log.TopicID]madeTopic{}
	l.mu.ours, l.mu.pins, l.mu.properties = map[int64]bool{}, map[string]log.Position{}, &log.Properties{}
	l.mu.changed = make(chan struct{})
	if l.cluster, err = connect(ctx, o.Brokers, o.Security); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.cluster.close()
		}
	}()
	all, err := l.cluster.admin.BrokerMetadata(ctx)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "the Kafka cluster does not say who it is: %w", err)
	}
	if o.Security.User != "" && o.Security.TLS == nil && o.Security.mechanism() == "PLAIN" {
		o.Warn("the password of the Kafka cluster's user goes over the network in clear: PLAIN without TLS")
	}
	if err := o.Follow(all.Cluster); err != nil {
		return nil, err
	}
	for _, name := range []string{CommitsTopic, log.CatalogTopic} {
		if _, err := l.ensure(ctx, log.Topic{Name: name, Partitions: 1}); err != nil {
			return nil, err
		}
	}
	l.producer = &producer{cluster: l.cluster, id: o.transactionalID(), who: log.NoProducer}
	if err := l.producer.begin(ctx); err != nil {
		return nil, err
	}
	if err := l.recover(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// Run writes what is submitted until ctx ends, and then what was submitted before. It gives the cause when this log cannot
// go on: another node has become the writer, or the cluster does not answer. It may be called once.
func (l *Log) Run(ctx context.Context) error {
	if l.running.Swap(true) {
		return errs.New(errs.Internal, "the log is run twice")
	}
	scanning, stop := context.WithCancel(ctx)
	scanned := make(chan error, 1)
	s := &scanner{log: l, commits: l.commits}
	go func() { scanned <- s.run(scanning) }()
	failed := make(chan struct{})
	var scanErr error
	var once sync.WaitGroup
	once.Go(func() {
		if scanErr = <-scanned; scanErr != nil && ctx.Err() == nil {
			close(failed)
		}
	})
	err := l.commitLoop(ctx, failed)
	stop()
	once.Wait()
	if err == nil && ctx.Err() == nil {
		err = scanErr
	}
	l.fail(cmp.Or(err, error(errs.New(errs.Unavailable, "the log is stopping"))))
	return err
}

// fail refuses everything from now on and lets everybody go who waits.
func (l *Log) fail(cause error) {
	if !errs.Is(cause, errs.Unavailable) && !errors.Is(cause, log.ErrProducerFenced) {
		cause = errs.New(errs.Unavailable, "the log has stopped: %w", cause)
	}
	for _, it := range l.sequence.close(cause) {
		it.ticket.Complete(cause)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.stopped == nil {
		l.mu.stopped = cause
		close(l.mu.changed)
		l.mu.changed = nil
	}
}

// Close lets go of the connections. Run must have returned.
func (l *Log) Close() error {
	l.fail(errs.New(errs.Unavailable, "the log is closed"))
	l.cluster.close()
	return nil
}

// Produce: see log.Log.
func (l *Log) Produce(ctx context.Context, a log.Append) (*log.Ticket, error) {
	return l.hooks.Produce(ctx, l, a)
}

// Admit: see log.Log. Records that clients produce to the cluster pass the hook too, before they are ordered; they are
// acknowledged already, so that a hook that refuses them is not heard.
func (l *Log) Admit(topic log.TopicID, hook log.AdmissionHook) { l.hooks.Set(topic, hook) }

// AdmitTxns sets the hook of foreign transactions: see log/broker.
func (l *Log) AdmitTxns(hook log.TxnHook) { l.hooks.SetTxn(hook) }

// Notify: see log.Log.
func (l *Log) Notify(ps []log.Partition, ch chan<- struct{}) (cancel func()) {
	return l.notify.Add(ps, ch)
}

func (l *Log) endLocked() log.Position {
	if n := len(l.mu.index.commits); n > 0 {
		return l.mu.index.commits[n-1].position
	}
	return log.Position{}
}

// End: see log.Log.
func (l *Log) End() log.Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.endLocked()
}

// Topics: see log.Log.
func (l *Log) Topics() []log.Topic {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]log.Topic, 0, len(l.mu.topics.ByID))
	for _, t := range l.mu.topics.ByID {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b log.Topic) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Topic: see log.Log.
func (l *Log) Topic(name string) (log.Topic, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.topicLocked(l.mu.topics.Names[name])
}

// TopicByID: see log.Log.
func (l *Log) TopicByID(id log.TopicID) (log.Topic, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.topicLocked(id)
}

func (l *Log) topicLocked(id log.TopicID) (log.Topic, bool) {
	if t := l.mu.topics.ByID[id]; t != nil {
		return *t, true
	}
	return log.Topic{}, false
}

// placeLocked is a partition's name in the cluster.
func (l *Log) placeLocked(p log.Partition) (place, bool) {
	t := l.mu.topics.ByID[p.Topic]
	if t == nil || p.Index < 0 || p.Index >= t.Partitions {
		return place{}, false
	}
	return place{l.opts.clusterTopic(t.Name), p.Index}, true
}

// Pin and Unpin: see log.Log. What the cluster keeps is the cluster's settings' to say: a pin holds nothing there.
func (l *Log) Pin(holder string, p log.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holdsLocked(p) {
		return errs.New(errs.NotFound, "%w: position %v is not in this log's history", log.ErrHistoryThinned, p)
	}
	l.mu.pins[holder] = p
	return nil
}

// Unpin: see Pin.
func (l *Log) Unpin(holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.pins, holder)
}

func (l *Log) holdsLocked(p log.Position) bool { return p.Sequence == 0 || p.Epoch == epoch }

// Properties: see log.Log.
func (l *Log) Properties() *log.Properties {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.properties
}

func unixNano(ns int64) time.Time { return time.Unix(0, ns).UTC() }
