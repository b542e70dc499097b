package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// createPartitions gives topics more partitions (KIP-195).
func (s *Server) createPartitions(ctx context.Context, r *request, q *kmsg.CreatePartitionsRequest) answer {
	a := kmsg.NewPtrCreatePartitionsResponse()
	for i := range q.Topics {
		t := kmsg.NewCreatePartitionsResponseTopic()
		t.Topic = q.Topics[i].Topic
		err := s.morePartitions(ctx, r, &q.Topics[i], q.ValidateOnly)
		t.ErrorCode, t.ErrorMessage = errorCode(err), message(err)
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

func (s *Server) morePartitions(ctx context.Context, r *request, want *kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	topic, err := s.findTopic(r, want.Topic)
	if err != nil {
		return err
	}
	if topic.Internal {
		return &fault{kerr.InvalidTopicException, "topic " + topic.Name + " is internal"}
	}
	alter := func(t *log.Topic) error {
		if want.Count <= t.Partitions || want.Count > topicPartitions {
			return &fault{kerr.InvalidPartitions, fmt.Sprintf("topic %s has %d partitions: it can have more, up to %d", t.Name, t.Partitions, topicPartitions)}
		}
		if want.Assignment != nil && len(want.Assignment) != int(want.Count-t.Partitions) {
			return &fault{kerr.InvalidReplicaAssignment, fmt.Sprintf("%d assignments for %d new partitions", len(want.Assignment), want.Count-t.Partitions)}
		}
		for _, r := range want.Assignment {
			if !slices.Equal(r.Replicas, []int32{s.options.NodeID}) {
				return &fault{kerr.InvalidReplicaAssignment, fmt.Sprintf("each partition has one replica, on node %d", s.options.NodeID)}
			}
		}
		t.Partitions = want.Count
		return nil
	}
	if validateOnly {
		return alter(&topic)
	}
	return s.options.Catalog.AlterTopic(ctx, topic, alter)
}
