package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// deleteGroups forgets groups without members, with their offsets.
func (s *Server) deleteGroups(ctx context.Context, r *request, q *kmsg.DeleteGroupsRequest) answer {
	a := kmsg.NewPtrDeleteGroupsResponse()
	for _, name := range unique(q.Groups, itself) {
		g := kmsg.NewDeleteGroupsResponseGroup()
		if g.Group = name; !s.mayGroup(r, name) {
			g.ErrorCode = kerr.GroupAuthorizationFailed.Code
			a.Groups = append(a.Groups, g)
			continue
		}
		err := s.coordinator.forget(ctx, name, func(d group.Group, offsets []group.Offset) ([]group.Offset, error) {
			if d.State != group.Empty {
				return nil, kerr.NonEmptyGroup
			}
			return offsets, nil
		})
		g.ErrorCode = errorCode(err)
		a.Groups = append(a.Groups, g)
	}
	return answer{response: a}
}

// offsetDelete forgets a group's offsets in topics that none of its members reads (KIP-496).
func (s *Server) offsetDelete(ctx context.Context, r *request, q *kmsg.OffsetDeleteRequest) answer {
	a := kmsg.NewPtrOffsetDeleteResponse()
	if q.Group == "" {
		a.ErrorCode = kerr.InvalidGroupID.Code
		return answer{response: a}
	}
	err := s.coordinator.forget(ctx, q.Group, func(d group.Group, offsets []group.Offset) ([]group.Offset, error) {
		if d.State != group.Empty && d.ProtocolType != "consumer" {
			return nil, kerr.NonEmptyGroup
		}
		subscribed, known := s.coordinator.subscriptions(d)
		var gone []group.Offset
		for i := range q.Topics {
			t := kmsg.NewOffsetDeleteResponseTopic()
			t.Topic = q.Topics[i].Topic
			topic, there, absent := s.topic(r, t.Topic)
			for _, want := range q.Topics[i].Partitions {
				p := kmsg.NewOffsetDeleteResponseTopicPartition()
				p.Partition = want.Partition
				if !there || p.Partition < 0 || p.Partition >= topic.Partitions {
					p.ErrorCode = absent
				} else if !known || slices.Contains(subscribed, t.Topic) {
					p.ErrorCode = kerr.GroupSubscribedToTopic.Code
				} else if i := slices.IndexFunc(offsets, func(o group.Offset) bool { return o.Topic == t.Topic && o.Partition == want.Partition }); i >= 0 {
					gone = append(gone, offsets[i])
				}
				t.Partitions = append(t.Partitions, p)
			}
			a.Topics = append(a.Topics, t)
		}
		return gone, nil
	})
	if err != nil {
		a.ErrorCode, a.Topics = errorCode(err), nil
	}
	return answer{response: a}
}

// subscriptions are the topics that the members of a group read; known is false while a rebalance of a classic group is under
// way. The caller holds mu.
func (c *coordinator) subscriptions(d group.Group) (topics []string, known bool) {
	if consumers, ok := c.mu.machine.DescribeConsumers(d.Name); ok {
		for _, m := range consumers.Members {
			topics = append(topics, m.Subscribed...)
		}
		return topics, true
	}
	for _, m := range d.Members {
		subscription := kmsg.NewConsumerMemberMetadata()
		if d.State != group.Stable || subscription.ReadFrom(m.Metadata) != nil {
			return nil, false
		}
		topics = append(topics, subscription.Topics...)
	}
	return topics, true
}
