package kafka

import (
	"context"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
)

// fetchBytes bounds one answer (fetch.max.bytes of the broker); the first batch is given even when it is larger (KIP-74).
const fetchBytes = 8 << 20

// fetch answers with what the partitions have, or waits until they have MinBytes or MaxWait is over.
func (s *Server) fetch(ctx context.Context, r *request, q *kmsg.FetchRequest) answer {
	f := fetching{server: s, frame: r, request: q, partitions: make([]fetched, 0, len(q.Topics))}
	if !knownIsolation(q.IsolationLevel) {
		return f.refuse(kerr.UnknownServerError.Code)
	}
	if f.session, f.cached, f.code = s.sessions.begin(q); f.code != 0 {
		q.Topics = nil
		return f.encode(r.version)
	}
	if f.session == nil {
		once(q)
	}
	wanted := f.resolve(r.version)
	r.borrowed.from = &s.buffers
	f.read(ctx)
	if f.enough() || q.MaxWaitMillis <= 0 || len(wanted) == 0 {
		return f.finish()
	}
	wake := make(chan struct{}, 1)
	// The catalog too: a topic that is dropped has no records any more that could wake its readers.
	cancel := s.log.Notify(append(wanted, log.Partition{Topic: log.CatalogTopicID}), wake)
	defer cancel()
	timeout := time.NewTimer(time.Duration(q.MaxWaitMillis) * time.Millisecond)
	defer timeout.Stop()
	for {
		// Once more after Notify: what came in between woke nobody.
		f.read(ctx)
		if f.enough() {
			return f.finish()
		}
		select {
		case <-wake:
		case <-timeout.C:
			return f.finish()
		case <-ctx.Done():
			return f.finish()
		case <-s.stopping:
			return f.finish()
		}
	}
}

// fetching is one Fetch with what has been read for it, partitions in the order of the request's.
type fetching struct {
	server     *Server
	frame      *request
	request    *kmsg.FetchRequest
	code       int16
	session    *fetchSession       // that the request continues, nil: it is a full one
	cached     []*sessionPartition // the session's, in the order of the request's
	sessionID  int32               // what the answer says
	partitions []fetched
	bytes      int
	urgent     bool // something other than records is to be told
	partial    bool // a reader of committed records gets less than there is
}

// fetched is the answer for one partition.
type fetched struct {
	partition log.Partition
	meter     *topicMeter
	known     bool
	unchanged bool // since the session's last answer
	code      int16
	bounds    log.Bounds
	records   []byte
	aborted   []log.AbortedTxn // with records among them, for readers of committed records
	name      string           // of the topic, empty: it is not known
	diverging *divergence
}

// divergence is where the records of an epoch end here, told to who has others, or more of them (KIP-595).
type divergence struct {
	epoch int32
	end   int64
}

// refuse answers a request that cannot be served: up to version 12 each partition that it names says so too.
func (f *fetching) refuse(code int16) answer {
	f.code, f.sessionID = code, f.request.SessionID
	if f.request.Version >= 13 {
		f.request.Topics = nil
	}
	for i := range f.request.Topics {
		for range f.request.Topics[i].Partitions {
			f.partitions = append(f.partitions, fetched{code: code})
		}
	}
	return f.encode(f.request.Version)
}

// finish gives the answer: of a session, what is not as it was; of a full request, all.
func (f *fetching) finish() answer {
	for i := range f.partitions {
		p := &f.partitions[i]
		p.meter.fetched(len(p.records), p.code != 0)
	}
	switch {
	case f.session != nil:
		f.sessionID = f.session.id
		f.server.sessions.answer(f.session, f.cached, f.partitions)
	case f.request.SessionEpoch == firstEpoch && f.request.Version >= 7:
		f.sessionID = f.server.sessions.create(f.request, f.partitions)
	}
	return f.encode(f.request.Version)
}

// readCommitted is the isolation level that sees no record of a transaction that has not committed, readUncommitted the one that does.
const (
	readUncommitted = 0
	readCommitted   = 1
)

func knownIsolation(level int8) bool { return level == readUncommitted || level == readCommitted }

// resolve finds the partitions that the request names.
func (f *fetching) resolve(version int16) []log.Partition {
	var wanted []log.Partition
	follower := f.request.ReplicaID >= 0 || f.request.ReplicaState.ID >= 0
	mayFollow := follower && f.server.may(f.frame, access.ClusterAction, access.Cluster, access.ClusterName)
	for i := range f.request.Topics {
		t := &f.request.Topics[i]
		var topic log.Topic
		var ok bool
		var unknown int16
		if version >= 13 {
			topic, ok, unknown = f.server.topicByID(f.frame, log.TopicID(t.TopicID))
			if !ok && t.Topic != "" { // the session has known it by this name
				var another bool
				if _, another, unknown = f.server.topic(f.frame, t.Topic); another {
					unknown = kerr.InconsistentTopicID.Code
				}
			}
		} else {
			topic, ok, unknown = f.server.topic(f.frame, t.Topic)
		}
		meter := f.server.meters.topic(topic.ID)
		for j := range t.Partitions {
			p := fetched{partition: log.Partition{Topic: topic.ID, Index: t.Partitions[j].Partition}, meter: meter, name: topic.Name, code: unknown}
			switch {
			case !ok:
			case p.partition.Index < 0 || p.partition.Index >= topic.Partitions:
				p.code = kerr.UnknownTopicOrPartition.Code
			case follower && !mayFollow:
				p.code = kerr.TopicAuthorizationFailed.Code
			case follower:
				p.code = kerr.NotLeaderForPartition.Code // as Kafka tells a node that has no replica
			default:
				p.known, p.code = true, 0
				wanted = append(wanted, p.partition)
			}
			f.partitions = append(f.partitions, p)
		}
	}
	return wanted
}

// read reads every partition from its offset on, until the request's bytes are used up.
func (f *fetching) read(ctx context.Context) {
	f.bytes, f.urgent, f.partial = 0, false, false
	f.frame.giveBack()
	next := 0
	for i := range f.request.Topics {
		for j := range f.request.Topics[i].Partitions {
			p := &f.partitions[next]
			next++
			if p.known {
				f.readOne(ctx, p, &f.request.Topics[i].Partitions[j], f.room()-f.bytes)
			}
			f.bytes += len(p.records)
			f.urgent = f.urgent || p.code != 0 || p.diverging != nil
		}
	}
}

// room is how many bytes of records the answer has room for.
func (f *fetching) room() int { return min(fetchBytes, max(1, int(f.request.MaxBytes))) }

// enough reports whether the answer need not wait for more.
func (f *fetching) enough() bool {
	return f.urgent || f.partial || f.bytes >= int(min(f.request.MinBytes, f.request.MaxBytes)) || f.full()
}

// full reports whether there are records that the answer has no room for: batches are whole, and so it is seldom filled to the
// last byte.
func (f *fetching) full() bool {
	next, room := 0, f.room()
	for i := range f.request.Topics {
		for j := range f.request.Topics[i].Partitions {
			p, want := &f.partitions[next], &f.request.Topics[i].Partitions[j]
			next++
			if p.known && room < int(want.PartitionMaxBytes) {
				if _, end := below(p.records, math.MaxInt64); max(end, want.FetchOffset) < f.end(p.bounds) {
					return true
				}
			}
			room -= len(p.records)
		}
	}
	return false
}

// end is where what the client may read of a partition ends.
func (f *fetching) end(b log.Bounds) int64 {
	if f.request.IsolationLevel == readCommitted {
		return b.Stable
	}
	return b.End
}

func (f *fetching) readOne(ctx context.Context, p *fetched, want *kmsg.FetchRequestTopicPartition, room int) {
	p.records, p.aborted, p.diverging, p.code = nil, nil, nil, epochFault(max(-1, want.CurrentLeaderEpoch), f.server.log.LeaderEpoch())
	if p.code == 0 && want.LastFetchedEpoch >= 0 {
		f.compare(ctx, p, want)
	}
	if p.code != 0 || p.diverging != nil {
		return
	}
	var err error
	room = min(room, max(1, int(want.PartitionMaxBytes)))
	if f.request.IsolationLevel == readCommitted {
		p.records, p.aborted, err = f.committed(ctx, p.partition, want.FetchOffset, room)
	} else if room > 0 {
		p.records, err = f.records(ctx, p.partition, want.FetchOffset, room)
	}
	if len(p.records) > 0 && min(f.request.MaxBytes, want.PartitionMaxBytes) < 0 {
		p.records, err = nil, kerr.UnknownServerError // as Kafka says it, when there is something to read
	}
	// After the read: the high watermark is never below what is given.
	bounds, boundsErr := f.server.log.Bounds(p.partition)
	p.bounds = bounds
	if err == nil {
		err = boundsErr
	}
	if err != nil && ctx.Err() == nil {
		p.code = errorCode(err)
	}
}

// compare looks whether the records before the offset that a client has come to, the last of them of an epoch, are ours.
func (f *fetching) compare(ctx context.Context, p *fetched, want *kmsg.FetchRequestTopicPartition) {
	epoch, end, err := f.server.epochEnd(ctx, p.partition, want.LastFetchedEpoch)
	if err == nil && epoch < 0 {
		err = log.ErrOffsetOutOfRange // an epoch to come
	}
	if err == nil && (epoch < want.LastFetchedEpoch || end < want.FetchOffset) {
		p.diverging = &divergence{epoch, end}
		p.bounds, err = f.server.log.Bounds(p.partition)
	}
	p.code = errorCode(err)
}

// records reads about room bytes of a partition, one batch at least, within the server's budget: nothing when that has no room for
// them beside what the answer holds already.
func (f *fetching) records(ctx context.Context, p log.Partition, offset int64, room int) ([]byte, error) {
	for need := room; ; {
		before, keep := f.frame.reading, len(f.frame.borrowed.by)
		if !f.take(ctx, need) {
			return nil, nil
		}
		records, err := f.server.log.Read(ctx, p, offset, log.ReadLimit{MaxBytes: room, Memory: f.frame.borrowed.take})
		records = f.frame.borrowed.fit(keep, records)
		took := f.frame.reading - before
		size := min(int64(len(records)), f.server.fetches.size)
		if size <= took || f.server.fetches.free.TryAcquire(size-took) {
			f.server.fetches.give(max(0, took-size))
			f.frame.reading = before + size
			return records, err
		}
		// One batch, larger than what was asked for: once more when there is room for it.
		f.frame.borrowed.giveBack(keep)
		f.server.fetches.give(took)
		f.frame.reading, need = before, len(records)
	}
}

// take takes n bytes for a read out of the server's budget, until the answer is sent. Who holds some already does not wait
// for more: what there is goes out first.
func (f *fetching) take(ctx context.Context, n int) bool {
	b := f.server.fetches
	want := min(int64(n), b.size)
	if !b.free.TryAcquire(want) {
		if f.frame.reading > 0 {
			return false
		}
		if _, err := b.take(ctx, want); err != nil {
			return false
		}
	}
	f.frame.reading += want
	return true
}

// epochFault compares the leader epoch that a client believes in with ours; -1: it does not say.
func epochFault(client, ours int32) int16 {
	switch {
	case client == -1 || client == ours:
		return 0
	case client < ours:
		return kerr.FencedLeaderEpoch.Code
	}
	return kerr.UnknownLeaderEpoch.Code
}
