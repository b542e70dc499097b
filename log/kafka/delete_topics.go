package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// deleteTopics drops topics by name, or by id from version 6 on (KIP-516).
func (s *Server) deleteTopics(ctx context.Context, r *request, q *kmsg.DeleteTopicsRequest) answer {
	a := kmsg.NewPtrDeleteTopicsResponse()
	for i := range q.TopicNames {
		name := q.TopicNames[i]
		q.Topics = append(q.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	for i := range q.Topics {
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID = q.Topics[i].Topic, q.Topics[i].TopicID
		topic, shown, err := s.findDeleted(r, t.Topic, log.TopicID(t.TopicID))
		if shown {
			t.Topic, t.TopicID = &topic.Name, topic.ID
		}
		if err == nil {
			switch {
			case topic.Internal:
				err = &fault{kerr.InvalidTopicException, "topic " + topic.Name + " is internal"}
			case topic.Name == log.SchemasTopic:
				err = &fault{kerr.TopicDeletionDisabled, "topic " + topic.Name + " says what the records of other topics mean: delete schemas through the registry"}
			default:
				err = s.options.Catalog.DropTopic(ctx, topic)
			}
		}
		if err != nil {
			t.ErrorCode, t.ErrorMessage = errorCode(err), message(err)
		}
		a.Topics = append(a.Topics, t)
	}
	return answer{response: a}
}

// findDeleted finds a topic that its sender may drop, by its name, or without one by its id. shown tells whether an answer about the
// id may name it: to who may describe it or drop it.
func (s *Server) findDeleted(r *request, name *string, id log.TopicID) (topic log.Topic, shown bool, err error) {
	known := false
	if name == nil {
		if topic, known = s.log.TopicByID(id); !known {
			return topic, false, kerr.UnknownTopicID
		}
		name, shown = &topic.Name, true
	} else {
		topic, known = s.log.Topic(*name)
	}
	switch may := s.mayDelete(r, *name); {
	case !may && !s.mayTopic(r, *name):
		return topic, false, kerr.TopicAuthorizationFailed
	case !known:
		return topic, false, kerr.UnknownTopicOrPartition
	case !may:
		return topic, shown, kerr.TopicAuthorizationFailed
	}
	return topic, true, nil
}

// findTopic finds a topic for who may do with it what the request is about.
func (s *Server) findTopic(r *request, name string) (log.Topic, error) {
	topic, ok, absent := s.topic(r, name)
	if !ok {
		return topic, kerr.ErrorForCode(absent)
	}
	return topic, nil
}
