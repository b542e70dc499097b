package kafka

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/access"
)

// What the users of TestRights ask.

func (h *holder) askTopics(t *testing.T, add func(int16, string, kmsg.Request)) {
	both := []string{h.topic, h.absent}
	ids := [][16]byte{h.id, {15: 1}}
	for _, version := range []int16{0, 1, 8, 12} {
		all, named := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrMetadataRequest()
		if all.Topics = nil; version == 0 {
			all.Topics = []kmsg.MetadataRequestTopic{}
		}
		all.IncludeTopicAuthorizedOperations, all.IncludeClusterAuthorizedOperations = version >= 8, version >= 8
		add(version, "all", all)
		for _, name := range both {
			named.Topics = append(named.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		if named.IncludeTopicAuthorizedOperations = version >= 8; version >= 4 {
			add(version, "by name", named)
		}
	}
	byID := kmsg.NewPtrMetadataRequest()
	byID.Topics = []kmsg.MetadataRequestTopic{{TopicID: ids[0]}, {TopicID: ids[1]}}
	add(12, "by id", byID)
	for _, version := range []int16{3, 9, 13} {
		for _, kind := range []struct {
			about   string
			id      *string
			records []byte
		}{{"both topics", nil, h.batch(t, false)}, {"both topics in a transaction", &h.txn, h.batch(t, true)}} {
			q := kmsg.NewPtrProduceRequest()
			q.Acks, q.TimeoutMillis, q.TransactionID = -1, 10_000, kind.id
			for i, name := range both {
				q.Topics = append(q.Topics, kmsg.ProduceRequestTopic{Topic: name, TopicID: ids[i],
					Partitions: []kmsg.ProduceRequestTopicPartition{{Records: kind.records}}})
			}
			add(version, kind.about, q)
		}
	}
	for _, version := range []int16{4, 12, 16} {
		q := kmsg.NewPtrFetchRequest()
		for i, name := range both {
			p := kmsg.NewFetchRequestTopicPartition()
			p.PartitionMaxBytes, p.CurrentLeaderEpoch = 1000, -1
			q.Topics = append(q.Topics, kmsg.FetchRequestTopic{Topic: name, TopicID: ids[i], Partitions: []kmsg.FetchRequestTopicPartition{p}})
		}
		q.SessionEpoch = -1
		add(version, "both topics", q)
	}
	list, epochs, producers, records := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrOffsetForLeaderEpochRequest(), kmsg.NewPtrDescribeProducersRequest(), kmsg.NewPtrDeleteRecordsRequest()
	configs := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range both {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = -1, -1
		list.Topics = append(list.Topics, kmsg.ListOffsetsRequestTopic{Topic: name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}})
		e := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		epochs.Topics = append(epochs.Topics, kmsg.OffsetForLeaderEpochRequestTopic{Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{e}})
		producers.Topics = append(producers.Topics, kmsg.DescribeProducersRequestTopic{Topic: name, Partitions: []int32{0}})
		records.Topics = append(records.Topics, kmsg.DeleteRecordsRequestTopic{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}})
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name})
	}
	add(6, "both topics", list)
	add(4, "both topics", epochs)
	add(0, "both topics", producers)
	add(2, "both topics", records)
	add(4, "both topics", configs)
}

func (h *holder) askGroups(add func(int16, string, kmsg.Request)) {
	groups := []string{h.group, h.nobodys}
	for _, version := range []int16{0, 3, 4} {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorKey, q.CoordinatorKeys = h.group, groups
		add(version, "groups", q)
	}
	join, beat, leave, sync := kmsg.NewPtrJoinGroupRequest(), kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrSyncGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = h.nobodys, 300_000, 300_000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}
	add(9, "a group", join)
	for _, q := range []kmsg.Request{beat, leave, sync} {
		reflect.ValueOf(q).Elem().FieldByName("Group").SetString(h.group)
	}
	beat.MemberID, leave.Members, sync.MemberID = "m", []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}, "m"
	sync.ProtocolType, sync.Protocol = &join.ProtocolType, &join.Protocols[0].Name
	add(4, "a group", beat)
	add(5, "a group", leave)
	add(5, "a group", sync)
	describe, consumers := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = groups, true
	consumers.Groups, consumers.IncludeAuthorizedOperations = append(groups, h.read), true
	add(5, "groups", describe)
	add(0, "groups", consumers)
	add(4, "all", kmsg.NewPtrListGroupsRequest())
	for _, version := range []int16{2, 8} {
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Group, commit.Generation, commit.Topics = h.group, -1, h.commit(h.topic, h.absent)
		add(version, "both topics", commit)
	}
	for _, version := range []int16{1, 5, 8, 9} {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.Group, q.Groups = h.group, []kmsg.OffsetFetchRequestGroup{{Group: h.group, MemberEpoch: -1}, {Group: h.nobodys, MemberEpoch: -1}}
		for _, name := range []string{h.topic, h.absent} {
			q.Topics = append(q.Topics, kmsg.OffsetFetchRequestTopic{Topic: name, Partitions: []int32{0}})
			for i := range q.Groups {
				q.Groups[i].Topics = append(q.Groups[i].Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: name, Partitions: []int32{0}})
			}
		}
		add(version, "both topics", q)
		all := kmsg.NewPtrOffsetFetchRequest()
		all.Group, all.Groups = h.group, []kmsg.OffsetFetchRequestGroup{{Group: h.group, MemberEpoch: -1}, {Group: h.nobodys, MemberEpoch: -1}}
		if version >= 2 {
			add(version, "all topics", all)
		}
	}
	for _, topics := range [][]string{{h.topic}, {h.topic, h.absent}} {
		add(0, fmt.Sprintf("topics: %d", len(topics)), h.join(h.joined, topics...))
	}
}

func (h *holder) askTransactions(add func(int16, string, kmsg.Request)) {
	find, describe := kmsg.NewPtrFindCoordinatorRequest(), kmsg.NewPtrDescribeTransactionsRequest()
	find.CoordinatorType, find.CoordinatorKeys = 1, []string{h.txn, h.unknown}
	describe.TransactionalIDs = find.CoordinatorKeys
	add(4, "transactional ids", find)
	add(0, "transactional ids", describe)
	add(0, "all", kmsg.NewPtrListTransactionsRequest())
	add(4, "no transactional id", h.initProducer(nil))
	add(4, "a transactional id", h.initProducer(&h.unknown))
	for _, version := range []int16{0, 3} {
		for _, topics := range [][]string{{h.topic}, {h.topic, h.absent}} {
			q := kmsg.NewPtrAddPartitionsToTxnRequest()
			q.TransactionalID, q.ProducerID = h.txn, 1<<40
			for _, name := range topics {
				q.Topics = append(q.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: []int32{0}})
			}
			add(version, fmt.Sprintf("topics: %d", len(topics)), q)
		}
	}
	offsets, end := kmsg.NewPtrAddOffsetsToTxnRequest(), kmsg.NewPtrEndTxnRequest()
	offsets.TransactionalID, offsets.Group, offsets.ProducerID = h.txn, h.group, 1<<40
	end.TransactionalID, end.ProducerID = h.txn, 1<<40
	add(3, "a group", offsets)
	add(3, "a transactional id", end)
	for _, version := range []int16{0, 3} {
		for _, topics := range [][]string{{h.topic}, {h.topic, h.absent}} {
			q := kmsg.NewPtrTxnOffsetCommitRequest()
			q.TransactionalID, q.Group, q.ProducerID, q.Generation = h.txn, h.group, 1<<40, -1
			for _, name := range topics {
				q.Topics = append(q.Topics, kmsg.TxnOffsetCommitRequestTopic{Topic: name, Partitions: make([]kmsg.TxnOffsetCommitRequestTopicPartition, 1)})
			}
			add(version, fmt.Sprintf("topics: %d", len(topics)), q)
		}
	}
}

func (h *holder) askCluster(add func(int16, string, kmsg.Request)) {
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.IncludeClusterAuthorizedOperations, cluster.EndpointType = true, 1
	add(1, "operations", cluster)
	configs, acls := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrDescribeACLsRequest()
	configs.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}}
	configs.Resources[0].ConfigNames = []string{"broker.id"}
	add(4, "a broker", configs)
	nobody := "User:nobody"
	acls.ResourceType, acls.ResourcePatternType, acls.Operation, acls.PermissionType, acls.Principal = 1, 1, 1, 1, &nobody
	add(3, "nobody's", acls)
	create, remove := kmsg.NewPtrCreateACLsRequest(), kmsg.NewPtrDeleteACLsRequest()
	create.Creations = []kmsg.CreateACLsRequestCreation{{ResourceType: 2, ResourceName: h.topic, ResourcePatternType: 3, Principal: nobody, Host: "*", Operation: 3, PermissionType: 3}}
	remove.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 2, ResourceName: &h.topic, ResourcePatternType: 3, Principal: &nobody, Operation: 1, PermissionType: 1}}
	add(3, "nobody's", create)
	add(3, "nobody's", remove)
	for _, version := range []int16{1, 4} {
		dirs := kmsg.NewPtrDescribeLogDirsRequest()
		dirs.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: h.topic, Partitions: []int32{0}}}
		add(version, "a topic", dirs)
	}
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: h.topic, Partitions: []int32{0}}}
	add(2, "a topic", elect)
	quotas, quota := kmsg.NewPtrDescribeClientQuotasRequest(), kmsg.NewPtrAlterClientQuotasRequest()
	quotas.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", Match: &nobody}}
	quota.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user", Name: &nobody}},
		Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: access.ProducerByteRate, Remove: true}}}}
	add(1, "nobody's", quotas)
	add(1, "nobody's", quota)
	users, user := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	users.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: nobody}}
	user.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: nobody, Mechanism: 1}}
	add(0, "nobody's", users)
	add(0, "nobody's", user)
}

const making = "a topic to be made"

// askChanges changes what there is, the topic and the group last of all.
func (h *holder) askChanges(add func(int16, string, kmsg.Request)) {
	both := []string{h.topic, h.absent}
	create, partitions := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrCreatePartitionsRequest()
	configs, config := kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest()
	create.ValidateOnly, partitions.ValidateOnly, configs.ValidateOnly, config.ValidateOnly = true, true, true, true
	create.TimeoutMillis, partitions.TimeoutMillis = 10_000, 10_000
	value := "1000"
	for _, name := range both {
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: 1, ReplicationFactor: 1})
		partitions.Topics = append(partitions.Topics, kmsg.CreatePartitionsRequestTopic{Topic: name, Count: 3})
		configs.Resources = append(configs.Resources, kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name,
			Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}})
		config.Resources = append(config.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}})
	}
	add(7, "both topics", create)
	add(3, "both topics", partitions)
	add(2, "both topics", configs)
	add(1, "both topics", config)
	made := kmsg.NewPtrMetadataRequest()
	made.AllowAutoTopicCreation, made.Topics = true, []kmsg.MetadataRequestTopic{{Topic: &h.made}}
	add(9, making, made)
	offsets, groups := kmsg.NewPtrOffsetDeleteRequest(), kmsg.NewPtrDeleteGroupsRequest()
	offsets.Group, groups.Groups = h.group, []string{h.group, h.nobodys}
	for _, name := range both {
		offsets.Topics = append(offsets.Topics, kmsg.OffsetDeleteRequestTopic{Topic: name, Partitions: make([]kmsg.OffsetDeleteRequestTopicPartition, 1)})
	}
	add(0, "both topics", offsets)
	add(2, "groups", groups)
	byID, byName := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewPtrDeleteTopicsRequest()
	byID.TimeoutMillis, byName.TimeoutMillis = 10_000, 10_000
	byID.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{15: 1}}, {TopicID: h.id}}
	byName.TopicNames = both
	for _, name := range both {
		byName.Topics = append(byName.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	add(6, "by id", byID)
	add(6, "by name", byName)
}
