package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// electLeaders finds that this node leads every partition already (KIP-183, KIP-460). Like Kafka it names partitions that need no
// election only to who asked for them one by one.
func (s *Server) electLeaders(_ context.Context, _ *request, q *kmsg.ElectLeadersRequest) answer {
	a := kmsg.NewPtrElectLeadersResponse()
	if q.ElectionType < 0 || q.ElectionType > 1 {
		refuseElection(q, a, kerr.InvalidRequest.Code, message(kerr.InvalidRequest))
		return answer{response: a}
	}
	for _, want := range q.Topics {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = want.Topic
		topic, known := s.log.Topic(want.Topic)
		for _, index := range want.Partitions {
			code := kerr.ElectionNotNeeded
			if !known || index < 0 || index >= topic.Partitions {
				code = kerr.UnknownTopicOrPartition
			}
			t.Partitions = append(t.Partitions, kmsg.ElectLeadersResponseTopicPartition{Partition: index, ErrorCode: code.Code, ErrorMessage: message(code)})
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

// refuseElection tells a refusal with each partition too: version 0 has no other place for it.
func refuseElection(q *kmsg.ElectLeadersRequest, a *kmsg.ElectLeadersResponse, code int16, text *string) {
	a.ErrorCode = code
	for _, want := range q.Topics {
		t := kmsg.ElectLeadersResponseTopic{Topic: want.Topic}
		for _, index := range want.Partitions {
			t.Partitions = append(t.Partitions, kmsg.ElectLeadersResponseTopicPartition{Partition: index, ErrorCode: code, ErrorMessage: text})
		}
		a.Topics = append(a.Topics, t)
	}
}
