package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
)

// quick makes the members of consumer groups come often.
func quick(o *Options) { o.Group.ConsumerHeartbeat = 50 * time.Millisecond }

// joining is the heartbeat of a member that joins with topics, to be changed by the test.
func joining(group, member string, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Version = 1
	q.Group, q.MemberID, q.RebalanceTimeoutMillis = group, member, 60_000
	q.SubscribedTopicNames, q.Topics = topics, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return q
}

func (p *peer) beat(q *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	p.t.Helper()
	return p.ask(q).(*kmsg.ConsumerGroupHeartbeatResponse)
}

// What is wrong with a heartbeat whatever the group is INVALID_REQUEST, and says what.
func TestConsumerHeartbeatInvalid(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	none := ""
	for name, change := range map[string]func(*kmsg.ConsumerGroupHeartbeatRequest){
		"GroupId":              func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Group = "" },
		"MemberId":             func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberID = "" },
		"InstanceId":           func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.InstanceID = &none },
		"RackId":               func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.RackID = &none },
		"MemberEpoch":          func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch = -3 },
		"for a while":          func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.MemberEpoch = -2 },
		"RebalanceTimeoutMs":   func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.RebalanceTimeoutMillis = -1 },
		"TopicPartitions":      func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.Topics = nil },
		"SubscribedTopicNames": func(q *kmsg.ConsumerGroupHeartbeatRequest) { q.SubscribedTopicNames = nil },
	} {
		q := joining("g", "m", "t")
		change(q)
		if a := p.beat(q); a.ErrorCode != kerr.InvalidRequest.Code || a.ErrorMessage == nil || !strings.Contains(*a.ErrorMessage, name) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if groups := p.ask(kmsg.NewPtrListGroupsRequest()).(*kmsg.ListGroupsResponse).Groups; len(groups) != 0 {
		t.Errorf("%+v", groups)
	}
	// Before version 1 the server makes the member's id.
	q := joining("g", "", "t")
	q.Version = 0
	if a := p.beat(q); a.ErrorCode != 0 || a.MemberID == nil || *a.MemberID == "" || a.MemberEpoch != 1 {
		t.Errorf("%+v", a)
	}
}

// A consumer group to the other APIs: epochs are asked for where offsets are read and written, and the tools see its type.
func TestConsumerGroupAndOffsets(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx := context.Background()
	for _, topic := range []string{"t", "other"} {
		if _, err := catalog.CreateTopic(ctx, topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	p := dial(t, address)
	a := p.beat(joining("g", "m", "t"))
	if a.ErrorCode != 0 || a.MemberEpoch != 1 || a.HeartbeatIntervalMillis != 5000 || len(a.Assignment.Topics) != 1 {
		t.Fatalf("%+v", a)
	}
	commit := func(version int16, member string, epoch int32, topic string) int16 {
		t.Helper()
		q := kmsg.NewPtrOffsetCommitRequest()
		q.Version, q.Group, q.MemberID, q.Generation = version, "g", member, epoch
		one := kmsg.NewOffsetCommitRequestTopic()
		one.Topic = topic
		one.Partitions = []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 5, LeaderEpoch: -1}}
		q.Topics = append(q.Topics, one)
		return p.ask(q).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	}
	for _, c := range []struct {
		version int16
		member  string
		epoch   int32
		want    int16
	}{{9, "m", 1, 0}, {9, "m", 0, kerr.StaleMemberEpoch.Code}, {9, "m", 2, kerr.StaleMemberEpoch.Code}, {9, "x", 1, kerr.UnknownMemberID.Code},
		{9, "", -1, kerr.UnknownMemberID.Code}, {8, "m", 1, kerr.UnsupportedVersion.Code}} {
		if got := commit(c.version, c.member, c.epoch, "t"); got != c.want {
			t.Errorf("commit %+v: %d", c, got)
		}
	}
	commit(9, "m", 1, "other")
	fetch := func(member *string, epoch int32) (int16, int) {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.Version = 9
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberID, g.MemberEpoch = "g", member, epoch
		q.Groups = append(q.Groups, g)
		a := p.ask(q).(*kmsg.OffsetFetchResponse).Groups[0]
		return a.ErrorCode, len(a.Topics)
	}
	m, x := "m", "x"
	if code, n := fetch(&m, 1); code != 0 || n != 2 {
		t.Errorf("%d, %d topics", code, n)
	}
	if code, n := fetch(nil, -1); code != 0 || n != 2 {
		t.Errorf("%d, %d topics", code, n)
	}
	if code, _ := fetch(&m, 0); code != kerr.StaleMemberEpoch.Code {
		t.Error(code)
	}
	if code, _ := fetch(&x, 1); code != kerr.UnknownMemberID.Code {
		t.Error(code)
	}
	checkConsumerGroupSeen(t, p)
	txnCommits(t, p)
	admin := kadm.NewClient(franz(t, address))
	if got, err := admin.DeleteGroups(ctx, "g"); err != nil || got["g"].Err != kerr.NonEmptyGroup {
		t.Errorf("%+v, %v", got, err)
	}
	set := kadm.TopicsSet{}
	set.Add("t", 0)
	set.Add("other", 0)
	got, err := admin.DeleteOffsets(ctx, "g", set)
	if err != nil || got["t"][0] != kerr.GroupSubscribedToTopic || got["other"][0] != nil {
		t.Errorf("%+v, %v", got, err)
	}
	q := joining("g", "m")
	q.MemberEpoch = -1
	if a := p.beat(q); a.ErrorCode != 0 || a.MemberEpoch != -1 {
		t.Errorf("%+v", a)
	}
	if got, err := admin.DeleteGroups(ctx, "g"); err != nil || got["g"].Err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// checkConsumerGroupSeen looks at group g, with one member, by the keys that describe groups.
func checkConsumerGroupSeen(t *testing.T, p *peer) {
	t.Helper()
	list := kmsg.NewPtrListGroupsRequest()
	list.Version, list.TypesFilter = 5, []string{"Consumer"}
	if g := p.ask(list).(*kmsg.ListGroupsResponse).Groups; len(g) != 1 || g[0].GroupType != "consumer" || g[0].GroupState != "Stable" {
		t.Errorf("%+v", g)
	}
	list.TypesFilter = []string{"classic"}
	if g := p.ask(list).(*kmsg.ListGroupsResponse).Groups; len(g) != 0 {
		t.Errorf("%+v", g)
	}
	old := kmsg.NewPtrDescribeGroupsRequest()
	old.Version, old.Groups = 5, []string{"g"}
	if g := p.ask(old).(*kmsg.DescribeGroupsResponse).Groups[0]; g.State != "Dead" || len(g.Members) != 0 {
		t.Errorf("%+v", g)
	}
	q := kmsg.NewPtrConsumerGroupDescribeRequest()
	q.Version, q.Groups = 1, []string{"g", "none"}
	groups := p.ask(q).(*kmsg.ConsumerGroupDescribeResponse).Groups
	if groups[1].ErrorCode != kerr.GroupIDNotFound.Code {
		t.Errorf("%+v", groups[1])
	}
	g := groups[0]
	if g.State != "Stable" || g.Epoch != 1 || g.AssignmentEpoch != 1 || g.AssignorName != "uniform" || len(g.Members) != 1 {
		t.Fatalf("%+v", g)
	}
	if m := g.Members[0]; m.MemberID != "m" || m.ClientID != "peer" || m.MemberType != 1 || m.Assignment.TopicPartitions[0].Topic != "t" ||
		m.TargetAssignment.TopicPartitions[0].Topic != "t" || m.SubscribedTopics[0] != "t" {
		t.Errorf("%+v", m)
	}
}

// txnCommits: a transaction's offsets are the member's under its epoch; producers know ILLEGAL_GENERATION for a stale one.
func txnCommits(t *testing.T, p *peer) {
	t.Helper()
	init := kmsg.NewPtrInitProducerIDRequest()
	id := "txn"
	init.Version, init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = 4, &id, 10_000, -1, -1
	producer := p.ask(init).(*kmsg.InitProducerIDResponse)
	for epoch, want := range map[int32]int16{0: kerr.IllegalGeneration.Code, 1: 0} {
		q := kmsg.NewPtrTxnOffsetCommitRequest()
		q.Version, q.TransactionalID, q.Group, q.ProducerID, q.ProducerEpoch = 5, id, "g", producer.ProducerID, producer.ProducerEpoch
		q.Generation, q.MemberID = epoch, "m"
		q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 7, LeaderEpoch: -1}}}}
		if got := p.ask(q).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("epoch %d: %d", epoch, got)
		}
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = 5, id, producer.ProducerID, producer.ProducerEpoch, true
	if a := p.ask(end).(*kmsg.EndTxnResponse); a.ErrorCode != 0 {
		t.Errorf("%+v", a)
	}
}

// Topics that are made, grow, and are made anew come to members by their next heartbeats.
func TestConsumerGroupFollowsTopics(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog, quick)
	ctx := context.Background()
	p := dial(t, address)
	regex := "late-.*"
	q := joining("g", "m", "late")
	q.SubscribedTopicRegex = &regex
	epoch := p.beat(q).MemberEpoch
	follow := func(what string, want int) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for time.Now().Before(deadline) {
			q := joining("g", "m")
			q.SubscribedTopicNames, q.MemberEpoch = nil, epoch
			a := p.beat(q)
			epoch = a.MemberEpoch
			if a.Assignment != nil {
				got := 0
				for _, topic := range a.Assignment.Topics {
					got += len(topic.Partitions)
				}
				if got == want {
					return
				}
			}
		}
		t.Fatalf("%s: not %d partitions", what, want)
	}
	topic, err := catalog.CreateTopic(ctx, "late", 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	follow("created", 2)
	if err := catalog.AlterTopic(ctx, topic, func(t *log.Topic) error { t.Partitions = 5; return nil }); err != nil {
		t.Fatal(err)
	}
	follow("grown", 5)
	if _, err := catalog.CreateTopic(ctx, "late-er", 3, nil); err != nil {
		t.Fatal(err)
	}
	follow("matched", 8)
	if err := catalog.DropTopic(ctx, topic); err != nil {
		t.Fatal(err)
	}
	follow("dropped", 3)
}

// A server that has forgotten its members tells them so; they join again, and go on where they had committed.
func TestConsumerGroupAfterRestart(t *testing.T) {
	l, catalog := newLog(t)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := dial(t, serve(t, l, catalog))
	p.beat(joining("g", "m", "t"))
	after := dial(t, serve(t, l, catalog))
	q := joining("g", "m", "t")
	q.MemberEpoch = 1
	if a := after.beat(q); a.ErrorCode != kerr.UnknownMemberID.Code {
		t.Fatalf("%+v", a)
	}
	if a := after.beat(joining("g", "m", "t")); a.ErrorCode != 0 || a.Assignment == nil {
		t.Fatalf("%+v", a)
	}
}

func TestConsumerGroupFranz(t *testing.T) {
	testGroupRebalance(t, kgo.ServerSideBalancer())
}

// librdkafka speaks the consumer protocol only to servers that have version 1 of it, and else reads nothing and says nothing.
func TestConsumerGroupConfluent(t *testing.T) {
	for _, assignor := range []string{"uniform", "range"} {
		t.Run(assignor, func(t *testing.T) { confluentGroups(t, "consumer", assignor) })
	}
}

// confluentGroups runs testdata/groups.py.
func confluentGroups(t *testing.T, protocol, assignor string) {
	t.Helper()
	l, catalog := newLog(t)
	address := serve(t, l, catalog, quick)
	python := testenv.PythonVenv(t, testenv.PythonKafka...)
	if out := run(t, nil, python, "testdata/groups.py", protocol, assignor, address); out[len(out)-1] != "ok" {
		t.Errorf("%q", out)
	}
}

// Kafka's console consumer reads in a consumer group, and its tool describes the group, with the type, and resets it.
func TestConsumerGroupJava(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog, quick)
	if _, err := catalog.CreateTopic(context.Background(), "orders", 3, nil); err != nil {
		t.Fatal(err)
	}
	franzClient("franz").produce(t, address, "none", "orders")
	got := java(t, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", address, "--topic", "orders",
		"--command-property", "group.protocol=consumer", "--from-beginning", "--max-messages", fmt.Sprint(records), "--timeout-ms", "120000", "--group", "java")
	if len(got) != records {
		t.Errorf("%d records", len(got))
	}
	tool := func(args ...string) string {
		return groupCommand(t, address, args...)
	}
	member := franz(t, address, kgo.ServerSideBalancer(), kgo.ConsumerGroup("live"), kgo.ConsumeTopics("orders"), kgo.InstanceID("i"))
	for d := (kadm.DescribedConsumerGroups{}); d["live"].State != "Stable"; {
		poll, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		member.PollFetches(poll)
		cancel()
		d, _ = kadm.NewClient(member).DescribeConsumerGroups(context.Background(), "live")
	}
	if out := tool("--list", "--type", "consumer"); !strings.Contains(out, "live") || !strings.Contains(out, "java") {
		t.Error(out)
	}
	if out := tool("--describe", "--group", "live", "--members", "--verbose"); !strings.Contains(out, "orders(0,1,2)") && !strings.Contains(out, "orders:0,1,2") {
		t.Error(out)
	}
	if out := tool("--describe", "--group", "live", "--state"); !strings.Contains(out, "Stable") || !strings.Contains(out, "uniform") {
		t.Error(out)
	}
	if out := tool("--describe", "--group", "java"); !strings.Contains(out, "orders") {
		t.Error(out)
	}
	if out := tool("--reset-offsets", "--group", "java", "--topic", "orders", "--to-earliest", "--execute"); !strings.Contains(out, "orders") {
		t.Error(out)
	}
	if out := tool("--delete", "--group", "java"); !strings.Contains(out, "was successful") {
		t.Error(out)
	}
}
