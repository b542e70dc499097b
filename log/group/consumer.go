package group

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// Epochs that a member of a consumer group sends for what they mean (KIP-848).
const (
	joinEpoch        = 0
	leaveEpoch       = -1
	leaveStaticEpoch = -2 // a static member goes, and will be back: its partitions wait for it while its session lasts
)

// TopicPartition names a partition of one incarnation of a topic.
type TopicPartition struct {
	Topic     [16]byte
	Partition int32
}

// Topic is a topic as far as groups must know it.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions int32
	Internal   bool
}

// Viewer is who a member is, as far as it matters which topics it may see.
type Viewer struct{ Principal, Host string }

// Topics tells which topics there are, and who may see which (nil: everybody all). It has no reply.
type Topics struct {
	All []Topic
	May func(who Viewer, topic string) bool
}

// ConsumerHeartbeat is all that a member of a consumer group says (ConsumerGroupHeartbeat, KIP-848): it joins, lives, changes
// its subscription, confirms what it owns, and leaves. Its reply is a ConsumerReply.
type ConsumerHeartbeat struct {
	Token                Token
	Group                string
	Member               string
	Epoch                int32 // 0 joins, -1 leaves, -2 leaves for a while
	Instance             string
	Rack                 string
	ClientID, ClientHost string
	Viewer               Viewer           // a regex means the topics that it may see
	RebalanceTimeout     time.Duration    // 0: as before
	Topics               []string         // nil: as before
	Regex                *string          // nil: as before; empty: none
	Assignor             string           // empty: as before
	Owned                []TopicPartition // what the member has now; nil: what it was told last
}

// ConsumerReply answers a ConsumerHeartbeat.
type ConsumerReply struct {
	Fault
	Member   string
	Epoch    int32
	Interval time.Duration // until the next heartbeat
	// Assigned is the whole assignment where Assignment is set; else it is as before.
	Assignment bool
	Assigned   []TopicPartition
}

// Fault is why a request is refused; the zero value: it is not.
type Fault struct {
	Code    Code
	Message string
}

func (ConsumerHeartbeat) input() {}
func (Topics) input()            {}

// consumers is what a group has when its members use the consumer protocol. The group's epoch is its generation.
type consumers struct {
	members map[string]*consumer
	order   []*consumer // as they came
	// owner tells who has a partition or has not confirmed that it gave it up.
	owner map[TopicPartition]*consumer
	// topics are those that any member is subscribed to, as the target was made of them; patterns are those in use.
	topics   map[string]Topic
	patterns map[string]*pattern
}

type consumer struct {
	id, instance, rack   string
	clientID, clientHost string
	viewer               Viewer
	topics               []string // by name, sorted
	regex                string
	assignor             string
	subscribed           []string // topics that there are, by name or by regex, sorted
	rebalance            time.Duration
	expires              time.Time
	epoch, previous      int32
	target               partitions
	// assigned and revoking are what it owns, with the epoch in which each was given: what it may have, and what it was asked
	// to give up by revokeBy.
	assigned, revoking map[TopicPartition]int32
	revokeBy           time.Time
	waiting            bool // for partitions of its target that others own
}

func newConsumers() *consumers {
	return &consumers{members: map[string]*consumer{}, owner: map[TopicPartition]*consumer{}, patterns: map[string]*pattern{}}
}

func (m *Machine) consume(in ConsumerHeartbeat) {
	var r ConsumerReply
	var fault *Fault
	if in.Epoch < joinEpoch {
		r, fault = m.consumerLeaves(in)
	} else {
		r, fault = m.consumerBeats(in)
	}
	if fault != nil {
		r = ConsumerReply{Fault: *fault}
	}
	m.reply(in.Token, r)
}

func (m *Machine) consumerBeats(in ConsumerHeartbeat) (ConsumerReply, *Fault) {
	if in.Assignor != "" && assignors[in.Assignor] == nil {
		return ConsumerReply{}, &Fault{unsupportedAssignor, "the assignors are uniform and range, not " + in.Assignor}
	}
	g, fault := m.consumerGroup(in)
	if fault != nil {
		return ConsumerReply{}, fault
	}
	c, fault := m.consumer(g, in)
	if fault != nil {
		m.forget(g)
		return ConsumerReply{}, fault
	}
	known := g.consumers.members[c.id] != nil
	changed, fault := m.subscribe(g.consumers, c, in)
	if fault != nil {
		m.forget(g)
		return ConsumerReply{}, fault
	}
	if !known {
		m.admitConsumer(g, c, in.Member)
	}
	c.expires = m.now.Add(m.options.ConsumerSession)
	if changed || !known {
		m.resolve(g.consumers)
		m.rebalance(g)
	}
	r := ConsumerReply{Member: c.id, Interval: m.options.ConsumerHeartbeat}
	full := in.RebalanceTimeout > 0 && (in.Topics != nil || in.Regex != nil) && in.Owned != nil
	if m.reconcile(g, c, in.Owned) || full || in.Epoch == joinEpoch {
		r.Assignment, r.Assigned = true, sorted(c.assigned)
	}
	r.Epoch = c.epoch
	return r, nil
}

// consumerGroup gives the group that a heartbeat means; one that joins makes it, or takes over an empty group of the classic
// protocol with its offsets.
func (m *Machine) consumerGroup(in ConsumerHeartbeat) (*group, *Fault) {
	g := m.groups[in.Group]
	switch {
	case g == nil && in.Epoch != joinEpoch:
		return nil, &Fault{unknownMember, "there is no group " + in.Group}
	case g == nil && len(m.groups) >= m.options.MaxGroups:
		return nil, &Fault{groupFull, "there are too many groups"}
	case g == nil:
		g = m.newGroup(in.Group)
	case len(g.members) > 0:
		return nil, &Fault{groupIDNotFound, "group " + in.Group + " has members of the classic protocol: stop them before others join it"}
	}
	if g.consumers == nil {
		if in.Epoch != joinEpoch {
			return nil, &Fault{unknownMember, "group " + in.Group + " has no members"}
		}
		g.consumers, g.state, g.protocolType = newConsumers(), Empty, "consumer"
	}
	return g, nil
}

// consumer gives the member that a heartbeat is of, a new one for one that joins.
func (m *Machine) consumer(g *group, in ConsumerHeartbeat) (*consumer, *Fault) {
	k := g.consumers
	c := k.members[in.Member]
	if in.Instance != "" {
		static := k.static(in.Instance)
		switch {
		case static == nil && in.Epoch != joinEpoch:
			return nil, &Fault{unknownMember, "instance " + in.Instance + " is unknown"}
		case static != nil && static.id != in.Member && in.Epoch != joinEpoch:
			return nil, &Fault{fencedInstance, "instance " + in.Instance + " is member " + static.id + " now"}
		case static != nil && static.id != in.Member && static.epoch != leaveStaticEpoch:
			return nil, &Fault{unreleasedInstance, "instance " + in.Instance + " is member " + static.id + ", which has not left"}
		}
		c = static
	}
	if in.Epoch == joinEpoch {
		switch {
		case c == nil && len(k.order) >= m.options.MaxMembers:
			return nil, &Fault{groupFull, "the group has as many members as it may have"}
		case c == nil && k.members[in.Member] != nil:
			return nil, &Fault{fencedInstance, "member " + in.Member + " is another instance"}
		case c == nil:
			return &consumer{id: in.Member, instance: in.Instance}, nil
		}
		m.readmit(g, c, in.Member)
		return c, nil
	}
	switch {
	case c == nil:
		return nil, &Fault{unknownMember, "member " + in.Member + " is not in group " + in.Group}
	case in.Epoch == c.epoch:
	case in.Epoch == c.previous && ownsOnly(c.assigned, in.Owned):
		// The answer that had told it of its epoch was lost.
	default:
		return nil, &Fault{fencedEpoch, "the member is at another epoch: it must give up its partitions and join again"}
	}
	return c, nil
}

// readmit takes a member in again that joins anew: it owns nothing any more, and gets what its target has.
func (m *Machine) readmit(g *group, c *consumer, id string) {
	k := g.consumers
	k.free(c.assigned)
	k.free(c.revoking)
	c.assigned, c.revoking, c.waiting = map[TopicPartition]int32{}, nil, false
	c.epoch, c.previous = joinEpoch, joinEpoch
	delete(k.members, c.id)
	c.id = id
	k.members[id] = c
}

func (m *Machine) admitConsumer(g *group, c *consumer, id string) {
	c.assigned = map[TopicPartition]int32{}
	g.consumers.members[id] = c
	g.consumers.order = append(g.consumers.order, c)
}

func (m *Machine) consumerLeaves(in ConsumerHeartbeat) (ConsumerReply, *Fault) {
	g := m.groups[in.Group]
	c, fault := g.leaver(in.Member, in.Instance)
	if fault != nil {
		return ConsumerReply{}, fault
	}
	if in.Epoch == leaveStaticEpoch {
		g.consumers.free(c.revoking)
		c.revoking, c.epoch = nil, leaveStaticEpoch
	} else {
		m.removeConsumers(g, c)
	}
	return ConsumerReply{Member: in.Member, Epoch: in.Epoch, Interval: m.options.ConsumerHeartbeat}, nil
}

// leaver gives the member that wants to go, or that an administrator names by its instance alone.
func (g *group) leaver(member, instance string) (*consumer, *Fault) {
	if g == nil || g.consumers == nil {
		return nil, &Fault{unknownMember, "the group has no such member"}
	}
	c := g.consumers.members[member]
	if instance != "" {
		c = g.consumers.static(instance)
		if c != nil && member != "" && c.id != member {
			return nil, &Fault{fencedInstance, "instance " + instance + " is member " + c.id + " now"}
		}
	}
	if c == nil {
		return nil, &Fault{unknownMember, "the group has no such member"}
	}
	return c, nil
}

// any reports whether there are members.
func (k *consumers) any() bool { return k != nil && len(k.order) > 0 }

func (k *consumers) static(instance string) *consumer {
	for _, c := range k.order {
		if c.instance == instance {
			return c
		}
	}
	return nil
}

// removeConsumers takes members out, and spreads what they had over the others.
func (m *Machine) removeConsumers(g *group, gone ...*consumer) {
	k := g.consumers
	for _, c := range gone {
		k.free(c.assigned)
		k.free(c.revoking)
		delete(k.members, c.id)
	}
	k.order = slices.DeleteFunc(k.order, func(c *consumer) bool { return k.members[c.id] != c })
	if !k.any() {
		g.emptied = m.now
	}
	m.resolve(k)
	m.rebalance(g)
	m.forget(g)
}

// rebalance begins an epoch with a target for every member. They hear of it by their heartbeats.
func (m *Machine) rebalance(g *group) {
	g.generation++
	k := g.consumers
	for i, target := range assignors[k.assignor()](k.order, k.topics) {
		k.order[i].target = target
	}
}

// assignor is the one that most members ask for, the default where nobody asks for any.
func (k *consumers) assignor() string {
	votes := map[string]int{}
	for _, c := range k.order {
		votes[c.assignor]++
	}
	if votes[rangeAssignor] > votes[uniformAssignor] {
		return rangeAssignor
	}
	return uniformAssignor
}

// expireConsumers takes out whose session has ended, and who did not give up its partitions in time.
func (m *Machine) expireConsumers(g *group) {
	var gone []*consumer
	for _, c := range g.consumers.order {
		if !c.wake().After(m.now) {
			gone = append(gone, c)
		}
	}
	if len(gone) > 0 {
		m.removeConsumers(g, gone...)
	}
}

func (c *consumer) wake() time.Time {
	if len(c.revoking) > 0 && c.revokeBy.Before(c.expires) {
		return c.revokeBy
	}
	return c.expires
}

// state is the group's state as Kafka names it. The target of an epoch is there with the epoch: nobody sees Assigning.
func (k *consumers) state(epoch int32) State {
	if len(k.order) == 0 {
		return Empty
	}
	for _, c := range k.order {
		if c.epoch != leaveStaticEpoch && (c.epoch != epoch || c.waiting || len(c.revoking) > 0) {
			return Reconciling
		}
	}
	return Stable
}

func sorted[V any](set map[TopicPartition]V) []TopicPartition {
	out := make([]TopicPartition, 0, len(set))
	for tp := range set {
		out = append(out, tp)
	}
	slices.SortFunc(out, func(a, b TopicPartition) int {
		return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}
