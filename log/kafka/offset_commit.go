package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// offsetCommit stores the offsets of a group; it answers when they are durable.
func (s *Server) offsetCommit(ctx context.Context, r *request, q *kmsg.OffsetCommitRequest) answer {
	a := kmsg.NewPtrOffsetCommitResponse()
	in := group.Commit{Group: q.Group, Generation: q.Generation, Member: q.MemberID, Instance: text(q.InstanceID), NoEpochs: r.version < 9}
	now := s.options.Clock.Now().UnixMilli()
	type place struct{ topic, partition int }
	var places []place // of each of in.Offsets in the answer
	for i := range q.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		for j := range q.Topics[i].Partitions {
			want := &q.Topics[i].Partitions[j]
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition = want.Partition
			if !known || want.Partition < 0 || want.Partition >= topic.Partitions {
				p.ErrorCode = absent
			} else {
				places = append(places, place{i, j})
				in.Offsets = append(in.Offsets, group.Offset{Topic: t.Topic, TopicID: topic.ID, Partition: want.Partition,
					Offset: want.Offset, LeaderEpoch: want.LeaderEpoch, Metadata: text(want.Metadata), Time: now})
			}
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	if len(in.Offsets) > 0 {
		for i, code := range s.coordinator.commit(ctx, in) {
			a.Topics[places[i].topic].Partitions[places[i].partition].ErrorCode = int16(code)
		}
	}
	return answer{response: a}
}
