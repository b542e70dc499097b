package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/record"
)

// A retry is told the first offsets; a gap, an old epoch and what is too old to be known are told apart.
func TestIdempotence(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	catalog.CreateTopic(context.Background(), "t", 1, nil)
	q := kmsg.NewPtrInitProducerIDRequest()
	q.SetVersion(4)
	id := p.ask(q).(*kmsg.InitProducerIDResponse).ProducerID
	send := func(epoch int16, sequence int32) (int64, *kerr.Error) {
		var b record.Builder
		b.Producer(id, epoch, sequence)
		b.Add(1, nil, []byte("a"))
		b.Add(1, nil, []byte("b"))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		got := p.ask(produce(9, "t", 0, batch)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		return got.BaseOffset, kerr.TypedErrorForCode(got.ErrorCode)
	}
	for _, c := range []struct {
		epoch    int16
		sequence int32
		offset   int64
		want     *kerr.Error
	}{
		{0, 0, 0, nil}, {0, 2, 2, nil}, {0, 0, 0, nil}, {0, 2, 2, nil}, {0, 6, -1, kerr.OutOfOrderSequenceNumber}, {0, 4, 4, nil},
		{0, 6, 6, nil}, {0, 8, 8, nil}, {0, 10, 10, nil}, {0, 12, 12, nil}, {0, 0, -1, kerr.DuplicateSequenceNumber},
		{1, 5, -1, kerr.OutOfOrderSequenceNumber}, {1, 0, 14, nil}, {0, 14, -1, kerr.InvalidProducerEpoch},
	} {
		if offset, err := send(c.epoch, c.sequence); offset != c.offset || err != c.want {
			t.Errorf("epoch %d sequence %d: offset %d, %v; want %d, %v", c.epoch, c.sequence, offset, err, c.offset, c.want)
		}
	}
}

// An idempotent producer and a group that live through restarts of the server: each record is in the log once, in order,
// and the group goes on where it had committed.
func TestRestart(t *testing.T) {
	disk := vfs.NewMem()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	stop := startNode(t, disk, listener)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	producer := franz(t, address, kgo.DefaultProduceTopic("t"), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	consumer := func() *kgo.Client {
		return franz(t, address, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	}
	const rounds, each = 3, 2000
	read := 0
	for round := range rounds {
		for i := range each {
			producer.Produce(ctx, &kgo.Record{Value: fmt.Append(nil, round*each+i)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if i == each/2 {
				stop()
				if listener, err = net.Listen("tcp", address); err != nil {
					t.Fatal(err)
				}
				stop = startNode(t, disk, listener)
			}
		}
		if err := producer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		c := consumer()
		for read < (round+1)*each {
			fetches := c.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if string(r.Value) != fmt.Sprint(read) {
					t.Fatalf("record %s at offset %d, want %d", r.Value, r.Offset, read)
				}
				read++
			})
		}
		if err := c.CommitUncommittedOffsets(ctx); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	producer.Close()
	stop()
}

func startNode(t *testing.T, disk vfs.FS, listener net.Listener) (stop func()) {
	t.Helper()
	b, err := broker.Open(broker.Options{FS: disk, Dir: "data"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	logDone, done := make(chan error, 1), make(chan error, 1)
	go func() { logDone <- b.Run(ctx) }()
	s, err := Open(ctx, Options{Log: b, Catalog: logCatalog{b}, ClusterID: "test", NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	serving, stopServing := context.WithCancel(ctx)
	go func() { done <- s.Serve(serving, listener) }()
	return func() {
		t.Helper()
		stopServing()
		err := <-done
		cancel()
		if err := errors.Join(err, <-logDone, b.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
