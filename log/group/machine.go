package group

import (
	"slices"
	"sort"
	"time"
)

// Options are the coordinator's settings; the zero value is Kafka's defaults, but for the rebalance delay.
type Options struct {
	// InitialRebalanceDelay is how long the first join of an empty group waits for others. 0: not at all.
	InitialRebalanceDelay time.Duration
	// MinSession and MaxSession bound a member's session timeout. 0: 6 s and 30 min.
	MinSession, MaxSession time.Duration
	// ConsumerSession is how long a member of a consumer group lives without a heartbeat, ConsumerHeartbeat how often it is
	// told to send one (KIP-848: the server's to say). 0: 45 s and 5 s.
	ConsumerSession, ConsumerHeartbeat time.Duration
	// MaxMembers bounds the members of one group, those that have been given an id and not come back included: each
	// holds its metadata in memory. 0: 5,000.
	MaxMembers int
	// MaxGroups bounds the groups, because a group costs memory and any client may name one. 0: 100,000.
	MaxGroups int
	// MaxMetadata bounds the text that a client stores with an offset. 0: 4,096 characters.
	MaxMetadata int
}

func (o Options) withDefaults() Options {
	if o.MinSession == 0 {
		o.MinSession = 6 * time.Second
	}
	if o.MaxSession == 0 {
		o.MaxSession = 30 * time.Minute
	}
	if o.ConsumerSession == 0 {
		o.ConsumerSession = 45 * time.Second
	}
	if o.ConsumerHeartbeat == 0 {
		o.ConsumerHeartbeat = 5 * time.Second
	}
	if o.MaxMembers == 0 {
		o.MaxMembers = 5000
	}
	if o.MaxGroups == 0 {
		o.MaxGroups = 100_000
	}
	if o.MaxMetadata == 0 {
		o.MaxMetadata = 4096
	}
	return o
}

// Machine is the state of all groups of a coordinator. It is not safe for concurrent use.
type Machine struct {
	options Options
	groups  map[string]*group
	now     time.Time
	effects []Effect
	// topics are all topics by name, topicNames those that a pattern can mean, sorted.
	topics     map[string]Topic
	topicNames []string
	// may says who may see which topic, nil: everybody all.
	may func(Viewer, string) bool
}

// New makes a machine with no groups.
func New(o Options) *Machine {
	return &Machine{options: o.withDefaults(), groups: map[string]*group{}}
}

// State is the state of a group by Kafka's names.
type State string

// The states of a group. Dead is what Describe says of a group that does not exist.
const (
	Empty               State = "Empty"
	PreparingRebalance  State = "PreparingRebalance"
	CompletingRebalance State = "CompletingRebalance"
	Stable              State = "Stable"
	// Reconciling is a consumer group with members on their way to their targets.
	Reconciling State = "Reconciling"
	Dead        State = "Dead"
)

type group struct {
	name         string
	state        State
	generation   int32
	protocolType string
	protocol     string
	leader       string
	// members are in the order in which they came: the first one that is there leads.
	members []*member
	// pending are ids that were given out and have not come back yet (KIP-394), with when they lapse.
	pending map[string]time.Time
	// due is when a PreparingRebalance or CompletingRebalance stops waiting for the missing members.
	due time.Time
	// settle holds a first rebalance open for others although all known members have joined.
	settle  time.Time
	offsets map[offsetKey]stored
	// emptied is when the group lost its last member, or when it was heard of first.
	emptied time.Time
	// consumers are the members when they use the consumer protocol (KIP-848); a group has members of one protocol only.
	consumers *consumers
}

// Type is the protocol of a group's members, by Kafka's names.
type Type string

// The types of a group. One without members is of the type that it had last, a classic one after a restart.
const (
	Classic  Type = "classic"
	Consumer Type = "consumer"
)

func (g *group) kind() Type {
	if g.consumers != nil {
		return Consumer
	}
	return Classic
}

func (g *group) status() State {
	if g.consumers != nil {
		return g.consumers.state(g.generation)
	}
	return g.state
}

type member struct {
	id, instance         string
	clientID, clientHost string
	protocols            []Protocol
	session, rebalance   time.Duration
	expires              time.Time
	assignment           []byte
	joining, syncing     Token // the request that waits, 0: none
	isJoining, isSyncing bool
}

func (g *group) member(id string) *member {
	for _, m := range g.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (g *group) instance(instance string) *member {
	if instance == "" {
		return nil
	}
	for _, m := range g.members {
		if m.instance == instance {
			return m
		}
	}
	return nil
}

// find gives the member that a request means, or why there is none.
func (g *group) find(id, instance string) (*member, Code) {
	if g == nil {
		return nil, unknownMember
	}
	if instance != "" {
		m := g.instance(instance)
		if m == nil {
			return nil, unknownMember
		}
		if m.id != id {
			return nil, fencedInstance
		}
		return m, 0
	}
	if m := g.member(id); m != nil {
		return m, 0
	}
	return nil, unknownMember
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

func (m *member) supports(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p Protocol) bool { return p.Name == protocol })
}

// touch starts a member's session again.
func (m *Machine) touch(member *member) { member.expires = m.now.Add(member.session) }

// forget drops a group that holds nothing.
func (m *Machine) forget(g *group) {
	if len(g.members) == 0 && len(g.pending) == 0 && len(g.offsets) == 0 && !g.consumers.any() {
		delete(m.groups, g.name)
	}
}

// Wake is the earliest time at which a Tick may have something to do; zero: none.
func (m *Machine) Wake() time.Time {
	var wake time.Time
	for _, g := range m.groups {
		if t := g.wake(); !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	return wake
}

func (g *group) wake() time.Time {
	var wake time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	if g.state == PreparingRebalance || g.state == CompletingRebalance {
		at(g.due)
		at(g.settle)
	}
	for _, t := range g.pending {
		at(t)
	}
	for _, m := range g.members {
		if !m.isJoining && !m.isSyncing {
			at(m.expires)
		}
	}
	if g.consumers != nil {
		for _, c := range g.consumers.order {
			at(c.wake())
		}
	}
	return wake
}

func (m *Machine) tick() {
	names := make([]string, 0, len(m.groups))
	for name, g := range m.groups {
		if t := g.wake(); !t.IsZero() && !t.After(m.now) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		m.expire(m.groups[name])
	}
}

// expire does what is due in one group.
func (m *Machine) expire(g *group) {
	for id, t := range g.pending {
		if !t.After(m.now) {
			delete(g.pending, id)
		}
	}
	if g.consumers.any() {
		m.expireConsumers(g)
	}
	for _, member := range slices.Clone(g.members) {
		// Who waits for our answer cannot send heartbeats on the same connection.
		if !member.isJoining && !member.isSyncing && !member.expires.After(m.now) {
			m.remove(g, member)
		}
	}
	switch {
	case g.state == PreparingRebalance && !g.due.After(m.now):
		m.completeJoin(g)
	case g.state == PreparingRebalance:
		m.tryCompleteJoin(g)
	case g.state == CompletingRebalance && !g.due.After(m.now):
		m.expireSync(g)
	}
	m.forget(g)
}

// Group is what Describe tells of a group.
type Group struct {
	Name         string
	Type         Type
	State        State
	ProtocolType string
	Protocol     string
	Members      []Member // of the classic protocol
	// Emptied is, of an Empty group, since when it has had no members.
	Emptied time.Time
}

// Member is what Describe tells of a member.
type Member struct {
	Member, Instance     string
	ClientID, ClientHost string
	Metadata, Assignment []byte
}

// ConsumerGroup is what DescribeConsumers tells of a group of the consumer protocol.
type ConsumerGroup struct {
	Name     string
	State    State
	Epoch    int32 // of the group and of its target
	Assignor string
	Members  []ConsumerMember
}

// ConsumerMember is what DescribeConsumers tells of a member. Topics are by name, Subscribed all that there are of these and of
// those that Regex matches.
type ConsumerMember struct {
	Member, Instance, Rack string
	ClientID, ClientHost   string
	Epoch                  int32
	Topics, Subscribed     []string
	Regex                  string
	Assigned, Target       []TopicPartition
}

// DescribeConsumers tells of one group of the consumer protocol; false: there is none of that name.
func (m *Machine) DescribeConsumers(name string) (ConsumerGroup, bool) {
	g := m.groups[name]
	if g == nil || g.consumers == nil {
		return ConsumerGroup{}, false
	}
	k := g.consumers
	out := ConsumerGroup{Name: name, State: g.status(), Epoch: g.generation, Assignor: k.assignor()}
	for _, c := range k.order {
		out.Members = append(out.Members, ConsumerMember{Member: c.id, Instance: c.instance, Rack: c.rack, ClientID: c.clientID,
			ClientHost: c.clientHost, Epoch: c.epoch, Topics: c.topics, Subscribed: c.subscribed, Regex: c.regex,
			Assigned: sorted(c.assigned), Target: sorted(c.target)})
	}
	return out, true
}

// Describe tells of one group; one that does not exist is Dead.
func (m *Machine) Describe(name string) Group {
	g := m.groups[name]
	if g == nil {
		return Group{Name: name, State: Dead}
	}
	out := Group{Name: name, Type: g.kind(), State: g.status(), ProtocolType: g.protocolType, Emptied: g.emptied}
	if g.state == Stable || g.state == CompletingRebalance {
		out.Protocol = g.protocol
	}
	for _, member := range g.members {
		d := Member{Member: member.id, Instance: member.instance, ClientID: member.clientID, ClientHost: member.clientHost}
		if g.state == Stable {
			d.Metadata, d.Assignment = member.metadata(g.protocol), member.assignment
		}
		out.Members = append(out.Members, d)
	}
	return out
}

// List tells of all groups, by name, without their members.
func (m *Machine) List() []Group {
	out := make([]Group, 0, len(m.groups))
	for name, g := range m.groups {
		out = append(out, Group{Name: name, Type: g.kind(), State: g.status(), ProtocolType: g.protocolType})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
