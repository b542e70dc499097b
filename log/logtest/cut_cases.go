package logtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/miracledb/miracledb/log"
)

// deleter is a Log with the capability Deletion.
type deleter interface {
	DeleteRecords(ctx context.Context, p log.Partition, before int64) (start int64, err error)
}

// Records below a partition's start are gone for readers, now and after a restart; offsets go on.
func testDeleteRecords(s *suite) {
	t := s.topic("cut", 1)
	p := log.Partition{Topic: t.ID}
	for i := range 10 {
		s.commit(one(t, 0, Batch(s, int64(100+i), fmt.Sprint(2*i), fmt.Sprint(2*i+1))))
	}
	del := func(before, want int64) {
		s.Helper()
		if got, err := s.contract.(deleter).DeleteRecords(s.ctx(), p, before); err != nil || got != want {
			s.Fatalf("start %d, %v; want %d", got, err, want)
		}
	}
	check := func(start, end int64) {
		s.Helper()
		b, err := s.Bounds(p)
		s.must(err)
		if b.Start != start || b.End != end || b.Clean < start {
			s.Fatalf("bounds %+v, want %d to %d", b, start, end)
		}
		if _, err := s.Read(s.ctx(), p, start-1, log.ReadLimit{}); !errors.Is(err, log.ErrOffsetOutOfRange) {
			s.Fatalf("read below the start: %v", err)
		}
		if _, err := s.PositionOf(p, start-1); !errors.Is(err, log.ErrOffsetOutOfRange) {
			s.Fatalf("position below the start: %v", err)
		}
		offset, _, err := s.OffsetForTime(p, 0)
		s.must(err)
		if start < end && offset != start || start == end && offset != -1 {
			s.Fatalf("first offset by time %d, want %d", offset, start)
		}
		data, err := s.Read(s.ctx(), p, start, log.ReadLimit{})
		s.must(err)
		if _, first, _ := Values(s, data); start < end && (first > start || first < start-1) {
			s.Fatalf("read at the start gives offset %d, want the batch of %d", first, start)
		}
	}
	del(7, 7)
	check(7, 20)
	del(3, 7)
	check(7, 20)
	if _, err := s.contract.(deleter).DeleteRecords(s.ctx(), p, 21); !errors.Is(err, log.ErrOffsetOutOfRange) {
		s.Fatalf("deleting behind the end: %v", err)
	}
	again := func() {
		if s.can&Restart != 0 {
			s.restart()
		}
	}
	again()
	check(7, 20)
	del(-1, 20)
	check(20, 20)
	again()
	check(20, 20)
	if got := s.commit(one(t, 0, Batch(s, 1, "next"))); got.Offsets[0] != 20 {
		s.Fatalf("offset %d after the deletion of all", got.Offsets[0])
	}
	check(20, 21)
}
