package group

import "slices"

func (m *Machine) sync(in Sync) {
	g := m.groups[in.Group]
	member, code := g.find(in.Member, in.Instance)
	switch {
	case code != 0:
	case in.Generation != g.generation:
		code = illegalGeneration
	case in.ProtocolType != "" && in.ProtocolType != g.protocolType, in.Protocol != "" && in.Protocol != g.protocol:
		code = inconsistentProtocol
	case g.state == PreparingRebalance:
		code = rebalanceInProgress
	case g.state == Empty:
		code = unknownMember
	}
	if code != 0 {
		m.reply(in.Token, SyncReply{Code: code})
		return
	}
	m.touch(member)
	if g.state == Stable {
		m.reply(in.Token, g.synced(member))
		return
	}
	if member.isSyncing {
		m.reply(member.syncing, SyncReply{Code: rebalanceInProgress})
	}
	member.syncing, member.isSyncing = in.Token, true
	if member.id != g.leader {
		return
	}
	g.state = Stable
	for _, member := range g.members {
		member.assignment = in.Assignments[member.id]
		if member.isSyncing {
			member.isSyncing = false
			m.touch(member)
			m.reply(member.syncing, g.synced(member))
		}
	}
}

func (g *group) synced(member *member) SyncReply {
	return SyncReply{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: member.assignment}
}

// expireSync ends a generation whose leader did not assign in time: who has not come to sync is gone.
func (m *Machine) expireSync(g *group) {
	for _, member := range slices.Clone(g.members) {
		if !member.isSyncing {
			m.remove(g, member)
		}
	}
	if g.state == CompletingRebalance {
		m.prepareRebalance(g)
	}
}

func (m *Machine) heartbeat(in Heartbeat) Code {
	g := m.groups[in.Group]
	member, code := g.find(in.Member, in.Instance)
	switch {
	case code != 0:
		return code
	case in.Generation != g.generation:
		return illegalGeneration
	}
	m.touch(member)
	if g.state == PreparingRebalance {
		return rebalanceInProgress
	}
	return 0
}

func (m *Machine) leave(in Leave) {
	g := m.groups[in.Group]
	reply := LeaveReply{Members: make([]Code, len(in.Members))}
	for i, who := range in.Members {
		reply.Members[i] = m.leaveOne(g, who)
	}
	m.reply(in.Token, reply)
	if g != nil {
		m.forget(g)
	}
}

func (m *Machine) leaveOne(g *group, who LeaveMember) Code {
	if g == nil {
		return unknownMember
	}
	if g.consumers.any() {
		c, fault := g.leaver(who.Member, who.Instance)
		if fault != nil {
			return fault.Code
		}
		m.removeConsumers(g, c)
		return 0
	}
	if _, ok := g.pending[who.Member]; ok && who.Instance == "" {
		delete(g.pending, who.Member)
		m.tryCompleteJoin(g)
		return 0
	}
	id := who.Member
	if static := g.instance(who.Instance); static != nil && id == "" {
		id = static.id
	}
	member, code := g.find(id, who.Instance)
	if code == 0 {
		m.remove(g, member)
	}
	return code
}

// remove takes a member out and starts a rebalance among the others.
func (m *Machine) remove(g *group, gone *member) {
	g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == gone })
	if gone.isJoining {
		m.reply(gone.joining, JoinReply{Code: unknownMember, Member: gone.id, Generation: -1})
	}
	if gone.isSyncing {
		m.reply(gone.syncing, SyncReply{Code: unknownMember})
	}
	if g.leader == gone.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	if g.state == Stable || g.state == CompletingRebalance {
		m.prepareRebalance(g)
	}
	m.tryCompleteJoin(g)
}
