package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/record"
)

// fetch makes a request that waits for a record of a topic's first partition from its begin on.
func (b *beside) fetch(topic string) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 3_600_000, 1, 1<<20, finalEpoch
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	q.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: b.ids[topic], Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return q
}

// fetched writes an answer: its code, whether it names a session, and of each partition its high watermark and what it tells.
func (b *beside) fetched(a *kmsg.FetchResponse, part func(string, int32, int16, string, ...any)) (whole string) {
	whole = code(a.ErrorCode)
	if a.SessionID != 0 {
		whole += " session"
	}
	for _, t := range a.Topics {
		topic := b.topic(t.Topic, t.TopicID)
		for _, p := range t.Partitions {
			text := fmt.Sprintf("%d:", p.HighWatermark)
			for rest := p.RecordBatches; len(rest) > 0; {
				batch, left, err := record.Parse(rest)
				if err != nil {
					b.t.Fatal(err)
				}
				rest, text = left, text+fmt.Sprintf(" %d-%d", batch.BaseOffset, batch.LastOffset())
			}
			if d := p.DivergingEpoch; d.EndOffset != -1 {
				text += fmt.Sprintf(" epoch %+d ends at %d", d.Epoch-b.epoch, d.EndOffset)
			}
			if p.CurrentLeader.LeaderID != -1 {
				topic += " led by " + fmt.Sprintf("%d under %+d:", p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch-b.epoch)
			}
			part(topic, p.Partition, p.ErrorCode, "%s", text)
		}
	}
	return whole
}

func besideFetch() (cases []besideCase) {
	type fetch = kmsg.FetchRequest
	type partition = kmsg.FetchRequestTopicPartition
	versions := func(v ...int16) []int16 { return v }
	all := versions(4, 11, 12, 13, 16, 17)
	add := func(name string, versions []int16, want string, change func(b *beside, q *fetch, p *partition)) {
		cases = append(cases, besideCase{name, versions, func(b *beside, _ int16) kmsg.Request {
			q := b.fetch("t")
			change(b, q, &q.Topics[0].Partitions[0])
			return q
		}, want})
	}
	// in is add for what follows a first request in its session; done: between the two.
	in := func(name string, versions []int16, want string, first func(q *fetch), done func(b *beside), then func(b *beside, q *fetch)) {
		cases = append(cases, besideCase{"in a session, " + name, versions, func(b *beside, version int16) kmsg.Request {
			q := b.fetch("t")
			q.SetVersion(version)
			q.SessionEpoch, q.MaxWaitMillis = firstEpoch, 0
			first(q)
			id := b.ask(q).(*kmsg.FetchResponse).SessionID
			done(b)
			q = b.fetch("t")
			q.SessionID, q.SessionEpoch = id, 1
			then(b, q)
			return q
		}, want})
	}

	for _, level := range []int8{2, -1} {
		isolation := func(_ *beside, q *fetch, _ *partition) { q.IsolationLevel = level }
		add("an unknown isolation level", versions(4), "t/0 UNKNOWN_SERVER_ERROR", isolation)
		add("an unknown isolation level", versions(7, 12), "UNKNOWN_SERVER_ERROR t/0 UNKNOWN_SERVER_ERROR", isolation)
		add("an unknown isolation level", versions(13, 17), "UNKNOWN_SERVER_ERROR", isolation)
	}
	for _, n := range []int32{-1, -1 << 31} {
		add("negative bytes", all, "t/0 UNKNOWN_SERVER_ERROR", func(_ *beside, q *fetch, _ *partition) { q.MaxBytes = n })
		add("negative bytes of a partition", all, "t/0 UNKNOWN_SERVER_ERROR", func(_ *beside, _ *fetch, p *partition) { p.PartitionMaxBytes = n })
		add("negative bytes at the end", all, "t/0 5:", func(_ *beside, q *fetch, p *partition) { q.MaxBytes, p.FetchOffset = n, 5 })
		add("negative bytes to wait for", all, "t/0 5:", func(_ *beside, q *fetch, p *partition) { q.MinBytes, p.FetchOffset = n, 5 })
		add("a negative wait", all, "t/0 5:", func(_ *beside, q *fetch, p *partition) { q.MaxWaitMillis, p.FetchOffset = n, 5 })
	}
	add("no bytes", all, "t/0 5: 0-2", func(_ *beside, q *fetch, p *partition) { q.MaxBytes, p.PartitionMaxBytes = 0, 0 })
	add("no bytes at the end", all, "t/0 5:", func(_ *beside, q *fetch, p *partition) { q.MaxBytes, p.FetchOffset = 0, 5 })
	add("more bytes to wait for than are asked for", all, "t/0 5: 0-2", func(_ *beside, q *fetch, _ *partition) { q.MinBytes, q.MaxBytes = 1<<30, 10 })

	add("an epoch to come", all[1:], "t/0 UNKNOWN_LEADER_EPOCH", func(b *beside, _ *fetch, p *partition) { p.CurrentLeaderEpoch = b.epoch + 1 })
	add("a negative epoch", all, "t/0 5: 0-2 3-4", func(_ *beside, _ *fetch, p *partition) { p.CurrentLeaderEpoch, p.LastFetchedEpoch = -2, -2 })
	add("fetched in this epoch", all, "t/0 5: 0-2 3-4", func(b *beside, _ *fetch, p *partition) { p.LastFetchedEpoch = b.epoch })
	add("fetched in an epoch to come", all[2:], "t/0 OFFSET_OUT_OF_RANGE", func(b *beside, _ *fetch, p *partition) { p.LastFetchedEpoch = b.epoch + 1 })
	add("fetched more than this epoch has", all[2:], "t/0 5: epoch +0 ends at 5", func(b *beside, _ *fetch, p *partition) {
		p.LastFetchedEpoch, p.FetchOffset = b.epoch, 7
	})

	for _, node := range []int32{0, 1, 5} {
		add("a replica", versions(4, 11, 12, 13), "t/0 NOT_LEADER_FOR_PARTITION", func(_ *beside, q *fetch, _ *partition) { q.ReplicaID = node })
		add("a replica", versions(16, 17), "t led by 1 under +0:/0 NOT_LEADER_FOR_PARTITION", func(_ *beside, q *fetch, _ *partition) { q.ReplicaState.ID = node })
		add("a replica of an unknown partition", versions(4, 11, 12, 13), "t/7 UNKNOWN_TOPIC_OR_PARTITION", func(_ *beside, q *fetch, p *partition) {
			q.ReplicaID, p.Partition = node, 7
		})
	}
	add("a client that looks for faults", versions(4, 11, 12, 13), "t/0 5: 0-2 3-4", func(_ *beside, q *fetch, _ *partition) { q.ReplicaID = -2 })

	for _, session := range []string{"", "session "} {
		again := func(_ *beside, q *fetch, p *partition) {
			if session != "" {
				q.SessionEpoch = firstEpoch
			}
			twice, other := *p, *p
			twice.FetchOffset, other.Partition = 3, 1
			q.Topics = append(q.Topics, q.Topics[0], q.Topics[0])
			q.Topics[1].Partitions, q.Topics[2].Partitions = []partition{other}, []partition{other, twice}
		}
		add("named twice", all[1:], session+"t/0 5: 3-4, t/1 0:", again)
	}
	add("an unknown partition", all, "t/-1 UNKNOWN_TOPIC_OR_PARTITION", func(_ *beside, _ *fetch, p *partition) { p.Partition = -1 })
	for _, topic := range []string{"none", "dropped"} {
		change := func(b *beside, q *fetch, _ *partition) { q.Topics[0].Topic, q.Topics[0].TopicID = topic, b.ids[topic] }
		add("an unknown topic", versions(4, 11, 12), topic+"/0 UNKNOWN_TOPIC_OR_PARTITION", change)
		add("an unknown topic", versions(13, 16, 17), topic+"/0 UNKNOWN_TOPIC_ID", change)
	}

	add("no topics", all, "", func(_ *beside, q *fetch, _ *partition) { q.Topics = nil })
	add("a session without topics", all[1:], "session", func(_ *beside, q *fetch, _ *partition) { q.Topics, q.SessionEpoch = nil, firstEpoch })
	add("a session without partitions", all[1:], "session", func(_ *beside, q *fetch, _ *partition) {
		q.Topics[0].Partitions, q.SessionEpoch = nil, firstEpoch
	})
	add("an unknown session", all[1:], "FETCH_SESSION_ID_NOT_FOUND", func(_ *beside, q *fetch, _ *partition) { q.SessionID, q.SessionEpoch = 77, 1 })
	add("no session goes on", all[1:], "FETCH_SESSION_ID_NOT_FOUND", func(_ *beside, q *fetch, _ *partition) { q.SessionEpoch = 1 })

	same, nothing := func(*fetch) {}, func(*beside) {}
	in("that had no topics", all[1:], "session t/0 5: 0-2 3-4", func(q *fetch) { q.Topics = nil }, nothing, func(*beside, *fetch) {})
	in("all forgotten", all[1:], "", same, nothing, func(b *beside, q *fetch) { forget(b, q); q.Topics = nil })
	in("forgotten and named", all[1:], "t/0 5: 0-2 3-4", func(q *fetch) { q.Topics[0].Partitions[0].FetchOffset = 5 }, nothing, forget)
	in("named twice", all[1:], "session t/0 5: 3-4", same, nothing, func(_ *beside, q *fetch) {
		q.Topics = append(q.Topics, q.Topics[0])
		q.Topics[1].Partitions = []partition{q.Topics[0].Partitions[0]}
		q.Topics[1].Partitions[0].FetchOffset = 3
	})
	in("another epoch", all[1:], "INVALID_FETCH_SESSION_EPOCH", same, nothing, func(_ *beside, q *fetch) { q.SessionEpoch = 5 })
	return append(cases, besideDropped()...)
}

func forget(b *beside, q *kmsg.FetchRequest) {
	q.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", TopicID: b.ids["t"], Partitions: []int32{0}}}
}

// besideDropped: a session's topic is dropped, and perhaps made anew.
func besideDropped() (cases []besideCase) {
	add := func(topic string, version int16, anew bool, want string) {
		cases = append(cases, besideCase{"dropped in a session", []int16{version}, func(b *beside, version int16) kmsg.Request {
			b.create(topic)
			id := b.ids[topic]
			q := b.fetch(topic)
			q.SetVersion(version)
			q.MaxWaitMillis, q.SessionEpoch = 0, firstEpoch
			q.SessionID = b.ask(q).(*kmsg.FetchResponse).SessionID
			b.drop(topic)
			if anew {
				b.create(topic)
				b.ids[topic] = id // the one that the session knows
			}
			q.SessionEpoch, q.Topics = 1, nil
			return q
		}, want})
	}
	add("d1", 11, false, "session d1/0 UNKNOWN_TOPIC_OR_PARTITION")
	add("d2", 17, false, "session d2/0 UNKNOWN_TOPIC_OR_PARTITION")
	add("d3", 11, true, "session")
	add("d4", 17, true, "session d4/0 INCONSISTENT_TOPIC_ID")
	return cases
}
