package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/group"
)

// consumerMember says that a member uses the consumer protocol: a group has no members of both.
const consumerMember = 1

// consumerGroupDescribe tells of groups of the consumer protocol and their members (KIP-848). Of a group of the classic protocol
// it says that there is none, upon which clients ask DescribeGroups.
func (s *Server) consumerGroupDescribe(_ context.Context, r *request, q *kmsg.ConsumerGroupDescribeRequest) answer {
	a := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, name := range unique(q.Groups, itself) {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		if g.Group = name; !s.mayGroup(r, name) {
			g.ErrorCode, g.ErrorMessage = kerr.GroupAuthorizationFailed.Code, message(kerr.GroupAuthorizationFailed)
			a.Groups = append(a.Groups, g)
			continue
		}
		d, ok := s.coordinator.describeConsumers(name)
		if !ok {
			text := "there is no group " + name + " of the consumer protocol"
			g.ErrorCode, g.ErrorMessage = kerr.GroupIDNotFound.Code, &text
			a.Groups = append(a.Groups, g)
			continue
		}
		if !s.mayDescribeTopics(r, d.Members) {
			text := "the group uses topics that the client may not describe"
			g.ErrorCode, g.ErrorMessage = kerr.TopicAuthorizationFailed.Code, &text
			a.Groups = append(a.Groups, g)
			continue
		}
		if q.IncludeAuthorizedOperations {
			g.AuthorizedOperations = s.authorizedOperations(r, access.Group, name)
		}
		g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName = string(d.State), d.Epoch, d.Epoch, d.Assignor
		for _, m := range d.Members {
			one := kmsg.NewConsumerGroupDescribeResponseGroupMember()
			one.MemberID, one.InstanceID, one.RackID, one.MemberEpoch = m.Member, nullable(m.Instance), nullable(m.Rack), m.Epoch
			one.ClientID, one.ClientHost, one.SubscribedTopics, one.SubscribedTopicRegex = m.ClientID, m.ClientHost, m.Topics, nullable(m.Regex)
			one.Assignment, one.TargetAssignment, one.MemberType = s.assignment(m.Assigned), s.assignment(m.Target), consumerMember
			g.Members = append(g.Members, one)
		}
		a.Groups = append(a.Groups, g)
	}
	return answer{response: a}
}

// mayDescribeTopics reports whether the sender may describe all topics that members have or are to have.
func (s *Server) mayDescribeTopics(r *request, members []group.ConsumerMember) bool {
	for _, m := range members {
		for _, tp := range slices.Concat(m.Assigned, m.Target) {
			if topic, ok := s.log.TopicByID(log.TopicID(tp.Topic)); ok && !s.may(r, access.Describe, access.Topic, topic.Name) {
				return false
			}
		}
	}
	return true
}

// assignment names the topics of partitions; those that are no more are left out.
func (s *Server) assignment(list []group.TopicPartition) kmsg.Assignment {
	a := kmsg.NewAssignment()
	for _, of := range byTopic(list) {
		if topic, ok := s.log.TopicByID(log.TopicID(of.topic)); ok {
			t := kmsg.NewAssignmentTopicPartition()
			t.TopicID, t.Topic, t.Partitions = of.topic, topic.Name, of.partitions
			a.TopicPartitions = append(a.TopicPartitions, t)
		}
	}
	return a
}
