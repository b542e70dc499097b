package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
)

// topicPartitions bounds a topic's partitions: each has files and memory of its own.
const topicPartitions = 10_000

// createTopics makes topics, each for itself.
func (s *Server) createTopics(ctx context.Context, r *request, q *kmsg.CreateTopicsRequest) answer {
	a := kmsg.NewPtrCreateTopicsResponse()
	times := map[string]int{}
	for i := range q.Topics {
		times[q.Topics[i].Topic]++
	}
	for i := range q.Topics {
		t := kmsg.NewCreateTopicsResponseTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = q.Topics[i].Topic, -1, -1
		topic, err := log.Topic{}, error(nil)
		if times[t.Topic] > 1 {
			err = &fault{kerr.InvalidRequest, "the topic stands in the request more than once"}
		} else if !s.mayCreate(r, t.Topic) {
			err = kerr.TopicAuthorizationFailed
		} else {
			topic, err = s.createTopic(ctx, &q.Topics[i], q.ValidateOnly)
		}
		if err != nil {
			t.ErrorCode, t.ErrorMessage = errorCode(err), message(err)
		} else {
			t.TopicID, t.NumPartitions, t.ReplicationFactor = topic.ID, topic.Partitions, 1
			if s.may(r, access.DescribeConfigs, access.Topic, t.Topic) {
				t.Configs = createdConfigs(topic)
			} else {
				t.ConfigErrorCode, t.NumPartitions, t.ReplicationFactor = kerr.TopicAuthorizationFailed.Code, -1, -1
			}
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

func (s *Server) createTopic(ctx context.Context, want *kmsg.CreateTopicsRequestTopic, validateOnly bool) (log.Topic, error) {
	if err := checkTopicName(want.Topic); err != nil {
		return log.Topic{}, err
	}
	partitions, err := s.partitionCount(want)
	if err != nil {
		return log.Topic{}, err
	}
	config := map[string]string{}
	for _, c := range want.Configs {
		if c.Value != nil {
			config[c.Name] = *c.Value
		}
	}
	if err := log.CheckConfig(config); err != nil {
		return log.Topic{}, err
	}
	if _, ok := s.log.Topic(want.Topic); ok {
		return log.Topic{}, &fault{kerr.TopicAlreadyExists, fmt.Sprintf("topic %s exists already", want.Topic)}
	}
	if validateOnly {
		return log.Topic{Name: want.Topic, Partitions: partitions, Config: config}, nil
	}
	return s.options.Catalog.CreateTopic(ctx, want.Topic, partitions, config)
}

// partitionCount checks how many partitions and replicas are wanted: one node holds one replica.
func (s *Server) partitionCount(want *kmsg.CreateTopicsRequestTopic) (int32, error) {
	n := want.NumPartitions
	if len(want.ReplicaAssignment) > 0 {
		if n != -1 || want.ReplicationFactor != -1 {
			return 0, &fault{kerr.InvalidRequest, "both an assignment of replicas and their number"}
		}
		seen := make([]bool, len(want.ReplicaAssignment))
		for _, r := range want.ReplicaAssignment {
			if r.Partition < 0 || int(r.Partition) >= len(seen) || seen[r.Partition] || !slices.Equal(r.Replicas, []int32{s.options.NodeID}) {
				return 0, &fault{kerr.InvalidReplicaAssignment, fmt.Sprintf("each partition from 0 on has one replica, on node %d", s.options.NodeID)}
			}
			seen[r.Partition] = true
		}
		n = int32(len(seen))
	} else if want.ReplicationFactor != 1 && want.ReplicationFactor != -1 {
		return 0, &fault{kerr.InvalidReplicationFactor, fmt.Sprintf("replication factor %d, and there is one node: use 1 or -1", want.ReplicationFactor)}
	}
	if n == -1 {
		n = 1
	}
	if n < 1 || n > topicPartitions {
		return 0, &fault{kerr.InvalidPartitions, fmt.Sprintf("%d partitions: a topic has 1 to %d", n, topicPartitions)}
	}
	return n, nil
}

func createdConfigs(topic log.Topic) []kmsg.CreateTopicsResponseTopicConfig {
	var out []kmsg.CreateTopicsResponseTopicConfig
	for _, name := range log.ConfigNames() {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		value := topic.Setting(name)
		c.Name, c.Value, c.Source = name, &value, int8(configSource(&topic, name))
		out = append(out, c)
	}
	return out
}
