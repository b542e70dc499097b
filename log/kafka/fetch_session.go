package kafka

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
)

// Bounds of the sessions that are kept. A client whose session is not goes on with full requests.
const (
	sessionSlots      = 1000            // max.incremental.fetch.session.cache.slots
	sessionPartitions = 500_000         // of all sessions together: about 100 bytes each
	sessionIdle       = 2 * time.Minute // min.incremental.fetch.session.eviction.ms
)

// Epochs of a fetch session in requests (KIP-227). A session's own go from 1 on.
const (
	finalEpoch = -1 // a full request, which ends the session that it names
	firstEpoch = 0  // a full request, which asks for a session
)

// fetchSessions remembers what clients fetch, so that they name what changes only, and are told what changes only (KIP-227).
type fetchSessions struct {
	clock             clock.Clock
	slots, partitions int

	mu struct {
		sync.Mutex
		sessions   map[int32]*fetchSession
		partitions int // of all sessions
	}
}

// fetchSession is what one client fetches.
type fetchSession struct {
	id, epoch     int32 // the epoch of the next request
	byID          bool  // topics are known by their ids (Fetch 13), not by their names
	created, used time.Time
	partitions    map[sessionKey]*sessionPartition
	// order is the order of reading: what gave records goes to the end, so that all have their turn at the request's bytes.
	order []*sessionPartition
}

type sessionKey struct {
	topic     string // empty: by id
	id        [16]byte
	partition int32
}

// sessionPartition is one partition of a session: how it is fetched, and what the client was told of it last.
type sessionPartition struct {
	key        sessionKey
	name       string // of its topic, once that has been found by its id
	want       kmsg.FetchRequestTopicPartition
	start, end int64 // -1: must be told
}

func newFetchSessions(c clock.Clock) *fetchSessions {
	s := &fetchSessions{clock: c, slots: sessionSlots, partitions: sessionPartitions}
	s.mu.sessions = map[int32]*fetchSession{}
	return s
}

// begin completes a request that continues a session to a full one, and gives the session with its partitions in the request's
// order; no session: the request is a full one. The code is why it cannot be continued.
func (c *fetchSessions) begin(q *kmsg.FetchRequest) (*fetchSession, []*sessionPartition, int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.sessions[q.SessionID]
	if q.SessionEpoch == firstEpoch || q.SessionEpoch == finalEpoch {
		c.remove(s)
		return nil, nil, 0
	}
	switch {
	case s == nil:
		return nil, nil, kerr.FetchSessionIDNotFound.Code
	case s.epoch != q.SessionEpoch:
		return nil, nil, kerr.InvalidFetchSessionEpoch.Code
	case s.byID != (q.Version >= 13):
		return nil, nil, kerr.FetchSessionTopicIDError.Code
	}
	c.mu.partitions -= len(s.order)
	s.change(q)
	c.mu.partitions += len(s.order)
	switch {
	case len(s.order) == 0:
		c.remove(s) // and as in Kafka the request is a full one: of what it names and forgets, if anything
		return nil, nil, 0
	case c.mu.partitions > c.partitions:
		c.remove(s)
		return nil, nil, kerr.FetchSessionIDNotFound.Code
	}
	if s.epoch++; s.epoch <= 0 {
		s.epoch = 1
	}
	s.used = c.clock.Now()
	q.Topics = s.request()
	return s, slices.Clone(s.order), 0
}

// once leaves each partition in a full request once: as it was named last, where it was named first.
func once(q *kmsg.FetchRequest) {
	if len(q.Topics) == 1 && len(q.Topics[0].Partitions) == 1 {
		return
	}
	seen := make(map[sessionKey]*kmsg.FetchRequestTopicPartition, len(q.Topics))
	for i := range q.Topics {
		t := &q.Topics[i]
		left := t.Partitions[:0]
		for _, want := range t.Partitions {
			key := sessionKey{topic: t.Topic, id: t.TopicID, partition: want.Partition}
			if first := seen[key]; first != nil {
				*first = want
				continue
			}
			left = append(left, want)
			seen[key] = &left[len(left)-1]
		}
		t.Partitions = left
	}
}

// change takes in the partitions that a request adds, fetches otherwise than before, or forgets.
func (s *fetchSession) change(q *kmsg.FetchRequest) {
	for i := range q.Topics {
		for _, want := range q.Topics[i].Partitions {
			s.add(q.Topics[i].Topic, q.Topics[i].TopicID, want)
		}
	}
	forgotten := false
	for _, t := range q.ForgottenTopics {
		for _, p := range t.Partitions {
			delete(s.partitions, s.key(t.Topic, t.TopicID, p))
			forgotten = true
		}
	}
	if forgotten {
		s.order = slices.DeleteFunc(s.order, func(p *sessionPartition) bool { return s.partitions[p.key] != p })
	}
}

func (s *fetchSession) key(topic string, id [16]byte, partition int32) sessionKey {
	if s.byID {
		return sessionKey{id: id, partition: partition}
	}
	return sessionKey{topic: topic, partition: partition}
}

func (s *fetchSession) add(topic string, id [16]byte, want kmsg.FetchRequestTopicPartition) *sessionPartition {
	key := s.key(topic, id, want.Partition)
	p := s.partitions[key]
	if p == nil {
		p = &sessionPartition{key: key, start: -1, end: -1}
		s.partitions[key] = p
		s.order = append(s.order, p)
	}
	want.UnknownTags = kmsg.Tags{}
	p.want = want
	return p
}

// request is the full request of all the session's partitions, in its order. It names topics that were found by their ids, too.
func (s *fetchSession) request() (topics []kmsg.FetchRequestTopic) {
	for i, p := range s.order {
		if i == 0 || s.order[i-1].key.topic != p.key.topic || s.order[i-1].key.id != p.key.id {
			topics = append(topics, kmsg.FetchRequestTopic{Topic: cmp.Or(p.key.topic, p.name), TopicID: p.key.id})
		}
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, p.want)
	}
	return topics
}

// create makes a session of a full request that is answered, and gives its id, 0: there is no room for it.
func (c *fetchSessions) create(q *kmsg.FetchRequest, answers []fetched) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.room(len(answers)) {
		return 0
	}
	now := c.clock.Now()
	s := &fetchSession{epoch: 1, byID: q.Version >= 13, created: now, used: now, partitions: make(map[sessionKey]*sessionPartition, len(answers))}
	next := 0
	for i := range q.Topics {
		for _, want := range q.Topics[i].Partitions {
			s.add(q.Topics[i].Topic, q.Topics[i].TopicID, want).told(&answers[next])
			next++
		}
	}
	for s.id == 0 || c.mu.sessions[s.id] != nil {
		s.id = rand.Int32()
	}
	c.mu.sessions[s.id] = s
	c.mu.partitions += len(s.order)
	return s.id
}

// told remembers what the client is told of a partition, and says whether it is anything new.
func (p *sessionPartition) told(a *fetched) (news bool) {
	start, end := a.bounds.Start, a.bounds.End
	if a.code != 0 {
		start, end = -1, -1 // and once more when the fault is over
	}
	news = len(a.records) > 0 || a.code != 0 || a.diverging != nil || start != p.start || end != p.end
	p.start, p.end = start, end
	p.name = cmp.Or(a.name, p.name)
	return news
}

// answer marks what the client need not be told, and sends to the end of the order what gave records.
func (c *fetchSessions) answer(s *fetchSession, partitions []*sessionPartition, answers []fetched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gave := map[*sessionPartition]bool{}
	for i, p := range partitions {
		answers[i].unchanged = !p.told(&answers[i])
		if len(answers[i].records) > 0 {
			gave[p] = true
		}
	}
	if len(gave) > 0 {
		slices.SortStableFunc(s.order, func(a, b *sessionPartition) int {
			switch {
			case gave[a] == gave[b]:
				return 0
			case gave[b]:
				return -1
			}
			return 1
		})
	}
}

// room makes room for a session of n partitions: one that was not used for long goes for it, or one that is smaller and not new.
func (c *fetchSessions) room(n int) bool {
	for len(c.mu.sessions) >= c.slots || c.mu.partitions+n > c.partitions {
		long := c.clock.Now().Add(-sessionIdle)
		var stalest, smallest *fetchSession
		for _, s := range c.mu.sessions {
			if !s.used.After(long) && (stalest == nil || s.used.Before(stalest.used)) {
				stalest = s
			}
			if !s.created.After(long) && len(s.order) < n && (smallest == nil || len(s.order) < len(smallest.order)) {
				smallest = s
			}
		}
		switch {
		case stalest != nil:
			c.remove(stalest)
		case smallest != nil && len(c.mu.sessions) >= c.slots:
			c.remove(smallest)
		default:
			return false
		}
	}
	return true
}

func (c *fetchSessions) remove(s *fetchSession) {
	if s != nil && c.mu.sessions[s.id] == s {
		delete(c.mu.sessions, s.id)
		c.mu.partitions -= len(s.order)
	}
}
