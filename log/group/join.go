package group

import (
	"bytes"
	"slices"
	"time"
)

func (m *Machine) join(in Join) {
	g, member, code := m.admit(in)
	if code != 0 {
		id := in.Member
		if code == memberIDRequired {
			id = in.NewMember
		}
		m.reply(in.Token, JoinReply{Code: code, Member: id, Generation: -1})
		return
	}
	if member != nil && m.joinStands(g, member, in) {
		return
	}
	if member == nil {
		member = m.newMember(g, in)
	}
	m.update(member, in)
	if member.isJoining {
		m.reply(member.joining, JoinReply{Code: rebalanceInProgress, Member: member.id, Generation: -1})
	}
	member.joining, member.isJoining = in.Token, true
	if g.state != PreparingRebalance {
		m.prepareRebalance(g)
	} else if !g.settle.IsZero() {
		// Each newcomer keeps a first rebalance open a little longer, up to when it must end.
		g.settle = m.now.Add(m.options.InitialRebalanceDelay)
	}
	m.tryCompleteJoin(g)
}

// admit checks a join. It gives the group and, for one that is a member already, the member.
func (m *Machine) admit(in Join) (*group, *member, Code) {
	if in.Group == "" {
		return nil, nil, invalidGroupID
	}
	if in.SessionTimeout < m.options.MinSession || in.SessionTimeout > m.options.MaxSession {
		return nil, nil, invalidSession
	}
	if in.ProtocolType == "" || len(in.Protocols) == 0 {
		return nil, nil, inconsistentProtocol
	}
	g := m.groups[in.Group]
	if g == nil {
		if in.Member != "" {
			return nil, nil, unknownMember
		}
		if len(m.groups) >= m.options.MaxGroups {
			return nil, nil, groupFull
		}
		g = m.newGroup(in.Group)
	}
	if g.consumers.any() || !g.compatible(in) {
		return nil, nil, inconsistentProtocol
	}
	if in.Member == "" {
		return m.admitNew(g, in)
	}
	if _, ok := g.pending[in.Member]; ok && in.Instance == "" {
		return g, nil, 0
	}
	member, code := g.find(in.Member, in.Instance)
	return g, member, code
}

// admitNew checks a join without a member id.
func (m *Machine) admitNew(g *group, in Join) (*group, *member, Code) {
	if known := g.instance(in.Instance); known != nil {
		m.replaceStatic(g, known, in.NewMember)
		return g, known, 0
	}
	if len(g.members)+len(g.pending) >= m.options.MaxMembers {
		return nil, nil, groupFull
	}
	if in.Instance == "" && in.MemberIDRequired {
		g.pending[in.NewMember] = m.now.Add(in.SessionTimeout)
		return nil, nil, memberIDRequired
	}
	return g, nil, 0
}

// replaceStatic gives a static member that has come back its new id; who held the old one is fenced (KIP-345).
func (m *Machine) replaceStatic(g *group, old *member, id string) {
	if old.isJoining {
		m.reply(old.joining, JoinReply{Code: fencedInstance, Member: old.id, Generation: -1})
		old.isJoining = false
	}
	if old.isSyncing {
		m.reply(old.syncing, SyncReply{Code: fencedInstance})
		old.isSyncing = false
	}
	if g.leader == old.id {
		g.leader = id
	}
	old.id = id
}

func (m *Machine) newGroup(name string) *group {
	g := &group{name: name, state: Empty, pending: map[string]time.Time{}, offsets: map[offsetKey]stored{}, emptied: m.now}
	m.groups[name] = g
	return g
}

// compatible reports whether a joiner shares a protocol with all the other members.
func (g *group) compatible(in Join) bool {
	others := 0
	for _, m := range g.members {
		if m.id != in.Member && (in.Instance == "" || m.instance != in.Instance) {
			others++
		}
	}
	if others == 0 {
		return true
	}
	if in.ProtocolType != g.protocolType {
		return false
	}
	return slices.ContainsFunc(in.Protocols, func(p Protocol) bool {
		for _, m := range g.members {
			if m.id != in.Member && (in.Instance == "" || m.instance != in.Instance) && !m.supports(p.Name) {
				return false
			}
		}
		return true
	})
}

func (m *Machine) newMember(g *group, in Join) *member {
	id := in.Member
	if id == "" {
		id = in.NewMember
	}
	delete(g.pending, id)
	g.consumers = nil // a group that nobody was left in
	member := &member{id: id, instance: in.Instance}
	g.members = append(g.members, member)
	if g.leader == "" {
		g.leader = id
	}
	return member
}

func (m *Machine) update(member *member, in Join) {
	member.clientID, member.clientHost = in.ClientID, in.ClientHost
	member.protocols = in.Protocols
	member.session, member.rebalance = in.SessionTimeout, in.RebalanceTimeout
	m.groups[in.Group].protocolType = in.ProtocolType
	m.touch(member)
}

// joinStands answers the join of a known member that changes nothing in the generation at hand: a reply that was lost,
// or a static member that has come back as it was.
func (m *Machine) joinStands(g *group, member *member, in Join) bool {
	returned := in.Member == "" // a static member's replacement
	same := slices.EqualFunc(member.protocols, in.Protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && a.Subscription == b.Subscription && (returned || bytes.Equal(a.Metadata, b.Metadata))
	})
	switch {
	case g.state == CompletingRebalance && same && !returned:
		m.touch(member)
		m.reply(in.Token, g.joined(member))
		return true
	case g.state == Stable && same && (returned || member.id != g.leader):
		m.update(member, in)
		answer := g.joined(member)
		if returned && member.id == g.leader {
			answer.SkipAssignment = true
		}
		m.reply(in.Token, answer)
		return true
	}
	return false
}

// joined is the answer to a member's join in the present generation.
func (g *group) joined(member *member) JoinReply {
	r := JoinReply{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, Member: member.id}
	if member.id == g.leader {
		for _, m := range g.members {
			r.Members = append(r.Members, JoinMember{m.id, m.instance, m.metadata(g.protocol)})
		}
	}
	return r
}

// prepareRebalance begins a join round.
func (m *Machine) prepareRebalance(g *group) {
	first := g.state == Empty
	for _, member := range g.members {
		member.assignment = nil
		if member.isSyncing {
			member.isSyncing = false
			m.touch(member)
			m.reply(member.syncing, SyncReply{Code: rebalanceInProgress})
		}
	}
	g.state = PreparingRebalance
	g.settle = time.Time{}
	g.due = m.now.Add(g.rebalanceTimeout())
	if first && m.options.InitialRebalanceDelay > 0 {
		g.settle = m.now.Add(m.options.InitialRebalanceDelay)
	}
}

func (g *group) rebalanceTimeout() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// tryCompleteJoin ends the join round when nobody is missing.
func (m *Machine) tryCompleteJoin(g *group) {
	if g.state != PreparingRebalance || len(g.pending) > 0 {
		return
	}
	if g.settle.After(m.now) && g.due.After(m.now) {
		return
	}
	for _, member := range g.members {
		if !member.isJoining {
			return
		}
	}
	m.completeJoin(g)
}

// completeJoin makes the next generation of who has joined. Static members that have not keep their place.
func (m *Machine) completeJoin(g *group) {
	g.members = slices.DeleteFunc(g.members, func(member *member) bool { return !member.isJoining && member.instance == "" })
	lead := slices.IndexFunc(g.members, func(member *member) bool { return member.isJoining })
	if len(g.members) > 0 && lead < 0 {
		// Only static members, none of them back: they keep their places until their sessions end.
		g.due = m.now.Add(max(g.rebalanceTimeout(), time.Second))
		return
	}
	g.generation++
	g.settle = time.Time{}
	if len(g.members) == 0 {
		g.state, g.leader, g.protocol, g.emptied = Empty, "", "", m.now
		return
	}
	if leader := g.member(g.leader); leader == nil || !leader.isJoining {
		g.leader = g.members[lead].id
	}
	g.protocol = g.choose()
	g.state = CompletingRebalance
	g.due = m.now.Add(g.rebalanceTimeout())
	for _, member := range g.members {
		m.touch(member)
		if member.isJoining {
			member.isJoining = false
			m.reply(member.joining, g.joined(member))
		}
	}
}

// choose picks the protocol: each member votes for the first in its list that all support; the leader's order decides
// between equals.
func (g *group) choose() string {
	votes := map[string]int{}
	common := func(name string) bool {
		return !slices.ContainsFunc(g.members, func(m *member) bool { return !m.supports(name) })
	}
	for _, m := range g.members {
		if i := slices.IndexFunc(m.protocols, func(p Protocol) bool { return common(p.Name) }); i >= 0 {
			votes[m.protocols[i].Name]++
		}
	}
	best := ""
	for _, p := range g.member(g.leader).protocols {
		if votes[p.Name] > votes[best] {
			best = p.Name
		}
	}
	return best
}
