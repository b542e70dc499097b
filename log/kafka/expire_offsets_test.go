package kafka

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/log/group"
)

// expiring is a server on a manual clock, whose committed offsets expire after an hour.
type expiring struct {
	*testing.T
	log     Log
	catalog Catalog
	now     *clock.Manual
	server  *Server
}

func (e *expiring) start() {
	e.Helper()
	var err error
	e.server, err = Open(context.Background(), Options{Log: e.log, Catalog: e.catalog, ClusterID: "test", Clock: e.now, OffsetsRetention: time.Hour,
		Group: group.Options{MaxSession: 1000 * time.Hour, ConsumerSession: 1000 * time.Hour, ConsumerHeartbeat: 50 * time.Millisecond}})
	if err != nil {
		e.Fatal(err)
	}
}

// listen serves until the test's end.
func (e *expiring) listen() (address string) {
	e.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func(s *Server) { done <- s.Serve(ctx, l) }(e.server)
	e.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			e.Error(err)
		}
	})
	return l.Addr().String()
}

// commit stores offset 1 of partition 0 of topics for a consumer outside of any group's protocol.
func (e *expiring) commit(name string, topics ...string) {
	e.Helper()
	q := kmsg.NewPtrOffsetCommitRequest()
	q.SetVersion(8)
	q.Group, q.Generation = name, -1
	for _, topic := range topics {
		q.Topics = append(q.Topics, kmsg.OffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}})
	}
	r := &request{key: q.Key(), version: 8, conn: newConn(e.server, &script{})}
	for _, topic := range e.server.offsetCommit(context.Background(), r, q).response.(*kmsg.OffsetCommitResponse).Topics {
		if topic.Partitions[0].ErrorCode != 0 {
			e.Fatal(kerr.ErrorForCode(topic.Partitions[0].ErrorCode))
		}
	}
}

// after lets time pass and offsets expire, and checks which topics a group has offsets of, also after a restart.
func (e *expiring) after(d time.Duration, name, want string) {
	e.Helper()
	e.now.Advance(d)
	if err := e.server.coordinator.expireOffsets(context.Background()); err != nil {
		e.Fatal(err)
	}
	fresh, err := Open(context.Background(), Options{Log: e.log, Catalog: e.catalog, ClusterID: "test", Clock: e.now})
	if err != nil {
		e.Fatal(err)
	}
	for _, s := range []*Server{e.server, fresh} {
		var got []string
		for _, o := range s.coordinator.offsets(name) {
			got = append(got, o.Topic)
		}
		if all := strings.Join(got, " "); all != want {
			e.Errorf("group %s: offsets of %q, want %q", name, all, want)
		}
	}
}

// Reference 2.3, groups: offsets expire when their group has been empty for the retention (offsets.retention.minutes), those of a
// consumer outside of groups when it has not committed for so long, and those of a topic with the topic.
func TestGotchaOffsetsRetention(t *testing.T) {
	l, catalog := newLog(t)
	e := &expiring{T: t, log: l, catalog: catalog, now: clock.NewManual(time.Unix(1_800_000_000, 0))}
	for _, topic := range []string{"a", "b", "c"} {
		if _, err := catalog.CreateTopic(context.Background(), topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	e.start()
	e.commit("simple", "a", "b", "c")
	e.after(30*time.Minute, "simple", "a b c")
	e.commit("simple", "b")
	e.after(29*time.Minute, "simple", "a b c")
	e.after(time.Minute, "simple", "b")
	c, _ := l.Topic("c")
	e.commit("other", "b", "c")
	if err := catalog.DropTopic(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if e.after(0, "other", "b"); len(e.server.coordinator.mu.machine.Offsets("other")) != 1 {
		t.Error("the offsets of a dropped topic are still held")
	}
	e.after(30*time.Minute, "simple", "")
	if d := e.server.coordinator.describe("simple"); d.State != "Dead" {
		t.Errorf("a group that nothing is left of: %+v", d)
	}
	// Who was away during a restart is not late yet: the time of an empty group begins anew.
	e.after(25*time.Minute, "other", "b")
	e.start()
	e.after(30*time.Minute, "other", "b")
	e.after(30*time.Minute, "other", "")
}

// Members keep the offsets of what they read for ever; the retention begins when the last of them leaves.
func TestOffsetsRetentionOfMembers(t *testing.T) {
	for _, options := range [][]kgo.Opt{nil, {kgo.ServerSideBalancer()}} {
		t.Run(fmt.Sprint(len(options), " options"), func(t *testing.T) {
			l, catalog := newLog(t)
			now := clock.NewManual(time.Unix(1_800_000_000, 0))
			e := &expiring{T: t, log: l, catalog: catalog, now: now}
			for _, topic := range []string{"read", "unread"} {
				if _, err := catalog.CreateTopic(context.Background(), topic, 1, nil); err != nil {
					t.Fatal(err)
				}
			}
			e.start()
			address := e.listen()
			e.commit("g", "read", "unread")
			member := franz(t, address, append(options, kgo.DisableAutoCommit(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("read"), kgo.SessionTimeout(100*time.Hour))...)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			for e.server.coordinator.describe("g").State != "Stable" {
				poll, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				member.PollFetches(poll)
				cancel()
				if ctx.Err() != nil {
					t.Fatal("the member does not come in")
				}
			}
			e.after(59*time.Minute, "g", "read unread")
			e.after(2*time.Minute, "g", "read")
			e.after(24*time.Hour, "g", "read")
			member.Close()
			e.after(59*time.Minute, "g", "read")
			e.after(time.Minute, "g", "")
		})
	}
}
