package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// describeLogDirs tells how large partitions are, and how full their volume is (KIP-113, KIP-827).
func (s *Server) describeLogDirs(_ context.Context, _ *request, q *kmsg.DescribeLogDirsRequest) answer {
	a := kmsg.NewPtrDescribeLogDirsResponse()
	d := kmsg.NewDescribeLogDirsResponseDir()
	d.Dir, d.TotalBytes, d.UsableBytes = s.log.Volume()
	wanted := map[topicPartition]bool{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			wanted[topicPartition{t.Topic, p}] = true
		}
	}
	for _, topic := range s.log.Topics() {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		t.Topic = topic.Name
		for i := range topic.Partitions {
			if q.Topics == nil || wanted[topicPartition{topic.Name, i}] {
				p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				p.Partition, p.Size = i, s.log.Size(log.Partition{Topic: topic.ID, Index: i})
				t.Partitions = append(t.Partitions, p)
			}
		}
		if len(t.Partitions) > 0 {
			d.Topics = append(d.Topics, t)
		}
	}
	a.Dirs = append(a.Dirs, d)
	return answer{response: a}
}

// describeProducers tells which producers partitions remember (KIP-664).
func (s *Server) describeProducers(_ context.Context, r *request, q *kmsg.DescribeProducersRequest) answer {
	a := kmsg.NewPtrDescribeProducersResponse()
	for i := range q.Topics {
		t := kmsg.NewDescribeProducersResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		for _, index := range q.Topics[i].Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = index
			if !validTopicName(t.Topic) {
				p.ErrorCode = kerr.InvalidTopicException.Code
			} else if !known || index < 0 || index >= topic.Partitions {
				p.ErrorCode = absent
			} else {
				for _, one := range s.log.Producers(log.Partition{Topic: topic.ID, Index: index}) {
					active := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					active.ProducerID, active.ProducerEpoch, active.LastSequence = one.ID, int32(one.Epoch), one.LastSequence
					active.LastTimestamp, active.CoordinatorEpoch, active.CurrentTxnStartOffset = one.Time.UnixMilli(), -1, one.TxnStart
					p.ActiveProducers = append(p.ActiveProducers, active)
				}
			}
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}
