package kafka

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/record"
)

// Every key answers every version that it offers, with an answer that decodes to its last byte.
func TestEveryVersion(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	topic, _ := catalog.CreateTopic(context.Background(), "t", 2, nil)
	for key, served := range apis {
		for version := served.min; version <= served.max; version++ {
			if key == produceKey && version < 3 {
				continue // refused, see TestProduceRefusals
			}
			q := kmsg.RequestForKey(key)
			q.SetVersion(version)
			fill(q, topic)
			p := dial(t, address)
			a := p.ask(q)
			again := q.ResponseKind()
			if err := again.ReadFrom(a.AppendTo(nil)); err != nil {
				t.Errorf("%T version %d: %v", q, version, err)
			}
			p.conn.Close()
		}
	}
}

// fill gives a request of any key something to ask for.
func fill(q kmsg.Request, topic log.Topic) {
	switch q := q.(type) {
	case *kmsg.ProduceRequest:
		q.Acks = 1
		q.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", TopicID: topic.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 7}}}}
	case *kmsg.FetchRequest:
		p := kmsg.NewFetchRequestTopicPartition()
		p.CurrentLeaderEpoch = -1
		q.Topics = []kmsg.FetchRequestTopic{{Topic: "t", TopicID: topic.ID, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	case *kmsg.ListOffsetsRequest:
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = -1, -1
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	case *kmsg.MetadataRequest:
		q.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic.Name}}
	case *kmsg.OffsetCommitRequest:
		q.Group, q.Generation = "g", -1
		q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1, Offset: 3}}}}
	case *kmsg.OffsetFetchRequest:
		q.Group = "g"
		q.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
		q.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g"}, {Group: "h"}}
	case *kmsg.FindCoordinatorRequest:
		q.CoordinatorKey, q.CoordinatorKeys = "g", []string{"g", "h"}
	case *kmsg.JoinGroupRequest:
		q.Group, q.SessionTimeoutMillis, q.ProtocolType = fmt.Sprint("j", q.Version), 1000, "consumer"
		q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}
	case *kmsg.LeaveGroupRequest:
		q.Group, q.Members = "g", []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}
	case *kmsg.DescribeGroupsRequest:
		q.Groups = []string{"g", "h"}
	case *kmsg.AlterClientQuotasRequest:
		q.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user"}},
			Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: access.ProducerByteRate, Remove: true}}}}
	case *kmsg.ConsumerGroupDescribeRequest:
		q.Groups = []string{"g"}
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		q.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "ann", Mechanism: 1}}
	case *kmsg.CreateACLsRequest:
		q.Creations = []kmsg.CreateACLsRequestCreation{{ResourceType: 2, ResourceName: "t", ResourcePatternType: 3, Principal: "User:x", Host: "*", Operation: 3, PermissionType: 3}}
	case *kmsg.DeleteACLsRequest:
		q.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 2, ResourcePatternType: 3, Operation: 1, PermissionType: 1}}
	case *kmsg.CreateTopicsRequest:
		q.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: fmt.Sprint("c", q.Version), NumPartitions: 3, ReplicationFactor: 1}}
	case *kmsg.DeleteTopicsRequest:
		name := fmt.Sprint("c", q.Version)
		q.TopicNames, q.Topics = []string{name}, []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	case *kmsg.DescribeConfigsRequest:
		q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"},
			{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}}
	case *kmsg.AlterConfigsRequest:
		q.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}}
	case *kmsg.IncrementalAlterConfigsRequest:
		q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}}
	case *kmsg.DeleteRecordsRequest:
		q.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
	case *kmsg.OffsetForLeaderEpochRequest:
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	case *kmsg.DeleteGroupsRequest:
		q.Groups = []string{"g", "h"}
	case *kmsg.OffsetDeleteRequest:
		q.Group = "g"
		q.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: make([]kmsg.OffsetDeleteRequestTopicPartition, 1)}}
	case *kmsg.DescribeProducersRequest:
		q.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}}
	case *kmsg.AddPartitionsToTxnRequest:
		q.TransactionalID = "tx"
		q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}}
	case *kmsg.TxnOffsetCommitRequest:
		q.TransactionalID, q.Group = "tx", "g"
		q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: make([]kmsg.TxnOffsetCommitRequestTopicPartition, 1)}}
	case *kmsg.DescribeTransactionsRequest:
		q.TransactionalIDs = []string{"tx"}
	case *kmsg.CreatePartitionsRequest:
		q.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 1}}
	case *kmsg.ElectLeadersRequest:
		q.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}}
	case *kmsg.ApiVersionsRequest:
		q.ClientSoftwareName, q.ClientSoftwareVersion = "peer", "1.0"
	case *kmsg.DescribeClusterRequest:
		q.EndpointType = 1
	}
}

// An ApiVersions of a version to come is answered in version 0 with our range (KIP-511).
func TestUnknownApiVersions(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	q := kmsg.NewPtrApiVersionsRequest()
	q.SetVersion(5)
	p.send(q)
	a := kmsg.NewPtrApiVersionsResponse()
	p.receive(a, p.correlation)
	if a.ErrorCode != kerr.UnsupportedVersion.Code || len(a.ApiKeys) != 1 || a.ApiKeys[0].ApiKey != 18 || a.ApiKeys[0].MaxVersion != 4 {
		t.Fatalf("%+v", a)
	}
	// The same connection goes on.
	q.SetVersion(3)
	q.ClientSoftwareName, q.ClientSoftwareVersion = "peer", "1"
	if a := p.ask(q).(*kmsg.ApiVersionsResponse); a.ErrorCode != 0 || len(a.ApiKeys) != len(apis) {
		t.Fatalf("%+v", a)
	}
	q.ClientSoftwareName = "-bad-"
	if a := p.ask(q).(*kmsg.ApiVersionsResponse); a.ErrorCode != kerr.InvalidRequest.Code {
		t.Fatalf("%+v", a)
	}
}

// The hand-written Fetch response is kmsg's, byte for byte.
func TestFetchEncoding(t *testing.T) {
	q := kmsg.NewPtrFetchRequest()
	q.Topics = []kmsg.FetchRequestTopic{{Topic: "a", TopicID: [16]byte{1}, Partitions: make([]kmsg.FetchRequestTopicPartition, 5)}}
	for i := range q.Topics[0].Partitions {
		q.Topics[0].Partitions[i].Partition = int32(i)
	}
	s := &Server{log: newMemLog(), options: Options{NodeID: 3, AdvertisedHost: "h", AdvertisedPort: 9092}}
	f := fetching{server: s, frame: &request{conn: &conn{server: s}}, request: q, partitions: []fetched{
		{bounds: log.Bounds{Start: 5, End: 9, Stable: 8}, records: bytes.Repeat([]byte("x"), 300),
			aborted: []log.AbortedTxn{{Producer: 3, First: 5, Last: 6}, {Producer: 4, First: 6, Last: 7}}},
		{code: 1},
		{bounds: log.Bounds{Start: 1, End: 1, Stable: 1}, aborted: []log.AbortedTxn{}},
		{bounds: log.Bounds{Start: 1, End: 1, Stable: 1}},
		{code: kerr.FencedLeaderEpoch.Code},
	}}
	for version := int16(4); version <= 17; version++ {
		a := kmsg.NewFetchResponse()
		a.SetVersion(version)
		for _, t := range q.Topics {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for i := range t.Partitions {
				p := kmsg.NewFetchResponseTopicPartition()
				p.Partition, p.ErrorCode, p.RecordBatches = int32(i), f.partitions[i].code, append([]byte{}, f.partitions[i].records...)
				p.HighWatermark, p.LogStartOffset = f.partitions[i].bounds.End, f.partitions[i].bounds.Start
				if p.ErrorCode != 0 {
					p.HighWatermark, p.LogStartOffset = -1, -1
				}
				p.LastStableOffset, p.PreferredReadReplica = f.partitions[i].bounds.Stable, -1
				if p.ErrorCode != 0 {
					p.LastStableOffset = -1
				}
				if f.partitions[i].aborted != nil {
					p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
				}
				if i == 3 {
					p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 2, 7
				}
				if i == 4 && version >= 16 {
					p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = 3, 0
					a.Brokers = []kmsg.FetchResponseBroker{{NodeID: 3, Host: "h", Port: 9092}}
				}
				for _, one := range f.partitions[i].aborted {
					p.AbortedTransactions = append(p.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: one.Producer, FirstOffset: one.First})
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			a.Topics = append(a.Topics, topic)
		}
		if version < 12 { // it has no place for where records diverge, and so is not asked
			f.partitions[3].diverging = nil
		} else {
			f.partitions[3].diverging = &divergence{epoch: 2, end: 7}
		}
		if got, want := bytes.Join(f.encode(version).body, nil), a.AppendTo(nil); !bytes.Equal(got, want) {
			t.Errorf("version %d:\n got %x\nwant %x", version, got, want)
		}
	}
}

// One connection has many batches on their way to the disk; none is answered before it is durable, all in order.
func TestProducePipelined(t *testing.T) {
	l := newMemLog()
	p := dial(t, serve(t, l, l))
	l.CreateTopic(context.Background(), "t", 1, nil)
	l.hold = true
	const n = 20
	for i := range n {
		p.send(produce(9, "t", 0, batch(t, record.None, fmt.Sprint(i))))
	}
	for l.waiting() < n {
		time.Sleep(time.Millisecond)
	}
	p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got, err := p.conn.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes of an answer before the write was durable", got)
	}
	l.release()
	for i := range n {
		a := kmsg.NewPtrProduceResponse()
		a.SetVersion(9)
		p.receive(a, int32(i+1))
		if got := a.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.BaseOffset != int64(i) {
			t.Fatalf("produce %d: %+v", i, got)
		}
	}
}

func TestProduceRefusals(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx := context.Background()
	catalog.CreateTopic(ctx, "small", 1, map[string]string{"max.message.bytes": "1000"})
	catalog.CreateTopic(ctx, "recent", 1, map[string]string{"message.timestamp.before.max.ms": "3600000"})
	catalog.CreateTopic(ctx, "plain", 1, nil)
	catalog.CreateTopic(ctx, "compacted", 1, map[string]string{"cleanup.policy": "compact"})
	catalog.CreateTopic(ctx, "__internal", 1, nil)
	refusing, _ := catalog.CreateTopic(ctx, "refusing", 1, nil)
	l.Admit(refusing.ID, func(context.Context, log.Append, func(log.Append) (*log.Ticket, error)) (*log.Ticket, error) {
		return nil, errs.New(errs.Constraint, "table refusing: %w", &log.RecordError{Index: 1, Message: "amount is not a number"})
	})
	good := func() []byte { return batch(t, record.None, "one", "two") }
	change := func(at int, b byte, fresh bool) []byte {
		p := good()
		p[at] = b
		if fresh {
			b, _ := record.ParseHeader(p)
			rehash(b.Bytes)
		}
		return p
	}
	var idempotent record.Builder
	idempotent.Producer(7, 0, 0)
	idempotent.Add(1, nil, []byte("x"))
	once, _ := idempotent.Build()
	keyed := record.Builder{}
	keyed.Add(1, []byte("k"), nil)
	keyed.Add(1, nil, []byte("v"))
	partKeyed, _ := keyed.Build()
	for _, c := range []struct {
		name      string
		topic     string
		partition int32
		records   []byte
		want      *kerr.Error
	}{
		{"unknown topic", "nope", 0, good(), kerr.UnknownTopicOrPartition},
		{"unknown partition", "plain", 1, good(), kerr.UnknownTopicOrPartition},
		{"negative partition", "plain", -1, good(), kerr.UnknownTopicOrPartition},
		{"internal topic", "__internal", 0, good(), kerr.InvalidTopicException},
		{"no batch", "plain", 0, nil, kerr.InvalidRecord},
		{"garbage", "plain", 0, []byte("garbage"), kerr.CorruptMessage},
		{"cut short", "plain", 0, good()[:70], kerr.CorruptMessage},
		{"trailing bytes", "plain", 0, append(good(), 1, 2, 3), kerr.CorruptMessage},
		{"magic 1", "plain", 0, change(16, 1, false), kerr.CorruptMessage},
		{"bad CRC", "plain", 0, change(70, 0xff, false), kerr.CorruptMessage},
		{"control batch", "plain", 0, change(22, 0x20, true), kerr.InvalidRecord},
		{"transactional batch", "plain", 0, change(22, 0x10, true), kerr.TransactionalIDAuthorizationFailed},
		{"too large", "small", 0, batch(t, record.None, strings.Repeat("x", 1000)), kerr.MessageTooLarge},
		{"too old", "recent", 0, good(), kerr.InvalidTimestamp},
		{"no key on a compacted topic", "compacted", 0, partKeyed, kerr.InvalidRecord},
		{"two idempotent batches", "plain", 0, append(bytes.Clone(once), once...), kerr.InvalidRecord},
		{"refused by the hook", "refusing", 0, good(), kerr.InvalidRecord},
		{"taken", "plain", 0, good(), nil},
		{"two batches", "plain", 0, append(good(), good()...), nil},
		{"taken with a codec", "plain", 0, batch(t, record.Zstd, "x"), nil},
	} {
		p := dial(t, address)
		got := p.ask(produce(9, c.topic, c.partition, c.records)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if want := kerr.TypedErrorForCode(got.ErrorCode); want != c.want {
			t.Errorf("%s: %v (%v), want %v", c.name, want, text(got.ErrorMessage), c.want)
		}
		if (got.ErrorMessage == nil) != (c.want == nil) {
			t.Errorf("%s: message %v", c.name, got.ErrorMessage)
		}
		switch c.name {
		case "refused by the hook":
			if len(got.ErrorRecords) != 1 || got.ErrorRecords[0].RelativeOffset != 1 || text(got.ErrorRecords[0].ErrorMessage) != "amount is not a number" {
				t.Errorf("error records %+v", got.ErrorRecords)
			}
		case "no key on a compacted topic":
			if len(got.ErrorRecords) != 1 || got.ErrorRecords[0].RelativeOffset != 1 {
				t.Errorf("error records %+v", got.ErrorRecords)
			}
		}
	}
	p := dial(t, address)
	q := produce(2, "plain", 0, good())
	if a := p.ask(q).(*kmsg.ProduceResponse); a.Topics[0].Partitions[0].ErrorCode != kerr.UnsupportedForMessageFormat.Code {
		t.Errorf("version 2: %+v", a)
	}
	q = produce(9, "plain", 0, good())
	q.Acks = 2
	if a := p.ask(q).(*kmsg.ProduceResponse); a.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequiredAcks.Code {
		t.Errorf("acks 2: %+v", a)
	}
	// acks=0: no answer; the next request's answer is the next that comes.
	q.Acks = 0
	p.send(q)
	p.ask(kmsg.NewPtrListGroupsRequest())
	q = produce(9, "nope", 0, good())
	q.Acks = 0
	p.send(q)
	p.closed()
}

// LogAppendTime is the server's time, under a CRC that fits.
func TestLogAppendTime(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	catalog.CreateTopic(context.Background(), "t", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	before := time.Now().UnixMilli()
	produced := p.ask(produce(9, "t", 0, batch(t, record.LZ4, "x"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	a := p.ask(fetchRequest("t", 0, 0)).(*kmsg.FetchResponse)
	b, _, err := record.Parse(a.Topics[0].Partitions[0].RecordBatches)
	if err != nil || !b.LogAppendTime() || b.MaxTimestamp != produced.LogAppendTime || b.MaxTimestamp < before || b.MaxTimestamp > time.Now().UnixMilli() {
		t.Fatalf("%+v %v", b, err)
	}
}

func fetchRequest(topic string, offset int64, wait time.Duration) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(11)
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = int32(wait.Milliseconds()), 1, 1<<20
	q.SessionEpoch = -1
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.CurrentLeaderEpoch, part.PartitionMaxBytes = offset, -1, 1<<20
	q.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
	return q
}

func TestFetch(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	catalog.CreateTopic(context.Background(), "t", 1, nil)
	p, other := dial(t, address), dial(t, address)
	ask := func(q *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
		return p.ask(q).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}
	// Nothing comes: the answer waits as long as it was asked to.
	start := time.Now()
	if a := ask(fetchRequest("t", 0, 60*time.Millisecond)); len(a.RecordBatches) > 0 || a.ErrorCode != 0 || time.Since(start) < 60*time.Millisecond {
		t.Fatalf("%+v after %v", a, time.Since(start))
	}
	// Something comes: the answer comes with it.
	p.send(fetchRequest("t", 0, time.Hour)) // receive does not wait for so long
	time.Sleep(20 * time.Millisecond)
	sent := batch(t, record.Gzip, "a", "b")
	record.SetLeaderEpoch(sent, l.LeaderEpoch())
	other.ask(produce(9, "t", 0, bytes.Clone(sent)))
	a := kmsg.NewPtrFetchResponse()
	a.SetVersion(11)
	p.receive(a, p.correlation)
	if got := a.Topics[0].Partitions[0]; !bytes.Equal(got.RecordBatches, sent) || got.HighWatermark != 2 || got.PreferredReadReplica != -1 {
		t.Fatalf("%+v", got)
	}
	// An offset in the midst of a batch gives the batch; one batch at least whatever the limit (KIP-74).
	q := fetchRequest("t", 1, 0)
	q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 1, 1
	if got := ask(q); !bytes.Equal(got.RecordBatches, sent) {
		t.Fatalf("%+v", got)
	}
	for name, c := range map[string]struct {
		q    *kmsg.FetchRequest
		want *kerr.Error
	}{
		"beyond the end": {fetchRequest("t", 3, 10*time.Second), kerr.OffsetOutOfRange},
		"negative":       {fetchRequest("t", -5, 10*time.Second), kerr.OffsetOutOfRange},
		"unknown topic":  {fetchRequest("u", 0, 0), kerr.UnknownTopicOrPartition},
	} {
		if got := ask(c.q); got.ErrorCode != c.want.Code {
			t.Errorf("%s: %v", name, kerr.TypedErrorForCode(got.ErrorCode))
		}
	}
	q = fetchRequest("t", 0, 0)
	q.Topics[0].Partitions[0].CurrentLeaderEpoch = 9
	if got := ask(q); got.ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("a future epoch: %v", got.ErrorCode)
	}
	// Who believes in an epoch of the past is told which one it is now, and where its leader is. Kafka says so too: TestBesideKafka
	// cannot compare it, since the epochs of a new broker there begin at 0.
	q.SetVersion(17)
	topic, _ := l.Topic("t")
	q.Topics[0].TopicID, q.Topics[0].Partitions[0].CurrentLeaderEpoch = topic.ID, l.LeaderEpoch()-1
	fenced := p.ask(q).(*kmsg.FetchResponse)
	host, port, _ := net.SplitHostPort(address)
	if got := fenced.Topics[0].Partitions[0]; got.ErrorCode != kerr.FencedLeaderEpoch.Code || got.CurrentLeader.LeaderEpoch != l.LeaderEpoch() ||
		got.CurrentLeader.LeaderID != 1 || len(fenced.Brokers) != 1 || fenced.Brokers[0].Host != host || fmt.Sprint(fenced.Brokers[0].Port) != port {
		t.Errorf("an epoch of the past: %+v", fenced)
	}
	q = fetchRequest("t", 0, 0)
	q.SessionID, q.SessionEpoch = 5, 1
	if got := p.ask(q).(*kmsg.FetchResponse); got.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("a session: %+v", got)
	}
	q = fetchRequest("", 0, 0)
	q.SetVersion(13)
	q.Topics[0].TopicID = [16]byte{9}
	if got := ask(q); got.ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("an unknown id: %v", got.ErrorCode)
	}
	// A client that goes away while its fetch waits leaves nothing behind (serve's clean-up looks for goroutines).
	gone := dial(t, address)
	gone.send(fetchRequest("t", 2, time.Hour))
	gone.conn.Close()
}

func TestListOffsets(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	catalog.CreateTopic(context.Background(), "t", 1, nil)
	p.ask(produce(9, "t", 0, batch(t, record.None, "a", "b", "c"))) // at 1,000,000 ms and on
	for _, c := range []struct {
		time, offset, timestamp int64
		version                 int16
		code                    *kerr.Error
	}{
		{-1, 3, -1, 7, nil}, {-2, 0, -1, 7, nil}, {-3, 2, 1_000_002, 7, nil}, {-4, 0, -1, 8, nil}, {-5, -1, -1, 9, nil},
		{1_000_001, 1, 1_000_001, 7, nil}, {0, 0, 1_000_000, 7, nil}, {1_000_003, -1, -1, 7, nil},
		{-3, -1, -1, 6, kerr.UnsupportedVersion}, {-9, -1, -1, 9, kerr.UnsupportedVersion},
	} {
		q := kmsg.NewPtrListOffsetsRequest()
		q.SetVersion(c.version)
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Timestamp, part.CurrentLeaderEpoch = c.time, -1
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
		got := p.ask(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if got.Offset != c.offset || got.Timestamp != c.timestamp || kerr.TypedErrorForCode(got.ErrorCode) != c.code {
			t.Errorf("time %d: %+v", c.time, got)
		}
	}
}

func TestTopics(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	p := dial(t, address)
	one := func(topic kmsg.CreateTopicsRequestTopic) kmsg.CreateTopicsResponseTopic {
		q := kmsg.NewPtrCreateTopicsRequest()
		q.SetVersion(7)
		q.Topics = append(q.Topics, topic)
		return p.ask(q).(*kmsg.CreateTopicsResponse).Topics[0]
	}
	value := func(s string) *string { return &s }
	config := func(name, v string) []kmsg.CreateTopicsRequestTopicConfig {
		return []kmsg.CreateTopicsRequestTopicConfig{{Name: name, Value: value(v)}}
	}
	for _, c := range []struct {
		topic kmsg.CreateTopicsRequestTopic
		want  *kerr.Error
	}{
		{kmsg.CreateTopicsRequestTopic{Topic: "a", NumPartitions: 3, ReplicationFactor: 1, Configs: config("retention.ms", "1000")}, nil},
		{kmsg.CreateTopicsRequestTopic{Topic: "a", NumPartitions: 3, ReplicationFactor: 1}, kerr.TopicAlreadyExists},
		{kmsg.CreateTopicsRequestTopic{Topic: "b", NumPartitions: -1, ReplicationFactor: -1}, nil},
		{kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 0, ReplicationFactor: 1}, kerr.InvalidPartitions},
		{kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1 << 30, ReplicationFactor: 1}, kerr.InvalidPartitions},
		{kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 3}, kerr.InvalidReplicationFactor},
		{kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: -1, ReplicationFactor: -1,
			ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{2}}}}, kerr.InvalidReplicaAssignment},
		{kmsg.CreateTopicsRequestTopic{Topic: "d", NumPartitions: -1, ReplicationFactor: -1,
			ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{1}}}}, nil},
		{kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 1, Configs: config("no.such", "1")}, kerr.InvalidConfig},
		{kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 1, Configs: config("retention.ms", "soon")}, kerr.InvalidConfig},
		{kmsg.CreateTopicsRequestTopic{Topic: "a b", NumPartitions: 1, ReplicationFactor: 1}, kerr.InvalidTopicException},
		{kmsg.CreateTopicsRequestTopic{Topic: "__x", NumPartitions: 1, ReplicationFactor: 1}, kerr.InvalidTopicException},
	} {
		if got := one(c.topic); kerr.TypedErrorForCode(got.ErrorCode) != c.want {
			t.Errorf("%+v: %v %s", c.topic, kerr.TypedErrorForCode(got.ErrorCode), text(got.ErrorMessage))
		}
	}
	meta := func(q *kmsg.MetadataRequest) *kmsg.MetadataResponse {
		q.SetVersion(12)
		return p.ask(q).(*kmsg.MetadataResponse)
	}
	all := meta(kmsg.NewPtrMetadataRequest())
	if !all.Topics[0].IsInternal || text(all.Topics[0].Topic) != log.CatalogTopic {
		t.Fatalf("first topic %+v", all.Topics[0])
	}
	all.Topics = all.Topics[1:]
	host, port, _ := net.SplitHostPort(address)
	if len(all.Topics) != 3 || len(all.Topics[0].Partitions) != 3 || all.Topics[0].TopicID == [16]byte{} ||
		all.Brokers[0].Host != host || fmt.Sprint(all.Brokers[0].Port) != port || all.ControllerID != 1 || text(all.ClusterID) != "test" {
		t.Fatalf("%+v", all)
	}
	// A topic that is asked for is made only where the client allows it.
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = []kmsg.MetadataRequestTopic{{Topic: value("fresh")}, {TopicID: [16]byte{7}}, {Topic: value("bad name")}}
	got := meta(q)
	codes := []int16{got.Topics[0].ErrorCode, got.Topics[1].ErrorCode, got.Topics[2].ErrorCode}
	if !slices.Equal(codes, []int16{kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code, kerr.InvalidTopicException.Code}) {
		t.Fatalf("codes %v", codes)
	}
	q.AllowAutoTopicCreation = true
	if got := meta(q); got.Topics[0].ErrorCode != 0 || len(got.Topics[0].Partitions) != 1 {
		t.Fatalf("%+v", got.Topics[0])
	}
	// By id, then by name, then it is gone.
	drop := func(topic kmsg.DeleteTopicsRequestTopic) int16 {
		q := kmsg.NewPtrDeleteTopicsRequest()
		q.SetVersion(6)
		q.Topics = append(q.Topics, topic)
		return p.ask(q).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode
	}
	if a, b, c, d := drop(kmsg.DeleteTopicsRequestTopic{TopicID: all.Topics[0].TopicID}), drop(kmsg.DeleteTopicsRequestTopic{Topic: value("b")}),
		drop(kmsg.DeleteTopicsRequestTopic{Topic: value("a")}), drop(kmsg.DeleteTopicsRequestTopic{TopicID: all.Topics[0].TopicID}); a != 0 || b != 0 ||
		c != kerr.UnknownTopicOrPartition.Code || d != kerr.UnknownTopicID.Code {
		t.Fatal(a, b, c, d)
	}
}

// Committed offsets outlive the server, and not the topic that they are of.
func TestOffsetsReplay(t *testing.T) {
	l, catalog := newLog(t)
	catalog.CreateTopic(context.Background(), "t", 2, nil)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.SetVersion(9)
	commit.Group, commit.Generation = "g", -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{
		{Partition: 0, Offset: 10, LeaderEpoch: 3}, {Partition: 1, Offset: 20}, {Partition: 9, Offset: 1}}},
		{Topic: "nope", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}}}
	p := dial(t, serve(t, l, catalog))
	a := p.ask(commit).(*kmsg.OffsetCommitResponse)
	unknown := kerr.UnknownTopicOrPartition.Code
	if got := []int16{a.Topics[0].Partitions[0].ErrorCode, a.Topics[0].Partitions[1].ErrorCode, a.Topics[0].Partitions[2].ErrorCode,
		a.Topics[1].Partitions[0].ErrorCode}; !slices.Equal(got, []int16{0, 0, unknown, unknown}) {
		t.Fatal(got)
	}
	commit.Topics[0].Partitions[0].Offset = 11
	p.ask(commit)

	p = dial(t, serve(t, l, catalog)) // another server over the same log
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.SetVersion(8)
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g"}, {Group: "g", Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0, 5}}}}}
	f := p.ask(fetch).(*kmsg.OffsetFetchResponse)
	all, some := f.Groups[0].Topics[0].Partitions, f.Groups[1].Topics[0].Partitions
	if len(all) != 2 || all[0].Offset != 11 || all[0].LeaderEpoch != 3 || all[1].Offset != 20 || some[0].Offset != 11 || some[1].Offset != -1 {
		t.Fatalf("%+v %+v", all, some)
	}
	list := kmsg.NewPtrListGroupsRequest()
	list.SetVersion(4)
	if got := p.ask(list).(*kmsg.ListGroupsResponse); len(got.Groups) != 1 || got.Groups[0].GroupState != "Empty" {
		t.Fatalf("%+v", got)
	}
	topic, _ := l.Topic("t")
	catalog.DropTopic(context.Background(), topic)
	catalog.CreateTopic(context.Background(), "t", 2, nil)
	if f := p.ask(fetch).(*kmsg.OffsetFetchResponse); len(f.Groups[0].Topics) != 0 || f.Groups[1].Topics[0].Partitions[0].Offset != -1 {
		t.Fatalf("offsets of a topic that was dropped: %+v", f.Groups)
	}
}

// From version 13 on Produce names topics by their ids.
func TestProduceByID(t *testing.T) {
	l, catalog := newLog(t)
	topic, _ := catalog.CreateTopic(context.Background(), "t", 1, nil)
	p := dial(t, serve(t, l, catalog))
	for id, want := range map[[16]byte]int16{topic.ID: 0, {9}: kerr.UnknownTopicID.Code} {
		q := produce(13, "", 0, batch(t, record.None, "a"))
		q.Topics[0].TopicID = id
		a := p.ask(q).(*kmsg.ProduceResponse).Topics[0]
		if got := a.Partitions[0]; a.TopicID != id || got.ErrorCode != want || (want == 0) != (got.BaseOffset == 0) {
			t.Errorf("%+v", a)
		}
	}
}
