package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// consumerGroupHeartbeat is how a member of a consumer group joins, lives, confirms its partitions and leaves (KIP-848).
func (s *Server) consumerGroupHeartbeat(ctx context.Context, r *request, q *kmsg.ConsumerGroupHeartbeatRequest) answer {
	a := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	if fault := checkConsumerHeartbeat(r.version, q); fault != "" {
		a.ErrorCode, a.ErrorMessage = kerr.InvalidRequest.Code, &fault
		return answer{response: a}
	}
	in := group.ConsumerHeartbeat{Group: q.Group, Member: q.MemberID, Epoch: q.MemberEpoch, Instance: text(q.InstanceID), Rack: text(q.RackID),
		ClientID: r.clientID, ClientHost: r.conn.clientHost(), Viewer: group.Viewer{Principal: string(r.principal), Host: r.conn.host()}, Topics: q.SubscribedTopicNames, Regex: q.SubscribedTopicRegex,
		Assignor: text(q.ServerAssignor), RebalanceTimeout: max(0, milliseconds(q.RebalanceTimeoutMillis))}
	if q.Topics != nil {
		in.Owned = []group.TopicPartition{}
	}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			in.Owned = append(in.Owned, group.TopicPartition{Topic: t.TopicID, Partition: p})
		}
	}
	if in.Member == "" {
		in.Member = newMemberID(r.clientID, in.Instance)
	}
	s.coordinator.knowTopics(in.Topics)
	got, ok := s.coordinator.ask(ctx, func(t group.Token) group.Input { in.Token = t; return in })
	if !ok {
		a.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return answer{response: a}
	}
	reply := got.(group.ConsumerReply)
	if reply.Code != 0 {
		a.ErrorCode, a.ErrorMessage = int16(reply.Code), &reply.Message
		return answer{response: a}
	}
	a.MemberID, a.MemberEpoch, a.HeartbeatIntervalMillis = &reply.Member, reply.Epoch, int32(reply.Interval.Milliseconds())
	if reply.Assignment {
		assignment := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
		for _, of := range byTopic(reply.Assigned) {
			t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			t.TopicID, t.Partitions = of.topic, of.partitions
			assignment.Topics = append(assignment.Topics, t)
		}
		a.Assignment = &assignment
	}
	return answer{response: a}
}

// checkConsumerHeartbeat tells what is wrong with a heartbeat whatever the group, empty: nothing.
func checkConsumerHeartbeat(version int16, q *kmsg.ConsumerGroupHeartbeatRequest) string {
	empty := func(s *string) bool { return s != nil && *s == "" }
	switch {
	case q.Group == "":
		return "GroupId can't be empty."
	case q.MemberID == "" && (version >= 1 || q.MemberEpoch != 0):
		return "MemberId can't be empty." // from version 1 on the member makes it (KIP-1082)
	case empty(q.InstanceID):
		return "InstanceId can't be empty."
	case empty(q.RackID):
		return "RackId can't be empty."
	case q.MemberEpoch < -2:
		return "MemberEpoch is invalid."
	case q.MemberEpoch == -2 && q.InstanceID == nil:
		return "InstanceId can't be null when the member leaves for a while."
	case q.MemberEpoch == 0 && q.RebalanceTimeoutMillis <= 0:
		return "RebalanceTimeoutMs must be provided in first request."
	case q.MemberEpoch == 0 && (q.Topics == nil || len(q.Topics) > 0):
		return "TopicPartitions must be empty when (re-)joining."
	case q.MemberEpoch == 0 && q.SubscribedTopicNames == nil && q.SubscribedTopicRegex == nil:
		return "SubscribedTopicNames or SubscribedTopicRegex must be set when (re-)joining."
	}
	return ""
}

// ofTopic are the partitions of one topic.
type ofTopic struct {
	topic      [16]byte
	partitions []int32
}

// byTopic gathers sorted partitions by their topics.
func byTopic(list []group.TopicPartition) (out []ofTopic) {
	for _, tp := range list {
		if n := len(out); n == 0 || out[n-1].topic != tp.Topic {
			out = append(out, ofTopic{topic: tp.Topic})
		}
		last := &out[len(out)-1]
		last.partitions = append(last.partitions, tp.Partition)
	}
	return out
}
