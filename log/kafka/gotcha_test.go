package kafka

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/record"
)

// Each gotcha of the table in DESIGN.md names tests that there are.
func TestGotchasHaveTests(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(design), "## Gotchas and their tests")
	if !ok {
		t.Fatal("DESIGN.md has no table of gotchas")
	}
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "../*/*_test.go", "../logtest/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	named := regexp.MustCompile("`([Tt]est[A-Za-z0-9]+)`")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| gotcha") {
			continue
		}
		rows++
		names := named.FindAllStringSubmatch(line, -1)
		if len(names) == 0 && !strings.Contains(line, "does not arise") {
			t.Errorf("no test: %s", line)
		}
		for _, name := range names {
			if !strings.Contains(tests.String(), "func "+name[1]+"(") {
				t.Errorf("there is no %s: %s", name[1], line)
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d rows", rows)
	}
}

// Reference 2.3, negotiation: below version 4 a supported feature whose lowest level is 0 breaks clients (KAFKA-17011); a client's
// name that Kafka refuses is refused.
func TestGotchaFeatures(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	for version := int16(3); version <= 4; version++ {
		q := kmsg.NewPtrApiVersionsRequest()
		q.SetVersion(version)
		q.ClientSoftwareName, q.ClientSoftwareVersion = "peer", "1.0"
		a := p.ask(q).(*kmsg.ApiVersionsResponse)
		if len(a.FinalizedFeatures) == 0 || (len(a.SupportedFeatures) > 0) != (version == 4) {
			t.Errorf("version %d: %+v, %+v", version, a.FinalizedFeatures, a.SupportedFeatures)
		}
		q.ClientSoftwareName = "-no name-"
		if a := p.ask(q).(*kmsg.ApiVersionsResponse); a.ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("version %d: %v", version, kerr.ErrorForCode(a.ErrorCode))
		}
	}
}

// Reference 2.3, negotiation: librdkafka before 2.12 looks for these very versions, and without them sends uncompressed or does
// not consume, and says nothing (its table of features).
func TestGotchaOldFeatureTable(t *testing.T) {
	for key, versions := range map[int16][]int16{0: {0, 3, 7}, 1: {4, 10}, 2: {1}, 8: {1, 2}, 9: {1}, 10: {0}, 11: {0}, 12: {0}, 13: {0}, 14: {0},
		17: {0, 1}, 18: {0}, 22: {0}, 36: {0}} {
		for _, version := range versions {
			if served := apis[key]; version < served.min || version > served.max {
				t.Errorf("key %d: version %d is not in %d to %d", key, version, served.min, served.max)
			}
		}
	}
}

// Reference 2.3, framing: what an idempotent producer has on its way on one connection is appended in the order of arrival.
func TestGotchaPipelinedIdempotence(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	const sent = 200
	for i := range int32(sent) {
		p.send(produce(9, "t", 0, numbered(t, 7, i)))
	}
	for i := range int32(sent) {
		a := kmsg.NewPtrProduceResponse()
		a.SetVersion(9)
		p.receive(a, i+1)
		if got := a.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.BaseOffset != int64(i) {
			t.Fatalf("batch %d: offset %d, %v", i, got.BaseOffset, kerr.ErrorForCode(got.ErrorCode))
		}
	}
}

// numbered is a batch of one record of an idempotent producer.
func numbered(t *testing.T, id int64, sequence int32) []byte {
	t.Helper()
	var b record.Builder
	b.Producer(id, 0, sequence)
	b.Add(1, nil, []byte("v"))
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Reference 2.3, idempotence: a producer that the partition does not know (any more) may begin with any sequence.
func TestGotchaUnknownProducer(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []*kerr.Error{nil, nil, kerr.OutOfOrderSequenceNumber} {
		sequence := []int32{17, 18, 20}[i]
		a := p.ask(produce(9, "t", 0, numbered(t, 424242, sequence))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if got := kerr.TypedErrorForCode(a.ErrorCode); got != want {
			t.Errorf("sequence %d: %v, want %v", sequence, got, want)
		}
	}
}

// Reference 2.3, framing: zero means something in these fields: node 0 to read from, epoch 0, the time 0, an empty message.
func TestGotchaDefaults(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	if a := p.ask(produce(9, "t", 0, batch(t, record.None, "a"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; a.LogAppendTime != -1 || a.ErrorMessage != nil {
		t.Errorf("%+v", a)
	}
	if a := p.ask(fetchRequest("t", 0, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; a.PreferredReadReplica != -1 || a.AbortedTransactions != nil {
		t.Errorf("%+v", a)
	}
	q := kmsg.NewPtrOffsetFetchRequest()
	q.SetVersion(7)
	q.Group, q.Topics = "none", []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	if a := p.ask(q).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]; a.Offset != -1 || a.LeaderEpoch != -1 || a.ErrorCode != 0 {
		t.Errorf("%+v", a)
	}
}

// Reference 2.3, framing: after the first connection clients know only the address that Metadata gives.
func TestGotchaAdvertisedAddress(t *testing.T) {
	l, catalog := newLog(t)
	told := func(address string) (string, int32) {
		b := dial(t, address).ask(kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataResponse).Brokers[0]
		return b.Host, b.Port
	}
	address := serve(t, l, catalog)
	if host, port := told(address); address != host+":"+strconv.Itoa(int(port)) {
		t.Errorf("%s:%d, connected to %s", host, port, address)
	}
	address = serve(t, l, catalog, func(o *Options) { o.AdvertisedHost, o.AdvertisedPort = "db.example", 19092 })
	if host, port := told(address); host != "db.example" || port != 19092 {
		t.Errorf("%s:%d", host, port)
	}
}

// Reference 2.3, transactions: one that nothing was written in ends well, both ways, and again; a new epoch asked for under the present
// one does not fence who asks, and a retry of that gets the same.
func TestGotchaEmptyTransaction(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := &txnPeer{peer: dial(t, address), id: "x"}
	if code := p.init(4); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	for _, commit := range []bool{true, false} {
		if code := p.add("t", 0); code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		for range 2 {
			if code := p.end(3, commit); code != 0 {
				t.Errorf("commit %v: %v", commit, kerr.ErrorForCode(code))
			}
		}
	}
	q := kmsg.NewPtrInitProducerIDRequest()
	q.SetVersion(4)
	q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = &p.id, 60_000, p.producer.ID, p.producer.Epoch
	for range 2 {
		if a := p.ask(q).(*kmsg.InitProducerIDResponse); a.ErrorCode != 0 || a.ProducerID != p.producer.ID || a.ProducerEpoch != p.producer.Epoch+1 {
			t.Errorf("%+v after %+v", a, p.producer)
		}
	}
}

// Reference 2.3, ListOffsets: timestamps go back and forth; the first record at or after a time is looked for, whatever comes before.
func TestGotchaTimestampsOutOfOrder(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for _, ms := range []int64{30, 10, 40, 20} {
		var b record.Builder
		b.Add(ms, nil, []byte("v"))
		out, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		p.ask(produce(9, "t", 0, out))
	}
	for ms, want := range map[int64]int64{0: 0, 15: 0, 30: 0, 31: 2, 40: 2, 41: -1} {
		q := kmsg.NewPtrListOffsetsRequest()
		q.SetVersion(7)
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Timestamp, one.CurrentLeaderEpoch = ms, -1
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{one}}}
		if a := p.ask(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; a.Offset != want {
			t.Errorf("time %d: offset %d, want %d", ms, a.Offset, want)
		}
	}
}

// Reference 2.3, metadata: no topics are all topics in version 0 and none later, where null is all; a topic that is not there is made
// only if the client allows it (version 4); the controller is a broker that there is, internal topics say so, and a topic that is
// made anew has another id.
func TestGotchaMetadata(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	topic, err := catalog.CreateTopic(context.Background(), "t", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(version int16, topics []kmsg.MetadataRequestTopic, create bool) *kmsg.MetadataResponse {
		q := kmsg.NewPtrMetadataRequest()
		q.SetVersion(version)
		q.Topics, q.AllowAutoTopicCreation = topics, create
		return p.ask(q).(*kmsg.MetadataResponse)
	}
	none, missing := []kmsg.MetadataRequestTopic{}, "u"
	if a := ask(0, none, true); len(a.Topics) != len(l.Topics()) {
		t.Errorf("version 0, none: %+v", a.Topics)
	}
	if a := ask(1, none, true); len(a.Topics) != 0 {
		t.Errorf("version 1, none: %+v", a.Topics)
	}
	all := ask(12, nil, true)
	if len(all.Topics) != len(l.Topics()) || all.ClusterID == nil || *all.ClusterID != "test" ||
		!slices.ContainsFunc(all.Brokers, func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == all.ControllerID }) {
		t.Errorf("version 12, null: %+v", all)
	}
	for _, one := range all.Topics {
		if one.IsInternal != strings.HasPrefix(*one.Topic, "__") {
			t.Errorf("%+v", one)
		}
	}
	if a := ask(4, []kmsg.MetadataRequestTopic{{Topic: &missing}}, false); a.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("%+v", a.Topics[0])
	}
	if a := ask(4, []kmsg.MetadataRequestTopic{{Topic: &missing}}, true); a.Topics[0].ErrorCode != 0 {
		t.Errorf("%+v", a.Topics[0])
	}
	if err := catalog.DropTopic(context.Background(), topic); err != nil {
		t.Fatal(err)
	}
	again, err := catalog.CreateTopic(context.Background(), "t", 1, nil)
	if err != nil || again.ID == topic.ID {
		t.Errorf("%v, %v", again.ID, err)
	}
	if a := ask(12, []kmsg.MetadataRequestTopic{{Topic: &topic.Name}}, false); a.Topics[0].TopicID != again.ID {
		t.Errorf("%+v", a.Topics[0])
	}
}
