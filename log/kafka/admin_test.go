package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/logtest"
)

// A group goes with its offsets when it has no members; single offsets go where no member reads; both stay gone after a
// restart.
func TestDeleteGroups(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	admin := kadm.NewClient(franz(t, address))
	for _, topic := range []string{"read", "other"} {
		if _, err := catalog.CreateTopic(ctx, topic, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	member := franz(t, address, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("read"), kgo.DisableAutoCommit())
	for {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		member.PollFetches(poll)
		cancel()
		if d, err := admin.DescribeGroups(ctx, "g"); err == nil && d["g"].State == "Stable" {
			break
		}
	}
	member.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{"read": {0: {Offset: 0}, 1: {Offset: 0}}, "other": {0: {Offset: 0}, 1: {Offset: 0}}}, nil)
	if got, err := admin.DeleteGroups(ctx, "g", "none"); err != nil || got["g"].Err != kerr.NonEmptyGroup || got["none"].Err != kerr.GroupIDNotFound {
		t.Fatalf("%+v, %v", got, err)
	}
	set := kadm.TopicsSet{}
	set.Add("read", 0)
	set.Add("other", 0)
	got, err := admin.DeleteOffsets(ctx, "g", set)
	if err != nil || got["read"][0] != kerr.GroupSubscribedToTopic || got["other"][0] != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	check := func(address string, want int) {
		t.Helper()
		a := kadm.NewClient(franz(t, address))
		offsets, err := a.FetchOffsets(ctx, "g")
		if err != nil || len(offsets["other"])+len(offsets["read"]) != want {
			t.Fatalf("offsets %+v, %v; want %d", offsets, err, want)
		}
	}
	check(address, 3)
	check(serve(t, l, catalog), 3)
	member.Close()
	out := groupCommand(t, address, "--delete", "--group", "g")
	if !strings.Contains(out, "was successful") {
		t.Error(out)
	}
	check(address, 0)
	check(serve(t, l, catalog), 0)
	groups, err := admin.ListGroups(ctx)
	if err != nil || len(groups) != 0 {
		t.Errorf("%+v, %v", groups, err)
	}
}

func TestDescribeLog(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	ctx := context.Background()
	if _, err := catalog.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	client := franz(t, address, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range 3 {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 1, Value: make([]byte, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for range 6000 {
		topic, _ := l.Topic("t")
		if l.Size(log.Partition{Topic: topic.ID, Index: 1}) > 3000 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	admin := kadm.NewClient(client)
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) {
		if p := d.Topics["t"][1]; p.Size < 3000 || d.Topics["t"][0].Size != 0 {
			t.Errorf("%+v", d.Topics)
		}
	})
	producers, err := admin.DescribeProducers(ctx, kadm.TopicsSet{"t": {1: {}}})
	if err != nil {
		t.Fatal(err)
	}
	if one := producers["t"].Partitions[1].ActiveProducers.Sorted(); len(one) != 1 || one[0].LastSequence != 2 || one[0].CurrentTxnStartOffset != -1 {
		t.Errorf("%+v", one)
	}
	out := strings.Join(java(t, nil, "org.apache.kafka.tools.LogDirsCommand", "--bootstrap-server", address, "--describe", "--topic-list", "t"), "\n")
	if !strings.Contains(out, `"partition":"t-1"`) {
		t.Error(out)
	}
}

// The end of a leader epoch is where the next one's records begin; a restore begins a new one.
func TestOffsetForLeaderEpoch(t *testing.T) {
	fs := vfs.NewMem()
	run := func(dir string) (*broker.Broker, func()) {
		b, err := broker.Open(broker.Options{FS: fs, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		return b, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	b, stop := run("0")
	topic := logtest.CreateTopic(t, b, "t", 1, nil)
	put := func(n int) {
		for range n {
			if _, err := log.Commit(context.Background(), b, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: logtest.Batch(t, 1, "a", "b")}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(3)
	for _, dir := range []string{"1", "2"} {
		entries := logtest.Entries(t, b, log.Position{})
		stop()
		if _, err := broker.Restore(context.Background(), broker.Options{FS: fs, Dir: dir}, func(yield func(log.Entry, error) bool) {
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		b, stop = run(dir)
		put(2)
	}
	defer func() { stop() }()
	p := dial(t, serve(t, b, logCatalog{b}))
	ask := func(epoch, current int32) (int16, int32, int64) {
		q := kmsg.NewPtrOffsetForLeaderEpochRequest()
		q.SetVersion(4)
		q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{
			{Partition: 0, CurrentLeaderEpoch: current, LeaderEpoch: epoch}}}}
		a := p.ask(q).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		return a.ErrorCode, a.LeaderEpoch, a.EndOffset
	}
	for _, c := range []struct {
		epoch, current int32
		code           int16
		found          int32
		end            int64
	}{{1, -1, 0, 1, 6}, {2, -1, 0, 2, 10}, {3, 3, 0, 3, 14}, {4, -1, 0, -1, -1}, {0, -1, 0, 0, 0},
		{1, 2, kerr.FencedLeaderEpoch.Code, -1, -1}, {1, 4, kerr.UnknownLeaderEpoch.Code, -1, -1}} {
		if code, found, end := ask(c.epoch, c.current); code != c.code || found != c.found || end != c.end {
			t.Errorf("epoch %d: error %d, epoch %d, end %d; want %+v", c.epoch, code, found, end, c)
		}
	}
}
