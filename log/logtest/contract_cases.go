package logtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

func testTopicLife(s *suite) {
	t := CreateTopic(s, s.contract, "life", 2, map[string]string{"retention.ms": "5"})
	if t.Partitions != 2 || t.Config["retention.ms"] != "5" || t.Internal {
		s.Fatalf("%+v", t)
	}
	if got, ok := s.TopicByID(t.ID); !ok || !reflect.DeepEqual(got, t) {
		s.Fatalf("by id: %+v", got)
	}
	change := func(r log.TopicRecord) error {
		_, err := log.Commit(s.ctx(), s.contract, log.Append{Batches: []log.PartitionBatch{Catalog(s, r)}})
		return err
	}
	id := t.ID.String()
	for name, c := range map[string]struct {
		record log.TopicRecord
		want   error
	}{
		"taken":     {log.TopicRecord{ID: NewTopicID().String(), Name: "life", Partitions: 1}, log.ErrTopicExists},
		"fewer":     {log.TopicRecord{ID: id, Name: "life", Partitions: 1}, log.ErrInvalidTopic},
		"none":      {log.TopicRecord{ID: NewTopicID().String(), Name: "none"}, log.ErrInvalidTopic},
		"name":      {log.TopicRecord{ID: NewTopicID().String(), Name: "a/b", Partitions: 1}, log.ErrInvalidTopic},
		"dots":      {log.TopicRecord{ID: NewTopicID().String(), Name: "..", Partitions: 1}, log.ErrInvalidTopic},
		"id":        {log.TopicRecord{ID: "xyz", Name: "z", Partitions: 1}, log.ErrInvalidTopic},
		"catalog":   {log.TopicRecord{ID: log.CatalogTopicID.String(), Name: "z", Partitions: 1}, log.ErrInvalidTopic},
		"drop none": {log.TopicRecord{ID: NewTopicID().String(), Name: "z", Dropped: true}, log.ErrUnknownPartition},
	} {
		if err := change(c.record); !errors.Is(err, c.want) {
			s.Errorf("%s: %v", name, err)
		}
	}
	s.must(change(log.TopicRecord{ID: id, Name: "life", Partitions: 3}))
	s.commit(one(t, 2, Batch(s, 1, "x")))
	s.must(change(log.TopicRecord{ID: id, Name: "life", Dropped: true}))
	if _, ok := s.Topic("life"); ok {
		s.Fatal("dropped and still there")
	}
	if _, err := s.Read(s.ctx(), log.Partition{Topic: t.ID, Index: 2}, 0, log.ReadLimit{}); !errors.Is(err, log.ErrUnknownPartition) {
		s.Fatalf("read of a dropped topic: %v", err)
	}
	again := s.topic("life", 1)
	if b, err := s.Bounds(log.Partition{Topic: again.ID}); err != nil || b.End != 0 || again.ID == t.ID {
		s.Fatalf("made again: %+v, %v", b, err)
	}
	if s.can&Restart != 0 {
		s.restart()
		if got, ok := s.Topic("life"); !ok || got.ID != again.ID {
			s.Fatalf("after a restart: %+v", got)
		}
		if _, ok := s.TopicByID(t.ID); ok {
			s.Fatal("the dropped topic is back")
		}
	}
}

// One append may make a topic and fill it; when it is refused neither is there.
func testTopicInOneAppend(s *suite) {
	id := NewTopicID()
	r := log.TopicRecord{ID: id.String(), Name: "both", Partitions: 1}
	data := log.PartitionBatch{Partition: log.Partition{Topic: id}, Batch: Batch(s, 1, "x")}
	wrong := data
	wrong.Partition.Index = 5
	_, err := s.Submit(s.ctx(), log.Append{Batches: []log.PartitionBatch{Catalog(s, r), data, wrong}})
	if !errors.Is(err, log.ErrUnknownPartition) {
		s.Fatal(err)
	}
	s.commit(log.Append{Batches: []log.PartitionBatch{data, Catalog(s, r)}})
	if got := ReadAll(s, s.contract, data.Partition); len(got) != 1 {
		s.Fatal(got)
	}
}

func testTimes(s *suite) {
	t := s.topic("t", 1)
	p := log.Partition{Topic: t.ID}
	stamps := []int64{100, 300, 200, 250, 500, 400}
	places := map[int64]int64{-1: -1}
	for i, ms := range stamps {
		places[int64(i)] = s.commit(one(t, 0, Batch(s, ms, fmt.Sprint(i)))).Offsets[0]
	}
	for _, c := range []struct{ ms, offset, timestamp int64 }{
		{0, 0, 100}, {100, 0, 100}, {101, 1, 300}, {300, 1, 300}, {301, 4, 500}, {500, 4, 500}, {501, -1, -1},
	} {
		offset, timestamp, err := s.OffsetForTime(p, c.ms)
		c.offset = places[c.offset]
		if err != nil || offset != c.offset || timestamp != c.timestamp {
			s.Errorf("time %d: offset %d at %d, %v; want %d at %d", c.ms, offset, timestamp, err, c.offset, c.timestamp)
		}
	}
	if s.can&Verbatim == 0 {
		return // what stamps the records is not what gives the append its time
	}
	lat := CreateTopic(s, s.contract, "lat", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	got := s.commit(one(lat, 0, Batch(s, 5, "x")))
	offset, timestamp, err := s.OffsetForTime(log.Partition{Topic: lat.ID}, 6)
	if err != nil || offset != 0 || timestamp != got.Time.UnixMilli() {
		s.Errorf("LogAppendTime: offset %d at %d, %v; want the time %d", offset, timestamp, err, got.Time.UnixMilli())
	}
}

func testPositions(s *suite) {
	a, b := s.topic("a", 1), s.topic("b", 1)
	pa := log.Partition{Topic: a.ID}
	if got, err := s.PositionOf(pa, 0); err != nil || !got.IsZero() {
		s.Fatalf("of an empty partition: %v, %v", got, err)
	}
	var at []log.Appended
	for i := range 40 {
		s.commit(one(b, 0, Batch(s, 1, "between")))
		at = append(at, s.commit(one(a, 0, Batch(s, 1, fmt.Sprint(i), fmt.Sprint(i)))))
	}
	check := func() {
		s.Helper()
		for i, w := range at {
			for offset := w.Offsets[0]; offset < w.Offsets[0]+2; offset++ {
				if got, err := s.PositionOf(pa, offset); err != nil || got != w.Position {
					s.Fatalf("of offset %d: %v, %v; want %v", offset, got, err, w.Position)
				}
			}
			got, err := s.PositionAt(w.Time)
			if err != nil || got.Less(w.Position) || i+1 < len(at) && at[i+1].Position.Less(got) {
				s.Fatalf("at the time of %d: %v, %v; want %v", i, got, err, w.Position)
			}
		}
		if got, err := s.PositionOf(pa, 1<<40); err != nil || got != at[len(at)-1].Position {
			s.Fatalf("of a later offset: %v, %v", got, err)
		}
		if got, err := s.PositionAt(time.Unix(1, 0)); err != nil || !got.IsZero() {
			s.Fatalf("before the first append: %v, %v", got, err)
		}
		if got, err := s.PositionAt(time.Now().Add(time.Hour)); err != nil || got != s.End() {
			s.Fatalf("later: %v, %v", got, err)
		}
	}
	check()
	if s.can&Restart != 0 {
		s.restart()
		check()
	}
}

func testAdmission(s *suite) {
	t, open := s.topic("guarded", 1), s.topic("open", 1)
	refuse := errs.New(errs.Constraint, "not today")
	calls := 0
	s.Admit(t.ID, func(ctx context.Context, a log.Append, submit func(log.Append) (*log.Ticket, error)) (*log.Ticket, error) {
		if calls++; calls == 1 {
			return nil, refuse
		}
		a.Txn = 42
		return submit(a)
	})
	if _, err := s.Produce(s.ctx(), one(t, 0, Batch(s, 1, "x"))); !errors.Is(err, refuse) {
		s.Fatal(err)
	}
	k, err := s.Produce(s.ctx(), one(t, 0, Batch(s, 1, "x")))
	s.must(err)
	s.must(k.Wait(s.ctx()))
	if got := Entries(s, s.contract, log.Position{}); got[len(got)-1].Txn != 42 {
		s.Fatal("the hook's change is lost")
	}
	k, err = s.Produce(s.ctx(), one(open, 0, Batch(s, 1, "x")))
	s.must(err)
	s.must(k.Wait(s.ctx()))
	s.commit(one(t, 0, Batch(s, 1, "x")))
	s.Admit(t.ID, nil)
	k, err = s.Produce(s.ctx(), one(t, 0, Batch(s, 1, "x")))
	s.must(err)
	s.must(k.Wait(s.ctx()))
	if calls != 2 {
		s.Fatalf("%d calls of the hook, want 2", calls)
	}
	if _, err := s.Produce(s.ctx(), log.Append{Batches: []log.PartitionBatch{Catalog(s, log.TopicRecord{ID: NewTopicID().String(), Name: "n", Partitions: 1})}}); !errs.Is(err, errs.Denied) {
		s.Fatalf("produce to the catalog: %v", err)
	}
	small := CreateTopic(s, s.contract, "small", 1, map[string]string{"max.message.bytes": "100"})
	if _, err := s.Produce(s.ctx(), one(small, 0, Batch(s, 1, string(make([]byte, 100))))); !errors.Is(err, log.ErrTooLarge) {
		s.Fatalf("over max.message.bytes: %v", err)
	}
}

func testNotify(s *suite) {
	t := s.topic("n", 2)
	ch := make(chan struct{}, 1)
	cancel := s.Notify([]log.Partition{{Topic: t.ID, Index: 1}}, ch)
	s.commit(one(t, 0, Batch(s, 1, "x")))
	s.commit(one(t, 1, Batch(s, 1, "x")))
	select {
	case <-ch:
	case <-time.After(time.Minute):
		s.Fatal("not notified")
	}
	cancel()
	s.commit(one(t, 1, Batch(s, 1, "x")))
	select {
	case <-ch:
		s.Fatal("notified after cancel")
	case <-time.After(20 * time.Millisecond):
	}
}

func testAttachment(s *suite) {
	t := s.topic("att", 1)
	from := s.End()
	a := one(t, 0, Batch(s, 1, "x"))
	a.Attachment = "typed delta"
	s.commit(a)
	got := Entries(s, s.contract, from)
	if len(got) != 1 || got[0].Attachment != "typed delta" {
		s.Fatalf("%+v", got)
	}
}

// Everything is the same after restarts: entries, offsets, positions, times.
func testRestart(s *suite) {
	a, b := s.topic("a", 2), s.topic("b", 1)
	write := func(n int) {
		for i := range n {
			app := one(a, int32(i%2), Batch(s, int64(i), fmt.Sprintf("%d%s", i, string(make([]byte, i*53%2000)))))
			app.Batches = append(app.Batches, one(b, 0, Batch(s, int64(i), "b", "c")).Batches...)
			_, err := s.Submit(s.ctx(), app)
			s.must(err)
		}
		s.commit(one(b, 0, Batch(s, 1, "end of round")))
	}
	var before []log.Entry
	for round := range 4 {
		write(40 * (round + 1))
		before = Entries(s, s.contract, log.Position{})
		end := s.End()
		s.restart()
		if s.End() != end {
			s.Fatalf("end %v, before %v", s.End(), end)
		}
		after := Entries(s, s.contract, log.Position{})
		if len(after) != len(before) {
			s.Fatalf("%d entries, before %d", len(after), len(before))
		}
		for i := range after {
			if !reflect.DeepEqual(after[i], before[i]) {
				s.Fatalf("round %d, entry %d: %+v, before %+v", round, i, after[i], before[i])
			}
		}
	}
	from := before[len(before)/2].Position
	if got := Entries(s, s.contract, from); len(got) != len(before)-len(before)/2-1 {
		s.Fatalf("from the middle: %d entries", len(got))
	}
}
