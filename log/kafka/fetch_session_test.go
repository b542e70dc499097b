package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// sessionRequest fetches partitions of topic t from their offsets, in a session.
func sessionRequest(id, epoch int32, offsets map[int32]int64) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(11)
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionID, q.SessionEpoch = 0, 1, 1<<20, id, epoch
	t := kmsg.NewFetchRequestTopic()
	t.Topic = "t"
	for p := range int32(10) {
		if offset, ok := offsets[p]; ok {
			want := kmsg.NewFetchRequestTopicPartition()
			want.Partition, want.FetchOffset, want.PartitionMaxBytes, want.CurrentLeaderEpoch = p, offset, 1<<20, -1
			t.Partitions = append(t.Partitions, want)
		}
	}
	if len(t.Partitions) > 0 {
		q.Topics = append(q.Topics, t)
	}
	return q
}

// told are the partitions that an answer tells of, with their records' bytes and their codes, in order.
func told(a *kmsg.FetchResponse) (out []string) {
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			text := fmt.Sprintf("%s/%d", t.Topic, p.Partition)
			if len(p.RecordBatches) > 0 {
				text += " records"
			}
			if p.ErrorCode != 0 {
				text += " " + kerr.TypedErrorForCode(p.ErrorCode).Message
			}
			out = append(out, text)
		}
	}
	return out
}

// Fetch sessions (KIP-227): a client names what changes, and is told what changes.
func TestFetchSession(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	topic, _ := catalog.CreateTopic(context.Background(), "t", 4, nil)
	p := dial(t, address)
	ask := func(q *kmsg.FetchRequest) *kmsg.FetchResponse { t.Helper(); return p.ask(q).(*kmsg.FetchResponse) }
	put := func(partition int32) { p.ask(produce(9, "t", partition, batch(t, record.None, "a"))) }
	expect := func(what string, a *kmsg.FetchResponse, want ...string) {
		t.Helper()
		if got := told(a); !slices.Equal(got, want) || a.ErrorCode != 0 {
			t.Errorf("%s: %q, error %d; want %q", what, got, a.ErrorCode, want)
		}
	}
	first := ask(sessionRequest(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0}))
	id := first.SessionID
	expect("first", first, "t/0", "t/1", "t/2")
	if id == 0 {
		t.Fatal("no session")
	}
	expect("nothing new", ask(sessionRequest(id, 1, nil)))
	put(1)
	expect("records", ask(sessionRequest(id, 2, nil)), "t/1 records")
	expect("fetched further", ask(sessionRequest(id, 3, map[int32]int64{1: 1})))
	// Records of a partition that is not fetched further come again; new ones of another beside them, in turn.
	put(0)
	put(1)
	expect("two", ask(sessionRequest(id, 4, nil)), "t/0 records", "t/1 records")
	q := sessionRequest(id, 5, map[int32]int64{3: 0})
	forget := kmsg.NewFetchRequestForgottenTopic()
	forget.Topic, forget.Partitions = "t", []int32{0}
	q.ForgottenTopics = append(q.ForgottenTopics, forget)
	expect("one added, one forgotten", ask(q), "t/1 records", "t/3")
	expect("a fault is told", ask(sessionRequest(id, 6, map[int32]int64{1: 99, 9: 0})), "t/1 OFFSET_OUT_OF_RANGE", "t/9 UNKNOWN_TOPIC_OR_PARTITION")
	expect("and told again, and when it is over", ask(sessionRequest(id, 7, map[int32]int64{1: 2})), "t/1", "t/9 UNKNOWN_TOPIC_OR_PARTITION")
	// What waits is woken by the session's partitions.
	wait := sessionRequest(id, 8, nil)
	forget.Partitions = []int32{9}
	wait.ForgottenTopics, wait.MaxWaitMillis = append(wait.ForgottenTopics, forget), 3_600_000
	p.send(wait)
	waiting := p.correlation
	time.Sleep(20 * time.Millisecond)
	dial(t, address).ask(produce(9, "t", 3, batch(t, record.None, "a")))
	a := kmsg.NewPtrFetchResponse()
	a.SetVersion(11)
	p.receive(a, waiting)
	expect("woken", a, "t/3 records")
	for what, c := range map[string]struct {
		q    *kmsg.FetchRequest
		want *kerr.Error
	}{
		"an old epoch":    {sessionRequest(id, 8, nil), kerr.InvalidFetchSessionEpoch},
		"a future epoch":  {sessionRequest(id, 10, nil), kerr.InvalidFetchSessionEpoch},
		"another session": {sessionRequest(id+1, 9, nil), kerr.FetchSessionIDNotFound},
	} {
		if a := ask(c.q); a.ErrorCode != c.want.Code || a.SessionID != 0 || len(a.Topics) > 0 {
			t.Errorf("%s: %+v", what, a)
		}
	}
	q = sessionRequest(id, 9, nil)
	q.SetVersion(13)
	if a := ask(q); a.ErrorCode != kerr.FetchSessionTopicIDError.Code {
		t.Errorf("%+v", a)
	}
	// The last request ends the session and is a full one.
	expect("the end", ask(sessionRequest(id, -1, map[int32]int64{2: 0})), "t/2")
	if a := ask(sessionRequest(id, 9, nil)); a.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("%+v", a)
	}
	sessionByID(t, p, topic)
}

// sessionByID: from version 13 on a session knows topics by their ids; one that is dropped is told of as UNKNOWN_TOPIC_ID.
func sessionByID(t *testing.T, p *peer, topic log.Topic) {
	t.Helper()
	q := sessionRequest(0, 0, map[int32]int64{2: 0})
	q.SetVersion(13)
	q.Topics[0].Topic, q.Topics[0].TopicID = "", topic.ID
	q.Topics = append(q.Topics, kmsg.FetchRequestTopic{TopicID: [16]byte{9}, Partitions: q.Topics[0].Partitions})
	a := p.ask(q).(*kmsg.FetchResponse)
	if a.SessionID == 0 || a.Topics[0].Partitions[0].ErrorCode != 0 || a.Topics[1].Partitions[0].ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("%+v", a)
	}
	next := sessionRequest(a.SessionID, 1, nil)
	next.SetVersion(13)
	if a := p.ask(next).(*kmsg.FetchResponse); len(a.Topics) != 1 || a.Topics[0].TopicID != [16]byte{9} {
		t.Errorf("%+v", a)
	}
}

// The cache of sessions is bounded: who finds no room goes on without one, and what nobody has used for long makes room.
func TestFetchSessionEviction(t *testing.T) {
	now := clock.NewManual(time.Unix(1000, 0))
	c := newFetchSessions(now)
	c.slots, c.partitions = 2, 10
	create := func(n int) int32 {
		offsets := map[int32]int64{}
		for p := range int32(n) {
			offsets[p] = 0
		}
		return c.create(sessionRequest(0, 0, offsets), make([]fetched, n))
	}
	use := func(id, epoch int32) int16 { _, _, code := c.begin(sessionRequest(id, epoch, nil)); return code }
	small, large := create(1), create(4)
	if small == 0 || large == 0 || create(3) != 0 || create(0) != 0 {
		t.Fatal("two sessions were to have room, and no more")
	}
	now.Advance(sessionIdle)
	if use(small, 1) != 0 || use(large, 1) != 0 {
		t.Fatal("a session is gone")
	}
	// Both are in use; the smaller one goes for a larger.
	if create(1) != 0 {
		t.Error("a session went for one that is no larger")
	}
	third := create(3)
	if third == 0 || use(small, 2) != kerr.FetchSessionIDNotFound.Code || use(large, 2) != 0 {
		t.Error("the smallest session was to go")
	}
	now.Advance(sessionIdle)
	use(third, 1)
	if create(1) == 0 || use(large, 3) != kerr.FetchSessionIDNotFound.Code || use(third, 2) != 0 {
		t.Error("the session that was not used was to go")
	}
	// A session that grows beyond what all may have ends.
	if got := use(third, 3); got != 0 {
		t.Fatal(got)
	}
	c.partitions = 3
	if got := use(third, 4); got != kerr.FetchSessionIDNotFound.Code || c.mu.partitions != 1 {
		t.Errorf("%d, %d partitions", got, c.mu.partitions)
	}
}

func TestFetchSessionEpochWraps(t *testing.T) {
	c := newFetchSessions(clock.System{})
	id := c.create(sessionRequest(0, 0, map[int32]int64{0: 0}), make([]fetched, 1))
	c.mu.sessions[id].epoch = 1<<31 - 1
	for _, epoch := range []int32{1<<31 - 1, 1} {
		if _, _, code := c.begin(sessionRequest(id, epoch, nil)); code != 0 {
			t.Errorf("epoch %d: %d", epoch, code)
		}
	}
}
