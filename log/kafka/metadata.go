package kafka

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
)

// metadata tells who serves which partition: this node, all of them.
func (s *Server) metadata(ctx context.Context, r *request, q *kmsg.MetadataRequest) answer {
	a := kmsg.NewPtrMetadataResponse()
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID = s.options.NodeID
	broker.Host, broker.Port = r.conn.advertised()
	a.Brokers = append(a.Brokers, broker)
	a.ClusterID, a.ControllerID = &s.options.ClusterID, s.options.NodeID
	// All topics are asked for by null, and in version 0 by none (KIP-4 made the difference).
	if q.Topics == nil || (r.version == 0 && len(q.Topics) == 0) {
		for _, t := range s.log.Topics() {
			if s.mayTopic(r, t.Name) {
				a.Topics = append(a.Topics, s.describeTopic(t))
			}
		}
		s.tellOperations(r, q, a)
		return answer{response: a}
	}
	mayCreate := !s.options.NoAutoCreate && (r.version < 4 || q.AllowAutoTopicCreation)
	q.Topics = unique(q.Topics, func(t kmsg.MetadataRequestTopic) [2]string { return [2]string{text(t.Topic), string(t.TopicID[:])} })
	byID := slices.ContainsFunc(q.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.Topic == nil || t.TopicID != log.TopicID{} })
	for i := range q.Topics {
		if byID && r.version < 12 { // which have ids, and no use for them
			refused := kmsg.NewMetadataResponseTopic()
			refused.Topic, refused.TopicID, refused.ErrorCode = kmsg.StringPtr(text(q.Topics[i].Topic)), q.Topics[i].TopicID, kerr.InvalidRequest.Code
			a.Topics = append(a.Topics, refused)
			continue
		}
		a.Topics = append(a.Topics, s.topicMetadata(ctx, r, &q.Topics[i], mayCreate))
	}
	s.tellOperations(r, q, a)
	return answer{response: a}
}

func (s *Server) topicMetadata(ctx context.Context, r *request, want *kmsg.MetadataRequestTopic, mayCreate bool) kmsg.MetadataResponseTopic {
	missing := kmsg.NewMetadataResponseTopic()
	missing.TopicID = want.TopicID
	if want.Topic == nil || want.TopicID != (log.TopicID{}) {
		topic, ok, absent := s.topicByID(r, log.TopicID(want.TopicID))
		if ok {
			return s.describeTopic(topic)
		}
		missing.ErrorCode = absent
		return missing
	}
	missing.Topic = want.Topic
	topic, ok, absent := s.topic(r, *want.Topic)
	switch {
	case ok:
		return s.describeTopic(topic)
	case absent == kerr.TopicAuthorizationFailed.Code, mayCreate && !s.mayCreate(r, *want.Topic):
		missing.ErrorCode = kerr.TopicAuthorizationFailed.Code
		return missing
	}
	if err := checkTopicName(*want.Topic); err != nil {
		missing.ErrorCode = errorCode(err)
		return missing
	}
	if !mayCreate {
		missing.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return missing
	}
	topic, err := s.options.Catalog.CreateTopic(ctx, *want.Topic, 1, nil)
	if errs.Is(err, errs.Exists) {
		// Somebody else was faster.
		if other, ok := s.log.Topic(*want.Topic); ok {
			topic, err = other, nil
		}
	}
	if err != nil {
		missing.ErrorCode = errorCode(err)
		return missing
	}
	return s.describeTopic(topic)
}

// unique leaves out what is named again: an answer that repeats it could be as large as memory.
func unique[T any, K comparable](list []T, key func(T) K) []T {
	seen := make(map[K]bool, min(len(list), 1000))
	return slices.DeleteFunc(list, func(one T) bool {
		k := key(one)
		again := seen[k]
		seen[k] = true
		return again
	})
}

func itself(name string) string { return name }

// tellOperations adds what the client may do, where it asks for that (KIP-430).
func (s *Server) tellOperations(r *request, q *kmsg.MetadataRequest, a *kmsg.MetadataResponse) {
	if q.IncludeClusterAuthorizedOperations {
		a.AuthorizedOperations = s.clusterOperations(r)
	}
	for i := range a.Topics {
		if t := &a.Topics[i]; q.IncludeTopicAuthorizedOperations && t.Topic != nil && t.ErrorCode != kerr.TopicAuthorizationFailed.Code {
			t.AuthorizedOperations = s.authorizedOperations(r, access.Topic, *t.Topic)
		}
	}
}

func (s *Server) describeTopic(t log.Topic) kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID, m.IsInternal = &t.Name, t.ID, t.Internal
	epoch, self := s.log.LeaderEpoch(), []int32{s.options.NodeID}
	m.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	for i := range m.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), s.options.NodeID, epoch, self, self
		m.Partitions[i] = p
	}
	return m
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func validTopicName(name string) bool {
	return topicName.MatchString(name) && name != "." && name != ".."
}

// checkTopicName refuses names that Kafka refuses, and those of internal topics.
func checkTopicName(name string) error {
	switch {
	case !validTopicName(name):
		return &fault{kerr.InvalidTopicException, "a topic's name has 1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-'"}
	case strings.HasPrefix(name, "__"):
		return &fault{kerr.InvalidTopicException, "names that begin with __ are the server's own"}
	}
	return nil
}
