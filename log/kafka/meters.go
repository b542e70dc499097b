package kafka

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/log"
)

// meters count what a server does, from Open on. Counting is atomic adds alone: no lock, and nothing is allocated but for
// the first use of a topic.
type meters struct {
	topics   atomic.Pointer[map[log.TopicID]*topicMeter] // never changed in place
	unknown  topicMeter                                  // of topics that are not there, or not for who asks
	requests map[int16]*requestMeter                     // by key, all of them from the start
	accepted struct{ clear, tls atomic.Int64 }           // connections

	mu struct {
		sync.Mutex
		gone TopicCounts // of topics that are no more
	}
}

// topicMeter counts for one topic; see TopicCounts.
type topicMeter struct {
	messagesIn, bytesIn, bytesOut                    atomic.Int64
	produces, failedProduces, fetches, failedFetches atomic.Int64
}

// LatencyBounds are the upper bounds of the buckets that latencies are counted in; the last bucket has none.
var LatencyBounds = [...]time.Duration{250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second}

// requestMeter counts for one key of the protocol.
type requestMeter struct {
	versions        []atomic.Int64
	buckets         [len(LatencyBounds) + 1]atomic.Int64
	took, throttled atomic.Int64 // nanoseconds
}

func newMeters() *meters {
	m := &meters{requests: make(map[int16]*requestMeter, len(apis))}
	m.topics.Store(&map[log.TopicID]*topicMeter{})
	for key, a := range apis {
		m.requests[key] = &requestMeter{versions: make([]atomic.Int64, a.max+1)}
	}
	return m
}

// topic gives the meter of a topic, of the zero topic the one of those that are not there.
func (m *meters) topic(id log.TopicID) *topicMeter {
	if id.IsZero() {
		return &m.unknown
	}
	if t := (*m.topics.Load())[id]; t != nil {
		return t
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.topics.Load()
	if t := old[id]; t != nil {
		return t
	}
	grown := make(map[log.TopicID]*topicMeter, len(old)+1)
	maps.Copy(grown, old)
	t := &topicMeter{}
	grown[id] = t
	m.topics.Store(&grown)
	return t
}

// produced counts batches that the log has taken.
func (t *topicMeter) produced(messages int64, size int) {
	t.messagesIn.Add(messages)
	t.bytesIn.Add(int64(size))
}

// fetched counts the answer for one partition.
func (t *topicMeter) fetched(size int, failed bool) {
	t.fetches.Add(1)
	if size > 0 {
		t.bytesOut.Add(int64(size))
	}
	if failed {
		t.failedFetches.Add(1)
	}
}

// answered counts a request whose answer has been sent.
func (m *meters) answered(r *request, version int16, took, throttled time.Duration) {
	meter := m.requests[r.key]
	meter.versions[version].Add(1)
	bucket := 0
	for bucket < len(LatencyBounds) && took > LatencyBounds[bucket] {
		bucket++
	}
	meter.buckets[bucket].Add(1)
	meter.took.Add(int64(took))
	if throttled > 0 {
		meter.throttled.Add(int64(throttled))
	}
}
