package kafka

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/record"
)

// startServer starts a server that the test stops and that then waits so long for what is not durable; done gives what Serve gives.
func startServer(t *testing.T, l *memLog, parting time.Duration) (s *Server, address string, stop context.CancelFunc, done chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err = Open(context.Background(), Options{Log: l, Catalog: l, ClusterID: "test", NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.parting = parting
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	done = make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	return s, listener.Addr().String(), stop, done
}

// longFetch asks for topic t from its start, and waits for so many bytes longer than anybody waits for its answer.
func longFetch(bytes int32) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(11)
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 600_000, bytes, 64<<20
	topic, partition := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	partition.PartitionMaxBytes = q.MaxBytes
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, partition)
	q.Topics = append(q.Topics, topic)
	return q
}

// ended waits for the end of Serve, and gives what it gives.
func ended(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		t.Fatal("Serve does not end")
		return nil
	}
}

// parked waits until so many fetches wait for records, and so many members for others.
func parked(t *testing.T, s *Server, l *memLog, fetches, members int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		waits := len(l.watchers) - 1 // the coordinator watches the catalog
		l.mu.Unlock()
		s.coordinator.mu.Lock()
		others := len(s.coordinator.mu.waiting)
		s.coordinator.mu.Unlock()
		if waits == fetches && others == members {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d fetches and %d members wait, want %d and %d", waits, others, fetches, members)
		}
	}
}

// A server that is told to end answers what it has begun: records on their way to the disk are acknowledged, a fetch that waits
// gets what there is, a member that waits for others is sent away. Only then it closes the connections.
func TestShutdownAnswers(t *testing.T) {
	l := newMemLog()
	l.CreateTopic(context.Background(), "t", 1, nil)
	s, address, stop, done := startServer(t, l, 5*time.Minute) // who is let go only then is too late for the test
	leader, follower, producer, consumer, idle := dial(t, address), dial(t, address), dial(t, address), dial(t, address), dial(t, address)
	synced, late := dial(t, address), dial(t, address)
	lead := leader.ask(join(3, "")).(*kmsg.JoinGroupResponse)
	synced.send(join(3, ""))
	parked(t, s, l, 0, 1)
	if a := leader.ask(join(3, lead.MemberID)).(*kmsg.JoinGroupResponse); a.ErrorCode != 0 || len(a.Members) != 2 {
		t.Fatalf("%+v", a)
	}
	member := kmsg.NewPtrJoinGroupResponse()
	member.SetVersion(3)
	synced.receive(member, synced.correlation)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.SetVersion(3)
	sync.Group, sync.MemberID, sync.Generation = "g", member.MemberID, member.Generation
	synced.send(sync) // waits for the leader's assignment
	parked(t, s, l, 0, 1)
	other := join(3, "")
	other.Group = "h"
	late.ask(other)
	follower.send(other) // waits for the other to join again
	l.mu.Lock()
	l.hold = true
	l.mu.Unlock()
	const pipelined = 3
	for range pipelined {
		producer.send(produce(9, "t", 0, batch(t, record.None, "a")))
	}
	consumer.send(longFetch(1))
	parked(t, s, l, 1, 2)
	for deadline := time.Now().Add(time.Minute); l.waiting() < pipelined; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the records were not submitted")
		}
	}

	stop()
	fetched, joined, assigned := kmsg.NewPtrFetchResponse(), kmsg.NewPtrJoinGroupResponse(), kmsg.NewPtrSyncGroupResponse()
	fetched.SetVersion(11)
	joined.SetVersion(3)
	assigned.SetVersion(3)
	consumer.receive(fetched, consumer.correlation)
	follower.receive(joined, follower.correlation)
	synced.receive(assigned, synced.correlation)
	if code := fetched.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Errorf("the fetch: %v", kerr.ErrorForCode(code))
	}
	for what, code := range map[string]int16{"who joins": joined.ErrorCode, "who syncs": assigned.ErrorCode} {
		if code != kerr.CoordinatorNotAvailable.Code {
			t.Errorf("%s is told %v", what, kerr.ErrorForCode(code))
		}
	}
	for _, p := range []*peer{consumer, follower, synced, late, leader, idle} {
		p.closed()
	}
	l.release()
	for i := range int32(pipelined) {
		a := kmsg.NewPtrProduceResponse()
		a.SetVersion(9)
		producer.receive(a, i+1)
		if p := a.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Errorf("produce %d: %+v", i, p)
		}
	}
	producer.closed()
	if err := ended(t, done); err != nil {
		t.Error(err)
	}
}

// An answer arrives whole, whatever its client has sent meanwhile: closing a connection on which something is unread resets it,
// and what the network had no room for yet is gone.
func TestShutdownSendsWhole(t *testing.T) {
	l := newMemLog()
	l.CreateTopic(context.Background(), "t", 1, nil)
	s, address, stop, done := startServer(t, l, parting)
	p := dial(t, address)
	if err := p.conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	const batches, size = 3, 900 << 10
	for range batches {
		p.ask(produce(9, "t", 0, batch(t, record.None, strings.Repeat("a", size))))
	}
	p.send(longFetch(60 << 20))
	parked(t, s, l, 1, 0)
	fetch := p.correlation
	stop()
	time.Sleep(50 * time.Millisecond)
	for range 10 {
		p.send(longFetch(1)) // nobody reads it
	}
	time.Sleep(50 * time.Millisecond)
	a := kmsg.NewPtrFetchResponse()
	a.SetVersion(11)
	p.receive(a, fetch)
	if got := len(a.Topics[0].Partitions[0].RecordBatches); got < batches*size {
		t.Errorf("%d bytes", got)
	}
	p.closed()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What never becomes durable does not hold the server up for ever.
func TestShutdownIsBounded(t *testing.T) {
	l := newMemLog()
	l.CreateTopic(context.Background(), "t", 1, nil)
	l.hold = true
	_, address, stop, done := startServer(t, l, parting)
	p := dial(t, address)
	p.send(produce(9, "t", 0, batch(t, record.None, "a")))
	for l.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	stop()
	p.closed()
	if err := ended(t, done); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < parting {
		t.Errorf("Serve ended after %v, want %v", took, parting)
	}
	l.release()
}

// A group of two, of either protocol, goes on when the server comes back, long before a session is over.
func TestGroupsComeBack(t *testing.T) {
	disk := vfs.NewMem()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	stop := startNode(t, disk, listener)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	producer := franz(t, address, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation())
	const partitions, session = 4, 2 * time.Minute
	q := kmsg.NewPtrCreateTopicsRequest()
	create := kmsg.NewCreateTopicsRequestTopic()
	create.Topic, create.NumPartitions, create.ReplicationFactor = "t", partitions, 1
	q.Topics = append(q.Topics, create)
	if _, err := q.RequestWith(ctx, producer); err != nil {
		t.Fatal(err)
	}
	type seen struct {
		group, value string
		partition    int32
	}
	got := make(chan seen, 1000)
	var polling sync.WaitGroup
	defer polling.Wait()
	defer cancel()
	for _, name := range []string{"classic", "consumer"} {
		for range 2 {
			options := []kgo.Opt{kgo.ConsumerGroup(name), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.SessionTimeout(session), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.AutoCommitInterval(100 * time.Millisecond)}
			if name == "consumer" {
				options = append(options, kgo.ServerSideBalancer())
			}
			c := franz(t, address, options...)
			polling.Go(func() {
				for ctx.Err() == nil {
					c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got <- seen{name, string(r.Value), r.Partition} })
				}
			})
		}
	}
	everywhere := func(round int) {
		t.Helper()
		for p := range int32(partitions) {
			if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: fmt.Append(nil, round)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		missing := map[seen]bool{}
		for _, name := range []string{"classic", "consumer"} {
			for p := range int32(partitions) {
				missing[seen{name, fmt.Sprint(round), p}] = true
			}
		}
		for len(missing) > 0 {
			select {
			case one := <-got:
				delete(missing, one)
			case <-ctx.Done():
				t.Fatalf("round %d: %v were not read", round, missing)
			}
		}
	}
	everywhere(0)
	for round := 1; round <= 3; round++ {
		stop()
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		stop = startNode(t, disk, listener)
		everywhere(round)
		if took := time.Since(began); took > session/2 {
			t.Errorf("round %d: the groups were back after %v", round, took)
		} else {
			t.Logf("the groups were back after %v", took)
		}
	}
	stop()
}
