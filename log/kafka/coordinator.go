package kafka

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/group"
)

// beat is how often time passes for groups that wait for something.
const beat = 100 * time.Millisecond

// coordinator drives the group machine: it gives it time, brings its replies to who waits for them, and makes committed
// offsets durable.
type coordinator struct {
	log     log.Log
	catalog Catalog
	clock   clock.Clock
	// retention is how long offsets are kept that nobody uses.
	retention time.Duration
	// report hears of offsets that could not be forgotten.
	report func(error)
	// waken tells run that the machine may have something to wait for again.
	waken chan struct{}
	// changed tells that the topics may be others than the machine knows.
	changed chan struct{}
	// rights gives who may see which topic now.
	rights func() rights
	// stopping is closed when nobody is to wait for other members any more.
	stopping <-chan struct{}

	mu struct {
		sync.Mutex
		machine *group.Machine
		waiting map[group.Token]chan any
		last    group.Token
		topics  map[string]log.Topic // that the machine knows
		rights  rights               // that the machine knows
		ending  map[string]int       // transactions on their way to commit, by the groups whose offsets they bring
	}
}

// openCoordinator replays the committed offsets.
func openCoordinator(ctx context.Context, o Options, rights func() rights, stopping <-chan struct{}) (*coordinator, error) {
	c := &coordinator{log: o.Log, catalog: o.Catalog, clock: o.Clock, retention: o.OffsetsRetention, report: o.Report,
		waken: make(chan struct{}, 1), changed: make(chan struct{}, 1), rights: rights, stopping: stopping}
	c.mu.machine = group.New(o.Group)
	c.mu.waiting, c.mu.ending = map[group.Token]chan any{}, map[string]int{}
	c.mu.machine.Step(c.clock.Now(), group.Tick{}) // the groups that are replayed are empty from now on
	return c, c.replay(ctx)
}

// run lets time pass while any group waits for it, until ctx ends.
func (c *coordinator) run(ctx context.Context) {
	cancel := c.log.Notify([]log.Partition{{Topic: log.CatalogTopicID}}, c.changed)
	defer cancel()
	select {
	case c.changed <- struct{}{}: // what came before the Notify
	default:
	}
	check := time.NewTicker(offsetsCheck)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			c.expire(ctx)
			continue
		case <-c.waken:
		}
		ticker := time.NewTicker(beat)
		for c.waits() && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-ticker.C:
				c.tick()
			case <-check.C:
				c.expire(ctx)
			}
		}
		ticker.Stop()
	}
}

// knowTopics tells the machine of the topics when they, or who may see which, have changed, or when it does not know one that a
// member names. Members hear of changes by their heartbeats, before which this is called: nothing must be done at other times.
func (c *coordinator) knowTopics(named []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	may := c.rights()
	stale := c.mu.topics == nil || !may.same(c.mu.rights)
	select {
	case <-c.changed:
		stale = true
	default:
	}
	for _, name := range named {
		topic, ok := c.log.Topic(name)
		known, had := c.mu.topics[name]
		stale = stale || ok != had || topic.ID != known.ID || topic.Partitions != known.Partitions
	}
	if !stale {
		return
	}
	all := c.log.Topics()
	c.mu.topics, c.mu.rights = make(map[string]log.Topic, len(all)), may
	in := group.Topics{All: make([]group.Topic, 0, len(all)), May: may.describe}
	for _, t := range all {
		c.mu.topics[t.Name] = t
		in.All = append(in.All, group.Topic{Name: t.Name, ID: t.ID, Partitions: t.Partitions, Internal: t.Internal})
	}
	c.deliver(c.mu.machine.Step(c.clock.Now(), in))
}

func (c *coordinator) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.mu.machine.Wake().IsZero()
}

func (c *coordinator) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliver(c.mu.machine.Step(c.clock.Now(), group.Tick{}))
}

// deliver brings replies to who waits, and gives the Store among the effects: only a Commit has one, its own. The caller
// holds mu.
func (c *coordinator) deliver(effects []group.Effect) (store group.Store, ok bool) {
	for _, e := range effects {
		switch e := e.(type) {
		case group.Reply:
			if to := c.mu.waiting[e.To]; to != nil {
				to <- e.Answer // has room for it
				delete(c.mu.waiting, e.To)
			}
		case group.Store:
			store, ok = e, true
		}
	}
	return store, ok
}

// ask steps the machine with the input made for a token, and waits for the reply. It gives false when ctx ends or the server
// stops first.
func (c *coordinator) ask(ctx context.Context, input func(group.Token) group.Input) (any, bool) {
	token, reply := c.begin(input)
	select {
	case c.waken <- struct{}{}:
	default:
	}
	select {
	case a := <-reply:
		return a, true
	case <-ctx.Done():
	case <-c.stopping:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case a := <-reply: // it was there too
		return a, true
	default:
	}
	delete(c.mu.waiting, token)
	return nil, false
}

func (c *coordinator) begin(input func(group.Token) group.Input) (group.Token, chan any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	token, reply := c.expect()
	c.deliver(c.mu.machine.Step(c.clock.Now(), input(token)))
	return token, reply
}

// expect makes a token and the channel of its reply. The caller holds mu.
func (c *coordinator) expect() (group.Token, chan any) {
	c.mu.last++
	reply := make(chan any, 1)
	c.mu.waiting[c.mu.last] = reply
	return c.mu.last, reply
}

// commit steps the machine with a Commit, makes its offsets durable, and gives the codes.
func (c *coordinator) commit(ctx context.Context, in group.Commit) []group.Code {
	topic, err := c.offsetsTopic(ctx)
	if err != nil {
		return everywhere(len(in.Offsets), group.Code(kerr.CoordinatorNotAvailable.Code))
	}
	reply, store, ticket, err := c.submit(ctx, topic, in)
	if ticket == nil && err == nil {
		return (<-reply).(group.CommitReply).Codes // refused
	}
	if err == nil {
		err = ticket.Wait(ctx)
	}
	done := group.Stored{Store: store}
	if err != nil {
		done.Code = group.Code(kerr.CoordinatorNotAvailable.Code)
	} else {
		done.At = ticket.Offsets[0]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliver(c.mu.machine.Step(c.clock.Now(), done))
	return (<-reply).(group.CommitReply).Codes
}

// submit steps the machine and hands its records to the log under the same lock: the order of the records is the order of
// the steps.
func (c *coordinator) submit(ctx context.Context, topic log.Topic, in group.Commit) (chan any, group.Store, *log.Ticket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	token, reply := c.expect()
	in.Token = token
	store, ok := c.deliver(c.mu.machine.Step(c.clock.Now(), in))
	if !ok {
		return reply, store, nil, nil
	}
	batch, err := offsetBatch(store)
	if err != nil {
		return reply, store, nil, err
	}
	ticket, err := c.log.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: batch}}})
	return reply, store, ticket, err
}

// forget gives up those of a group's offsets that choose says, durably; a group that nothing is left of is gone.
func (c *coordinator) forget(ctx context.Context, name string, choose func(group.Group, []group.Offset) ([]group.Offset, error)) error {
	topic, err := c.offsetsTopic(ctx)
	if err != nil {
		return kerr.CoordinatorNotAvailable
	}
	gone, ticket, err := c.submitTombstones(ctx, topic, name, choose)
	if err != nil || len(gone) == 0 {
		return err
	}
	if err := ticket.Wait(ctx); err != nil {
		return kerr.CoordinatorNotAvailable
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range gone {
		c.mu.machine.Unload(name, o.Topic, o.Partition, ticket.Offsets[0]+int64(i))
	}
	return nil
}

// submitTombstones chooses and hands the tombstones to the log under one lock: a commit that comes later stands behind them.
func (c *coordinator) submitTombstones(ctx context.Context, topic log.Topic, name string, choose func(group.Group, []group.Offset) ([]group.Offset, error)) ([]group.Offset, *log.Ticket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.mu.machine.Describe(name)
	if d.State == group.Dead {
		return nil, nil, kerr.GroupIDNotFound
	}
	gone, err := choose(d, c.mu.machine.Offsets(name))
	if err != nil || len(gone) == 0 {
		return nil, nil, err
	}
	batch, err := tombstoneBatch(name, gone, c.clock.Now().UnixMilli())
	if err != nil {
		return nil, nil, err
	}
	ticket, err := c.log.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: batch}}})
	return gone, ticket, err
}

// offsetsTopic gives the topic of committed offsets; the first commit makes it.
func (c *coordinator) offsetsTopic(ctx context.Context) (log.Topic, error) {
	if topic, ok := c.log.Topic(log.OffsetsTopic); ok {
		return topic, nil
	}
	topic, err := c.catalog.CreateTopic(ctx, log.OffsetsTopic, 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "104857600"})
	if errs.Is(err, errs.Exists) {
		if other, ok := c.log.Topic(log.OffsetsTopic); ok {
			return other, nil
		}
	}
	return topic, err
}

// offsets gives the durable offsets of a group; those of a topic that was dropped and made anew since are left out.
func (c *coordinator) offsets(name string) []group.Offset {
	c.mu.Lock()
	all := c.mu.machine.Offsets(name)
	c.mu.Unlock()
	out := all[:0]
	for _, o := range all {
		if topic, ok := c.log.Topic(o.Topic); !ok || o.TopicID == [16]byte{} || o.TopicID == topic.ID {
			out = append(out, o)
		}
	}
	return out
}

func (c *coordinator) describe(name string) group.Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.machine.Describe(name)
}

func (c *coordinator) describeConsumers(name string) (group.ConsumerGroup, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.machine.DescribeConsumers(name)
}

// mayFetch gives the code with which a member may not know its group's offsets, 0: it may.
func (c *coordinator) mayFetch(want *kmsg.OffsetFetchRequestGroup) int16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int16(c.mu.machine.MayFetch(want.Group, text(want.MemberID), want.MemberEpoch))
}

func (c *coordinator) list() []group.Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.machine.List()
}

func everywhere(n int, code group.Code) []group.Code {
	codes := make([]group.Code, n)
	for i := range codes {
		codes[i] = code
	}
	return codes
}

// newMemberID makes the id of a new member: never given before, and telling of its client.
func newMemberID(clientID, instance string) string {
	name := clientID
	if instance != "" {
		name = instance
	}
	var unique [16]byte
	rand.Read(unique[:])
	return name + "-" + hex.EncodeToString(unique[:])
}
