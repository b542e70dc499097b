package kafka

import (
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/group"
)

// rule is what who sends a request must be allowed to do (KafkaApis.scala): with each topic, group and transactional id
// that it names, and with the cluster. Zero: nothing is asked.
type rule struct {
	topic, group, txn, cluster access.Operation
}

// rules has every key that is served: the one place where what is asked for stands. Beside it: InitProducerId without a
// transactional id asks for IdempotentWrite or for Write on any topic; making a topic for Create on the topic or the
// cluster, dropping one for Delete; settings of a node for the same operation on the cluster as those of a topic; lists leave out what the client
// may not describe.
var rules = map[int16]rule{
	produceKey:          {topic: access.Write, txn: access.Write},
	fetchKey:            {topic: access.Read},
	2:                   {topic: access.Describe},                           // ListOffsets
	3:                   {topic: access.Describe},                           // Metadata
	8:                   {group: access.Read, topic: access.Read},           // OffsetCommit
	9:                   {group: access.Describe, topic: access.Describe},   // OffsetFetch
	10:                  {group: access.Describe, txn: access.Describe},     // FindCoordinator
	11:                  {group: access.Read},                               // JoinGroup
	12:                  {group: access.Read},                               // Heartbeat
	13:                  {group: access.Read},                               // LeaveGroup
	14:                  {group: access.Read},                               // SyncGroup
	15:                  {group: access.Describe},                           // DescribeGroups
	16:                  {group: access.Describe, cluster: access.Describe}, // ListGroups: one of them
	saslHandshakeKey:    {},
	apiVersionsKey:      {},
	19:                  {topic: access.Create},                                      // CreateTopics
	20:                  {topic: access.Describe},                                    // DeleteTopics
	21:                  {topic: access.Delete},                                      // DeleteRecords
	22:                  {txn: access.Write, cluster: access.IdempotentWrite},        // InitProducerId: one of them
	23:                  {topic: access.Describe, cluster: access.ClusterAction},     // OffsetForLeaderEpoch: one of them
	24:                  {txn: access.Write, topic: access.Write},                    // AddPartitionsToTxn
	25:                  {txn: access.Write, group: access.Read},                     // AddOffsetsToTxn
	26:                  {txn: access.Write},                                         // EndTxn
	28:                  {txn: access.Write, group: access.Read, topic: access.Read}, // TxnOffsetCommit
	29:                  {cluster: access.Describe},                                  // DescribeAcls
	30:                  {cluster: access.Alter},                                     // CreateAcls
	31:                  {cluster: access.Alter},                                     // DeleteAcls
	32:                  {topic: access.DescribeConfigs, cluster: access.DescribeConfigs},
	33:                  {topic: access.AlterConfigs, cluster: access.AlterConfigs},
	35:                  {cluster: access.Describe}, // DescribeLogDirs
	saslAuthenticateKey: {},
	37:                  {topic: access.Alter},   // CreatePartitions
	42:                  {group: access.Delete},  // DeleteGroups
	43:                  {cluster: access.Alter}, // ElectLeaders
	44:                  {topic: access.AlterConfigs, cluster: access.AlterConfigs},
	47:                  {group: access.Delete, topic: access.Read},     // OffsetDelete
	48:                  {cluster: access.DescribeConfigs},              // DescribeClientQuotas
	49:                  {cluster: access.AlterConfigs},                 // AlterClientQuotas
	50:                  {cluster: access.Describe},                     // DescribeUserScramCredentials
	51:                  {cluster: access.Alter},                        // AlterUserScramCredentials
	60:                  {},                                             // DescribeCluster
	61:                  {topic: access.Read},                           // DescribeProducers
	65:                  {txn: access.Describe, topic: access.Describe}, // DescribeTransactions
	66:                  {txn: access.Describe},                         // ListTransactions
	68:                  {group: access.Read, topic: access.Describe},   // ConsumerGroupHeartbeat
	69:                  {group: access.Describe},                       // ConsumerGroupDescribe
}

// may reports whether the sender of a request may do something.
func (s *Server) may(r *request, op access.Operation, kind access.Resource, name string) bool {
	return op == 0 || s.access.Current().May(s.policy(), r.principal, r.conn.host(), op, kind, name)
}

// policy is what holds beside the ACLs. While nobody must authenticate everyone may do what no ACL is about, as ever; from
// then on the ACLs say who may, and nobody else does.
func (s *Server) policy() access.Policy {
	p := access.Policy{Super: s.options.SuperUsers, Everyone: !s.mustAuthenticate()}
	if s.options.EveryoneWithoutACL != nil {
		p.Everyone = *s.options.EveryoneWithoutACL
	}
	return p
}

// rights are who may do what, at one time.
type rights struct {
	snapshot *access.Snapshot
	policy   access.Policy
}

func (s *Server) rights() rights { return rights{s.access.Current(), s.policy()} }

// same reports whether the rights are the others: super users do not change.
func (r rights) same(o rights) bool {
	return r.snapshot == o.snapshot && r.policy.Everyone == o.policy.Everyone
}

// describe reports whether a member of a group may see a topic.
func (r rights) describe(who group.Viewer, topic string) bool {
	return r.snapshot.May(r.policy, access.Principal(who.Principal), who.Host, access.Describe, access.Topic, topic)
}

func (s *Server) mayTopic(r *request, name string) bool {
	return s.may(r, rules[r.key].topic, access.Topic, name)
}

func (s *Server) mayGroup(r *request, name string) bool {
	return s.may(r, rules[r.key].group, access.Group, name)
}

func (s *Server) mayTxn(r *request, id string) bool {
	return s.may(r, rules[r.key].txn, access.Transactional, id)
}

func (s *Server) mayCluster(r *request) bool {
	return s.may(r, rules[r.key].cluster, access.Cluster, access.ClusterName)
}

// topic finds a topic by its name, for who may do with it what the request is about. absent is the code for the answer when
// it is not known to them: whether it exists is told to those only who may.
func (s *Server) topic(r *request, name string) (topic log.Topic, known bool, absent int16) {
	if !s.mayTopic(r, name) {
		return log.Topic{}, false, kerr.TopicAuthorizationFailed.Code
	}
	topic, known = s.log.Topic(name)
	return topic, known, kerr.UnknownTopicOrPartition.Code
}

// topicByID is topic by an id. Ids are too large to be guessed: who knows one is told that they may not, and not the name.
func (s *Server) topicByID(r *request, id log.TopicID) (topic log.Topic, known bool, absent int16) {
	topic, known = s.log.TopicByID(id)
	if known && !s.mayTopic(r, topic.Name) {
		return log.Topic{}, false, kerr.TopicAuthorizationFailed.Code
	}
	return topic, known, kerr.UnknownTopicID.Code
}

// mayCreate reports whether the sender may make a topic.
func (s *Server) mayCreate(r *request, name string) bool {
	return s.may(r, access.Create, access.Cluster, access.ClusterName) || s.may(r, access.Create, access.Topic, name)
}

// mayDelete reports whether the sender may drop a topic. Nobody is granted Delete on the cluster alone, but All has it.
func (s *Server) mayDelete(r *request, name string) bool {
	return s.may(r, access.Delete, access.Cluster, access.ClusterName) || s.mayTopic(r, name) && s.may(r, access.Delete, access.Topic, name)
}

// authorizedOperations is the set of what the sender may do with a thing, a bit for each (KIP-430).
func (s *Server) authorizedOperations(r *request, kind access.Resource, name string) int32 {
	set := int32(0)
	for _, op := range access.Operations[kind] {
		if s.may(r, op, kind, name) {
			set |= 1 << op
		}
	}
	return set
}

// clusterOperations is that of the cluster: none for who may not describe it.
func (s *Server) clusterOperations(r *request) int32 {
	if !s.may(r, access.Describe, access.Cluster, access.ClusterName) {
		return 0
	}
	return s.authorizedOperations(r, access.Cluster, access.ClusterName)
}

// refused answers a request that its sender may not make at all, nil when it may. What is refused for single topics and
// groups of a request is up to who serves it.
func (s *Server) refused(r *request, q kmsg.Request) kmsg.Response {
	code, text := s.refusal(r, q)
	if code == 0 {
		return nil
	}
	a := q.ResponseKind()
	switch a := a.(type) {
	case *kmsg.JoinGroupResponse:
		a.ErrorCode, a.Generation = code, -1
	case *kmsg.SyncGroupResponse:
		a.ErrorCode = code
	case *kmsg.HeartbeatResponse:
		a.ErrorCode = code
	case *kmsg.LeaveGroupResponse:
		a.ErrorCode = code
	case *kmsg.ConsumerGroupHeartbeatResponse:
		a.ErrorCode, a.ErrorMessage = code, text
	case *kmsg.OffsetCommitResponse:
		refuseCommit(q.(*kmsg.OffsetCommitRequest), a, code)
	case *kmsg.OffsetDeleteResponse:
		a.ErrorCode = code
	case *kmsg.InitProducerIDResponse:
		a.ErrorCode, a.ProducerID, a.ProducerEpoch = code, -1, -1
	case *kmsg.AddPartitionsToTxnResponse:
		refusePartitions(q.(*kmsg.AddPartitionsToTxnRequest), a, code)
	case *kmsg.AddOffsetsToTxnResponse:
		a.ErrorCode = code
	case *kmsg.EndTxnResponse:
		a.ErrorCode, a.ProducerID, a.ProducerEpoch = code, -1, -1
	case *kmsg.TxnOffsetCommitResponse:
		refuseTxnCommit(q.(*kmsg.TxnOffsetCommitRequest), a, code)
	case *kmsg.DescribeACLsResponse:
		a.ErrorCode, a.ErrorMessage = code, text
	case *kmsg.CreateACLsResponse:
		for range q.(*kmsg.CreateACLsRequest).Creations {
			a.Results = append(a.Results, kmsg.CreateACLsResponseResult{ErrorCode: code, ErrorMessage: text})
		}
	case *kmsg.DeleteACLsResponse:
		for range q.(*kmsg.DeleteACLsRequest).Filters {
			a.Results = append(a.Results, kmsg.DeleteACLsResponseResult{ErrorCode: code, ErrorMessage: text})
		}
	case *kmsg.ElectLeadersResponse:
		refuseElection(q.(*kmsg.ElectLeadersRequest), a, code, text)
	case *kmsg.DescribeLogDirsResponse:
		a.ErrorCode = code
	case *kmsg.DescribeClientQuotasResponse:
		a.ErrorCode, a.ErrorMessage = code, text
	case *kmsg.AlterClientQuotasResponse:
		for _, e := range q.(*kmsg.AlterClientQuotasRequest).Entries {
			one := kmsg.AlterClientQuotasResponseEntry{ErrorCode: code, ErrorMessage: text}
			for _, part := range e.Entity {
				one.Entity = append(one.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
			}
			a.Entries = append(a.Entries, one)
		}
	case *kmsg.DescribeUserSCRAMCredentialsResponse:
		a.ErrorCode, a.ErrorMessage = code, text
		for _, u := range q.(*kmsg.DescribeUserSCRAMCredentialsRequest).Users {
			a.Results = append(a.Results, kmsg.DescribeUserSCRAMCredentialsResponseResult{User: u.Name, ErrorCode: code, ErrorMessage: text})
		}
	case *kmsg.AlterUserSCRAMCredentialsResponse:
		refuseUsers(q.(*kmsg.AlterUserSCRAMCredentialsRequest), a, code, text)
	}
	return a
}

// refusal is why a request may not be made at all, 0: it may.
func (s *Server) refusal(r *request, q kmsg.Request) (code int16, text *string) {
	group := func(name string) int16 {
		if s.mayGroup(r, name) {
			return 0
		}
		return kerr.GroupAuthorizationFailed.Code
	}
	txn := func(id string) int16 {
		if s.mayTxn(r, id) {
			return 0
		}
		return kerr.TransactionalIDAuthorizationFailed.Code
	}
	switch q := q.(type) {
	case *kmsg.JoinGroupRequest:
		code = group(q.Group)
	case *kmsg.SyncGroupRequest:
		code = group(q.Group)
	case *kmsg.HeartbeatRequest:
		code = group(q.Group)
	case *kmsg.LeaveGroupRequest:
		code = group(q.Group)
	case *kmsg.ConsumerGroupHeartbeatRequest:
		code = group(q.Group)
		for _, topic := range q.SubscribedTopicNames {
			if code == 0 && !s.mayTopic(r, topic) {
				code = kerr.TopicAuthorizationFailed.Code
			}
		}
	case *kmsg.OffsetCommitRequest:
		code = group(q.Group)
	case *kmsg.OffsetDeleteRequest:
		code = group(q.Group)
	case *kmsg.InitProducerIDRequest:
		if q.TransactionalID != nil {
			code = txn(*q.TransactionalID)
		} else if !s.mayCluster(r) && !s.access.Current().MayAny(s.policy(), r.principal, r.conn.host(), access.Write, access.Topic) {
			code = kerr.ClusterAuthorizationFailed.Code
		}
	case *kmsg.AddPartitionsToTxnRequest:
		code = txn(q.TransactionalID)
	case *kmsg.EndTxnRequest:
		code = txn(q.TransactionalID)
	case *kmsg.AddOffsetsToTxnRequest:
		if code = txn(q.TransactionalID); code == 0 {
			code = group(q.Group)
		}
	case *kmsg.TxnOffsetCommitRequest:
		if code = txn(q.TransactionalID); code == 0 {
			code = group(q.Group)
		}
	case *kmsg.DescribeACLsRequest, *kmsg.CreateACLsRequest, *kmsg.DeleteACLsRequest, *kmsg.DescribeLogDirsRequest, *kmsg.ElectLeadersRequest,
		*kmsg.DescribeClientQuotasRequest, *kmsg.AlterClientQuotasRequest,
		*kmsg.DescribeUserSCRAMCredentialsRequest, *kmsg.AlterUserSCRAMCredentialsRequest:
		if !s.mayCluster(r) {
			code = kerr.ClusterAuthorizationFailed.Code
		}
	}
	if code != 0 {
		text = message(kerr.ErrorForCode(code))
	}
	return code, text
}

func refuseCommit(q *kmsg.OffsetCommitRequest, a *kmsg.OffsetCommitResponse, code int16) {
	for _, t := range q.Topics {
		topic := kmsg.OffsetCommitResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
		}
		a.Topics = append(a.Topics, topic)
	}
}

func refuseTxnCommit(q *kmsg.TxnOffsetCommitRequest, a *kmsg.TxnOffsetCommitResponse, code int16) {
	for _, t := range q.Topics {
		topic := kmsg.TxnOffsetCommitResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
		}
		a.Topics = append(a.Topics, topic)
	}
}

func refusePartitions(q *kmsg.AddPartitionsToTxnRequest, a *kmsg.AddPartitionsToTxnResponse, code int16) {
	for _, t := range q.Topics {
		topic := kmsg.AddPartitionsToTxnResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p, ErrorCode: code})
		}
		a.Topics = append(a.Topics, topic)
	}
}

func refuseUsers(q *kmsg.AlterUserSCRAMCredentialsRequest, a *kmsg.AlterUserSCRAMCredentialsResponse, code int16, text *string) {
	seen := map[string]bool{}
	add := func(user string) {
		if !seen[user] {
			a.Results = append(a.Results, kmsg.AlterUserSCRAMCredentialsResponseResult{User: user, ErrorCode: code, ErrorMessage: text})
		}
		seen[user] = true
	}
	for _, d := range q.Deletions {
		add(d.Name)
	}
	for _, u := range q.Upsertions {
		add(u.Name)
	}
}

// host is the client's address, as ACLs name it.
func (c *conn) host() string {
	host, _, err := net.SplitHostPort(c.net.RemoteAddr().String())
	if err != nil {
		return c.net.RemoteAddr().String()
	}
	return host
}
