package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// deleteRecords gives up the records of partitions before an offset, -1: all (KIP-107). Of a partition that is named again the last
// offset counts.
func (s *Server) deleteRecords(ctx context.Context, r *request, q *kmsg.DeleteRecordsRequest) answer {
	a := kmsg.NewPtrDeleteRecordsResponse()
	last := map[topicPartition]int64{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			last[topicPartition{t.Topic, p.Partition}] = p.Offset
		}
	}
	for i := range q.Topics {
		t := kmsg.NewDeleteRecordsResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		for _, want := range q.Topics[i].Partitions {
			place := topicPartition{t.Topic, want.Partition}
			offset, untold := last[place]
			if !untold {
				continue
			}
			delete(last, place)
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.LowWatermark = want.Partition, -1
			if !known || want.Partition < 0 || want.Partition >= topic.Partitions {
				p.ErrorCode = absent
			} else {
				start, err := s.deleteBefore(ctx, topic, want.Partition, offset)
				if p.ErrorCode = errorCode(err); err == nil {
					p.LowWatermark = start
				}
			}
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

func (s *Server) deleteBefore(ctx context.Context, topic log.Topic, partition int32, before int64) (int64, error) {
	if topic.Internal {
		return -1, kerr.InvalidTopicException
	}
	// As in Kafka: what only compaction, or nothing, may clean is not deleted from.
	if cut, _ := topic.Cleanup(); !cut {
		return -1, kerr.PolicyViolation
	}
	return s.log.DeleteRecords(ctx, log.Partition{Topic: topic.ID, Index: partition}, before)
}
