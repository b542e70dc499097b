package group

import (
	"slices"
	"sort"
	"time"
	"unicode/utf16"
)

// Offset is a place in one partition that a group has committed.
type Offset struct {
	Topic       string
	TopicID     [16]byte // the incarnation of the topic; zero: not known
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	// Time is when it was committed, in Unix milliseconds.
	Time int64
}

type offsetKey struct {
	topic     string
	partition int32
}

type stored struct {
	Offset
	at int64 // log offset of the record
}

func (m *Machine) commit(in Commit) {
	store := Store{Token: in.Token, Group: in.Group, codes: m.mayCommit(in)}
	for i, o := range in.Offsets {
		if store.codes[i] == 0 {
			store.Offsets = append(store.Offsets, o)
			store.index = append(store.index, i)
		}
	}
	if len(store.Offsets) == 0 {
		m.reply(in.Token, CommitReply{store.codes})
		return
	}
	m.effects = append(m.effects, store)
}

// MayCommit tells for each offset of a commit whether it may be stored: for one that the driver stores by other means.
func (m *Machine) MayCommit(now time.Time, in Commit) []Code {
	m.now = now
	var codes []Code
	// A transactional producer that names no member answers for itself: its fencing is the transaction's (KIP-447).
	if in.Generation >= 0 || in.Member != "" {
		codes = m.mayCommit(in)
	} else {
		codes = m.mayStore(in)
	}
	for i, code := range codes {
		if code == staleEpoch {
			codes[i] = illegalGeneration // what producers know (GroupCoordinator answers them so too)
		}
	}
	return codes
}

// mayCommit gives a code for each offset: of the member's right to commit it, and of the offset itself.
func (m *Machine) mayCommit(in Commit) []Code {
	g, code := m.groups[in.Group], Code(0)
	switch {
	case in.Generation < 0 && (g == nil || len(g.members) == 0 && !g.consumers.any()):
	case g == nil:
		code = illegalGeneration
	case g.consumers.any():
		return m.mayConsumerCommit(g.consumers, in)
	default:
		code = m.mayMemberCommit(g, in)
	}
	if code == 0 {
		return m.mayStore(in)
	}
	return slices.Repeat([]Code{code}, len(in.Offsets))
}

func (m *Machine) mayMemberCommit(g *group, in Commit) Code {
	member, code := g.find(in.Member, in.Instance)
	switch {
	case code != 0:
		return code
	case in.Generation != g.generation:
		return illegalGeneration
	case g.state == CompletingRebalance:
		return rebalanceInProgress
	}
	m.touch(member)
	return 0
}

// mayConsumerCommit lets a member commit under its epoch, and what it has had since before under an older one too: it may not
// have heard of the newer yet, and nobody else has had the partition meanwhile (KIP-1251).
func (m *Machine) mayConsumerCommit(k *consumers, in Commit) []Code {
	c := k.members[in.Member]
	switch {
	case c == nil:
		return slices.Repeat([]Code{unknownMember}, len(in.Offsets))
	case in.NoEpochs:
		return slices.Repeat([]Code{unsupportedVersion}, len(in.Offsets))
	}
	codes := m.mayStore(in)
	if in.Generation == c.epoch {
		return codes
	}
	for i, o := range in.Offsets {
		tp := TopicPartition{o.TopicID, o.Partition}
		since, has := c.assigned[tp]
		if !has {
			since, has = c.revoking[tp]
		}
		if !has || in.Generation < since || in.Generation > c.epoch {
			codes[i] = staleEpoch
		}
	}
	return codes
}

// mayStore is about the offsets alone, not who commits them.
func (m *Machine) mayStore(in Commit) []Code {
	codes := make([]Code, len(in.Offsets))
	full := m.groups[in.Group] == nil && len(m.groups) >= m.options.MaxGroups
	for i, o := range in.Offsets {
		switch {
		case full:
			codes[i] = groupFull
		case characters(o.Metadata) > m.options.MaxMetadata:
			codes[i] = metadataTooLarge
		}
	}
	return codes
}

// characters counts as Java does: what takes four bytes counts twice.
func characters(s string) (n int) {
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// MayFetch tells whether a member of a consumer group may know the group's offsets: not under an older epoch, in which it
// could go on where another member has been since. Who names no member may.
func (m *Machine) MayFetch(name, member string, epoch int32) Code {
	g := m.groups[name]
	if member == "" && epoch < 0 || g == nil || g.consumers == nil {
		return 0
	}
	c := g.consumers.members[member]
	switch {
	case c == nil:
		return unknownMember
	case c.epoch != epoch:
		return staleEpoch
	}
	return 0
}

func (m *Machine) stored(in Stored) {
	for i, o := range in.Store.Offsets {
		in.Store.codes[in.Store.index[i]] = in.Code
		if in.Code == 0 {
			m.Load(in.Store.Group, o, in.At+int64(i))
		}
	}
	m.reply(in.Store.Token, CommitReply{in.Store.codes})
}

// Load takes a durable commit into the state: its record stands at the log offset at. The newest record of a partition
// wins whatever the order of loading.
func (m *Machine) Load(group string, o Offset, at int64) {
	g := m.groups[group]
	if g == nil {
		g = m.newGroup(group)
		g.protocolType = "consumer"
	}
	key := offsetKey{o.Topic, o.Partition}
	if old, ok := g.offsets[key]; !ok || old.at < at {
		g.offsets[key] = stored{o, at}
	}
}

// Unload takes a commit out again: a tombstone stands at the log offset at. A commit behind it stays.
func (m *Machine) Unload(group, topic string, partition int32, at int64) {
	if g := m.groups[group]; g != nil {
		if key := (offsetKey{topic, partition}); g.offsets[key].at < at {
			delete(g.offsets, key)
		}
		m.forget(g)
	}
}

// Offset gives the durable commit of a partition.
func (m *Machine) Offset(group, topic string, partition int32) (Offset, bool) {
	if g := m.groups[group]; g != nil {
		s, ok := g.offsets[offsetKey{topic, partition}]
		return s.Offset, ok
	}
	return Offset{}, false
}

// Offsets gives all durable commits of a group, by topic and partition.
func (m *Machine) Offsets(group string) []Offset {
	g := m.groups[group]
	if g == nil {
		return nil
	}
	out := make([]Offset, 0, len(g.offsets))
	for _, s := range g.offsets {
		out = append(out, s.Offset)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Topic != out[j].Topic {
			return out[i].Topic < out[j].Topic
		}
		return out[i].Partition < out[j].Partition
	})
	return out
}
