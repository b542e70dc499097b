package kafka

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// besideOffsets asks for places in t, which has the records 0 to 4: 0 to 2 at 1,000,000 ms and on, and 3 and 4 from there again.
func besideOffsets() (cases []besideCase) {
	type list = kmsg.ListOffsetsRequest
	type listed = kmsg.ListOffsetsRequestTopicPartition
	add := func(name string, want string, change func(b *beside, q *list, p *listed), versions ...int16) {
		cases = append(cases, besideCase{"offsets, " + name, versions, func(b *beside, _ int16) kmsg.Request {
			q := kmsg.NewPtrListOffsetsRequest()
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp, p.CurrentLeaderEpoch = latest, -1
			q.ReplicaID, q.Topics = -1, []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []listed{p}}}
			change(b, q, &q.Topics[0].Partitions[0])
			return q
		}, want})
	}
	for time, want := range map[int64]string{latest: "t/0 5 at -1", earliest: "t/0 0 at -1", 0: "t/0 0 at 1000000", 1_000_002: "t/0 2 at 1000002", 1_000_003: "t/0 -1 at -1"} {
		add("a time", want, func(_ *beside, _ *list, p *listed) { p.Timestamp = time }, 1, 5, 9)
	}
	for time, first := range map[int64]int16{maxTimestamp: 7, earliestLocal: 8, latestArchived: 9, -9: 99} {
		want := map[int64]string{maxTimestamp: "t/0 2 at 1000002", earliestLocal: "t/0 0 at -1", latestArchived: "t/0 -1 at -1"}[time]
		for version := int16(6); version <= 9; version++ {
			if version == first {
				add("a place", want, func(_ *beside, _ *list, p *listed) { p.Timestamp = time }, version)
			} else if version < first {
				add("a place of later versions", "t/0 UNSUPPORTED_VERSION", func(_ *beside, _ *list, p *listed) { p.Timestamp = time }, version)
			}
		}
	}
	for _, level := range []int8{2, -1} {
		add("an unknown isolation level", "t/0 UNKNOWN_SERVER_ERROR", func(_ *beside, q *list, _ *listed) { q.IsolationLevel = level }, 2, 9)
	}
	add("a negative epoch", "t/0 FENCED_LEADER_EPOCH", func(_ *beside, _ *list, p *listed) { p.CurrentLeaderEpoch = -2 }, 4, 9)
	add("an epoch to come", "t/0 UNKNOWN_LEADER_EPOCH", func(b *beside, _ *list, p *listed) { p.CurrentLeaderEpoch = b.epoch + 1 }, 4, 9)
	add("named twice", "t/0 INVALID_REQUEST, t/1 0 at -1, t/7 INVALID_REQUEST", func(_ *beside, q *list, p *listed) {
		other, none := *p, *p
		other.Partition, none.Partition = 1, 7
		q.Topics = append(q.Topics, kmsg.ListOffsetsRequestTopic{Topic: "t", Partitions: []listed{*p, other, none, none}})
	}, 1, 5, 9)

	type asked = kmsg.OffsetForLeaderEpochRequestTopicPartition
	for _, c := range []struct {
		name, want string
		change     func(b *beside, p *asked)
	}{
		{"none", "t/0 -1 ends at -1", func(_ *beside, p *asked) { p.LeaderEpoch = -1 }},
		{"before all", "t/0 -2 ends at 0", func(_ *beside, p *asked) { p.LeaderEpoch = -2 }},
		{"to come", "t/0 -1 ends at -1", func(b *beside, p *asked) { p.LeaderEpoch = b.epoch + 1 }},
		{"the client's is none", "t/0 FENCED_LEADER_EPOCH", func(b *beside, p *asked) { p.LeaderEpoch, p.CurrentLeaderEpoch = b.epoch, -2 }},
		{"the client's is to come", "t/0 UNKNOWN_LEADER_EPOCH", func(b *beside, p *asked) { p.LeaderEpoch, p.CurrentLeaderEpoch = b.epoch, b.epoch+1 }},
		{"unknown partition", "t/7 UNKNOWN_TOPIC_OR_PARTITION", func(_ *beside, p *asked) { p.Partition = 7 }},
	} {
		cases = append(cases, besideCase{"epoch, " + c.name, []int16{2, 4}, func(b *beside, _ int16) kmsg.Request {
			q, p := kmsg.NewPtrOffsetForLeaderEpochRequest(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			q.ReplicaID = -1
			c.change(b, &p)
			q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []asked{p}}}
			return q
		}, c.want})
	}
	return cases
}

// besideTopics asks of topics. Kafka leaves names out beside ids in a Metadata request, and trips over a topic with neither: no
// client sends such, and ours answers them.
func besideTopics() (cases []besideCase) {
	type topic = kmsg.MetadataRequestTopic
	name := kmsg.StringPtr
	for _, c := range []struct {
		name, want string
		versions   []int16
		topics     func(b *beside) []topic
	}{
		{"an id", "t/2", []int16{12}, func(b *beside) []topic { return []topic{{TopicID: b.ids["t"]}, {TopicID: b.ids["t"]}} }},
		{"an unknown id", "none/0 UNKNOWN_TOPIC_ID", []int16{12}, func(b *beside) []topic { return []topic{{TopicID: b.ids["none"]}} }},
		{"a dropped id", "dropped/0 UNKNOWN_TOPIC_ID", []int16{12}, func(b *beside) []topic { return []topic{{TopicID: b.ids["dropped"]}} }},
		{"an id and another's name", "t/2", []int16{12}, func(b *beside) []topic { return []topic{{Topic: name("u"), TopicID: b.ids["t"]}} }},
		{"an unknown id and a name", "none/0 UNKNOWN_TOPIC_ID", []int16{12}, func(b *beside) []topic { return []topic{{Topic: name("t"), TopicID: b.ids["none"]}} }},
		{"an id before there were any", "u/0 INVALID_REQUEST", []int16{10, 11}, func(b *beside) []topic { return []topic{{Topic: name("u"), TopicID: b.ids["t"]}} }},
		{"an id alone before there were any", "t/0 INVALID_REQUEST", []int16{10, 11}, func(b *beside) []topic { return []topic{{TopicID: b.ids["t"]}} }},
		{"names again", "t/2, u/2", []int16{0, 9, 12}, func(*beside) []topic { return []topic{{Topic: name("t")}, {Topic: name("u")}, {Topic: name("t")}} }},
		{"a bad name", "./0 INVALID_TOPIC_EXCEPTION", []int16{4, 9, 12}, func(*beside) []topic { return []topic{{Topic: name(".")}} }},
	} {
		cases = append(cases, besideCase{"metadata, " + c.name, c.versions, func(b *beside, _ int16) kmsg.Request {
			q := kmsg.NewPtrMetadataRequest()
			q.Topics = c.topics(b)
			return q
		}, c.want})
	}

	type dir = kmsg.DescribeLogDirsRequestTopic
	for _, c := range []struct {
		name, want string
		topics     []dir
	}{
		{"none", "", []dir{}},
		{"again", "u/0 of 0, u/1 of 0", []dir{{Topic: "u", Partitions: []int32{0, 0}}, {Topic: "u", Partitions: []int32{1}}}},
		{"unknown", "", []dir{{Topic: "u", Partitions: []int32{7, -1}}, {Topic: "none", Partitions: []int32{0}}}},
	} {
		cases = append(cases, besideCase{"log dirs, " + c.name, []int16{1, 4}, func(*beside, int16) kmsg.Request {
			q := kmsg.NewPtrDescribeLogDirsRequest()
			q.Topics = c.topics
			return q
		}, c.want})
	}

	type deleted = kmsg.DeleteRecordsRequestTopicPartition
	for _, c := range []struct {
		name, topic, want string
		partitions        []deleted
	}{
		{"beyond the end", "t", "t/0 OFFSET_OUT_OF_RANGE", []deleted{{Offset: 6}}},
		{"negative", "t", "t/0 OFFSET_OUT_OF_RANGE", []deleted{{Offset: -2}}},
		{"an empty partition", "t", "t/1 from 0", []deleted{{Partition: 1, Offset: -1}}},
		{"unknown", "t", "t/7 UNKNOWN_TOPIC_OR_PARTITION", []deleted{{Partition: 7}}},
		{"an unknown topic", "none", "none/0 UNKNOWN_TOPIC_OR_PARTITION", []deleted{{}}},
		{"again", "t", "t/0 from 1", []deleted{{Offset: 3}, {Offset: 1}}},
		{"less", "t", "t/0 from 1", []deleted{{Offset: 0}}},
	} {
		cases = append(cases, besideCase{"delete records, " + c.name, []int16{0, 2}, func(*beside, int16) kmsg.Request {
			q := kmsg.NewPtrDeleteRecordsRequest()
			q.TimeoutMillis = 60_000
			q.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: c.topic, Partitions: c.partitions}}
			return q
		}, c.want})
	}
	return cases
}

// besideGroups commits offsets of t. A commit under an unknown group's generation is ILLEGAL_GENERATION here, and from version 9 on
// GROUP_ID_NOT_FOUND in Kafka, which ends Java's consumer: Kafka stores a classic group's members, we do not, and they are to join again.
func besideGroups() (cases []besideCase) {
	type commit = kmsg.OffsetCommitRequest
	type committed = kmsg.OffsetCommitRequestTopicPartition
	metadata := func(s string) func(*commit, *committed) { return func(_ *commit, p *committed) { p.Metadata = &s } }
	for _, c := range []struct {
		name, want, stored string
		change             func(q *commit, p *committed)
	}{
		{"a negative offset", "t/0", "t/0 -7", func(_ *commit, p *committed) { p.Offset = -7 }},
		{"beyond the end", "t/0", "t/0 4611686018427387904", func(_ *commit, p *committed) { p.Offset = 1 << 62 }},
		{"much metadata", "t/0", "t/0 3" + strings.Repeat("x", 4096), metadata(strings.Repeat("x", 4096))},
		{"too much metadata", "t/0 OFFSET_METADATA_TOO_LARGE", "t/0 3" + strings.Repeat("x", 4096), metadata(strings.Repeat("x", 4097))},
		{"metadata of two bytes each", "t/0", "t/0 3" + strings.Repeat("é", 4096), metadata(strings.Repeat("é", 4096))},
		{"metadata of four bytes each", "t/0 OFFSET_METADATA_TOO_LARGE", "t/0 3" + strings.Repeat("é", 4096), metadata(strings.Repeat("😀", 2049))},
		{"no metadata", "t/0", "t/0 3", func(_ *commit, p *committed) { p.Metadata = nil }},
		{"again", "t/0, t/0", "t/0 9", func(q *commit, p *committed) {
			again := *p
			again.Offset = 9
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, again)
		}},
		{"an unknown partition", "t/7 UNKNOWN_TOPIC_OR_PARTITION", "t/0 9", func(_ *commit, p *committed) { p.Partition = 7 }},
		{"an unknown topic", "none/0 UNKNOWN_TOPIC_OR_PARTITION", "t/0 9", func(q *commit, _ *committed) { q.Topics[0].Topic = "none" }},
		{"an unknown member", "t/0 UNKNOWN_MEMBER_ID", "t/0 9", func(q *commit, _ *committed) { q.Generation, q.MemberID = 5, "m" }},
		{"nothing", "", "t/0 9", func(q *commit, _ *committed) { q.Topics = nil }},
	} {
		for _, version := range []int16{2, 8, 9} {
			cases = append(cases, besideCase{"commit, " + c.name, []int16{version}, func(*beside, int16) kmsg.Request {
				q, p := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewOffsetCommitRequestTopicPartition()
				p.Offset = 3
				q.Group, q.Generation = "g", -1
				q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []committed{p}}}
				c.change(q, &q.Topics[0].Partitions[0])
				return q
			}, c.want}, besideCase{"committed, " + c.name, []int16{5}, offsetsOf("g"), c.stored})
		}
	}
	cases = append(cases, besideCase{"committed of an unknown group", []int16{1, 5}, offsetsOf("none"), "t/0 -1"})

	forgotten := func(name, want, group, topic string, partition int32) {
		cases = append(cases, besideCase{"forget, " + name, []int16{0}, func(*beside, int16) kmsg.Request {
			q := kmsg.NewPtrOffsetDeleteRequest()
			q.Group, q.Topics = group, []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: partition}}}}
			return q
		}, want})
	}
	forgotten("no group", "INVALID_GROUP_ID", "", "t", 0)
	forgotten("an unknown group", "GROUP_ID_NOT_FOUND", "none", "t", 0)
	forgotten("an unknown topic", "none/0 UNKNOWN_TOPIC_OR_PARTITION", "g", "none", 0)
	forgotten("an unknown partition", "t/7 UNKNOWN_TOPIC_OR_PARTITION", "g", "t", 7)
	forgotten("what there is", "t/0", "g", "t", 0)
	return append(cases, besideCase{"groups deleted again", []int16{0, 2}, func(*beside, int16) kmsg.Request {
		q := kmsg.NewPtrDeleteGroupsRequest()
		q.Groups = []string{"none", "none"}
		return q
	}, "none/0 GROUP_ID_NOT_FOUND"})
}

func offsetsOf(group string) func(*beside, int16) kmsg.Request {
	return func(*beside, int16) kmsg.Request {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.Group, q.Topics = group, []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		return q
	}
}

// besideTxns asks of producers. Kafka lists every transaction that is not under way as an old one (ListTransactions 1), and repeats
// what DescribeTransactions names again: ours does neither.
func besideTxns() (cases []besideCase) {
	init := func(name, want string, id int64, epoch int16) {
		cases = append(cases, besideCase{"init, " + name, []int16{3, 5}, func(*beside, int16) kmsg.Request {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = kmsg.StringPtr("tx"), 60_000, id, epoch
			return q
		}, want})
	}
	init("a new one", "", -1, -1)
	init("without an epoch", "INVALID_REQUEST", 1, -1)
	init("without an id", "INVALID_REQUEST", -1, 0)
	for id, want := range map[string]string{"tx": "tx/0 Empty", "none": "none/0 TRANSACTIONAL_ID_NOT_FOUND", "": "/0 INVALID_REQUEST"} {
		cases = append(cases, besideCase{"transaction " + id, []int16{0}, func(*beside, int16) kmsg.Request {
			q := kmsg.NewPtrDescribeTransactionsRequest()
			q.TransactionalIDs = []string{id}
			return q
		}, want})
	}
	cases = append(cases, besideCase{"transactions", []int16{0, 1}, func(*beside, int16) kmsg.Request {
		q := kmsg.NewPtrListTransactionsRequest()
		q.StateFilters = []string{"Odd", "Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence", "CompleteCommit", "CompleteAbort", "Dead", "Odd", "even"}
		return q
	}, "Odd even"})
	cases = append(cases, besideCase{"the newest time, of a transaction under way", []int16{9}, func(b *beside, _ int16) kmsg.Request {
		tx := txnPeer{peer: b.peer, id: "under way"}
		if tx.init(4) != 0 || tx.add("u", 1) != 0 || tx.produce(9, "u", 1, "a") != 0 {
			b.t.Fatal("no transaction begins")
		}
		q, p := kmsg.NewPtrListOffsetsRequest(), kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, q.IsolationLevel, q.ReplicaID = 1, maxTimestamp, readCommitted, -1
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "u", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		return q
	}, "u/1 -1 at -1"})
	for topic, want := range map[string]string{"t": "t/0 0", "none": "none/0 UNKNOWN_TOPIC_OR_PARTITION", "bad name": "bad name/0 INVALID_TOPIC_EXCEPTION"} {
		cases = append(cases, besideCase{"producers", []int16{0}, func(*beside, int16) kmsg.Request {
			q := kmsg.NewPtrDescribeProducersRequest()
			q.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
			return q
		}, want})
	}
	return cases
}
