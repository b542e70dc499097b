package kafka

import (
	"cmp"
	"crypto/tls"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/group"
)

// Metrics are what a server has counted since Open, and what it and its log hold now.
type Metrics struct {
	All        TopicCounts // of all topics: those that are no more too, and requests for topics that there are not
	Topics     []TopicCounts
	Requests   []RequestCounts
	Listeners  [2]ListenerCounts // in clear, with TLS
	Partitions []PartitionMetrics
	Groups     []GroupMetrics
	// NumTopics, NumPartitions and NumGroups count all there are.
	NumTopics, NumPartitions, NumGroups int
	// LeftOut counts the partitions, and partitions of groups, that there are beyond the limit of either, and the groups
	// whose name cannot be shown.
	LeftOut int
}

// TopicCounts are what clients did with a topic. Produces and Fetches count partitions of requests, as Kafka does.
type TopicCounts struct {
	Name                                             string
	MessagesIn, BytesIn, BytesOut                    int64
	Produces, FailedProduces, Fetches, FailedFetches int64
}

// RequestCounts are the answered requests of one key.
type RequestCounts struct {
	Name     string  // by kmsg: "Produce"
	Versions []int64 // requests by version
	// Buckets count the latencies up to each of LatencyBounds and above the one before; the last has those above all.
	// A latency is from when the request was read until its answer was sent.
	Buckets         [len(LatencyBounds) + 1]int64
	Took, Throttled time.Duration // sums
}

// ListenerCounts are the connections of the listeners of one security protocol.
type ListenerCounts struct{ Accepted, Open int64 }

// PartitionMetrics are a partition's limits and the bytes of its records on the disk.
type PartitionMetrics struct {
	Topic     string
	Partition int32
	log.Bounds
	Size int64
}

// GroupMetrics are a consumer group's members, and how far it has come with each partition that it has committed for.
type GroupMetrics struct {
	Name    string
	Members int
	Offsets []GroupOffset
}

// GroupOffset is a committed offset. Lag is what the partition has beyond it.
type GroupOffset struct {
	Topic     string
	Partition int32
	Committed int64
	Lag       int64
}

const (
	// metricSeries bounds the partitions that Metrics tell of, and as much again the partitions of groups: what reads them
	// keeps some series for each.
	metricSeries = 20_000
	// metricGroupName bounds the name of a group that Metrics tell of: clients choose it.
	metricGroupName = 255
)

// Metrics gives what the server has counted and holds. It costs some microseconds for each partition and group.
func (s *Server) Metrics() Metrics {
	topics := s.log.Topics()
	out := Metrics{NumTopics: len(topics), Requests: s.meters.requestCounts()}
	out.Topics, out.All = s.meters.topicCounts(s.log)
	out.Listeners = s.listenerCounts()
	for _, t := range topics {
		out.NumPartitions += int(t.Partitions)
		for i := range t.Partitions {
			p := log.Partition{Topic: t.ID, Index: i}
			b, err := s.log.Bounds(p)
			if err != nil {
				continue // dropped since
			}
			if len(out.Partitions) == metricSeries {
				out.LeftOut++
				continue
			}
			out.Partitions = append(out.Partitions, PartitionMetrics{Topic: t.Name, Partition: i, Bounds: b, Size: s.log.Size(p)})
		}
	}
	s.groupMetrics(&out)
	return out
}

// groupMetrics adds the groups.
func (s *Server) groupMetrics(out *Metrics) {
	groups := s.coordinator.list()
	out.NumGroups = len(groups)
	room := metricSeries
	for _, g := range groups {
		if len(g.Name) > metricGroupName || !utf8.ValidString(g.Name) || room <= 0 {
			out.LeftOut++
			continue
		}
		m := GroupMetrics{Name: g.Name, Members: s.coordinator.members(g)}
		room--
		for _, o := range s.coordinator.offsets(g.Name) {
			topic, ok := s.log.Topic(o.Topic)
			if !ok {
				continue
			}
			b, err := s.log.Bounds(log.Partition{Topic: topic.ID, Index: o.Partition})
			if err != nil {
				continue
			}
			if room--; room < 0 {
				out.LeftOut++
				continue
			}
			m.Offsets = append(m.Offsets, GroupOffset{Topic: o.Topic, Partition: o.Partition, Committed: o.Offset, Lag: max(0, b.End-o.Offset)})
		}
		out.Groups = append(out.Groups, m)
	}
}

// members counts the members of a group.
func (c *coordinator) members(g group.Group) int {
	if g.Type == group.Consumer {
		d, _ := c.describeConsumers(g.Name)
		return len(d.Members)
	}
	return len(c.describe(g.Name).Members)
}

func (s *Server) listenerCounts() (out [2]ListenerCounts) {
	out[0].Accepted, out[1].Accepted = s.meters.accepted.clear.Load(), s.meters.accepted.tls.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.mu.conns {
		if _, encrypted := c.net.(*tls.Conn); encrypted {
			out[1].Open++
		} else {
			out[0].Open++
		}
	}
	return out
}

// topicCounts gives the counts of the topics that there are, by name, and of all; it drops the meters of topics that are no more.
func (m *meters) topicCounts(l log.Log) (out []TopicCounts, all TopicCounts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	meters := *m.topics.Load()
	kept := make(map[log.TopicID]*topicMeter, len(meters))
	for id, meter := range meters {
		counts := meter.counts()
		if topic, ok := l.TopicByID(id); ok {
			counts.Name, kept[id] = topic.Name, meter
			out = append(out, counts)
		} else {
			m.mu.gone.add(counts)
		}
	}
	if len(kept) < len(meters) {
		m.topics.Store(&kept)
	}
	all = m.mu.gone
	all.add(m.unknown.counts())
	for _, c := range out {
		all.add(c)
	}
	slices.SortFunc(out, func(a, b TopicCounts) int { return cmp.Compare(a.Name, b.Name) })
	return out, all
}

func (t *topicMeter) counts() TopicCounts {
	return TopicCounts{MessagesIn: t.messagesIn.Load(), BytesIn: t.bytesIn.Load(), BytesOut: t.bytesOut.Load(),
		Produces: t.produces.Load(), FailedProduces: t.failedProduces.Load(), Fetches: t.fetches.Load(), FailedFetches: t.failedFetches.Load()}
}

func (t *TopicCounts) add(o TopicCounts) {
	t.MessagesIn += o.MessagesIn
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
	t.Produces += o.Produces
	t.FailedProduces += o.FailedProduces
	t.Fetches += o.Fetches
	t.FailedFetches += o.FailedFetches
}

// requestCounts gives the counts of the keys that have been used, by key.
func (m *meters) requestCounts() (out []RequestCounts) {
	for _, key := range slices.Sorted(maps.Keys(m.requests)) {
		meter := m.requests[key]
		c := RequestCounts{Name: kmsg.NameForKey(key), Versions: make([]int64, len(meter.versions)),
			Took: time.Duration(meter.took.Load()), Throttled: time.Duration(meter.throttled.Load())}
		used := false
		for i := range c.Versions {
			c.Versions[i] = meter.versions[i].Load()
			used = used || c.Versions[i] > 0
		}
		for i := range c.Buckets {
			c.Buckets[i] = meter.buckets[i].Load()
		}
		if used {
			out = append(out, c)
		}
	}
	return out
}
