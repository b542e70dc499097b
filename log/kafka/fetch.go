package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// fetchBytes bounds one answer (fetch.max.bytes of the broker); the first batch is given even when it is larger (KIP-74).
const fetchBytes = 8 << 20

// fetch answers with what the partitions have, or waits until they have MinBytes or MaxWait is over.
func (s *Server) fetch(ctx context.Context, r *request, q *kmsg.FetchRequest) answer {
	f := fetching{server: s, frame: r, request: q, partitions: make([]fetched, 0, len(q.Topics))}
	if f.session, f.cached, f.code = s.sessions.begin(q); f.code != 0 {
		q.Topics = nil
		return f.encode(r.version)
	}
	wanted := f.resolve(r.version)
	r.borrowed.from = &s.buffers
	f.read(ctx)
	if f.bytes >= int(q.MinBytes) || f.failed || q.MaxWaitMillis <= 0 || len(wanted) == 0 {
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
		if f.bytes >= int(q.MinBytes) || f.failed {
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
	failed     bool
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

// readCommitted is the isolation level that sees no record of a transaction that has not committed.
const readCommitted = 1

// resolve finds the partitions that the request names.
func (f *fetching) resolve(version int16) []log.Partition {
	var wanted []log.Partition
	for i := range f.request.Topics {
		t := &f.request.Topics[i]
		var topic log.Topic
		var ok bool
		var unknown int16
		if version >= 13 {
			topic, ok, unknown = f.server.topicByID(f.frame, log.TopicID(t.TopicID))
		} else {
			topic, ok, unknown = f.server.topic(f.frame, t.Topic)
		}
		meter := f.server.meters.topic(topic.ID)
		for j := range t.Partitions {
			p := fetched{partition: log.Partition{Topic: topic.ID, Index: t.Partitions[j].Partition}, meter: meter, code: unknown}
			if ok && p.partition.Index >= 0 && p.partition.Index < topic.Partitions {
				p.known, p.code = true, 0
				wanted = append(wanted, p.partition)
			} else if ok {
				p.code = kerr.UnknownTopicOrPartition.Code
			}
			f.partitions = append(f.partitions, p)
		}
	}
	return wanted
}

// read reads every partition from its offset on, until the request's bytes are used up.
func (f *fetching) read(ctx context.Context) {
	f.bytes, f.failed = 0, false
	f.frame.giveBack()
	maximum := min(fetchBytes, max(1, int(f.request.MaxBytes)))
	next := 0
	for i := range f.request.Topics {
		for j := range f.request.Topics[i].Partitions {
			p := &f.partitions[next]
			next++
			if p.known {
				f.readOne(ctx, p, &f.request.Topics[i].Partitions[j], maximum-f.bytes)
			}
			f.bytes += len(p.records)
			f.failed = f.failed || p.code != 0
		}
	}
}

func (f *fetching) readOne(ctx context.Context, p *fetched, want *kmsg.FetchRequestTopicPartition, room int) {
	p.records, p.aborted, p.code = nil, nil, epochFault(want.CurrentLeaderEpoch, f.server.log.LeaderEpoch())
	if p.code != 0 {
		return
	}
	var err error
	var stable int64
	if f.request.IsolationLevel == readCommitted {
		// Before the read: what has ended by then is among the aborted ones.
		before, err := f.server.log.Bounds(p.partition)
		if err != nil {
			p.code = errorCode(err)
			return
		}
		stable = before.Stable
		// Before the read too: what tells that records were aborted is given up together with them.
		p.aborted = append([]log.AbortedTxn{}, f.server.log.Aborted(p.partition, want.FetchOffset, stable)...)
	}
	if room = min(room, max(1, int(want.PartitionMaxBytes))); room > 0 {
		p.records, err = f.records(ctx, p.partition, want.FetchOffset, room)
	}
	if f.request.IsolationLevel == readCommitted {
		var end int64
		p.records, end = below(p.records, stable)
		p.aborted = slices.DeleteFunc(p.aborted, func(a log.AbortedTxn) bool { return a.First >= end })
	}
	// After the read: the high watermark is never below what is given.
	bounds, boundsErr := f.server.log.Bounds(p.partition)
	p.bounds = bounds
	if err == nil {
		err = boundsErr
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
	case errors.Is(err, log.ErrUnknownPartition) && f.request.Version >= 13:
		p.code = kerr.UnknownTopicID.Code
	default:
		p.code = errorCode(err)
	}
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

// below cuts record batches at an offset, and gives the offset behind the last one that is left, 0: none.
func below(records []byte, offset int64) (left []byte, end int64) {
	for at := 0; at < len(records); {
		b, err := record.ParseHeader(records[at:])
		if err != nil || b.BaseOffset >= offset {
			return records[:at:at], end
		}
		at += len(b.Bytes)
		end = b.LastOffset() + 1
	}
	return records, end
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
	case client < 0 || client == ours:
		return 0
	case client < ours:
		return kerr.FencedLeaderEpoch.Code
	}
	return kerr.UnknownLeaderEpoch.Code
}
