package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// offsetForLeaderEpoch tells where the records of a leader epoch end, so that a consumer finds out whether what it has
// read is still there (KIP-320).
func (s *Server) offsetForLeaderEpoch(ctx context.Context, r *request, q *kmsg.OffsetForLeaderEpochRequest) answer {
	a := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for i := range q.Topics {
		t := kmsg.NewOffsetForLeaderEpochResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		if s.mayCluster(r) { // as followers may
			topic, known = s.log.Topic(t.Topic)
			absent = kerr.UnknownTopicOrPartition.Code
		}
		for _, want := range q.Topics[i].Partitions {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition, p.LeaderEpoch, p.EndOffset = want.Partition, -1, -1
			if !known || want.Partition < 0 || want.Partition >= topic.Partitions {
				p.ErrorCode = absent
			} else if p.ErrorCode = epochFault(want.CurrentLeaderEpoch, s.log.LeaderEpoch()); p.ErrorCode == 0 {
				var err error
				p.LeaderEpoch, p.EndOffset, err = s.epochEnd(ctx, log.Partition{Topic: topic.ID, Index: want.Partition}, want.LeaderEpoch)
				p.ErrorCode = errorCode(err)
			}
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

// epochEnd gives the newest epoch with records that is not after the one asked for, and the offset where its records end;
// -1, -1 for an epoch to come. The batches carry their epochs, which never fall: halving finds the end.
func (s *Server) epochEnd(ctx context.Context, p log.Partition, epoch int32) (int32, int64, error) {
	bounds, err := s.log.Bounds(p)
	switch current := s.log.LeaderEpoch(); {
	case err != nil || epoch > current || epoch == -1:
		return -1, -1, err
	case epoch == current:
		return current, bounds.End, nil
	}
	found, low, high := epoch, bounds.Start, bounds.End // all below low are of epochs up to the one asked for
	for low < high {
		middle := low + (high-low)/2
		chunk, err := s.log.Read(ctx, p, middle, log.ReadLimit{MaxBytes: 1})
		if err != nil || len(chunk) == 0 {
			return -1, -1, err
		}
		b, err := record.ParseHeader(chunk)
		if err != nil {
			return -1, -1, err
		}
		if b.LeaderEpoch <= epoch {
			found, low = b.LeaderEpoch, b.LastOffset()+1
		} else {
			high = min(middle, b.BaseOffset)
		}
	}
	return found, low, nil
}
