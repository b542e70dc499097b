package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker/brokertest"
	"github.com/miracledb/miracledb/log/record"
)

// txnPeer is a transactional producer that says exactly what the test wants.
type txnPeer struct {
	*peer
	id       string
	producer log.TxnProducer
	sequence map[int32]int32
}

func (p *txnPeer) init(version int16) int16 {
	p.t.Helper()
	q := kmsg.NewPtrInitProducerIDRequest()
	q.SetVersion(version)
	q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = &p.id, 60_000, -1, -1
	a := p.ask(q).(*kmsg.InitProducerIDResponse)
	p.producer, p.sequence = log.TxnProducer{ID: a.ProducerID, Epoch: a.ProducerEpoch}, map[int32]int32{}
	return a.ErrorCode
}

func (p *txnPeer) add(topic string, partitions ...int32) int16 {
	p.t.Helper()
	q := kmsg.NewPtrAddPartitionsToTxnRequest()
	q.SetVersion(3)
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = p.id, p.producer.ID, p.producer.Epoch
	q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: partitions}}
	return p.ask(q).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
}

func (p *txnPeer) produce(version int16, topic string, partition int32, values ...string) int16 {
	p.t.Helper()
	var b record.Builder
	for _, v := range values {
		b.Add(time.Now().UnixMilli(), []byte(v), []byte(v))
	}
	b.Producer(p.producer.ID, p.producer.Epoch, p.sequence[partition])
	b.MarkTransactional()
	data, err := b.Build()
	if err != nil {
		p.t.Fatal(err)
	}
	q := produce(version, topic, partition, data)
	q.TransactionID = &p.id
	code := p.ask(q).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	if code == 0 {
		p.sequence[partition] += int32(len(values))
	}
	return code
}

func (p *txnPeer) end(version int16, commit bool) int16 {
	p.t.Helper()
	q := kmsg.NewPtrEndTxnRequest()
	q.SetVersion(version)
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = p.id, p.producer.ID, p.producer.Epoch, commit
	a := p.ask(q).(*kmsg.EndTxnResponse)
	if version >= 5 && a.ErrorCode == 0 {
		p.producer, p.sequence = log.TxnProducer{ID: a.ProducerID, Epoch: a.ProducerEpoch}, map[int32]int32{}
	}
	return a.ErrorCode
}

// fetched asks for a partition from an offset on and tells what a client would make of it.
func (p *peer) fetched(topic string, partition int32, offset int64, isolation int8) (values []string, stable int64, aborted []int64) {
	p.t.Helper()
	q := fetchRequest(topic, offset, 0)
	q.SetVersion(11)
	q.IsolationLevel = isolation
	q.Topics[0].Partitions[0].Partition = partition
	a := p.ask(q).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if a.ErrorCode != 0 {
		p.t.Fatalf("fetch: %v", kerr.ErrorForCode(a.ErrorCode))
	}
	if isolation == 0 && a.AbortedTransactions != nil {
		p.t.Errorf("readers of uncommitted records are told of aborted transactions: %v", a.AbortedTransactions)
	}
	var it record.Iterator
	for rest := a.RecordBatches; len(rest) > 0; {
		b, next, err := record.Parse(rest)
		if err != nil {
			p.t.Fatal(err)
		}
		rest = next
		if err := it.Reset(b); err != nil {
			p.t.Fatal(err)
		}
		for it.Next() {
			if b.Control() {
				values = append(values, map[byte]string{0: "ABORT", 1: "COMMIT"}[it.Record().Key[3]])
			} else {
				values = append(values, string(it.Record().Value))
			}
		}
	}
	for _, one := range a.AbortedTransactions {
		aborted = append(aborted, one.ProducerID, one.FirstOffset)
	}
	return values, a.LastStableOffset, aborted
}

func latestOf(p *peer, topic string, isolation int8) int64 {
	p.t.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.SetVersion(4)
	q.IsolationLevel = isolation
	one := kmsg.NewListOffsetsRequestTopicPartition()
	one.Timestamp, one.CurrentLeaderEpoch = -1, -1
	q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{one}}}
	return p.ask(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset
}

// A transaction is seen by readers of committed records when it ends, and not before; whoever has an older epoch is fenced.
func TestTransactions(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	is := func(what string, got int16, want *kerr.Error) {
		t.Helper()
		if code := int16(0); want != nil && got != want.Code || want == nil && got != code {
			t.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(got), want)
		}
	}
	reader := dial(t, address)
	sees := func(isolation int8, want string, wantStable int64) []int64 {
		t.Helper()
		values, stable, aborted := reader.fetched("t", 0, 0, isolation)
		if fmt.Sprint(values) != want || stable != wantStable {
			t.Errorf("isolation %d: %v, stable %d; want %s, %d", isolation, values, stable, want, wantStable)
		}
		return aborted
	}
	a, b := &txnPeer{peer: dial(t, address), id: "a"}, &txnPeer{peer: dial(t, address), id: "b"}
	is("init", a.init(4), nil)
	is("init", b.init(4), nil)
	is("produce without a transaction", a.produce(9, "t", 0, "no"), kerr.InvalidTxnState)
	is("add", a.add("t", 0), nil)
	is("a partition that is not in it", a.produce(9, "t", 1, "no"), kerr.InvalidTxnState)
	is("no such partition", a.add("t", 7), kerr.UnknownTopicOrPartition)
	is("produce", a.produce(9, "t", 0, "a1", "a2"), nil) // 0, 1
	is("add", b.add("t", 0), nil)
	is("produce", b.produce(9, "t", 0, "b1"), nil) // 2
	sees(0, "[a1 a2 b1]", 0)
	sees(1, "[]", 0)
	is("commit", a.end(3, true), nil) // 3
	is("commit again", a.end(3, true), nil)
	is("abort what is committed", a.end(3, false), kerr.InvalidTxnState)
	sees(1, "[a1 a2]", 2)
	if got, want := latestOf(reader, "t", 1), int64(2); got != want {
		t.Errorf("the latest committed offset is %d, want %d", got, want)
	}
	if got, want := latestOf(reader, "t", 0), int64(4); got != want {
		t.Errorf("the latest offset is %d, want %d", got, want)
	}
	is("abort", b.end(3, false), nil) // 4
	sees(0, "[a1 a2 b1 COMMIT ABORT]", 5)
	if aborted := sees(1, "[a1 a2 b1 COMMIT ABORT]", 5); !slices.Equal(aborted, []int64{b.producer.ID, 2}) {
		t.Errorf("aborted transactions %v", aborted)
	}
	if _, _, aborted := reader.fetched("t", 0, 5, 1); len(aborted) != 0 {
		t.Errorf("aborted transactions %v behind them all", aborted)
	}
	first := fetchRequest("t", 0, 0)
	first.SetVersion(11)
	first.IsolationLevel, first.Topics[0].Partitions[0].PartitionMaxBytes = 1, 1
	if a := reader.ask(first).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(a.RecordBatches) == 0 || a.AbortedTransactions == nil || len(a.AbortedTransactions) != 0 {
		t.Errorf("with the first batch alone come the aborted transactions %v", a.AbortedTransactions)
	}
	// The next transaction of the same epoch goes on with its sequences.
	is("add", a.add("t", 0), nil)
	is("produce", a.produce(9, "t", 0, "a3"), nil) // 5
	// Another instance takes the id: the transaction is aborted, the first one fenced.
	a2 := &txnPeer{peer: dial(t, address), id: "a"}
	is("init", a2.init(4), nil) // 6
	if a2.producer.ID != a.producer.ID || a2.producer.Epoch != a.producer.Epoch+1 {
		t.Errorf("%v after %v", a2.producer, a.producer)
	}
	sees(0, "[a1 a2 b1 COMMIT ABORT a3 ABORT]", 7)
	is("fenced produce", a.produce(9, "t", 0, "no"), kerr.InvalidProducerEpoch)
	is("fenced add", a.add("t", 0), kerr.ProducerFenced)
	is("fenced end", a.end(3, true), kerr.ProducerFenced)
	is("fenced end of an old client", a.end(1, true), kerr.InvalidProducerEpoch)
	stranger := &txnPeer{peer: dial(t, address), id: "a", producer: log.TxnProducer{ID: 99_999}}
	is("another producer", stranger.end(3, true), kerr.InvalidProducerIDMapping)
	is("an unknown id", (&txnPeer{peer: dial(t, address), id: "none"}).add("t", 0), kerr.InvalidProducerIDMapping)
	// KIP-890: partitions join by being written to, and each end gives the next epoch.
	is("produce", a2.produce(12, "t", 0, "a4"), nil) // 7
	old := *a2
	is("commit", a2.end(5, true), nil) // 8
	if a2.producer.Epoch != old.producer.Epoch+1 {
		t.Errorf("%v after %v", a2.producer, old.producer)
	}
	retry := old
	is("the lost answer's retry", retry.end(5, true), nil)
	if retry.producer != a2.producer {
		t.Errorf("the retry gives %v, want %v", retry.producer, a2.producer)
	}
	late := old
	is("a late record of the transaction before", late.produce(12, "t", 0, "late"), kerr.InvalidProducerEpoch)
	is("an empty transaction", a2.end(5, false), nil)
	sees(1, "[a1 a2 b1 COMMIT ABORT a3 ABORT a4 COMMIT]", 9)
}

// Transactions, their offsets and what they have aborted survive a restart, and go on.
func TestTransactionsRestart(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	t.Run("before", func(t *testing.T) {
		l, catalog := newLog(t, dir)
		if _, err := catalog.CreateTopic(ctx, "t", 1, nil); err != nil {
			t.Fatal(err)
		}
		p := dial(t, serve(t, l, catalog))
		for i, commit := range []bool{false, true} {
			tx := &txnPeer{peer: p, id: fmt.Sprint("done", i)}
			tx.init(4)
			tx.add("t", 0)
			tx.produce(9, "t", 0, fmt.Sprint(commit))
			tx.end(3, commit)
		}
		open := &txnPeer{peer: p, id: "open"}
		open.init(4)
		open.add("t", 0)
		if code := open.produce(9, "t", 0, "open"); code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		if code := txnCommitOffset(p, open, "g", "t", 42); code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		if code, _ := groupOffset(p, "g", "t", true); code != kerr.UnstableOffsetCommit.Code {
			t.Errorf("the offset is stable while the transaction goes on: %v", kerr.ErrorForCode(code))
		}
	})
	t.Run("after", func(t *testing.T) {
		l, catalog := newLog(t, dir)
		p := dial(t, serve(t, l, catalog))
		values, stable, aborted := p.fetched("t", 0, 0, 1)
		if fmt.Sprint(values) != "[false ABORT true COMMIT]" || stable != 4 || len(aborted) != 2 || aborted[1] != 0 {
			t.Errorf("%v, stable %d, aborted %v", values, stable, aborted)
		}
		txns := l.Txns()
		if len(txns) != 3 || txns[2].ID != "open" || txns[2].Status != log.TxnOngoing {
			t.Fatalf("%+v", txns)
		}
		if code, offset := groupOffset(p, "g", "t", true); code != kerr.UnstableOffsetCommit.Code {
			t.Errorf("offset %d, %v", offset, kerr.ErrorForCode(code))
		}
		open := &txnPeer{peer: p, id: "open", producer: txns[2].Producer, sequence: map[int32]int32{0: 1}}
		if code := open.produce(9, "t", 0, "more"); code != 0 {
			t.Error(kerr.ErrorForCode(code))
		}
		if code := open.end(3, true); code != 0 {
			t.Error(kerr.ErrorForCode(code))
		}
		got, stable, _ := p.fetched("t", 0, 4, 1)
		if len(got) == 1 { // from the segment, which has not more yet
			rest, _, _ := p.fetched("t", 0, 5, 1)
			got = append(got, rest...)
		}
		if fmt.Sprint(got) != "[open more COMMIT]" || stable != 7 {
			t.Errorf("%v, stable %d", got, stable)
		}
		if code, offset := groupOffset(p, "g", "t", true); code != 0 || offset != 42 {
			t.Errorf("offset %d, %v", offset, kerr.ErrorForCode(code))
		}
		if code, offset := groupOffset(dial(t, serve(t, l, catalog)), "g", "t", true); code != 0 || offset != 42 {
			t.Errorf("replayed: offset %d, %v", offset, kerr.ErrorForCode(code))
		}
	})
}

func txnCommitOffset(p *peer, tx *txnPeer, group, topic string, offset int64) int16 {
	p.t.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.SetVersion(3)
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = tx.id, tx.producer.ID, tx.producer.Epoch, group
	if code := p.ask(add).(*kmsg.AddOffsetsToTxnResponse).ErrorCode; code != 0 {
		return code
	}
	q := kmsg.NewPtrTxnOffsetCommitRequest()
	q.SetVersion(3)
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Group, q.Generation = tx.id, tx.producer.ID, tx.producer.Epoch, group, -1
	one := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	one.Offset = offset
	q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{one}}}
	return p.ask(q).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

func groupOffset(p *peer, group, topic string, stable bool) (int16, int64) {
	p.t.Helper()
	q := kmsg.NewPtrOffsetFetchRequest()
	q.SetVersion(7)
	q.Group, q.RequireStable = group, stable
	q.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	a := p.ask(q).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
	return a.ErrorCode, a.Offset
}

// A transaction that takes longer than its timeout is aborted, and its producer fenced.
func TestTransactionTimeout(t *testing.T) {
	o, now := brokertest.InMemory(), clock.NewManual(time.Unix(1_000_000, 0))
	o.Clock = now
	l := brokertest.Start(t, o)
	catalog := logCatalog{l}
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	id := "slow"
	q := kmsg.NewPtrInitProducerIDRequest()
	q.SetVersion(4)
	q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = &id, 100, -1, -1
	a := p.ask(q).(*kmsg.InitProducerIDResponse)
	tx := &txnPeer{peer: p, id: id, producer: log.TxnProducer{ID: a.ProducerID}, sequence: map[int32]int32{}}
	tx.add("t", 0)
	tx.produce(9, "t", 0, "x")
	now.Advance(101 * time.Millisecond)
	for range 6000 {
		if _, stable, _ := p.fetched("t", 0, 0, 1); stable == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if values, _, aborted := p.fetched("t", 0, 0, 1); fmt.Sprint(values) != "[x ABORT]" || len(aborted) != 2 {
		t.Errorf("%v, aborted %v", values, aborted)
	}
	if code := tx.end(3, true); code != kerr.ProducerFenced.Code {
		t.Error(kerr.ErrorForCode(code))
	}
	q.TransactionTimeoutMillis = 3_600_000
	if a := p.ask(q).(*kmsg.InitProducerIDResponse); a.ErrorCode != kerr.InvalidTransactionTimeout.Code {
		t.Error(kerr.ErrorForCode(a.ErrorCode))
	}
}

// copied reads a topic's committed records to the end.
func copied(t *testing.T, address, topic string, want int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c := franz(t, address, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	var values []string
	for len(values) < want {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(values), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

// franz-go copies a topic exactly once, in a group, with transactions that abort between.
func TestFranzTransactions(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, topic := range []string{"from", "to"} {
		if _, err := catalog.CreateTopic(ctx, topic, 3, nil); err != nil {
			t.Fatal(err)
		}
	}
	producer := franz(t, address)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf("v%03d", i))
		if err := producer.ProduceSync(ctx, kgo.StringRecord(want[i])).FirstErr(); err == nil {
			t.Fatal("a record without a topic was taken")
		}
		r := &kgo.Record{Topic: "from", Value: []byte(want[i])}
		if err := producer.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(address), kgo.TransactionalID("copy"), kgo.ConsumerGroup("copy"), kgo.ConsumeTopics("from"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(1000), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	n, aborted := 0, 0
	for round := 0; n < len(want); round++ {
		fetches := session.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		if err := session.Begin(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: "to", Value: r.Value}, func(r *kgo.Record, err error) {
				if err != nil && round%3 != 1 { // an abort may overtake what is buffered
					t.Errorf("round %d: %s: %v", round, r.Value, err)
				}
			})
		})
		committed, err := session.End(ctx, kgo.TransactionEndTry(round%3 != 1))
		if err != nil {
			t.Fatal(err)
		}
		if committed {
			n += fetches.NumRecords()
		} else {
			aborted++
		}
	}
	got := copied(t, address, "to", len(want))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d records copied, want %d: %s", len(got), len(want), difference(got, want))
	}
	if aborted == 0 {
		t.Error("no transaction was aborted: the test shows nothing")
	}
	lag, err := kadm.NewClient(producer).Lag(ctx, "copy")
	if err != nil || lag["copy"].Lag.Total() != 0 {
		t.Errorf("lag %v, %v", lag["copy"].Lag.Total(), err)
	}
}

// The Java client's producer and its exactly-once copier, and the tool for transactions.
func TestJavaTransactions(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx := context.Background()
	for _, topic := range []string{"perf", "from", "to"} {
		if _, err := catalog.CreateTopic(ctx, topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	out := java(t, nil, "org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", address, "--topic", "perf", "--num-records", "2000", "--record-size", "20",
		"--throughput", "-1", "--transactional-id", "perf", "--transaction-duration-ms", "50", "--command-property", "acks=all")
	// The copier counts offsets: markers in its source would keep it waiting.
	java(t, nil, "org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", address, "--topic", "from", "--num-records", "2000", "--record-size", "20", "--throughput", "-1")
	if got := copied(t, address, "perf", 2000); len(got) != 2000 {
		t.Fatalf("%d records\n%s", len(got), strings.Join(out, "\n"))
	}
	out = java(t, nil, "org.apache.kafka.tools.TransactionalMessageCopier", "--broker-list", address, "--input-topic", "from", "--output-topic", "to",
		"--input-partition", "0", "--consumer-group", "copier", "--transactional-id", "copier", "--transaction-size", "300", "--max-messages", "2000",
		"--enable-random-aborts", "--use-group-metadata", "--group-mode")
	from, to := copied(t, address, "from", 2000), copied(t, address, "to", 2000)
	if !slices.Equal(from, to) {
		t.Errorf("%d records copied, want %d: %s\n%s", len(to), len(from), difference(to, from), strings.Join(out, "\n"))
	}
	got := strings.Join(java(t, nil, "org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", address, "list"), "\n")
	if !strings.Contains(got, "copier") || !strings.Contains(got, "CompleteCommit") {
		t.Error(got)
	}
	got = strings.Join(java(t, nil, "org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", address, "describe", "--transactional-id", "perf"), "\n")
	if !strings.Contains(got, "CompleteCommit") {
		t.Error(got)
	}
}

// librdkafka commits and aborts.
func TestConfluentTransactions(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	python := testenv.PythonVenv(t, testenv.PythonKafka...)
	out := run(t, nil, python, "testdata/transactions.py", address, "t")
	var want []string
	for i := range 6 {
		if i%2 == 0 {
			for j := range 10 {
				want = append(want, fmt.Sprintf("%d-%d", i, j))
			}
		}
	}
	slices.Sort(out)
	slices.Sort(want)
	if !slices.Equal(out, want) {
		t.Errorf("%v, want %v", out, want)
	}
	if txns := l.Txns(); len(txns) != 1 || txns[0].Status != log.TxnAborted {
		t.Errorf("%+v", txns)
	}
}
