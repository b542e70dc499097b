package kafka

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// The times that mean a place (ListOffsetsRequest.java).
const (
	latest         = -1
	earliest       = -2
	maxTimestamp   = -3
	earliestLocal  = -4
	latestArchived = -5
)

// topicPartition is a partition by its topic's name.
type topicPartition struct {
	topic     string
	partition int32
}

// listOffsets finds offsets by time. A partition that is named again is refused.
func (s *Server) listOffsets(_ context.Context, r *request, q *kmsg.ListOffsetsRequest) answer {
	a := kmsg.NewPtrListOffsetsResponse()
	named := map[topicPartition]int{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			named[topicPartition{t.Topic, p.Partition}]++
		}
	}
	for i := range q.Topics {
		t := kmsg.NewListOffsetsResponseTopic()
		t.Topic = q.Topics[i].Topic
		topic, known, absent := s.topic(r, t.Topic)
		for _, want := range q.Topics[i].Partitions {
			place := topicPartition{t.Topic, want.Partition}
			times := named[place]
			if times == 0 {
				continue // it has been told
			}
			named[place] = 0
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition, p.Timestamp, p.Offset, p.LeaderEpoch = want.Partition, -1, -1, -1
			switch {
			case !knownIsolation(q.IsolationLevel):
				p.ErrorCode = kerr.UnknownServerError.Code // as Kafka says it
			case times > 1:
				p.ErrorCode = kerr.InvalidRequest.Code
			case !known || want.Partition < 0 || want.Partition >= topic.Partitions:
				p.ErrorCode = absent
			case epochFault(want.CurrentLeaderEpoch, s.log.LeaderEpoch()) != 0:
				p.ErrorCode = epochFault(want.CurrentLeaderEpoch, s.log.LeaderEpoch())
			default:
				var err error
				p.Offset, p.Timestamp, err = s.offsetAt(log.Partition{Topic: topic.ID, Index: want.Partition}, want.Timestamp, r.version, q.IsolationLevel)
				p.ErrorCode = errorCode(err)
				if p.Offset >= 0 {
					p.LeaderEpoch = s.log.LeaderEpoch()
					p.OldStyleOffsets = []int64{p.Offset}
				}
			}
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

// offsetAt gives the offset that a time means, and the timestamp of its record, -1 where that is not said.
func (s *Server) offsetAt(p log.Partition, time int64, version int16, isolation int8) (offset, timestamp int64, err error) {
	bounds, err := s.log.Bounds(p)
	if err != nil {
		return -1, -1, err
	}
	end := bounds.End
	if isolation == readCommitted {
		end = bounds.Stable
	}
	switch {
	case time >= 0:
		offset, timestamp, err = s.log.OffsetForTime(p, time)
	case time == latest:
		return end, -1, nil
	case time == earliest, time == earliestLocal && version >= 8:
		return bounds.Start, -1, nil
	case time == maxTimestamp && version >= 7:
		offset, timestamp, err = s.newest(p)
	case time == latestArchived && version >= 9:
		return -1, -1, nil // nothing is archived outside the partition
	default:
		return -1, -1, kerr.UnsupportedVersion
	}
	if offset >= end {
		return -1, -1, err
	}
	return offset, timestamp, err
}

// newest finds the first record with the highest timestamp, by halving the times above one that is known to be there.
func (s *Server) newest(p log.Partition) (offset, timestamp int64, err error) {
	offset, timestamp, err = s.log.OffsetForTime(p, 0)
	high := int64(math.MaxInt64) // nothing is at or above it
	for err == nil && offset >= 0 && timestamp < high-1 {
		middle := timestamp + (high-timestamp)/2
		var o, t int64
		if o, t, err = s.log.OffsetForTime(p, middle); o < 0 {
			high = middle
		} else {
			offset, timestamp = o, t
		}
	}
	return offset, timestamp, err
}
