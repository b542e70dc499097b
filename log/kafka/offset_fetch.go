package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// offsetFetch gives committed offsets: of one group up to version 7, of many from version 8 on (KIP-709).
func (s *Server) offsetFetch(_ context.Context, r *request, q *kmsg.OffsetFetchRequest) answer {
	a := kmsg.NewPtrOffsetFetchResponse()
	if r.version >= 8 {
		for i := range q.Groups {
			a.Groups = append(a.Groups, s.groupOffsets(r, &q.Groups[i], q.RequireStable))
		}
		return answer{response: a}
	}
	// The older shape is the newer one's with a single group; null asks for all topics from version 2 on.
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = q.Group
	if q.Topics != nil || r.version < 2 {
		one.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(q.Topics))
	}
	for _, t := range q.Topics {
		one.Topics = append(one.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	g := s.groupOffsets(r, &one, q.RequireStable)
	a.ErrorCode = g.ErrorCode
	if g.ErrorCode != 0 && r.version < 2 { // there it has no place but at the partitions
		g.Topics = refusedOffsets(one.Topics, g.ErrorCode)
	}
	for _, t := range g.Topics {
		topic := kmsg.NewOffsetFetchResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{Partition: p.Partition, Offset: p.Offset,
				LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode})
		}
		a.Topics = append(a.Topics, topic)
	}
	return answer{response: a}
}

func refusedOffsets(topics []kmsg.OffsetFetchRequestGroupTopic, code int16) (out []kmsg.OffsetFetchResponseGroupTopic) {
	for _, t := range topics {
		topic := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, refusedOffset(p, code))
		}
		out = append(out, topic)
	}
	return out
}

func refusedOffset(partition int32, code int16) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{Partition: partition, Offset: -1, LeaderEpoch: -1, ErrorCode: code}
}

func (s *Server) groupOffsets(r *request, want *kmsg.OffsetFetchRequestGroup, stable bool) kmsg.OffsetFetchResponseGroup {
	g := kmsg.NewOffsetFetchResponseGroup()
	g.Group = want.Group
	if !s.mayGroup(r, want.Group) {
		g.ErrorCode = kerr.GroupAuthorizationFailed.Code
		return g
	}
	if g.ErrorCode = s.coordinator.mayFetch(want); g.ErrorCode != 0 {
		return g
	}
	unstable := func(string, int32) bool { return false }
	if stable {
		unstable = s.coordinator.unstable(want.Group, s.log)
	}
	stored := map[topicPartition]group.Offset{}
	for _, o := range s.coordinator.offsets(want.Group) {
		stored[topicPartition{o.Topic, o.Partition}] = o
		if want.Topics != nil || !s.mayTopic(r, o.Topic) {
			continue
		}
		if n := len(g.Topics); n == 0 || g.Topics[n-1].Topic != o.Topic {
			t := kmsg.NewOffsetFetchResponseGroupTopic()
			t.Topic = o.Topic
			g.Topics = append(g.Topics, t)
		}
		t := &g.Topics[len(g.Topics)-1]
		t.Partitions = append(t.Partitions, storedOffset(o.Partition, o, true, unstable(o.Topic, o.Partition)))
	}
	for _, w := range want.Topics {
		t := kmsg.NewOffsetFetchResponseGroupTopic()
		t.Topic = w.Topic
		may := s.mayTopic(r, w.Topic)
		for _, partition := range w.Partitions {
			if !may {
				t.Partitions = append(t.Partitions, refusedOffset(partition, kerr.TopicAuthorizationFailed.Code))
				continue
			}
			o, ok := stored[topicPartition{w.Topic, partition}]
			t.Partitions = append(t.Partitions, storedOffset(partition, o, ok, unstable(w.Topic, partition)))
		}
		g.Topics = append(g.Topics, t)
	}
	return g
}

// storedOffset is the answer for one partition; -1: nothing was committed.
func storedOffset(partition int32, o group.Offset, ok, unstable bool) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, -1, -1, &o.Metadata
	switch {
	case unstable:
		p.ErrorCode = kerr.UnstableOffsetCommit.Code // a transaction may be about to change it (KIP-447)
	case ok:
		p.Offset, p.LeaderEpoch = o.Offset, o.LeaderEpoch
	}
	return p
}
