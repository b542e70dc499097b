package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/log/group"
)

// librdkafka's classic groups: cooperative rebalances, static members that come back unnoticed, patterns.
func TestClassicGroupConfluent(t *testing.T) {
	for _, assignor := range []string{"cooperative-sticky", "range"} {
		t.Run(assignor, func(t *testing.T) { confluentGroups(t, "classic", assignor) })
	}
}

// A static member of franz-go (cooperative-sticky by default) restarts within its session: same partitions, same generation.
func TestStaticMemberReturns(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if _, err := catalog.CreateTopic(ctx, "t", 4, nil); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(franz(t, address))
	member := func(instance string, topics ...string) *kgo.Client {
		return franz(t, address, kgo.ConsumerGroup("g"), kgo.ConsumeTopics(topics...), kgo.InstanceID(instance), kgo.HeartbeatInterval(50*time.Millisecond))
	}
	// stable waits for two members with partitions, and gives what instance a has.
	stable := func(id string) (g kadm.DescribedGroup, has kadm.TopicsSet) {
		for ctx.Err() == nil {
			d, err := admin.DescribeGroups(ctx, "g")
			if err != nil {
				t.Fatal(err)
			}
			// Not between the two steps of a cooperative rebalance, when what was revoked is nobody's.
			if g = d["g"]; g.State == "Stable" && len(g.Members) == 2 && len(g.AssignedPartitions()["t"]) == 4 {
				for _, m := range g.Members {
					if a, ok := m.Assigned.AsConsumer(); ok && *m.InstanceID == "a" && m.MemberID != id && len(a.Topics) > 0 {
						has = kadm.TopicsSet{}
						for _, topic := range a.Topics {
							has.Add(topic.Topic, topic.Partitions...)
						}
						if len(has["t"]) == 2 {
							return g, has
						}
					}
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("never stable: %+v", g)
		return g, has
	}
	// b leads: a leader that comes back rejoins when the plan that it makes is not the one that stands.
	b := member("b", "t")
	for id, _ := b.GroupMetadata(); id == "" && ctx.Err() == nil; id, _ = b.GroupMetadata() {
		time.Sleep(10 * time.Millisecond)
	}
	a := member("a", "t")
	_, before := stable("")
	id, generation := a.GroupMetadata()
	a.Close()
	a = member("a", "t")
	_, after := stable(id)
	newID, again := a.GroupMetadata()
	for newID == "" && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		newID, again = a.GroupMetadata()
	}
	if again != generation || newID == id || len(after["t"]) != len(before["t"]) {
		t.Errorf("member %s of generation %d with %v came back as %s of %d with %v", id, generation, before, newID, again, after)
	}
	for p := range before["t"] {
		if _, ok := after["t"][p]; !ok {
			t.Errorf("%v became %v", before, after)
		}
	}
	// Who held the id before is fenced.
	p := dial(t, address)
	beat := kmsg.NewPtrHeartbeatRequest()
	instance := "a"
	beat.Version, beat.Group, beat.Generation, beat.MemberID, beat.InstanceID = 4, "g", generation, id, &instance
	if code := p.ask(beat).(*kmsg.HeartbeatResponse).ErrorCode; code != kerr.FencedInstanceID.Code {
		t.Errorf("%d", code)
	}
}

// join is a JoinGroup of one protocol, to be changed by the test.
func join(version int16, member string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Version = version
	q.Group, q.MemberID, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "g", member, "consumer", 10_000, 10_000
	q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 0, 255, 255, 255, 255}}}
	return q
}

// Reference 2.3, groups: JoinGroup from version 4 on makes a new member come back with its id, not before, and not a static one.
func TestGotchaMemberIDRequired(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	first := p.ask(join(4, "")).(*kmsg.JoinGroupResponse)
	if first.ErrorCode != kerr.MemberIDRequired.Code || first.MemberID == "" {
		t.Fatalf("%+v", first)
	}
	if a := p.ask(join(4, first.MemberID)).(*kmsg.JoinGroupResponse); a.ErrorCode != 0 || a.MemberID != first.MemberID || a.LeaderID != a.MemberID {
		t.Errorf("%+v", a)
	}
	old := join(3, "")
	old.Group = "old"
	if a := p.ask(old).(*kmsg.JoinGroupResponse); a.ErrorCode != 0 || a.Generation != 1 {
		t.Errorf("%+v", a)
	}
	static, instance := join(5, ""), "i"
	static.Group, static.InstanceID = "static", &instance
	if a := p.ask(static).(*kmsg.JoinGroupResponse); a.ErrorCode != 0 || a.Generation != 1 {
		t.Errorf("%+v", a)
	}
}

// Reference 2.3, groups: the first rebalance waits for others only when it is told to, by default not (Kafka: 3 s).
func TestGotchaInitialRebalanceDelay(t *testing.T) {
	for _, delay := range []time.Duration{0, 3 * time.Second} {
		l, catalog := newLog(t)
		now := clock.NewManual(time.Unix(1_000_000, 0))
		p := dial(t, serve(t, l, catalog, func(o *Options) { o.Group, o.Clock = group.Options{InitialRebalanceDelay: delay}, now }))
		p.send(join(3, ""))
		if delay > 0 {
			now.Advance(delay - time.Millisecond)
			p.conn.SetReadDeadline(time.Now().Add(3 * beat))
			if n, err := p.conn.Read(make([]byte, 1)); err == nil {
				t.Fatalf("%d bytes of an answer before the delay was over", n)
			}
			now.Advance(time.Minute)
		}
		a := kmsg.NewPtrJoinGroupResponse()
		a.SetVersion(3)
		if p.receive(a, p.correlation); a.ErrorCode != 0 {
			t.Errorf("delay %v: %+v", delay, a)
		}
	}
}

// Reference 2.3, groups: OffsetFetch that asks for stable offsets is told to wait while a transaction may change them.
func TestGotchaUnstableOffsets(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	id := "txn"
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version, init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = 4, &id, 10_000, -1, -1
	producer := p.ask(init).(*kmsg.InitProducerIDResponse)
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.Version, commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch, commit.Generation = 5, id, "g", producer.ProducerID, producer.ProducerEpoch, -1
	commit.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 7, LeaderEpoch: -1}}}}
	p.ask(commit)
	fetch := func(stable bool) kmsg.OffsetFetchResponseTopicPartition {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.Version, q.Group, q.RequireStable = 7, "g", stable
		q.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		return p.ask(q).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
	}
	if got := fetch(true); got.ErrorCode != kerr.UnstableOffsetCommit.Code || got.Offset != -1 {
		t.Errorf("%+v", got)
	}
	if got := fetch(false); got.ErrorCode != 0 || got.Offset != -1 {
		t.Errorf("%+v", got)
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = 5, id, producer.ProducerID, producer.ProducerEpoch, true
	p.ask(end)
	if got := fetch(true); got.ErrorCode != 0 || got.Offset != 7 {
		t.Errorf("%+v", got)
	}
}

// Reference 2.3, groups: generation -1 is a consumer outside of the group, which may commit while the group has no members.
func TestGotchaSimpleConsumer(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	commit := func() int16 {
		q := kmsg.NewPtrOffsetCommitRequest()
		q.Version, q.Group, q.Generation = 8, "g", -1
		q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 5, LeaderEpoch: -1}}}}
		return p.ask(q).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	}
	if code := commit(); code != 0 {
		t.Error(code)
	}
	p.ask(join(3, ""))
	if code := commit(); code != kerr.UnknownMemberID.Code {
		t.Error(code)
	}
}
